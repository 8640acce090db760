//! A configuration that obeys every rule.

use crate::qos::{PortQos, QosProfile};
use crate::{Draft, Netns, Violation};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use vsw_types::{Generation, Label, MacAddr, Name, VlanId, VlanSet};

/// Everything one switch is told to be. There is no other way to make one than [`TryFrom<Draft>`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub(crate) generation: Generation,
    pub(crate) bridges: BTreeMap<Name, Bridge>,
    pub(crate) profiles: BTreeMap<Label, Arc<QosProfile>>,
}

impl Config {
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// In the order of their names.
    pub fn bridges(&self) -> impl Iterator<Item = (&Name, &Bridge)> {
        self.bridges.iter()
    }
    pub fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.get(name)
    }
    /// Every port of every bridge: (bridge, port, what it is).
    pub fn ports(&self) -> impl Iterator<Item = (&Name, &Name, &Port)> {
        self.bridges.iter().flat_map(|(b, bridge)| bridge.ports.iter().map(move |(n, p)| (b, n, p)))
    }
    /// The named QoS profiles, in the order of their names.
    pub fn profiles(&self) -> impl Iterator<Item = (&Label, &QosProfile)> {
        self.profiles.iter().map(|(name, profile)| (name, &**profile))
    }
    pub fn profile(&self, name: &str) -> Option<&QosProfile> {
        self.profiles.get(name).map(|p| &**p)
    }
    /// A port name is unique over all bridges.
    pub fn port(&self, name: &str) -> Option<(&Name, &Port)> {
        self.bridges.iter().find_map(|(b, bridge)| bridge.ports.get(name).map(|p| (b, p)))
    }
}

impl TryFrom<Draft> for Config {
    /// All that is wrong with the draft, not just the first thing.
    type Error = Vec<Violation>;

    fn try_from(draft: Draft) -> Result<Self, Self::Error> {
        crate::rules::check(draft)
    }
}

/// One learning domain per VLAN; knows nothing of other bridges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Seconds, 1 to 1,000,000.
    pub ageing_seconds: u32,
    /// Most stations it remembers, 1 to [`crate::MAX_MAC_LIMIT`].
    pub mac_limit: u32,
    pub ports: BTreeMap<Name, Port>,
    /// Static stations: (VLAN, address) -> a port of this bridge.
    pub stations: BTreeMap<(VlanId, MacAddr), Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub kind: PortKind,
    pub vlans: VlanMode,
    /// The attached side's address, where the switch makes the interface.
    pub mac: Option<MacAddr>,
    /// Bytes of L3 payload, without Ethernet header and tags.
    pub mtu: Option<u16>,
    /// Queue pairs; `None`: as many as suit the device and the workers.
    pub queues: Option<u16>,
    /// Most stations remembered behind this port.
    pub mac_limit: Option<u32>,
    /// Isolated ports of one bridge do not hear each other.
    pub isolated: bool,
    pub qos: PortQos,
}

/// What is on the other side of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// The dataplane chooses by what it finds: see `docs/ports.md`.
    Auto,
    /// An interface that the switch makes, in `netns` or its own namespace, named `ifname` or as the port.
    Tap { netns: Option<Netns>, ifname: Option<Name> },
    /// An interface that the switch makes for the host itself.
    Internal,
    /// An interface that exists already, reached through AF_PACKET.
    Packet,
    /// An interface that exists already, reached through AF_XDP.
    Afxdp,
    /// A VM, or any virtio-user front end, through memory that it shares. They meet at the Unix socket `socket`
    /// (`None`: the dataplane's run directory has a place for it), which the dataplane makes if `server`.
    VhostUser { socket: Option<PathBuf>, server: bool },
    /// The port `peer` of another bridge of this switch.
    Patch { peer: Name },
}

impl PortKind {
    /// As `--type` spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tap { .. } => "tap",
            Self::Internal => "internal",
            Self::Packet => "packet",
            Self::Afxdp => "afxdp",
            Self::VhostUser { .. } => "vhost-user",
            Self::Patch { .. } => "patch",
        }
    }
}

/// How a port meets VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanMode {
    /// Untagged on the wire, one VLAN inside.
    Access(VlanId),
    /// Tagged on the wire. Untagged frames belong to `native`, if there is one; frames of the native VLAN
    /// leave tagged if `native_tagged`.
    Trunk { allowed: VlanSet, native: Option<VlanId>, native_tagged: bool },
    /// A provider edge port (IEEE 802.1ad): whatever comes gets the service tag, which goes again on the
    /// way out. With `customers`, only frames tagged with one of these.
    Qinq { service: VlanId, customers: Option<VlanSet> },
}

impl VlanMode {
    /// What a port is that names no VLAN: it carries all of them, and its untagged frames are in VLAN 1.
    /// A bridge of such ports passes everything, as one from `brctl` does.
    pub fn transparent() -> Self {
        Self::Trunk { allowed: VlanSet::all(), native: Some(VlanId::DEFAULT), native_tagged: false }
    }

    /// As `show` spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Access(_) => "access",
            Self::Trunk { native: None, .. } => "trunk",
            Self::Trunk { native_tagged: true, .. } => "native-tagged",
            Self::Trunk { .. } => "native-untagged",
            Self::Qinq { .. } => "qinq",
        }
    }

    /// Whether frames of the VLAN pass the port at all.
    pub fn carries(&self, vlan: VlanId) -> bool {
        match self {
            Self::Access(v) | Self::Qinq { service: v, .. } => *v == vlan,
            Self::Trunk { allowed, native, .. } => allowed.contains(vlan) || *native == Some(vlan),
        }
    }
}
