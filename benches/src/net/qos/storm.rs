//! Storm control: what comes through of floods of all three kinds, and of unicast beside them.

use super::flow::{Receiver, Sender};
use super::{Lab, PortKind, Side};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const LIMIT: f64 = 500.0;
/// What is offered of each kind, and of unicast: datagrams a second.
const OFFERED: f64 = 5_000.0;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 7, 7, 7);
/// A station that is not there.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

pub(crate) fn qos_storm(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in PortKind::all()? {
        let (rates, lost) = storm(kind, Duration::from_secs(effort.seconds.max(2).into()))?;
        for (what, rate) in ["broadcast", "multicast", "unknown unicast"].into_iter().zip(rates) {
            let name = format!("qos-storm, {}, {what} at 500 a second", kind.name());
            let off = super::off(rate, LIMIT);
            eprintln!("  {name}: {rate:.1}");
            rows.push(Row::alone(name, "% off", &Sample::from_iter([off])).goal_below(5.0));
        }
        let name = format!("qos-storm, {}, unicast lost beside it", kind.name());
        rows.push(Row::alone(name, "frames", &Sample::from_iter([lost])).goal_below(1.0));
    }
    Ok(rows)
}

/// Frames a second of broadcast, multicast and unknown unicast; and unicast frames that were lost.
fn storm(kind: PortKind, time: Duration) -> Result<([f64; 3], f64)> {
    let lab = Lab::new(kind)?;
    lab.set(Side::By, "--storm broadcast=500pps,multicast=500pps,unknown=500pps")?;
    let (a, b) = (&lab.rooms.a, &lab.rooms.b);
    a.ip("route add 239.0.0.0/8 dev e0")?;
    a.ip(&format!("neigh add {NOBODY} lladdr 02:00:00:00:00:99 dev e0 nud permanent"))?;
    let broadcast = Receiver::udp(b, None, 5001)?;
    let multicast = Receiver::udp(b, Some([GROUP, super::B]), 5002)?;
    let unicast = Receiver::udp(b, None, 5003)?;
    let send = |to: Ipv4Addr, port: u16| Sender::udp(a, (to, port).into(), 64, OFFERED);
    let storm = [send(Ipv4Addr::new(10, 77, 0, 255), 5001)?, send(GROUP, 5002)?, send(NOBODY, 5004)?];
    let beside = send(super::B, 5003)?;
    // The buckets are full at first.
    interrupt::sleep(Duration::from_secs(1))?;
    let read = || -> Result<_> {
        let known = [&broadcast, &multicast, &unicast].map(|r| r.arrivals.messages());
        let all = b.inside(|| received("e0"))??;
        // What the station's interface sees and no socket does is for nobody here.
        Ok((Instant::now(), [known[0], known[1], all - known.iter().sum::<u64>()]))
    };
    let before = read()?;
    interrupt::sleep(time)?;
    let after = read()?;
    let seconds = (after.0 - before.0).as_secs_f64();
    let rates = std::array::from_fn(|i| (after.1[i] as f64 - before.1[i] as f64) / seconds);
    let sent = beside.finish();
    drop(storm);
    interrupt::sleep(Duration::from_millis(300))?;
    Ok((rates, sent as f64 - unicast.arrivals.messages() as f64))
}

/// Frames that an interface of this thread's namespace received.
fn received(ifname: &str) -> Result<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let row = table.lines().find_map(|l| l.trim().strip_prefix(ifname)?.strip_prefix(':'));
    let packets = row.and_then(|r| r.split_whitespace().nth(1)).context("no such interface")?;
    Ok(packets.parse()?)
}
