//! May that much be flooded?

use super::{Step, Walk};
use crate::Action;
use crate::qos::StormKind;

/// FF-FF-FF-FF-FF-FF.
const BROADCAST: u64 = 0xffff_ffff_ffff;

#[inline]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    let (Some(guard), Action::Flood) = (&walk.ingress.port.guard, walk.verdict.action) else {
        return Step::Next;
    };
    let kind = match walk.key.dst {
        dst if dst.number() == BROADCAST => StormKind::Broadcast,
        dst if dst.is_group() => StormKind::Multicast,
        _ => StormKind::Unknown,
    };
    if guard.storm(kind, walk.size, walk.now, walk.effects) { Step::Next } else { Step::Drop(kind.reason()) }
}
