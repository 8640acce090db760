//! Data of a frame that stays where its owner has it: a guest's payload on its way to another guest.
//!
//! A lent piece is the tail of a chain; the first buffer, where headers are and decisions are made, is always
//! the pool's own. The owner counts the pieces that are out; each counts itself back when its frame is
//! recycled or dropped, on whatever thread that is. So a loan needs no lock and no reference count, and the owner
//! must not let go of the memory, or have it written, before the count is zero.
//!
//! A frame with loans that has to wait for long, or is kept, is made independent first
//! ([`crate::FrameCache::own`]).

use crate::{Frame, FrameCache};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// What a frame's header says of lent data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan {
    pub(crate) data: NonNull<u8>,
    /// Pieces that are out.
    open: NonNull<AtomicU32>,
}

impl Loan {
    pub(crate) fn end(self) {
        // SAFETY: the count lives as long as a loan is open, and this one is.
        let open = unsafe { self.open.as_ref() };
        // The last one has nobody to race with. Release: reading is over when the owner sees it.
        match open.load(Ordering::Relaxed) {
            1 => open.store(0, Ordering::Release),
            _ => drop(open.fetch_sub(1, Ordering::Release)),
        }
    }
}

impl FrameCache {
    /// A frame whose data is where its owner has it, to be appended to another. `None` when the whole pool is
    /// in use: even what is lent needs a buffer, for its handle. The caller counts it in `open`.
    ///
    /// # Safety
    /// Until `open` was counted down, `open` lives and `len` bytes at `data` are mapped. They may change.
    #[inline]
    pub unsafe fn lend(&mut self, data: NonNull<u8>, len: usize, open: NonNull<AtomicU32>) -> Option<Frame> {
        let mut frame = self.take()?;
        frame.borrow_data(Loan { data, open }, len);
        Some(frame)
    }

    /// The same frame without loans: what was lent is copied and given back.
    ///
    /// # Errors
    /// The frame as it was, when there is no buffer for the copy.
    pub fn own(&mut self, frame: Frame) -> Result<Frame, Frame> {
        if !frame.has_loans() {
            return Ok(frame);
        }
        match self.copy(&frame) {
            Some(copy) => {
                self.recycle(frame);
                Ok(copy)
            }
            None => Err(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FramePool, PoolSize};

    fn lent(cache: &mut FrameCache, pieces: &mut [Vec<u8>], open: &AtomicU32) -> Frame {
        let mut frame = cache.take().unwrap();
        frame.fill(b"head").unwrap();
        open.store(pieces.len() as u32, Ordering::Relaxed);
        for piece in pieces {
            let data = NonNull::new(piece.as_mut_ptr()).unwrap();
            // SAFETY: the caller keeps both until the count is zero.
            let tail = unsafe { cache.lend(data, piece.len(), NonNull::from(open)) }.unwrap();
            frame.append(tail).unwrap();
        }
        frame
    }

    #[test]
    fn loans_come_back_however_the_frame_ends() {
        let pool = FramePool::leak(PoolSize { small: 16, large: 2 }).unwrap();
        let mut cache = FrameCache::new(pool);
        let mut pieces = [vec![1; 3], vec![2; 4000]];
        let open = AtomicU32::new(0);
        for end in 0..3 {
            let frame = lent(&mut cache, &mut pieces, &open);
            assert_eq!((frame.len(), frame.has_loans()), (4 + 3 + 4000, true));
            assert_eq!(frame.segments().map(<[u8]>::len).collect::<Vec<_>>(), [4, 3, 4000]);
            assert!(!frame.is_small_throughout());
            match end {
                0 => cache.recycle(frame),
                1 => drop(frame),
                _ => {
                    let own = cache.own(frame).unwrap();
                    assert_eq!(open.load(Ordering::Acquire), 0);
                    pieces[1].fill(9);
                    assert_eq!(own.segments().last().unwrap(), &[2; 4000]);
                    cache.recycle(own);
                }
            }
            assert_eq!(open.load(Ordering::Acquire), 0);
        }
        drop(cache);
        assert_eq!(pool.available(), pool.size());
    }

    #[test]
    fn without_buffers_a_frame_keeps_its_loans() {
        let pool = FramePool::leak(PoolSize { small: 2, large: 0 }).unwrap();
        let mut cache = FrameCache::new(pool);
        let open = AtomicU32::new(0);
        let mut pieces = [vec![1; 3]];
        let frame = lent(&mut cache, &mut pieces, &open);
        let frame = cache.own(frame).unwrap_err();
        assert_eq!((frame.has_loans(), open.load(Ordering::Relaxed)), (true, 1));
        cache.recycle(frame);
        assert_eq!(open.load(Ordering::Relaxed), 0);
    }
}
