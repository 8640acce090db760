//! Finding a station: the forwarding database beside concurrent maps of the same keys, alone and while
//! another thread moves stations.
//!
//! Thread-safety: the table under test is shared by the measuring thread and one writer.

use crate::Effort;
use crate::micro::{Dice, mac};
use crate::report::Row;
use crate::stats::Sample;
use crate::timing::{sample, sample_wall};
use anyhow::{Result, ensure};
use dashmap::DashMap;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use vsw_switch::{Fdb, FdbKey};
use vsw_types::{MacAddr, Now, PortIdx, VlanId};

const STATIONS: u32 = 65_536;
/// What the writer does: a million stations a second go to another port.
const MOVES_PER_US: u64 = 1;

/// A key as all but ours have it: what [`FdbKey`] holds.
fn word(station: u32) -> u64 {
    1 << 48 | MacAddr(mac(station)).to_u48()
}

fn key(station: u32) -> FdbKey {
    FdbKey::new(VlanId::DEFAULT, MacAddr(mac(station)))
}

/// What a table of stations has to do.
trait Table: Sync {
    fn name(&self) -> &'static str;
    /// Finds all of them and says how many it found.
    fn find(&self, stations: &[u32]) -> usize;
    fn put(&self, station: u32, port: u16);
}

impl Table for Fdb {
    fn name(&self) -> &'static str {
        "ours"
    }
    fn find(&self, stations: &[u32]) -> usize {
        stations.iter().filter(|s| black_box(self.lookup(key(**s))).is_some()).count()
    }
    fn put(&self, station: u32, port: u16) {
        self.learn(key(station), PortIdx(port), u32::MAX, Now::from_secs(1));
    }
}

struct Dash<S>(&'static str, DashMap<u64, u16, S>);

impl<S: BuildHasher + Clone + Sync> Table for Dash<S> {
    fn name(&self) -> &'static str {
        self.0
    }
    fn find(&self, stations: &[u32]) -> usize {
        stations.iter().filter(|s| black_box(self.1.get(&word(**s)).map(|v| *v)).is_some()).count()
    }
    fn put(&self, station: u32, port: u16) {
        self.1.insert(word(station), port);
    }
}

struct Locked(RwLock<HashMap<u64, u16, Multiply>>);

impl Table for Locked {
    fn name(&self) -> &'static str {
        "RwLock<HashMap>, multiplying hash"
    }
    /// The lock is taken for each lookup: a batch has frames of many bridges.
    fn find(&self, stations: &[u32]) -> usize {
        let one = |s: &u32| self.0.read().unwrap_or_else(PoisonError::into_inner).get(&word(*s)).copied();
        stations.iter().filter(|s| black_box(one(s)).is_some()).count()
    }
    fn put(&self, station: u32, port: u16) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(word(station), port);
    }
}

/// The hash that ours uses, for the others.
#[derive(Clone, Copy, Default)]
struct Multiply(u64);

impl BuildHasher for Multiply {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) fn map(effort: Effort) -> Result<Vec<Row>> {
    let ours = Fdb::new(2 * STATIONS, 300, 42, Arc::default());
    let others: [&dyn Table; 3] = [
        &Dash("dashmap, its own hash", DashMap::new()),
        &Dash("dashmap, multiplying hash", DashMap::with_hasher(Multiply::default())),
        &Locked(RwLock::default()),
    ];
    for table in others.iter().copied().chain([&ours as &dyn Table]) {
        (0..STATIONS).for_each(|s| table.put(s, (s % 4) as u16));
    }
    let mut rows = Vec::new();
    for (label, written) in [("find a station", false), ("find a station, 1 M/s moving", true)] {
        let row = Row::alone(label, "ns", &measure(&ours, written, effort)?);
        for other in others {
            rows.push(row.clone().beside_cost(other.name(), &measure(other, written, effort)?));
        }
    }
    Ok(rows)
}

fn measure(table: &dyn Table, written: bool, effort: Effort) -> Result<Sample> {
    let mut dice = Dice(3);
    let wanted: Vec<u32> = (0..8192).map(|_| dice.below(STATIONS as usize) as u32).collect();
    ensure!(table.find(&wanted) == wanted.len(), "{} lost a station", table.name());
    let stop = AtomicBool::new(false);
    let sample = std::thread::scope(|scope| {
        if written {
            scope.spawn(|| {
                let (mut dice, start, mut moved) = (Dice(5), Instant::now(), 0);
                while !stop.load(Relaxed) {
                    let due = start.elapsed().as_micros() as u64 * MOVES_PER_US;
                    while moved < due {
                        let roll = dice.roll();
                        table.put(roll as u32 % STATIONS, (roll >> 32) as u16 % 4);
                        moved += 1;
                    }
                }
            });
        }
        let find = || {
            black_box(table.find(&wanted));
            wanted.len()
        };
        // A reader may sleep on a writer's lock.
        let sample = if written { sample_wall(effort.samples, find) } else { sample(effort.samples, find) };
        stop.store(true, Relaxed);
        sample
    });
    Ok(sample)
}
