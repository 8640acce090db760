//! Messages as one would type them: what `read` reads.

use super::{ETHERTYPES, PROTOCOLS};
use std::time::Duration;
use vsw_api::v1::{Policer, QosClass, QosMatch, Rate, Shaper, Storm, rate::PerSecond};
use vsw_types::{BitRate, Dscp, PacketRate, show_bytes, show_span};

/// `500m,peak=1g`.
pub(crate) fn sent_by(p: &Policer) -> String {
    let text = |what: &str, typed: &str| (!typed.is_empty()).then(|| format!("{what}={typed}"));
    let second = if p.peak.is_some() { "peak-burst" } else { "excess-burst" };
    let words = [
        p.rate.map(bits),
        p.packets.map(packets),
        p.burst.map(|n| format!("burst={}", show_bytes(n))),
        p.peak.map(|n| format!("peak={}", bits(n))),
        p.excess.map(|n| format!("excess={}", bits(n))),
        p.excess_burst.map(|n| format!("{second}={}", show_bytes(n))),
        p.packet_burst.map(|n| format!("packet-burst={n}")),
        text("yellow", &p.yellow),
        text("red", &p.red),
    ];
    joined(words, ",")
}

/// `1g,min=100m`, without the classes; empty: no limit.
pub(crate) fn sent_to(s: &Shaper) -> String {
    let words = [
        s.max.map(bits),
        s.burst.map(|n| format!("burst={}", show_bytes(n))),
        s.min.map(|n| format!("min={}", bits(n))),
        s.starve_us.map(|us| format!("starve={}", span(us))),
    ];
    joined(words, ",")
}

/// `voice:prio:dscp=ef,cs5`.
pub(crate) fn class(c: &QosClass) -> String {
    let off = |what: &str, on: Option<bool>| (on == Some(false)).then(|| format!("{what}=off"));
    let queue = joined([c.queue_bytes.map(show_bytes), c.queue_us.map(span)], ",");
    let codel = joined([c.codel_target_us.map(span), c.codel_interval_us.map(span)], ",");
    let words = [
        Some(c.name.clone()),
        c.prio.then(|| "prio".to_owned()),
        c.weight.map(|n| format!("weight={n}")),
        c.r#match.as_ref().map(matches),
        c.min.map(|n| format!("min={}", bits(n))),
        c.max.map(|n| format!("max={}", bits(n))),
        (!queue.is_empty()).then(|| format!("queue={queue}")),
        off("codel", c.codel),
        (!codel.is_empty()).then(|| format!("codel={codel}")),
        off("flows", c.flows),
        off("ecn", c.ecn),
        c.set_pcp.map(|n| format!("set-pcp={n}")),
        c.set_dscp.map(|n| format!("set-dscp={}", dscp(n))),
    ];
    joined(words, ":")
}

fn matches(m: &QosMatch) -> String {
    let list = |what: &str, values: Vec<String>| {
        (!values.is_empty()).then(|| format!("{what}={}", values.join(",")))
    };
    let port = |first, last| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    let words = [
        list("pcp", m.pcps.iter().map(u32::to_string).collect()),
        list("dscp", m.dscps.iter().copied().map(dscp).collect()),
        m.vlans.as_ref().map(|v| format!("vlan={v}")),
        list("ethertype", m.ethertypes.iter().map(|n| name(ETHERTYPES, *n, format!("{n:#06x}"))).collect()),
        list("proto", m.protocols.iter().map(|n| name(PROTOCOLS, *n, n.to_string())).collect()),
        list("port", m.ports.iter().map(|p| port(p.first, p.last)).collect()),
    ];
    joined(words, ":")
}

/// `broadcast=500pps,unknown=10m`.
pub(crate) fn storm(s: &Storm) -> String {
    let limit = |kind: &str, rate: &Option<Rate>| {
        let rate = match rate.as_ref()?.per_second? {
            PerSecond::Bits(n) => bits(n),
            PerSecond::Packets(n) => packets(n),
        };
        Some(format!("{kind}={rate}"))
    };
    let kinds = [("broadcast", &s.broadcast), ("multicast", &s.multicast), ("unknown", &s.unknown)];
    joined(kinds.map(|(kind, rate)| limit(kind, rate)), ",")
}

fn joined<const N: usize>(words: [Option<String>; N], with: &str) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(with)
}

/// What is no rate is shown as the number it is.
fn bits(n: u64) -> String {
    BitRate::new(n).map_or_else(|_| n.to_string(), |r| r.to_string())
}
fn packets(n: u64) -> String {
    PacketRate::new(n).map_or_else(|_| n.to_string(), |r| r.to_string())
}
fn dscp(n: u32) -> String {
    Dscp::new(n).map_or_else(|_| n.to_string(), |d| d.to_string())
}
fn span(us: u32) -> String {
    show_span(Duration::from_micros(us.into()))
}
fn name(names: &[(&str, u32)], n: u32, other: String) -> String {
    names.iter().find(|(_, v)| *v == n).map_or(other, |(name, _)| (*name).to_owned())
}
