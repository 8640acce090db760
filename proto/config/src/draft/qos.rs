//! Quality of service as received. Rates per second, sizes in bytes, times in microseconds; code points and
//! types are numbers.

/// What a port says. At most one of `profile` and `own`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftPortQos {
    pub profile: Option<String>,
    /// Its name is not looked at.
    pub own: Option<DraftProfile>,
    /// `both`, `none`, `pcp` or `dscp`; empty: `both`.
    pub trust: String,
    pub storm: DraftStorm,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftProfile {
    pub name: String,
    pub sent_by: Option<DraftPolicer>,
    pub sent_to: Option<DraftShaper>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftPolicer {
    /// Committed bits.
    pub rate: Option<u64>,
    pub burst: Option<u64>,
    /// Of RFC 2698; at most one of this and `excess`.
    pub peak: Option<u64>,
    /// Of RFC 4115.
    pub excess: Option<u64>,
    /// Of the second bucket. Alone: of RFC 2697.
    pub excess_burst: Option<u64>,
    pub packets: Option<u64>,
    pub packet_burst: Option<u32>,
    /// `pass`, `remark` or `drop`; empty: `pass`.
    pub yellow: String,
    /// `remark`, `drop` or `wait`; empty: `drop`.
    pub red: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftShaper {
    pub max: Option<u64>,
    /// Guaranteed to the class that catches the rest.
    pub min: Option<u64>,
    pub burst: Option<u64>,
    pub starve_us: Option<u32>,
    pub classes: Vec<DraftClass>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftClass {
    pub name: String,
    pub matches: DraftMatch,
    /// At most one of this and `weight`.
    pub prio: bool,
    pub weight: Option<u32>,
    pub min: Option<u64>,
    pub max: Option<u64>,
    pub queue_bytes: Option<u64>,
    pub queue_us: Option<u32>,
    /// `None`: on.
    pub codel: Option<bool>,
    pub codel_target_us: Option<u32>,
    pub codel_interval_us: Option<u32>,
    /// `None`: on.
    pub flows: Option<bool>,
    /// `None`: on.
    pub ecn: Option<bool>,
    pub set_pcp: Option<u32>,
    pub set_dscp: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftMatch {
    pub pcps: Vec<u32>,
    pub dscps: Vec<u32>,
    /// A list as typed: `10,20-29`.
    pub vlans: Option<String>,
    pub ethertypes: Vec<u32>,
    pub protocols: Vec<u32>,
    /// First and last.
    pub ports: Vec<(u32, u32)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftStorm {
    pub broadcast: Option<DraftRate>,
    pub multicast: Option<DraftRate>,
    pub unknown: Option<DraftRate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftRate {
    Bits(u64),
    Packets(u64),
}
