//! What it costs that frames wait: one pair of ports beside the same without shaping, and a thousand ports,
//! each with a rate of its own, on one worker.

use super::rig::{LIMIT, endless, flows, shaped_worker};
use crate::report::Row;
use crate::stats::Sample;
use crate::timing::{each, sample};
use crate::{Effort, interrupt};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use vsw_mem::{FramePool, PoolSize};
use vsw_types::{Now, PortIdx};

const PORTS: u16 = 1000;
/// Bits per second of each.
const RATE: u64 = 1_000_000;
/// More than two endless ports send.
const NO_LIMIT: u64 = 400_000_000_000;

pub(crate) fn shaped(effort: Effort) -> Result<Vec<Row>> {
    let pool = FramePool::leak(PoolSize { small: 1 << 16, large: 8 })?;
    let plain = cost(None, pool, effort)?;
    let pair = Row::alone("pass, 1 pair, shaped", "ns/frame", &cost(Some(NO_LIMIT), pool, effort)?)
        .beside_cost("not shaped", &plain);
    let (offered, worst) = thousand(pool, effort)?;
    Ok(vec![
        pair,
        Row::alone("1,000 shaped ports, per frame offered", "ns/frame", &offered)
            .beside_cost("not shaped", &plain),
        Row::alone("1,000 shaped ports, rate farthest off", "%", &worst).goal_below(5.0),
    ])
}

fn cost(rate: Option<u64>, pool: &'static FramePool, effort: Effort) -> Result<Sample> {
    let ports = flows(2, 0).into_iter().map(endless).collect();
    let (_engine, mut worker, _) = shaped_worker(ports, LIMIT, pool, rate)?;
    let start = Instant::now();
    let mut go = || worker.pass(Now(start.elapsed().as_nanos() as u64));
    each(0..64, |_| go());
    Ok(sample(effort.samples, || (0..256).map(|_| go()).sum()))
}

/// Every port is offered more than it may have. Cost per frame, and by how many percent the port that is
/// farthest from its rate misses it.
fn thousand(pool: &'static FramePool, effort: Effort) -> Result<(Sample, Sample)> {
    let ports = (0..PORTS / 2).flat_map(|i| flows(2, 2 * u32::from(i))).map(endless).collect();
    let (engine, mut worker, _) = shaped_worker(ports, LIMIT, pool, Some(RATE))?;
    let start = Instant::now();
    let mut go = || worker.pass(Now(start.elapsed().as_nanos() as u64));
    each(0..64, |_| go());
    let (mut costs, mut worst) = (Sample::default(), Sample::default());
    for _ in 0..effort.rounds {
        // Counters are published every so many passes.
        each(0..32, |_| go());
        let bytes = |p: u16| engine.counters(PortIdx(p)).tx_bytes();
        let before: Vec<u64> = (0..PORTS).map(bytes).collect();
        let (began, mut frames) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(effort.seconds.into()) {
            frames += (0..32).map(|_| go()).sum::<usize>();
            interrupt::check()?;
        }
        let nanos = began.elapsed().as_nanos() as f64;
        let due = RATE as f64 / 8.0 * nanos / 1e9;
        let off = |p: u16| ((bytes(p) - before[p as usize]) as f64 / due - 1.0).abs() * 100.0;
        worst.push((0..PORTS).map(off).fold(0.0, f64::max));
        costs.push(nanos / frames as f64);
        ensure!(frames > 0, "nothing moved");
    }
    Ok((costs, worst))
}
