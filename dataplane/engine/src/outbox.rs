//! Frames on their way out, gathered by port.
//!
//! A port is reached through a queue of this worker, through another worker, or not at all (a patch port,
//! which `exec` turns into another port's input). What the egress device cannot do is done to a frame
//! here, as late as possible and once.

use crate::command::{Event, Via};
use crate::counters::{Counters, Field};
use crate::mesh::{Mesh, Parcel};
use crate::offload;
use std::sync::mpsc;
use vsw_mem::{Batch, Frame};
use vsw_port::{Io, PortCaps, PortError, PortQueue};
use vsw_types::{Direction::Rx, Direction::Tx, DropReason, PortIdx};

/// Frames taken over from other workers in one pass, at most.
pub(crate) const ARRIVE: usize = 4 * vsw_mem::BATCH;

/// A queue that this worker owns, and what is about to leave by it.
pub(crate) struct Slot {
    pub(crate) port: PortIdx,
    pub(crate) queue: Box<dyn PortQueue>,
    pub(crate) caps: PortCaps,
    pending: Batch,
    /// Bytes of what is pending.
    bytes: u64,
    /// Whether all of it is plain: what any device sends as it is.
    plain: bool,
    /// Is among those with something pending.
    waits: bool,
    /// Is among those to be flushed.
    touched: bool,
    /// Stopped working; waits for housekeeping to take it away.
    pub(crate) broken: bool,
    /// Why, until housekeeping was told.
    news: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Route {
    Slot(u16),
    Worker(u16),
    Engine,
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
    /// The port is a patch port: the frame is to come in at its other end.
    Patch(Frame),
}

pub(crate) struct Outbox {
    pub(crate) slots: Vec<Option<Slot>>,
    /// By port.
    ways: Vec<Option<Way>>,
    pub(crate) mesh: Mesh,
    /// What other workers handed over, while it is put on its way.
    arrived: Vec<Parcel>,
    /// Slots with something pending.
    waiting: Vec<u16>,
    /// Slots that sent or received in this pass: to be flushed.
    touched: Vec<u16>,
    events: mpsc::Sender<Event>,
}

impl Outbox {
    pub(crate) fn new(mesh: Mesh, events: mpsc::Sender<Event>) -> Self {
        let arrived = Vec::with_capacity(ARRIVE);
        Self {
            slots: Vec::new(),
            ways: Vec::new(),
            mesh,
            arrived,
            waiting: Vec::new(),
            touched: Vec::new(),
            events,
        }
    }

    /// A port to send to. Returns the slot of its queue, if it has one here.
    pub(crate) fn add(&mut self, port: PortIdx, caps: PortCaps, mtu: u32, via: Via) -> Option<u16> {
        let mut slot = None;
        let route = match via {
            Via::Worker(w) => Route::Worker(w as u16),
            Via::Engine => Route::Engine,
            Via::Queue(queue) => {
                let new = Slot {
                    port,
                    queue,
                    caps,
                    pending: Batch::new(),
                    bytes: 0,
                    plain: true,
                    waits: false,
                    touched: false,
                    broken: false,
                    news: None,
                };
                let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
                if free == self.slots.len() {
                    self.slots.push(None);
                    self.waiting.reserve(self.slots.len());
                    self.touched.reserve(self.slots.len());
                }
                self.slots[free] = Some(new);
                self.touch(free as u16);
                slot = Some(free as u16);
                Route::Slot(free as u16)
            }
        };
        let at = port.0 as usize;
        if self.ways.len() <= at {
            self.ways.resize(at + 1, None);
        }
        // A worker that has several queues of one port sends by the first.
        if self.ways[at].is_none() {
            self.ways[at] = Some(Way { route, mtu });
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

    /// Forgets the port; its slots here are given back, with what was pending still in them.
    pub(crate) fn remove(&mut self, port: PortIdx) -> impl Iterator<Item = (u16, Slot)> {
        if let Some(way) = self.ways.get_mut(port.0 as usize) {
            *way = None;
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
        match way.route {
            Route::Slot(at) => {
                let Some(Some(slot)) = self.slots.get_mut(at as usize) else {
                    discard(frame, port, DropReason::PortGone, io, counters);
                    return Pushed::Taken;
                };
                if slot.pending.is_full() {
                    slot.transmit(io, counters);
                }
                if !std::mem::replace(&mut slot.waits, true) {
                    self.waiting.push(at);
                }
                slot.bytes += frame.len() as u64;
                slot.plain &= frame.is_plain();
                slot.pending.push(frame);
            }
            Route::Worker(w) => {
                if let Err(frame) = self.mesh.push(w as usize, port, frame) {
                    discard(frame, port, DropReason::MeshFull, io, counters);
                }
            }
            Route::Engine => return Pushed::Patch(frame),
        }
        Pushed::Taken
    }

    /// Takes over frames from other workers, at most so many; returns how many.
    pub(crate) fn take_over(&mut self, most: usize, io: &mut Io, counters: &mut Counters) -> usize {
        let mut arrived = std::mem::take(&mut self.arrived);
        self.mesh.receive(most, &mut arrived);
        let taken = arrived.len();
        for (port, frame) in arrived.drain(..) {
            let Some(way) = self.way(port) else {
                discard(frame, port, DropReason::PortGone, io, counters);
                continue;
            };
            // Nobody hands over frames for a patch port; one whose slot became a patch port's is late.
            if let Pushed::Patch(frame) = self.push(port, way, frame, io, counters) {
                discard(frame, port, DropReason::PortGone, io, counters);
            }
        }
        self.arrived = arrived;
        taken
    }

    /// Sends everything, and lets the devices know.
    pub(crate) fn flush(&mut self, io: &mut Io, counters: &mut Counters) {
        while let Some(at) = self.waiting.pop() {
            if let Some(slot) = &mut self.slots[at as usize] {
                slot.waits = false;
                slot.transmit(io, counters);
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
        self.mesh.flush(|port, frame| discard(frame, port, DropReason::MeshFull, io, counters));
    }
}

impl Slot {
    /// Nothing is asked of the queue any more; housekeeping is told at the end of the pass.
    pub(crate) fn fail(&mut self, e: &PortError) {
        self.broken = true;
        self.news = Some(e.to_string());
    }

    /// Sends what is pending. What does not fit is dropped: the only overload drop.
    fn transmit(&mut self, io: &mut Io, counters: &mut Counters) {
        let plain = std::mem::replace(&mut self.plain, true);
        if !plain && !self.pending.iter().all(|f| offload::can(self.caps, f)) {
            self.finish(io, counters);
        }
        self.send(io, counters);
    }

    /// Does what the device cannot, where some frame wants more than that. Sends all but the last of what
    /// comes of it.
    #[cold]
    fn finish(&mut self, io: &mut Io, counters: &mut Counters) {
        let (port, caps) = (self.port, self.caps);
        self.bytes = 0;
        for frame in std::mem::take(&mut self.pending) {
            let mut pieces = 0;
            let mut ready = |piece: Frame, io: &mut Io| {
                if self.pending.is_full() {
                    self.send(io, counters);
                }
                self.bytes += piece.len() as u64;
                self.pending.push(piece);
                pieces += 1;
            };
            if offload::can(caps, &frame) {
                ready(frame, io);
            } else if let Err(reason) = offload::finish(frame, caps, io, &mut ready) {
                counters.drops(port, Tx, reason, 1);
                pieces += 1;
            }
            counters.add(port, Field::Segmented, pieces - 1);
        }
    }

    fn send(&mut self, io: &mut Io, counters: &mut Counters) {
        let (mut frames, mut bytes) = (self.pending.len() as u64, std::mem::take(&mut self.bytes));
        if frames == 0 {
            return;
        }
        let mut refused = DropReason::PortGone;
        if !self.broken {
            refused = DropReason::TxFull;
            let mut result = self.queue.send(&mut self.pending, io);
            if result.is_ok() && !self.pending.is_empty() {
                // Full: take back what the device has finished with, and try once more.
                frames -= self.tally(io, counters);
                self.flush(io, counters);
                result = self.queue.send(&mut self.pending, io);
            }
            if let Err(e) = result {
                self.fail(&e);
                refused = DropReason::PortGone;
            }
        }
        for frame in self.pending.drain(..) {
            frames -= 1;
            bytes -= frame.len() as u64;
            discard(frame, self.port, refused, io, counters);
        }
        frames -= self.tally(io, counters);
        counters.add(self.port, Field::TxPackets, frames);
        counters.add(self.port, Field::TxBytes, bytes);
    }

    fn flush(&mut self, io: &mut Io, counters: &mut Counters) {
        if !self.broken {
            self.queue.flush(io);
            // What a device finds out late (a kernel queue that overflowed) was not sent or received.
            if let Some(tally) = io.take_tally() {
                let lost = counters.tally(self.port, Rx, &tally);
                counters.add(self.port, Field::RxPackets, lost);
            }
        }
    }

    /// Counts what the device refused for the frames' own sake, and tells how many.
    fn tally(&self, io: &mut Io, counters: &mut Counters) -> u64 {
        io.take_tally().map_or(0, |tally| counters.tally(self.port, Tx, &tally))
    }
}

/// Counts a frame that does not leave by a port, and frees it.
#[cold]
pub(crate) fn discard(frame: Frame, port: PortIdx, reason: DropReason, io: &mut Io, counters: &mut Counters) {
    io.frames.recycle(frame);
    counters.drops(port, Tx, reason, 1);
}
