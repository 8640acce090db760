//! What becomes of a frame: a few words, by value.

use crate::Learned;
use vsw_types::{DropReason, PortIdx, VlanId};
use vsw_wire::vlan::Tag;

/// Where it goes. Closed on purpose: adding a case makes the compiler name every place that must learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To one port.
    Output(PortIdx),
    /// To every member of its VLAN that the ingress port may reach.
    Flood,
    Drop(DropReason),
}

/// The frame's VLAN, and how it is written on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    pub vlan: VlanId,
    /// The tag it has where it leaves tagged.
    pub tag: Tag,
    /// Whether the frame as received begins with a tag that stands for `vlan` (or, with VID 0, for a
    /// priority only), to be replaced or taken off.
    pub tagged: bool,
}

/// The outcome of [`crate::decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub action: Action,
    /// Means nothing when the frame was dropped before it had a VLAN.
    pub class: Class,
    /// What learning its source did.
    pub learned: Learned,
}
