//! What a scheduler is told to do.

use crate::{CodelSettings, Limit};

/// Most classes of a port: one bit each in a word.
pub const MAX_CLASSES: usize = 16;

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits; `None`: what the device takes.
    pub max: Option<Limit>,
    /// At least one, at most [`MAX_CLASSES`].
    pub classes: Vec<ClassSettings>,
    /// Nanoseconds for which strict priority may keep a class waiting.
    pub patience: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassSettings {
    pub share: Share,
    /// What it gets before all others: bits.
    pub min: Option<Limit>,
    /// What it never exceeds: bits.
    pub max: Option<Limit>,
    pub queue: QueueLimit,
    pub codel: Option<CodelSettings>,
    /// Queues by flow (RFC 8290), so many of them; 1: a plain queue.
    pub flows: u16,
    /// Bytes that a flow may send before the next one's turn: those of the longest frame, or its turn takes
    /// several rounds.
    pub quantum: u32,
}

/// How classes share what the guarantees leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Before all weighted classes, and before strict ones that stand behind it.
    Strict,
    /// With the other weighted ones, by weight; at least 1.
    Weight(u16),
}

/// What a queue holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimit {
    pub bytes: u32,
    /// Places for frames, each of any size; they are allocated.
    pub frames: u32,
    /// Nanoseconds; who waited longer is dropped.
    pub time: u64,
}

impl Settings {
    /// Places that all queues have together.
    pub(crate) fn frames(&self) -> u32 {
        self.classes.iter().map(|c| c.queue.frames).sum()
    }
}
