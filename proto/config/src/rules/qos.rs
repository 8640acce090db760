//! Rules of quality of service. Each function says the first thing that is wrong with its part.

mod class;

use super::{Violations, settled};
use crate::qos::*;
use crate::{
    DEFAULT_MTU, DraftPolicer, DraftPortQos, DraftProfile, DraftRate, DraftShaper, Object, PortKind,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vsw_types::{BitRate, Label, PacketRate, Rate, show_bytes};

/// Bytes around the payload: Ethernet header and one VLAN tag.
const AROUND: u64 = 18;
/// Bytes of the smallest frame, without FCS (IEEE 802.3-2022, 4A.4.2).
const SMALLEST: u64 = 60;
/// Microseconds.
const STARVE: std::ops::RangeInclusive<u32> = 1_000..=10_000_000;

/// By name; those that broke a rule are `None`, so that ports that use them are not blamed.
pub(super) type Profiles = BTreeMap<String, Option<(Label, Arc<QosProfile>)>>;

pub(super) fn profiles(drafts: Vec<DraftProfile>, found: &mut Violations) -> Profiles {
    let mut all = Profiles::new();
    for draft in drafts {
        let object = Object::Profile(draft.name.clone());
        let name = found.take(&object, Label::new(&draft.name));
        let profile = found.take(&object, profile(&draft));
        let good = name.zip(profile).map(|(name, profile)| (name, Arc::new(profile)));
        if all.insert(draft.name, good).is_some() {
            found.push(object, "is there twice; give each QoS profile its own name");
        }
    }
    all
}

fn profile(d: &DraftProfile) -> Result<QosProfile, String> {
    let sent_by = d.sent_by.as_ref().map(policer).transpose()?;
    let sent_to = d.sent_to.as_ref().map(shaper).transpose()?;
    if sent_by.is_none() && sent_to.is_none() {
        return Err("says nothing; give it --sent-by, --sent-to or --classes".into());
    }
    Ok(QosProfile { sent_by, sent_to })
}

/// What a port has, which must be possible for a port like it.
pub(super) fn port(
    d: DraftPortQos,
    object: &Object,
    kind: &PortKind,
    mtu: Option<u16>,
    known: &Profiles,
    found: &mut Violations,
) -> Option<PortQos> {
    let own = d.own.map(|d| found.take(object, profile(&d)));
    let trust = found.take(object, trust(&d.trust));
    let storm = [d.storm.broadcast, d.storm.multicast, d.storm.unknown].map(|d| d.map(rate));
    let [broadcast, multicast, unknown] =
        storm.map(|s| settled(s.map(|r| found.take(object, r.map_err(|e| format!("storm limit: {e}"))))));
    let named = match d.profile.as_deref().map(|name| (name, known.get(name))) {
        None => None,
        Some((_, Some(profile))) => Some(profile.clone()?),
        Some((name, None)) => {
            found.push(object.clone(), no_profile(name));
            return None;
        }
    };
    let own = settled(own)?;
    if named.is_some() && own.is_some() {
        found.push(object.clone(), "has a QoS profile of its own or a named one, not both; give only one");
        return None;
    }
    let (name, profile) = match named {
        Some((name, profile)) => (Some(name), Some(profile)),
        None => (None, own.map(Arc::new)),
    };
    if let Some(profile) = &profile {
        found.take(object, honours(name.as_ref(), profile, kind, mtu))?;
    }
    let storm = Storm { broadcast: broadcast?, multicast: multicast?, unknown: unknown? };
    Some(PortQos { name, profile, trust: trust?, storm })
}

fn no_profile(name: &str) -> String {
    match Label::new(name) {
        Ok(_) => format!(
            "there is no QoS profile {name}; make it with `vswctl add-qos {name} ..`, or see `vswctl list-qos`"
        ),
        Err(bad) => format!("QoS profile: {bad}"),
    }
}

/// Whether a port of this kind and size can do what the profile says.
fn honours(
    name: Option<&Label>,
    profile: &QosProfile,
    kind: &PortKind,
    mtu: Option<u16>,
) -> Result<(), String> {
    let of = name.map_or("its own profile".to_owned(), |n| format!("QoS profile {n}"));
    if matches!(kind, PortKind::Patch { .. }) && profile.sent_to.is_some() {
        return Err(format!(
            "a patch port has no queue, so what is sent to it cannot be shaped as {of} says; shape the ports of \
             the bridge behind it, or use a profile with --sent-by only"
        ));
    }
    if matches!(kind, PortKind::Patch { .. }) && profile.sent_by.as_ref().is_some_and(Policer::waits) {
        return Err(format!(
            "a patch port has no queue, so what comes in by it cannot wait as {of} says; leave red=wait out, or \
             give it to the ports of the bridge behind it"
        ));
    }
    let mtu = u64::from(mtu.unwrap_or(DEFAULT_MTU));
    let frame = mtu + AROUND;
    match profile.bursts().find(|(_, burst)| *burst < frame) {
        None => Ok(()),
        Some((what, burst)) => Err(format!(
            "the {what} of {of}, {burst} bytes, is smaller than a frame of the port's MTU {mtu}, which has {frame}; \
             raise it, or say auto"
        )),
    }
}

impl QosProfile {
    /// Every burst that is a number of bytes.
    fn bursts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let meter = self.sent_by.as_ref().and_then(|p| p.bits);
        let second = meter.and_then(|m| match m.second {
            Second::None => None,
            Second::SingleRate { excess_burst } => Some(("excess burst", Burst::Bytes(excess_burst))),
            Second::TwoRate { peak_burst, .. } => Some(("peak burst", peak_burst)),
            Second::Differentiated { excess_burst, .. } => Some(("excess burst", excess_burst)),
        });
        let first = meter.map(|m| ("burst of what is sent by the port", m.burst));
        let shaped = self.sent_to.as_ref().map(|s| ("burst of what is sent to the port", s.burst));
        [first, second, shaped].into_iter().flatten().filter_map(|(what, burst)| match burst {
            Burst::Auto => None,
            Burst::Bytes(n) => Some((what, n)),
        })
    }
}

fn policer(d: &DraftPolicer) -> Result<Policer, String> {
    let by = |e: String| format!("sent by: {e}");
    let bits = d.rate.map(|n| bits("sent by", n)).transpose()?;
    let packets = d.packets.map(PacketRate::new).transpose().map_err(|e| by(e.to_string()))?;
    if bits.is_none() && packets.is_none() {
        return Err(by("there is no rate; give bits per second, packets per second or both".into()));
    }
    if bits.is_none() && (d.burst.or(d.peak).or(d.excess).or(d.excess_burst)).is_some() {
        return Err(by("a burst, a peak and an excess need a rate in bits per second".into()));
    }
    let packets = match (packets, d.packet_burst) {
        (None, Some(_)) => return Err(by("a packet burst needs a rate in packets per second".into())),
        (_, Some(0)) => return Err(by("a packet burst of 0 lets nothing pass".into())),
        (rate, burst) => rate.map(|rate| PacketMeter { rate, burst }),
    };
    let bits = match bits {
        Some(rate) => Some(BitMeter { committed: rate, burst: burst(d.burst)?, second: second(d, rate)? }),
        None => None,
    };
    let yellow = action("yellow", &d.yellow, ColourAction::Pass)?;
    if !d.yellow.is_empty() && bits.is_none_or(|m| m.second == Second::None) {
        return Err(by(
            "nothing is yellow where there is one rate and one burst; add a peak, an excess or an \
                       excess burst"
                .into(),
        ));
    }
    let red = action("red", &d.red, ColourAction::Drop)?;
    let is_plain = packets.is_none() && bits.is_some_and(|m| m.second == Second::None);
    if red == ColourAction::Wait && !is_plain {
        return Err(by(
            "what is too much can wait (red=wait) where there is one rate, in bits per second, and one burst; leave \
             out the others, or red=wait"
                .into(),
        ));
    }
    Ok(Policer { bits, packets, yellow, red })
}

fn second(d: &DraftPolicer, committed: BitRate) -> Result<Second, String> {
    match (d.peak, d.excess) {
        (Some(_), Some(_)) => {
            Err("sent by: a peak (RFC 2698) and an excess (RFC 4115) exclude each other; give only one"
                .into())
        }
        (Some(peak), None) => {
            let peak = bits("peak", peak)?;
            if peak < committed {
                return Err(format!("sent by: the peak {peak} is below the rate {committed}"));
            }
            Ok(Second::TwoRate { peak, peak_burst: burst(d.excess_burst)? })
        }
        (None, Some(n)) => {
            Ok(Second::Differentiated { excess: bits("excess", n)?, excess_burst: burst(d.excess_burst)? })
        }
        (None, None) => match burst(d.excess_burst)? {
            Burst::Bytes(excess_burst) => Ok(Second::SingleRate { excess_burst }),
            Burst::Auto => Ok(Second::None),
        },
    }
}

fn shaper(d: &DraftShaper) -> Result<Shaper, String> {
    let max = d.max.map(|n| bits("sent to", n)).transpose()?;
    if max.is_none() && d.burst.is_some() {
        return Err("sent to: a burst needs a rate in bits per second".into());
    }
    let min = d.min.map(|n| bits("minimum", n)).transpose()?;
    let classes = class::list(&d.classes, min)?;
    let minimums: Vec<(&Label, BitRate)> = classes.iter().filter_map(|c| Some((&c.name, c.min?))).collect();
    let sum: u64 = minimums.iter().map(|(_, min)| min.get()).sum();
    if let Some(max) = max.filter(|max| sum > max.get()) {
        let each: Vec<String> = minimums.iter().map(|(name, min)| format!("{name} {min}")).collect();
        let sum = BitRate::new(sum).map_or_else(|_| format!("over {}", BitRate::MAX), |sum| sum.to_string());
        return Err(format!(
            "the guaranteed minimums ({}) are {sum} together, more than the {max} that may be sent to the port; \
             lower them, or raise --sent-to",
            each.join(", ")
        ));
    }
    let starve = match d.starve_us {
        None => DEFAULT_STARVE,
        Some(us) if STARVE.contains(&us) => Duration::from_micros(us.into()),
        Some(us) => return Err(format!("starve: {us} us is out of range; it goes from 1ms to 10s")),
    };
    Ok(Shaper { max, burst: burst(d.burst)?, starve, classes })
}

fn bits(what: &str, n: u64) -> Result<BitRate, String> {
    BitRate::new(n).map_err(|e| format!("{what}: {e}"))
}

fn burst(n: Option<u64>) -> Result<Burst, String> {
    match n {
        None => Ok(Burst::Auto),
        Some(n) if n < SMALLEST => {
            Err(format!("a burst of {n} bytes is smaller than any frame; raise it, or say auto"))
        }
        Some(n) if n > MAX_BURST => {
            Err(format!("a burst of {} bytes is more than {}", show_bytes(n), show_bytes(MAX_BURST)))
        }
        Some(n) => Ok(Burst::Bytes(n)),
    }
}

fn rate(d: DraftRate) -> Result<Rate, String> {
    match d {
        DraftRate::Bits(n) => BitRate::new(n).map(Rate::Bits),
        DraftRate::Packets(n) => PacketRate::new(n).map(Rate::Packets),
    }
    .map_err(|e| e.to_string())
}

fn action(colour: &str, typed: &str, default: ColourAction) -> Result<ColourAction, String> {
    match typed {
        "" => Ok(default),
        "pass" if colour == "yellow" => Ok(ColourAction::Pass),
        "remark" => Ok(ColourAction::Remark),
        "drop" => Ok(ColourAction::Drop),
        "wait" if colour == "red" => Ok(ColourAction::Wait),
        "pass" => {
            Err("sent by: red frames that pass would make a limit that is none; say remark, drop or wait"
                .into())
        }
        other => {
            let may = if colour == "red" { "remark, drop or wait" } else { "pass, remark or drop" };
            Err(format!("sent by: `{other}` is nothing to do with {colour} frames; say {may}"))
        }
    }
}

fn trust(typed: &str) -> Result<Trust, String> {
    if typed.is_empty() {
        return Ok(Trust::default());
    }
    let found = Trust::ALL.into_iter().find(|t| t.name() == typed);
    found.ok_or_else(|| format!("`{typed}` cannot be trusted; say none, pcp, dscp or both"))
}

#[cfg(test)]
mod tests;
