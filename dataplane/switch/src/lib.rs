//! The switch itself: given what a frame looks like, what becomes of it.
//!
//! This crate is a pure function and the tables it reads. It opens no device, starts no thread, reads
//! no clock and touches no packet byte; `engine` does those. That is why a test of it is a table.
//!
//! ```text
//!   FlowKey ──▶ admit ─▶ police ─▶ learn ─▶ forward ─▶ storm ──▶ Verdict     egress(port, verdict) ──▶ Retag
//!                  └────────┴── any stage may drop, with a reason ──────────┘
//! ```
//!
//! Thread-safety: a [`Snapshot`] is immutable and shared; the [`Fdb`] behind it is a table of atomics, a
//! [`qos::Guard`] has a lock that nobody waits for.
//! Everything else is a value.
#![forbid(unsafe_code)]

pub mod egress;
pub mod fdb;
mod key;
pub mod qos;
pub mod snapshot;
pub mod stage;
mod verdict;

pub use egress::Retag;
pub use fdb::{Fdb, FdbKey, Learned};
pub use key::FlowKey;
pub use snapshot::{Ingress, PortTable, Snapshot};
pub use verdict::{Action, Class, Verdict};

use qos::Treatment;
use stage::{Step, Walk};
use vsw_qos::Size;
use vsw_types::Now;

/// Whether deciding may leave a trace in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// A real frame: learn from it.
    Allow,
    /// A question: change nothing.
    Deny,
}

/// Decides the fate of one frame that came in at `ingress`, a port without a [`qos::Guard`]. The packet path,
/// a trace and the tests all ask this function, or [`decide_guarded`].
#[inline(always)]
pub fn decide(key: &FlowKey, ingress: &Ingress<'_>, now: Now, effects: Effects) -> Verdict {
    walk::<false>(key, Size::default(), ingress, now, effects).verdict
}

/// Decides the fate of one frame of this size, and what is to be done to it first, at any port.
pub fn decide_guarded(
    key: &FlowKey,
    size: Size,
    ingress: &Ingress<'_>,
    now: Now,
    effects: Effects,
) -> (Verdict, Treatment) {
    let walk = walk::<true>(key, size, ingress, now, effects);
    (walk.verdict, walk.treatment)
}

#[inline(always)]
fn walk<'a, const GUARDED: bool>(
    key: &'a FlowKey,
    size: Size,
    ingress: &'a Ingress<'a>,
    now: Now,
    effects: Effects,
) -> Walk<'a> {
    let mut walk = Walk::new(key, size, ingress, now, effects);
    for stage in stage::STAGES {
        if stage.guards && !GUARDED {
            continue;
        }
        if let Step::Drop(reason) = (stage.run)(&mut walk) {
            walk.verdict.action = Action::Drop(reason);
            break;
        }
    }
    walk
}

/// Whether calling [`prefetch`] for the frames of a batch is worth its while.
#[inline]
pub fn prefetch_pays(ingress: &Ingress<'_>) -> bool {
    ingress.bridge.fdb.is_large()
}

/// Begins to fetch what deciding will read, for a frame that is to be decided soon.
#[inline]
pub fn prefetch(frame: &[u8], ingress: &Ingress<'_>) {
    if let Ok(key) = FlowKey::extract(ingress.index, frame)
        && let Some(vlan) = ingress.port.likely_vlan(key.outer)
    {
        ingress.bridge.fdb.prefetch(FdbKey::new(vlan, key.src));
        ingress.bridge.fdb.prefetch(FdbKey::new(vlan, key.dst));
    }
}
