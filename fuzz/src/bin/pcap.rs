//! Any bytes as a capture file: read or refused; what was read is written and read again.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use vsw_port::pcap;

fuzz_target!(|data: &[u8]| {
    let Ok(frames) = pcap::read(data) else { return };
    let mut file = Vec::new();
    pcap::write_header(&mut file).expect("memory");
    for frame in &frames {
        pcap::write_frame(&mut file, std::iter::once(frame)).expect("memory");
    }
    assert_eq!(pcap::read(&file[..]).expect("our own capture"), frames);
});
