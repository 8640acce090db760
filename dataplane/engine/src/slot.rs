//! A queue that this worker owns, and what is about to leave by it.
//!
//! What the egress device cannot do is done to a frame here, as late as possible and once. At a shaped port
//! frames come out of its scheduler, as many as may leave now; what the device has no room for stays, and
//! goes before all others.

use crate::counters::{Counters, Field};
use crate::offload;
use crate::shaper::{Desk, Shaper};
use std::sync::Arc;
use vsw_mem::{Batch, Frame};
use vsw_port::{Io, PortCaps, PortError, PortQueue};
use vsw_switch::qos::Shaping;
use vsw_types::{Direction, Direction::Rx, Direction::Tx, DropReason, Now, PortIdx};

/// Nanoseconds after which a device that was full is tried again.
const RETRY: u64 = 50_000;

/// One queue.
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
    pub(crate) waits: bool,
    /// Is among those to be flushed.
    pub(crate) touched: bool,
    /// Stopped working; waits for housekeeping to take it away.
    pub(crate) broken: bool,
    /// Why, until housekeeping was told.
    pub(crate) news: Option<String>,
    /// What waits, if the port is shaped and this is its home.
    shaper: Option<Box<Shaper>>,
}

impl Slot {
    pub(crate) fn new(port: PortIdx, queue: Box<dyn PortQueue>, caps: PortCaps) -> Self {
        Self {
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
            shaper: None,
        }
    }

    /// Puts a frame behind those that are about to leave.
    #[inline(always)]
    pub(crate) fn push(&mut self, frame: Frame, io: &mut Io, counters: &mut Counters) {
        if self.pending.is_full() {
            self.transmit(io, counters);
        }
        self.add(frame);
    }

    #[inline(always)]
    fn add(&mut self, frame: Frame) {
        self.bytes += frame.len() as u64;
        self.plain &= frame.is_plain();
        self.pending.push(frame);
    }

    /// Puts a frame into the queues of the port.
    pub(crate) fn enqueue(&mut self, frame: Frame, desk: &mut Desk<'_>) {
        match &mut self.shaper {
            Some(shaper) => shaper.push(frame, self.caps, desk),
            None => self.push(frame, desk.io, desk.counters),
        }
    }

    /// From now on what leaves waits as this says; what waits already goes on by it.
    pub(crate) fn shape(&mut self, shaping: &Arc<Shaping>, desk: &mut Desk<'_>) {
        match &mut self.shaper {
            Some(shaper) => shaper.change(shaping.clone(), desk),
            None => self.shaper = Some(Box::new(Shaper::new(self.port, Tx, shaping.clone(), desk.now))),
        }
    }

    /// Nothing waits any more: what did leaves now, as far as the device takes it.
    pub(crate) fn unshape(&mut self, desk: &mut Desk<'_>) {
        let Some(mut shaper) = self.shaper.take() else { return };
        self.transmit(desk.io, desk.counters);
        shaper.drain(desk.budget, |frame| self.push(frame, desk.io, desk.counters));
        desk.counters.set(self.port, Field::Queued, 0);
    }

    /// What waits dies with the port.
    pub(crate) fn clear(&mut self, desk: &mut Desk<'_>) {
        let Some(mut shaper) = self.shaper.take() else { return };
        let Desk { budget, io, counters, .. } = desk;
        shaper.drain(budget, |frame| discard(frame, self.port, DropReason::PortGone, io, counters));
        for frame in self.pending.drain(..) {
            discard(frame, self.port, DropReason::PortGone, io, counters);
        }
        self.bytes = 0;
        counters.set(self.port, Field::Queued, 0);
    }

    pub(crate) fn is_shaped(&self) -> bool {
        self.shaper.is_some()
    }

    /// Sends what may leave now. Returns when to do it again, if anything waits.
    pub(crate) fn serve(&mut self, desk: &mut Desk<'_>) -> Option<Now> {
        let next = self.serve_queues(desk);
        let Some(shaper) = &self.shaper else { return None };
        desk.counters.set(self.port, Field::Queued, shaper.len() + self.pending.len() as u64);
        shaper.publish(next, desk.now)
    }

    fn serve_queues(&mut self, desk: &mut Desk<'_>) -> Option<Now> {
        loop {
            self.transmit(desk.io, desk.counters);
            if !self.pending.is_empty() {
                return Some(Now(desk.now.0 + RETRY));
            }
            while !self.pending.is_full() {
                match self.shaper.as_mut()?.pop(desk) {
                    Ok(frame) => self.add(frame),
                    Err(next) => {
                        self.transmit(desk.io, desk.counters);
                        let retry = (!self.pending.is_empty()).then_some(Now(desk.now.0 + RETRY));
                        return next.into_iter().chain(retry).min();
                    }
                }
            }
        }
    }

    /// Nothing is asked of the queue any more; housekeeping is told at the end of the pass.
    pub(crate) fn fail(&mut self, e: &PortError) {
        self.broken = true;
        self.news = Some(e.to_string());
    }

    /// Sends what is pending. What does not fit is dropped, the only overload drop; at a shaped port it stays.
    pub(crate) fn transmit(&mut self, io: &mut Io, counters: &mut Counters) {
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
                pieces += 1;
                if self.pending.is_full() {
                    self.send(io, counters);
                }
                // At a shaped port what found no room is still there.
                if self.pending.is_full() {
                    return discard(piece, port, DropReason::TxFull, io, counters);
                }
                self.add(piece);
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
        if self.shaper.is_some() && refused == DropReason::TxFull && !self.pending.is_empty() {
            frames -= self.pending.len() as u64;
            self.bytes = self.pending.iter().map(|f| f.len() as u64).sum();
            bytes -= self.bytes;
            self.plain = false; // ask again
        } else {
            self.refuse(refused, &mut frames, &mut bytes, io, counters);
        }
        frames -= self.tally(io, counters);
        counters.add(self.port, Field::TxPackets, frames);
        counters.add(self.port, Field::TxBytes, bytes);
    }

    /// Drops what is pending, and takes it off what was sent.
    fn refuse(
        &mut self,
        refused: DropReason,
        frames: &mut u64,
        bytes: &mut u64,
        io: &mut Io,
        counters: &mut Counters,
    ) {
        for frame in self.pending.drain(..) {
            *frames -= 1;
            *bytes -= frame.len() as u64;
            discard(frame, self.port, refused, io, counters);
        }
    }

    pub(crate) fn flush(&mut self, io: &mut Io, counters: &mut Counters) {
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
    bury(frame, (port, Tx), reason, io, counters);
}

/// Counts a frame that dies on its way in or out by a port, and frees it.
/// A part of the cold functions that call it: as a call it costs those frames that live 1 ns of 17.
#[inline(always)]
pub(crate) fn bury(
    frame: Frame,
    (port, direction): (PortIdx, Direction),
    reason: DropReason,
    io: &mut Io,
    counters: &mut Counters,
) {
    io.frames.recycle(frame);
    counters.drops(port, direction, reason, 1);
}
