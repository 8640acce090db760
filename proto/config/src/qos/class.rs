//! Classes of what is sent to a port.

use super::Match;
use std::time::Duration;
use vsw_types::{BitRate, Dscp, Label, Pcp};

/// One queue, or one set of queues by flow, in front of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Unique in its profile.
    pub name: Label,
    pub matches: Match,
    pub service: Service,
    /// Guaranteed, whatever others have to send.
    pub min: Option<BitRate>,
    pub max: Option<BitRate>,
    /// Most bytes that wait; `None`: the dataplane's choice.
    pub queue_bytes: Option<u64>,
    /// Longest that a frame waits; `None`: the dataplane's choice.
    pub queue_time: Option<Duration>,
    /// `None`: a full queue drops what comes, and nothing else is dropped.
    pub codel: Option<Codel>,
    /// A queue for each flow, served in turn, so that a bulk transfer does not delay what is beside it
    /// (RFC 8290).
    pub flows: bool,
    /// Frames that can be are marked where others would be dropped by CoDel (RFC 3168).
    pub ecn: bool,
    /// Written into the frames of the class.
    pub set_pcp: Option<Pcp>,
    pub set_dscp: Option<Dscp>,
}

impl Class {
    /// What catches the frames of no other class, where a profile names none.
    pub const REST: &str = "rest";

    /// Whether it has the name of what catches the rest without being named.
    pub fn is_rest(&self) -> bool {
        self.name.as_str() == Self::REST
    }
    /// With everything that is not said.
    pub fn new(name: Label) -> Self {
        Self {
            name,
            matches: Match::default(),
            service: Service::Weight(1),
            min: None,
            max: None,
            queue_bytes: None,
            queue_time: None,
            codel: Some(Codel::default()),
            flows: true,
            ecn: true,
            set_pcp: None,
            set_dscp: None,
        }
    }
}

/// Who goes first, after guaranteed minimums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Before all others; several in the order of the list.
    Priority,
    /// Deficit round robin; 1 to [`super::MAX_WEIGHT`].
    Weight(u32),
}

/// Controlled delay (RFC 8289).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codel {
    /// Acceptable standing delay, shorter than `interval`.
    pub target: Duration,
    /// In the order of a round trip.
    pub interval: Duration,
}

impl Default for Codel {
    /// RFC 8289, 4.1 and 4.2.
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }
}
