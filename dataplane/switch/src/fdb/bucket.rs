//! One cache line of the forwarding database: a sequence lock over five stations.
//!
//! The sequence word is `count:30 | overflowed:1 | locked:1`. A writer sets `locked`, writes, and clears it
//! with the count one higher. A reader that sees `locked`, or a word that changed while it read, learns
//! nothing. H.-J. Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012),
//! figure 6, for the fences.

use super::sync::{AtomicU32, AtomicU64, Ordering::*, fence};
use vsw_types::PortIdx;

/// Stations in one bucket: what fits in a cache line.
pub(super) const SLOTS: usize = 5;

const LOCKED: u32 = 1;
const OVERFLOWED: u32 = 2;
const ONE: u32 = 4;

/// `seen:19 | static:1 | port:12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(u32);

const SEEN_MASK: u32 = (1 << 19) - 1;
const STATIC: u32 = 1 << 12;

const _: () = assert!(vsw_types::MAX_PORTS <= STATIC as usize);

impl Value {
    pub(super) fn learned(port: PortIdx, seen: u32) -> Self {
        Self(seen << 13 | port.0 as u32)
    }
    pub(super) fn fixed(port: PortIdx) -> Self {
        Self(STATIC | port.0 as u32)
    }
    #[inline]
    pub(super) fn port(self) -> PortIdx {
        PortIdx((self.0 & (STATIC - 1)) as u16)
    }
    #[inline]
    pub(super) fn is_static(self) -> bool {
        self.0 & STATIC != 0
    }
    /// The stamp's low 19 bits.
    #[inline]
    pub(super) fn seen(self) -> u32 {
        self.0 >> 13
    }
    /// Units of time since it was heard. Stamps wrap; ages never come near half of their range.
    pub(super) fn age(self, stamp: u32) -> u32 {
        stamp.wrapping_sub(self.seen()) & SEEN_MASK
    }
}

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Bucket {
    keys: [AtomicU64; SLOTS],
    values: [AtomicU32; SLOTS],
    seq: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

impl Default for Bucket {
    fn default() -> Self {
        Self {
            keys: std::array::from_fn(|_| AtomicU64::new(0)),
            values: std::array::from_fn(|_| AtomicU32::new(0)),
            seq: AtomicU32::new(0),
        }
    }
}

/// A writer was here: look again.
#[derive(Debug)]
pub(super) struct Raced;

impl Bucket {
    /// What is known of a key, and whether some station that belongs here lives in its second bucket.
    #[inline(always)]
    pub(super) fn read(&self, key: u64) -> Result<(Option<Value>, bool), Raced> {
        let before = self.seq.load(Acquire);
        // Stations are put into the first free slot, so the one looked for is early in most buckets.
        let slot = self.keys.iter().position(|k| k.load(Relaxed) == key);
        let found = slot.map(|i| Value(self.values[i].load(Relaxed)));
        fence(Acquire);
        if before & LOCKED != 0 || self.seq.load(Relaxed) != before {
            return Err(Raced);
        }
        Ok((found, before & OVERFLOWED != 0))
    }

    /// Writes a new stamp if the slot still holds what was read. No lock: the worst that can happen is
    /// that another station with the same port and stamp, put there meanwhile, becomes as young.
    pub(super) fn refresh(&self, key: u64, old: Value, young: Value) -> bool {
        for (k, v) in self.keys.iter().zip(&self.values) {
            if k.load(Relaxed) == key {
                let _ = v.compare_exchange(old.0, young.0, Relaxed, Relaxed);
                return true;
            }
        }
        false
    }

    /// The right to write, if nobody else has it.
    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        let seq = self.seq.load(Relaxed);
        if seq & LOCKED != 0 || self.seq.compare_exchange(seq, seq | LOCKED, Acquire, Relaxed).is_err() {
            return None;
        }
        fence(Release);
        Some(Locked { bucket: self, next: core::cell::Cell::new(seq.wrapping_add(ONE)) })
    }

    /// Stations as they are at some moment; for listings and for a first look.
    pub(super) fn peek(&self) -> impl Iterator<Item = (u64, Value)> + '_ {
        let pairs = self.keys.iter().zip(&self.values);
        pairs.map(|(k, v)| (k.load(Relaxed), Value(v.load(Relaxed)))).filter(|(k, _)| *k != 0)
    }
}

/// A bucket that only this thread may write, until it is dropped.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    bucket: &'a Bucket,
    next: core::cell::Cell<u32>,
}

impl Locked<'_> {
    pub(super) fn find(&self, key: u64) -> Option<(usize, Value)> {
        self.entries().find(|(_, k, _)| *k == key).map(|(slot, _, v)| (slot, v))
    }
    pub(super) fn free(&self) -> Option<usize> {
        self.bucket.keys.iter().position(|k| k.load(Relaxed) == 0)
    }
    /// (slot, key, value) of each station.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, u64, Value)> + '_ {
        let pairs = self.bucket.keys.iter().zip(&self.bucket.values).enumerate();
        pairs.map(|(i, (k, v))| (i, k.load(Relaxed), Value(v.load(Relaxed)))).filter(|(_, k, _)| *k != 0)
    }
    pub(super) fn put(&self, slot: usize, key: u64, value: Value) {
        self.bucket.values[slot].store(value.0, Relaxed);
        self.bucket.keys[slot].store(key, Relaxed);
    }
    pub(super) fn clear(&self, slot: usize) {
        self.bucket.keys[slot].store(0, Relaxed);
    }
    /// From now on, who looks here looks in the second bucket too.
    pub(super) fn set_overflowed(&self) {
        self.next.set(self.next.get() | OVERFLOWED);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.bucket.seq.store(self.next.get(), Release);
    }
}
