//! A worker's whole pass between two ports in memory, per frame.

use super::endless::{Addresses, Endless};
use super::fdb::shuffled;
use super::mac;
use crate::report::Row;
use crate::timing::{each, sample};
use crate::{Effort, stats::Sample};
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;
use vsw_config::{Config, Draft, DraftBridge, DraftPort, DraftVlan};
use vsw_engine::{Engine, Worker};
use vsw_mem::{FramePool, PoolSize};
use vsw_port::{PortCaps, PortQueue};
use vsw_switch::{Fdb, Snapshot};
use vsw_types::{Direction, Name, Now, PortIdx};

/// Stations that are more than any of these benchmarks has.
const LIMIT: u32 = 1 << 20;

/// Frames both ways between one pair of stations.
pub(crate) fn pass(effort: Effort) -> Result<Vec<Row>> {
    Ok(vec![Row::alone(ONE_PAIR, "ns/frame", &measure(2, pool()?, effort)?)])
}

const ONE_PAIR: &str = "pass, 1 pair";

/// Frames both ways between many pairs, beside those between one.
pub(crate) fn stations(effort: Effort) -> Result<Vec<Row>> {
    let pool = pool()?;
    let one = measure(2, pool, effort)?;
    let many = [
        (1_000, "1,000", None),
        (10_000, "10,000", Some(0.7)),
        (100_000, "100,000", None),
        (1_000_000, "1,000,000", Some(0.35)),
    ];
    let row = |(stations, name, goal): (u32, &str, Option<f64>)| -> Result<Row> {
        let row = Row::alone(format!("pass, {name} stations"), "ns/frame", &measure(stations, pool, effort)?);
        let row = row.beside_cost(ONE_PAIR, &one);
        Ok(match goal {
            Some(goal) => row.goal_ratio(goal),
            None => row,
        })
    };
    many.into_iter().map(row).collect()
}

fn pool() -> Result<&'static FramePool> {
    Ok(FramePool::leak(PoolSize { small: 4096, large: 8 })?)
}

fn measure(stations: u32, pool: &'static FramePool, effort: Effort) -> Result<Sample> {
    let (mut engine, mut worker) = switch(stations, pool)?;
    let start = Instant::now();
    // As a worker's thread does it: one clock read a pass.
    let mut go = || worker.pass(Now(start.elapsed().as_nanos() as u64));
    // Every station is heard and learned.
    let laps = stations as usize / vsw_mem::BATCH + 64;
    each(0..laps, |_| go());
    let sample = sample(effort.samples, || (0..256).map(|_| go()).sum());
    let per_pass = go();
    ensure!(per_pass == 2 * vsw_mem::BATCH, "a pass moves a full batch each way, not {per_pass}");
    check(&mut engine, worker)?;
    Ok(sample)
}

/// A bridge of two ports, configured as the daemon does it, and the worker that has both.
fn switch(stations: u32, pool: &'static FramePool) -> Result<(Engine, Worker)> {
    let port = |name: &str| DraftPort {
        name: name.into(),
        vlan: DraftVlan { access: Some(10), ..Default::default() },
        ..Default::default()
    };
    let bridge = DraftBridge {
        name: "br0".into(),
        mac_limit: Some(LIMIT),
        ports: vec![port("a"), port("b")],
        ..Default::default()
    };
    let config = Config::try_from(Draft { generation: 1, bridges: vec![bridge] })
        .map_err(|e| anyhow::anyhow!("the configuration is refused: {e:?}"))?;
    let (mut engine, workers, _events) = Engine::parts(1, pool)?;
    let mut worker = workers.into_iter().next().ok_or_else(|| anyhow::anyhow!("no worker"))?;
    for (slot, flows) in (0..).zip(flows(stations)) {
        let queue: Box<dyn PortQueue> = Box::new(Endless::new(flows));
        for (_, attach) in engine.spread(PortIdx(slot), PortCaps::NONE, 1500, vec![queue]) {
            worker.attach(attach)?;
        }
    }
    let slot = |n: &Name| Some(PortIdx((n.as_str() == "b").into()));
    let fdb = Arc::new(Fdb::new(LIMIT, 300, 42, Arc::default()));
    engine.publish(Snapshot::compile(&config, slot, |_| fdb.clone()))?;
    Ok((engine, worker))
}

/// Pairs in an order like chance: what comes in at `a`, and at `b`.
fn flows(stations: u32) -> [Vec<Addresses>; 2] {
    let half = stations.div_ceil(2) as usize;
    let order = shuffled(half, 1 << 31);
    let addresses = |dst: u32, src: u32| {
        let mut both = [0; 12];
        both[..6].copy_from_slice(&mac(dst));
        both[6..].copy_from_slice(&mac(src));
        both
    };
    let pairs = (0..half as u32).zip(order);
    pairs.map(|(a, b)| (addresses(b, a), addresses(a, b))).unzip::<_, _, Vec<_>, Vec<_>>().into()
}

/// Nothing was dropped, and nothing of what was measured was flooding.
fn check(engine: &mut Engine, mut worker: Worker) -> Result<()> {
    let (a, b) = (worker.detach(PortIdx(0)), worker.detach(PortIdx(1)));
    ensure!(a.len() == 1 && b.len() == 1, "a queue was lost");
    for port in [PortIdx(0), PortIdx(1)] {
        let c = engine.counters(port);
        let dropped = c.dropped(Direction::Rx) + c.dropped(Direction::Tx);
        ensure!(
            dropped == 0 && c.macs_refused() == 0,
            "{dropped} frames dropped, {} macs refused",
            c.macs_refused()
        );
        ensure!(c.tx_packets() > 0 && c.rx_packets() == c.forwarded(), "frames vanished");
    }
    Ok(())
}
