//! Round trips through a port that TCP fills: with CoDel, without, and as the kernel does it.

use super::super::compare::{Better, Metric, Peer, compare};
use super::super::lab::Netns;
use super::super::process::finish;
use super::super::stations::{PortKind, Rooms};
use super::super::talk;
use super::flow::Flow;
use super::{B, Lab, Side};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::Result;
use std::time::Duration;

/// Streams that fill the port.
const STREAMS: u16 = 4;

/// What a full port may add to the 99th percentile: ms.
const GOAL: f64 = 10.0;

const ONE_QUEUE: &str = "ours, CoDel, all flows in one queue";
const DROP_TAIL: &str = "ours, drop-tail, one queue";
const HTB: &str = "Linux bridge, HTB and a pfifo of 1,000";

/// Beside each other over tap ports; over the other kinds what is usual alone.
pub(crate) fn qos_ping(effort: Effort) -> Result<Vec<Row>> {
    let kinds = PortKind::all()?;
    let effort = Effort { rounds: effort.rounds.min(2), ..effort };
    let metrics = [
        Metric::new("qos-ping, tap, p99 at 100 Mbit/s of TCP, above idle", "ms", Better::Less),
        Metric::new("qos-ping, tap, p50", "ms", Better::Less),
        Metric::new("qos-ping, tap, p99, idle", "ms", Better::Neither),
    ];
    let usual = || ours(PortKind::Tap, "", effort);
    let one_queue = || ours(PortKind::Tap, "--classes rest:weight=1:flows=off", effort);
    let drop_tail = || ours(PortKind::Tap, "--classes rest:weight=1:codel=off:flows=off", effort);
    let htb = || over_htb(effort);
    let peers = [
        Peer { name: ONE_QUEUE, round: Some(&one_queue as &dyn Fn() -> Result<[f64; 3]>) },
        Peer { name: DROP_TAIL, round: Some(&drop_tail) },
        Peer { name: HTB, round: Some(&htb) },
    ];
    let mut rows = compare(effort, metrics, usual, &peers)?;
    let first = rows.drain(..peers.len()).map(|r| r.goal_below(GOAL)).collect::<Vec<_>>();
    rows.splice(0..0, first);
    for kind in kinds.into_iter().filter(|k| *k != PortKind::Tap) {
        let added = Sample::from_iter([ours(kind, "", effort)?[0]]);
        let name = format!("qos-ping, {}, p99 at 100 Mbit/s of TCP, above idle", kind.name());
        rows.push(Row::alone(name, "ms", &added).goal_below(GOAL));
    }
    Ok(rows)
}

fn ours(kind: PortKind, options: &str, effort: Effort) -> Result<[f64; 3]> {
    let lab = Lab::new(kind)?;
    lab.set(Side::To, &format!("--sent-to 100m {options}"))?;
    measure(&lab.rooms, effort)
}

/// The kernel's bridge; what it sends to `b` is shaped.
fn over_htb(effort: Effort) -> Result<[f64; 3]> {
    let rooms = Rooms::new()?;
    rooms.bridge()?;
    let tc = |line: &str| finish(rooms.switch.command("tc").args(line.split(' '))).map(drop);
    tc("qdisc add dev s1 root handle 1: htb default 1")?;
    tc("class add dev s1 parent 1: classid 1:1 htb rate 100mbit")?;
    tc("qdisc add dev s1 parent 1:1 pfifo limit 1000")?;
    measure(&rooms, effort)
}

/// Milliseconds: what a full port adds to the 99th percentile, the median when it is full, and the 99th
/// percentile when it is idle.
fn measure(rooms: &Rooms, effort: Effort) -> Result<[f64; 3]> {
    let Rooms { a, b, .. } = rooms;
    let ping = |from: &Netns| -> Result<[f64; 2]> {
        Ok(talk::ping(from, &B.to_string(), effort)?.map(|us| us / 1e3))
    };
    let [_, idle] = ping(a)?;
    let _bulk: Vec<_> = (5001..5001 + STREAMS).map(|p| Flow::tcp(a, b, B, p)).collect::<Result<_>>()?;
    // TCP finds its rate, and fills what there is of a queue.
    interrupt::sleep(Duration::from_secs(4))?;
    let [median, full] = ping(a)?;
    Ok([full - idle, median, idle])
}
