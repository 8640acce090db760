//! A whole switch in one thread and no device: the bench on which scenarios are written.
//!
//! ```text
//!   let mut rig = Rig::new("br0: a access 10, b access 10, t trunk 10,20");
//!   rig.send("a", frame) ⇒ [("b", frame), ("t", tagged frame)]
//! ```
//!
//! The configuration goes through the same `Draft -> Config -> Snapshot` as in the daemon, the frames
//! through the same workers; only the devices are queues in memory and the time is what the test says.
#![forbid(unsafe_code)]

pub mod frames;
mod rig;

pub use rig::{Heard, Rig, Setup, Wrap, bits, bridge, port};
