//! One packet socket: frames are read from its ring, and many are sent by one system call.
//!
//! A frame of up to [`vsw_mem::SMALL_DATA`] bytes needs only a small buffer; of a longer one the rest goes to
//! a large buffer, which becomes the second of its chain. A frame that is too long for the ring is received
//! from the socket when its turn comes, by a system call; all are, several a call, if there is no ring. Large
//! buffers are few, so none is kept between calls. Owned by one worker.

use crate::drops::Drops;
use crate::ring::{Kind, Ring, SLOTS};
use crate::slots::{Received, Slots};
use arrayvec::ArrayVec;
use rustix::net::sockopt::socket_error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use vsw_mem::{BATCH, Batch, Frame, SMALL_DATA};
use vsw_port::{Io, PortError, PortQueue, vnet};
use vsw_types::DropReason;
use vsw_wire::eth::ADDRESSES_LEN;
use vsw_wire::vlan::{self, TAG_LEN};

/// Frames asked for when there were none.
const FEW: usize = 4;
/// Looks at an empty ring between two for an error of the socket, which are system calls.
const LOOKS: u32 = 64;

pub(crate) struct PacketQueue {
    ring: Option<Ring>,
    socket: Arc<Drops>,
    slots: Box<Slots>,
    /// Frames to ask for, without a ring.
    want: usize,
    /// Slots read since the ring was last empty.
    run: usize,
    /// Looks at it that found nothing.
    vain: u32,
    /// The kernel may have had more than it could keep since its drops were counted.
    behind: bool,
}

impl PacketQueue {
    pub(crate) fn new(socket: Arc<Drops>, ring: Option<Ring>) -> Self {
        Self { ring, socket, slots: Slots::new(), want: FEW, run: 0, vain: 0, behind: false }
    }

    /// Frames that never saw a ring.
    fn recv_from_socket(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            let (asked, got) = receive(&self.socket.fd, &mut self.slots, self.want, into, io);
            if asked == 0 {
                break;
            }
            let came = *got.as_ref().unwrap_or(&0);
            self.want = if came == asked { (2 * self.want).min(BATCH) } else { (came + 1).max(FEW) };
            self.behind |= came == BATCH || into.is_full();
            match got {
                Ok(came) if came == asked => {}
                Ok(_) => break,
                Err(e) => return lost(&e, io).map(drop),
            }
        }
        Ok(())
    }

    /// Nothing is in the ring.
    fn found_nothing(&mut self) -> Result<(), PortError> {
        // As many as that were there at once: there may have been more.
        self.behind |= std::mem::take(&mut self.run) >= SLOTS;
        self.vain = self.vain.wrapping_add(1);
        // One that is not taken would be reported as readiness for ever.
        if self.vain.is_multiple_of(LOOKS)
            && let Ok(Err(e)) = socket_error(&self.socket.fd)
            && e != rustix::io::Errno::NETDOWN
        {
            return Err(PortError::dead(&e.into()));
        }
        Ok(())
    }
}

impl PortQueue for PacketQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let Some(ring) = &mut self.ring else { return self.recv_from_socket(into, io) };
        let mut left = into.remaining_capacity();
        while left > 0 {
            let Some(slot) = ring.next() else { return self.found_nothing() };
            self.behind |= slot.losing();
            let read = match slot.kind() {
                Kind::Frame(received, bytes) => {
                    // Without buffers the frames wait in the ring.
                    let Some(frame) = copy(bytes, io) else { return Ok(()) };
                    into.extend(finished(frame, &received, io));
                    1
                }
                Kind::InSocket => {
                    let most = ring.in_socket(left);
                    match receive(&self.socket.fd, &mut self.slots, most, into, io).1 {
                        Ok(came) => came,
                        // A place without its frame. It cannot be, and it must not stop the others.
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => drop_one(io),
                        Err(e) => lost(&e, io)?,
                    }
                }
                // The socket was full; else the whole frame would be there.
                Kind::Cut => drop_one(io),
            };
            if read == 0 {
                break;
            }
            ring.release(read);
            self.run += read;
            left -= read;
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !from.is_empty() {
            match self.slots.send(&self.socket.fd, from).map_err(|e| (e.raw_os_error(), e)) {
                Ok(sent) => from.drain(..sent).for_each(|frame| io.frames.recycle(frame)),
                Err((Some(libc::EINTR), _)) => {}
                Err((Some(libc::EAGAIN | libc::ENOBUFS), _)) => break,
                // The interface is gone, or this socket.
                Err((Some(libc::ENXIO | libc::EBADF | libc::ENODEV), e)) => return Err(PortError::dead(&e)),
                // It is down, for all of them.
                Err((Some(libc::ENETDOWN), _)) => {
                    from.drain(..).for_each(|frame| io.discard(frame, DropReason::TxError));
                }
                // For the frame's own sake.
                Err(_) => io.discard(from.remove(0), DropReason::TxError),
            }
        }
        Ok(())
    }

    fn flush(&mut self, io: &mut Io) {
        if std::mem::take(&mut self.behind) {
            self.socket.look();
        }
        match self.socket.take() {
            0 => {}
            lost => io.count(DropReason::KernelQueueFull, lost),
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.fd.as_fd())
    }
}

/// Receives frames by one system call, `most` if there are buffers for them: how many were asked for, and came.
fn receive(
    fd: &OwnedFd,
    slots: &mut Slots,
    most: usize,
    into: &mut Batch,
    io: &mut Io,
) -> (usize, io::Result<usize>) {
    let mut pairs = ArrayVec::<_, BATCH>::new();
    let most = most.min(into.remaining_capacity());
    // Without buffers the frames wait in the kernel.
    pairs.extend((0..most).map_while(|_| io.frames.take().zip(io.frames.take_large())));
    let asked = pairs.len();
    if asked == 0 {
        return (0, Ok(0));
    }
    let got = slots.receive(fd, &mut pairs);
    let came = *got.as_ref().unwrap_or(&0);
    for (i, (small, large)) in pairs.into_iter().enumerate() {
        if i < came {
            let received = slots.received(i);
            let frame = io.assemble(small, large, received.len);
            into.extend(frame.and_then(|frame| finished(frame, &received, io)));
        } else {
            io.frames.recycle(small);
            io.frames.recycle(large);
        }
    }
    (asked, got)
}

/// Frames that were lost when receiving ended in an error, if the socket still works.
fn lost(e: &io::Error, io: &mut Io) -> Result<usize, PortError> {
    match e.raw_os_error() {
        // ENETDOWN is told once, when the interface is set down.
        Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN) => Ok(0),
        // `packet_rcv_vnet`: a segmentation that the header has no word for; that frame is gone.
        Some(libc::EINVAL) => {
            io.count(DropReason::BadOffload, 1);
            Ok(1)
        }
        _ => Err(PortError::dead(e)),
    }
}

/// A frame of bytes that are in a slot. `None` when there are no buffers.
#[inline]
fn copy(bytes: &[u8], io: &mut Io) -> Option<Frame> {
    let mut frame = io.frames.take()?;
    if bytes.len() <= SMALL_DATA {
        frame.fill(bytes).ok()?;
        return Some(frame);
    }
    let Some(mut rest) = io.frames.take_large() else {
        io.frames.recycle(frame);
        return None;
    };
    let (head, tail) = bytes.split_at(SMALL_DATA);
    frame.fill(head).ok()?;
    rest.fill(tail).ok()?;
    frame.append(rest).ok()?;
    Some(frame)
}

/// Counts a slot whose frame could not be kept: how many that are.
fn drop_one(io: &mut Io) -> usize {
    io.count(DropReason::KernelQueueFull, 1);
    1
}

/// The frame, unless it is broken.
#[inline]
fn finished(mut frame: Frame, received: &Received, io: &mut Io) -> Option<Frame> {
    let finished = match received.cut {
        false => finish(&mut frame, received),
        true => Err(DropReason::OverLong),
    };
    match finished {
        Ok(()) => Some(frame),
        Err(reason) => {
            io.discard(frame, reason);
            None
        }
    }
}

/// Puts back what the kernel told beside the frame: offload and tag.
#[inline]
fn finish(frame: &mut Frame, received: &Received) -> Result<(), DropReason> {
    let mut offload = vnet::decode(&received.header, received.len)?;
    if let Some(tag) = received.tag.filter(|_| frame.bytes().len() >= ADDRESSES_LEN) {
        offload = offload.shifted(TAG_LEN as i16).ok_or(DropReason::BadOffload)?;
        frame.grow_front(TAG_LEN).map_err(|_| DropReason::NoHeadroom)?;
        vlan::insert(frame.bytes_mut(), tag);
    }
    frame.set_offload(offload);
    Ok(())
}
