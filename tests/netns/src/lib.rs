//! What tests of the whole product stand on: a host of their own with real daemons, and machines beside it.
//!
//! A [`Lab`] is a network namespace in which `vswd` and `vswcontrold` run with private directories, so that
//! nothing touches the network of the machine under test; [`Namespace`]s are the machines of users. Both go
//! when they are dropped, and a lab prints its daemons' logs if the test failed.
//!
//! Complications: tests run beside each other and beside other load. Names contain the process id, and no
//! test expects anything sooner than within seconds.
//!
//! Thread-safety: each test has a lab of its own; a lab may be shared by the threads of its test.
#![forbid(unsafe_code)]

mod daemon;
pub mod flows;
mod lab;
mod namespace;
mod pair;
mod sniffer;
pub mod traffic;
mod typed;

pub use daemon::{Daemon, Role, programs};
pub use lab::Lab;
pub use namespace::Namespace;
pub use pair::Pair;
pub use sniffer::Sniffer;
pub use typed::{Typed, run};

use std::time::{Duration, Instant};

/// Whether the test can run. Without root it is skipped, and says so for the count.
pub fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root() && std::env::var_os("VSW_NO_ROOT").is_none();
    if !root {
        eprintln!("SKIPPED: needs root: {test}");
    }
    root
}

/// Waits until it holds, twenty seconds at most.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
