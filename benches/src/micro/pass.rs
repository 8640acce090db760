//! A worker's whole pass between two ports in memory, per frame.

use super::rig::{LIMIT, check, endless, flows, pool, worker};
use crate::report::Row;
use crate::timing::{each, sample};
use crate::{Effort, stats::Sample};
use anyhow::{Result, ensure};
use std::time::Instant;
use vsw_mem::FramePool;
use vsw_types::{Now, PortIdx};

const ONE_PAIR: &str = "pass, 1 pair";

/// Frames both ways between one pair of stations.
pub(crate) fn pass(effort: Effort) -> Result<Vec<Row>> {
    Ok(vec![Row::alone(ONE_PAIR, "ns/frame", &measure(2, pool()?, effort)?)])
}

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

fn measure(stations: u32, pool: &'static FramePool, effort: Effort) -> Result<Sample> {
    let ports = flows(stations, 0).into_iter().map(endless).collect();
    let (engine, mut worker, _) = worker(ports, LIMIT, pool)?;
    let start = Instant::now();
    // As a worker's thread does it: one clock read a pass.
    let mut go = || worker.pass(Now(start.elapsed().as_nanos() as u64));
    // Every station is heard and learned.
    let laps = stations as usize / vsw_mem::BATCH + 64;
    each(0..laps, |_| go());
    let sample = sample(effort.samples, || (0..256).map(|_| go()).sum());
    let per_pass = go();
    ensure!(per_pass == 2 * vsw_mem::BATCH, "a pass moves a full batch each way, not {per_pass}");
    // Publishes the counters.
    let queues = [0, 1].map(|port| worker.detach(PortIdx(port)).len());
    ensure!(queues == [1, 1], "a queue was lost");
    check(&engine, 2)?;
    Ok(sample)
}
