//! What a port is to the rest of the switch: a device with queues.
//!
//! A [`Driver`] opens ports of one kind; a [`Device`] is the open port as housekeeping sees it; a
//! [`PortQueue`] is one receive and transmit pair of it, owned by one worker. Calls are dynamic, once a
//! batch, never once a packet.
//!
//! Thread-safety: drivers and devices are called from housekeeping threads and may block for as long as
//! the kernel takes. A queue is moved into one worker and called from there only; nothing in it blocks.
//! Dropping the device and all its queues closes the port and undoes what opening it did to the host.
#![forbid(unsafe_code)]

mod error;
pub mod fault;
mod io;
pub mod pcap;
pub mod sim;
pub mod vnet;

pub use error::PortError;
pub use io::Io;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use vsw_mem::{Batch, FramePool};
use vsw_types::{MacAddr, Name};

/// What an open port's way out can take. What it cannot, the engine does in software before `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCaps {
    /// Finishes L4 checksums.
    pub csum: bool,
    /// Cuts TCP over IPv4, TCP over IPv6, UDP. Each implies `csum`.
    pub tso4: bool,
    pub tso6: bool,
    pub uso: bool,
    /// Takes frames of more than one buffer.
    pub chains: bool,
}

impl PortCaps {
    pub const ALL: Self = Self { csum: true, tso4: true, tso6: true, uso: true, chains: true };
    pub const NONE: Self = Self { csum: false, tso4: false, tso6: false, uso: false, chains: false };

    /// As `show` lists them.
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.csum, "csum"), (self.tso4, "tso4"), (self.tso6, "tso6"), (self.uso, "uso")];
        all.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

/// What `show` says of an open port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// How it works, and why not better, in a few words: "vnet_hdr", "native, copy: veth has no zero-copy".
    pub mode: String,
    /// The attached side's address, where it is known.
    pub mac: Option<MacAddr>,
    /// Bytes of L3 payload.
    pub mtu: u32,
    /// What its way out can take now.
    pub caps: PortCaps,
}

/// Where the kernel's own programs know a port that they may receive from on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcut {
    /// The port's number there.
    pub seat: u32,
    /// Whether they may also send to it, as it is now.
    pub takes: bool,
}

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// The interface.
    pub ifname: Name,
    /// The file that stands for its network namespace; `None`: our own. Only for kinds that make their
    /// interface.
    pub netns: Option<PathBuf>,
    pub mac: Option<MacAddr>,
    pub mtu: Option<u16>,
    /// Queue pairs asked for; `None`: as many as suit the device and `workers`.
    pub queues: Option<u16>,
    /// Workers that could each have a queue of their own.
    pub workers: u16,
    /// Where the other side is met. Only for kinds that meet it at a Unix socket.
    pub socket: Option<SocketSpec>,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSpec {
    /// Absolute.
    pub path: PathBuf,
    /// We make it and wait there; else the other side does.
    pub server: bool,
}

/// A port just opened.
pub struct OpenPort {
    pub device: Box<dyn Device>,
    /// At least one.
    pub queues: Vec<Box<dyn PortQueue>>,
}

impl std::fmt::Debug for OpenPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPort").field("queues", &self.queues.len()).finish_non_exhaustive()
    }
}

/// Opens ports of one kind. One per kind in the process, made in `main`.
pub trait Driver: Send + Sync {
    /// The kind as configuration spells it, e.g. `tap`.
    fn kind(&self) -> &'static str;

    /// Finds and undoes what an earlier process of ours left behind when it was killed. Called once,
    /// before anything is opened. Returns a sentence for each thing done.
    fn recover(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the host would let this be opened. Changes nothing; asked before a configuration is
    /// accepted. Only [`PortError::Refused`] stops it; what is merely missing now may come.
    ///
    /// # Errors
    /// As [`Driver::open`].
    fn check(&self, spec: &PortSpec) -> Result<(), PortError>;

    /// Opens the port. May block; never runs on a worker. On error nothing is left changed.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the operator must change something, [`PortError::Missing`] when it can
    /// come right by itself and will be tried again.
    fn open(&self, spec: &PortSpec, pool: &'static FramePool) -> Result<OpenPort, PortError>;
}

/// An open port, as housekeeping sees it.
pub trait Device: Send {
    /// What is true now; asked as often as [`Device::health`].
    fn info(&self) -> PortInfo;

    /// How it is now. Called about once a second, and when the kernel tells of a change to a link; must
    /// not wait for anybody.
    fn health(&mut self) -> Health;

    /// `None`: the kernel hands nothing on by itself. Called as often as [`Device::health`].
    fn shortcut(&self) -> Option<Shortcut> {
        None
    }

    /// Makes MAC and MTU what `spec` says, without closing.
    ///
    /// # Errors
    /// When it cannot be done on an open device; the old values stay in force. [`PortError::Refused`]
    /// says what the operator can do.
    fn configure(&mut self, spec: &PortSpec) -> Result<(), PortError>;
}

/// How an open port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Carries frames.
    Up,
    /// Open, but nobody is at the other end or the link is down; the reason in words.
    Down(String),
    /// Open, but given up for a while for what the other side did; the reason in words. The device tries
    /// again by itself.
    Failed(String),
    /// Beyond repair: close it, and try to open it again now and then.
    Lost(PortError),
}

/// One receive and transmit queue pair, owned by one worker. Nothing here blocks, allocates or logs.
pub trait PortQueue: Send {
    /// Appends received frames to `into`, up to its capacity, with buffers from `io.frames`. A frame that
    /// came broken is given to [`Io::discard`]. Nothing there is not an error.
    ///
    /// # Errors
    /// When the queue will never work again; housekeeping then asks [`Device::health`]. Frames appended
    /// before the error count.
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError>;

    /// Sends frames from the front of `from`, which it takes out. What is left in `from` found the queue
    /// full: the caller counts it. A frame that the device refuses for its own sake is given to
    /// [`Io::discard`]. Every frame is within the port's [`PortCaps`] as [`Device::info`] last told them:
    /// where these change while the port is open, `send` may get frames beyond the new ones for a moment.
    ///
    /// # Errors
    /// When the queue will never work again.
    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError>;

    /// Tells the other side that there is work, and takes back what it has finished with. Called once at
    /// the end of a pass that sent or received, and before the worker goes to sleep.
    fn flush(&mut self, io: &mut Io) {
        let _ = io;
    }

    /// Called before the worker leaves the queue alone until it is readable ([`PortQueue::readiness`]). `false`:
    /// it may not yet, there is something, or something that was taken has to be given back.
    fn arm(&mut self) -> bool {
        true
    }

    /// Readable when there is something to receive. `None`: this queue must be polled.
    fn readiness(&self) -> Option<BorrowedFd<'_>>;
}
