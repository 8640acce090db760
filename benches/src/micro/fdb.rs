//! The forwarding database: what a lookup costs, and what learning does.

use super::{Dice, mac};
use crate::Effort;
use crate::report::Row;
use crate::timing::{cpu_ns, each, sample, sample_timed};
use anyhow::Result;
use std::sync::Arc;
use vsw_switch::{Fdb, FdbKey};
use vsw_types::{MacAddr, Now, PortIdx, VlanId};

const STATIONS: usize = 65_536;
const NOW: Now = Now::from_secs(1);

pub(crate) fn key(station: u32) -> FdbKey {
    FdbKey::new(VlanId::DEFAULT, MacAddr(mac(station)))
}

/// A table of stations 0 to `n`, behind four ports.
pub(crate) fn table(n: usize) -> Fdb {
    let fdb = Fdb::new(2 * n as u32, 300, 42, Arc::default());
    each(0..n as u32, |i| fdb.learn(key(i), port(i), u32::MAX, NOW));
    fdb
}

pub(crate) fn port(station: u32) -> PortIdx {
    PortIdx((station % 4) as u16)
}

/// `n` stations, of which `first` is the lowest, in an order like chance.
pub(super) fn shuffled(n: usize, first: u32) -> Vec<u32> {
    let mut dice = Dice(7);
    let mut all: Vec<u32> = (first..first + n as u32).collect();
    (1..n).for_each(|i| all.swap(i, dice.below(i + 1)));
    all
}

pub(crate) fn fdb(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (n, label) in [(1_000, "1,000 stations"), (STATIONS, "65,536 stations")] {
        let fdb = table(n);
        let keys = |first| shuffled(n, first).into_iter().map(key).collect::<Vec<_>>();
        let (known, unknown) = (keys(0), keys(1 << 30));
        let look = |keys: &[FdbKey]| sample(effort.samples, || each(keys, |k| fdb.lookup(*k)));
        rows.push(Row::alone(format!("fdb lookup, hit, {label}"), "ns", &look(&known)));
        rows.push(Row::alone(format!("fdb lookup, miss, {label}"), "ns", &look(&unknown)));
        let stations: Vec<_> = shuffled(n, 0).into_iter().map(|i| (key(i), port(i))).collect();
        let learn = sample(effort.samples, || each(&stations, |(k, p)| fdb.learn(*k, *p, u32::MAX, NOW)));
        rows.push(Row::alone(format!("fdb learn, known, {label}"), "ns", &learn));
    }
    // From empty to the limit, each round in a table of its own.
    let new: Vec<_> = (0..STATIONS as u32).map(key).collect();
    let learn = sample_timed(effort.samples.min(15), || {
        let fdb = Fdb::new(STATIONS as u32, 300, 42, Arc::default());
        let start = cpu_ns();
        let n = each(&new, |k| fdb.learn(*k, PortIdx(1), u32::MAX, NOW));
        (cpu_ns() - start, n)
    });
    rows.push(Row::alone("fdb learn, new, 0 to 65,536 stations", "ns", &learn));
    Ok(rows)
}
