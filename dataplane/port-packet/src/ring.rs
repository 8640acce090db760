//! A receive ring that a packet socket and we share: packet(7), `Documentation/networking/packet_mmap.rst`.
//!
//! The kernel copies each frame into a slot when it comes, in the sender's softirq; reading it costs no
//! system call and no buffer of the kernel's to free. Who has a slot says its first word, `tp_status`: the
//! kernel stores it last when it fills a slot, we do when we hand it back, and both read it before all else
//! (`tpacket_rcv`, `net/packet/af_packet.c`). Slots are filled and read in turn, so frames keep their order.
//!
//! A frame longer than a slot is cut there. Whole it waits in the socket (PACKET_COPY_THRESH), where the
//! slot keeps its place in the order; unless the socket was full: then the cut piece is all there is.
//!
//! Version 3 packs frames tighter, but hands a block over only when it is full or its time is over, a
//! millisecond at best. `examples/batching` compares. Owned by one worker.
#![allow(unsafe_code)] // memory that the kernel writes

use crate::slots::{Received, told_tag};
use crate::socket::set;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use vsw_port::vnet;

/// Bytes of a slot: its header (`struct tpacket2_hdr`, `struct sockaddr_ll`, the virtio-net header: 76 bytes
/// for Ethernet) and 1972 of a frame, enough for all but jumbo frames and those still to be segmented.
const SLOT: usize = 2048;

/// Slots of a ring: 2 MiB. A worker that sleeps is awake after some ten microseconds, a thousandth of a
/// second after a bad preemption; a core that sends 64 byte frames fills 1024 slots in about one. That is as
/// much as NICs keep, and `net.core.netdev_max_backlog`. It is memory that every queue takes for good: 64
/// ports of one queue have 128 MiB, with four times the slots they had 512.
pub(crate) const SLOTS: usize = 1024;

/// Bytes that are contiguous in the kernel. As much as it has without effort at most times; it makes do with
/// scattered pages otherwise.
const BLOCK: usize = 1 << 16;
/// Bytes of a ring.
pub(crate) const LEN: usize = SLOT * SLOTS;
const _: () = assert!(LEN.is_multiple_of(BLOCK) && BLOCK.is_multiple_of(SLOT));

/// The ring of one socket.
pub(crate) struct Ring {
    memory: NonNull<u8>,
    /// The slot to look at: the oldest that we did not hand back.
    at: usize,
}

// SAFETY: the mapping is this value's alone, whichever thread has it.
unsafe impl Send for Ring {}

/// What is in a slot.
pub(crate) enum Kind<'a> {
    /// A whole frame.
    Frame(Received, &'a [u8]),
    /// The place of a frame that waits in the socket.
    InSocket,
    /// A piece of a frame that was too long for the slot, and of no use.
    Cut,
}

impl Ring {
    /// Gives a socket its ring. Whatever waits in it is lost.
    ///
    /// # Errors
    /// ENOMEM when the kernel has no memory for it.
    pub(crate) fn new(socket: &OwnedFd) -> io::Result<Self> {
        set(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as i32))?;
        set(socket, libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &1_i32)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (LEN / BLOCK) as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS as u32,
        };
        set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // Its pages are there already; mapped one by one when first touched, each would cost a fault.
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice; the result is checked.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), LEN, protection, flags, socket.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, at: 0 })
    }

    fn slot(&self, i: usize) -> NonNull<libc::tpacket2_hdr> {
        // SAFETY: inside the mapping. Slots begin at multiples of 2 KiB, and the mapping at a page.
        unsafe { self.memory.add(i % SLOTS * SLOT).cast() }
    }

    fn owner(&self, i: usize) -> &AtomicU32 {
        // SAFETY: the first word of a slot, aligned; it lives as long as the mapping. While the kernel may
        // write it we touch it by this atomic only.
        unsafe { AtomicU32::from_ptr(self.slot(i).cast().as_ptr()) }
    }

    /// The status of a slot that is ours now: what the kernel wrote there before is seen after.
    #[inline]
    fn filled(&self, i: usize) -> Option<u32> {
        let status = self.owner(i).load(Ordering::Acquire);
        (status & libc::TP_STATUS_USER != 0).then_some(status)
    }

    /// The oldest slot that was filled; [`Ring::release`] makes it the next one's turn.
    #[inline]
    pub(crate) fn next(&self) -> Option<Slot<'_>> {
        let status = self.filled(self.at)?;
        Some(Slot { ring: self, status })
    }

    /// How many slots from the oldest on are places of frames that wait in the socket, up to `most`.
    pub(crate) fn in_socket(&self, most: usize) -> usize {
        let waits = |i: &usize| self.filled(self.at + i).is_some_and(|s| s & libc::TP_STATUS_COPY != 0);
        (0..most.min(SLOTS)).take_while(waits).count()
    }

    /// Throws away what is in it, one round at most.
    pub(crate) fn clear(&mut self) {
        for _ in 0..SLOTS {
            if self.next().is_none() {
                break;
            }
            self.release(1);
        }
    }

    /// Hands the oldest `n` slots back, all of which were filled.
    #[inline]
    pub(crate) fn release(&mut self, n: usize) {
        for _ in 0..n {
            // What we read there before is not overwritten before.
            self.owner(self.at).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.at = (self.at + 1) % SLOTS;
        }
    }
}

/// A slot that was filled.
pub(crate) struct Slot<'a> {
    ring: &'a Ring,
    status: u32,
}

impl<'a> Slot<'a> {
    /// Whether frames were lost since the kernel's drops were last asked for.
    #[inline]
    pub(crate) fn losing(&self) -> bool {
        self.status & libc::TP_STATUS_LOSING != 0
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind<'a> {
        if self.status & libc::TP_STATUS_COPY != 0 {
            return Kind::InSocket;
        }
        let slot = self.ring.slot(self.ring.at);
        // SAFETY: plain numbers, written before the status was (see `filled`), and ours until released.
        let told = unsafe { slot.read() };
        let (len, begin) = (told.tp_len as usize, usize::from(told.tp_mac));
        let fits = begin >= size_of::<libc::tpacket2_hdr>() + vnet::LEN_LEGACY && begin + len <= SLOT;
        if !fits || told.tp_snaplen != told.tp_len {
            return Kind::Cut;
        }
        // SAFETY: in the slot, by the check above; the kernel writes there no more until it is released,
        // which needs the ring mutably.
        let bytes = unsafe {
            let from = slot.cast::<u8>().add(begin - vnet::LEN_LEGACY);
            std::slice::from_raw_parts(from.as_ptr(), vnet::LEN_LEGACY + len)
        };
        let (before, frame) = bytes.split_at(vnet::LEN_LEGACY);
        let mut header = [0; vnet::LEN];
        header[..vnet::LEN_LEGACY].copy_from_slice(before);
        let tag = told_tag(self.status, told.tp_vlan_tpid, told.tp_vlan_tci);
        Kind::Frame(Received { len, header, tag, cut: false }, frame)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our mapping, of which no reference is left.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), LEN) };
    }
}
