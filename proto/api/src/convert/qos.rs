//! Quality of service: messages to drafts, and back. See the parent module.

use crate::v1;
use std::time::Duration;
use vsw_config::qos::*;
use vsw_config::{
    DraftClass, DraftMatch, DraftPolicer, DraftPortQos, DraftProfile, DraftRate, DraftShaper, DraftStorm,
};
use vsw_types::Rate;

pub(super) fn profile_draft(p: v1::QosProfile) -> DraftProfile {
    DraftProfile {
        name: p.name,
        sent_by: p.sent_by.map(|p| DraftPolicer {
            rate: p.rate,
            burst: p.burst,
            peak: p.peak,
            excess: p.excess,
            excess_burst: p.excess_burst,
            packets: p.packets,
            packet_burst: p.packet_burst,
            yellow: p.yellow,
            red: p.red,
        }),
        sent_to: p.sent_to.map(|s| DraftShaper {
            max: s.max,
            min: s.min,
            burst: s.burst,
            starve_us: s.starve_us,
            classes: s.classes.into_iter().map(class_draft).collect(),
        }),
    }
}

fn class_draft(c: v1::QosClass) -> DraftClass {
    let m = c.r#match.unwrap_or_default();
    DraftClass {
        name: c.name,
        matches: DraftMatch {
            pcps: m.pcps,
            dscps: m.dscps,
            vlans: m.vlans,
            ethertypes: m.ethertypes,
            protocols: m.protocols,
            ports: m.ports.into_iter().map(|r| (r.first, r.last)).collect(),
        },
        prio: c.prio,
        weight: c.weight,
        min: c.min,
        max: c.max,
        queue_bytes: c.queue_bytes,
        queue_us: c.queue_us,
        codel: c.codel,
        codel_target_us: c.codel_target_us,
        codel_interval_us: c.codel_interval_us,
        flows: c.flows,
        ecn: c.ecn,
        set_pcp: c.set_pcp,
        set_dscp: c.set_dscp,
    }
}

pub(super) fn port_draft(q: v1::PortQos) -> DraftPortQos {
    let storm = q.storm.unwrap_or_default();
    // A rate in no unit is one of zero, which is refused.
    let rate = |r: v1::Rate| match r.per_second {
        Some(v1::rate::PerSecond::Packets(n)) => DraftRate::Packets(n),
        Some(v1::rate::PerSecond::Bits(n)) => DraftRate::Bits(n),
        None => DraftRate::Bits(0),
    };
    DraftPortQos {
        profile: q.profile,
        own: q.own.map(profile_draft),
        trust: q.trust,
        storm: DraftStorm {
            broadcast: storm.broadcast.map(rate),
            multicast: storm.multicast.map(rate),
            unknown: storm.unknown.map(rate),
        },
    }
}

/// `None`: the port has no quality of service, as all those recorded before there was any.
pub(super) fn port_message(q: &PortQos) -> Option<v1::PortQos> {
    let own = q.profile.as_ref().filter(|_| q.name.is_none());
    let rate = |r: Rate| v1::Rate {
        per_second: Some(match r {
            Rate::Bits(n) => v1::rate::PerSecond::Bits(n.get()),
            Rate::Packets(n) => v1::rate::PerSecond::Packets(n.get()),
        }),
    };
    let storm = (!q.storm.is_none()).then(|| v1::Storm {
        broadcast: q.storm.broadcast.map(rate),
        multicast: q.storm.multicast.map(rate),
        unknown: q.storm.unknown.map(rate),
    });
    let trust = if q.trust == Trust::default() { "" } else { q.trust.name() };
    let message = v1::PortQos {
        profile: q.name.as_ref().map(|n| n.to_string()),
        own: own.map(|p| profile_message("", p)),
        trust: trust.to_owned(),
        storm,
    };
    (message != v1::PortQos::default()).then_some(message)
}

pub(super) fn profile_message(name: &str, p: &QosProfile) -> v1::QosProfile {
    v1::QosProfile {
        name: name.to_owned(),
        sent_by: p.sent_by.as_ref().map(policer_message),
        sent_to: p.sent_to.as_ref().map(shaper_message),
    }
}

fn policer_message(p: &Policer) -> v1::Policer {
    let second = p.bits.map(|m| m.second);
    let (peak, excess, excess_burst) = match second {
        None | Some(Second::None) => (None, None, None),
        Some(Second::SingleRate { excess_burst }) => (None, None, Some(excess_burst)),
        Some(Second::TwoRate { peak, peak_burst }) => (Some(peak.get()), None, burst(peak_burst)),
        Some(Second::Differentiated { excess, excess_burst }) => {
            (None, Some(excess.get()), burst(excess_burst))
        }
    };
    // What cannot be yellow has nothing to say of it.
    let yellow = if p.yellow == ColourAction::Pass { "" } else { p.yellow.name() };
    let red = if p.red == ColourAction::Drop { "" } else { p.red.name() };
    v1::Policer {
        rate: p.bits.map(|m| m.committed.get()),
        burst: p.bits.and_then(|m| burst(m.burst)),
        peak,
        excess,
        excess_burst,
        packets: p.packets.map(|m| m.rate.get()),
        packet_burst: p.packets.and_then(|m| m.burst),
        yellow: yellow.to_owned(),
        red: red.to_owned(),
    }
}

fn burst(burst: Burst) -> Option<u64> {
    match burst {
        Burst::Auto => None,
        Burst::Bytes(n) => Some(n),
    }
}

fn micros(span: Duration) -> u32 {
    span.as_micros().try_into().unwrap_or(u32::MAX)
}

fn shaper_message(s: &Shaper) -> v1::Shaper {
    // One class that says nothing is none.
    let (min, classes) = match &s.classes[..] {
        [only] if *only == (Class { min: only.min, ..Class::new(only.name.clone()) }) && only.is_rest() => {
            (only.min.map(|r| r.get()), Vec::new())
        }
        classes => (None, classes.iter().map(class_message).collect()),
    };
    v1::Shaper {
        max: s.max.map(|r| r.get()),
        min,
        burst: burst(s.burst),
        starve_us: (s.starve != DEFAULT_STARVE).then(|| micros(s.starve)),
        classes,
    }
}

fn class_message(c: &Class) -> v1::QosClass {
    let m = &c.matches;
    let matches = v1::QosMatch {
        pcps: m.pcps().map(|p| p.get().into()).collect(),
        dscps: m.dscps().map(|d| d.get().into()).collect(),
        vlans: m.vlans.as_ref().map(|v| v.to_string()),
        ethertypes: m.ethertypes.iter().copied().map(u32::from).collect(),
        protocols: m.protocols.iter().copied().map(u32::from).collect(),
        ports: m.ports.iter().map(|(a, b)| v1::PortRange { first: (*a).into(), last: (*b).into() }).collect(),
    };
    let (prio, weight) = match c.service {
        Service::Priority => (true, None),
        Service::Weight(w) => (false, Some(w)),
    };
    let usual = Codel::default();
    let codel = c.codel.filter(|codel| *codel != usual);
    v1::QosClass {
        name: c.name.to_string(),
        r#match: (!m.is_everything()).then_some(matches),
        prio,
        weight,
        min: c.min.map(|r| r.get()),
        max: c.max.map(|r| r.get()),
        queue_bytes: c.queue_bytes,
        queue_us: c.queue_time.map(micros),
        codel: c.codel.is_none().then_some(false),
        codel_target_us: codel.map(|c| micros(c.target)),
        codel_interval_us: codel.map(|c| micros(c.interval)),
        flows: (!c.flows).then_some(false),
        ecn: (!c.ecn).then_some(false),
        set_pcp: c.set_pcp.map(|p| p.get().into()),
        set_dscp: c.set_dscp.map(|d| d.get().into()),
    }
}

#[cfg(test)]
mod tests;
