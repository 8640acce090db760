//! A front end that says anything: headers, payloads, descriptors of the wrong kind and number.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    vsw_port_vhost::fuzz::requests(data);
});
