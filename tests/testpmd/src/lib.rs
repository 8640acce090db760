//! DPDK's testpmd as the other side of vhost-user ports: a front end that we did not write.
//!
//! A [`Testpmd`] is one such process with virtio-user NICs ([`Nic`]), driven through its prompt. Its tests hold
//! the `vhost-user` port against it; the benches make traffic with it.
//!
//! Complications: testpmd is a Debian package (`dpdk-dev`) that need not be there; its tests are then skipped and
//! say so for the count ([`is_there`]). It runs without huge pages: what it shares with the switch is a memfd.
//!
//! Thread-safety: one thread drives one testpmd; a thread of its own reads what it prints.
#![forbid(unsafe_code)]

mod nic;
mod process;
mod stats;

pub use nic::{Nic, Ring};
pub use process::{Config, Testpmd};
pub use stats::Stats;

use std::path::Path;

const PROGRAM: &str = "dpdk-testpmd";

/// Whether testpmd is on the path.
pub fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([Path::new("/usr/bin").into()]).any(|dir| dir.join(PROGRAM).is_file())
}

/// Whether a test can run. Without testpmd it is skipped, and says so for the count.
pub fn is_there(test: &str) -> bool {
    let there = is_installed();
    if !there {
        eprintln!("SKIPPED: needs {PROGRAM} (Debian package dpdk-dev): {test}");
    }
    there
}
