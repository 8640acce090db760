//! One mapping, cut into equal buffers, each beginning with a [`Header`].

use crate::{Offload, loan::Loan, pool::FramePool};
use core::ptr::NonNull;

/// What is known about a buffer besides its bytes. It lies in the buffer's first 64 bytes: the line
/// before the data, in the same page. A frame that is one buffer without offload never touches it.
#[repr(C, align(64))]
pub(crate) struct Header {
    /// Whose it is. Written once, when the region is made.
    pub(crate) pool: Option<&'static FramePool>,
    /// Valid while the frame's handle says so.
    pub(crate) offload: Offload,
    /// The rest of the chain, valid while the frame's handle says so.
    pub(crate) next: Option<crate::Frame>,
    /// Bytes in all of `next`.
    pub(crate) tail_len: u32,
    /// Where the data is, if the frame's handle says that it is lent.
    pub(crate) loan: Option<Loan>,
}

const _: () = assert!(size_of::<Header>() == 64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    Small,
    Large,
}

impl Class {
    /// Bytes from one buffer to the next.
    pub(crate) const fn stride(self) -> usize {
        match self {
            Self::Small => crate::SMALL,
            Self::Large => crate::LARGE + size_of::<Header>(),
        }
    }
    /// Where data begins in a fresh buffer.
    pub(crate) const fn head(self) -> usize {
        match self {
            Self::Small => crate::HEADROOM,
            Self::Large => size_of::<Header>(),
        }
    }
}

/// `count` buffers of one class, in memory that stays mapped until the process ends.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    count: u32,
    class: Class,
}

impl Region {
    /// Maps and touches the memory: a page fault costs more than a thousand packets.
    pub(crate) fn map(class: Class, count: u32) -> std::io::Result<Self> {
        let bytes = (class.stride() * count as usize).max(1);
        Ok(Self { base: map(bytes)?, count, class })
    }

    /// Writes the headers. Called once, before anybody has a frame.
    pub(crate) fn label(&self, pool: &'static FramePool) {
        for index in 0..self.count {
            let header =
                Header { pool: Some(pool), offload: Offload::NONE, next: None, tail_len: 0, loan: None };
            // SAFETY: `header_of` is inside the mapping and aligned to 64; nobody else knows it yet.
            unsafe { self.header_of(index).write(header) };
        }
    }

    pub(crate) fn header_of(&self, index: u32) -> NonNull<Header> {
        assert!(index < self.count, "a buffer of this region");
        // SAFETY: `index < count`, so the result is inside the mapping.
        unsafe { self.base.add(index as usize * self.class.stride()).cast() }
    }

    /// Base address and length in bytes, for registration with the kernel.
    pub(crate) fn span(&self) -> (NonNull<u8>, usize) {
        (self.base, self.class.stride() * self.count as usize)
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Zeroed, page-aligned, populated, for ever.
#[cfg(not(miri))]
fn map(bytes: usize) -> std::io::Result<NonNull<u8>> {
    // SAFETY: a fresh anonymous mapping aliases nothing; the result is checked.
    let p = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if p == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    NonNull::new(p.cast()).ok_or_else(|| std::io::Error::other("mmap returned the zero page"))
}

/// Miri has no populated mappings; it gets the same bytes from the allocator.
#[cfg(miri)]
fn map(bytes: usize) -> std::io::Result<NonNull<u8>> {
    let layout = std::alloc::Layout::from_size_align(bytes, 4096).expect("a layout");
    // SAFETY: the layout has a size above zero.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
        .ok_or_else(|| std::io::ErrorKind::OutOfMemory.into())
}
