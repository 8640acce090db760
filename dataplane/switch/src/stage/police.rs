//! May the attached side send that much? (RFC 2697, RFC 2698, RFC 4115.)

use super::{Step, Walk};
use crate::qos::Treatment;
use vsw_types::DropReason;

#[inline]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    let Some(guard) = &walk.ingress.port.guard else { return Step::Next };
    match guard.police(walk.size, walk.now, walk.effects) {
        Treatment::Drop => Step::Drop(DropReason::Policed),
        treatment => {
            walk.treatment = treatment;
            Step::Next
        }
    }
}
