//! The queues of a shaped port, of one direction: frames that wait for their moment.
//!
//! One worker has them, the port's home, so that they need no lock; others hand it their frames. Who waits
//! holds buffers of the pool, which are everybody's: [`Budget`] says how many.

use crate::counters::{Counters, Field};
use crate::offload;
use crate::slot::bury;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use vsw_mem::{Frame, PoolSize};
use vsw_port::{Io, PortCaps};
use vsw_qos::{Item, MAX_CLASSES, Scheduler, Size};
use vsw_switch::qos::Shaping;
use vsw_types::{Direction, DropReason, Now, PortIdx};
use vsw_wire::{ip::Outline, u16_at};

/// Nanoseconds after which numbers that somebody was reading are told again.
const RETRY: u64 = 50_000;

/// Buffers that a worker's queues hold, and may hold: small and large ones.
///
/// Half of the pool for all workers together. One class of one port gets no more than is left after what it
/// has: alone it may have half of that, beside another one a third, and there is always something for the
/// next (dynamic thresholds: Choudhury and Hahne, 1998). Half as much again is divided by the shaped ports:
/// with many of them those that come first in a pass would find what others gave back, and the rest nothing.
#[derive(Debug)]
pub(crate) struct Budget {
    used: Held,
    limit: Held,
    /// Shaped ports of this worker.
    pub(crate) ports: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    small: u32,
    large: u32,
}

impl Held {
    fn of(frame: &Frame) -> Self {
        let PoolSize { small, large } = frame.buffers();
        Self { small, large }
    }
    fn add(&mut self, other: Self) {
        self.small += other.small;
        self.large += other.large;
    }
    fn sub(&mut self, other: Self) {
        self.small -= other.small;
        self.large -= other.large;
    }
}

impl Budget {
    pub(crate) fn new(pool: PoolSize, workers: usize) -> Self {
        let share = |n: u32| n / (2 * workers as u32);
        let limit = Held { small: share(pool.small), large: share(pool.large) };
        Self { used: Held::default(), limit, ports: 0 }
    }

    /// Notes a frame beside those of its class. `false`: it would be too many.
    fn take(&mut self, class: &mut Held, frame: &Frame) -> bool {
        let new = Held::of(frame);
        let ports = self.ports.max(1) as u32;
        let fits = |class: u32, n: u32, used: u32, limit: u32| {
            let (reserve, own) = (limit / 2, (limit / 2 / ports).max(1));
            n == 0 || class + used + n <= limit || (class + n <= own && used + n <= limit + reserve)
        };
        let all = fits(class.small, new.small, self.used.small, self.limit.small)
            && fits(class.large, new.large, self.used.large, self.limit.large);
        if all {
            class.add(new);
            self.used.add(new);
        }
        all
    }

    fn give(&mut self, class: &mut Held, frame: &Frame) {
        let old = Held::of(frame);
        class.sub(old);
        self.used.sub(old);
    }
}

/// A frame in a queue, and whose buffers it has: that of its class, by the number when it came.
pub(crate) struct Queued(Frame, u8);

type Accounts = [Held; MAX_CLASSES];

impl Item for Queued {
    fn mark(&mut self) -> bool {
        let bytes = self.0.bytes_mut();
        Outline::of(bytes).is_some_and(|mut ip| ip.set_congested(bytes))
    }
}

/// What queueing works with.
pub(crate) struct Desk<'a> {
    pub(crate) now: Now,
    pub(crate) budget: &'a mut Budget,
    pub(crate) io: &'a mut Io,
    pub(crate) counters: &'a mut Counters,
}

/// Whose frames, and which.
#[derive(Clone, Copy)]
struct Way {
    port: PortIdx,
    /// `Tx`: what is sent to the attached side. `Rx`: what it sends.
    direction: Direction,
}

/// The queues of one port.
pub(crate) struct Shaper {
    way: Way,
    shaping: Arc<Shaping>,
    scheduler: Scheduler<Queued>,
    held: Accounts,
    /// Makes it unpredictable which flows share a queue (RFC 8290, 5.3).
    seed: u64,
}

impl Shaper {
    pub(crate) fn new(port: PortIdx, direction: Direction, shaping: Arc<Shaping>, now: Now) -> Self {
        let scheduler = Scheduler::new(shaping.scheduler.clone(), now);
        let seed = RandomState::new().build_hasher().finish() | 1;
        Self { way: Way { port, direction }, shaping, scheduler, held: Accounts::default(), seed }
    }

    /// Goes by other settings. What waits and what was counted stay.
    pub(crate) fn change(&mut self, shaping: Arc<Shaping>, desk: &mut Desk<'_>) {
        if !shaping.is_like(&self.shaping) {
            let Self { way, scheduler, held, .. } = self;
            let settings = shaping.scheduler.clone();
            let was = shaping.was(&self.shaping);
            scheduler.change(settings, was, desk.now, &mut |q, reason| desk.drop(q, reason, *way, held));
        }
        self.shaping = shaping;
    }

    /// Queues a frame in the class that it says. One that would keep its class busy for too long is cut.
    pub(crate) fn push(&mut self, frame: Frame, caps: PortCaps, desk: &mut Desk<'_>) {
        let size = offload::wire_size(&frame);
        let class = usize::from(frame.lane()).min(self.shaping.rules.len() - 1);
        if size.packets == 1 || size.bytes <= self.shaping.rules[class].whole {
            return self.queue(frame, size, class, desk);
        }
        let Desk { now, budget, io, counters } = desk;
        let caps = PortCaps { tso4: false, tso6: false, uso: false, ..caps };
        let mut pieces = 0;
        let result = offload::finish(frame, caps, io, &mut |piece, io| {
            pieces += 1;
            let size = Size::one(piece.len());
            self.queue(piece, size, class, &mut Desk { now: *now, budget, io, counters });
        });
        if let Err(reason) = result {
            counters.drops(self.way.port, self.way.direction, reason, 1);
            pieces += 1;
        }
        let cut = match self.way.direction {
            Direction::Rx => Field::RxSegmented,
            Direction::Tx => Field::Segmented,
        };
        counters.add(self.way.port, cut, pieces - 1);
    }

    /// The one place where frames begin to wait.
    fn queue(&mut self, frame: Frame, size: Size, class: usize, desk: &mut Desk<'_>) {
        let Self { way, shaping, scheduler, held, seed } = self;
        // A guest does not wait for its buffers as long as its frames wait here.
        let frame = match desk.io.frames.own(frame) {
            Ok(frame) => frame,
            Err(frame) => {
                scheduler.refuse(class, size);
                return desk.discard(frame, *way, DropReason::NoFrame);
            }
        };
        if !desk.budget.take(&mut held[class], &frame) {
            scheduler.refuse(class, size);
            return desk.discard(frame, *way, DropReason::ClassFull);
        }
        let flow = if shaping.scheduler.classes[class].flows > 1 { flow(frame.bytes(), *seed) } else { 0 };
        scheduler.push(class, Queued(frame, class as u8), size, flow, desk.now, &mut |q, reason| {
            desk.drop(q, reason, *way, held)
        });
    }

    /// The frame that leaves now, or when to ask again; `None`: nothing waits.
    pub(crate) fn pop(&mut self, desk: &mut Desk<'_>) -> Result<Frame, Option<Now>> {
        let Self { way, scheduler, held, .. } = self;
        let departure = scheduler.pop(desk.now, &mut |q, reason| desk.drop(q, reason, *way, held))?;
        let Queued(frame, account) = departure.item;
        desk.budget.give(&mut held[account as usize], &frame);
        Ok(frame)
    }

    /// Takes out all frames, whatever their moment.
    pub(crate) fn drain(&mut self, budget: &mut Budget, mut each: impl FnMut(Frame)) {
        let Self { scheduler, held, .. } = self;
        scheduler.drain(|_, Queued(frame, account)| {
            budget.give(&mut held[account as usize], &frame);
            each(frame);
        });
    }

    /// Frames that wait.
    pub(crate) fn len(&self) -> u64 {
        self.scheduler.stats().map(|s| u64::from(s.queue_items)).sum()
    }

    /// Lets others see the numbers. Returns when to serve it again: when something may leave next, and soon if
    /// somebody was reading them. Numbers that nobody sees are as good as wrong.
    pub(crate) fn publish(&self, next: Option<Now>, now: Now) -> Option<Now> {
        let is_told = self.shaping.publish(self.scheduler.stats());
        next.into_iter().chain((!is_told).then_some(Now(now.0 + RETRY))).min()
    }
}

impl Desk<'_> {
    fn drop(&mut self, Queued(frame, account): Queued, reason: DropReason, way: Way, held: &mut Accounts) {
        self.budget.give(&mut held[account as usize], &frame);
        self.discard(frame, way, reason);
    }

    /// Counts a frame that does not come in, and frees it.
    pub(crate) fn discard_received(&mut self, frame: Frame, port: PortIdx, reason: DropReason) {
        self.discard(frame, Way { port, direction: Direction::Rx }, reason);
    }

    fn discard(&mut self, frame: Frame, way: Way, reason: DropReason) {
        bury(frame, (way.port, way.direction), reason, self.io, self.counters);
    }
}

/// The hash of a frame's flow: addresses, protocol and ports, or the stations where it is not IP.
fn flow(bytes: &[u8], seed: u64) -> u32 {
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
        (product >> 64) as u64 ^ product as u64
    };
    let hash = |start: u64, bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<4>();
        let sum = words.iter().fold(start, |h, w| mix(h, u32::from_ne_bytes(*w).into()));
        rest.iter().fold(sum, |h, b| mix(h, u64::from(*b)))
    };
    let hash = match Outline::of(bytes) {
        Some(ip) => {
            let (source, destination) = ip.ports.unwrap_or_default();
            let upper = u64::from(source) << 32 | u64::from(destination) << 8 | u64::from(ip.protocol);
            mix(hash(seed, ip.addresses(bytes)), upper)
        }
        None => mix(hash(seed, bytes.get(..12).unwrap_or_default()), u16_at(bytes, 12).unwrap_or(0).into()),
    };
    (hash >> 32) as u32 ^ hash as u32
}
