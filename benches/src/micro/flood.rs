//! New stations by the million beside known ones that talk: what the table costs those who are in it.

use super::endless::{Addresses, Endless};
use super::rig::{endless, flows, pool, worker};
use super::{Dice, mac};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Result, ensure};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};
use vsw_mem::{BATCH, Batch};
use vsw_port::{Io, PortError, PortQueue};
use vsw_types::{Now, PortIdx};

const KNOWN: u32 = 1_000;
/// New stations a second.
const NEW: f64 = 1.1e6;
/// How long the flood lasts; the table has room for all of it.
const TIME: Duration = Duration::from_secs(1);
const LIMIT: u32 = 1 << 21;
/// Frames that wait at a port, as in a ring; what comes when so many do is lost.
const RING: f64 = 1024.0;

/// Frames at a rate: as an endless port, but none before it is due.
pub(super) struct Paced {
    frames: Endless,
    /// Frames per nanosecond.
    rate: f64,
    since: Instant,
    /// Frames that were due since, taken or lost.
    gone: f64,
    /// What makes the next frame's addresses, if they are not always the same.
    fresh: Option<Dice>,
}

impl Paced {
    /// Addresses to send with, frames a second, and what renames stations.
    pub(super) fn boxed(flows: Vec<Addresses>, per_second: f64, fresh: Option<Dice>) -> Box<dyn PortQueue> {
        let rate = per_second / 1e9;
        Box::new(Self { frames: Endless::new(flows), rate, since: Instant::now(), gone: 0.0, fresh })
    }
}

impl PortQueue for Paced {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let due = self.since.elapsed().as_nanos() as f64 * self.rate;
        self.gone = self.gone.max(due - RING);
        let n = ((due - self.gone) as usize).min(BATCH);
        if let Some(dice) = &mut self.fresh {
            self.frames.rename(n, |both| both[6..].copy_from_slice(&fresh_mac(dice)));
        }
        self.frames.give(n, into, io);
        self.gone += n as f64;
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.frames.send(from, io)
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Never one of the known.
fn fresh_mac(dice: &mut Dice) -> [u8; 6] {
    let [_, _, a, b, c, d, e, _] = dice.roll().to_be_bytes();
    [6, a, b, c, d, e]
}

/// What a second of it did: frames of known stations per second, in millions, and stations learned.
struct Second {
    known: f64,
    learned: f64,
}

pub(crate) fn flood(effort: Effort) -> Result<Vec<Row>> {
    let [mut quiet, mut loud, mut learned, mut ratio] = [(); 4].map(|()| Sample::default());
    // Half of what the worker can do.
    let most = second(None, 0.0)?.known;
    for _ in 0..effort.rounds {
        interrupt::check()?;
        let without = second(Some(most / 2.0), 0.0)?;
        let with = second(Some(most / 2.0), NEW)?;
        quiet.push(without.known);
        loud.push(with.known);
        ratio.push(with.known / without.known);
        learned.push(with.learned);
    }
    let known = Row::alone("known stations at half load, under a flood", "Mpps", &loud);
    Ok(vec![
        known.beside("without the flood", &quiet, &ratio).goal_ratio(0.9),
        Row::alone("new stations learned meanwhile", "M/s", &learned).goal_above(1.0),
    ])
}

/// `known`: millions of frames a second of the known stations, both ways together.
fn second(known: Option<f64>, new: f64) -> Result<Second> {
    let [there, back] = flows(KNOWN, 0);
    let to_known = there.iter().map(|both| [both[0], both[1], both[2], both[3], both[4], both[5]]);
    let strangers: Vec<Addresses> = to_known
        .map(|dst| {
            let mut both = [0; 12];
            both[..6].copy_from_slice(&dst);
            both[6..].copy_from_slice(&mac(u32::MAX));
            both
        })
        .collect();
    let port = |flows: Vec<Addresses>| match known {
        Some(rate) => Paced::boxed(flows, rate * 0.5e6, None),
        None => endless(flows),
    };
    let mut ports = vec![port(there), port(back)];
    if new > 0.0 {
        ports.push(Paced::boxed(strangers, new, Some(Dice(7))));
    }
    let (engine, mut worker, fdb) = worker(ports, LIMIT, pool()?)?;
    let start = Instant::now();
    let mut count = |during: Duration| {
        let until = start.elapsed() + during;
        while start.elapsed() < until {
            worker.pass(Now(start.elapsed().as_nanos() as u64));
        }
    };
    let frames = || (0..2).map(|p| engine.counters(PortIdx(p)).rx_packets()).sum::<u64>();
    count(Duration::from_millis(20));
    let (before, stations, begin) = (frames(), fdb.len(), Instant::now());
    count(TIME);
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(new == 0.0 || engine.counters(PortIdx(2)).macs_refused() == 0, "the table was full");
    let learned = f64::from(fdb.len() - stations) / seconds / 1e6;
    Ok(Second { known: (frames() - before) as f64 / seconds / 1e6, learned })
}
