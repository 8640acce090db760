//! Where does it go? (IEEE 802.1Q-2022, 8.6.3 and 8.8.)

use super::{Step, Walk};
use crate::{Action, FdbKey};
use vsw_types::DropReason;

#[inline(always)]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    let (vlan, ingress, dst) = (walk.verdict.class.vlan, walk.ingress, walk.key.dst);
    if dst.is_group() {
        return Step::Next; // flood, as the verdict says from the beginning
    }
    let Some(to) = ingress.bridge.fdb.lookup(FdbKey::new(vlan, dst)) else { return Step::Next };
    if to == ingress.index {
        return Step::Drop(DropReason::Hairpin);
    }
    // A station can outlive its port by a moment: then nobody knows where it is.
    let Some(egress) = ingress.snap.port(to).filter(|p| p.bridge == ingress.port.bridge) else {
        return Step::Next;
    };
    if ingress.port.isolated && egress.isolated {
        return Step::Drop(DropReason::Isolated);
    }
    walk.verdict.action = Action::Output(to);
    Step::Next
}
