//! Traffic for measurements: a generator that outruns a switch, and a sink that counts.
//!
//! Frames are made by the kernel itself (`bpf::run_live`) and redirected into an interface by an XDP
//! program, several times as fast as a raw socket sends them; the sink is an XDP program that counts and
//! drops. A veth takes redirected frames only when its other end has an XDP program or GRO switched on.
//!
//! Both work in the namespace of the thread that makes them, and the generator also in that of the thread
//! that runs it. Thread-safety: the counts may be read from anywhere at any time.

use crate::bpf::{self, AttachType, Counter, Insn, ProgramType};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
const BPF_FUNC_REDIRECT: i32 = 23;

/// Copies of one frame, sent out of one interface.
#[derive(Debug)]
pub struct Generator {
    program: OwnedFd,
    offered: Counter,
    frame: Vec<u8>,
}

impl Generator {
    /// Will send `frame` (without FCS) out of the interface.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN.
    pub fn new(ifindex: u32, frame: &[u8]) -> io::Result<Self> {
        let offered = Counter::new()?;
        let mut code = offered.increment().to_vec();
        code.extend([
            Insn::new(0xb7, 1, 0, 0, ifindex as i32),    // r1 = ifindex
            Insn::new(0xb7, 2, 0, 0, 0),                 // r2 = no flags
            Insn::new(0x85, 0, 0, 0, BPF_FUNC_REDIRECT), // r0 = bpf_redirect(r1, r2)
            Insn::new(0x95, 0, 0, 0, 0),                 // exit
        ]);
        let program = bpf::load(ProgramType::Xdp, &code, 0)?;
        Ok(Self { program, offered, frame: frame.to_vec() })
    }

    /// Sends so many frames and returns when all are on their way or dropped by the interface. Ask for
    /// many at once: each call ends with a pause of some milliseconds.
    ///
    /// # Errors
    /// As [`bpf::run_live`].
    pub fn offer(&self, frames: u32) -> io::Result<()> {
        bpf::run_live(self.program.as_fd(), &self.frame, frames)
    }

    /// Frames sent so far, also those that the interface had no room for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn offered(&self) -> io::Result<u64> {
        self.offered.read()
    }
}

/// Counts what an interface receives, and drops it. Ends when dropped.
#[derive(Debug)]
pub struct Sink {
    received: Counter,
    _link: OwnedFd,
}

impl Sink {
    /// # Errors
    /// As [`bpf::attach`].
    pub fn attach(ifindex: u32) -> io::Result<Self> {
        let received = Counter::new()?;
        let mut code = received.increment().to_vec();
        code.extend(Insn::answer(XDP_DROP));
        let link = attach(ifindex, &code)?;
        Ok(Self { received, _link: link })
    }

    /// Frames received so far.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn received(&self) -> io::Result<u64> {
        self.received.read()
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
