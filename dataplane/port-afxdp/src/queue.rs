//! The packet path of one queue: frames to descriptors and back.
//!
//! A frame that came in through any AF_XDP port lies in a chunk of the UMEM that every socket knows, so it
//! goes out by its address, without a copy; only what lies in a large buffer, or in too many small ones, is
//! copied into chunks first. In copy mode the kernel sends at most 32 descriptors a call
//! (`TX_BATCH_SIZE`), so a kick is a few calls. A frame that the kernel's driver then drops (the peer of a
//! veth is down or its ring full) is counted by the interface, not here.
//!
//! Thread-safety: owned by one worker.

use crate::attachment::Attachment;
use crate::held::Held;
use crate::partial;
use crate::socket::{Binding, QueueId, Socket};
use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use vsw_mem::{BATCH, Batch, Frame, FrameCache, FramePool, Offload, SMALL_DATA};
use vsw_port::{Io, PortError, PortQueue};
use vsw_types::DropReason;

/// Most descriptors of one frame: MAX_SKB_FRAGS, `include/linux/skbuff.h`.
pub(crate) const MAX_PARTS: usize = 17;
/// Shortest frame that the kernel can send: an Ethernet header.
const SHORTEST: usize = 14;
/// Descriptors looked at in one `recv`, so that a flood of broken frames ends.
const MOST_DESCRIPTORS: usize = 8 * BATCH;
/// System calls of one kick.
const MOST_CALLS: usize = 64;
/// Flushes between two looks at the kernel's counters.
const STATISTICS_EVERY: u32 = 1024;

/// One queue pair of a port.
#[derive(Debug)]
pub(crate) struct Queue {
    // In the order in which they go: the chunks can be free when the socket is closed.
    socket: Socket,
    held: Held,
    /// The beginning of a frame whose rest has not come yet.
    begun: Option<Frame>,
    /// The rest of a frame that is too long is coming.
    skipping: bool,
    binding: Binding,
    /// Whether senders leave checksums unfinished.
    unfinished: bool,
    flushes: u32,
    /// The kernel's count of lost frames when last read.
    lost: u64,
    dead: Option<Errno>,
    _attachment: Arc<Attachment>,
}

impl Queue {
    pub(crate) fn new(
        socket: Socket,
        pool: &'static FramePool,
        at: QueueId,
        binding: Binding,
        unfinished: bool,
        attachment: Arc<Attachment>,
    ) -> Self {
        let mut queue = Self {
            socket,
            held: Held::new(pool, at),
            begun: None,
            skipping: false,
            binding,
            unfinished,
            flushes: 0,
            lost: 0,
            dead: None,
            _attachment: attachment,
        };
        queue.offer(u32::MAX, &mut FrameCache::new(pool));
        queue
    }

    fn alive(&self) -> Result<(), PortError> {
        self.dead.map_or(Ok(()), |e| Err(PortError::dead(&io::Error::from(e))))
    }

    /// Gives free chunks to the kernel, up to `most`, or as many as there is room for.
    fn offer(&mut self, most: u32, frames: &mut FrameCache) {
        let room = self.socket.fill.room(BATCH as u32);
        if room < BATCH as u32 {
            return;
        }
        for _ in 0..room.min(most) {
            let Some(frame) = frames.take() else { break };
            self.socket.fill.push(self.held.give(frame));
        }
        self.socket.fill.publish();
    }

    /// The frame that is whole with this buffer. `None` when more is to come.
    #[cold]
    fn assemble(&mut self, part: Frame, more: bool, io: &mut Io) -> Option<Frame> {
        if self.skipping {
            io.frames.recycle(part);
            self.skipping = more;
            return None;
        }
        let frame = match self.begun.take() {
            None => part,
            Some(mut frame) => match frame.append(part) {
                Ok(()) => frame,
                Err(part) => {
                    io.frames.recycle(part);
                    io.discard(frame, DropReason::OverLong);
                    self.skipping = more;
                    return None;
                }
            },
        };
        if more {
            self.begun = Some(frame);
            return None;
        }
        Some(frame)
    }

    /// How many frames from the front the TX ring has room for.
    fn fitting(&mut self, from: &Batch) -> usize {
        let mut room = self.socket.tx.room(BATCH as u32) as usize;
        let fits = |frame: &&Frame| {
            let slots =
                if is_chunk(frame) { 1 } else { frame.segment_count().max(frame.len().div_ceil(SMALL_DATA)) };
            let fits = slots <= room;
            room = room.saturating_sub(slots);
            fits
        };
        from.iter().take_while(fits).count()
    }

    /// Puts one frame into the TX ring, which has room for it.
    fn enqueue(&mut self, frame: Frame, io: &mut Io) {
        if is_chunk(&frame) && frame.bytes().len() >= SHORTEST {
            return self.push(frame, 0);
        }
        if frame.len() < SHORTEST {
            return io.discard(frame, DropReason::Runt);
        }
        let mut parts = match self.parts(frame, io) {
            Ok(parts) => parts.into_iter().peekable(),
            Err((frame, reason)) => return io.discard(frame, reason),
        };
        while let Some(part) = parts.next() {
            let more = if parts.peek().is_some() { libc::XDP_PKT_CONTD } else { 0 };
            self.push(part, more);
        }
    }

    fn push(&mut self, part: Frame, options: u32) {
        let len = part.bytes().len() as u32;
        let addr = self.held.give(part);
        self.socket.tx.push(libc::xdp_desc { addr, len, options });
    }

    /// The frame as single chunks, copied only where it must be.
    #[cold]
    fn parts(&self, frame: Frame, io: &mut Io) -> Result<ArrayVec<Frame, MAX_PARTS>, (Frame, DropReason)> {
        let most = if self.binding.multi_buffer { MAX_PARTS } else { 1 };
        let mut parts = ArrayVec::new();
        if frame.segment_count() <= most && frame.is_small_throughout() {
            let mut next = Some(frame);
            while let Some(mut part) = next {
                next = part.split_rest();
                parts.push(part);
            }
            return Ok(parts);
        }
        if frame.len() > most * SMALL_DATA {
            return Err((frame, DropReason::TooBig));
        }
        let mut from = frame.segments();
        let mut rest: &[u8] = &[];
        let mut left = frame.len();
        while left > 0 {
            let Some(mut part) = io.frames.take() else {
                parts.into_iter().for_each(|part: Frame| io.frames.recycle(part));
                drop(from);
                return Err((frame, DropReason::NoFrame));
            };
            let mut filled = 0;
            let room = part.room_mut();
            while filled < left.min(room.len()) {
                if rest.is_empty() {
                    rest = from.next().unwrap_or_default();
                    continue;
                }
                let n = rest.len().min(room.len() - filled);
                room[filled..filled + n].copy_from_slice(&rest[..n]);
                (filled, rest) = (filled + n, &rest[n..]);
            }
            part.set_len(filled);
            left -= filled;
            parts.push(part);
        }
        drop(from);
        io.frames.recycle(frame);
        Ok(parts)
    }

    /// Takes back what the kernel has sent.
    fn complete(&mut self, frames: &mut FrameCache) {
        while let Some(addr) = self.socket.completion.pop() {
            // SAFETY: the kernel put it into the completion ring: it is done with it.
            if let Some(frame) = unsafe { self.held.take(addr, 0) } {
                frames.recycle(frame);
            }
        }
        self.socket.completion.release();
    }

    /// Has the kernel send what is in the TX ring, and takes back what it has sent.
    fn kick(&mut self, frames: &mut FrameCache) {
        let mut backlog = self.socket.tx.backlog();
        for _ in 0..MOST_CALLS {
            if backlog == 0 || !self.socket.tx.needs_wakeup() {
                break;
            }
            match send(self.socket.as_fd(), &[], SendFlags::DONTWAIT) {
                // AGAIN: 32 sent, or no memory; BUSY: the driver dropped one; NOBUFS: its queue is full.
                Ok(_) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::NOMEM | Errno::INTR) => {}
                Err(Errno::NETDOWN) => break, // it may come up again
                Err(e) => {
                    self.dead = Some(e);
                    break;
                }
            }
            self.complete(frames);
            let left = self.socket.tx.backlog();
            if left == backlog {
                break; // the next flush tries again
            }
            backlog = left;
        }
        self.complete(frames);
    }

    #[cold]
    fn count_lost(&mut self, io: &mut Io) {
        if let Ok(lost) = self.socket.lost() {
            let new = u32::try_from(lost - self.lost).unwrap_or(u32::MAX);
            if new > 0 {
                io.count(DropReason::KernelQueueFull, new);
            }
            self.lost = lost;
        }
    }
}

/// Whether it is one chunk of the UMEM, to be sent by its address.
#[inline]
fn is_chunk(frame: &Frame) -> bool {
    frame.is_small() && !frame.is_chain()
}

impl PortQueue for Queue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.alive()?;
        for _ in 0..MOST_DESCRIPTORS {
            if into.is_full() {
                break;
            }
            let Some(descriptor) = self.socket.rx.pop() else { break };
            // SAFETY: the kernel put it into the RX ring: the chunk is ours again.
            let Some(mut frame) = (unsafe { self.held.take(descriptor.addr, descriptor.len) }) else {
                continue;
            };
            let more = descriptor.options & libc::XDP_PKT_CONTD != 0;
            if more || self.begun.is_some() || self.skipping {
                match self.assemble(frame, more, io) {
                    Some(whole) => frame = whole,
                    None => continue,
                }
            }
            if self.unfinished
                && let Some(csum) = partial::unfinished(frame.bytes(), frame.len())
            {
                frame.set_offload(Offload { csum, gso: None });
            }
            into.push(frame);
        }
        self.socket.rx.release();
        self.offer(2 * BATCH as u32, &mut io.frames);
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.alive()?;
        let mut kicked = false;
        while !from.is_empty() {
            let n = self.fitting(from);
            if n == 0 {
                if std::mem::replace(&mut kicked, true) {
                    break;
                }
                self.kick(&mut io.frames);
                continue;
            }
            for frame in from.drain(..n) {
                self.enqueue(frame, io);
            }
            self.socket.tx.publish();
        }
        Ok(())
    }

    fn flush(&mut self, io: &mut Io) {
        if self.dead.is_some() {
            return;
        }
        self.kick(&mut io.frames);
        if self.socket.fill.needs_wakeup() {
            // What is wrong is told by the next `send`, or by the device.
            let _ = recv(self.socket.as_fd(), &mut [0_u8; 0][..], RecvFlags::DONTWAIT);
        }
        self.flushes = self.flushes.wrapping_add(1);
        if self.flushes.is_multiple_of(STATISTICS_EVERY) {
            self.count_lost(io);
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
