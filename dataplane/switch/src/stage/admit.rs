//! Is this frame welcome here, and which VLAN is it in? (IEEE 802.1Q-2022, 6.9 and 8.6.1 to 8.6.2.)

use super::{Step, Walk};
use crate::snapshot::Mode;
use crate::{Class, FlowKey, PortTable};
use vsw_types::{DropReason, Mac48, VlanId};
use vsw_wire::eth::ethertype;
use vsw_wire::vlan::Tag;

/// 01-80-C2-00-00-00 to -0F stay on their link (IEEE 802.1Q-2022, table 8-1).
const RESERVED: u64 = 0x0180_c200_0000;

#[inline(always)]
pub(super) fn run(walk: &mut Walk<'_>) -> Step {
    if walk.key.src.is_group() || walk.key.src == Mac48::default() {
        return Step::Drop(DropReason::GroupSource);
    }
    if walk.key.dst.number() & !0xf == RESERVED {
        return Step::Drop(DropReason::ReservedAddress);
    }
    match classify(walk.key, walk.ingress.port) {
        Ok(class) => {
            walk.verdict.class = Some(class);
            Step::Next
        }
        Err(reason) => Step::Drop(reason),
    }
}

#[inline(always)]
fn classify(key: &FlowKey, port: &PortTable) -> Result<Class, DropReason> {
    match &port.mode {
        Mode::Access(vlan) => match key.outer {
            None => Ok(untagged(*vlan)),
            Some(tag) if tag.vid() == 0 => priority_tagged(key, tag, *vlan),
            Some(_) => Err(DropReason::TaggedOnAccess),
        },
        Mode::Trunk { allowed, native, .. } => match key.outer {
            None => native.map(untagged).ok_or(DropReason::NoNativeVlan),
            Some(tag) if tag.vid() == 0 => priority_tagged(key, tag, native.ok_or(DropReason::NoNativeVlan)?),
            Some(tag) => match VlanId::from_vid(tag.vid()) {
                Some(vlan) if allowed.contains(vlan) => Ok(Class { vlan, tag, tagged: true }),
                _ => Err(DropReason::VlanNotAllowed),
            },
        },
        Mode::Qinq { service, customers } => {
            let carried = match (customers, key.outer) {
                (None, _) => true,
                (Some(set), Some(tag)) => VlanId::from_vid(tag.vid()).is_some_and(|v| set.contains(v)),
                (Some(_), None) => false,
            };
            if !carried {
                return Err(DropReason::CvlanNotAllowed);
            }
            // The customer's priority is the service's (IEEE 802.1Q-2022, 6.9.4, as a default).
            let tci = key.outer.map_or(0, |t| t.tci() & 0xf000);
            let tag = Tag::new(ethertype::STAG, tci).with_vid(service.get());
            Ok(Class { vlan: *service, tag, tagged: false })
        }
    }
}

#[inline]
fn untagged(vlan: VlanId) -> Class {
    Class { vlan, tag: Tag::customer(vlan.get()), tagged: false }
}

/// VID 0 carries a priority and no VLAN: such a frame counts as untagged and keeps its priority. With a
/// second tag behind, taking the first off would let the sender choose any VLAN.
#[inline]
fn priority_tagged(key: &FlowKey, tag: Tag, vlan: VlanId) -> Result<Class, DropReason> {
    if key.inner.is_some() {
        return Err(DropReason::NestedTag);
    }
    Ok(Class { vlan, tag: tag.with_vid(vlan.get()), tagged: true })
}
