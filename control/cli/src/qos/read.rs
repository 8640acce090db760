//! What was typed, as messages. Each error is a sentence that goes behind the name of the option.

use super::{ETHERTYPES, PROTOCOLS};
use vsw_api::v1::{Policer, PortRange, QosClass, Rate, Shaper, Storm, rate::PerSecond};
use vsw_types::{BadMarking, BitRate, Dscp, PacketRate, Pcp, VlanSet};

/// `500m`, `500m,20kpps,peak=1g,yellow=remark`; `None`: `none`.
pub(crate) fn sent_by(typed: &str) -> Result<Option<Policer>, String> {
    if typed == "none" {
        return Ok(None);
    }
    let mut p = Policer::default();
    for word in typed.split(',') {
        match word.split_once('=') {
            None if word.to_ascii_lowercase().ends_with("pps") => once(&mut p.packets, packets(word)?, word)?,
            None => once(&mut p.rate, either(word)?, word)?,
            Some(("burst", v)) => p.burst = burst(v)?,
            Some(("peak", v)) => p.peak = Some(bits(v)?),
            Some(("excess", v)) => p.excess = Some(bits(v)?),
            Some(("excess-burst" | "peak-burst", v)) => p.excess_burst = burst(v)?,
            Some(("packet-burst", v)) => p.packet_burst = Some(number(v)?),
            Some(("yellow", v)) => p.yellow = v.to_owned(),
            Some(("red", v)) => p.red = v.to_owned(),
            Some((other, _)) => {
                return Err(format!(
                    "there is no `{other}` in what is sent by a port; there are burst, peak, excess, excess-burst, \
                     packet-burst, yellow and red"
                ));
            }
        }
    }
    Ok(Some(p))
}

/// `1g`, `1g,burst=64k,min=100m`; `None`: `none`.
pub(crate) fn sent_to(typed: &str) -> Result<Option<Shaper>, String> {
    if typed == "none" {
        return Ok(None);
    }
    let mut s = Shaper::default();
    for word in typed.split(',') {
        match word.split_once('=') {
            None => once(&mut s.max, bits(word)?, word)?,
            Some(("burst", v)) => s.burst = burst(v)?,
            Some(("min", v)) => s.min = Some(bits(v)?),
            Some(("starve", v)) => s.starve_us = Some(micros(v)?),
            Some((other, _)) => {
                let are = "there are burst, min and starve";
                return Err(format!("there is no `{other}` in what is sent to a port; {are}"));
            }
        }
    }
    Ok(Some(s))
}

/// `voice:prio:dscp=ef,cs5;bulk:weight=3:max=800m;rest:weight=1`; empty: `none`.
pub(crate) fn classes(typed: &str) -> Result<Vec<QosClass>, String> {
    if typed == "none" {
        return Ok(Vec::new());
    }
    typed.trim_end_matches(';').split(';').map(class).collect()
}

fn class(typed: &str) -> Result<QosClass, String> {
    let mut words = typed.trim().split(':');
    let name = words.next().unwrap_or_default().to_owned();
    let mut c = QosClass { name: name.clone(), ..Default::default() };
    for word in words {
        setting(&mut c, word).map_err(|e| format!("class {name}: {e}"))?;
    }
    Ok(c)
}

fn setting(c: &mut QosClass, word: &str) -> Result<(), String> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    if value.is_empty() && key != "prio" {
        return Err(format!(
            "`{word}` is no setting of a class; write prio, or a name and a value like weight=3"
        ));
    }
    match key {
        "prio" if value.is_empty() => c.prio = true,
        "prio" => return Err(format!("`{word}`: prio has no value; its order is that of the list")),
        "weight" => c.weight = Some(number(value)?),
        "min" => c.min = Some(bits(value)?),
        "max" => c.max = Some(bits(value)?),
        "queue" => {
            for part in value.split(',') {
                match vsw_types::span(part) {
                    Some(_) => c.queue_us = Some(micros(part)?),
                    None => c.queue_bytes = Some(bytes(part)?),
                }
            }
        }
        "codel" => match switch(value) {
            Ok(on) => c.codel = Some(on),
            Err(_) => {
                let (target, interval) = value.split_once(',').unwrap_or((value, ""));
                c.codel_target_us = Some(micros(target)?);
                c.codel_interval_us = (!interval.is_empty()).then(|| micros(interval)).transpose()?;
            }
        },
        "flows" => c.flows = Some(switch(value)?),
        "ecn" => c.ecn = Some(switch(value)?),
        "set-pcp" => c.set_pcp = Some(pcp(value)?),
        "set-dscp" => c.set_dscp = Some(dscp(value)?),
        _ => return condition(c, key, value),
    }
    Ok(())
}

/// What a frame must have.
fn condition(c: &mut QosClass, key: &str, value: &str) -> Result<(), String> {
    let m = c.r#match.get_or_insert_default();
    let values = value.split(',');
    match key {
        "pcp" => m.pcps.append(&mut values.map(pcp).collect::<Result<_, _>>()?),
        "dscp" => m.dscps.append(&mut values.map(dscp).collect::<Result<_, _>>()?),
        "vlan" => {
            value.parse::<VlanSet>().map_err(|e| e.to_string())?;
            m.vlans = Some(value.to_owned());
        }
        "ethertype" => m.ethertypes.append(&mut values.map(ethertype).collect::<Result<_, _>>()?),
        "proto" => m.protocols.append(&mut values.map(protocol).collect::<Result<_, _>>()?),
        "port" => m.ports.append(&mut values.map(ports).collect::<Result<_, _>>()?),
        other => {
            return Err(format!(
                "there is no setting `{other}`; there are prio, weight, min, max, queue, codel, flows, ecn, set-pcp, \
                 set-dscp, and to match: pcp, dscp, vlan, ethertype, proto, port"
            ));
        }
    }
    Ok(())
}

/// `broadcast=500pps,multicast=2kpps,unknown=10m`; `none`: no limit.
pub(crate) fn storm(typed: &str) -> Result<Storm, String> {
    let mut storm = Storm::default();
    if typed == "none" {
        return Ok(storm);
    }
    for word in typed.split(',') {
        let (kind, value) = word.split_once('=').unwrap_or((word, ""));
        let limit = match kind {
            "broadcast" => &mut storm.broadcast,
            "multicast" => &mut storm.multicast,
            "unknown" => &mut storm.unknown,
            other => {
                return Err(format!(
                    "`{other}` is no kind of storm; write broadcast, multicast or unknown, `=` and a rate, like \
                     broadcast=500pps"
                ));
            }
        };
        let rate: vsw_types::Rate = value.parse().map_err(|e: vsw_types::BadRate| e.to_string())?;
        let rate = match rate {
            vsw_types::Rate::Bits(n) => PerSecond::Bits(n.get()),
            vsw_types::Rate::Packets(n) => PerSecond::Packets(n.get()),
        };
        once(limit, Rate { per_second: Some(rate) }, word)?;
    }
    Ok(storm)
}

/// Bytes; 0: `auto`.
pub(crate) fn burst_or_auto(typed: &str) -> Result<u64, String> {
    Ok(burst(typed)?.unwrap_or(0))
}

/// Bits per second.
pub(crate) fn bits(typed: &str) -> Result<u64, String> {
    typed.parse().map(BitRate::get).map_err(|e| e.to_string())
}

/// Microseconds.
pub(crate) fn micros(typed: &str) -> Result<u32, String> {
    let span = vsw_types::span(typed).and_then(|s| u32::try_from(s.as_micros()).ok());
    span.ok_or_else(|| format!("`{typed}` is no time; write it like 5ms or 500us"))
}

fn once<T>(place: &mut Option<T>, value: T, word: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{word}` is the second of its kind; give only one")),
    }
}

/// Where packets per second would do as well.
fn either(typed: &str) -> Result<u64, String> {
    match typed.parse::<vsw_types::Rate>() {
        Ok(vsw_types::Rate::Bits(n)) => Ok(n.get()),
        Ok(vsw_types::Rate::Packets(n)) => Ok(n.get()),
        Err(e) => Err(e.to_string()),
    }
}

fn packets(typed: &str) -> Result<u64, String> {
    typed.parse().map(PacketRate::get).map_err(|e| e.to_string())
}

fn bytes(typed: &str) -> Result<u64, String> {
    vsw_types::bytes(typed).ok_or_else(|| format!("`{typed}` is no size; write bytes like 1500, 64k or 64ki"))
}

fn burst(typed: &str) -> Result<Option<u64>, String> {
    match typed {
        "auto" => Ok(None),
        _ => match bytes(typed)? {
            0 => Err("a burst of 0 bytes is smaller than any frame; raise it, or say auto".into()),
            n => Ok(Some(n)),
        },
    }
}

fn number(typed: &str) -> Result<u32, String> {
    let digits = !typed.is_empty() && typed.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| typed.parse().ok()).flatten().ok_or_else(|| format!("`{typed}` is no number"))
}

fn switch(typed: &str) -> Result<bool, String> {
    match typed {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("`{other}` is neither on nor off")),
    }
}

fn pcp(typed: &str) -> Result<u32, String> {
    typed.parse().map(|p: Pcp| p.get().into()).map_err(|e: BadMarking| e.to_string())
}

fn dscp(typed: &str) -> Result<u32, String> {
    typed.parse().map(|d: Dscp| d.get().into()).map_err(|e: BadMarking| e.to_string())
}

fn ethertype(typed: &str) -> Result<u32, String> {
    if let Some((_, n)) = ETHERTYPES.iter().find(|(name, _)| *name == typed) {
        return Ok(*n);
    }
    let hex = typed.strip_prefix("0x").filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    number.ok_or_else(|| format!("`{typed}` is no ethertype; write it like 0x88cc, ipv4, ipv6, arp or lldp"))
}

fn protocol(typed: &str) -> Result<u32, String> {
    if let Some((_, n)) = PROTOCOLS.iter().find(|(name, _)| *name == typed) {
        return Ok(*n);
    }
    number(typed).map_err(|_| format!("`{typed}` is no IP protocol; write its number, or tcp, udp, icmp, .."))
}

fn ports(typed: &str) -> Result<PortRange, String> {
    let (first, last) = typed.split_once('-').unwrap_or((typed, typed));
    let number = |s: &str| number(s).map_err(|_| format!("`{typed}` is no port; write 443 or 5060-5070"));
    Ok(PortRange { first: number(first)?, last: number(last)? })
}

#[cfg(test)]
mod tests;
