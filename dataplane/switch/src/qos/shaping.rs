//! How what is sent to a port waits, and in which class; and how what it sends waits, where it does.

use super::{SHAPED, bits};
use crate::Class;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use vsw_config::qos::{self, Burst, Match, Policer, Service, Shaper, Trust};
use vsw_qos::{ClassSettings, CodelSettings, QueueLimit, Settings, Share};
use vsw_types::{BitRate, ClassStats, Count, DropReason, Dscp, Label, Pcp, VlanId};
use vsw_wire::ip::Outline;

/// Bytes of the usual longest frame.
const FRAME: u64 = 1514;
/// Nanoseconds that one frame may keep a port busy: what takes longer is cut, if it can be.
const GRAIN: u64 = 1_000_000;
/// What counts as the rate where none is set: bits per second.
const UNLIMITED: u64 = 10_000_000_000;
/// Bytes that flows take turns by where large frames stay whole.
const LARGE_QUANTUM: u32 = 16_384;

/// The queues of one port.
#[derive(Debug)]
pub struct Shaping {
    pub scheduler: Settings,
    pub rules: Box<[Rule]>,
    /// What was last published of each class.
    stats: Arc<Mutex<Vec<vsw_qos::ClassStats>>>,
}

/// What belongs to a class, and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: Label,
    matches: Match,
    pub set_pcp: Option<Pcp>,
    pub set_dscp: Option<Dscp>,
    /// Bytes on the wire of the longest frame that is not cut before it is queued.
    pub whole: u32,
}

/// What of a frame a class is found by.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    pcp: u8,
    /// Only IP has one.
    dscp: Option<u8>,
    vlan: VlanId,
    ethertype: u16,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
}

impl Traits {
    /// `ethertype`: behind two tags. Marks are what `trust` makes of them: see [`Trust`].
    pub fn of(ethertype: u16, class: &Class, ip: Option<&Outline>, trust: Trust) -> Self {
        let (pcp, dscp) = (class.tag.pcp(), ip.map(Outline::dscp));
        let (pcp, dscp) = match trust {
            Trust::Both => (pcp, dscp),
            Trust::None => (0, dscp.map(|_| 0)),
            Trust::Pcp => (pcp, dscp.map(|_| pcp << 3)),
            Trust::Dscp => (dscp.map_or(0, |d| d >> 3), dscp),
        };
        Self {
            pcp,
            dscp,
            vlan: class.vlan,
            ethertype,
            protocol: ip.map(|ip| ip.protocol),
            ports: ip.and_then(|ip| ip.ports),
        }
    }

    fn matches(&self, m: &Match) -> bool {
        let within = |port: u16| m.ports.iter().any(|(first, last)| (*first..=*last).contains(&port));
        (m.pcps == 0 || m.pcps >> self.pcp & 1 != 0)
            && (m.dscps == 0 || self.dscp.is_some_and(|d| m.dscps >> d & 1 != 0))
            && m.vlans.as_ref().is_none_or(|v| v.contains(self.vlan))
            && (m.ethertypes.is_empty() || m.ethertypes.binary_search(&self.ethertype).is_ok())
            && (m.protocols.is_empty()
                || self.protocol.is_some_and(|p| m.protocols.binary_search(&p).is_ok()))
            && (m.ports.is_empty() || self.ports.is_some_and(|(s, d)| within(s) || within(d)))
    }
}

impl Shaping {
    pub(crate) fn of(shaper: &Shaper) -> Self {
        let classes = shaper.classes.iter();
        let scheduler = Settings {
            max: shaper.max.map(|rate| bits(rate, shaper.burst, SHAPED)),
            classes: classes.clone().map(|c| class(c, shaper.max)).collect(),
            patience: bounded(shaper.starve.as_nanos()),
        };
        let rule = |c: &qos::Class| Rule {
            name: c.name.clone(),
            matches: c.matches.clone(),
            set_pcp: c.set_pcp,
            set_dscp: c.set_dscp,
            whole: whole(c, shaper.max),
        };
        let rules: Box<[Rule]> = classes.map(rule).collect();
        let stats = Arc::new(Mutex::new(vec![Default::default(); rules.len()]));
        Self { scheduler, rules, stats }
    }

    /// One class for all that the attached side sends; `None`: nothing of it waits.
    pub(crate) fn of_sender(policer: &Policer) -> Option<Self> {
        let meter = policer.bits.filter(|_| policer.waits())?;
        let rest = qos::Class::new(Label::new(qos::Class::REST).ok()?);
        Some(Self::of(&Shaper {
            max: Some(meter.committed),
            burst: meter.burst,
            starve: qos::DEFAULT_STARVE,
            classes: vec![rest],
        }))
    }

    /// Goes on with the numbers of the same port in an older snapshot.
    pub(crate) fn inherit(&mut self, old: &Self) {
        self.stats = old.stats.clone();
    }

    /// Whether more than the frame's VLAN and addresses matters.
    #[inline]
    pub fn looks_inside(&self) -> bool {
        self.rules.len() > 1 || self.rules.iter().any(|r| r.set_dscp.is_some())
    }

    /// The first class that the frame belongs to. The last one takes all.
    #[inline]
    pub fn class_of(&self, traits: &Traits) -> usize {
        self.rules.iter().position(|r| traits.matches(&r.matches)).unwrap_or(self.rules.len() - 1)
    }

    /// Which class of `old` each of these is, by name.
    pub fn was<'a>(&'a self, old: &'a Self) -> impl Fn(usize) -> Option<usize> + 'a {
        |i| old.rules.iter().position(|r| r.name == self.rules[i].name)
    }

    /// Whether queues would be the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.scheduler == other.scheduler && self.rules == other.rules
    }

    /// Lets others see the numbers. `false`: somebody was reading them, try again.
    pub fn publish<'a>(&self, stats: impl ExactSizeIterator<Item = &'a vsw_qos::ClassStats>) -> bool {
        let mut to = match self.stats.try_lock() {
            Ok(to) => to,
            Err(TryLockError::Poisoned(p)) => p.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        to.resize(stats.len(), Default::default());
        to.iter_mut().zip(stats).for_each(|(to, from)| *to = *from);
        true
    }

    /// What was last published, by class.
    pub(crate) fn stats(&self) -> Vec<ClassStats> {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stats.into_iter().map(told).collect()
    }
}

fn told(s: vsw_qos::ClassStats) -> ClassStats {
    ClassStats {
        sent: Count { packets: s.packets, bytes: s.bytes },
        drops: vec![(DropReason::ClassFull, s.full), (DropReason::ClassDelay, s.delayed)],
        ecn_marked: s.marked,
        queue_packets: s.queue_packets,
        queue_bytes: s.queue_bytes,
        queue_bytes_max: s.queue_bytes_max,
        delay_ns: s.delay,
        delay_ns_max: s.delay_max,
    }
}

fn bounded(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// What a class may send at most: bits per second.
fn rate(class: &qos::Class, port: Option<BitRate>) -> Option<u64> {
    class.max.into_iter().chain(port).map(BitRate::get).min()
}

fn whole(class: &qos::Class, port: Option<BitRate>) -> u32 {
    let bytes =
        rate(class, port).map_or(u64::MAX, |r| (u128::from(r) * u128::from(GRAIN) / 8_000_000_000) as u64);
    bytes.max(FRAME).min(u32::MAX.into()) as u32
}

fn class(c: &qos::Class, port: Option<BitRate>) -> ClassSettings {
    let limit = |rate: BitRate| bits(rate, Burst::Auto, SHAPED);
    let rate = rate(c, port).unwrap_or(UNLIMITED);
    // A quarter of a second, which CoDel keeps nearly empty.
    let bytes = c.queue_bytes.unwrap_or_else(|| (rate / 32).clamp(48 << 10, 8 << 20));
    let bytes = bytes.min(u32::MAX.into()) as u32;
    let one_frame = (u128::from(FRAME) * 8_000_000_000 / u128::from(rate)) as u64;
    ClassSettings {
        share: match c.service {
            Service::Priority => Share::Strict,
            Service::Weight(weight) => Share::Weight(weight.min(u16::MAX.into()) as u16),
        },
        min: c.min.map(limit),
        max: c.max.map(limit),
        queue: QueueLimit {
            bytes,
            // As many as there can be of the shortest.
            frames: (bytes / 64).clamp(64, 4096),
            time: c.queue_time.map_or(1_000_000_000, |t| bounded(t.as_nanos())),
        },
        codel: c.codel.map(|codel| CodelSettings {
            // RFC 8289, 4.4: not below the time that a frame takes; half more, for the one beside it.
            target: bounded(codel.target.as_nanos()).max(one_frame + one_frame / 2),
            interval: bounded(codel.interval.as_nanos()).max(2 * one_frame),
            ecn: c.ecn,
        }),
        flows: if c.flows { 256 } else { 1 },
        quantum: if u64::from(whole(c, port)) > u64::from(u16::MAX) { LARGE_QUANTUM } else { FRAME as u32 },
    }
}
