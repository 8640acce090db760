//! What a switch costs that has nothing to do.

use super::lab::Netns;
use super::vsw::Vsw;
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const TAPS: usize = 8;
const PACKETS: usize = 8;

/// CPU and memory of `vswd` with what is usual and 16 ports: taps and attached veths.
pub(crate) fn idle_16(effort: Effort) -> Result<Vec<Row>> {
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
    let (mut cpu, mut memory) = (Sample::default(), Sample::default());
    for _ in 0..effort.rounds {
        let (start, before) = (Instant::now(), busy_ns(switch.pid())?);
        interrupt::sleep(Duration::from_secs(u64::from(effort.seconds).max(5)))?;
        let spent = busy_ns(switch.pid())? - before;
        cpu.push(spent as f64 / start.elapsed().as_nanos() as f64 * 100.0);
        memory.push(resident_mb(switch.pid())?);
    }
    Ok(vec![
        Row::alone("idle-16, vswd", "% of a core", &cpu).goal_below(2.0),
        Row::alone("memory, vswd, 16 ports", "MB", &memory).goal_below(150.0),
    ])
}

/// Time on a CPU of all threads of a process, in ns (`/proc/PID/task/TID/schedstat`).
fn busy_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while we look.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(sum)
}

/// VmRSS in millions of bytes.
fn resident_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
