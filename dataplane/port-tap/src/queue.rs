//! One queue of a TAP: one frame a system call, each behind its virtio-net header.
//!
//! Send: the header is written into the headroom, so that a frame of one buffer is one plain `write`. Where
//! there is no room (large buffers have none), the header is a piece of its own, at the cost of `writev`.
//!
//! Receive, two ways, since the length is not known beforehand:
//! - By [`TapQueue::copy`]: one plain `read` into memory of the queue's own, from there a copy into a small
//!   buffer. Cheaper for frames that fit in one, and needs no large buffer. A longer frame is copied too; if
//!   no large buffer is free then, it is lost, and counted.
//! - By [`TapQueue::scatter`]: `readv` into a small and a large buffer, chained. Saves long frames the copy.
//!
//! After a long frame the queue scatters, until [`PATIENCE`] short ones came in a row. So a queue of bulk TCP
//! scatters, one of small packets or of acknowledgements copies, one of both scatters all. A long frame is
//! copied only after that many short ones.
//!
//! Owned by one worker.

use arrayvec::ArrayVec;
use rustix::io::{Errno, read, readv, write, writev};
use std::io::{IoSlice, IoSliceMut};
use std::iter::once;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use vsw_mem::{Batch, Frame, MAX_FRAME, SMALL_DATA};
use vsw_port::{Io, PortError, PortQueue, vnet};
use vsw_types::DropReason;

/// Most buffers of a frame that is sent, its header included: a chain of the smallest pieces that the
/// longest frame comes in is shorter.
const PIECES: usize = 2 + MAX_FRAME.div_ceil(SMALL_DATA);
/// Short frames in a row after which the next is not expected to be long.
const PATIENCE: u32 = 16;

pub(crate) struct TapQueue {
    fd: OwnedFd,
    /// A header and a frame. One byte longer than any may be: the kernel cuts what does not fit, without a
    /// word. Pages that no frame reached take no memory.
    buffer: Box<[u8]>,
    /// Short frames in a row that are still to come before the next is not expected to be long.
    patience: u32,
}

impl TapQueue {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, buffer: vec![0; vnet::LEN + MAX_FRAME + 1].into(), patience: 0 }
    }

    /// Receives one frame, `None` if it is broken, by way of the queue's own memory.
    fn copy(&mut self, io: &mut Io) -> rustix::io::Result<Option<Frame>> {
        let Some(mut small) = io.frames.take() else { return Err(Errno::NOBUFS) };
        let len = match read(&self.fd, &mut *self.buffer).and_then(frame_len) {
            Ok(len) => len,
            Err(e) => {
                io.frames.recycle(small);
                return Err(e);
            }
        };
        let mut header = [0; vnet::LEN];
        let (front, data) = self.buffer[..vnet::LEN + len].split_at(vnet::LEN);
        header.copy_from_slice(front);
        if small.fill(data).is_ok() {
            return Ok(with_offload(small, &header, io));
        }
        self.patience = PATIENCE;
        let Some(mut large) = io.frames.take_large() else {
            // It has left the kernel and cannot wait there. The next one does.
            io.discard(small, DropReason::NoFrame);
            return Ok(None);
        };
        let (head, rest) = data.split_at(SMALL_DATA);
        small.room_mut().copy_from_slice(head);
        large.room_mut()[..rest.len()].copy_from_slice(rest);
        Ok(io.assemble(small, large, len).and_then(|frame| with_offload(frame, &header, io)))
    }

    /// Receives one frame, `None` if it is broken, straight into its buffers.
    fn scatter(&mut self, io: &mut Io) -> rustix::io::Result<Option<Frame>> {
        let Some(mut small) = io.frames.take() else { return Err(Errno::NOBUFS) };
        let Some(mut large) = io.frames.take_large() else {
            io.frames.recycle(small);
            return Err(Errno::NOBUFS);
        };
        let mut header = [0; vnet::LEN];
        let room = &mut [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(small.room_mut()),
            IoSliceMut::new(large.room_mut()),
        ];
        match readv(&self.fd, room).and_then(frame_len) {
            Ok(len) => {
                self.patience = if len > SMALL_DATA { PATIENCE } else { self.patience - 1 };
                Ok(io.assemble(small, large, len).and_then(|frame| with_offload(frame, &header, io)))
            }
            Err(e) => {
                io.frames.recycle(small);
                io.frames.recycle(large);
                Err(e)
            }
        }
    }

    /// Hands a frame to the kernel. Afterwards, whatever came of it, the frame is as it was.
    fn write(&self, frame: &mut Frame) -> rustix::io::Result<usize> {
        let header = vnet::encode(frame.offload());
        if frame.grow_front(vnet::LEN).is_err() {
            return self.write_pieces(once(&header[..]).chain(frame.segments()));
        }
        frame.bytes_mut()[..vnet::LEN].copy_from_slice(&header);
        let written = match frame.is_chain() {
            false => write(&self.fd, frame.bytes()),
            true => self.write_pieces(frame.segments()),
        };
        // What was opened can be closed.
        let _ = frame.shrink_front(vnet::LEN);
        written
    }

    fn write_pieces<'a>(&self, mut all: impl Iterator<Item = &'a [u8]>) -> rustix::io::Result<usize> {
        let mut pieces = ArrayVec::<IoSlice<'_>, PIECES>::new();
        let fits = all.all(|piece| pieces.try_push(IoSlice::new(piece)).is_ok());
        if fits { writev(&self.fd, &pieces) } else { Err(Errno::MSGSIZE) }
    }
}

impl PortQueue for TapQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            match if self.patience == 0 { self.copy(io) } else { self.scatter(io) } {
                Ok(frame) => into.extend(frame),
                // Without buffers the frames wait in the kernel.
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(PortError::dead(&e.into())),
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let mut done = 0;
        let mut result = Ok(());
        while let Some(frame) = from.get_mut(done) {
            match self.write(frame) {
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

/// The length of a frame that was read with its header. A device that leaves out the header is not ours.
fn frame_len(read: usize) -> rustix::io::Result<usize> {
    read.checked_sub(vnet::LEN).ok_or(Errno::IO)
}

/// A received frame with what its header says, unless that is a lie.
fn with_offload(mut frame: Frame, header: &[u8; vnet::LEN], io: &mut Io) -> Option<Frame> {
    match vnet::decode(header, frame.len()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use vsw_mem::{FramePool, PoolSize};

    /// A queue, and what gives it so many bytes to read: a datagram, since no TAP gives these.
    fn queue(large: u32) -> (TapQueue, Io, impl Fn(usize)) {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let io = Io::new(FramePool::leak(PoolSize { small: 8, large }).unwrap());
        let give = move |len| _ = far.send(&vec![0; len]).unwrap();
        (TapQueue::new(near.into()), io, give)
    }

    /// Lengths of the frames that come, and how many were counted as lost for this reason.
    fn receive(queue: &mut TapQueue, io: &mut Io, reason: DropReason) -> (Vec<usize>, u32) {
        let mut batch = Batch::new();
        queue.recv(&mut batch, io).unwrap();
        let lengths = batch.iter().map(Frame::len).collect();
        batch.into_iter().for_each(|frame| io.frames.recycle(frame));
        (lengths, io.take_tally().map_or(0, |t| t[reason as usize]))
    }

    #[test]
    fn a_frame_longer_than_the_longest_is_counted() {
        let (mut queue, mut io, give) = queue(2);
        // Each length is expected to be short, then long.
        for len in [MAX_FRAME, MAX_FRAME + 1, MAX_FRAME + 5000] {
            queue.patience = 0;
            [len, 60, len].into_iter().for_each(|len| give(vnet::LEN + len));
            let expected = if len > MAX_FRAME { (vec![60], 2) } else { (vec![len, 60, len], 0) };
            assert_eq!(receive(&mut queue, &mut io, DropReason::OverLong), expected);
        }
    }

    #[test]
    fn without_a_large_buffer_short_frames_come_and_long_ones_wait() {
        let (mut queue, mut io, give) = queue(1);
        let held = io.frames.take_large().unwrap();
        [60, 3000, 4000].into_iter().for_each(|len| give(vnet::LEN + len));
        assert_eq!(
            receive(&mut queue, &mut io, DropReason::NoFrame),
            (vec![60], 1),
            "the first was a surprise"
        );
        assert_eq!(receive(&mut queue, &mut io, DropReason::NoFrame), (vec![], 0));
        io.frames.recycle(held);
        assert_eq!(receive(&mut queue, &mut io, DropReason::NoFrame), (vec![4000], 0));
    }

    #[test]
    fn what_has_no_header_is_no_tap() {
        let (mut queue, mut io, give) = queue(1);
        for patience in [0, 1] {
            queue.patience = patience;
            give(vnet::LEN - 1);
            assert!(queue.recv(&mut Batch::new(), &mut io).is_err());
        }
    }
}
