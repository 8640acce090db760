//! What people see: one table for each shape in `view`, within 80 columns where the content allows.

use crate::output::{Item, View, lines};
use crate::view::{Bridge, Drop, Mac, Port, Stats, Switch, Versions};
use serde::Serialize;
use vsw_types::{VlanId, VlanSet};

/// Columns of the narrowest terminal that is thought of.
const WIDTH: usize = 80;

impl View for Switch {
    fn table(&self) -> String {
        let mut out = String::new();
        if !self.unreachable.is_empty() {
            out += &format!("The state of ports is unknown: {}.\n", self.unreachable);
        }
        if self.bridges.is_empty() {
            out += "There is no bridge. Make one with `vswctl add-br br0`.\n";
        }
        for (n, bridge) in self.bridges.iter().enumerate() {
            if n > 0 || !out.is_empty() {
                out.push('\n');
            }
            out += &of_bridge(bridge, self.unreachable.is_empty());
        }
        out
    }
}

fn of_bridge(bridge: &Bridge, known: bool) -> String {
    let ports = match bridge.ports.len() {
        0 => "no ports".to_owned(),
        1 => "1 port".to_owned(),
        n => format!("{n} ports"),
    };
    let mut out = format!("bridge {}: ageing {} s, {ports}\n", bridge.name, bridge.ageing_seconds);
    if bridge.ports.is_empty() {
        return out;
    }
    let rows = bridge.ports.iter().map(|p| {
        [
            Item::text(&p.name),
            Item::text(&p.kind),
            Item::State(if known { p.state } else { "unknown" }.into()),
            Item::text(vlans(p)),
            Item::number(p.mtu.map_or("-".into(), |n| n.to_string())),
            // Why it is not the better one is for -o json.
            Item::text(p.mode.split(':').next().unwrap_or_default()),
        ]
    });
    let table = lines(["PORT", "TYPE", "STATE", "VLAN", "MTU", "MODE"], rows.collect());
    let mut table = table.into_iter();
    for header in table.by_ref().take(1) {
        out += &format!("  {header}\n");
    }
    for (line, port) in table.zip(&bridge.ports) {
        out += &format!("  {line}\n");
        if known && port.state != "up" && !port.reason.is_empty() {
            out += &format!("    {}\n", port.reason);
        }
        if let Some(qos) = &port.qos {
            out += &format!("    {}\n", qos.line());
        }
    }
    out
}

/// As one would say it: `10`, `trunk 10,20`, `trunk all native 1`, `qinq 100`.
fn vlans(p: &Port) -> String {
    let set: VlanSet = p.trunks.iter().filter_map(|v| VlanId::from_vid(*v)).collect();
    let list = match set.to_string() {
        _ if set == VlanSet::all() => "all".to_owned(),
        // For -o json.
        long if long.len() > 24 => format!("{} VLANs", set.len()),
        list => list,
    };
    let number = p.vlan.map_or(String::new(), |v| v.to_string());
    match p.vlan_mode {
        "access" => number,
        "qinq" if p.trunks.is_empty() => format!("qinq {number}"),
        "qinq" => format!("qinq {number} of {list}"),
        "native-tagged" => format!("trunk {list} native {number} tagged"),
        "native-untagged" => format!("trunk {list} native {number}"),
        _ => format!("trunk {list}"),
    }
}

fn joined(lines: Vec<String>) -> String {
    lines.join("\n") + "\n"
}

impl View for Vec<Mac> {
    fn table(&self) -> String {
        let rows = self.iter().map(|m| {
            let age = if m.fixed { "static".into() } else { format!("{} s", m.age_seconds) };
            [Item::text(&m.mac), Item::number(m.vlan), Item::text(&m.port), Item::number(age)]
        });
        joined(lines(["MAC", "VLAN", "PORT", "AGE"], rows.collect()))
    }
}

impl View for Vec<Stats> {
    fn table(&self) -> String {
        let rows = self.iter().map(|s| {
            [
                Item::text(&s.port),
                Item::number(s.rx_packets),
                Item::number(s.rx_bytes),
                Item::number(s.rx_dropped),
                Item::number(s.tx_packets),
                Item::number(s.tx_bytes),
                Item::number(s.tx_dropped),
                Item::number(s.macs),
            ]
        });
        let header = ["PORT", "RX-PKTS", "RX-BYTES", "RX-DROP", "TX-PKTS", "TX-BYTES", "TX-DROP", "MACS"];
        joined(lines(header, rows.collect()))
    }
}

/// Counters, and how fast they went since `before`, `seconds` ago.
#[derive(Debug)]
pub(crate) struct Rates {
    pub(crate) now: Vec<Stats>,
    pub(crate) before: Vec<Stats>,
    pub(crate) seconds: f64,
}

impl Serialize for Rates {
    /// Programs make their own rates.
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.now.serialize(s)
    }
}

impl View for Rates {
    fn table(&self) -> String {
        let rows = self.now.iter().map(|now| {
            let before = self.before.iter().find(|b| b.port == now.port).unwrap_or(now);
            let rate = |field: fn(&Stats) -> u64| {
                // A counter that went back began anew.
                field(now).saturating_sub(field(before)) as f64 / self.seconds.max(1e-3)
            };
            let packets = |field| Item::number(format!("{:.0}", rate(field)));
            let megabits = |field| Item::number(format!("{:.1}", rate(field) * 8e-6));
            [
                Item::text(&now.port),
                packets(|s| s.rx_packets),
                megabits(|s| s.rx_bytes),
                packets(|s| s.rx_dropped),
                packets(|s| s.tx_packets),
                megabits(|s| s.tx_bytes),
                packets(|s| s.tx_dropped),
            ]
        });
        let header = ["PORT", "RX-PKT/S", "RX-MBIT/S", "RX-DROP/S", "TX-PKT/S", "TX-MBIT/S", "TX-DROP/S"];
        joined(lines(header, rows.collect()))
    }
}

impl View for Vec<Drop> {
    fn table(&self) -> String {
        if self.is_empty() {
            return "Nothing was dropped.\n".into();
        }
        let rows = self.iter().map(|d| {
            [Item::text(&d.port), Item::text(&d.direction), Item::number(d.packets), Item::text(&d.reason)]
        });
        let table = lines(["PORT", "DIR", "PACKETS", "REASON"], rows.collect());
        let widest = table.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let texts = std::iter::once("").chain(self.iter().map(|d| d.text.as_str()));
        let mut out = String::new();
        for (line, text) in table.iter().zip(texts) {
            match widest + 2 + text.chars().count() {
                _ if text.is_empty() => out += &format!("{line}\n"),
                width if width <= WIDTH => out += &format!("{line:widest$}  {text}\n"),
                _ => out += &format!("{line}\n    {text}\n"),
            }
        }
        out
    }
}

impl View for Versions {
    fn table(&self) -> String {
        let vswd = if self.vswd.is_empty() { "cannot be reached" } else { &self.vswd };
        format!("vswctl       {}\nvswcontrold  {}\nvswd         {vswd}\n", self.vswctl, self.vswcontrold)
    }
}

/// Just names, one a line.
impl View for Vec<String> {
    fn table(&self) -> String {
        self.iter().map(|name| format!("{name}\n")).collect()
    }
}
