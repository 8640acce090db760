//! Frames through a path: as many as it takes, as many as it takes without loss, and how long they need;
//! and the CPU time that the whole machine spends on it.
//!
//! Thread-safety: the generator runs on a thread of its own, which ends before each function returns.

use super::Cores;
use super::lab::Netns;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vsw_port_os::generate::{Generator, Sink, Stream};

/// Frames that the generator makes in one call: a third of a second's worth, so that the pause between
/// two calls does not count.
const BURST: u32 = 1 << 20;

/// Attempts of a paced stream in one call: an eighth of a second's worth.
const ATTEMPTS: u32 = 1 << 21;

/// Loss that a path may have and still count as bearing a rate.
const BEARABLE: f64 = 0.001;

/// Halvings of the interval in which the highest bearable rate lies.
const STEPS: u32 = 5;

/// One interface of a namespace: where traffic enters the path, or leaves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) ns: &'a Netns,
    pub(crate) ifname: &'static str,
}

/// Frames without end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saturated {
    /// Frames per second that came through, in millions: the median second.
    pub(crate) rate: f64,
    /// Part of the offered frames that did not come through.
    pub(crate) loss: f64,
    /// Seconds that all CPUs together were busy, for a million frames that came through.
    pub(crate) cpu: f64,
}

/// Frames at a rate.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Frames per second that were offered, in millions.
    rate: f64,
    loss: f64,
}

/// A path with a generator at one end and a counting sink at the other.
pub(crate) struct Path<'a> {
    from: End<'a>,
    to: End<'a>,
    entry: u32,
    exit: u32,
    sink: Sink,
    cores: Cores,
}

impl<'a> Path<'a> {
    pub(crate) fn new(from: End<'a>, to: End<'a>, cores: Cores) -> Result<Self> {
        let (entry, exit) = (from.ns.ifindex(from.ifname)?, to.ns.ifindex(to.ifname)?);
        let sink = to.ns.inside(|| Sink::attach(exit))?.context("the sink")?;
        Ok(Self { from, to, entry, exit, sink, cores })
    }

    fn generator(&self, stream: &Stream) -> Result<Generator> {
        Generator::new(self.entry, stream).context("the generator")
    }

    /// Has all stations of a stream make themselves known, and sees the path work.
    pub(crate) fn introduce(&self, pairs: u32) -> Result<()> {
        let rate = if pairs > 1 { Some(100_000) } else { None };
        let there = Stream { pairs, rate, ..Stream::default() };
        let back = Generator::new(self.exit, &Stream { back: true, ..there.clone() })?;
        let there = self.generator(&there)?;
        let tell = |ns: &Netns, generator: &Generator| -> Result<()> {
            let enough = generator.offered().frames + u64::from(pairs.max(8));
            for _ in 0..1000 {
                ns.inside(|| generator.offer(if pairs > 1 { ATTEMPTS / 4 } else { 8 }))??;
                if generator.offered().frames >= enough {
                    return Ok(());
                }
                interrupt::check()?;
            }
            Err(anyhow!("the generator is too slow"))
        };
        let before = self.sink.received();
        interrupt::wait_for("a frame to come through", Duration::from_secs(10), || {
            tell(self.to.ns, &back).ok()?;
            tell(self.from.ns, &there).ok()?;
            std::thread::sleep(Duration::from_millis(50));
            Some(self.sink.received()).filter(|n| *n > before)
        })?;
        Ok(())
    }

    /// Runs `f` while the generator sends, `each` frames or attempts at once.
    fn during<T>(&self, generator: &Generator, each: u32, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                self.from.ns.inside(|| {
                    pin(self.cores.traffic)?;
                    while !stop.load(Relaxed) {
                        generator.offer(each)?;
                    }
                    Ok::<(), anyhow::Error>(())
                })?
            });
            let result = f();
            stop.store(true, Relaxed);
            work.join().map_err(|_| anyhow!("the generator broke"))??;
            result
        })
    }

    /// Offers as many frames as the generator makes. A quarter of a second before the first second counts.
    pub(crate) fn saturate(&self, stream: &Stream, seconds: u32) -> Result<Saturated> {
        let generator = self.generator(stream)?;
        self.during(&generator, BURST, || {
            interrupt::sleep(Duration::from_millis(250))?;
            let read = || -> Result<_> {
                Ok((Instant::now(), generator.offered().frames, self.sink.received(), machine_cpu_seconds()?))
            };
            let first = read()?;
            let (mut last, mut rates) = (first, Sample::default());
            for _ in 0..seconds {
                interrupt::sleep(Duration::from_secs(1))?;
                let now = read()?;
                rates.push((now.2 - last.2) as f64 / (now.0 - last.0).as_secs_f64() / 1e6);
                last = now;
            }
            let (offered, received) = ((last.1 - first.1) as f64, (last.2 - first.2) as f64);
            ensure!(offered > 0.0, "the generator made nothing");
            let cpu = (last.3 - first.3) / (received / 1e6);
            Ok(Saturated { rate: rates.median(), loss: 1.0 - received / offered, cpu })
        })
    }

    /// Offers so many millions of frames a second, for a third of a second.
    fn trial(&self, rate: f64) -> Result<Trial> {
        let rate = Some(((rate * 1e6) as u64).max(1));
        let generator = self.generator(&Stream { rate, ..Stream::default() })?;
        self.sink.reset();
        self.during(&generator, ATTEMPTS, || interrupt::sleep(Duration::from_millis(500)))?;
        // What is still on its way.
        interrupt::sleep(Duration::from_millis(20))?;
        let (offered, received) = (generator.offered(), self.sink.received());
        ensure!(offered.frames > 1, "the generator made nothing");
        let rate = (offered.frames - 1) as f64 / offered.during.as_secs_f64() / 1e6;
        Ok(Trial { rate, loss: 1.0 - received as f64 / offered.frames as f64 })
    }

    /// The highest rate at which at most one frame in a thousand is lost, by halving below `most`: millions
    /// of frames a second, 0 if there is none. A rate that loses more is tried once again: these machines are
    /// shared, and what takes the processor away for a moment is not the switch's fault.
    pub(crate) fn throughput(&self, most: f64) -> Result<f64> {
        let (mut low, mut high, mut best) = (0.0, most, 0.0);
        for _ in 0..STEPS {
            let middle = (low + high) / 2.0;
            let mut trial = self.trial(middle)?;
            if trial.loss > BEARABLE {
                trial = self.trial(middle)?;
            }
            if trial.loss <= BEARABLE {
                (low, best) = (middle, trial.rate);
            } else {
                high = middle;
            }
        }
        Ok(best)
    }

    /// How long frames are on their way at this rate: median and 99th percentile in us, from being made to
    /// being counted. NaN if none came.
    pub(crate) fn latency(&self, rate: f64, effort: Effort) -> Result<[f64; 2]> {
        let mut medians = [Sample::default(), Sample::default()];
        for _ in 0..effort.seconds {
            self.trial(rate)?;
            let Some(parts) = self.sink.latency([0.5, 0.99]) else { continue };
            medians.iter_mut().zip(parts).for_each(|(m, p)| m.push(p.as_secs_f64() * 1e6));
        }
        Ok(medians.map(|m| m.median()))
    }
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Seconds that all CPUs together have been busy: processes, kernel and interrupts (`/proc/stat`).
pub(crate) fn machine_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>();
    Ok(busy / rustix::param::clock_ticks_per_second() as f64)
}
