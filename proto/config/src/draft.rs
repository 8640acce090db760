//! A configuration as received: nothing in it is trusted.

mod qos;

pub use qos::{
    DraftClass, DraftMatch, DraftPolicer, DraftPortQos, DraftProfile, DraftRate, DraftShaper, DraftStorm,
};

/// Numbers are what was sent; an absent one is `None`, and gets its default when the draft is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub generation: u64,
    pub bridges: Vec<DraftBridge>,
    pub profiles: Vec<DraftProfile>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftBridge {
    pub name: String,
    pub ageing_seconds: Option<u32>,
    pub mac_limit: Option<u32>,
    pub ports: Vec<DraftPort>,
    pub stations: Vec<DraftStation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftPort {
    pub name: String,
    /// As `--type` spells it; empty: `auto`.
    pub kind: String,
    pub vlan: DraftVlan,
    pub netns: Option<String>,
    pub ifname: Option<String>,
    /// The other end of a patch.
    pub peer: Option<String>,
    pub mac: Option<String>,
    pub mtu: Option<u32>,
    pub queues: Option<u32>,
    pub mac_limit: Option<u32>,
    pub isolated: bool,
    pub socket: Option<String>,
    /// As `--mode` spells it; `None`: `client`.
    pub socket_mode: Option<String>,
    pub qos: DraftPortQos,
}

/// At most one of `access`, `trunk`/`native` and `qinq` may be set; none: the port carries every VLAN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftVlan {
    pub access: Option<u32>,
    /// A list as typed: `10,20-29`.
    pub trunk: Option<String>,
    pub native: Option<u32>,
    pub native_tagged: bool,
    pub qinq: Option<u32>,
    /// A list as typed.
    pub cvlans: Option<String>,
}

/// A static station.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftStation {
    pub mac: String,
    pub port: String,
    /// `None`: the VLAN of the port's untagged frames.
    pub vlan: Option<u32>,
}
