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
    // Most frames have no tag; what the port says of those was compiled beforehand.
    let port = walk.ingress.port;
    let class = match (walk.key.outer, port.pvid) {
        (None, Some(vlan)) => Class { vlan, tag: port.pvid_tag, tagged: false },
        (None, None) => return Step::Drop(no_pvid(port)),
        (Some(tag), _) => match tagged(*walk.key, tag, port) {
            Ok(class) => class,
            Err(reason) => return Step::Drop(reason),
        },
    };
    walk.verdict.class = class;
    Step::Next
}

fn no_pvid(port: &PortTable) -> DropReason {
    match port.mode {
        Mode::Qinq { .. } => DropReason::CvlanNotAllowed,
        _ => DropReason::NoNativeVlan,
    }
}

fn tagged(key: FlowKey, tag: Tag, port: &PortTable) -> Result<Class, DropReason> {
    match &port.mode {
        Mode::Access(vlan) if tag.vid() == 0 => priority_tagged(&key, tag, *vlan),
        Mode::Access(_) => Err(DropReason::TaggedOnAccess),
        Mode::Trunk { native, .. } if tag.vid() == 0 => {
            priority_tagged(&key, tag, native.ok_or(DropReason::NoNativeVlan)?)
        }
        Mode::Trunk { allowed, .. } => match VlanId::from_vid(tag.vid()) {
            Some(vlan) if allowed.contains(vlan) => Ok(Class { vlan, tag, tagged: true }),
            _ => Err(DropReason::VlanNotAllowed),
        },
        Mode::Qinq { service, customers: None } => Ok(service_class(*service, tag)),
        Mode::Qinq { service, customers: Some(set) } => match VlanId::from_vid(tag.vid()) {
            Some(customer) if set.contains(customer) => Ok(service_class(*service, tag)),
            _ => Err(DropReason::CvlanNotAllowed),
        },
    }
}

/// The customer's priority is the service's (IEEE 802.1Q-2022, 6.9.4, as a default).
fn service_class(service: VlanId, customer: Tag) -> Class {
    let tag = Tag::new(ethertype::STAG, customer.tci() & 0xf000).with_vid(service.get());
    Class { vlan: service, tag, tagged: false }
}

/// VID 0 carries a priority and no VLAN: such a frame counts as untagged and keeps its priority. With a
/// second tag behind, taking the first off would let the sender choose any VLAN.
fn priority_tagged(key: &FlowKey, tag: Tag, vlan: VlanId) -> Result<Class, DropReason> {
    if key.inner.is_some() {
        return Err(DropReason::NestedTag);
    }
    Ok(Class { vlan, tag: tag.with_vid(vlan.get()), tagged: true })
}
