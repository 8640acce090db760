//! One worker's private stock of free buffers.

use crate::pool::Buffer;
use crate::region::Class;
use crate::{BATCH, Frame, FramePool};
use arrayvec::ArrayVec;

/// Small buffers moved to or from the pool at once.
const REFILL: usize = 2 * BATCH;
/// Large ones: enough for a batch.
const REFILL_LARGE: usize = BATCH;

/// Free buffers that one thread can take and give back without a lock.
#[derive(Debug)]
pub struct FrameCache {
    pool: &'static FramePool,
    small: ArrayVec<Buffer, { 4 * REFILL }>,
    large: ArrayVec<Buffer, { 2 * REFILL_LARGE }>,
}

impl FrameCache {
    pub fn new(pool: &'static FramePool) -> Self {
        Self { pool, small: ArrayVec::new(), large: ArrayVec::new() }
    }

    pub fn pool(&self) -> &'static FramePool {
        self.pool
    }

    /// An empty small frame, or `None` when the whole pool is in use.
    #[inline]
    pub fn take(&mut self) -> Option<Frame> {
        if self.small.is_empty() {
            self.refill();
        }
        self.small.pop().map(|b| Frame::fresh(b.0, Class::Small))
    }

    /// An empty large frame, or `None` when the whole pool is in use.
    #[inline]
    pub fn take_large(&mut self) -> Option<Frame> {
        if self.large.is_empty() {
            self.refill_large();
        }
        self.large.pop().map(|b| Frame::fresh(b.0, Class::Large))
    }

    /// Gives all buffers of a frame back.
    #[inline(always)]
    pub fn recycle(&mut self, frame: Frame) {
        if frame.is_one_small() && !self.small.is_full() {
            self.small.push(frame.into_buffer().0);
        } else {
            self.recycle_chain(frame);
        }
    }

    #[inline(never)]
    fn recycle_chain(&mut self, mut frame: Frame) {
        let mut next = frame.split_rest();
        self.put(frame);
        while let Some(mut frame) = next {
            next = frame.split_rest();
            self.put(frame);
        }
    }

    fn put(&mut self, frame: Frame) {
        match frame.into_buffer() {
            (buffer, Class::Small) => {
                if self.small.is_full() {
                    self.spill();
                }
                self.small.push(buffer);
            }
            (buffer, Class::Large) => {
                if self.large.is_full() {
                    self.spill_large();
                }
                self.large.push(buffer);
            }
        }
    }

    /// An independent copy of a frame, for flooding and mirroring: bytes, offload and hops. `None` when
    /// there is no buffer for it.
    pub fn copy(&mut self, frame: &Frame) -> Option<Frame> {
        let mut twin = self.copy_segment(frame)?;
        let mut rest = frame.rest();
        while let Some(segment) = rest {
            let Some(copy) = self.copy_segment(segment) else {
                self.recycle(twin);
                return None;
            };
            if let Err(copy) = twin.append(copy) {
                self.recycle(copy);
                self.recycle(twin);
                return None;
            }
            rest = segment.rest();
        }
        twin.set_offload(frame.offload());
        (0..frame.hops()).for_each(|_| twin.add_hop());
        Some(twin)
    }

    fn copy_segment(&mut self, segment: &Frame) -> Option<Frame> {
        if segment.data().len() > crate::SMALL_DATA && segment.is_small() {
            // It grew into its headroom, and may have to grow on: a large buffer has none.
            let mut twin = self.take()?;
            twin.mirror(segment);
            return Some(twin);
        }
        let data = segment.data();
        let mut twin = if data.len() <= crate::SMALL_DATA { self.take() } else { self.take_large() }?;
        match twin.fill(data) {
            Ok(()) => Some(twin),
            Err(_) => {
                self.recycle(twin);
                None
            }
        }
    }

    #[cold]
    fn refill(&mut self) {
        let mut shared = self.pool.free(Class::Small);
        let n = shared.len().saturating_sub(REFILL);
        self.small.extend(shared.drain(n..));
    }

    #[cold]
    fn refill_large(&mut self) {
        let mut shared = self.pool.free(Class::Large);
        let n = shared.len().saturating_sub(REFILL_LARGE);
        self.large.extend(shared.drain(n..));
    }

    #[cold]
    fn spill(&mut self) {
        let keep = self.small.len() / 2;
        self.pool.free(Class::Small).extend(self.small.drain(keep..));
    }

    #[cold]
    fn spill_large(&mut self) {
        let keep = self.large.len() / 2;
        self.pool.free(Class::Large).extend(self.large.drain(keep..));
    }
}

impl Drop for FrameCache {
    fn drop(&mut self) {
        self.pool.free(Class::Small).extend(self.small.drain(..));
        self.pool.free(Class::Large).extend(self.large.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Csum, Offload, PoolSize};

    fn pool() -> &'static FramePool {
        FramePool::leak(PoolSize { small: 8, large: 2 }).unwrap()
    }

    #[test]
    fn a_chain_is_one_frame_and_comes_home_whole() {
        let pool = pool();
        let mut cache = FrameCache::new(pool);
        let mut frame = cache.take().unwrap();
        frame.fill(&[1; 1792]).unwrap();
        let mut large = cache.take_large().unwrap();
        large.fill(&[2; 60_000]).unwrap();
        frame.append(large).unwrap();
        let mut small = cache.take().unwrap();
        small.fill(&[3; 10]).unwrap();
        frame.append(small).unwrap();
        assert_eq!(frame.len(), 1792 + 60_000 + 10);
        assert_eq!(frame.segments().map(<[u8]>::len).collect::<Vec<_>>(), [1792, 60_000, 10]);
        frame.set_offload(Offload { csum: Csum::Valid, gso: None });

        let twin = cache.copy(&frame).unwrap();
        assert_eq!(twin.segments().collect::<Vec<_>>(), frame.segments().collect::<Vec<_>>());
        assert_eq!(twin.offload(), frame.offload());
        assert!(cache.copy(&frame).is_none(), "there are but two large buffers");

        cache.recycle(frame);
        drop(twin);
        drop(cache);
        assert_eq!(pool.available(), pool.size());
    }

    #[test]
    fn a_frame_longer_than_the_longest_is_refused() {
        let pool = pool();
        let mut cache = FrameCache::new(pool);
        let mut a = cache.take_large().unwrap();
        a.fill(&[0; 65_536]).unwrap();
        let mut b = cache.take().unwrap();
        b.fill(&[0; 100]).unwrap();
        let b = a.append(b).unwrap_err();
        assert_eq!((a.len(), b.len()), (65_536, 100));
    }

    #[test]
    fn what_the_kernel_gives_back_is_the_same_buffer() {
        let pool = pool();
        let mut cache = FrameCache::new(pool);
        let mut frame = cache.take().unwrap();
        frame.fill(b"hello").unwrap();
        frame.grow_front(3).unwrap();
        let addr = pool.frame_into_umem(frame);
        // SAFETY: given away just above, and nobody else has it.
        let back = unsafe { pool.frame_from_umem(addr + 3, 5) };
        assert_eq!(back.bytes(), b"hello");
    }

    #[test]
    fn headroom_ends_at_the_header() {
        let mut cache = FrameCache::new(pool());
        let mut frame = cache.take().unwrap();
        frame.fill(&[7; 60]).unwrap();
        assert!(frame.grow_front(192).is_ok());
        assert!(frame.grow_front(1).is_err());
        frame.bytes_mut().fill(9); // would overwrite the header if headroom were wrong
        assert!(frame.shrink_front(192 + 60).is_ok());
        assert!(frame.shrink_front(1).is_err());
    }

    #[test]
    fn an_empty_pool_says_so_and_recovers() {
        let pool = pool();
        let mut cache = FrameCache::new(pool);
        let frames: Vec<_> = std::iter::from_fn(|| cache.take()).collect();
        assert_eq!(frames.len(), 8);
        assert!(cache.take().is_none());
        frames.into_iter().for_each(|f| cache.recycle(f));
        assert!(cache.take().is_some());
    }
}
