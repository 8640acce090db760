//! Ports whose other side is a VM, or any virtio-user front end: kind `vhost-user`.
#![allow(unsafe_code)] // this crate is one of the addresses of `unsafe`

mod connection;
mod device;
mod door;
mod driver;
mod face;
mod fault;
mod features;
mod inflight;
mod loans;
mod log;
mod mapping;
mod memory;
mod message;
mod offer;
mod queue;
mod receive;
mod retry;
mod ring;
mod run;
mod service;
mod session;
mod shared;
mod socket;
mod transmit;

pub use driver::VhostDriver;
pub use service::News;

/// For fuzz targets.
#[cfg(fuzzing)]
pub mod fuzz {
    pub use crate::session::fuzz::requests;
    pub use crate::tests::rings;
}

#[cfg(any(test, fuzzing))]
mod tests;
