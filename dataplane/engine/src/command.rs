//! What housekeeping tells a worker, and what a worker tells housekeeping.

use std::sync::mpsc;
use vsw_port::{PortCaps, PortQueue};
use vsw_types::PortIdx;

/// A port, as one worker gets to know it.
#[derive(Debug)]
pub struct Attach {
    pub port: PortIdx,
    pub caps: PortCaps,
    /// Bytes of L3 payload; longer frames do not leave by this port.
    pub mtu: u32,
    /// The worker that sends by it when what is sent has to wait: one that has a queue.
    pub home: usize,
    /// The queue that this worker owns from now on, or else the worker that has one.
    pub via: Via,
}

/// How a worker reaches a port.
pub enum Via {
    Queue(Box<dyn PortQueue>),
    Worker(usize),
    /// It has no queue: a patch port.
    Engine,
}

impl std::fmt::Debug for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Queue(_) => f.write_str("Queue"),
            Self::Worker(w) => write!(f, "Worker({w})"),
            Self::Engine => f.write_str("Engine"),
        }
    }
}

pub(crate) enum Command {
    Attach(Attach),
    /// Forget the port; its queue, if there is one, is given back. Frames on their way out of it die.
    Detach(PortIdx, mpsc::Sender<Option<Box<dyn PortQueue>>>),
    /// Another MTU for a port that stays.
    SetMtu(PortIdx, u32),
    /// Other capabilities for a port that stays.
    SetCaps(PortIdx, PortCaps),
    /// Say when everything told before is done.
    Sync(mpsc::Sender<()>),
    Stop,
}

/// What a worker tells housekeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A queue of this port stopped working; ask its device.
    Broken(PortIdx, String),
    /// Stations came, moved or gave way since [`crate::Engine::watch_stations`]. Told once.
    Stations,
}
