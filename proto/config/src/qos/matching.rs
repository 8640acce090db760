//! Which frames belong to a class.

use vsw_types::{Dscp, Pcp, VlanSet};

/// Every condition that is given must hold, and holds if one of its values does. Without any, all frames
/// match. Values are sorted and there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// A bit for each; 0: not asked. A frame without tag has PCP 0.
    pub pcps: u8,
    /// A bit for each; 0: not asked. Only IP has one.
    pub dscps: u64,
    pub vlans: Option<VlanSet>,
    /// Behind the VLAN tags, from 0x0600.
    pub ethertypes: Vec<u16>,
    /// Of IPv4, or the last header of IPv6.
    pub protocols: Vec<u8>,
    /// First and last; source or destination of TCP, UDP, SCTP and DCCP.
    pub ports: Vec<(u16, u16)>,
}

impl Match {
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
    pub fn pcps(&self) -> impl Iterator<Item = Pcp> + '_ {
        (0..8).filter(|n| self.pcps >> n & 1 != 0).filter_map(|n| Pcp::new(n).ok())
    }
    pub fn dscps(&self) -> impl Iterator<Item = Dscp> + '_ {
        (0..64).filter(|n| self.dscps >> n & 1 != 0).filter_map(|n| Dscp::new(n).ok())
    }

    /// Every frame that matches `other` matches this. May miss some cases, never says so wrongly.
    pub fn covers(&self, other: &Self) -> bool {
        let bits = |a: u64, b: u64| a == 0 || (b != 0 && b & !a == 0);
        let within = |r: &(u16, u16)| self.ports.iter().any(|s| s.0 <= r.0 && r.1 <= s.1);
        bits(self.pcps.into(), other.pcps.into())
            && bits(self.dscps, other.dscps)
            && match (&self.vlans, &other.vlans) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(a), Some(b)) => b.iter().all(|v| a.contains(v)),
            }
            && subset(&self.ethertypes, &other.ethertypes)
            && subset(&self.protocols, &other.protocols)
            && (self.ports.is_empty() || (!other.ports.is_empty() && other.ports.iter().all(within)))
    }

    /// Both ask for the same thing of a frame, and one frame can have it for both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let kinds = [
            common(self.pcps != 0, other.pcps != 0, || self.pcps & other.pcps != 0),
            common(self.dscps != 0, other.dscps != 0, || self.dscps & other.dscps != 0),
            match (&self.vlans, &other.vlans) {
                (Some(a), Some(b)) => Some(a.iter().any(|v| b.contains(v))),
                _ => None,
            },
            common(!self.ethertypes.is_empty(), !other.ethertypes.is_empty(), || {
                self.ethertypes.iter().any(|e| other.ethertypes.contains(e))
            }),
            common(!self.protocols.is_empty(), !other.protocols.is_empty(), || {
                self.protocols.iter().any(|p| other.protocols.contains(p))
            }),
            common(!self.ports.is_empty(), !other.ports.is_empty(), || {
                self.ports.iter().any(|a| other.ports.iter().any(|b| a.0 <= b.1 && b.0 <= a.1))
            }),
        ];
        kinds.contains(&Some(true)) && !kinds.contains(&Some(false))
    }
}

/// `None`: not both ask.
fn common(mine: bool, theirs: bool, meet: impl Fn() -> bool) -> Option<bool> {
    (mine && theirs).then(meet)
}

fn subset<T: PartialEq>(all: &[T], some: &[T]) -> bool {
    all.is_empty() || (!some.is_empty() && some.iter().all(|s| all.contains(s)))
}
