//! Rules of classes.

use super::bits;
use crate::qos::*;
use crate::{DraftClass, DraftMatch};
use std::ops::RangeInclusive;
use std::time::Duration;
use vsw_types::{BitRate, Dscp, Label, Pcp, VlanSet};

/// Bytes.
const QUEUE: RangeInclusive<u64> = 2_000..=1_000_000_000;
/// Microseconds.
const QUEUE_TIME: RangeInclusive<u32> = 100..=10_000_000;
const CODEL: RangeInclusive<u32> = 10..=10_000_000;
/// Of an Ethernet header; what is smaller is a length (IEEE 802.3-2022, 3.2.6).
const ETHERTYPES: RangeInclusive<u32> = 0x0600..=0xffff;

/// What a class is about that says only its name: code points by service class, after RFC 4594, 2.3.
const SERVICES: &[(&str, &[&str])] = &[
    ("voice", &["ef", "va"]),
    ("video", &["af41", "af42", "af43"]),
    ("bulk", &["af11", "af12", "af13", "cs1"]),
];

/// All classes, and one that catches the rest, with the minimum that the profile as a whole guarantees.
pub(super) fn list(drafts: &[DraftClass], min: Option<BitRate>) -> Result<Vec<Class>, String> {
    let mut classes: Vec<Class> = Vec::with_capacity(drafts.len() + 1);
    for (n, d) in drafts.iter().enumerate() {
        let last = n + 1 == drafts.len();
        let class = class(d, last).map_err(|e| format!("class {}: {e}", d.name))?;
        let name = &class.name;
        if classes.iter().any(|c| c.name == *name) {
            return Err(format!("class {name}: is there twice; give each class its own name"));
        }
        if let Some(c) = classes.iter().find(|c| c.matches.covers(&class.matches)) {
            return Err(format!(
                "class {name}: would never get a frame; {} takes all of its frames, because it comes first. Put \
                 {name} in front of it, or change what they match",
                c.name
            ));
        }
        classes.push(class);
    }
    if classes.last().is_none_or(|c| !c.matches.is_everything()) {
        if classes.iter().any(|c| c.is_rest()) {
            return Err(
                "class rest: has a match, so nothing catches the rest; leave its match out, or give it \
                        another name"
                    .into(),
            );
        }
        classes.push(Class::new(Label::new(Class::REST).map_err(|e| e.to_string())?));
    }
    if let (Some(min), Some(rest)) = (min, classes.last_mut()) {
        if rest.min.is_some() {
            return Err(format!("class {}: has a minimum of its own; leave --min out", rest.name));
        }
        if let Some(max) = rest.max.filter(|max| min > *max) {
            return Err(format!("class {}: its minimum {min} is above its maximum {max}", rest.name));
        }
        rest.min = Some(min);
    }
    match classes.len() {
        ..=MAX_CLASSES => Ok(classes),
        n => Err(format!("{n} classes are more than the {MAX_CLASSES} there can be, with one for the rest")),
    }
}

fn class(d: &DraftClass, last: bool) -> Result<Class, String> {
    let name = Label::new(&d.name).map_err(|e| e.to_string())?;
    let mut matches = matching(&d.matches)?;
    if !last && matches.is_everything() {
        let known = SERVICES.iter().find(|(service, _)| *service == name.as_str());
        let (_, points) = known.ok_or(
            "matches everything, so that later classes would never get a frame; say what it is for, like \
             dscp=af11, or put it last",
        )?;
        matches.dscps =
            points.iter().filter_map(|p| p.parse().ok()).fold(0, |set, p: Dscp| set | 1 << p.get());
    }
    let service = match (d.prio, d.weight) {
        (true, Some(_)) => return Err("is either prio or has a weight; give only one".into()),
        (true, None) => Service::Priority,
        (false, None) => Service::Weight(1),
        (false, Some(w)) if (1..=MAX_WEIGHT).contains(&w) => Service::Weight(w),
        (false, Some(w)) => {
            return Err(format!("weight {w} is out of range; it goes from 1 to {MAX_WEIGHT}"));
        }
    };
    let min = d.min.map(|n| bits("minimum", n)).transpose()?;
    let max = d.max.map(|n| bits("maximum", n)).transpose()?;
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(format!("its minimum {min} is above its maximum {max}"));
    }
    if let Some(n) = d.queue_bytes.filter(|n| !QUEUE.contains(n)) {
        return Err(format!("a queue of {n} bytes is out of range; it goes from 2k to 1g"));
    }
    let pcp = d.set_pcp.map(Pcp::new).transpose().map_err(|e| e.to_string())?;
    let dscp = d.set_dscp.map(Dscp::new).transpose().map_err(|e| e.to_string())?;
    Ok(Class {
        matches,
        service,
        min,
        max,
        queue_bytes: d.queue_bytes,
        queue_time: d.queue_us.map(|us| span("queue time", us, &QUEUE_TIME, "100us to 10s")).transpose()?,
        codel: codel(d)?,
        flows: d.flows.unwrap_or(true),
        ecn: d.ecn.unwrap_or(true),
        set_pcp: pcp,
        set_dscp: dscp,
        name,
    })
}

fn span(what: &str, us: u32, range: &RangeInclusive<u32>, says: &str) -> Result<Duration, String> {
    match range.contains(&us) {
        true => Ok(Duration::from_micros(us.into())),
        false => Err(format!("{what}: {us} us is out of range; it goes from {says}")),
    }
}

fn codel(d: &DraftClass) -> Result<Option<Codel>, String> {
    let time = |us: Option<u32>| us.map(|us| span("CoDel", us, &CODEL, "10us to 10s")).transpose();
    let (target, interval) = (time(d.codel_target_us)?, time(d.codel_interval_us)?);
    if d.codel == Some(false) {
        return match target.or(interval) {
            None => Ok(None),
            Some(_) => Err("CoDel is off, but has a target or an interval; leave one of the two out".into()),
        };
    }
    let usual = Codel::default();
    // RFC 8289, 4.3: the target is 5 to 10 % of the interval.
    let longest = Duration::from_micros((*CODEL.end()).into());
    let fitting = || usual.interval.max(target.unwrap_or_default() * 10).min(longest);
    let interval = interval.unwrap_or_else(fitting);
    let codel = Codel { target: target.unwrap_or(usual.target), interval };
    match codel.target < codel.interval {
        true => Ok(Some(codel)),
        false => Err("the target of CoDel must be shorter than its interval".into()),
    }
}

fn matching(d: &DraftMatch) -> Result<Match, String> {
    let mut m = Match::default();
    for n in &d.pcps {
        m.pcps |= 1 << Pcp::new(*n).map_err(|e| e.to_string())?.get();
    }
    for n in &d.dscps {
        m.dscps |= 1 << Dscp::new(*n).map_err(|e| e.to_string())?.get();
    }
    m.vlans = d.vlans.as_deref().map(str::parse::<VlanSet>).transpose().map_err(|e| e.to_string())?;
    for n in &d.ethertypes {
        if !ETHERTYPES.contains(n) {
            return Err(format!("ethertype {n:#06x} is none; they go from 0x0600 to 0xffff"));
        }
        m.ethertypes.push(*n as u16);
    }
    for n in &d.protocols {
        m.protocols
            .push(u8::try_from(*n).map_err(|_| format!("IP protocol {n} is none; they go from 0 to 255"))?);
    }
    for (first, last) in &d.ports {
        match (u16::try_from(*first), u16::try_from(*last)) {
            (Ok(first @ 1..), Ok(last)) if first <= last => m.ports.push((first, last)),
            (Ok(1..), Ok(_)) => return Err(format!("port range {first}-{last} runs backwards")),
            _ => return Err(format!("port {first}-{last} is none; ports go from 1 to 65535")),
        }
    }
    m.ethertypes.sort_unstable();
    m.ethertypes.dedup();
    m.protocols.sort_unstable();
    m.protocols.dedup();
    m.ports.sort_unstable();
    m.ports.dedup();
    Ok(m)
}
