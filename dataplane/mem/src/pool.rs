//! The process's packet memory: which buffers nobody holds.

use crate::frame::Frame;
use crate::region::{Class, Header, Region};
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much packet memory a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Small buffers: [`crate::SMALL`] bytes each.
    pub small: u32,
    /// Large buffers: [`crate::LARGE`] bytes each.
    pub large: u32,
}

impl Default for PoolSize {
    /// 32 MiB of small and 32 MiB of large buffers.
    fn default() -> Self {
        Self { small: 16_384, large: 512 }
    }
}

/// A buffer that nobody uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer(pub(crate) NonNull<Header>);

// SAFETY: a `Buffer` in a list is the only handle to its bytes.
unsafe impl Send for Buffer {}

/// Small and large buffers, and the lists of free ones.
#[derive(Debug)]
pub struct FramePool {
    small: Region,
    large: Region,
    free: [Mutex<Vec<Buffer>>; 2],
}

// SAFETY: the regions' base pointers are never written after construction; each buffer is in
// exactly one place (a free list, one `FrameCache`, one `Frame` or the kernel), so no two threads reach
// the same bytes.
unsafe impl Send for FramePool {}
// SAFETY: as above; the free lists are behind locks.
unsafe impl Sync for FramePool {}

impl FramePool {
    /// Maps the memory for the life of the process.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn leak(size: PoolSize) -> std::io::Result<&'static Self> {
        let small = Region::map(Class::Small, size.small)?;
        let large = Region::map(Class::Large, size.large)?;
        let list = |r: &Region| Mutex::new((0..r.count()).rev().map(|i| Buffer(r.header_of(i))).collect());
        let free = [list(&small), list(&large)];
        let pool: &'static Self = Box::leak(Box::new(Self { small, large, free }));
        pool.small.label(pool);
        pool.large.label(pool);
        Ok(pool)
    }

    pub fn size(&self) -> PoolSize {
        PoolSize { small: self.small.count(), large: self.large.count() }
    }

    /// Buffers held by nobody but the pool.
    pub fn available(&self) -> PoolSize {
        let free = |class| self.free(class).len() as u32;
        PoolSize { small: free(Class::Small), large: free(Class::Large) }
    }

    /// The region of small buffers, as (address, bytes), for registration as a UMEM with chunks of
    /// [`crate::SMALL`] bytes. It stays mapped for the life of the process.
    pub fn umem(&self) -> (NonNull<u8>, usize) {
        self.small.span()
    }

    /// Gives the (small, single) buffer of a frame away, to the kernel: its data's offset in the UMEM.
    /// The bytes come back through [`FramePool::frame_from_umem`].
    ///
    /// # Panics
    /// If the frame is not one small buffer of this pool.
    #[inline]
    pub fn frame_into_umem(&self, frame: Frame) -> u64 {
        let (base, bytes) = self.small.span();
        let (at, class) = frame.into_data();
        let offset = at.as_ptr().addr().wrapping_sub(base.as_ptr().addr());
        assert!(class == Class::Small && offset < bytes, "a small buffer of this pool");
        offset as u64
    }

    /// A frame over the chunk that holds `addr` of the UMEM, its data starting there.
    ///
    /// # Safety
    /// The chunk was given away by [`FramePool::frame_into_umem`] and nobody else, the kernel included, uses it
    /// any more.
    ///
    /// # Panics
    /// If `addr` and `len` are not inside one chunk behind its header.
    pub unsafe fn frame_from_umem(&'static self, addr: u64, len: u32) -> Frame {
        let index = (addr / crate::SMALL as u64) as u32;
        let head = (addr % crate::SMALL as u64) as usize;
        let mut frame = Frame::fresh(self.small.header_of(index), Class::Small);
        frame.set_bounds(head, len as usize);
        frame
    }

    pub(crate) fn free(&self, class: Class) -> MutexGuard<'_, Vec<Buffer>> {
        // A list of pointers is whole whatever the holder of the lock was doing.
        self.free[class as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
