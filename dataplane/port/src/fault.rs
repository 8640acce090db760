//! A port that fails to order: wraps another and refuses, loses or breaks, by a script.
//!
//! For tests of what the engine does then. Owned by one worker, as the queue it wraps; the [`Faults`]
//! handle is shared with the test.

use crate::{Io, PortError, PortQueue};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use vsw_mem::Batch;
use vsw_types::DropReason;

/// What goes wrong next. Each number counts down by one per event.
#[derive(Debug, Default)]
pub struct Faults {
    /// Calls to `send` that find the queue full.
    pub full: AtomicU32,
    /// Frames that the device refuses for their own sake.
    pub refuse: AtomicU32,
    /// Frames lost before they were received.
    pub lose: AtomicU32,
    /// From now on nothing works.
    pub dead: AtomicBool,
}

/// The wrapped queue.
pub struct FaultQueue {
    inner: Box<dyn PortQueue>,
    faults: Arc<Faults>,
}

impl std::fmt::Debug for FaultQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultQueue").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl FaultQueue {
    pub fn wrap(inner: Box<dyn PortQueue>) -> (Self, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        (Self { inner, faults: faults.clone() }, faults)
    }

    fn alive(&self) -> Result<(), PortError> {
        if self.faults.dead.load(Relaxed) {
            return Err(PortError::missing("the port was made to fail", "end the test"));
        }
        Ok(())
    }
}

/// Takes one of `n` if there is one left.
fn strike(n: &AtomicU32) -> bool {
    n.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok()
}

impl PortQueue for FaultQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.alive()?;
        self.inner.recv(into, io)?;
        while !into.is_empty() && strike(&self.faults.lose) {
            if let Some(frame) = into.pop() {
                io.discard(frame, DropReason::KernelQueueFull);
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.alive()?;
        if strike(&self.faults.full) {
            return Ok(());
        }
        while !from.is_empty() && strike(&self.faults.refuse) {
            io.discard(from.remove(0), DropReason::TxError);
        }
        self.inner.send(from, io)
    }

    fn flush(&mut self, io: &mut Io) {
        self.inner.flush(io);
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.inner.readiness()
    }
}
