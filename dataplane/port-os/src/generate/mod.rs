//! Traffic for measurements: a generator that outruns a switch, and a sink that counts and takes the time.
//!
//! Frames are made by the kernel itself (`bpf::run_live`) and redirected into an interface by an XDP
//! program, several times as fast as a raw socket sends them; the sink is an XDP program that counts and
//! drops. A veth takes redirected frames only when its other end has an XDP program or GRO switched on.
//!
//! A stream with a rate is paced inside the program: it looks at the clock, and a frame that is not due
//! yet is not sent. After a pause (each call ends with one) it does not make up for more than
//! [`BACKLOG_NS`]. Frames of such a stream carry the time at which they were made.
//!
//! Both work in the namespace of the thread that makes them, and the generator also in that of the thread
//! that runs it. Thread-safety: one thread offers; the counts may be read from anywhere at any time.

mod frame;
mod program;

pub use frame::{IMIX, Stream};
pub use program::BACKLOG_NS;

use crate::bpf::maps::Shared;
use crate::bpf::{self, AttachType, Insn, ProgramType};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const XDP_PASS: i32 = 2;

/// A stream of frames, sent out of one interface.
#[derive(Debug)]
pub struct Generator {
    program: OwnedFd,
    state: Shared,
    template: Vec<u8>,
    batch: u32,
}

/// What a generator did so far.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// Frames, also those that the interface had no room for.
    pub frames: u64,
    /// From the first to the last of them.
    pub during: Duration,
}

impl Generator {
    /// Will send the stream out of the interface.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN; a stream that cannot be made.
    pub fn new(ifindex: u32, stream: &Stream) -> io::Result<Self> {
        stream.check()?;
        let state = Shared::new(program::CELLS)?;
        let program = bpf::load(ProgramType::Xdp, &program::generator(ifindex, stream, &state), 0)?;
        // Paced frames leave soon after they were made; others leave by many, which is faster.
        let batch = if stream.rate.is_some() { 16 } else { 64 };
        Ok(Self { program, state, template: stream.template(), batch })
    }

    /// Makes so many frames and returns when all are on their way or dropped by the interface; with a rate,
    /// sends those of so many attempts that are due. Ask for many at once: each call ends with a pause of some
    /// milliseconds.
    ///
    /// # Errors
    /// As [`bpf::run_live`].
    pub fn offer(&self, frames: u32) -> io::Result<()> {
        bpf::run_live(self.program.as_fd(), &self.template, frames, self.batch)
    }

    pub fn offered(&self) -> Offered {
        let cell = |i: usize| self.state.cells()[i].load(Relaxed);
        let during = cell(program::LAST).saturating_sub(cell(program::FIRST));
        Offered { frames: cell(program::FRAMES), during: Duration::from_nanos(during) }
    }
}

/// Counts what an interface receives, and drops it. Ends when dropped.
#[derive(Debug)]
pub struct Sink {
    counts: Shared,
    _link: OwnedFd,
}

impl Sink {
    /// # Errors
    /// As [`bpf::attach`].
    pub fn attach(ifindex: u32) -> io::Result<Self> {
        let counts = Shared::new(1 + program::STEPS)?;
        let link = attach(ifindex, &program::sink(&counts))?;
        Ok(Self { counts, _link: link })
    }

    /// Frames received so far.
    pub fn received(&self) -> u64 {
        self.counts.cells()[0].load(Relaxed)
    }

    /// Forgets what was received, and how long it took.
    pub fn reset(&self) {
        self.counts.cells().iter().for_each(|c| c.store(0, Relaxed));
    }

    /// How long frames of a paced stream were on their way: the times that these parts of them (0 to 1)
    /// did not exceed, in steps of a quarter of a microsecond. `None` if none came.
    pub fn latency<const N: usize>(&self, parts: [f64; N]) -> Option<[Duration; N]> {
        let steps: Vec<u64> = self.counts.cells()[1..].iter().map(|c| c.load(Relaxed)).collect();
        let all: u64 = steps.iter().sum();
        let below = |part: f64| {
            let enough = (all as f64 * part).ceil() as u64;
            let mut sum = 0;
            let at = steps.iter().position(|n| {
                sum += n;
                sum >= enough.max(1)
            });
            Duration::from_nanos(((at.unwrap_or(program::STEPS) + 1) << program::STEP_BITS) as u64)
        };
        (all > 0).then(|| parts.map(below))
    }
}

/// Has a veth take redirected frames from its other end and give them to its host as always. Ends when
/// the descriptor is closed.
///
/// # Errors
/// As [`bpf::attach`].
pub fn open_to_redirects(ifindex: u32) -> io::Result<OwnedFd> {
    attach(ifindex, &Insn::answer(XDP_PASS))
}

fn attach(ifindex: u32, code: &[Insn]) -> io::Result<OwnedFd> {
    let program = bpf::load(ProgramType::Xdp, code, 0)?;
    bpf::attach(program.as_fd(), ifindex, AttachType::Xdp, 0)
}
