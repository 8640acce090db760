//! Frames from a guest to a guest over `vhost-user`. The guests are two virtio-user NICs of one testpmd on the
//! first core; the switch is on the last.
//!
//! ```text
//!   testpmd: NIC 0 ═memory═ v0 ─▶ switch ─▶ v1 ═memory═ NIC 1, and back
//! ```
//! *Flows*: both NICs send as much as the switch takes (`flowgen`); what arrives is counted. All of its frames
//! have one source and one destination that nobody owns: each is flooded, and the source moves all the time.
//! *Known stations*: 512 frames from each NIC are passed on for ever (`io`), each to the other's address.
//!
//! Complications: Open vSwitch also floods to the bridge's own port, a TAP that is down. It is measured so, and
//! with that port left out.

use super::compare::{Better, Metric, Peer, compare};
use super::hugepages::HugePages;
use super::lab::{Folder, Netns};
use super::ovs::{Kind, Ovs};
use super::traffic::machine_cpu_seconds;
use super::vsw::Vsw;
use super::{Cores, needs_testpmd};
use crate::report::Row;
use crate::{Effort, interrupt};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use vsw_testpmd::{Config, Nic, Testpmd};

const OVS: &str = "Open vSwitch DPDK, dpdkvhostuserclient";
const OVS_TWO_PORTS: &str = "Open vSwitch DPDK, its own port left out";

/// Descriptors in a queue of a guest.
const DESCRIPTORS: u16 = 1024;

/// Testpmd makes a NIC's first frames in bursts of 32: half a queue.
const BURSTS: u16 = DESCRIPTORS / 2 / 32;

/// What a round measures: frames of flows, their CPU time, frames between known stations.
type Values = [f64; 3];

/// The guests' side of a switch.
struct Guests {
    config: Config,
    room: Netns,
    cores: Cores,
    _dir: Folder,
}

impl Guests {
    fn new() -> Result<Self> {
        needs_testpmd()?;
        let dir = Folder::new("vhost")?;
        let cores = Cores::choose()?;
        let nic =
            |i: u8| Nic { descriptors: DESCRIPTORS, ..Nic::new(dir.path().join(format!("v{i}.sock")), i) };
        let config = Config {
            cpus: vec![cores.traffic],
            memory: 256,
            buffers: 32_768,
            more: vec!["--flowgen-flows=1024".into(), "--txonly-multi-flow".into()],
            ..Config::new(dir.path(), (0..2).map(nic).collect())
        };
        Ok(Self { config, room: Netns::new("sw")?, cores, _dir: dir })
    }

    /// Connects them with the switch that has their ports, and measures.
    fn measure(&self, bytes: u32, effort: Effort) -> Result<Values> {
        let mut testpmd = self.config.spawn_by(self.room.command("env"))?;
        testpmd.ready()?;
        testpmd.tell(&format!("set txpkts {bytes}"))?;
        let settle = Duration::from_millis(500);
        testpmd.tell("set fwd io")?;
        testpmd.tell(&format!("start tx_first {BURSTS}"))?;
        interrupt::sleep(settle)?;
        let [known, _] = rate(&mut testpmd, effort)?;
        testpmd.stop()?;
        // What is still on its way ends here.
        testpmd.forward("rxonly")?;
        interrupt::sleep(settle)?;
        testpmd.stop()?;
        testpmd.forward("flowgen")?;
        interrupt::sleep(settle)?;
        let [flows, cpu] = rate(&mut testpmd, effort)?;
        Ok([flows, cpu, known])
    }
}

/// Millions of frames a second that arrive, and seconds of CPU time of the whole machine for a million.
fn rate(testpmd: &mut Testpmd, effort: Effort) -> Result<[f64; 2]> {
    let mut read =
        || -> Result<_> { Ok((Instant::now(), testpmd.total()?.rx_packets, machine_cpu_seconds()?)) };
    let before = read()?;
    interrupt::sleep(Duration::from_secs(effort.seconds.into()))?;
    let after = read()?;
    let frames = (after.1 - before.1) as f64 / 1e6;
    ensure!(frames > 0.0, "no frame came through");
    Ok([frames / (after.0 - before.0).as_secs_f64(), (after.2 - before.2) / frames])
}

fn ours(bytes: u32, effort: Effort) -> Result<Values> {
    let guests = Guests::new()?;
    let switch = Vsw::start(&guests.room, Some(guests.cores.switch))?;
    for (i, nic) in guests.config.nics.iter().enumerate() {
        // Not in force before there is a guest.
        switch.add_vhost(&format!("v{i}"), &nic.socket)?;
    }
    guests.measure(bytes, effort)
}

fn theirs(own_port: bool, bytes: u32, effort: Effort) -> Result<Values> {
    let guests = Guests::new()?;
    let _pages = HugePages::reserve()?;
    let switch = Ovs::start(&guests.room, Kind::Dpdk, guests.cores.switch)?;
    for (i, nic) in guests.config.nics.iter().enumerate() {
        switch.add_vhost(&format!("v{i}"), &nic.socket)?;
    }
    if !own_port {
        switch.keep_own_port_out()?;
    }
    guests.measure(bytes, effort)
}

/// Frames of so many bytes, without the check sequence.
fn rows(metrics: [Metric; 3], bytes: u32, effort: Effort) -> Result<Vec<Row>> {
    let installed = Kind::Dpdk.is_installed();
    let usual = || theirs(true, bytes, effort);
    let two_ports = || theirs(false, bytes, effort);
    let peers = [
        Peer { name: OVS, round: installed.then_some(&usual as &dyn Fn() -> Result<Values>) },
        Peer { name: OVS_TWO_PORTS, round: installed.then_some(&two_ports as &dyn Fn() -> Result<Values>) },
    ];
    compare(effort, metrics, || ours(bytes, effort), &peers)
}

pub(crate) fn vhost_64(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("vhost-64, 1,024 flows", "Mpps", Better::More).goals(&[(OVS, 1.25)]),
        Metric::new("vhost-64, 1,024 flows, CPU", "CPU s/M frames", Better::Less),
        Metric::new("vhost-64, known stations", "Mpps", Better::More),
    ];
    rows(metrics, 60, effort)
}

pub(crate) fn vhost_1518(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("vhost-1518, 1,024 flows", "Mpps", Better::More).goals(&[(OVS, 1.5)]),
        Metric::new("vhost-1518, 1,024 flows, CPU", "CPU s/M frames", Better::Less),
        Metric::new("vhost-1518, known stations", "Mpps", Better::More),
    ];
    rows(metrics, 1514, effort)
}
