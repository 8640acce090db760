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

impl PortQueue for Endless {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        if self.flows.is_empty() {
            return Ok(());
        }
        while into.len() < BATCH {
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
