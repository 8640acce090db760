//! Which buffers of a guest are still being read, by frames that are on their way.
//!
//! A slot for each chain that was taken and is not used yet, in the order in which they came. The frames count
//! themselves back in their slot, wherever they end; chains are used in order, each when its count is zero.
//!
//! Frames end within a pass or two of the workers. Should one live longer than a ring (a ring can be stopped at
//! any time), its slots and the memory it reads are kept as a [`Grave`], until it has ended.
//!
//! Thread-safety: owned by whoever has the ring's lock; the counts are shared with all who hold frames.

use crate::memory::Memory;
use crate::ring::Ring;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

/// How long a ring that is stopped waits for frames to end.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Slab {
    open: Box<[AtomicU32]>,
    /// What the frames read.
    _memory: Arc<Memory>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u16,
    descs: u16,
    slot: u16,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Loans {
    slab: Arc<Slab>,
    waiting: VecDeque<Waiting>,
    next: u16,
}

impl Loans {
    /// For a ring of so many descriptors.
    pub(crate) fn new(size: u16, memory: Arc<Memory>) -> Self {
        let open = (0..size).map(|_| AtomicU32::new(0)).collect();
        Self {
            slab: Arc::new(Slab { open, _memory: memory }),
            waiting: VecDeque::with_capacity(size.into()),
            next: 0,
        }
    }

    /// Chains that can be taken now.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.slab.open.len() - self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A chain comes into the next slot, with `pieces` of it lent. There must be [`Loans::room`].
    #[inline]
    pub(crate) fn push(&mut self, id: u16, descs: u16, pieces: u32) -> NonNull<AtomicU32> {
        let slot = self.next;
        self.next = if usize::from(slot) + 1 == self.slab.open.len() { 0 } else { slot + 1 };
        let open = &self.slab.open[usize::from(slot)];
        open.store(pieces, Relaxed);
        self.waiting.push_back(Waiting { id, descs, slot });
        NonNull::from(open)
    }

    /// One piece less was lent of the chain that came last.
    pub(crate) fn forgo(&self, pieces: u32) {
        if let Some(w) = self.waiting.back() {
            self.slab.open[usize::from(w.slot)].fetch_sub(pieces, Relaxed);
        }
    }

    /// Marks as used what nobody reads any more, up to the first that somebody does. Whether there was any.
    #[inline]
    pub(crate) fn reap(&mut self, ring: &mut Ring) -> bool {
        let mut any = false;
        while let Some(w) = self.waiting.front() {
            // Acquire: what was read, was read before the guest may write there again.
            if self.slab.open[usize::from(w.slot)].load(Acquire) != 0 {
                break;
            }
            ring.used(w.id, w.descs, 0);
            self.waiting.pop_front();
            any = true;
        }
        any
    }

    /// Waits until all are used; those that are not after [`PATIENCE`] are marked as used all the same, and what
    /// is left to care for is returned.
    pub(crate) fn settle(&mut self, ring: &mut Ring) -> Option<Grave> {
        let patience = Instant::now() + PATIENCE;
        loop {
            self.reap(ring);
            if self.waiting.is_empty() {
                return None;
            }
            if Instant::now() >= patience {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        for w in self.waiting.drain(..) {
            ring.used(w.id, w.descs, 0);
        }
        let slab = self.slab.clone();
        // Counts of these must not be mixed with new ones.
        *self = Self::new(slab.open.len() as u16, slab._memory.clone());
        Some(Grave(slab))
    }

    /// What is left to care for when the ring ends at once.
    pub(crate) fn bury(self) -> Grave {
        Grave(self.slab)
    }
}

/// Slots and memory that frames may still read.
#[derive(Debug)]
pub(crate) struct Grave(Arc<Slab>);

impl Grave {
    /// No frame reads any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.open.iter().all(|open| open.load(Acquire) == 0)
    }
}
