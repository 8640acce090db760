//! Guests over `vhost-user` that do nothing, and one that lives on while the switch is killed.

use super::compare::{Better, Metric, Peer, compare};
use super::hugepages::HugePages;
use super::idle::{busy_ns, huge_mb, resident_mb};
use super::lab::{Folder, Netns};
use super::ovs::{Kind, Ovs};
use super::vsw::Vsw;
use super::{Cores, needs_testpmd};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};
use vsw_testpmd::{Config, Nic, Testpmd};

const OVS: &str = Kind::Dpdk.name();
const GUESTS: u8 = 16;

/// Kills in a round.
const KILLS: usize = 5;

fn config(dir: &Path, guests: u8) -> Result<Config> {
    needs_testpmd()?;
    let nic = |i: u8| Nic::new(dir.join(format!("v{i}.sock")), i);
    Ok(Config { memory: 256, buffers: 32_768, ..Config::new(dir, (0..guests).map(nic).collect()) })
}

/// CPU time and memory of the process that moves frames, while guests are connected and silent.
pub(crate) fn idle_vhost(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("idle-vhost, 16 guests, CPU", "% of a core", Better::Less),
        Metric::new("idle-vhost, 16 guests, memory", "MB", Better::Less).goals(&[(OVS, 1.0)]),
        Metric::new("idle-vhost, 16 guests, huge pages", "MB", Better::Neither),
    ];
    let ours = || {
        let (room, dir) = (Netns::new("sw")?, Folder::new("vhost")?);
        let config = config(dir.path(), GUESTS)?;
        let switch = Vsw::start(&room, None)?;
        for (i, nic) in config.nics.iter().enumerate() {
            switch.add_vhost(&format!("v{i}"), &nic.socket)?;
        }
        let _testpmd = connect(&config, &room)?;
        let up = switch.ctl("-o json show br0")?.matches("\"up\"").count();
        ensure!(up == usize::from(GUESTS), "only {up} of the ports are up");
        idle(switch.pid())
    };
    let theirs = || {
        let (room, dir) = (Netns::new("sw")?, Folder::new("vhost")?);
        let config = config(dir.path(), GUESTS)?;
        let _pages = HugePages::reserve()?;
        let switch = Ovs::start(&room, Kind::Dpdk, Cores::choose()?.switch)?;
        for (i, nic) in config.nics.iter().enumerate() {
            switch.add_vhost(&format!("v{i}"), &nic.socket)?;
        }
        let _testpmd = connect(&config, &room)?;
        idle(switch.pid())
    };
    let installed = Kind::Dpdk.is_installed();
    let peer = Peer { name: OVS, round: installed.then_some(&theirs as &dyn Fn() -> Result<[f64; 3]>) };
    let mut rows = compare(effort, metrics, ours, &[peer])?;
    rows[0] = rows[0].clone().goal_below(2.0);
    Ok(rows)
}

/// Guests that are all connected: nobody sends, nobody polls.
fn connect(config: &Config, room: &Netns) -> Result<Testpmd> {
    let mut testpmd = config.spawn_by(room.command("env"))?;
    testpmd.ready()?;
    interrupt::sleep(Duration::from_secs(2))?;
    Ok(testpmd)
}

/// Percent of a core, megabytes, and how many of them in huge pages.
fn idle(pid: u32) -> Result<[f64; 3]> {
    let (start, before) = (Instant::now(), busy_ns(pid)?);
    interrupt::sleep(Duration::from_secs(5))?;
    let spent = (busy_ns(pid)? - before) as f64 / start.elapsed().as_nanos() as f64;
    Ok([spent * 100.0, resident_mb(pid)?, huge_mb(pid)?])
}

/// From the new `vswd` being there to frames from one guest at another: from when its socket answers, and from
/// when it was started.
pub(crate) fn restart_vhost(effort: Effort) -> Result<Vec<Row>> {
    let (room, dir) = (Netns::new("sw")?, Folder::new("vhost")?);
    let mut config = config(dir.path(), 2)?;
    config.cpus = vec![Cores::choose()?.traffic];
    let mut switch = Vsw::start(&room, None)?;
    for (i, nic) in config.nics.iter().enumerate() {
        switch.add_vhost(&format!("v{i}"), &nic.socket)?;
    }
    let mut testpmd = connect(&config, &room)?;
    testpmd.forward("flowgen")?;
    let (mut ready, mut started) = (Sample::default(), Sample::default());
    for _ in 0..effort.rounds * KILLS {
        let before = testpmd.total()?.rx_packets;
        interrupt::wait_for("traffic", Duration::from_secs(10), || {
            testpmd.total().ok().filter(|now| now.rx_packets > before)
        })?;
        let start = switch.replace()?;
        let answered = Instant::now();
        // What had arrived and was not yet counted when the old one died is counted now.
        let before = testpmd.total()?.rx_packets;
        while testpmd.total()?.rx_packets == before {
            ensure!(answered.elapsed() < Duration::from_secs(20), "no traffic after a restart");
            interrupt::check()?;
        }
        ready.push(answered.elapsed().as_secs_f64() * 1e3);
        started.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(vec![
        Row::alone("restart-vhost, from ready to traffic", "ms", &ready).goal_below(200.0),
        Row::alone("restart-vhost, from start to traffic", "ms", &started),
    ])
}
