//! Which chunks of the UMEM the kernel has from one queue.
//!
//! One bit a chunk, set when the chunk is given away and cleared when it comes back. It is what makes
//! taking a chunk back sound: whatever an index in a shared ring says, a chunk comes back only if it was
//! given, and only once. And when the queue closes, it says what else belongs to the pool.
//!
//! It must be dropped after the socket. The chunks are free when the kernel has released the UMEM, which is
//! a moment later: closing only begins that (a zero-copy driver is told by a work item, a driver with
//! IFF_TX_SKB_NO_LINEAR sends from the chunk itself, and a process that is being forked has the socket open
//! too). A thread waits for that and gives everything back to the pool.
//!
//! Thread-safety: plain data, owned by its queue.

use crate::socket::{QueueId, wait_until_released};
use std::mem::ManuallyDrop;
use vsw_mem::{Frame, FramePool, HEADROOM, SMALL};

/// The chunks that a queue gave to the kernel.
#[derive(Debug)]
pub(crate) struct Held {
    pool: &'static FramePool,
    bits: Box<[u64]>,
    at: QueueId,
}

impl Held {
    pub(crate) fn new(pool: &'static FramePool, at: QueueId) -> Self {
        let words = (pool.size().small as usize).div_ceil(64);
        Self { pool, bits: vec![0; words].into_boxed_slice(), at }
    }

    /// Gives a frame of one small buffer to the kernel: the address of its data in the UMEM.
    #[inline]
    pub(crate) fn give(&mut self, frame: Frame) -> u64 {
        let addr = self.pool.frame_into_umem(frame);
        let chunk = addr as usize / SMALL;
        self.bits[chunk / 64] |= 1 << (chunk % 64);
        addr
    }

    /// Takes back the chunk that holds `addr`, as a frame with `len` bytes of data there; an empty one
    /// where that is not inside the chunk. `None` if the kernel did not have it.
    ///
    /// # Safety
    /// The kernel has put the chunk into a ring that hands it to us, or its socket is closed and done.
    #[inline]
    pub(crate) unsafe fn take(&mut self, addr: u64, len: u32) -> Option<Frame> {
        let chunk = usize::try_from(addr).ok()? / SMALL;
        let word = self.bits.get_mut(chunk / 64)?;
        let bit = 1 << (chunk % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        let at = addr as usize % SMALL;
        let (at, len) = if at >= HEADROOM && at + len as usize <= SMALL { (at, len) } else { (HEADROOM, 0) };
        // SAFETY: the bit says that it was given away and has not come back; the caller, that the kernel
        // no longer uses it.
        Some(unsafe { self.pool.frame_from_umem((chunk * SMALL + at) as u64, len) })
    }

    /// # Safety
    /// The kernel has released the UMEM.
    unsafe fn take_all(&mut self) {
        for word in 0..self.bits.len() {
            while self.bits[word] != 0 {
                let chunk = word * 64 + self.bits[word].trailing_zeros() as usize;
                // SAFETY: promised by the caller.
                drop(unsafe { self.take((chunk * SMALL + HEADROOM) as u64, 0) });
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bits.iter().all(|word| *word == 0) {
            return;
        }
        let (pool, at) = (self.pool, self.at);
        let mut rest = ManuallyDrop::new(Self { pool, bits: std::mem::take(&mut self.bits), at });
        let wait = move || {
            wait_until_released(at, pool);
            // SAFETY: just waited for.
            unsafe { rest.take_all() };
        };
        // Without a thread the chunks are lost, which is better than given to two.
        let _detached = std::thread::Builder::new().name("afxdp-close".into()).spawn(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_mem::{FrameCache, PoolSize};

    #[test]
    fn a_chunk_comes_back_once_and_only_if_it_was_given() {
        let pool = FramePool::leak(PoolSize { small: 70, large: 0 }).unwrap();
        let mut cache = FrameCache::new(pool);
        let mut held = Held::new(pool, QueueId { ifindex: 0, queue: 0 });
        let addrs: Vec<u64> = std::iter::from_fn(|| cache.take()).map(|f| held.give(f)).collect();
        assert_eq!(addrs.len(), 70);
        // SAFETY: there is no kernel here.
        unsafe {
            let frame = held.take(addrs[69], 100).unwrap();
            assert_eq!(frame.bytes().len(), 100);
            assert!(held.take(addrs[69], 100).is_none(), "it is back already");
            assert!(held.take(70 * SMALL as u64, 0).is_none(), "no such chunk");
            assert!(held.take(u64::MAX, u32::MAX).is_none());
            assert_eq!(held.take(addrs[3], 5000).unwrap().len(), 0, "not inside the chunk");
            assert_eq!(held.take(addrs[4] / 2048 * 2048, 60).unwrap().len(), 0, "over the header");
            drop(frame);
            held.take_all();
        }
        drop((cache, held));
        assert_eq!(pool.available(), pool.size());
    }
}
