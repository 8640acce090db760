//! Frames on their way out, gathered by port.
//!
//! A port is reached through a queue of this worker, through another worker, or not at all (a patch port,
//! which `exec` turns into another port's input). A shaped port is reached through its home, whoever else
//! has queues of it; `exec` gives its frames a class first. Which ports are shaped a worker sees when it
//! first works under a snapshot.

use crate::command::{Attach, Event, Via};
use crate::counters::Counters;
use crate::inbox::Inbox;
use crate::mesh::{Mesh, Parcel};
use crate::shaper::{Budget, Desk};
use crate::slot::{Slot, bury, discard};
use std::sync::mpsc;
use vsw_mem::{Frame, PoolSize};
use vsw_port::{Io, PortCaps};
use vsw_qos::Wheel;
use vsw_switch::Snapshot;
use vsw_types::{Direction::Rx, Direction::Tx, DropReason, Now, PortIdx};

/// Frames taken over from other workers in one pass, at most.
pub(crate) const ARRIVE: usize = 4 * vsw_mem::BATCH;

#[derive(Clone, Copy, Debug)]
enum Route {
    Slot(u16),
    Worker(u16),
    Engine,
    /// To wait in the queues of a slot here.
    ShapedHere(u16),
    /// To wait at the home of the port.
    ShapedThere(u16),
}

/// How a port was attached.
#[derive(Clone, Copy, Debug)]
struct Origin {
    route: Route,
    /// The worker that sends by it while it is shaped.
    home: u16,
}

/// How this worker reaches a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    route: Route,
    /// Bytes of L3 payload that the port takes.
    pub(crate) mtu: u32,
}

/// What became of a frame given to the outbox.
#[derive(Debug)]
pub(crate) enum Pushed {
    Taken,
    /// It goes another way: if the port is shaped ([`Outbox::is_shaped`]), into its queues, with a class and
    /// by [`Outbox::enqueue`]; else the port is a patch port, and the frame is to come in at its other end.
    Aside(Frame),
}

pub(crate) struct Outbox {
    pub(crate) slots: Vec<Option<Slot>>,
    /// By port.
    ways: Vec<Option<Way>>,
    /// By port, as the ways.
    origins: Vec<Option<Origin>>,
    pub(crate) mesh: Mesh,
    /// What other workers handed over, while it is put on its way.
    arrived: Vec<Parcel>,
    /// Slots with something pending.
    waiting: Vec<u16>,
    /// Slots that sent or received in this pass: to be flushed.
    touched: Vec<u16>,
    /// When shaped slots have something to send.
    wheel: Wheel,
    /// Slots that are shaped.
    shaped: usize,
    budget: Budget,
    /// The time of this pass.
    now: Now,
    events: mpsc::Sender<Event>,
}

impl Outbox {
    pub(crate) fn new(mesh: Mesh, pool: PoolSize, events: mpsc::Sender<Event>) -> Self {
        Self {
            slots: Vec::new(),
            ways: Vec::new(),
            origins: Vec::new(),
            budget: Budget::new(pool, mesh.workers()),
            mesh,
            arrived: Vec::with_capacity(ARRIVE),
            waiting: Vec::new(),
            touched: Vec::new(),
            wheel: Wheel::default(),
            shaped: 0,
            now: Now::default(),
            events,
        }
    }

    /// A port to send to. Returns the slot of its queue, if it has one here.
    pub(crate) fn add(&mut self, attach: Attach) -> Option<u16> {
        let Attach { port, caps, mtu, home, via } = attach;
        let mut slot = None;
        let route = match via {
            Via::Worker(w) => Route::Worker(w as u16),
            Via::Engine => Route::Engine,
            Via::Queue(queue) => {
                let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
                if free == self.slots.len() {
                    self.slots.push(None);
                    self.waiting.reserve(self.slots.len());
                    self.touched.reserve(self.slots.len());
                }
                self.slots[free] = Some(Slot::new(port, queue, caps));
                self.touch(free as u16);
                slot = Some(free as u16);
                Route::Slot(free as u16)
            }
        };
        let at = port.0 as usize;
        if self.ways.len() <= at {
            self.ways.resize(at + 1, None);
            self.origins.resize(at + 1, None);
        }
        // A worker that has several queues of one port sends by the first.
        if self.ways[at].is_none() {
            self.ways[at] = Some(Way { route, mtu });
            self.origins[at] = Some(Origin { route, home: home as u16 });
        }
        slot
    }

    pub(crate) fn set_mtu(&mut self, port: PortIdx, mtu: u32) {
        if let Some(Some(way)) = self.ways.get_mut(port.0 as usize) {
            way.mtu = mtu;
        }
    }

    /// For what leaves from now on: between passes nothing is pending.
    pub(crate) fn set_caps(&mut self, port: PortIdx, caps: PortCaps) {
        self.slots.iter_mut().flatten().filter(|s| s.port == port).for_each(|s| s.caps = caps);
    }

    /// Begins a pass.
    pub(crate) fn begin(&mut self, now: Now) {
        self.now = now;
    }

    /// Has ports wait as the snapshot says, or not at all.
    #[cold]
    pub(crate) fn adopt(&mut self, snapshot: &Snapshot, io: &mut Io, counters: &mut Counters) {
        let Self { slots, ways, origins, wheel, shaped, budget, now, mesh, waiting, .. } = self;
        wheel.reserve(slots.len());
        budget.ports = snapshot.ports().map(|(_, p)| p.queue_count()).sum();
        let mut desk = Desk { now: *now, budget, io, counters };
        for (port, (way, origin)) in ways.iter_mut().zip(origins).enumerate() {
            let (Some(way), Some(origin)) = (way, origin) else { continue };
            let shaping = snapshot.port(PortIdx(port as u16)).and_then(|p| p.shaping.as_ref());
            way.route = match (origin.route, shaping) {
                (Route::Slot(at), Some(_)) if origin.home as usize == mesh.me() => Route::ShapedHere(at),
                (Route::Engine, _) | (_, None) => origin.route,
                _ => Route::ShapedThere(origin.home),
            };
            let Route::Slot(at) = origin.route else { continue };
            let Some(Some(slot)) = slots.get_mut(at as usize) else { continue };
            let was = slot.is_shaped();
            match (way.route, shaping) {
                (Route::ShapedHere(_), Some(shaping)) => slot.shape(shaping, &mut desk),
                _ => slot.unshape(&mut desk),
            }
            *shaped = *shaped + usize::from(slot.is_shaped()) - usize::from(was);
            // Under the new settings something may leave that waited, or all of it must.
            if (was || slot.is_shaped()) && !std::mem::replace(&mut slot.waits, true) {
                waiting.push(at);
            }
            if was && !slot.is_shaped() {
                wheel.unset(at);
            }
        }
    }

    /// Drops what waits for a port that is about to go.
    pub(crate) fn clear(&mut self, port: PortIdx, io: &mut Io, counters: &mut Counters) {
        let mut desk = Desk { now: self.now, budget: &mut self.budget, io, counters };
        for (at, slot) in (0..).zip(&mut self.slots) {
            if let Some(slot) = slot.as_mut().filter(|s| s.port == port && s.is_shaped()) {
                slot.clear(&mut desk);
                self.shaped -= 1;
                self.wheel.unset(at);
            }
        }
    }

    /// When something that waits may leave; `None`: nothing waits.
    pub(crate) fn due(&self) -> Option<Now> {
        if self.shaped == 0 { None } else { self.wheel.next() }
    }

    /// Forgets the port; its slots here are given back, with what was pending still in them.
    pub(crate) fn remove(&mut self, port: PortIdx) -> impl Iterator<Item = (u16, Slot)> {
        if let Some(way) = self.ways.get_mut(port.0 as usize) {
            *way = None;
            self.origins[port.0 as usize] = None;
        }
        let slots = self.slots.iter_mut().enumerate();
        slots
            .filter(move |(_, s)| s.as_ref().is_some_and(|s| s.port == port))
            .filter_map(|(i, s)| Some((i as u16, s.take()?)))
    }

    /// Has the device of a slot flushed at the end of the pass.
    #[inline]
    pub(crate) fn touch(&mut self, at: u16) {
        if let Some(Some(slot)) = self.slots.get_mut(at as usize)
            && !std::mem::replace(&mut slot.touched, true)
        {
            self.touched.push(at);
        }
    }

    /// `None` for a port that this worker does not know.
    #[inline]
    pub(crate) fn way(&self, port: PortIdx) -> Option<Way> {
        *self.ways.get(port.0 as usize)?
    }

    /// Puts a frame on its way out of `port`.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        port: PortIdx,
        way: Way,
        frame: Frame,
        io: &mut Io,
        counters: &mut Counters,
    ) -> Pushed {
        let Route::Slot(at) = way.route else { return self.push_further(port, way, frame, io, counters) };
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else {
            discard(frame, port, DropReason::PortGone, io, counters);
            return Pushed::Taken;
        };
        if !std::mem::replace(&mut slot.waits, true) {
            self.waiting.push(at);
        }
        slot.push(frame, io, counters);
        Pushed::Taken
    }

    /// The same for a port that no slot is for.
    #[inline(never)]
    fn push_further(
        &mut self,
        port: PortIdx,
        way: Way,
        frame: Frame,
        io: &mut Io,
        counters: &mut Counters,
    ) -> Pushed {
        let Route::Worker(w) = way.route else { return Pushed::Aside(frame) };
        self.hand_over(w as usize, Parcel { frame, port, direction: Tx }, io, counters);
        Pushed::Taken
    }

    /// Has another worker do the rest.
    pub(crate) fn hand_over(&mut self, worker: usize, parcel: Parcel, io: &mut Io, counters: &mut Counters) {
        if let Err(parcel) = self.mesh.push(worker, parcel) {
            lose(parcel, io, counters);
        }
    }

    pub(crate) fn is_shaped(&self, port: PortIdx) -> bool {
        matches!(self.way(port), Some(Way { route: Route::ShapedHere(_) | Route::ShapedThere(_), .. }))
    }

    /// Has a frame wait at a shaped port, in the class that it says.
    pub(crate) fn enqueue(&mut self, port: PortIdx, frame: Frame, io: &mut Io, counters: &mut Counters) {
        match self.way(port).map(|way| way.route) {
            Some(Route::ShapedHere(at)) => {
                let Some(Some(slot)) = self.slots.get_mut(at as usize) else {
                    return discard(frame, port, DropReason::PortGone, io, counters);
                };
                if !std::mem::replace(&mut slot.waits, true) {
                    self.waiting.push(at);
                }
                slot.enqueue(frame, &mut Desk { now: self.now, budget: &mut self.budget, io, counters });
            }
            Some(Route::ShapedThere(home)) => {
                self.hand_over(home as usize, Parcel { frame, port, direction: Tx }, io, counters);
            }
            _ => discard(frame, port, DropReason::PortGone, io, counters),
        }
    }

    /// Takes over frames from other workers, at most so many; returns how many.
    pub(crate) fn take_over(
        &mut self,
        most: usize,
        inbox: &mut Inbox,
        io: &mut Io,
        counters: &mut Counters,
    ) -> usize {
        let mut arrived = std::mem::take(&mut self.arrived);
        self.mesh.receive(most, &mut arrived);
        let taken = arrived.len();
        for Parcel { frame, port, direction } in arrived.drain(..) {
            if direction == Rx {
                inbox.hold(port, frame, &mut self.desk(io, counters));
                continue;
            }
            let Some(way) = self.way(port) else {
                discard(frame, port, DropReason::PortGone, io, counters);
                continue;
            };
            // It has its class from who handed it over. Nobody hands over frames for a patch port; one whose slot
            // became a patch port's is late.
            if let Pushed::Aside(frame) = self.push(port, way, frame, io, counters) {
                self.enqueue(port, frame, io, counters);
            }
        }
        self.arrived = arrived;
        taken
    }

    /// Sends everything, and lets the devices know.
    pub(crate) fn flush(&mut self, io: &mut Io, counters: &mut Counters) {
        if self.shaped > 0 {
            self.wake();
        }
        while let Some(at) = self.waiting.pop() {
            if let Some(slot) = &mut self.slots[at as usize] {
                slot.waits = false;
                if slot.is_shaped() {
                    let mut desk = Desk { now: self.now, budget: &mut self.budget, io, counters };
                    match slot.serve(&mut desk) {
                        Some(next) => self.wheel.set(at, next),
                        None => self.wheel.unset(at),
                    }
                } else {
                    slot.transmit(io, counters);
                }
                self.touch(at);
            }
        }
        // Only these: a worker may have a thousand ports, and one that is busy.
        while let Some(at) = self.touched.pop() {
            if let Some(slot) = &mut self.slots[at as usize] {
                slot.touched = false;
                slot.flush(io, counters);
                if let Some(why) = slot.news.take() {
                    let _ = self.events.send(Event::Broken(slot.port, why));
                }
            }
        }
        self.mesh.flush(|parcel| lose(parcel, io, counters));
    }

    /// What queueing works with, in this pass.
    pub(crate) fn desk<'a>(&'a mut self, io: &'a mut Io, counters: &'a mut Counters) -> Desk<'a> {
        Desk { now: self.now, budget: &mut self.budget, io, counters }
    }

    /// The worker that has what waits of a port; `None`: no queue, or not known here.
    pub(crate) fn home(&self, port: PortIdx) -> Option<usize> {
        let origin = self.origins.get(port.0 as usize).copied().flatten()?;
        (!matches!(origin.route, Route::Engine)).then_some(origin.home as usize)
    }

    /// Has those slots served whose moment has come.
    fn wake(&mut self) {
        while let Some(at) = self.wheel.pop(self.now) {
            if let Some(Some(slot)) = self.slots.get_mut(at as usize)
                && !std::mem::replace(&mut slot.waits, true)
            {
                self.waiting.push(at);
            }
        }
    }
}

/// Counts a frame that another worker had no room for, and frees it.
#[cold]
fn lose(parcel: Parcel, io: &mut Io, counters: &mut Counters) {
    bury(parcel.frame, (parcel.port, parcel.direction), DropReason::MeshFull, io, counters);
}
