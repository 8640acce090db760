//! Any bytes as a configuration from an API client: refused with reasons, or good, and then the same
//! after another turn through a message.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use vsw_api::{draft, message, v1};
use vsw_config::Config;

fuzz_target!(|data: &[u8]| {
    let Ok(sent) = v1::Config::decode(data) else { return };
    match Config::try_from(draft(sent)) {
        Ok(config) => {
            let told = message(&config);
            let again = v1::Config::decode(&told.encode_to_vec()[..]).expect("our own message");
            assert_eq!(Config::try_from(draft(again)).as_ref(), Ok(&config));
        }
        Err(violations) => {
            assert!(!violations.is_empty(), "refused for a reason");
            violations.iter().for_each(|v| assert!(!v.to_string().is_empty()));
        }
    }
});
