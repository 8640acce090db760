//! One side of a ring shared with the kernel (Documentation/networking/af_xdp.rst, "Rings").
//!
//! A ring has two free-running 32-bit indices and a power of two of slots. We are the producer of the
//! fill and TX rings, the consumer of the RX and completion rings. Each side keeps a copy of the other's
//! index and looks at the real one (acquire) only when the copy says that there is nothing left; its own
//! index it shows (release) once a batch. The indices wrap; every difference of them is a count.
//!
//! A ring does not care where its memory is: `M` is whatever keeps it mapped, so that tests and miri run
//! the same code over plain memory.
//!
//! Thread-safety: each side belongs to one thread; the two sides may be in different threads.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Where the parts of a ring are.
#[derive(Debug)]
pub(crate) struct Layout<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<T>,
    mask: u32,
}

impl<T> Layout<T> {
    /// # Safety
    /// All parts are aligned, in memory that outlives the ring made of them, and `slots` has `size`
    /// initialised entries. Only one producer and one consumer use them.
    ///
    /// # Panics
    /// If `size` is not a power of two.
    pub(crate) unsafe fn new(
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        flags: NonNull<AtomicU32>,
        slots: NonNull<T>,
        size: u32,
    ) -> Self {
        assert!(size.is_power_of_two(), "a ring has a power of two of slots");
        Self { producer, consumer, flags, slots, mask: size - 1 }
    }

    fn size(&self) -> u32 {
        self.mask + 1
    }
    fn producer(&self) -> &AtomicU32 {
        // SAFETY: promised to `new`.
        unsafe { self.producer.as_ref() }
    }
    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: promised to `new`.
        unsafe { self.consumer.as_ref() }
    }
    fn flags(&self) -> &AtomicU32 {
        // SAFETY: promised to `new`.
        unsafe { self.flags.as_ref() }
    }
    #[inline]
    fn slot(&self, index: u32) -> NonNull<T> {
        // SAFETY: masked, so it is one of the `size` slots.
        unsafe { self.slots.add((index & self.mask) as usize) }
    }
}

/// The side that puts in.
#[derive(Debug)]
pub(crate) struct Producer<T, M> {
    ring: Layout<T>,
    /// The next slot to write; shown to the other side by `publish`.
    next: u32,
    /// The consumer's index when last looked at, plus the size: the first slot that is not free.
    end: u32,
    _memory: M,
}

// SAFETY: the parts are reached by this side only through atomics, or in slots that belong to it.
unsafe impl<T: Send, M: Send> Send for Producer<T, M> {}

impl<T: Copy, M> Producer<T, M> {
    pub(crate) fn new(ring: Layout<T>, memory: M) -> Self {
        let next = ring.producer().load(Ordering::Relaxed);
        let end = ring.consumer().load(Ordering::Acquire).wrapping_add(ring.size());
        Self { ring, next, end, _memory: memory }
    }

    /// Free slots; at least `want` if there are so many.
    #[inline]
    pub(crate) fn room(&mut self, want: u32) -> u32 {
        if self.end.wrapping_sub(self.next) < want {
            let consumer = self.ring.consumer().load(Ordering::Acquire);
            self.end = consumer.wrapping_add(self.ring.size());
        }
        self.end.wrapping_sub(self.next)
    }

    /// Puts a value into the next slot, unseen until [`Producer::publish`]. `false` when the ring is full.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> bool {
        if self.room(1) == 0 {
            return false;
        }
        // SAFETY: the slot is between the two indices, so the consumer does not read it.
        unsafe { self.ring.slot(self.next).write(value) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows what was pushed to the other side.
    #[inline]
    pub(crate) fn publish(&self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Entries that the other side has not taken yet.
    pub(crate) fn backlog(&self) -> u32 {
        self.next.wrapping_sub(self.ring.consumer().load(Ordering::Acquire))
    }

    /// Whether the kernel sleeps and must be called to look at the ring (XDP_RING_NEED_WAKEUP).
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        // Without the fence the flag could be read before the producer index is seen: the kernel would
        // go to sleep over a ring that it believes empty, and we would believe it awake.
        fence(Ordering::SeqCst);
        self.ring.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The side that takes out.
#[derive(Debug)]
pub(crate) struct Consumer<T, M> {
    ring: Layout<T>,
    /// The next slot to read; shown to the other side by `release`.
    next: u32,
    /// The producer's index when last looked at.
    end: u32,
    _memory: M,
}

// SAFETY: as for `Producer`.
unsafe impl<T: Send, M: Send> Send for Consumer<T, M> {}

impl<T: Copy, M> Consumer<T, M> {
    pub(crate) fn new(ring: Layout<T>, memory: M) -> Self {
        let next = ring.consumer().load(Ordering::Relaxed);
        Self { ring, next, end: next, _memory: memory }
    }

    /// The next value; its slot is not free for the other side until [`Consumer::release`].
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.next == self.end {
            self.end = self.ring.producer().load(Ordering::Acquire);
            if self.next == self.end {
                return None;
            }
        }
        // SAFETY: the slot is between the two indices, so the producer has written it and writes it no more.
        let value = unsafe { self.ring.slot(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(value)
    }

    /// Frees the slots of all that was popped.
    #[inline]
    pub(crate) fn release(&self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::sync::Arc;

    const SIZE: u32 = 8;

    /// A ring in plain memory.
    struct Plain {
        indices: [AtomicU32; 3],
        slots: UnsafeCell<[u64; SIZE as usize]>,
    }
    // SAFETY: the slots are reached through the ring only.
    unsafe impl Sync for Plain {}

    type Ends = (Producer<u64, Arc<Plain>>, Consumer<u64, Arc<Plain>>, Arc<Plain>);

    fn ring(start: u32) -> Ends {
        let indices = [AtomicU32::new(start), AtomicU32::new(start), AtomicU32::new(0)];
        let plain = Arc::new(Plain { indices, slots: UnsafeCell::new([0; SIZE as usize]) });
        let layout = || {
            let [producer, consumer, flags] = plain.indices.each_ref().map(NonNull::from);
            // SAFETY: both sides hold the memory; the test makes one of each.
            unsafe {
                Layout::new(producer, consumer, flags, NonNull::new_unchecked(plain.slots.get()).cast(), SIZE)
            }
        };
        (Producer::new(layout(), plain.clone()), Consumer::new(layout(), plain.clone()), plain.clone())
    }

    #[test]
    fn a_full_ring_takes_no_more_and_an_unpublished_value_is_not_seen() {
        let (mut producer, mut consumer, _) = ring(u32::MAX - 3); // the indices wrap inside this test
        for round in 0..4 {
            assert_eq!(producer.room(SIZE), SIZE);
            assert!((0..u64::from(SIZE)).all(|i| producer.push(round + i)));
            assert!(!producer.push(99));
            assert_eq!(consumer.pop(), None, "not published");
            producer.publish();
            assert_eq!(producer.backlog(), SIZE);
            assert!((0..u64::from(SIZE)).all(|i| consumer.pop() == Some(round + i)));
            assert_eq!(consumer.pop(), None);
            assert!(!producer.push(99), "not released");
            consumer.release();
            assert_eq!(producer.backlog(), 0);
        }
    }

    #[test]
    fn the_kernel_asks_to_be_woken_by_a_flag() {
        let (producer, _, plain) = ring(0);
        assert!(!producer.needs_wakeup());
        plain.indices[2].store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }

    #[test]
    fn two_threads_pass_everything_in_order_across_the_wrap() {
        let count = if cfg!(miri) { 200 } else { 200_000 };
        let (mut producer, mut consumer, _) = ring(u32::MAX - 50);
        let writer = std::thread::spawn(move || {
            let mut value = 0;
            while value < count {
                if producer.push(value) {
                    value += 1;
                } else {
                    std::thread::yield_now();
                }
                producer.publish();
            }
        });
        for expected in 0..count {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(value, expected);
            consumer.release();
        }
        writer.join().unwrap();
    }
}
