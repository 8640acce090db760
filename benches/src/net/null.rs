//! Ports in memory on both sides: what the switches themselves cost, without a kernel.
//!
//! Ours: a worker's thread with two ports that never run dry and take whatever comes; each frame gets a
//! buffer, 60 bytes are written into it, it is switched, and the buffer is given back. Open vSwitch: the same
//! with DPDK's null driver, which by default writes nothing into its buffers, and with `copy=1` does.

use super::Cores;
use super::compare::{Better, Metric, Peer, compare};
use super::hugepages::HugePages;
use super::lab::Netns;
use super::ovs::{Kind, Ovs};
use crate::micro::rig;
use crate::report::Row;
use crate::{Effort, interrupt};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use vsw_engine::{Engine, Polling};
use vsw_port::PortCaps;
use vsw_types::{Direction, PortIdx};

const NULL: &str = "Open vSwitch DPDK, net_null";
const COPYING: &str = "Open vSwitch DPDK, net_null that copies";

pub(crate) fn null_64(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [Metric::new("null-64, one core", "Mpps", Better::More).goals(&[(NULL, 1.5)])];
    let installed = Kind::Dpdk.is_installed();
    let null = || over_ovs("", effort);
    let copying = || over_ovs(",copy=1", effort);
    let peers = [
        Peer { name: NULL, round: installed.then_some(&null as &dyn Fn() -> Result<[f64; 1]>) },
        Peer { name: COPYING, round: installed.then_some(&copying as &dyn Fn() -> Result<[f64; 1]>) },
    ];
    compare(effort, metrics, || ours(effort), &peers)
}

/// Millions of frames a second that one worker's thread forwards between two ports, one pair of stations.
fn ours(effort: Effort) -> Result<[f64; 1]> {
    let (mut engine, _events) = Engine::start(&[Cores::choose()?.switch], Polling::Busy, rig::pool()?)?;
    for (port, flows) in (0..).zip(rig::flows(2, 0)) {
        engine.attach(PortIdx(port), PortCaps::NONE, 1500, vec![rig::endless(flows)]);
    }
    engine.publish(rig::snapshot(2, 16_384)?.0)?;
    let count = || {
        let [a, b] = [0, 1].map(|p| engine.counters(PortIdx(p)));
        let dropped = |d| a.dropped(d) + b.dropped(d);
        (a.tx_packets() + b.tx_packets(), dropped(Direction::Rx) + dropped(Direction::Tx))
    };
    // What came in before there was a configuration was dropped.
    interrupt::sleep(Duration::from_millis(250))?;
    let (start, before) = (Instant::now(), count());
    interrupt::sleep(Duration::from_secs(effort.seconds.into()))?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), count());
    ensure!(after.1 == before.1, "frames were dropped");
    Ok([(after.0 - before.0) as f64 / seconds / 1e6])
}

/// The same by its polling thread; what it says that it received, all of which it forwards.
fn over_ovs(options: &str, effort: Effort) -> Result<[f64; 1]> {
    let _pages = HugePages::reserve()?;
    let room = Netns::new("sw")?;
    let switch = Ovs::start(&room, Kind::Dpdk, Cores::choose()?.switch)?;
    for i in 0..2 {
        switch.add_dpdk(&format!("n{i}"), &format!("net_null{i}{options}"))?;
    }
    interrupt::sleep(Duration::from_millis(1500))?;
    switch.appctl("dpif-netdev/pmd-stats-clear")?;
    let start = Instant::now();
    interrupt::sleep(Duration::from_secs(effort.seconds.into()))?;
    let stats = switch.appctl("dpif-netdev/pmd-stats-show")?;
    let seconds = start.elapsed().as_secs_f64();
    let line = stats.lines().find_map(|l| l.trim().strip_prefix("packets received:"));
    let frames: f64 = line.context("Open vSwitch tells no statistics")?.trim().parse()?;
    Ok([frames / seconds / 1e6])
}
