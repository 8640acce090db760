//! Priorities written into frames: PCP in the outer tag, DSCP in the IP header. Frames that are to be cut have
//! one header for all pieces, so that it is the same for them.

use vsw_mem::Frame;
use vsw_switch::qos::{Shaping, Traits, Trust};
use vsw_switch::{Class, FlowKey};
use vsw_types::{Dscp, PortIdx};
use vsw_wire::ip::Outline;
use vsw_wire::vlan::{self, Tag};
use vsw_wire::{eth, u16_at};

/// Gives the packet another drop precedence (RFC 2597), if its DSCP has one. Tells whether that changed it.
pub(crate) fn set_precedence(bytes: &mut [u8], precedence: u8) -> bool {
    let Some(mut ip) = Outline::of(bytes) else { return false };
    let Ok(old) = Dscp::new(ip.dscp().into()) else { return false };
    let new = old.with_precedence(precedence);
    if new == old {
        return false;
    }
    ip.set_dscp(bytes, new.get());
    true
}

/// Finds the class of a frame that is about to wait, notes it on the frame and writes the class's marks.
pub(crate) fn classify(frame: &mut Frame, shaping: &Shaping, class: &Class, trust: Trust) {
    // Tags may have come or gone, the type behind them has not.
    let ethertype = FlowKey::extract(PortIdx(0), frame.bytes()).map_or(0, |key| key.ethertype);
    let mut ip = if shaping.looks_inside() { Outline::of(frame.bytes()) } else { None };
    let number = shaping.class_of(&Traits::of(ethertype, class, ip.as_ref(), trust));
    frame.set_lane(number as u8);
    let rule = &shaping.rules[number];
    if let (Some(dscp), Some(ip)) = (rule.set_dscp, &mut ip) {
        ip.set_dscp(frame.bytes_mut(), dscp.get());
    }
    if let Some(pcp) = rule.set_pcp {
        set_pcp(frame.bytes_mut(), pcp.get());
    }
}

/// Writes the priority into the tag that the frame begins with, if it does.
fn set_pcp(bytes: &mut [u8], pcp: u8) {
    let at = eth::ADDRESSES_LEN;
    let (Some(tpid), Some(tci)) = (u16_at(bytes, at), u16_at(bytes, at + 2)) else { return };
    if eth::is_tag(tpid) {
        vlan::replace(bytes, Tag::new(tpid, tci).with_pcp(pcp));
    }
}
