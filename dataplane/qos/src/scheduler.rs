//! What leaves a port next, and when.
//!
//! In this order: a class that has not got its guaranteed minimum; one that strict priority kept waiting
//! for longer than its patience; the strict classes as they stand; the weighted ones by deficit round
//! robin (Shreedhar and Varghese, 1995). None of them above its own maximum, all together not above the
//! port's. What the minimum, the patience and strict priority gave is not counted against a class's weight.
//!
//! Whenever something waits that no maximum holds back, something leaves: the scheduler conserves work.

use crate::class::Class;
use crate::slab::{Entry, Slab};
use crate::{Bucket, ClassStats, Item, MAX_CLASSES, Settings, Share, Size};
use vsw_types::{DropReason, Now};

/// One that may leave now.
#[derive(Debug)]
pub struct Departure<T> {
    pub item: T,
    pub size: Size,
    pub class: usize,
}

/// The queues of one port.
#[derive(Debug)]
pub struct Scheduler<T> {
    settings: Settings,
    port: Bucket,
    classes: Vec<Class<T>>,
    slab: Slab<T>,
    /// The weighted class whose turn it is.
    turn: usize,
    /// Whether it got its quantum for this turn.
    granted: bool,
    /// The class that last got something of its minimum; it goes on until it has all of it.
    minimum: usize,
    /// Bytes a round for each unit of weight.
    unit: i64,
}

/// Why a class is served, which decides what it pays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Minimum,
    Order,
    Turn,
}

impl<T: Item> Scheduler<T> {
    /// Everything it will ever need is allocated here and in [`Scheduler::change`].
    ///
    /// # Panics
    /// Without a class, or with more than [`MAX_CLASSES`].
    pub fn new(settings: Settings, now: Now) -> Self {
        check(&settings);
        Self {
            port: settings.max.map_or(Bucket::empty(now), |l| Bucket::full(l, now)),
            classes: settings.classes.iter().map(|c| Class::new(*c, now)).collect(),
            slab: Slab::new(settings.frames()),
            turn: 0,
            granted: false,
            minimum: 0,
            unit: unit(&settings),
            settings,
        }
    }

    /// Other settings. `was` tells which class each of the new ones has been: its queue, tokens and numbers
    /// stay. What waits in a class that goes is queued in the last one.
    ///
    /// # Panics
    /// As [`Scheduler::new`].
    pub fn change(
        &mut self,
        settings: Settings,
        was: impl Fn(usize) -> Option<usize>,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) {
        check(&settings);
        match (self.settings.max, settings.max) {
            (Some(old), Some(_)) => std::mem::drop(self.port.advance(old, now)),
            (None, Some(new)) => self.port = Bucket::full(new, now),
            _ => {}
        }
        self.slab.resize(settings.frames().max(self.slab.used()));
        let mut old: Vec<_> = std::mem::take(&mut self.classes).into_iter().map(Some).collect();
        for (i, class) in settings.classes.iter().enumerate() {
            let kept = was(i).and_then(|o| old.get_mut(o)?.take());
            self.classes.push(match kept {
                Some(mut kept) => {
                    kept.change(*class, &mut self.slab, now);
                    kept
                }
                None => Class::new(*class, now),
            });
        }
        if let Some(last) = self.classes.last_mut() {
            for mut gone in old.into_iter().flatten() {
                gone.drain(&mut self.slab, |slab, entry| last.push(slab, 0, entry, drop));
            }
        }
        self.slab.resize(settings.frames().max(self.slab.used()));
        (self.turn, self.granted, self.minimum, self.unit) = (0, false, 0, unit(&settings));
        self.settings = settings;
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// By class.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = &ClassStats> {
        self.classes.iter().map(|c| &c.stats)
    }

    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(Class::is_empty)
    }

    /// Queues an item in a class (one that does not exist: the last), with the hash of its flow. What has no
    /// place, this or what waited longest in the fattest flow, goes to `drop`.
    pub fn push(
        &mut self,
        class: usize,
        item: T,
        size: Size,
        flow: u32,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) {
        let last = self.classes.len() - 1;
        self.classes[class.min(last)].push(&mut self.slab, flow, Entry { item, size, at: now }, drop);
    }

    /// Counts one that found no room before it got here.
    pub fn refuse(&mut self, class: usize, size: Size) {
        if let Some(class) = self.classes.get_mut(class) {
            class.stats.count_drop(size, DropReason::ClassFull);
        }
    }

    /// What leaves now. Else when to ask again: `None` if nothing waits. What died waiting goes to `drop`.
    pub fn pop(
        &mut self,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) -> Result<Departure<T>, Option<Now>> {
        let (class, size, why) = self.choose(now, drop)?;
        if let Some(max) = self.settings.max {
            self.port.advance(max, now);
            if !self.port.allows(max, size.bits()) {
                return Err(Some(self.port.ready(max, size.bits())));
            }
            self.port.take(size.bits());
        }
        self.pay(class, size, why);
        // `choose` found it there.
        let entry = self.classes[class].pop(now).ok_or(None)?;
        if self.classes[class].is_empty() {
            self.classes[class].deficit = 0;
        }
        Ok(Departure { item: entry.item, size: entry.size, class })
    }

    /// Takes everything out, class by class.
    pub fn drain(&mut self, mut each: impl FnMut(usize, T)) {
        for (i, class) in self.classes.iter_mut().enumerate() {
            class.drain(&mut self.slab, |_, entry| each(i, entry.item));
        }
    }

    fn pay(&mut self, class: usize, size: Size, why: Why) {
        let class = &mut self.classes[class];
        if class.settings.max.is_some() {
            class.max.take(size.bits());
        }
        if class.settings.min.is_some() {
            // What it gets of what is left over counts for its minimum as far as that has tokens, and never makes a debt.
            match why {
                Why::Minimum => class.min.take(size.bits()),
                _ => class.min.take_most(size.bits()),
            }
        }
        if why == Why::Turn {
            class.deficit -= i64::from(size.bytes);
        }
    }

    /// Who is next. Asking again without taking gives the same answer, unless something new came.
    fn choose(
        &mut self,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) -> Result<(usize, Size, Why), Option<Now>> {
        let mut sizes = [Size::default(); MAX_CLASSES];
        // Those that may send as far as they themselves are concerned.
        let mut able: u32 = 0;
        let mut wait: Option<Now> = None;
        for (i, class) in self.classes.iter_mut().enumerate() {
            if class.is_empty() {
                continue;
            }
            let Some(size) = class.peek(&mut self.slab, now, drop) else {
                class.deficit = 0;
                continue;
            };
            if let Some(max) = class.settings.max {
                class.max.advance(max, now);
                if !class.max.allows(max, size.bits()) {
                    let ready = class.max.ready(max, size.bits());
                    wait = Some(wait.map_or(ready, |w| w.min(ready)));
                    continue;
                }
            }
            sizes[i] = size;
            able |= 1 << i;
        }
        if able == 0 {
            return Err(wait);
        }
        let (class, why) =
            self.below_minimum(able, &sizes, now).map(|c| (c, Why::Minimum)).unwrap_or_else(|| {
                self.in_order(able, now)
                    .map_or_else(|| (self.by_turn(able, &sizes), Why::Turn), |c| (c, Why::Order))
            });
        Ok((class, sizes[class], why))
    }

    /// One that has not got its minimum; they take turns.
    fn below_minimum(&mut self, able: u32, sizes: &[Size; MAX_CLASSES], now: Now) -> Option<usize> {
        let count = self.classes.len();
        let found = (0..count).map(|i| (self.minimum + i) % count).find(|i| {
            let class = &mut self.classes[*i];
            let Some(min) = class.settings.min.filter(|_| able & 1 << i != 0) else { return false };
            class.min.advance(min, now);
            class.min.allows(min, sizes[*i].bits())
        });
        if let Some(i) = found {
            self.minimum = i;
        }
        found
    }

    /// One that has been kept waiting for too long, or else the first strict one.
    fn in_order(&self, able: u32, now: Now) -> Option<usize> {
        let able = self.classes.iter().enumerate().filter(|(i, _)| able & 1 << i != 0);
        let strict = |c: &Class<T>| c.settings.share == Share::Strict;
        let first = able.clone().find(|(_, c)| strict(c))?.0;
        let since = |c: &Class<T>| now.0.saturating_sub(c.since.0);
        // The first one too: on a port so slow that all are late they take turns.
        let late = able.filter(|(_, c)| since(c) > self.settings.patience);
        Some(late.max_by_key(|(_, c)| since(c)).map_or(first, |(i, _)| i))
    }

    /// The weighted one whose turn it is; none of them is strict here, and there is at least one.
    fn by_turn(&mut self, able: u32, sizes: &[Size; MAX_CLASSES]) -> usize {
        loop {
            let class = &mut self.classes[self.turn];
            if able & 1 << self.turn != 0 {
                if !std::mem::replace(&mut self.granted, true)
                    && let Share::Weight(weight) = class.settings.share
                {
                    class.deficit += i64::from(weight.max(1)) * self.unit;
                }
                if class.deficit >= i64::from(sizes[self.turn].bytes) {
                    return self.turn;
                }
            }
            self.turn = (self.turn + 1) % self.classes.len();
            self.granted = false;
        }
    }
}

fn check(settings: &Settings) {
    let classes = 1..=MAX_CLASSES;
    assert!(classes.contains(&settings.classes.len()), "a port has 1 to {MAX_CLASSES} classes");
}

/// So much that the lightest class sends a frame of the usual length in each of its turns.
fn unit(settings: &Settings) -> i64 {
    let weights = settings.classes.iter().filter_map(|c| match c.share {
        Share::Weight(w) => Some(i64::from(w.max(1))),
        Share::Strict => None,
    });
    let longest = settings.classes.iter().map(|c| i64::from(c.quantum)).max().unwrap_or(1).max(1);
    longest.div_euclid(weights.min().unwrap_or(1)).max(1)
}
