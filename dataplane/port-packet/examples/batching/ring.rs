//! Rings that a packet socket and we share: `Documentation/networking/packet_mmap.rst`.
//!
//! On receive the kernel copies each frame into the ring when it comes, in the sender's softirq, and we
//! copy it out again, because frames in the ring cannot wait for their turn elsewhere. On send we copy it
//! in; the kernel points an skb at the ring's pages. Owned by one thread.

use crate::frames::{Frame, same, whole};
use crate::socket::set;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vsw_mem::BATCH;
use vsw_port::vnet;

// include/uapi/linux/if_packet.h
const PACKET_RX_RING: i32 = 5;
pub(crate) const PACKET_COPY_THRESH: i32 = 7;
const PACKET_VERSION: i32 = 10;
const PACKET_TX_RING: i32 = 13;
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
const TP_STATUS_COPY: u32 = 2;
const TP_STATUS_SEND_REQUEST: u32 = 1;
/// TPACKET_ALIGN(sizeof(struct tpacket2_hdr)): where a frame to send begins.
const TX_DATA: usize = 32;
/// Milliseconds after which a block that is not full is handed over.
pub(crate) const RETIRE_MS: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V2 = 1,
    V3 = 2,
}

/// struct tpacket_req3; struct tpacket_req is its first half.
#[repr(C)]
struct Request {
    block_size: u32,
    block_nr: u32,
    frame_size: u32,
    frame_nr: u32,
    retire_blk_tov: u32,
    sizeof_priv: u32,
    feature: u32,
}

/// A ring of slots (version 2) or blocks of frames (version 3).
pub(crate) struct Ring {
    memory: *mut u8,
    len: usize,
    /// Bytes of a slot or block, and where we are.
    size: usize,
    at: usize,
    header_len: usize,
}

impl Ring {
    /// Makes the ring of a socket: `count` slots or blocks of `size` bytes.
    pub(crate) fn new(
        socket: &OwnedFd,
        version: Version,
        send: bool,
        (size, count): (usize, usize),
        vnet: bool,
    ) -> io::Result<Self> {
        set(socket, libc::SOL_PACKET, PACKET_VERSION, &(version as i32))?;
        let len = size * count;
        // A block is a piece of contiguous kernel memory, of whole pages.
        let block_size = size.max(1 << 16).min(len);
        let frame_size = if version == Version::V2 { size } else { 2048 };
        let request = Request {
            block_size: block_size as u32,
            block_nr: (len / block_size) as u32,
            frame_size: frame_size as u32,
            frame_nr: (len / frame_size) as u32,
            retire_blk_tov: RETIRE_MS,
            sizeof_priv: 0,
            feature: 0,
        };
        let option = if send { PACKET_TX_RING } else { PACKET_RX_RING };
        match version {
            Version::V2 => {
                let v2 = [request.block_size, request.block_nr, request.frame_size, request.frame_nr];
                set(socket, libc::SOL_PACKET, option, &v2)?;
            }
            Version::V3 => set(socket, libc::SOL_PACKET, option, &request)?,
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice; the result is checked.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, socket.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let header_len = if vnet { vnet::LEN_LEGACY } else { 0 };
        Ok(Self { memory: memory.cast(), len, size, at: 0, header_len })
    }

    /// The first byte of the current slot or block.
    fn current(&self) -> *mut u8 {
        // SAFETY: `at` is below the number of slots.
        unsafe { self.memory.add(self.at * self.size) }
    }

    fn advance(&mut self) {
        self.at = (self.at + 1) % (self.len / self.size);
    }

    /// The 32-bit word at `offset` of a header.
    fn word(header: *const u8, offset: usize) -> u32 {
        // SAFETY: callers stay in the ring, whose headers are aligned to 8 bytes.
        unsafe { header.add(offset).cast::<u32>().read_volatile() }
    }

    /// Who has a slot or block: shared with the kernel.
    fn status<'a>(header: *mut u8, offset: usize) -> &'a AtomicU32 {
        // SAFETY: in the ring (see `word`), which outlives the short uses here; both sides write it whole.
        unsafe { AtomicU32::from_ptr(header.add(offset).cast()) }
    }

    /// Copies a received frame out to the next buffer: where its bytes are, and how many.
    fn take(&mut self, header: *const u8, (mac, len): (usize, usize), to: &mut Received) -> io::Result<()> {
        if len != to.frame.bytes.len() {
            return Err(io::Error::other(format!("{len} bytes instead of {}", to.frame.bytes.len())));
        }
        let len = self.header_len + len;
        // SAFETY: the kernel wrote the frame and, right before it, the virtio-net header.
        let bytes = unsafe { std::slice::from_raw_parts(header.add(mac - self.header_len), len) };
        to.buffers[to.next % BATCH][..len].copy_from_slice(bytes);
        to.next += 1;
        Ok(())
    }

    /// Receives from slots.
    pub(crate) fn receive_v2(&mut self, frames: usize, to: &mut Received) -> io::Result<()> {
        for _ in 0..frames {
            // struct tpacket2_hdr: status, len, snaplen, mac and net (16 bits each).
            let header = self.current();
            let status = Self::status(header, 0);
            wait(|| status.load(Ordering::Acquire) & TP_STATUS_USER != 0)?;
            let (len, mac) = (Self::word(header, 8), Self::word(header, 12) & 0xffff);
            self.take(header, (mac as usize, len as usize), to)?;
            status.store(TP_STATUS_KERNEL, Ordering::Release);
            self.advance();
        }
        Ok(())
    }

    /// Passes over slots of frames that were too long for them and wait in the socket as a whole.
    pub(crate) fn pass_copies(&mut self, frames: usize) -> io::Result<()> {
        for _ in 0..frames {
            let status = Self::status(self.current(), 0);
            wait(|| status.load(Ordering::Acquire) & TP_STATUS_USER != 0)?;
            if status.load(Ordering::Relaxed) & TP_STATUS_COPY == 0 {
                return Err(io::Error::other("the socket has no copy of a long frame"));
            }
            status.store(TP_STATUS_KERNEL, Ordering::Release);
            self.advance();
        }
        Ok(())
    }

    /// Receives whole blocks until there were so many frames.
    pub(crate) fn receive_v3(&mut self, frames: usize, to: &mut Received) -> io::Result<()> {
        let mut left = frames;
        while left > 0 {
            // struct tpacket_block_desc: version, offset_to_priv, then block_status, num_pkts,
            // offset_to_first_pkt.
            let block = self.current();
            let status = Self::status(block, 8);
            wait(|| status.load(Ordering::Acquire) & TP_STATUS_USER != 0)?;
            let count = Self::word(block, 12) as usize;
            let mut offset = Self::word(block, 16) as usize;
            for _ in 0..count {
                // SAFETY: the kernel wrote this offset, and it lies in the block.
                let header = unsafe { block.add(offset) };
                // struct tpacket3_hdr: next_offset, sec, nsec, snaplen, len, status, mac.
                let (len, mac) = (Self::word(header, 12), Self::word(header, 24) & 0xffff);
                self.take(header, (mac as usize, len as usize), to)?;
                offset += Self::word(header, 0) as usize;
            }
            left = left.checked_sub(count).ok_or_else(|| io::Error::other("more frames than sent"))?;
            status.store(TP_STATUS_KERNEL, Ordering::Release);
            self.advance();
        }
        Ok(())
    }

    /// Sends copies of a frame, so many a system call.
    pub(crate) fn send(&mut self, socket: &OwnedFd, frames: usize, frame: &Frame) -> io::Result<()> {
        for _ in 0..frames {
            // struct tpacket2_hdr: status, len.
            let header = self.current();
            let status = Self::status(header, 0);
            wait(|| status.load(Ordering::Acquire) == TP_STATUS_KERNEL)?;
            let len = self.header_len + frame.bytes.len();
            // SAFETY: slots are as long as the longest frame and its headers, and this one is ours now.
            let to = unsafe {
                header.add(4).cast::<u32>().write_volatile(len as u32);
                std::slice::from_raw_parts_mut(header.add(TX_DATA), len)
            };
            to[..self.header_len].copy_from_slice(&frame.header[..self.header_len]);
            to[self.header_len..].copy_from_slice(&frame.bytes);
            status.store(TP_STATUS_SEND_REQUEST, Ordering::Release);
            self.advance();
        }
        // SAFETY: no data of ours: the kernel looks into the ring.
        let sent = unsafe { libc::send(socket.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT) };
        whole(sent, frames * frame.bytes.len())
    }
}

/// Buffers for a batch of frames, filled in turn.
pub(crate) struct Received {
    buffers: Vec<Vec<u8>>,
    next: usize,
    frame: Frame,
}

impl Received {
    pub(crate) fn new(frame: &Frame) -> Self {
        let buffer = vec![0; vnet::LEN + frame.bytes.len()];
        Self { buffers: vec![buffer; BATCH], next: 0, frame: frame.clone() }
    }

    /// Fails unless the frame is in all of them, with as much of its header as the kernel may not change.
    pub(crate) fn check(&self, vnet: bool) -> io::Result<()> {
        let header_len = if vnet { vnet::LEN_LEGACY } else { 0 };
        let kept = header_len.min(2);
        self.buffers.iter().try_for_each(|buffer| {
            same(&buffer[..kept], &self.frame.header[..kept])?;
            same(&buffer[header_len..][..self.frame.bytes.len()], &self.frame.bytes)
        })
    }
}

/// Spins until it holds, a tenth of a second at most.
fn wait(holds: impl Fn() -> bool) -> io::Result<()> {
    let mut end = None;
    while !holds() {
        if Instant::now() > *end.get_or_insert_with(|| Instant::now() + Duration::from_millis(100)) {
            return Err(io::Error::other("frames are missing"));
        }
        std::hint::spin_loop();
    }
    Ok(())
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our mapping, of which no reference is left.
        unsafe { libc::munmap(self.memory.cast(), self.len) };
    }
}
