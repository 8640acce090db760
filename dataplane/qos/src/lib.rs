//! Quality of service as arithmetic: meters that police, a scheduler that shapes, a wheel that tells when.
//!
//! Time is an argument, in nanoseconds ([`vsw_types::Now`]); what is queued is anything that can be marked
//! ([`Item`]). Nothing here reads a clock, does I/O or allocates after construction.
//!
//! ```text
//!   Meter      one frame ──▶ green, yellow or red                       (RFC 2697, 2698, 4115)
//!   Scheduler  port ─▶ class (guarantee, strict priority, weight, maximum) ─▶ flow (RFC 8290) ─▶ CoDel
//!   Wheel      which of a thousand schedulers has something to send now, and when the next one has
//! ```
//!
//! **Rates** are bits (or packets) per second of Ethernet frames as they are counted everywhere in the
//! switch: with their headers, without preamble, FCS and gap. A frame that stands for many (GSO) counts as
//! all the frames, headers included, that it becomes ([`Size`]).
//!
//! **Bound**: in any time `t` no more than `rate * t + burst` passes. A frame that is larger than the
//! burst passes when the bucket is full and leaves a debt; the bound is then `rate * t + that frame`.
//!
//! Thread-safety: everything is a value with one owner.
#![forbid(unsafe_code)]

mod bucket;
mod class;
mod codel;
mod fair;
mod meter;
mod scheduler;
mod settings;
mod size;
mod slab;
mod wheel;

pub use bucket::{Bucket, Limit};
pub use class::ClassStats;
pub use codel::CodelSettings;
pub use meter::{Algorithm, Colour, Meter, MeterSettings, Tiers};
pub use scheduler::{Departure, Scheduler};
pub use settings::{ClassSettings, MAX_CLASSES, QueueLimit, Settings, Share};
pub use size::Size;
pub use wheel::Wheel;

/// What can be queued.
pub trait Item {
    /// Tells the receiver of congestion: sets CE, if the sender said that it understands (RFC 3168, 5).
    /// `false`: it did not.
    fn mark(&mut self) -> bool;
}
