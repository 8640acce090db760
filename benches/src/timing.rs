//! Single costs: CPU time of the calling thread, over rounds.
//!
//! CPU time, because a shared machine takes the core away now and then; the minimum over the rounds is
//! what the code costs when nothing disturbs it, the median what it usually costs.

use crate::stats::Sample;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Instant;

/// Does something with each item and says how often. What comes of it counts as used.
pub(crate) fn each<T, R>(items: impl IntoIterator<Item = T>, mut f: impl FnMut(T) -> R) -> usize {
    let mut n = 0;
    for item in items {
        black_box(f(item));
        n += 1;
    }
    n
}

/// CPU time of this thread, in ns.
pub(crate) fn cpu_ns() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

/// Time of one round: a few milliseconds, long against the clock's own cost and short against a
/// scheduler's slice.
const ROUND_NS: f64 = 4e6;

/// ns of one operation, once per round. `f` does some operations and says how many.
pub(crate) fn sample(rounds: usize, f: impl FnMut() -> usize) -> Sample {
    sample_by(cpu_ns, rounds, f)
}

/// The same by a clock on the wall, where waiting for another thread is a part of the cost.
pub(crate) fn sample_wall(rounds: usize, f: impl FnMut() -> usize) -> Sample {
    let start = Instant::now();
    sample_by(|| start.elapsed().as_nanos() as f64, rounds, f)
}

fn sample_by(now: impl Fn() -> f64, rounds: usize, mut f: impl FnMut() -> usize) -> Sample {
    // Asking for the time is a system call: calls enough for a round first, so that two will do.
    let start = now();
    let mut calls = 0;
    while now() - start < ROUND_NS {
        f();
        calls += 1;
    }
    let mut round = || {
        let start = now();
        let done: usize = (0..calls).map(|_| f()).sum();
        (now() - start, done)
    };
    sample_timed(rounds, &mut round)
}

/// ns of one operation of those that `f` says it did, in the ns that it says it took: for operations that
/// need preparing in between. `f` is called once per round.
pub(crate) fn sample_timed(rounds: usize, mut f: impl FnMut() -> (f64, usize)) -> Sample {
    f();
    let per_operation = |(ns, done): (f64, usize)| ns / done.max(1) as f64;
    (0..rounds).map(|_| per_operation(f())).collect()
}
