//! The pipeline, as a table you can read. Order is meaning: a stage may rely on those above it.
//!
//! To add a feature: write its file, add its row, and, if it needs a new [`crate::Action`], let the
//! compiler show where. No stage imports another.

mod admit;
mod forward;
mod learn;
mod police;
mod storm;

use crate::qos::Treatment;
use crate::{Action, Class, Effects, FlowKey, Ingress, Learned, Verdict};
use vsw_qos::Size;
use vsw_types::{DropReason, Now, VlanId};
use vsw_wire::vlan::Tag;

/// One step of the decision.
pub struct Stage {
    pub name: &'static str,
    /// Only at ports that have a [`crate::qos::Guard`]; others do not pay for it.
    pub guards: bool,
    pub run: fn(&mut Walk<'_>) -> Step,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The pipeline.
#[rustfmt::skip]
pub const STAGES: [Stage; 5] = [
    Stage { name: "admit",   guards: false, run: admit::run   }, // sensible, VLAN allowed; gives it its VLAN
    Stage { name: "police",  guards: true,  run: police::run  }, // within the rate; gives it its colour
    Stage { name: "learn",   guards: false, run: learn::run   }, // source address -> ingress port
    Stage { name: "forward", guards: false, run: forward::run }, // destination address -> port, or flood
    Stage { name: "storm",   guards: true,  run: storm::run   }, // what is flooded, within its rate
];

/// What a stage says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Next,
    Drop(DropReason),
}

/// One frame on its way through the stages: what is known, and what has been decided so far.
#[derive(Debug)]
pub struct Walk<'a> {
    pub key: &'a FlowKey,
    pub ingress: &'a Ingress<'a>,
    pub now: Now,
    pub effects: Effects,
    pub verdict: Verdict,
    /// What the frame counts.
    pub size: Size,
    /// What policing wants done to it.
    pub treatment: Treatment,
}

impl<'a> Walk<'a> {
    #[inline]
    pub fn new(key: &'a FlowKey, size: Size, ingress: &'a Ingress<'a>, now: Now, effects: Effects) -> Self {
        let vlan = VlanId::DEFAULT;
        let class = Class { vlan, tag: Tag::customer(vlan.get()), tagged: false };
        let verdict = Verdict { action: Action::Flood, class, learned: Learned::Known };
        Self { key, ingress, now, effects, verdict, size, treatment: Treatment::Pass }
    }
}
