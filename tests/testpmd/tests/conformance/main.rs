//! The `vhost-user` port against DPDK's virtio-user, a front end of others.
//!
//! Complications: each testpmd keeps a core busy, and the switch has the same two: one test at a time ([`alone`]).
//! Skipped without testpmd or root.
#![forbid(unsafe_code)]

mod circles;
mod matrix;
mod payload;
mod reconnect;
mod resources;

use std::sync::{Mutex, MutexGuard};

/// Held by the test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}
