//! Indices, time and generations.

/// Index of a port, dense and small: a slot that stays the port's own for as long as it lives, and that
/// no other port gets while a snapshot naming it is still in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct PortIdx(pub u16);

/// Most ports in one switch, over all its bridges.
pub const MAX_PORTS: usize = 4096;

/// Monotonic nanoseconds since the daemon started. The packet path never asks for the time: it is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now(pub u64);

impl Now {
    #[inline]
    pub const fn secs(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }
    pub const fn from_secs(s: u32) -> Self {
        Self(s as u64 * 1_000_000_000)
    }
}

/// Numbers one accepted configuration. Strictly increasing, chosen by the control process; 0 is the
/// empty configuration that every switch begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Generation(pub u64);

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
