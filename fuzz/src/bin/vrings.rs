//! A guest that writes anything into its rings while the switch serves them, in both layouts.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| vsw_port_vhost::fuzz::rings(data));
