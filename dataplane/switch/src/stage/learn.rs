//! Remember where the source is (IEEE 802.1Q-2022, 8.7).

use super::{Step, Walk};
use crate::{Effects, FdbKey};

#[inline]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    let (Some(class), Some(port)) = (walk.verdict.class, walk.snap.port(walk.key.in_port)) else {
        return Step::Next;
    };
    if walk.effects == Effects::Allow {
        let key = FdbKey::new(class.vlan, walk.key.src);
        let fdb = &walk.snap.bridge(port).fdb;
        walk.verdict.learned = fdb.learn(key, walk.key.in_port, port.mac_limit, walk.now);
    }
    Step::Next
}
