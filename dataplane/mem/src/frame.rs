//! One packet, held by exactly one owner.
//!
//! The handle is 16 bytes and says everything about the plain case: where the data is, how long, and
//! whether there is more to know. Offload metadata and the rest of a chain lie in the buffer's header
//! and are looked at only when the handle's flags say so.

use crate::loan::Loan;
use crate::meta::{Meta, flag};
use crate::pool::Buffer;
use crate::region::{Class, Header};
use crate::{MAX_FRAME, Offload, PoolSize};
use core::ptr::NonNull;

const HEADER: usize = size_of::<Header>();

/// One packet: a chain of buffers, the first of which holds at least its headers.
///
/// Dropping a frame gives it back through the pool's lock: always right, never fast. The packet path
/// says [`crate::FrameCache::recycle`] instead.
pub struct Frame {
    header: NonNull<Header>,
    meta: Meta,
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
        Self { header, meta: Meta::fresh(class) }
    }

    fn class(&self) -> Class {
        if self.meta.any(flag::LARGE) { Class::Large } else { Class::Small }
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

    /// The data in the first buffer: all of it, unless [`Frame::is_chain`]. Headers are here.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `head + len` is inside the buffer, and this is the only handle to it.
        unsafe { core::slice::from_raw_parts(self.at(self.meta.head()).as_ptr(), self.meta.len()) }
    }

    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.at(self.meta.head()).as_ptr(), self.meta.len()) }
    }

    /// The next buffer of the chain. Its data is [`Frame::data`].
    #[inline]
    pub(crate) fn rest(&self) -> Option<&Frame> {
        if self.meta.any(flag::CHAIN) { self.header().next.as_ref() } else { None }
    }

    /// Whether there is more than [`Frame::bytes`] shows.
    #[inline]
    pub fn is_chain(&self) -> bool {
        self.meta.any(flag::CHAIN)
    }

    /// The data of each buffer of the chain, in order. What is lent ([`FrameCache::lend`]) may change while it
    /// is read: it may be copied, handed to the kernel or summed, and nothing may be decided by it.
    ///
    /// [`FrameCache::lend`]: crate::FrameCache::lend
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        core::iter::successors(Some(self), |f| f.rest()).map(|f| f.data())
    }

    /// The data of this buffer, lent or not.
    pub(crate) fn data(&self) -> &[u8] {
        if !self.is_lent() {
            return self.bytes();
        }
        let Some(loan) = &self.header().loan else { return &[] };
        // SAFETY: whoever lent it keeps it there until the loan is given back, which takes this handle.
        unsafe { core::slice::from_raw_parts(loan.data.as_ptr(), self.meta.len()) }
    }

    /// Makes an empty small frame one whose data is elsewhere.
    pub(crate) fn borrow_data(&mut self, loan: Loan, len: usize) {
        self.header_mut().loan = Some(loan);
        self.meta.0 |= flag::LENT;
        self.meta.set_bounds(self.meta.head(), len);
    }

    /// Gives lent data back; the frame is empty then.
    #[cold]
    fn return_data(&mut self) {
        self.meta.0 &= !flag::LENT;
        self.meta.set_bounds(self.meta.head(), 0);
        if let Some(loan) = self.header_mut().loan.take() {
            loan.end();
        }
    }

    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        self.meta.any(flag::LENT)
    }

    /// Whether some of its data is lent: for as long as the frame lives somebody waits for it.
    pub fn has_loans(&self) -> bool {
        core::iter::successors(self.rest(), |f| f.rest()).any(Frame::is_lent)
    }

    /// Buffers in the chain.
    pub fn segment_count(&self) -> usize {
        self.segments().count()
    }

    /// Buffers of the pool that it holds.
    pub fn buffers(&self) -> PoolSize {
        let mut held = PoolSize { small: 0, large: 0 };
        for frame in core::iter::successors(Some(self), |f| f.rest()) {
            *if frame.class() == Class::Small { &mut held.small } else { &mut held.large } += 1;
        }
        held
    }

    /// Bytes of the whole frame, without FCS.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let tail = if self.meta.any(flag::CHAIN) { self.header().tail_len } else { 0 };
        self.meta.len() + tail as usize
    }

    /// What is still to be done to it.
    #[inline]
    pub fn offload(&self) -> Offload {
        if self.meta.any(flag::OFFLOAD) { self.header().offload } else { Offload::NONE }
    }

    /// Whether [`Frame::offload`] says anything at all: one test, no memory touched.
    #[inline]
    pub fn has_offload(&self) -> bool {
        self.meta.any(flag::OFFLOAD)
    }

    #[inline]
    pub fn set_offload(&mut self, offload: Offload) {
        if offload == Offload::NONE {
            self.meta.0 &= !flag::OFFLOAD;
        } else {
            self.header_mut().offload = offload;
            self.meta.0 |= flag::OFFLOAD;
        }
    }

    /// One plain buffer, nothing left to do: what every device can send as it is.
    #[inline]
    pub fn is_plain(&self) -> bool {
        !self.meta.any(flag::OFFLOAD | flag::CHAIN)
    }

    /// No chain, and the buffer a small one.
    #[inline]
    pub(crate) fn is_one_small(&self) -> bool {
        !self.meta.any(flag::CHAIN | flag::LARGE | flag::LENT)
    }

    /// Patch ports crossed so far.
    pub fn hops(&self) -> u8 {
        self.meta.hops()
    }
    pub fn add_hop(&mut self) {
        if self.hops() < u8::MAX {
            self.meta.0 += 1 << 8;
        }
    }

    /// Which of the queues of the port that it leaves by is its own, 0 to 15; 0 as long as nobody said.
    pub fn lane(&self) -> u8 {
        (self.meta.0 >> 4) as u8 & 0xf
    }
    pub fn set_lane(&mut self, lane: u8) {
        self.meta.0 = self.meta.0 & !0xf0 | u64::from(lane & 0xf) << 4;
    }

    /// All of the first buffer from the usual start of data to its end: where a driver receives to.
    /// [`Frame::set_len`] then says how much of it was filled.
    pub fn room_mut(&mut self) -> &mut [u8] {
        let head = self.class().head();
        self.meta.set_bounds(head, 0);
        // SAFETY: from `head` to the stride is inside the buffer, whose bytes are always initialised.
        unsafe { core::slice::from_raw_parts_mut(self.at(head).as_ptr(), self.class().stride() - head) }
    }

    /// Says how many bytes of the first buffer are data.
    ///
    /// # Panics
    /// If the buffer is not that large.
    pub fn set_len(&mut self, len: usize) {
        self.set_bounds(self.meta.head(), len);
    }

    pub(crate) fn set_bounds(&mut self, head: usize, len: usize) {
        assert!(head >= HEADER && head + len <= self.class().stride(), "data inside the buffer");
        self.meta.set_bounds(head, len);
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
        self.set_bounds(other.meta.head(), other.meta.len());
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
        other.meta.0 &= !flag::OFFLOAD;
        let more = other.len() as u32;
        let had = self.meta.any(flag::CHAIN);
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
        self.meta.0 |= flag::CHAIN;
        Ok(())
    }

    /// Takes the rest of the chain off.
    pub fn split_rest(&mut self) -> Option<Frame> {
        if !self.meta.any(flag::CHAIN) {
            return None;
        }
        self.meta.0 &= !flag::CHAIN;
        self.header_mut().next.take()
    }

    /// Opens `n` bytes in front of the data.
    ///
    /// # Errors
    /// When there is no headroom left; nothing is changed then.
    #[inline]
    pub fn grow_front(&mut self, n: usize) -> Result<(), NoRoom> {
        if n + HEADER > self.meta.head() {
            return Err(NoRoom);
        }
        self.meta.set_bounds(self.meta.head() - n, self.meta.len() + n);
        Ok(())
    }

    /// Forgets the first `n` bytes of the data.
    ///
    /// # Errors
    /// When the first buffer holds fewer; nothing is changed then.
    #[inline]
    pub fn shrink_front(&mut self, n: usize) -> Result<(), NoRoom> {
        if n > self.meta.len() {
            return Err(NoRoom);
        }
        self.meta.set_bounds(self.meta.head() + n, self.meta.len() - n);
        Ok(())
    }

    /// Whether the buffer lies in the UMEM, so that [`crate::FramePool::frame_into_umem`] takes it.
    pub fn is_small(&self) -> bool {
        self.class() == Class::Small && !self.is_lent()
    }

    /// Whether each of its buffers is a small one with data, as a chain of UMEM chunks must be.
    pub fn is_small_throughout(&self) -> bool {
        core::iter::successors(Some(self), |f| f.rest()).all(|f| f.is_small() && f.meta.len() > 0)
    }

    /// Takes the handle apart without giving the buffer back: where its data starts, and its class. No
    /// chain may be left.
    pub(crate) fn into_data(self) -> (NonNull<u8>, Class) {
        debug_assert!(!self.meta.any(flag::CHAIN));
        let known = (self.at(self.meta.head()), self.class());
        core::mem::forget(self);
        known
    }

    /// Takes the handle apart without giving the buffer back. No chain may be left.
    #[inline]
    pub(crate) fn into_buffer(mut self) -> (Buffer, Class) {
        debug_assert!(!self.meta.any(flag::CHAIN));
        if self.meta.any(flag::LENT) {
            self.return_data();
        }
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
        if self.meta.any(flag::LENT) {
            self.return_data();
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
