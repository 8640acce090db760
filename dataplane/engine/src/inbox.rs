//! Frames that wait before they come in: of ports whose attached side may send no more than a rate, and where
//! what is more waits instead of being dropped.
//!
//! One worker has the queues of a port, its home, as for what is sent to a port; another one that received for it
//! hands over what it got. Frames of a port that has none of this never come here. What has waited is decided
//! about when it comes in, by the snapshot that is in force then.
//!
//! Thread-safety: a part of one worker.

use crate::counters::{Counters, Field};
use crate::mesh::Parcel;
use crate::outbox::Outbox;
use crate::shaper::{Desk, Shaper};
use std::collections::VecDeque;
use std::sync::Arc;
use vsw_mem::{Batch, Frame};
use vsw_port::{Io, PortCaps};
use vsw_qos::Wheel;
use vsw_switch::Snapshot;
use vsw_switch::qos::Shaping;
use vsw_types::{Direction::Rx, DropReason, Now, PortIdx};

#[derive(Default)]
pub(crate) struct Inbox {
    /// By port.
    lines: Vec<Line>,
    /// Ports whose frames wait, here or elsewhere.
    count: usize,
    /// Ports here that got something in this pass.
    fresh: Vec<u16>,
    /// When ports here have something that may come in.
    wheel: Wheel,
    /// Frames that wait no more, because their port's do not any more.
    released: VecDeque<(PortIdx, Frame)>,
}

/// What waits of one port.
#[derive(Default)]
struct Line {
    /// Who has it.
    home: Option<usize>,
    /// If that is this worker.
    shaper: Option<Box<Shaper>>,
    is_fresh: bool,
}

impl Inbox {
    /// Has ports wait as the snapshot says.
    #[cold]
    pub(crate) fn adopt(
        &mut self,
        snapshot: &Snapshot,
        out: &mut Outbox,
        io: &mut Io,
        counters: &mut Counters,
    ) {
        let wanted = |i: usize| snapshot.port(PortIdx(i as u16)).and_then(|p| p.ingress_shaping.as_ref());
        let most =
            snapshot.ports().filter(|(_, p)| p.ingress_shaping.is_some()).map(|(i, _)| i.0 as usize + 1);
        let ports = most.max().unwrap_or(0).max(self.lines.len());
        self.lines.resize_with(ports, Line::default);
        self.fresh.reserve(ports);
        self.wheel.reserve(ports);
        self.count = 0;
        for i in 0..ports {
            let port = PortIdx(i as u16);
            let shaping = wanted(i);
            self.lines[i].home = shaping.and_then(|_| out.home(port));
            self.count += usize::from(self.lines[i].home.is_some());
            let is_here = self.lines[i].home == Some(out.mesh.me());
            let mut desk = out.desk(io, counters);
            match shaping.filter(|_| is_here) {
                Some(shaping) => self.shape(port, shaping, &mut desk),
                None => self.unshape(port, &mut desk),
            }
        }
    }

    fn shape(&mut self, port: PortIdx, shaping: &Arc<Shaping>, desk: &mut Desk<'_>) {
        let line = &mut self.lines[port.0 as usize];
        match &mut line.shaper {
            Some(shaper) => shaper.change(shaping.clone(), desk),
            None => line.shaper = Some(Box::new(Shaper::new(port, Rx, shaping.clone(), desk.now))),
        }
        // Under the new settings something may come in that waited.
        self.freshen(port);
    }

    /// Nothing waits any more: what did comes in now.
    fn unshape(&mut self, port: PortIdx, desk: &mut Desk<'_>) {
        let Some(mut shaper) = self.lines.get_mut(port.0 as usize).and_then(|l| l.shaper.take()) else {
            return;
        };
        shaper.drain(desk.budget, |frame| self.released.push_back((port, frame)));
        desk.counters.set(port, Field::RxQueued, 0);
        self.wheel.unset(port.0);
    }

    /// What waits dies with the port.
    pub(crate) fn clear(&mut self, port: PortIdx, desk: &mut Desk<'_>) {
        self.unshape(port, desk);
        for _ in 0..self.released.len() {
            match self.released.pop_front() {
                Some((p, frame)) if p == port => desk.discard_received(frame, port, DropReason::PortGone),
                other => self.released.extend(other),
            }
        }
    }

    /// The worker where this port's frames wait; `None`: they do not.
    #[inline]
    pub(crate) fn home(&self, port: PortIdx) -> Option<usize> {
        if self.count == 0 { None } else { self.lines.get(port.0 as usize)?.home }
    }

    /// Has what was received wait at its port's home.
    #[inline(never)]
    pub(crate) fn hold_all(
        &mut self,
        (port, home): (PortIdx, usize),
        batch: &mut Batch,
        out: &mut Outbox,
        io: &mut Io,
        counters: &mut Counters,
    ) {
        for frame in batch.drain(..) {
            if home == out.mesh.me() {
                self.hold(port, frame, &mut out.desk(io, counters));
            } else {
                out.hand_over(home, Parcel { frame, port, direction: Rx }, io, counters);
            }
        }
    }

    /// Has a frame wait here.
    pub(crate) fn hold(&mut self, port: PortIdx, frame: Frame, desk: &mut Desk<'_>) {
        match self.lines.get_mut(port.0 as usize).and_then(|l| l.shaper.as_mut()) {
            // Everything but to be cut is for those who send it.
            Some(shaper) => {
                shaper.push(frame, PortCaps::ALL, desk);
                self.freshen(port);
            }
            // Handed over by a worker that had not seen the newest snapshot.
            None => self.released.push_back((port, frame)),
        }
    }

    /// One that waits no more.
    #[inline]
    pub(crate) fn release(&mut self) -> Option<(PortIdx, Frame)> {
        self.released.pop_front()
    }

    fn freshen(&mut self, port: PortIdx) {
        let line = &mut self.lines[port.0 as usize];
        if !std::mem::replace(&mut line.is_fresh, true) {
            self.fresh.push(port.0);
        }
    }

    /// A port of which something may come in now.
    #[inline]
    pub(crate) fn next(&mut self, now: Now) -> Option<PortIdx> {
        if self.count == 0 {
            return None;
        }
        let port = self.fresh.pop().or_else(|| self.wheel.pop(now))?;
        self.lines[port as usize].is_fresh = false;
        Some(PortIdx(port))
    }

    /// Fills the batch with what may come in now. `false`: that is all of it.
    pub(crate) fn take(&mut self, port: PortIdx, batch: &mut Batch, desk: &mut Desk<'_>) -> bool {
        let Some(shaper) = self.lines.get_mut(port.0 as usize).and_then(|l| l.shaper.as_mut()) else {
            return false;
        };
        let next = loop {
            if batch.is_full() {
                return true;
            }
            match shaper.pop(desk) {
                Ok(frame) => batch.push(frame),
                Err(next) => break next,
            }
        };
        desk.counters.set(port, Field::RxQueued, shaper.len());
        match shaper.publish(next, desk.now) {
            Some(due) => self.wheel.set(port.0, due),
            None => self.wheel.unset(port.0),
        }
        false
    }

    /// When something that waits may come in; `None`: nothing waits.
    pub(crate) fn due(&self) -> Option<Now> {
        if self.count == 0 { None } else { self.wheel.next() }
    }
}
