//! The `afxdp` kind of port: an interface that exists, attached through AF_XDP sockets.
//!
//! An XDP program takes every frame of every queue of the interface into a socket per queue, whose memory
//! is the frame pool: a frame goes from one AF_XDP port to another without a copy in user space. Best mode
//! first: in the driver, else in the kernel's generic hook; zero-copy, else copy; frames of several chunks
//! where the kernel has them (Linux 6.6). [`vsw_port::PortInfo::mode`] says which it became, and why not
//! better.
//!
//! The host's own stack sees nothing of what is received on the interface while the port has it.
//!
//! Put back when the port goes, and by [`AfxdpDriver::recover`] after a crash: channels, MTU, VLAN
//! stripping. Program, sockets and promiscuous mode end with the descriptors that hold them.
//!
//! Known limits, both of what a sender on the same host leaves to the device and XDP does not tell. A VLAN
//! interface on top of the other end of a veth keeps the tag beside the frame, where it is lost
//! (`ethtool -K PEER txvlan off`). In the generic hook of a virtual device segmentation offload frames
//! arrive whole, too large to go on (`ethtool -K PEER tso off gso off`); in the driver's hook of a veth the
//! kernel sees to that itself.
//!
//! Thread-safety: the driver is shared; a queue is owned by one worker.
#![allow(unsafe_code)] // this crate is one of the addresses of `unsafe`

mod attachment;
mod device;
mod held;
mod open;
mod partial;
mod program;
mod queue;
mod ring;
mod settings;
mod socket;

use std::path::PathBuf;
use vsw_mem::FramePool;
use vsw_port::{Driver, OpenPort, PortError, PortSpec};
use vsw_port_os::shortcut::BoardCell;

/// Opens AF_XDP ports.
#[derive(Debug)]
pub struct AfxdpDriver {
    journals: PathBuf,
    shortcut: Option<BoardCell>,
}

impl AfxdpDriver {
    /// `journal_dir` is where is written down what ports change about their interfaces, for the next
    /// process to put back if this one is killed. It should be ours alone, exist, and not outlive a boot.
    pub fn new(journal_dir: PathBuf) -> Self {
        Self { journals: journal_dir, shortcut: None }
    }

    /// Ports in the driver's hook get seats at the kernel's shortcut.
    pub fn with_shortcut(self, board: BoardCell) -> Self {
        Self { shortcut: Some(board), ..self }
    }
}

impl Driver for AfxdpDriver {
    fn kind(&self) -> &'static str {
        "afxdp"
    }

    fn recover(&self) -> Vec<String> {
        settings::recover(&self.journals)
    }

    fn check(&self, spec: &PortSpec) -> Result<(), PortError> {
        open::check(spec)
    }

    fn open(&self, spec: &PortSpec, pool: &'static FramePool) -> Result<OpenPort, PortError> {
        open::open(&self.journals, self.shortcut.as_ref(), spec, pool)
    }
}
