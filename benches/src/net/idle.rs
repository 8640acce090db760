//! What a switch costs that has nothing to do: CPU time, memory.

use super::Cores;
use super::compare::{Better, Metric, Peer, compare};
use super::hugepages::HugePages;
use super::lab::Netns;
use super::ovs::{Kind, Ovs};
use super::traffic::{End, Path};
use super::vsw::Vsw;
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const TAPS: usize = 32;
const PACKETS: usize = 32;

/// CPU time of `vswd` with what is usual and 64 ports: taps and attached veths.
pub(crate) fn idle_64(effort: Effort) -> Result<Vec<Row>> {
    let (stations, room) = (Netns::new("a")?, Netns::new("sw")?);
    let switch = Vsw::start(&room, None)?;
    for i in 0..TAPS {
        switch.ctl(&format!("add-port br0 t{i} --type tap --netns {}", stations.name()))?;
        stations.ip(&format!("link set t{i} up"))?;
    }
    for i in 0..PACKETS {
        stations.veth(&format!("e{i}"), &room, &format!("s{i}"))?;
        switch.ctl(&format!("add-port br0 s{i} --type packet"))?;
    }
    let up = switch.ctl("-o json show br0")?.matches("\"up\"").count();
    ensure!(up == TAPS + PACKETS, "only {up} of the ports are up");
    interrupt::sleep(Duration::from_secs(2))?;
    let mut cpu = Sample::default();
    for _ in 0..effort.rounds {
        let (start, before) = (Instant::now(), busy_ns(switch.pid())?);
        interrupt::sleep(Duration::from_secs(5))?;
        let spent = busy_ns(switch.pid())? - before;
        cpu.push(spent as f64 / start.elapsed().as_nanos() as f64 * 100.0);
    }
    Ok(vec![Row::alone("idle-64", "% of a core", &cpu).goal_below(1.0)])
}

/// Memory of the process that moves frames: with defaults beside Open vSwitch with DPDK, both with two ports;
/// and with many ports and stations.
pub(crate) fn memory(effort: Effort) -> Result<Vec<Row>> {
    const OVS: &str = Kind::Dpdk.name();
    let metrics = [Metric::new("memory, defaults", "MB", Better::Less).goals(&[(OVS, 1.0)])];
    let ours = || {
        let room = Netns::new("sw")?;
        let switch = Vsw::start(&room, None)?;
        switch.ctl("add-port br0 t0 --type tap")?;
        switch.ctl("add-port br0 t1 --type tap")?;
        Ok([resident_mb(switch.pid())?])
    };
    let theirs = || {
        let _pages = HugePages::reserve()?;
        let room = Netns::new("sw")?;
        let switch = Ovs::start(&room, Kind::Dpdk, Cores::choose()?.switch)?;
        switch.add_dpdk("n0", "net_null0")?;
        switch.add_dpdk("n1", "net_null1")?;
        Ok([resident_mb(switch.pid())?])
    };
    let installed = Kind::Dpdk.is_installed();
    let peer = Peer { name: OVS, round: installed.then_some(&theirs as &dyn Fn() -> Result<[f64; 1]>) };
    let mut rows = compare(effort, metrics, ours, &[peer])?;
    rows.push(Row::alone("memory, 1,000 ports and 1,000,000 stations", "MB", &Sample::from_iter([large()?])));
    Ok(rows)
}

/// A thousand taps, and a million stations behind one of them.
fn large() -> Result<f64> {
    const STATIONS: u32 = 1_000_000;
    let room = Netns::new("sw")?;
    let switch = Vsw::start(&room, None)?;
    switch.ctl("set-br br0 --mac-limit 1100000")?;
    for i in 0..1_000 {
        // What is flooded to find a station goes to one port, and not to a thousand.
        let vlan = if i < 2 { 10 } else { 20 };
        switch.ctl(&format!("add-port br0 t{i} --type tap --vlan {vlan} --no-wait"))?;
    }
    interrupt::wait_for("a thousand ports", Duration::from_secs(60), || {
        switch.ctl("-o json list-ports br0").ok()?.contains("\"t999\"").then_some(())
    })?;
    for ifname in ["t0", "t1"] {
        room.ip(&format!("link set {ifname} up"))?;
    }
    let [from, to] = ["t0", "t1"].map(|ifname| End { ns: &room, ifname });
    Path::new(from, to, Cores::choose()?)?.introduce(STATIONS / 2)?;
    let known = switch.ctl("-o json show-macs br0")?.matches("\"mac\"").count();
    ensure!(known >= STATIONS as usize * 9 / 10, "only {known} stations were learned");
    resident_mb(switch.pid())
}

/// Time on a CPU of all threads of a process, in ns (`/proc/PID/task/TID/schedstat`).
pub(crate) fn busy_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while we look.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(sum)
}

/// VmRSS, and the huge pages that it does not contain, in millions of bytes.
pub(crate) fn resident_mb(pid: u32) -> Result<f64> {
    Ok(status_mb(pid, "VmRSS:")?.context("no VmRSS")? + huge_mb(pid)?)
}

/// Huge pages that a process uses, in millions of bytes.
pub(crate) fn huge_mb(pid: u32) -> Result<f64> {
    Ok(status_mb(pid, "HugetlbPages:")?.unwrap_or(0.0))
}

fn status_mb(pid: u32, name: &str) -> Result<Option<f64>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    let kb = line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    Ok(kb.map(|kb| kb * 1024.0 / 1e6))
}
