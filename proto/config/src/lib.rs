//! What the operator wants, once it is known to make sense.
//!
//! A [`Draft`] is a configuration as received, from gRPC or a file: numbers and strings. A [`Config`] can
//! only be made from a draft that obeys every rule, so code that holds a `Config` never checks again.
//! Both are plain values without interior mutability.
#![forbid(unsafe_code)]

mod config;
mod diff;
mod draft;
mod netns;
pub mod qos;
mod rules;
mod violation;

pub use config::{Bridge, Config, Port, PortKind, VlanMode};
pub use diff::{Diff, PortChange, diff};
pub use draft::{
    Draft, DraftBridge, DraftClass, DraftMatch, DraftPolicer, DraftPort, DraftPortQos, DraftProfile,
    DraftRate, DraftShaper, DraftStation, DraftStorm, DraftVlan,
};
pub use netns::Netns;
pub use violation::{Object, Violation};

/// Seconds after which a silent station is forgotten, unless the bridge says otherwise
/// (IEEE 802.1Q-2022, table 8-6, recommended default).
pub const DEFAULT_AGEING_SECONDS: u32 = 300;
/// Stations a bridge remembers, unless it says otherwise.
pub const DEFAULT_MAC_LIMIT: u32 = 16_384;
/// Most stations one bridge can be told to remember.
pub const MAX_MAC_LIMIT: u32 = 4_194_304;
/// Bytes of L3 payload a port carries, unless it says otherwise.
pub const DEFAULT_MTU: u16 = 1500;
