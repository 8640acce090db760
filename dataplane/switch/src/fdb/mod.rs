//! The forwarding database: (VLAN, MAC) -> port (IEEE 802.1Q-2022, 8.8), one a bridge.
//!
//! Shared by all workers. A lookup writes nothing and takes no lock; keeping a known station young is
//! one store a second; a new station takes the locks of at most two buckets, and gives up rather than
//! wait: the next frame tries again. The table never grows: what happens when it is full is in
//! `Fdb::insert`.
//!
//! A bucket is one cache line: a sequence count and five slots. A station lives in its first bucket or,
//! when that was full, in its second; a flag in the first says whether looking there is worth it.
//! A reader that raced a writer sees the count move and looks again, a bounded number of times (the
//! writer may have been preempted): after that the station counts as unknown, and its frame is flooded.
//!
//! Thread-safety: every field is an atomic; there is no `unsafe`, and loom walks it (`tests.rs`).

mod bucket;
mod housekeeping;
#[cfg(all(test, loom))]
mod loom_tests;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;

pub use housekeeping::Entry;

use bucket::{Bucket, Locked, Raced, Value};
use std::sync::Arc;
use sync::{AtomicU32, Ordering::Relaxed};
use vsw_mem::table::{Table, prefetch};
use vsw_types::{MAX_PORTS, Mac48, MacAddr, Now, PortIdx, VlanId};

/// VLAN and MAC in one word: `vid:12 | mac:48`. Never 0, since no VLAN is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbKey(pub(crate) u64);

impl FdbKey {
    #[inline]
    pub fn new(vlan: VlanId, mac: impl Into<Mac48>) -> Self {
        Self((vlan.get() as u64) << 48 | mac.into().number())
    }
    pub(crate) fn parts(self) -> Option<(VlanId, MacAddr)> {
        Some((VlanId::from_vid((self.0 >> 48) as u16)?, MacAddr::from_u48(self.0)))
    }
}

/// What learning did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    Known,
    New,
    /// It was behind another port.
    Moved {
        from: PortIdx,
    },
    /// New, in the place of a station of the port that has the most.
    Evicted {
        of: PortIdx,
    },
    /// Not learned: the port has as many stations as it may.
    PortFull,
    /// Not learned: the bridge has, and nobody has more than this port.
    BridgeFull,
    /// Not learned: somebody else is writing there. The next frame tries again.
    Busy,
}

/// How many stations each port has, over all bridges (a port is in one). Changed only when a station
/// comes, goes or moves, never per frame.
#[derive(Debug)]
pub struct StationCounts(Box<[AtomicU32]>);

impl Default for StationCounts {
    fn default() -> Self {
        Self((0..MAX_PORTS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl StationCounts {
    /// Stations now behind a port.
    pub fn of(&self, port: PortIdx) -> u32 {
        self.0.get(port.0 as usize).map_or(0, |n| n.load(Relaxed))
    }
    fn add(&self, port: PortIdx) {
        if let Some(n) = self.0.get(port.0 as usize) {
            n.fetch_add(1, Relaxed);
        }
    }
    fn sub(&self, port: PortIdx) {
        if let Some(n) = self.0.get(port.0 as usize) {
            n.fetch_sub(1, Relaxed);
        }
    }
}

/// The stations of one bridge.
#[derive(Debug)]
pub struct Fdb {
    buckets: Table<Bucket>,
    seed: u64,
    /// Most stations.
    limit: u32,
    stations: AtomicU32,
    counts: Arc<StationCounts>,
    /// Ages are kept in units of 2^this seconds.
    shift: u8,
}

/// Stations whose buckets, 64 bytes each, stay in a second-level cache.
const NEAR: u32 = 4096;

/// Times a reader looks again before it gives up.
const PATIENCE: usize = 64;

impl Fdb {
    /// A table for `limit` stations forgotten after `ageing` seconds of silence. `seed` makes the order of
    /// buckets unpredictable, so that nobody outside can fill one on purpose.
    pub fn new(limit: u32, ageing: u32, seed: u64, counts: Arc<StationCounts>) -> Self {
        // Half full at the limit: with two choices that leaves hardly a station without a place.
        let buckets = (limit as usize * 2).div_ceil(bucket::SLOTS).next_power_of_two().max(2);
        Self {
            buckets: Table::from_fn(buckets, |_| Bucket::default()),
            seed,
            limit,
            stations: AtomicU32::new(0),
            counts,
            shift: age_shift(ageing),
        }
    }

    /// Whether this table serves for these settings, or another has to be made.
    pub fn fits(&self, limit: u32, ageing: u32) -> bool {
        self.limit == limit && self.shift == age_shift(ageing)
    }

    /// Stations in the table.
    pub fn len(&self) -> u32 {
        self.stations.load(Relaxed)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    fn hash(&self, key: FdbKey) -> u64 {
        let product = (key.0 ^ self.seed) as u128 * 0x9e37_79b9_7f4a_7c15;
        (product >> 64) as u64 ^ product as u64
    }

    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    /// Never the first.
    #[inline]
    fn second(&self, hash: u64, first: usize) -> usize {
        first ^ ((hash >> 32) as usize & (self.buckets.len() - 1) | 1)
    }

    /// The first and the second bucket of a key.
    fn places(&self, key: FdbKey) -> (usize, usize) {
        let hash = self.hash(key);
        let first = self.first(hash);
        (first, self.second(hash, first))
    }

    #[inline(always)]
    fn find(&self, key: FdbKey) -> Option<Value> {
        let hash = self.hash(key);
        let first = self.first(hash);
        match self.buckets[first].read(key.0) {
            Ok((Some(value), _)) => Some(value),
            Ok((None, false)) => None,
            _ => self.find_further(key, hash, first),
        }
    }

    /// The station may be in its second bucket, or somebody was writing.
    #[inline(never)]
    fn find_further(&self, key: FdbKey, hash: u64, first: usize) -> Option<Value> {
        match self.read(first, key) {
            (None, true) => self.read(self.second(hash, first), key).0,
            (found, _) => found,
        }
    }

    /// What a bucket says of a key, and whether some station of it had to go elsewhere.
    fn read(&self, bucket: usize, key: FdbKey) -> (Option<Value>, bool) {
        match self.buckets[bucket].read(key.0) {
            Ok(answer) => answer,
            Err(Raced) => self.read_again(bucket, key),
        }
    }

    #[cold]
    fn read_again(&self, bucket: usize, key: FdbKey) -> (Option<Value>, bool) {
        for _ in 0..PATIENCE {
            sync::spin_loop();
            if let Ok(answer) = self.buckets[bucket].read(key.0) {
                return answer;
            }
        }
        (None, false)
    }

    /// Whether there are more stations than stay in a core's own caches, so that fetching ahead pays.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.len() > NEAR
    }

    /// Begins to fetch what [`Fdb::lookup`] or [`Fdb::learn`] of this key will read.
    #[inline]
    pub fn prefetch(&self, key: FdbKey) {
        prefetch(&self.buckets[self.first(self.hash(key))]);
    }

    /// Where the station was last heard.
    #[inline(always)]
    pub fn lookup(&self, key: FdbKey) -> Option<PortIdx> {
        self.find(key).map(Value::port)
    }

    /// Notes that the station was heard on `port`, which may have at most `port_limit` stations.
    #[inline(always)]
    pub fn learn(&self, key: FdbKey, port: PortIdx, port_limit: u32, now: Now) -> Learned {
        let fresh = Value::learned(port, self.stamp(now));
        match self.find(key) {
            Some(value) if value == fresh || value.is_static() => Learned::Known,
            Some(value) if value.port() == port => {
                self.rejuvenate(key, value, fresh);
                Learned::Known
            }
            _ => self.insert(key, fresh, port_limit),
        }
    }

    /// Keeps a station young that was heard on `port` by somebody else. `false`: it is not known there.
    pub fn refresh(&self, key: FdbKey, port: PortIdx, now: Now) -> bool {
        let fresh = Value::learned(port, self.stamp(now));
        match self.find(key) {
            Some(value) if value.port() != port => false,
            Some(value) if value == fresh || value.is_static() => true,
            Some(value) => {
                self.rejuvenate(key, value, fresh);
                true
            }
            None => false,
        }
    }

    /// Seconds as the table keeps them.
    #[inline(always)]
    fn stamp(&self, now: Now) -> u32 {
        now.secs() >> self.shift
    }

    /// Keeps a station young. Losing a race against a writer or another worker is fine: whoever won wrote
    /// something newer.
    #[cold]
    fn rejuvenate(&self, key: FdbKey, old: Value, young: Value) {
        let (first, second) = self.places(key);
        if !self.buckets[first].refresh(key.0, old, young) {
            self.buckets[second].refresh(key.0, old, young);
        }
    }

    /// Puts a station in, or moves it. When there is no place, or the bridge has as many stations as it
    /// may, somebody must give way: a station of the port that has the most, if that is more than the new
    /// one's port has. So a port that floods the table with addresses evicts its own, and everybody else
    /// keeps a fair share.
    #[cold]
    fn insert(&self, key: FdbKey, value: Value, port_limit: u32) -> Learned {
        let (a, b) = self.places(key);
        // Both locks or none, and no waiting: no deadlock.
        let Some(first) = self.buckets[a].try_lock() else { return Learned::Busy };
        let Some(second) = self.buckets[b].try_lock() else { return Learned::Busy };
        if let Some((bucket, (slot, old))) =
            [&first, &second].into_iter().find_map(|b| Some((b, b.find(key.0)?)))
        {
            return self.update(bucket, slot, old, key, value, port_limit);
        }
        if !value.is_static() && self.counts.of(value.port()) >= port_limit {
            return Learned::PortFull;
        }
        let room = self.len() < self.limit;
        if room && let Some(slot) = first.free().or_else(|| self.relocate(&first, a, b)) {
            first.put(slot, key.0, value);
        } else if room && let Some(slot) = second.free() {
            second.put(slot, key.0, value);
            first.set_overflowed();
        } else {
            return self.evict(&first, &second, key, value);
        }
        self.stations.fetch_add(1, Relaxed);
        self.counts.add(value.port());
        Learned::New
    }

    fn update(
        &self,
        bucket: &Locked<'_>,
        slot: usize,
        old: Value,
        key: FdbKey,
        value: Value,
        port_limit: u32,
    ) -> Learned {
        let (from, to) = (old.port(), value.port());
        if old.is_static() && !value.is_static() {
            return Learned::Known;
        }
        // A port that may have no more stations cannot take other ports' either.
        if from != to && !value.is_static() && self.counts.of(to) >= port_limit {
            return Learned::PortFull;
        }
        bucket.put(slot, key.0, value);
        if from == to {
            return Learned::Known;
        }
        self.counts.sub(from);
        self.counts.add(to);
        Learned::Moved { from }
    }

    /// Frees a slot of the full bucket `at` by moving one of its stations to that station's other bucket;
    /// `but` is locked already. A reader can miss the moving station once, and floods.
    fn relocate(&self, full: &Locked<'_>, at: usize, but: usize) -> Option<usize> {
        full.entries().find_map(|(slot, key, value)| {
            let (first, second) = self.places(FdbKey(key));
            let other = if first == at { second } else { first };
            if other == but {
                return None;
            }
            let there = self.buckets[other].try_lock()?;
            there.put(there.free()?, key, value);
            if first == at {
                full.set_overflowed();
            }
            full.clear(slot);
            Some(slot)
        })
    }

    fn evict(&self, first: &Locked<'_>, second: &Locked<'_>, key: FdbKey, value: Value) -> Learned {
        let all = [first, second]
            .into_iter()
            .enumerate()
            .flat_map(|(i, b)| b.entries().map(move |(s, _, v)| (i, s, v)));
        let victim = all.filter(|(_, _, v)| !v.is_static()).max_by_key(|(_, _, v)| self.counts.of(v.port()));
        let mine = self.counts.of(value.port());
        let Some((which, slot, old)) = victim else { return Learned::BridgeFull };
        if !value.is_static() && self.counts.of(old.port()) <= mine + 1 {
            return Learned::BridgeFull;
        }
        if which == 0 {
            first.put(slot, key.0, value);
        } else {
            second.put(slot, key.0, value);
            first.set_overflowed();
        }
        self.counts.sub(old.port());
        self.counts.add(value.port());
        Learned::Evicted { of: old.port() }
    }
}

/// Stamps have 19 bits: 145 hours in seconds. Longer ageing times are counted in units of 8 seconds.
fn age_shift(ageing: u32) -> u8 {
    if ageing <= 1 << 17 { 0 } else { 3 }
}
