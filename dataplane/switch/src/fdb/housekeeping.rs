//! What is done to the forwarding database beside the packet path: static stations, ageing, flushing,
//! listing. Called from housekeeping threads; a worker at work in the same bucket is waited for, since
//! it never stays.

use super::bucket::{Bucket, Locked, Value};
use super::sync::Ordering::Relaxed;
use super::{Fdb, FdbKey, Learned, sync};
use vsw_types::{MacAddr, Now, PortIdx, VlanId};

/// One station, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub vlan: VlanId,
    pub mac: MacAddr,
    pub port: PortIdx,
    /// Seconds since it was heard; 0 for a static one.
    pub age: u32,
    pub is_static: bool,
}

impl Fdb {
    /// Makes a station static: it is not aged, and traffic does not move it. Replaces what was learned.
    /// `false` when its places are full of static stations.
    pub fn insert_static(&self, key: FdbKey, port: PortIdx) -> bool {
        loop {
            match self.insert(key, Value::fixed(port), u32::MAX) {
                Learned::Busy => sync::spin_loop(),
                Learned::BridgeFull => return false,
                _ => return true,
            }
        }
    }

    /// Forgets stations for which `which` says so; returns how many.
    pub fn remove(&self, mut which: impl FnMut(&Entry) -> bool, now: Now) -> usize {
        self.sweep(0..self.buckets.len(), now, |e| which(e))
    }

    /// Forgets stations of one share of the table that were silent for `ageing` seconds or longer. Calling
    /// it with each share in turn spreads the work; returns how many went.
    pub fn age(&self, share: usize, shares: usize, now: Now, ageing: u32) -> usize {
        let n = self.buckets.len();
        self.sweep(n * share / shares..n * (share + 1) / shares, now, |e| !e.is_static && e.age >= ageing)
    }

    /// All stations, each as it was at some moment of the walk.
    pub fn entries(&self, now: Now) -> impl Iterator<Item = Entry> + '_ {
        let stamp = self.stamp(now);
        self.buckets.iter().flat_map(Bucket::peek).filter_map(move |(k, v)| self.entry(k, v, stamp))
    }

    /// Takes over the stations of another table, as far as there is room, for a bridge whose limit changes.
    pub fn copy_from(&self, other: &Fdb, now: Now) {
        for e in other.entries(now) {
            let key = FdbKey::new(e.vlan, e.mac);
            let heard = Now::from_secs(now.secs().saturating_sub(e.age));
            let value =
                if e.is_static { Value::fixed(e.port) } else { Value::learned(e.port, self.stamp(heard)) };
            self.insert(key, value, u32::MAX);
        }
    }

    fn entry(&self, key: u64, value: Value, stamp: u32) -> Option<Entry> {
        let (vlan, mac) = FdbKey(key).parts()?;
        let is_static = value.is_static();
        let age = if is_static { 0 } else { value.age(stamp) << self.shift };
        Some(Entry { vlan, mac, port: value.port(), age, is_static })
    }

    fn sweep(&self, range: std::ops::Range<usize>, now: Now, mut which: impl FnMut(&Entry) -> bool) -> usize {
        let stamp = self.stamp(now);
        let mut gone = 0;
        for bucket in &self.buckets[range] {
            // Most buckets have nothing to do; looking costs no lock.
            if !bucket.peek().any(|(k, v)| self.entry(k, v, stamp).is_some_and(|e| which(&e))) {
                continue;
            }
            let locked = lock(bucket);
            for (slot, key, value) in locked.entries() {
                if self.entry(key, value, stamp).is_some_and(|e| which(&e)) {
                    locked.clear(slot);
                    self.stations.fetch_sub(1, Relaxed);
                    self.counts.sub(value.port());
                    gone += 1;
                }
            }
        }
        gone
    }
}

impl Drop for Fdb {
    /// A table that goes takes its stations out of the ports' counts.
    fn drop(&mut self) {
        for (_, value) in self.buckets.iter().flat_map(Bucket::peek) {
            self.counts.sub(value.port());
        }
    }
}

fn lock(bucket: &Bucket) -> Locked<'_> {
    loop {
        if let Some(locked) = bucket.try_lock() {
            return locked;
        }
        sync::spin_loop();
    }
}
