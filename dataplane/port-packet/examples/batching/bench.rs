//! Rounds, clocks and the table: what the evaluations of port-packet and port-tap have in common.
//!
//! A timed section moves a fixed number of frames with one variant and nothing else: what it receives is
//! put into the queue beforehand, by the same thread on another CPU, so that its speed does not matter and
//! the frames are as cold as in life. The clock is the CPU time of the process, which is this thread and
//! the workers that io_uring may start; work that the kernel does in softirqs of the thread is in it.
//! Variants take turns in each round, so that a disturbance meets all of them. One thread.

use rustix::thread::{CpuSet, UnshareFlags, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::io;

pub(crate) use vsw_mem::BATCH;

/// Moves so many frames.
pub(crate) type Step = Box<dyn FnMut(usize) -> io::Result<()>>;

/// One way to move frames, ready to run in a network namespace of its own, which ends with it.
pub(crate) struct Variant {
    /// Puts frames into the queue that `run` empties; none for variants that send.
    pub(crate) fill: Option<Step>,
    /// What is timed. Fails when not all frames were moved, or not whole. For no frames, which is not
    /// timed: fails unless the last batch of what was received is what was sent.
    pub(crate) run: Step,
}

/// Variants to compare: the first is the one to which the others are compared.
pub(crate) struct Group {
    title: String,
    /// Frames of a timed section, and sections of a round.
    section: usize,
    sections: usize,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    variant: Result<Variant, io::Error>,
    /// ns of CPU time a frame, one value a round.
    run: Vec<f64>,
    fill: Vec<f64>,
}

impl Group {
    /// With sections of `section` frames, whole batches; a round has about 16,000 frames, or 8 sections.
    pub(crate) fn new(title: impl Into<String>, section: usize) -> Self {
        let sections = if section < 128 { 8 } else { 16_384_usize.div_ceil(section) };
        Self { title: title.into(), section, sections, rows: Vec::new() }
    }

    /// Adds what `make` makes in a network namespace of its own.
    pub(crate) fn add(&mut self, name: &'static str, make: impl FnOnce() -> io::Result<Variant>) {
        let variant = alone(make);
        self.rows.push(Row { name, variant, run: Vec::new(), fill: Vec::new() });
    }

    /// Measures, prints a table and removes everything.
    pub(crate) fn measure(mut self, rounds: usize) -> io::Result<()> {
        let cpus = Cpus::new()?;
        // The first round touches the memory; it does not count.
        for round in 0..=rounds {
            for row in &mut self.rows {
                let Ok(variant) = &mut row.variant else { continue };
                match variant.round(&cpus, self.section, self.sections) {
                    Ok((run, fill)) if round > 0 => {
                        row.run.push(run);
                        row.fill.extend(fill);
                    }
                    Ok(_) => {}
                    Err(e) => row.variant = Err(e),
                }
            }
        }
        cpus.leave()?;
        self.print(rounds);
        Ok(())
    }

    fn print(&mut self, rounds: usize) {
        println!("\n{}", self.title);
        println!("{rounds} rounds of {} frames, interleaved", self.section * self.sections);
        println!(
            "  {:<54} {:>8} {:>15} {:>7} {:>8} {:>9}",
            "variant", "ns/frame", "least - most", "Mpps", "to first", "filler ns"
        );
        let first = self.rows.first().map(|row| row.run.clone()).unwrap_or_default();
        for Row { name, variant, run, fill } in &mut self.rows {
            if let Err(e) = variant {
                println!("  {name:<54} not measured: {e}");
                continue;
            }
            // Round by round: what disturbs one disturbs its neighbours.
            let mut ratios: Vec<f64> = run.iter().zip(&first).map(|(own, first)| own / first).collect();
            let ratio = if ratios.is_empty() { f64::NAN } else { median(&mut ratios) };
            let fill = if fill.is_empty() { "-".to_owned() } else { format!("{:.0}", median(fill)) };
            let ns = median(run);
            let spread = format!("{:.0} - {:.0}", run[0], run[run.len() - 1]);
            let mpps = 1e3 / ns;
            println!("  {name:<54} {ns:>8.0} {spread:>15} {mpps:>7.2} {ratio:>8.2} {fill:>9}");
        }
    }
}

/// Has `make` make something in a new network namespace without IPv6, which would talk by itself.
pub(crate) fn alone<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    fresh_netns()?;
    make()
}

impl Variant {
    /// ns of CPU time a frame of the run, and of filling if it has to be filled.
    fn round(&mut self, cpus: &Cpus, section: usize, sections: usize) -> io::Result<(f64, Option<f64>)> {
        let (mut run, mut fill) = (0, 0);
        for _ in 0..sections {
            if let Some(step) = &mut self.fill {
                cpus.filler()?;
                fill += timed(step, section)?;
            }
            cpus.measured()?;
            run += timed(&mut self.run, section)?;
        }
        (self.run)(0)?;
        let each = |ns: i64| ns as f64 / (section * sections) as f64;
        Ok((each(run), self.fill.is_some().then(|| each(fill))))
    }
}

fn timed(step: &mut Step, frames: usize) -> io::Result<i64> {
    let start = cpu_time();
    step(frames)?;
    Ok(cpu_time() - start)
}

fn cpu_time() -> i64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// The middle of what is not empty, which is sorted then.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// The CPUs that the process may use; the last one is for what is measured, the first for filling.
struct Cpus {
    all: CpuSet,
    first: usize,
    last: usize,
}

impl Cpus {
    fn new() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut set = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
        let first = set.next().unwrap_or_default();
        Ok(Self { first, last: set.next_back().unwrap_or(first), all })
    }
    fn filler(&self) -> io::Result<()> {
        only(self.first)
    }
    fn measured(&self) -> io::Result<()> {
        only(self.last)
    }
    fn leave(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }
}

fn only(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Moves the calling thread, the only one, into a new network namespace. It lives as long as the thread
/// is in it or a socket or device descriptor was opened in it, so nothing stays behind however this ends.
fn fresh_netns() -> io::Result<()> {
    // SAFETY: only the network namespace changes; descriptors stay as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    let switch = std::path::Path::new("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    if switch.exists() { std::fs::write(switch, "1") } else { Ok(()) }
}

/// What both programs say of their figures.
pub(crate) const TIMED: &str = "Timed: CPU time of the one thread that receives or sends, and of io_uring's
workers; receiving means emptying a queue that was filled before. filler: CPU time of who filled it, a frame.";

/// Rounds, and small frames in the queue, as the command line asks for: nine and 256 if it does not.
pub(crate) fn arguments() -> (usize, usize) {
    let number = |i| std::env::args().nth(i).and_then(|a| a.parse::<usize>().ok());
    let rounds = number(1).unwrap_or(9).clamp(1, 1000);
    let depth = number(2).unwrap_or(256).clamp(BATCH, 4096);
    (rounds, depth - depth % BATCH)
}
