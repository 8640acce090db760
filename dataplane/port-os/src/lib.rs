//! What every kind of port needs from the kernel: interfaces, network namespaces, ethtool, bpf(2), tc.
//!
//! Plain blocking system calls behind safe functions, for driver and housekeeping threads; no worker
//! calls anything here. All functions are thread-safe. Other `port-*` crates build on this one, and only
//! on this one.
#![allow(unsafe_code)] // this crate is one of the addresses of `unsafe`

pub mod bpf;
pub mod ethtool;
pub mod generate;
pub mod link;
pub mod netns;
pub mod shortcut;
pub mod tc;
