//! Items that are numbers, and a slow twin of what a limit allows.

use proptest::test_runner::Config;
use vsw_qos::{ClassSettings, Item, Limit, QueueLimit, Share};

/// One that understands ECN if it is odd.
#[allow(dead_code)] // not by all tests
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet(pub u32);

impl Item for Packet {
    fn mark(&mut self) -> bool {
        self.0 % 2 == 1
    }
}

/// The usual, but nothing is written down: without a `lib.rs` beside it a test would have it put outside the
/// repository. What failed once becomes a test by name.
#[allow(dead_code)] // not by all tests
pub(crate) fn proptest_config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

#[allow(dead_code)] // not by all tests
pub(crate) fn class(share: Share) -> ClassSettings {
    let queue = QueueLimit { bytes: 1 << 20, frames: 1_000, time: SECOND };
    ClassSettings { share, min: None, max: None, queue, codel: None, flows: 1, quantum: 1514 }
}

/// The slow twin: every moment at which something passed is remembered, and every span between any two is
/// looked at. In exact numbers.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<(u64, u64)>);

#[allow(dead_code)] // not by all tests
impl History {
    pub(crate) fn note(&mut self, at: u64, n: u64) {
        self.0.push((at, n));
    }
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|(_, n)| n).sum()
    }
    /// In no span more than `rate * t + burst`, or than one of those that are larger than the burst.
    pub(crate) fn check(&self, limit: Limit) {
        for (i, (start, _)) in self.0.iter().enumerate() {
            let mut sum: u128 = 0;
            let mut largest = limit.burst;
            for (end, n) in &self.0[i..] {
                sum += u128::from(*n);
                largest = largest.max(*n);
                let allowed =
                    u128::from(limit.rate) * u128::from(end - start) + u128::from(largest) * 1_000_000_000;
                assert!(sum * 1_000_000_000 <= allowed, "{sum} from {start} to {end}, {limit:?}");
            }
        }
    }
}
