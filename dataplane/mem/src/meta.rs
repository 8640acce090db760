//! What a frame's handle says besides where the buffer is.

use crate::region::Class;

pub(crate) mod flag {
    /// The header's `offload` is valid.
    pub(crate) const OFFLOAD: u64 = 1;
    /// The header's `next` and `tail_len` are valid.
    pub(crate) const CHAIN: u64 = 2;
    /// The buffer is a large one.
    pub(crate) const LARGE: u64 = 4;
    /// The data is not in the buffer but lent, as the header's `loan` says.
    pub(crate) const LENT: u64 = 8;
}

/// What a handle says besides where the buffer is: `len:32 | head:16 | hops:8 | lane:4 | flags:4`. One word, so that
/// a handle moves as two registers. As four fields it was written in four pieces and read in one, which a
/// processor's store buffer cannot forward.
#[derive(Clone, Copy)]
pub(crate) struct Meta(pub(crate) u64);

impl Meta {
    pub(crate) fn fresh(class: Class) -> Self {
        let flags = if class == Class::Large { flag::LARGE } else { 0 };
        Self((class.head() as u64) << 16 | flags)
    }
    /// Bytes of data in the first buffer. Invariant: `head + len <= stride`.
    #[inline]
    pub(crate) fn len(self) -> usize {
        (self.0 >> 32) as usize
    }
    /// Offset of the data from the start of the buffer; behind the header.
    #[inline]
    pub(crate) fn head(self) -> usize {
        (self.0 >> 16) as u16 as usize
    }
    /// Patch ports crossed.
    pub(crate) fn hops(self) -> u8 {
        (self.0 >> 8) as u8
    }
    /// Whether any of the flags is set.
    #[inline]
    pub(crate) fn any(self, flags: u64) -> bool {
        self.0 & flags != 0
    }
    #[inline]
    pub(crate) fn set_bounds(&mut self, head: usize, len: usize) {
        self.0 = self.0 & 0xffff | (head as u16 as u64) << 16 | (len as u64) << 32;
    }
}
