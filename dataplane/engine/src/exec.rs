//! Does to a frame what the verdict says. The only place that changes a frame's headers.

use crate::counters::{Counters, Field};
use crate::mark;
use crate::offload;
use crate::outbox::{Outbox, Pushed, Way};
use crate::slot::{bury, discard};
use vsw_mem::Frame;
use vsw_port::Io;
use vsw_switch::egress::egress;
use vsw_switch::qos::{Treatment, Trust};
use vsw_switch::{
    Action, Class, Effects, FlowKey, Ingress, Learned, PortTable, Retag, Snapshot, Verdict, decide_guarded,
};
use vsw_types::{Direction::Rx, Direction::Tx, DropReason, Now, PortIdx};
use vsw_wire::{eth, vlan};

/// Patch ports that a frame may cross: more are a loop of bridges.
const MAX_HOPS: u8 = 8;

/// What executing verdicts works with.
pub(crate) struct Exec<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) io: &'a mut Io,
    pub(crate) out: &'a mut Outbox,
    pub(crate) counters: &'a mut Counters,
    /// Frames that left by a patch port and come in at its other end.
    pub(crate) patched: &'a mut Vec<(PortIdx, Frame)>,
    /// Frames of the ingress port for which a way out was found, since last counted.
    pub(crate) forwarded: u64,
    /// Whether some station came, moved or gave way.
    pub(crate) learned: bool,
}

impl Exec<'_> {
    #[inline(always)]
    pub(crate) fn run(&mut self, frame: Frame, key: &FlowKey, verdict: &Verdict, ingress: &Ingress<'_>) {
        if verdict.learned != Learned::Known {
            self.note_learning(key.in_port, verdict.learned);
        }
        match verdict.action {
            Action::Output(port) => self.unicast(frame, key, &verdict.class, port),
            // By value: what a call gets the address of has to be in memory, also for all other frames.
            Action::Flood => self.flood(frame, verdict.class, *ingress),
            Action::Drop(reason) => self.drop_rx(frame, key.in_port, reason),
        }
    }

    /// Decides for one frame and does it, whatever kind of port it came in by.
    #[inline(never)]
    pub(crate) fn decide_and_run(&mut self, mut frame: Frame, ingress: &Ingress<'_>, now: Now) {
        let key = match key_of(ingress.index, &frame) {
            Ok(key) => key,
            Err(reason) => return self.drop_rx(frame, ingress.index, reason),
        };
        let size = offload::wire_size(&frame);
        let (verdict, treatment) = decide_guarded(&key, size, ingress, now, Effects::Allow);
        if let (Treatment::Remark(precedence), Some(guard)) = (treatment, &ingress.port.guard)
            && mark::set_precedence(frame.bytes_mut(), precedence)
        {
            guard.note_remarked(size.packets);
        }
        self.run(frame, &key, &verdict, ingress);
    }

    /// Counts a frame that died before a port to leave by was found.
    #[cold]
    pub(crate) fn drop_rx(&mut self, frame: Frame, port: PortIdx, reason: DropReason) {
        bury(frame, (port, Rx), reason, self.io, self.counters);
    }

    #[cold]
    fn note_learning(&mut self, port: PortIdx, learned: Learned) {
        self.learned |= matches!(learned, Learned::New | Learned::Moved { .. } | Learned::Evicted { .. });
        match learned {
            Learned::Moved { .. } => self.counters.add(port, Field::MacsMoved, 1),
            Learned::Evicted { of } => self.counters.add(of, Field::MacsEvicted, 1),
            Learned::PortFull | Learned::BridgeFull => self.counters.add(port, Field::MacsRefused, 1),
            Learned::Known | Learned::New | Learned::Busy => {}
        }
    }

    #[inline(always)]
    fn unicast(&mut self, frame: Frame, key: &FlowKey, class: &Class, port: PortIdx) {
        self.forwarded += 1;
        match self.way(&frame, key, class, port) {
            Ok((way, retag)) => self.output(frame, key.in_port, class, port, way, retag),
            Err(reason) => discard(frame, port, reason, self.io, self.counters),
        }
    }

    /// A copy for all but the last of the members that can have it.
    #[inline(never)]
    fn flood(&mut self, frame: Frame, class: Class, ingress: Ingress<'_>) {
        // Read again: handing it over would cost those that are not flooded.
        let Ok(key) = FlowKey::extract(ingress.index, frame.bytes()) else {
            return self.drop_rx(frame, ingress.index, DropReason::Runt);
        };
        let snap = self.snap;
        let mut targets = 0;
        let mut held: Option<(PortIdx, Way, Retag)> = None;
        for &port in ingress.bridge.members(class.vlan) {
            if port == key.in_port || (ingress.port.isolated && snap.port(port).is_some_and(|p| p.isolated)) {
                continue;
            }
            targets += 1;
            match self.way(&frame, &key, &class, port) {
                Err(reason) => self.counters.drops(port, Tx, reason, 1),
                Ok((way, retag)) => {
                    if let Some((port, way, retag)) = held.replace((port, way, retag)) {
                        match self.io.frames.copy(&frame) {
                            Some(twin) => self.output(twin, key.in_port, &class, port, way, retag),
                            None => self.counters.drops(port, Tx, DropReason::NoFrame, 1),
                        }
                    }
                }
            }
        }
        if targets == 0 {
            return self.drop_rx(frame, key.in_port, DropReason::NoDestination);
        }
        self.forwarded += 1;
        self.counters.add(key.in_port, Field::Copies, targets - 1);
        match held {
            Some((port, way, retag)) => self.output(frame, key.in_port, &class, port, way, retag),
            None => self.io.frames.recycle(frame), // every copy's end was counted
        }
    }

    /// How the frame leaves by a port, if it may.
    #[inline(always)]
    fn way(
        &self,
        frame: &Frame,
        key: &FlowKey,
        class: &Class,
        port: PortIdx,
    ) -> Result<(Way, Retag), DropReason> {
        let table: &PortTable = self.snap.port(port).ok_or(DropReason::PortGone)?;
        let way = self.out.way(port).ok_or(DropReason::PortGone)?;
        let retag = egress(key, class, table)?;
        let len = if frame.has_offload() { offload::longest_cut(frame) } else { frame.len() };
        // Tags do not count against the MTU (IEEE 802.3-2022, 3.2.7: maximum size of tagged frames).
        let tags = vlan::TAG_LEN * (usize::from(key.outer.is_some()) + usize::from(key.inner.is_some()));
        if len > way.mtu as usize + eth::HEADER_LEN + tags {
            return Err(DropReason::TooBig);
        }
        Ok((way, retag))
    }

    #[inline(always)]
    fn output(
        &mut self,
        mut frame: Frame,
        from: PortIdx,
        class: &Class,
        port: PortIdx,
        way: Way,
        retag: Retag,
    ) {
        if retag != Retag::Keep
            && let Err(reason) = apply(&mut frame, retag)
        {
            return discard(frame, port, reason, self.io, self.counters);
        }
        if let Pushed::Aside(frame) = self.out.push(port, way, frame, self.io, self.counters) {
            // By value, and no more than it needs: what must outlive `push` costs all other frames.
            self.aside(frame, from, *class, port);
        }
    }

    /// Out by a patch port, or into the queues of a shaped one: then in the class that the frame belongs to,
    /// and with the marks of the class.
    #[inline(never)]
    fn aside(&mut self, mut frame: Frame, from: PortIdx, class: Class, port: PortIdx) {
        if !self.out.is_shaped(port) {
            return self.cross(frame, port);
        }
        if let Some(shaping) = self.snap.port(port).and_then(|p| p.shaping.as_ref()) {
            let trust = self.snap.port(from).map_or(Trust::Both, |p| p.trust);
            mark::classify(&mut frame, shaping, &class, trust);
        }
        self.out.enqueue(port, frame, self.io, self.counters);
    }

    /// Out by a patch port, in at its other end.
    fn cross(&mut self, mut frame: Frame, port: PortIdx) {
        let Some(peer) = self.snap.port(port).and_then(|p| p.patch) else {
            return discard(frame, port, DropReason::PortGone, self.io, self.counters);
        };
        if frame.hops() >= MAX_HOPS {
            return discard(frame, port, DropReason::PatchLoop, self.io, self.counters);
        }
        if self.patched.len() == self.patched.capacity() {
            return discard(frame, port, DropReason::TxFull, self.io, self.counters);
        }
        frame.add_hop();
        self.counters.add(port, Field::TxPackets, 1);
        self.counters.add(port, Field::TxBytes, frame.len() as u64);
        self.patched.push((peer, frame));
    }
}

/// Changes the front of the frame; offsets in its offload metadata move along.
fn apply(frame: &mut Frame, retag: Retag) -> Result<(), DropReason> {
    match retag {
        Retag::Keep => {}
        Retag::Replace(tag) => vlan::replace(frame.bytes_mut(), tag),
        Retag::Push(tag) => {
            frame.grow_front(vlan::TAG_LEN).map_err(|_| DropReason::NoHeadroom)?;
            vlan::insert(frame.bytes_mut(), tag);
        }
        Retag::Pop => {
            vlan::remove(frame.bytes_mut());
            frame.shrink_front(vlan::TAG_LEN).map_err(|_| DropReason::Runt)?;
        }
    }
    if frame.has_offload() {
        let shifted = frame.offload().shifted(retag.growth() as i16).ok_or(DropReason::BadOffload)?;
        frame.set_offload(shifted);
    }
    Ok(())
}

/// What is decided by, if the frame and its metadata make sense.
#[inline(always)]
pub(crate) fn key_of(port: PortIdx, frame: &Frame) -> Result<FlowKey, DropReason> {
    let key = FlowKey::extract(port, frame.bytes())?;
    if frame.has_offload() && !offload::spares_tags(frame.offload(), key) {
        return Err(DropReason::BadOffload);
    }
    Ok(key)
}
