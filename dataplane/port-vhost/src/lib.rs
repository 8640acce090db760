//! Ports whose other side is a VM, or any virtio-user front end: kind `vhost-user`.
#![allow(unsafe_code)] // this crate is one of the addresses of `unsafe`

mod door;
mod fault;
mod features;
mod inflight;
mod loans;
mod log;
mod memory;
mod queue;
mod receive;
mod ring;
mod run;
mod shared;
mod transmit;

/// For fuzz targets.
#[cfg(fuzzing)]
pub mod fuzz {
    pub use crate::tests::rings;
}

#[cfg(any(test, fuzzing))]
mod tests;
