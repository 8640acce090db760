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

#[cfg(test)]
mod tests;
