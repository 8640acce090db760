//! The arrays that recvmmsg(2) and sendmmsg(2) want, made once a queue.
//!
//! Every pointer in them is written anew before each call and not followed after it, so that frames can
//! come and go in between. Owned by one worker.
#![allow(unsafe_code)] // pointers for the kernel

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use vsw_mem::{BATCH, Frame, MAX_FRAME, SMALL_DATA};
use vsw_port::vnet;
use vsw_wire::eth::ethertype;
use vsw_wire::vlan::Tag;

/// Most buffers of a frame that is sent, its header included.
const PIECES: usize = 2 + MAX_FRAME.div_ceil(SMALL_DATA);
/// Enough for a batch of headers, small and large buffers, or of a few long chains.
const IOVECS: usize = 4 * BATCH;
const _: () = assert!(IOVECS >= 3 * BATCH && IOVECS >= PIECES);

/// The one control message that was asked for.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    auxdata: libc::tpacket_auxdata,
}

pub(crate) struct Slots {
    headers: [[u8; vnet::LEN]; BATCH],
    control: [Control; BATCH],
    iovecs: [libc::iovec; IOVECS],
    messages: [libc::mmsghdr; BATCH],
}

// SAFETY: the pointers mean something only during a call (see above), so it does not matter which
// thread has them.
unsafe impl Send for Slots {}

/// A frame that came.
pub(crate) struct Received {
    /// Bytes, without the header.
    pub(crate) len: usize,
    pub(crate) header: [u8; vnet::LEN],
    /// The tag that the kernel took out.
    pub(crate) tag: Option<Tag>,
    /// It was longer than the buffers.
    pub(crate) cut: bool,
}

impl Slots {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: plain data, for which zero is a value.
        Box::new(unsafe { std::mem::zeroed() })
    }

    /// Receives into pairs of a small and a large buffer: how many came, from the first on.
    ///
    /// # Errors
    /// EAGAIN when there is nothing; EINVAL when one frame was lost because it could not be described.
    pub(crate) fn receive(&mut self, fd: &OwnedFd, pairs: &mut [(Frame, Frame)]) -> io::Result<usize> {
        let n = pairs.len().min(BATCH);
        for (i, (small, large)) in pairs.iter_mut().enumerate().take(n) {
            let iovecs = &mut self.iovecs[3 * i..3 * i + 3];
            iovecs[0] = iovec(&mut self.headers[i][..vnet::LEN_LEGACY]);
            iovecs[1] = iovec(small.room_mut());
            iovecs[2] = iovec(large.room_mut());
            let message = &mut self.messages[i].msg_hdr;
            message.msg_iov = iovecs.as_mut_ptr();
            message.msg_iovlen = 3;
            message.msg_control = (&raw mut self.control[i]).cast();
            message.msg_controllen = size_of::<Control>();
            message.msg_flags = 0;
        }
        let (messages, count) = (self.messages.as_mut_ptr(), n as u32);
        // SAFETY: the first `n` messages point to buffers that are borrowed mutably until this returns.
        let got = unsafe {
            libc::recvmmsg(fd.as_raw_fd(), messages, count, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as usize) }
    }

    /// What is known of message `i` of those that came last.
    pub(crate) fn received(&self, i: usize) -> Received {
        let message = &self.messages[i];
        Received {
            len: (message.msg_len as usize).saturating_sub(vnet::LEN_LEGACY),
            header: self.headers[i],
            tag: self.tag(i),
            cut: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }

    fn tag(&self, i: usize) -> Option<Tag> {
        let Control { header, auxdata } = &self.control[i];
        let told = self.messages[i].msg_hdr.msg_controllen >= size_of::<libc::cmsghdr>()
            && header.cmsg_level == libc::SOL_PACKET
            && header.cmsg_type == libc::PACKET_AUXDATA;
        if told { told_tag(auxdata.tp_status, auxdata.tp_vlan_tpid, auxdata.tp_vlan_tci) } else { None }
    }

    /// Sends frames from the front of `frames`: how many went, at least one.
    ///
    /// # Errors
    /// What stopped the first. EMSGSIZE when it has too many pieces.
    pub(crate) fn send(&mut self, fd: &OwnedFd, frames: &[Frame]) -> io::Result<usize> {
        let (mut n, mut used) = (0, 0);
        for frame in frames.iter().take(BATCH) {
            let pieces = 1 + frame.segment_count();
            if used + pieces > IOVECS {
                break;
            }
            self.headers[n] = vnet::encode(frame.offload());
            let iovecs = &mut self.iovecs[used..used + pieces];
            iovecs[0] = iovec(&mut self.headers[n][..vnet::LEN_LEGACY]);
            for (to, bytes) in iovecs[1..].iter_mut().zip(frame.segments()) {
                // Only read by sendmmsg.
                *to = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            }
            let message = &mut self.messages[n].msg_hdr;
            message.msg_iov = iovecs.as_mut_ptr();
            message.msg_iovlen = pieces;
            message.msg_control = std::ptr::null_mut();
            message.msg_controllen = 0;
            n += 1;
            used += pieces;
        }
        if n == 0 {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        // SAFETY: the first `n` messages point to headers of ours and to frames borrowed until this returns.
        let sent = unsafe {
            libc::sendmmsg(fd.as_raw_fd(), self.messages.as_mut_ptr(), n as u32, libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}

/// The tag that the kernel took out of a frame, if it says there was one.
#[inline]
pub(crate) fn told_tag(status: u32, tpid: u16, tci: u16) -> Option<Tag> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    // Kernels before 3.14 kept no TPID.
    let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    Some(Tag::new(if known { tpid } else { ethertype::CTAG }, tci))
}

fn iovec(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
