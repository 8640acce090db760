//! One queue of a TAP: one frame a system call, each with its virtio-net header.
//!
//! A frame of up to [`SMALL_DATA`] bytes touches only its small buffer; of a longer one the rest lands in
//! a large buffer, which becomes the second of its chain. Owned by one worker.

use arrayvec::ArrayVec;
use rustix::io::{Errno, readv, writev};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use vsw_mem::{Batch, Frame, MAX_FRAME, SMALL_DATA};
use vsw_port::{Io, PortError, PortQueue, vnet};
use vsw_types::DropReason;

/// Most buffers of a frame that is sent, its header included: a chain of the smallest pieces that the
/// longest frame comes in is shorter.
const PIECES: usize = 2 + MAX_FRAME.div_ceil(SMALL_DATA);

pub(crate) struct TapQueue {
    fd: OwnedFd,
}

impl TapQueue {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Reads one frame into the buffers of `small` and, behind it, `large`: its length and header.
    fn read(&self, small: &mut Frame, large: &mut Frame) -> rustix::io::Result<(usize, [u8; vnet::LEN])> {
        let mut header = [0; vnet::LEN];
        let room = &mut [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(small.room_mut()),
            IoSliceMut::new(large.room_mut()),
        ];
        let n = readv(&self.fd, room)?;
        Ok((n.saturating_sub(vnet::LEN), header))
    }
}

impl PortQueue for TapQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            // Without buffers the frames wait in the kernel.
            let Some((mut small, mut large)) = io.frames.take().zip(io.frames.take_large()) else { break };
            match self.read(&mut small, &mut large) {
                Ok((len, header)) => into.extend(assemble(small, large, len, header, io)),
                Err(e) => {
                    io.frames.recycle(small);
                    io.frames.recycle(large);
                    match e {
                        Errno::AGAIN => break,
                        Errno::INTR => {}
                        e => return Err(PortError::dead(&e.into())),
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let mut done = 0;
        let mut result = Ok(());
        while let Some(frame) = from.get(done) {
            let header = vnet::encode(frame.offload());
            let mut pieces = ArrayVec::<IoSlice<'_>, PIECES>::new();
            pieces.push(IoSlice::new(&header));
            let fits = frame.segments().all(|s| pieces.try_push(IoSlice::new(s)).is_ok());
            match if fits { writev(&self.fd, &pieces) } else { Err(Errno::MSGSIZE) } {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(e @ (Errno::BADFD | Errno::BADF)) => {
                    result = Err(PortError::dead(&e.into()));
                    break;
                }
                // For the frame's sake; or EIO: the interface is down, which is the owner's choice.
                Err(_) => io.count(DropReason::TxError, 1),
            }
            done += 1;
        }
        from.drain(..done).for_each(|frame| io.frames.recycle(frame));
        result
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

/// The frame whose `len` bytes were read into both buffers, unless it is broken.
fn assemble(small: Frame, large: Frame, len: usize, header: [u8; vnet::LEN], io: &mut Io) -> Option<Frame> {
    let mut frame = io.assemble(small, large, len)?;
    match vnet::decode(&header, len) {
        Ok(offload) => {
            frame.set_offload(offload);
            Some(frame)
        }
        Err(reason) => {
            io.discard(frame, reason);
            None
        }
    }
}
