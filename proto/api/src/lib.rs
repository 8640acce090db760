//! The contract on the wire: generated messages and services, and their translation to and from
//! `vsw-config`. No logic, and no check: a [`Draft`] is as untrusted as the message it came from.
#![forbid(unsafe_code)]

mod convert;

pub use convert::{draft, message};

/// Generated from `proto/vsw/v1`; the comments there are the documentation.
#[allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("vsw.v1");

    /// For gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vsw.v1.bin"));
}

#[cfg(doc)]
use vsw_config::Draft;
