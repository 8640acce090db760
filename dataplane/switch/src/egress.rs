//! How a frame must look to leave by a port (IEEE 802.1Q-2022, 8.6.4 and 6.9.2).

use crate::snapshot::Mode;
use crate::{Class, FlowKey, PortTable};
use vsw_types::{DropReason, VlanId};
use vsw_wire::vlan::Tag;

/// What is done to the front of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retag {
    Keep,
    /// Take the outer tag off.
    Pop,
    /// Put a tag in front.
    Push(Tag),
    /// Write another outer tag.
    Replace(Tag),
}

impl Retag {
    /// What it adds to the length of the frame: bytes.
    pub const fn growth(self) -> isize {
        match self {
            Self::Keep | Self::Replace(_) => 0,
            Self::Pop => -4,
            Self::Push(_) => 4,
        }
    }
}

/// Tells how a frame of `class` leaves by `port`, or why it must not.
///
/// # Errors
/// The reason for the drop, to be counted at the egress port.
#[inline(always)]
pub fn egress(key: &FlowKey, class: &Class, port: &PortTable) -> Result<Retag, DropReason> {
    // Nearly every frame: no tag when it came, none when it goes.
    if key.outer.is_none() && port.bare == Some(class.vlan) {
        return Ok(Retag::Keep);
    }
    retag(key, class, port)
}

#[inline]
fn retag(key: &FlowKey, class: &Class, port: &PortTable) -> Result<Retag, DropReason> {
    let bare = if class.tagged { Retag::Pop } else { Retag::Keep };
    // The tag that the attached side sees first if ours is not there.
    let exposed = if class.tagged { key.inner } else { key.outer };
    match &port.mode {
        Mode::Access(vlan) => {
            member(*vlan == class.vlan)?;
            no_nesting(exposed)?;
            Ok(bare)
        }
        Mode::Trunk { native, native_tagged: false, .. } if *native == Some(class.vlan) => {
            no_nesting(exposed)?;
            Ok(bare)
        }
        Mode::Trunk { allowed, .. } => {
            member(allowed.contains(class.vlan))?;
            Ok(match key.outer {
                Some(outer) if class.tagged && outer == class.tag => Retag::Keep,
                Some(_) if class.tagged => Retag::Replace(class.tag),
                _ => Retag::Push(class.tag),
            })
        }
        Mode::Qinq { service, customers } => {
            member(*service == class.vlan)?;
            match (customers, exposed) {
                (None, _) => Ok(bare),
                (Some(set), Some(tag)) if VlanId::from_vid(tag.vid()).is_some_and(|v| set.contains(v)) => {
                    Ok(bare)
                }
                _ => Err(DropReason::CvlanNotAllowed),
            }
        }
    }
}

#[inline]
fn member(is: bool) -> Result<(), DropReason> {
    if is { Ok(()) } else { Err(DropReason::VlanNotAllowed) }
}

/// Where frames leave untagged, a second tag would pass for the first: the attached side (or the next
/// switch) would put the frame into a VLAN that its sender chose.
#[inline]
fn no_nesting(exposed: Option<Tag>) -> Result<(), DropReason> {
    if exposed.is_none() { Ok(()) } else { Err(DropReason::NestedTag) }
}
