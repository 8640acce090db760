//! One packet socket: many frames a system call.
//!
//! A frame of up to [`vsw_mem::SMALL_DATA`] bytes touches only its small buffer; of a longer one the rest lands in
//! a large buffer, which becomes the second of its chain. Large buffers are few, so none is kept between
//! calls, and a queue that was found nearly empty asks for few. Owned by one worker.

use crate::slots::{Received, Slots};
use crate::socket;
use arrayvec::ArrayVec;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use vsw_mem::{BATCH, Batch, Frame};
use vsw_port::{Io, PortError, PortQueue, vnet};
use vsw_types::DropReason;
use vsw_wire::eth::ADDRESSES_LEN;
use vsw_wire::vlan::{self, TAG_LEN};

/// Frames asked for when there were none.
const FEW: usize = 4;

pub(crate) struct PacketQueue {
    fd: OwnedFd,
    slots: Box<Slots>,
    /// Frames to ask for.
    want: usize,
    /// A whole batch came since the kernel's drops were counted: it may have had more than it could keep.
    behind: bool,
}

impl PacketQueue {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, slots: Slots::new(), want: FEW, behind: false }
    }
}

impl PortQueue for PacketQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            let want = self.want.min(into.remaining_capacity());
            let mut pairs = ArrayVec::<_, BATCH>::new();
            // Without buffers the frames wait in the kernel.
            pairs.extend((0..want).map_while(|_| io.frames.take().zip(io.frames.take_large())));
            if pairs.is_empty() {
                return Ok(());
            }
            let got = self.slots.receive(&self.fd, &mut pairs);
            let came = *got.as_ref().unwrap_or(&0);
            let asked = pairs.len();
            for (i, (small, large)) in pairs.into_iter().enumerate() {
                if i < came {
                    into.extend(assemble(small, large, &self.slots.received(i), io));
                } else {
                    io.frames.recycle(small);
                    io.frames.recycle(large);
                }
            }
            self.want = if came == asked { (2 * self.want).min(BATCH) } else { (came + 1).max(FEW) };
            self.behind |= came == BATCH || into.is_full();
            match got.map_err(|e| (e.raw_os_error(), e)) {
                Ok(came) if came == asked => {}
                // ENETDOWN is told once, when the interface is set down.
                Ok(_) | Err((Some(libc::EAGAIN | libc::ENETDOWN), _)) => return Ok(()),
                Err((Some(libc::EINTR), _)) => {}
                // `packet_rcv_vnet`: a segmentation that the header has no word for; that frame is gone.
                Err((Some(libc::EINVAL), _)) => {
                    io.count(DropReason::BadOffload, 1);
                    return Ok(());
                }
                Err((_, e)) => return Err(PortError::dead(&e)),
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !from.is_empty() {
            match self.slots.send(&self.fd, from).map_err(|e| (e.raw_os_error(), e)) {
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
            match socket::drops(&self.fd) {
                0 => {}
                drops => io.count(DropReason::KernelQueueFull, drops),
            }
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

/// The frame that was received into both buffers, unless it is broken.
fn assemble(small: Frame, large: Frame, received: &Received, io: &mut Io) -> Option<Frame> {
    let mut frame = io.assemble(small, large, received.len)?;
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
