//! One packet, held by exactly one owner.
//!
//! The handle is 16 bytes and says everything about the plain case: where the data is, how long, and
//! whether there is more to know. Offload metadata and the rest of a chain lie in the buffer's header
//! and are looked at only when the handle's flags say so.

use crate::pool::Buffer;
use crate::region::{Class, Header};
use crate::{MAX_FRAME, Offload};
use core::ptr::NonNull;

const HEADER: usize = size_of::<Header>();

mod flag {
    /// The header's `offload` is valid.
    pub(super) const OFFLOAD: u8 = 1;
    /// The header's `next` and `tail_len` are valid.
    pub(super) const CHAIN: u8 = 2;
    /// The buffer is a large one.
    pub(super) const LARGE: u8 = 4;
}

/// One packet: a chain of buffers, the first of which holds at least its headers.
///
/// Dropping a frame gives it back through the pool's lock: always right, never fast. The packet path
/// says [`crate::FrameCache::recycle`] instead.
pub struct Frame {
    header: NonNull<Header>,
    /// Offset of the data from the start of the buffer; at least `HEADER`.
    head: u16,
    flags: u8,
    /// Patch ports crossed.
    hops: u8,
    /// Bytes of data in the first buffer. Invariant: `head + len <= stride`.
    len: u32,
}

const _: () = assert!(size_of::<Frame>() == 16);

// SAFETY: a `Frame` is the only handle to its buffer, and its buffer holds the only handle to the rest.
unsafe impl Send for Frame {}

/// There is no room in front (or behind) for that many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Frame {
    /// An empty frame over a buffer that the caller owns.
    pub(crate) fn fresh(header: NonNull<Header>, class: Class) -> Self {
        let flags = if class == Class::Large { flag::LARGE } else { 0 };
        Self { header, head: class.head() as u16, flags, hops: 0, len: 0 }
    }

    fn class(&self) -> Class {
        if self.flags & flag::LARGE == 0 { Class::Small } else { Class::Large }
    }

    fn header(&self) -> &Header {
        // SAFETY: the header was written when the region was labelled, and this is the only handle.
        unsafe { self.header.as_ref() }
    }

    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as in `header`, and `self` is borrowed mutably.
        unsafe { self.header.as_mut() }
    }

    #[inline]
    fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.class().stride());
        // SAFETY: every caller's offset is at most the stride, so the result is in or one past the buffer.
        unsafe { self.header.cast::<u8>().add(offset) }
    }

    /// The data in the first buffer: all of it, unless [`Frame::rest`] says more. Headers are here.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `head + len` is inside the buffer, and this is the only handle to it.
        unsafe { core::slice::from_raw_parts(self.at(self.head as usize).as_ptr(), self.len as usize) }
    }

    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.at(self.head as usize).as_ptr(), self.len as usize) }
    }

    /// The next buffer of the chain.
    #[inline]
    pub fn rest(&self) -> Option<&Frame> {
        if self.flags & flag::CHAIN == 0 { None } else { self.header().next.as_ref() }
    }

    /// The data of each buffer of the chain, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        core::iter::successors(Some(self), |f| f.rest()).map(|f| f.bytes())
    }

    /// Buffers in the chain.
    pub fn segment_count(&self) -> usize {
        self.segments().count()
    }

    /// Bytes of the whole frame, without FCS.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let tail = if self.flags & flag::CHAIN == 0 { 0 } else { self.header().tail_len };
        self.len as usize + tail as usize
    }

    /// What is still to be done to it.
    #[inline]
    pub fn offload(&self) -> Offload {
        if self.flags & flag::OFFLOAD == 0 { Offload::NONE } else { self.header().offload }
    }

    /// Whether [`Frame::offload`] says anything at all: one test, no memory touched.
    #[inline]
    pub fn has_offload(&self) -> bool {
        self.flags & flag::OFFLOAD != 0
    }

    #[inline]
    pub fn set_offload(&mut self, offload: Offload) {
        if offload == Offload::NONE {
            self.flags &= !flag::OFFLOAD;
        } else {
            self.header_mut().offload = offload;
            self.flags |= flag::OFFLOAD;
        }
    }

    /// One plain buffer, nothing left to do: what every device can send as it is.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flags & (flag::OFFLOAD | flag::CHAIN) == 0
    }

    /// Patch ports crossed so far.
    pub fn hops(&self) -> u8 {
        self.hops
    }
    pub fn add_hop(&mut self) {
        self.hops = self.hops.saturating_add(1);
    }

    /// All of the first buffer from the usual start of data to its end: where a driver receives to.
    /// [`Frame::set_len`] then says how much of it was filled.
    pub fn room_mut(&mut self) -> &mut [u8] {
        let head = self.class().head();
        self.head = head as u16;
        self.len = 0;
        // SAFETY: from `head` to the stride is inside the buffer, whose bytes are always initialised.
        unsafe { core::slice::from_raw_parts_mut(self.at(head).as_ptr(), self.class().stride() - head) }
    }

    /// Says how many bytes of the first buffer are data.
    ///
    /// # Panics
    /// If the buffer is not that large.
    pub fn set_len(&mut self, len: usize) {
        self.set_bounds(self.head as usize, len);
    }

    pub(crate) fn set_bounds(&mut self, head: usize, len: usize) {
        assert!(head >= HEADER && head + len <= self.class().stride(), "data inside the buffer");
        self.head = head as u16;
        self.len = len as u32;
    }

    /// Replaces the contents of the first buffer, as a driver does that must copy.
    ///
    /// # Errors
    /// When it does not fit; nothing is changed then.
    pub fn fill(&mut self, data: &[u8]) -> Result<(), NoRoom> {
        if data.len() > self.class().stride() - self.class().head() {
            return Err(NoRoom);
        }
        self.room_mut()[..data.len()].copy_from_slice(data);
        self.set_len(data.len());
        Ok(())
    }

    /// Takes over the contents of another's first buffer, a small one as this, at the same place.
    pub(crate) fn mirror(&mut self, other: &Frame) {
        self.set_bounds(other.head as usize, other.len as usize);
        self.bytes_mut().copy_from_slice(other.bytes());
    }

    /// Appends another frame's buffers to the chain. The other's offload is forgotten.
    ///
    /// # Errors
    /// Gives the other frame back when the whole would be longer than [`MAX_FRAME`].
    pub fn append(&mut self, mut other: Frame) -> Result<(), Frame> {
        if self.len() + other.len() > MAX_FRAME {
            return Err(other);
        }
        other.flags &= !flag::OFFLOAD;
        let more = other.len() as u32;
        let had = self.flags & flag::CHAIN != 0;
        let header = self.header_mut();
        if had {
            header.tail_len += more;
            // Chains are short (33 buffers at the very most), so walking one is cheaper than a tail pointer.
            if let Some(next) = &mut header.next {
                return next.append(other);
            }
        }
        header.next = Some(other);
        header.tail_len = more;
        self.flags |= flag::CHAIN;
        Ok(())
    }

    /// Takes the rest of the chain off.
    pub fn split_rest(&mut self) -> Option<Frame> {
        if self.flags & flag::CHAIN == 0 {
            return None;
        }
        self.flags &= !flag::CHAIN;
        self.header_mut().next.take()
    }

    /// Opens `n` bytes in front of the data.
    ///
    /// # Errors
    /// When there is no headroom left; nothing is changed then.
    #[inline]
    pub fn grow_front(&mut self, n: usize) -> Result<(), NoRoom> {
        if n + HEADER > self.head as usize {
            return Err(NoRoom);
        }
        self.head -= n as u16;
        self.len += n as u32;
        Ok(())
    }

    /// Forgets the first `n` bytes of the data.
    ///
    /// # Errors
    /// When the first buffer holds fewer; nothing is changed then.
    #[inline]
    pub fn shrink_front(&mut self, n: usize) -> Result<(), NoRoom> {
        if n > self.len as usize {
            return Err(NoRoom);
        }
        self.head += n as u16;
        self.len -= n as u32;
        Ok(())
    }

    /// Whether the buffer lies in the UMEM, so that [`crate::FramePool::frame_into_umem`] takes it.
    pub fn is_small(&self) -> bool {
        self.class() == Class::Small
    }

    /// Takes the handle apart without giving the buffer back: where its data starts, and its class. No
    /// chain may be left.
    pub(crate) fn into_data(self) -> (NonNull<u8>, Class) {
        debug_assert!(self.flags & flag::CHAIN == 0);
        let known = (self.at(self.head as usize), self.class());
        core::mem::forget(self);
        known
    }

    /// Takes the handle apart without giving the buffer back. No chain may be left.
    #[inline]
    pub(crate) fn into_buffer(self) -> (Buffer, Class) {
        debug_assert!(self.flags & flag::CHAIN == 0);
        let known = (Buffer(self.header), self.class());
        core::mem::forget(self);
        known
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // Not by recursion: the chain's length is a stranger's choice.
        let mut next = self.split_rest();
        while let Some(mut frame) = next {
            next = frame.split_rest();
        }
        if let Some(pool) = self.header().pool {
            pool.free(self.class()).push(Buffer(self.header));
        }
    }
}

impl core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frame")
            .field("len", &self.len())
            .field("offload", &self.offload())
            .finish_non_exhaustive()
    }
}
