//! Remember where the source is (IEEE 802.1Q-2022, 8.7).

use super::{Step, Walk};
use crate::{Effects, FdbKey};

#[inline(always)]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    if walk.effects == Effects::Allow {
        let key = FdbKey::new(walk.verdict.class.vlan, walk.key.src);
        let ingress = walk.ingress;
        walk.verdict.learned = ingress.bridge.fdb.learn(key, ingress.index, ingress.port.mac_limit, walk.now);
    }
    Step::Next
}
