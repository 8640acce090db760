//! Single costs of the packet path, in memory, without a kernel device.

mod endless;
mod fdb;
mod flood;
mod pass;
pub(crate) mod rig;
mod shaped;
mod steps;
mod workers;

pub(crate) use fdb::fdb;
pub(crate) use flood::flood;
pub(crate) use pass::{pass, stations};
pub(crate) use shaped::shaped;
pub(crate) use steps::{frame, steps};
pub(crate) use workers::workers;

/// Numbers that look like chance and are the same every time (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }
}

/// The address of a station.
pub(crate) fn mac(station: u32) -> [u8; 6] {
    let [a, b, c, d] = station.to_be_bytes();
    [2, 0, a, b, c, d]
}
