//! One class of a port: its queue, its tokens, its numbers.
//!
//! The frame that leaves next is taken out of the queue before it is known when it may leave, because what
//! it costs decides that, and CoDel may drop others first. It waits in `head`.

use crate::fair::Fair;
use crate::slab::{Entry, Slab};
use crate::{Bucket, ClassSettings, Item, Size};
use vsw_types::{DropReason, Now};

/// What became of a class's frames. Packets are those on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    pub packets: u64,
    pub bytes: u64,
    /// The queue was full, in bytes or in time.
    pub full: u64,
    /// Dropped by CoDel.
    pub delayed: u64,
    pub marked: u64,
    /// Waiting now: items, and what they become.
    pub queue_items: u32,
    pub queue_packets: u64,
    pub queue_bytes: u64,
    pub queue_bytes_max: u64,
    /// Nanoseconds that the last one to leave had waited, and the longest.
    pub delay: u64,
    pub delay_max: u64,
}

impl ClassStats {
    fn enter(&mut self, size: Size) {
        self.queue_items += 1;
        self.queue_packets += u64::from(size.packets);
        self.queue_bytes += u64::from(size.bytes);
        self.queue_bytes_max = self.queue_bytes_max.max(self.queue_bytes);
    }

    fn leave(&mut self, size: Size) {
        self.queue_items -= 1;
        self.queue_packets -= u64::from(size.packets);
        self.queue_bytes -= u64::from(size.bytes);
    }

    /// One that waited dies.
    pub(crate) fn drop<T>(
        &mut self,
        entry: Entry<T>,
        reason: DropReason,
        drop: &mut impl FnMut(T, DropReason),
    ) {
        self.leave(entry.size);
        self.count_drop(entry.size, reason);
        drop(entry.item, reason);
    }

    pub(crate) fn count_drop(&mut self, size: Size, reason: DropReason) {
        let count = if reason == DropReason::ClassDelay { &mut self.delayed } else { &mut self.full };
        *count += u64::from(size.packets);
    }
}

#[derive(Debug)]
pub(crate) struct Class<T> {
    pub(crate) settings: ClassSettings,
    queue: Fair,
    head: Option<Entry<T>>,
    pub(crate) min: Bucket,
    pub(crate) max: Bucket,
    /// Bytes that it may still send in this round of the weighted ones.
    pub(crate) deficit: i64,
    /// When it was last served, or began to wait.
    pub(crate) since: Now,
    pub(crate) stats: ClassStats,
}

impl<T: Item> Class<T> {
    pub(crate) fn new(settings: ClassSettings, now: Now) -> Self {
        Self {
            queue: Fair::new(settings.flows),
            head: None,
            min: settings.min.map_or(Bucket::empty(now), |l| Bucket::full(l, now)),
            max: settings.max.map_or(Bucket::empty(now), |l| Bucket::full(l, now)),
            deficit: 0,
            since: now,
            stats: ClassStats::default(),
            settings,
        }
    }

    /// Other settings; tokens, queue and numbers stay.
    pub(crate) fn change(&mut self, settings: ClassSettings, slab: &mut Slab<T>, now: Now) {
        let old = std::mem::replace(&mut self.settings, settings);
        for (bucket, was, is) in
            [(&mut self.min, old.min, settings.min), (&mut self.max, old.max, settings.max)]
        {
            match (was, is) {
                (Some(was), Some(_)) => drop(bucket.advance(was, now)),
                (None, Some(is)) => *bucket = Bucket::full(is, now),
                _ => {}
            }
        }
        if self.queue.flow_count() != settings.flows.max(1) as usize {
            // What flow a frame is of is not known any more: they share one until they have left.
            let mut queue = Fair::new(settings.flows);
            let mut waiting = crate::slab::Fifo::EMPTY;
            self.queue.drain(slab, |slab, entry| slab.push(&mut waiting, entry));
            while let Some(entry) = slab.pop(&mut waiting) {
                queue.push(slab, 0, entry, settings.quantum);
            }
            self.queue = queue;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stats.queue_items == 0
    }

    /// Queues one. What does not fit is dropped: of one queue the one that comes, of many what the fattest
    /// flow has waiting.
    pub(crate) fn push(
        &mut self,
        slab: &mut Slab<T>,
        hash: u32,
        entry: Entry<T>,
        drop: &mut impl FnMut(T, DropReason),
    ) {
        if self.is_empty() {
            self.since = entry.at;
        }
        let limit = self.settings.queue;
        let room = limit.bytes.saturating_sub(entry.size.bytes);
        let full = |s: &ClassStats| {
            s.queue_items >= limit.frames || (s.queue_items > 0 && s.queue_bytes > room.into())
        };
        if full(&self.stats) && self.settings.flows > 1 {
            self.queue.shed(slab, room, &mut self.stats, drop);
        }
        if full(&self.stats) || slab.is_full() {
            self.stats.count_drop(entry.size, DropReason::ClassFull);
            return drop(entry.item, DropReason::ClassFull);
        }
        self.stats.enter(entry.size);
        self.queue.push(slab, hash, entry, self.settings.quantum);
    }

    /// What would leave next: its size. May drop what must not leave any more.
    pub(crate) fn peek(
        &mut self,
        slab: &mut Slab<T>,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) -> Option<Size> {
        if self.head.is_none() {
            self.head = self.queue.pop(slab, &self.settings, &mut self.stats, now, drop);
        }
        self.head.as_ref().map(|h| h.size)
    }

    /// Takes out what [`Class::peek`] found.
    pub(crate) fn pop(&mut self, now: Now) -> Option<Entry<T>> {
        let head = self.head.take()?;
        self.stats.leave(head.size);
        self.stats.packets += u64::from(head.size.packets);
        self.stats.bytes += u64::from(head.size.bytes);
        self.stats.delay = now.0.saturating_sub(head.at.0);
        self.stats.delay_max = self.stats.delay_max.max(self.stats.delay);
        self.since = now;
        Some(head)
    }

    /// Takes everything out; it was neither sent nor dropped.
    pub(crate) fn drain(&mut self, slab: &mut Slab<T>, mut each: impl FnMut(&mut Slab<T>, Entry<T>)) {
        if let Some(head) = self.head.take() {
            self.stats.leave(head.size);
            each(slab, head);
        }
        let stats = &mut self.stats;
        self.queue.drain(slab, |slab, entry| {
            stats.leave(entry.size);
            each(slab, entry);
        });
    }
}
