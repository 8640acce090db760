//! One worker and two, as threads: what the second one brings, and what handing over costs.

use super::rig::{LIMIT, endless, flows, pool, snapshot};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use vsw_engine::{Engine, Polling};
use vsw_port::PortCaps;
use vsw_types::PortIdx;

/// Ports, in pairs that talk with each other.
const PORTS: u16 = 4;

/// Which ports talk with each other; port `i` belongs to worker `i % 2` where there are two.
#[derive(Clone, Copy, Debug)]
enum Pairs {
    /// 0 with 2, 1 with 3: each worker keeps to itself.
    OfOneWorker,
    /// 0 with 1, 2 with 3: every frame is handed over.
    OfTwoWorkers,
}

pub(crate) fn workers(effort: Effort) -> Result<Vec<Row>> {
    let cpus: Vec<usize> = {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|c| allowed.is_set(*c)).collect()
    };
    ensure!(cpus.len() >= 2, "two workers need two CPUs");
    let (one, two) = (&cpus[cpus.len() - 1..], &cpus[cpus.len() - 2..]);
    let mut samples = [(); 5].map(|()| Sample::default());
    for _ in 0..effort.rounds {
        let alone = rate(one, Pairs::OfOneWorker)?;
        let apart = rate(two, Pairs::OfOneWorker)?;
        let across = rate(two, Pairs::OfTwoWorkers)?;
        let values = [alone, apart, apart / alone, across, across / alone];
        samples.iter_mut().zip(values).for_each(|(s, v)| s.push(v));
    }
    let [alone, apart, gain, across, gain_across] = samples;
    Ok(vec![
        Row::alone("two workers, each its own ports", "Mpps", &apart).beside("one worker", &alone, &gain),
        Row::alone("two workers, all frames handed over", "Mpps", &across).beside(
            "one worker",
            &alone,
            &gain_across,
        ),
    ])
}

/// Millions of frames a second that workers on these CPUs forward.
fn rate(cpus: &[usize], pairs: Pairs) -> Result<f64> {
    let (mut engine, _events) = Engine::start(cpus, Polling::Busy, pool()?)?;
    let [a, b] = flows(2, 0);
    let [c, d] = flows(2, 16);
    let queues = match pairs {
        Pairs::OfOneWorker => [a, c, b, d],
        Pairs::OfTwoWorkers => [a, b, c, d],
    };
    for (port, flows) in (0..).zip(queues) {
        engine.attach(PortIdx(port), PortCaps::NONE, 1500, vec![endless(flows)]);
    }
    engine.publish(snapshot(usize::from(PORTS), LIMIT)?.0)?;
    let sent = || (0..PORTS).map(|p| engine.counters(PortIdx(p)).tx_packets()).sum::<u64>();
    interrupt::sleep(Duration::from_millis(200))?;
    let (start, before) = (Instant::now(), sent());
    interrupt::sleep(Duration::from_millis(500))?;
    let rate = (sent() - before) as f64 / start.elapsed().as_secs_f64() / 1e6;
    Ok(rate)
}
