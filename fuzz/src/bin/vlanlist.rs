//! What people type: lists of VLANs, MAC addresses, names. What is accepted reads back as it prints.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use vsw_types::{MacAddr, Name, VlanSet};

fuzz_target!(|text: &str| {
    match text.parse::<VlanSet>() {
        Ok(set) => {
            assert!(!set.is_empty());
            assert_eq!(set.to_string().parse::<VlanSet>().expect("our own list"), set);
            assert_eq!(set.iter().collect::<VlanSet>(), set);
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    if let Ok(mac) = text.parse::<MacAddr>() {
        assert_eq!(mac.to_string().parse::<MacAddr>().expect("our own address"), mac);
        assert_eq!(mac.to_string(), text.to_ascii_lowercase().replace('-', ":"));
    }
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!((1..=15).contains(&text.len()) && text.is_ascii());
    }
});
