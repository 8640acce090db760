//! io_uring's multishot read: one request that goes on reading into buffers of a ring (Linux 6.7).

use crate::frames::{Frame, same, whole};
use crate::uring::Uring;
use io_uring::types::BufRingEntry;
use io_uring::{cqueue, opcode};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use vsw_mem::BATCH;
use vsw_mem::{LARGE, SMALL_DATA};
use vsw_port::vnet;

/// Buffers in the ring.
const BUFFERS: u16 = 2 * BATCH as u16;
const GROUP: u16 = 0;

pub(crate) struct Multishot {
    uring: Uring,
    ring: BufferRing,
    memory: Vec<u8>,
    /// Bytes of a buffer.
    size: usize,
    armed: bool,
    /// The buffer of the last frame.
    last: usize,
    frame: Frame,
}

impl Multishot {
    pub(crate) fn new(fd: &OwnedFd, frame: &Frame) -> io::Result<Self> {
        let uring = Uring::new(fd, 4 * u32::from(BUFFERS), true)?;
        let ring = BufferRing::new();
        // SAFETY: the ring of so many entries is freed after the io_uring.
        unsafe {
            let at = ring.0.addr() as u64;
            uring.ring.submitter().register_buf_ring_with_flags(at, BUFFERS, GROUP, 0)
        }?;
        let size = vnet::LEN + if frame.is_small() { SMALL_DATA } else { SMALL_DATA + LARGE };
        let memory = vec![0; size * usize::from(BUFFERS)];
        let mut new = Self { uring, ring, memory, size, armed: false, last: 0, frame: frame.clone() };
        for (id, buffer) in new.memory.chunks_exact_mut(size).enumerate() {
            new.ring.put(id as u16, id as u16, buffer);
        }
        new.ring.publish(BUFFERS);
        Ok(new)
    }

    /// Fails unless the last frame that came is the one sent.
    pub(crate) fn check(&self) -> io::Result<()> {
        same(&self.memory[self.last * self.size + vnet::LEN..][..self.frame.bytes.len()], &self.frame.bytes)
    }

    pub(crate) fn receive(&mut self, frames: usize) -> io::Result<()> {
        let expected = vnet::LEN + self.frame.bytes.len();
        let mut left = frames;
        while left > 0 {
            if !self.armed {
                // The crate (0.7.15) forgets that a file is a registered one; `entry` says it again.
                let read = opcode::ReadMulti::new(self.uring.fd(), 0, GROUP).offset(u64::MAX).build();
                let read = self.uring.entry(read);
                // SAFETY: it points to nothing; its buffers are registered.
                unsafe { self.uring.ring.submission().push(&read) }.map_err(io::Error::other)?;
                self.armed = true;
            }
            self.uring.ring.submit_and_wait(1)?;
            let mut tail = self.ring.tail();
            for completion in self.uring.ring.completion() {
                self.armed = cqueue::more(completion.flags());
                match (completion.result(), cqueue::buffer_select(completion.flags())) {
                    // No buffers were left.
                    (r, None) if r == -libc::ENOBUFS => {}
                    (r, Some(id)) if r > 0 => {
                        whole(r as isize, expected)?;
                        self.last = usize::from(id);
                        self.ring.put(tail, id, &mut self.memory[self.last * self.size..][..self.size]);
                        tail = tail.wrapping_add(1);
                        left =
                            left.checked_sub(1).ok_or_else(|| io::Error::other("more frames than sent"))?;
                    }
                    (r, _) => return Err(io::Error::from_raw_os_error(-r)),
                }
            }
            self.ring.publish(tail);
        }
        Ok(())
    }
}

/// The entries that are shared with the kernel, on a page of their own.
struct BufferRing(*mut BufRingEntry);

const LAYOUT: Layout = match Layout::from_size_align(size_of::<BufRingEntry>() * BUFFERS as usize, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

impl BufferRing {
    fn new() -> Self {
        // SAFETY: the layout is not empty; zero is a value of an entry.
        Self(unsafe { alloc_zeroed(LAYOUT) }.cast())
    }

    /// Gives a buffer to the kernel at place `tail`, once that is published.
    fn put(&mut self, tail: u16, id: u16, buffer: &mut [u8]) {
        // SAFETY: an entry of the ring; the kernel reads only those before the tail.
        let entry = unsafe { &mut *self.0.add(usize::from(tail % BUFFERS)) };
        entry.set_addr(buffer.as_mut_ptr().addr() as u64);
        entry.set_len(buffer.len() as u32);
        entry.set_bid(id);
    }

    fn shared_tail(&self) -> &AtomicU16 {
        // SAFETY: the tail lies in the first entry, is aligned and lives as long as the ring.
        unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.0).cast_mut()) }
    }
    fn tail(&self) -> u16 {
        self.shared_tail().load(Ordering::Relaxed)
    }
    fn publish(&self, tail: u16) {
        self.shared_tail().store(tail, Ordering::Release);
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the io_uring is gone (declared before).
        unsafe { dealloc(self.0.cast(), LAYOUT) };
    }
}
