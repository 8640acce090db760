//! A port in memory that never runs dry, and does per frame what a driver does: takes a buffer, writes
//! the frame, hands it over; takes a frame to send, and gives its buffer back.
//!
//! Thread-safety: as any [`PortQueue`], it belongs to one worker.

use std::os::fd::BorrowedFd;
use vsw_mem::{BATCH, Batch};
use vsw_port::{Io, PortError, PortQueue};
use vsw_types::DropReason;

/// Bytes of a frame of 64 bytes, without its FCS.
const LEN: usize = 60;

/// Destination and source address.
pub(crate) type Addresses = [u8; 12];

/// Frames with these addresses, in turn.
#[derive(Debug)]
pub(crate) struct Endless {
    flows: Vec<Addresses>,
    next: usize,
    frame: [u8; LEN],
}

impl Endless {
    /// Without flows it has nothing to receive, and only takes.
    pub(crate) fn new(flows: Vec<Addresses>) -> Self {
        let mut frame = [0x55; LEN];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]); // IEEE 802: local experimental
        Self { flows, next: 0, frame }
    }
}

impl Endless {
    /// Changes the addresses of the next `n` frames, and of those that come after a lap.
    pub(super) fn rename(&mut self, n: usize, mut f: impl FnMut(&mut Addresses)) {
        let flows = self.flows.len();
        (self.next..self.next + n).for_each(|i| f(&mut self.flows[i % flows]));
    }

    /// `n` frames more, as far as a batch takes them.
    pub(super) fn give(&mut self, n: usize, into: &mut Batch, io: &mut Io) {
        if self.flows.is_empty() {
            return;
        }
        let end = (into.len() + n).min(BATCH);
        while into.len() < end {
            let Some(mut frame) = io.frames.take() else {
                io.count(DropReason::NoFrame, 1);
                break;
            };
            self.frame[..12].copy_from_slice(&self.flows[self.next]);
            self.next += 1;
            if self.next == self.flows.len() {
                self.next = 0;
            }
            frame.room_mut()[..LEN].copy_from_slice(&self.frame);
            frame.set_len(LEN);
            into.push(frame);
        }
    }
}

impl PortQueue for Endless {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.give(BATCH, into, io);
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        from.drain(..).for_each(|frame| io.frames.recycle(frame));
        Ok(())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
