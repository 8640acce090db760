//! What quality of service did: `vswctl qos show`. Times in milliseconds where the name says so.

use crate::output::{Item, View, lines};
use serde::{Serialize, Serializer};
use vsw_api::v1;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PortStats {
    pub(crate) bridge: String,
    pub(crate) port: String,
    /// Empty: one of its own, or none.
    pub(crate) profile: String,
    /// Null: not policed, or what is too much waits.
    pub(crate) sent_by: Option<Policed>,
    /// Null: what is sent by it does not wait.
    pub(crate) sent_by_queue: Option<Queue>,
    pub(crate) storm: Vec<Storm>,
    /// Of what is sent to the attached side.
    pub(crate) classes: Vec<Class>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Policed {
    pub(crate) green: Count,
    pub(crate) yellow: Count,
    pub(crate) red: Count,
    pub(crate) dropped: Count,
    pub(crate) remarked_packets: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Storm {
    pub(crate) kind: String,
    pub(crate) passed: Count,
    pub(crate) dropped: Count,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Class {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) queue: Queue,
}

/// Frames that wait, and those that did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Queue {
    pub(crate) sent: Count,
    pub(crate) drops: Vec<Drop>,
    pub(crate) ecn_marked: u64,
    pub(crate) queue_packets: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) queue_bytes_max: u64,
    pub(crate) queue_ms: f64,
    pub(crate) queue_ms_max: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Drop {
    pub(crate) reason: String,
    pub(crate) packets: u64,
}

impl From<Option<v1::QosCount>> for Count {
    fn from(c: Option<v1::QosCount>) -> Self {
        let c = c.unwrap_or_default();
        Self { packets: c.packets, bytes: c.bytes }
    }
}

impl From<v1::PortQosStats> for PortStats {
    fn from(p: v1::PortQosStats) -> Self {
        let policed = |p: v1::PolicerStats| Policed {
            green: p.green.into(),
            yellow: p.yellow.into(),
            red: p.red.into(),
            dropped: p.dropped.into(),
            remarked_packets: p.remarked,
        };
        let storm =
            |s: v1::StormStats| Storm { kind: s.kind, passed: s.passed.into(), dropped: s.dropped.into() };
        Self {
            bridge: p.bridge,
            port: p.port,
            profile: p.profile,
            sent_by: p.sent_by.map(policed),
            sent_by_queue: p.sent_by_queue.map(Queue::from),
            storm: p.storm.into_iter().map(storm).collect(),
            classes: p.classes.into_iter().map(Class::from).collect(),
        }
    }
}

impl From<v1::ClassStats> for Class {
    fn from(c: v1::ClassStats) -> Self {
        Self { name: c.name.clone(), queue: c.into() }
    }
}

impl From<v1::ClassStats> for Queue {
    fn from(c: v1::ClassStats) -> Self {
        let drop = |d: v1::QosDrop| Drop { reason: d.reason, packets: d.packets };
        let ms = |ns: u64| ns as f64 / 1e6;
        Self {
            sent: c.sent.into(),
            drops: c.drops.into_iter().map(drop).collect(),
            ecn_marked: c.ecn_marked,
            queue_packets: c.queue_packets,
            queue_bytes: c.queue_bytes,
            queue_bytes_max: c.queue_bytes_max,
            queue_ms: ms(c.delay_ns),
            queue_ms_max: ms(c.delay_ns_max),
        }
    }
}

/// Counters, and, when they are watched, how fast they went since `before`, `seconds` ago.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) now: Vec<PortStats>,
    pub(crate) before: Option<(Vec<PortStats>, f64)>,
}

impl Serialize for Shown {
    /// Programs make their own rates.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.now.serialize(s)
    }
}

impl View for Shown {
    fn table(&self) -> String {
        if self.now.is_empty() {
            return "No port has any quality of service. Give it one with `vswctl set-port BR PORT --qos PROFILE`.\n"
                .into();
        }
        let ports: Vec<String> = self.now.iter().map(|p| self.port(p)).collect();
        ports.join("\n")
    }
}

impl Shown {
    fn port(&self, now: &PortStats) -> String {
        let before = self.before.as_ref().map(|(all, seconds)| {
            let was = all.iter().find(|b| b.port == now.port && b.profile == now.profile);
            (was.unwrap_or(now), *seconds)
        });
        let profile = if now.profile.is_empty() { String::new() } else { format!(", QoS {}", now.profile) };
        let mut out = format!("port {}{profile}\n", now.port);
        let units = if before.is_some() { ["PKT/S", "MBIT/S"] } else { ["PACKETS", "BYTES"] };
        let by = sent_by(now, before);
        if !by.is_empty() {
            let table = lines(["SENT BY IT", units[0], units[1]], by);
            table.iter().for_each(|line| out += &format!("  {line}\n"));
        }
        if let Some(queue) = &now.sent_by_queue {
            let was = before.map(|(b, s)| (b.sent_by_queue.as_ref().map_or(queue.sent, |q| q.sent), s));
            out += &queues("SENT BY IT", units, [("all", queue, was)]);
        }
        if !now.classes.is_empty() {
            let rows = now.classes.iter().map(|c| {
                let sent = |b: &PortStats| b.classes.iter().find(|b| b.name == c.name).map(|b| b.queue.sent);
                (c.name.as_str(), &c.queue, before.map(|(b, s)| (sent(b).unwrap_or(c.queue.sent), s)))
            });
            out += &queues("SENT TO IT", units, rows);
        }
        let has_none = now.sent_by.is_none() && now.sent_by_queue.is_none();
        if has_none && now.storm.is_empty() && now.classes.is_empty() {
            out += "  no quality of service\n";
        }
        out
    }
}

/// A line, where anything was dropped.
fn reasons(drops: &[Drop]) -> String {
    let each: Vec<String> = drops.iter().map(|d| format!("{} {}", d.reason, d.packets)).collect();
    if each.is_empty() { String::new() } else { format!("    dropped: {}\n", each.join(", ")) }
}

/// What was before, and how many seconds ago.
type Before<'a> = Option<(&'a PortStats, f64)>;

fn sent_by(now: &PortStats, before: Before<'_>) -> Vec<[Item; 3]> {
    let mut rows = Vec::new();
    let mut row = |what: &str, count: Count, was: Option<Count>| {
        let [packets, bytes] = counted(count, was.zip(before.map(|(_, s)| s)));
        rows.push([Item::text(what), packets, bytes]);
    };
    if let Some(p) = &now.sent_by {
        let was = before.map(|(b, _)| b.sent_by.as_ref().unwrap_or(p));
        row("green", p.green, was.map(|b| b.green));
        row("yellow", p.yellow, was.map(|b| b.yellow));
        row("red", p.red, was.map(|b| b.red));
        row("dropped", p.dropped, was.map(|b| b.dropped));
    }
    for s in &now.storm {
        let was = before.map(|(b, _)| b.storm.iter().find(|b| b.kind == s.kind).unwrap_or(s));
        row(&s.kind, s.passed, was.map(|b| b.passed));
        row(&format!("{} dropped", s.kind), s.dropped, was.map(|b| b.dropped));
    }
    rows
}

/// A table of queues: of each its name, and what it had sent before, so many seconds ago.
fn queues<'a>(
    title: &str,
    [packets, bytes]: [&str; 2],
    rows: impl IntoIterator<Item = (&'a str, &'a Queue, Option<(Count, f64)>)>,
) -> String {
    let header = [title, packets, bytes, "ECN", "DROPS", "QUEUE", "MAX", "MS", "MAX-MS"];
    let (items, drops): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .map(|(name, q, was)| {
            let [packets, bytes] = counted(q.sent, was);
            let row = [
                Item::text(name),
                packets,
                bytes,
                Item::number(q.ecn_marked),
                Item::number(q.drops.iter().map(|d| d.packets).sum::<u64>()),
                Item::number(q.queue_bytes),
                Item::number(q.queue_bytes_max),
                Item::number(format!("{:.1}", q.queue_ms)),
                Item::number(format!("{:.1}", q.queue_ms_max)),
            ];
            (row, reasons(&q.drops))
        })
        .unzip();
    // Nothing was dropped from the header.
    let drops = std::iter::once(String::new()).chain(drops);
    lines(header, items).iter().zip(drops).map(|(line, dropped)| format!("  {line}\n{dropped}")).collect()
}

/// Totals, or packets and megabits a second.
fn counted(now: Count, before: Option<(Count, f64)>) -> [Item; 2] {
    let Some((was, seconds)) = before else { return [now.packets, now.bytes].map(Item::number) };
    // A counter that went back began anew.
    let rate = |now: u64, was: u64| now.saturating_sub(was) as f64 / seconds.max(1e-3);
    [
        Item::number(format!("{:.0}", rate(now.packets, was.packets))),
        Item::number(format!("{:.2}", rate(now.bytes, was.bytes) * 8e-6)),
    ]
}
