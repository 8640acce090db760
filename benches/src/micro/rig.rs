//! A switch in memory: one bridge, ports that do what any port does, stations behind them.

use super::endless::{Addresses, Endless};
use super::fdb::shuffled;
use super::mac;
use anyhow::{Result, anyhow, ensure};
use std::sync::Arc;
use vsw_config::{Config, Draft, DraftBridge, DraftPort, DraftPortQos, DraftProfile, DraftShaper, DraftVlan};
use vsw_engine::{Engine, Worker};
use vsw_mem::{FramePool, PoolSize};
use vsw_port::{PortCaps, PortQueue};
use vsw_switch::{Fdb, Snapshot};
use vsw_types::{Direction, Name, PortIdx};

/// Stations that are more than most of these benchmarks have.
pub(super) const LIMIT: u32 = 1 << 20;

pub(crate) fn pool() -> Result<&'static FramePool> {
    Ok(FramePool::leak(PoolSize { small: 4096, large: 8 })?)
}

/// A bridge of so many ports, `p0` and so on in slots 0 and so on, all in VLAN 10, as the daemon makes it.
pub(crate) fn snapshot(ports: usize, limit: u32) -> Result<(Snapshot, Arc<Fdb>)> {
    shaped_snapshot(ports, limit, None)
}

/// The same, with what is sent to each port shaped to so many bits per second.
fn shaped_snapshot(ports: usize, limit: u32, rate: Option<u64>) -> Result<(Snapshot, Arc<Fdb>)> {
    let shaper = DraftShaper { max: rate, ..Default::default() };
    let own = rate.map(|_| DraftProfile { sent_to: Some(shaper), ..Default::default() });
    let port = |i: usize| DraftPort {
        name: format!("p{i}"),
        vlan: DraftVlan { access: Some(10), ..Default::default() },
        qos: DraftPortQos { own: own.clone(), ..Default::default() },
        ..Default::default()
    };
    let bridge = DraftBridge {
        name: "br0".into(),
        mac_limit: Some(limit),
        ports: (0..ports).map(port).collect(),
        ..Default::default()
    };
    let config = Config::try_from(Draft { generation: 1, bridges: vec![bridge], ..Default::default() })
        .map_err(|e| anyhow!("the configuration is refused: {e:?}"))?;
    let slot = |n: &Name| n.as_str()[1..].parse().ok().map(PortIdx);
    let fdb = Arc::new(Fdb::new(limit, 300, 42, Arc::default()));
    Ok((Snapshot::compile(&config, slot, |_| fdb.clone()), fdb))
}

/// One worker that is not a thread, with these ports.
pub(super) fn worker(
    ports: Vec<Box<dyn PortQueue>>,
    limit: u32,
    pool: &'static FramePool,
) -> Result<(Engine, Worker, Arc<Fdb>)> {
    shaped_worker(ports, limit, pool, None)
}

/// The same, with what is sent to each port shaped to so many bits per second.
pub(super) fn shaped_worker(
    ports: Vec<Box<dyn PortQueue>>,
    limit: u32,
    pool: &'static FramePool,
    rate: Option<u64>,
) -> Result<(Engine, Worker, Arc<Fdb>)> {
    let (mut engine, workers, _events) = Engine::parts(1, pool)?;
    let mut worker = workers.into_iter().next().ok_or_else(|| anyhow!("no worker"))?;
    let (snapshot, fdb) = shaped_snapshot(ports.len(), limit, rate)?;
    for (slot, queue) in (0..).zip(ports) {
        for (_, attach) in engine.spread(PortIdx(slot), PortCaps::NONE, 1500, vec![queue]) {
            worker.attach(attach)?;
        }
    }
    engine.publish(snapshot)?;
    Ok((engine, worker, fdb))
}

/// Pairs of stations in an order like chance: what comes in at one port, and at the other. `first`: the
/// number of the first station.
pub(crate) fn flows(stations: u32, first: u32) -> [Vec<Addresses>; 2] {
    let half = stations.div_ceil(2) as usize;
    let order = shuffled(half, 1 << 31 | first);
    let addresses = |dst: u32, src: u32| {
        let mut both = [0; 12];
        both[..6].copy_from_slice(&mac(dst));
        both[6..].copy_from_slice(&mac(src));
        both
    };
    let pairs = (first..first + half as u32).zip(order);
    pairs.map(|(a, b)| (addresses(b, a), addresses(a, b))).unzip::<_, _, Vec<_>, Vec<_>>().into()
}

/// A port that never runs dry.
pub(crate) fn endless(flows: Vec<Addresses>) -> Box<dyn PortQueue> {
    Box::new(Endless::new(flows))
}

/// Nothing was dropped at these ports, and all that came in went on.
pub(crate) fn check(engine: &Engine, ports: u16) -> Result<()> {
    for port in (0..ports).map(PortIdx) {
        let c = engine.counters(port);
        let dropped = c.dropped(Direction::Rx) + c.dropped(Direction::Tx);
        let refused = c.macs_refused();
        ensure!(dropped == 0 && refused == 0, "{dropped} frames dropped, {refused} stations refused");
        ensure!(c.tx_packets() > 0 && c.rx_packets() == c.forwarded(), "frames vanished");
    }
    Ok(())
}
