//! One queue pair of a port, as its worker sees it.
//!
//! Vrings are tried, never waited for ([`crate::shared`]). What a guest sends with is read by the pair's own
//! worker; what is sent to a guest that uses fewer pairs than the port has goes by one that it uses.
//!
//! Notifications: as long as the worker asks the queue, the guest is told that it need not notify. Before the
//! worker leaves it alone, the guest is asked to, and the ring looked at once more.
//!
//! Owned by one worker.

use crate::shared::Shared;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use vsw_mem::Batch;
use vsw_port::{Io, PortError, PortQueue};
use vsw_types::DropReason;

/// See the module.
#[derive(Debug)]
pub(crate) struct VhostQueue {
    shared: Arc<Shared>,
    pair: usize,
    /// The ring that frames were sent by since the last flush.
    sent_by: Option<usize>,
}

impl VhostQueue {
    pub(crate) fn new(shared: Arc<Shared>, pair: u16) -> Self {
        Self { shared, pair: pair.into(), sent_by: None }
    }

    fn sends_by(&self) -> usize {
        2 * self.pair + 1
    }

    /// Frames that the session wants to have come from the guest.
    #[cold]
    fn announce(&self, mac: [u8; 6], into: &mut Batch, io: &mut Io) {
        if let Some(mut frame) = io.frames.take()
            && frame.fill(&rarp(mac)).is_ok()
            && let Err(full) = into.try_push(frame)
        {
            io.frames.recycle(full.element());
        }
    }
}

impl PortQueue for VhostQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        if self.pair == 0
            && let Some(mac) = self.shared.announced()
        {
            self.announce(mac, into, io);
        }
        let ring = self.sends_by();
        let Some(mut vring) = self.shared.attempt(ring) else { return Ok(()) };
        let Some(run) = vring.serving() else { return Ok(()) };
        if run.armed {
            run.armed = false;
            run.ring.notify_me(false);
        }
        let before = into.len();
        let came_back = run.loans.reap(&mut run.ring);
        match run.receive(into, io) {
            Err(fault) => self.shared.fail(ring, &mut vring, fault),
            // Nothing else happens in this pass, so nobody will flush.
            Ok(()) if came_back && into.len() == before => vring.publish(),
            Ok(()) => {}
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let Some(ring) = self.shared.way_out(self.pair) else {
            from.drain(..).for_each(|frame| io.discard(frame, DropReason::NoGuest));
            return Ok(());
        };
        let Some(mut vring) = self.shared.attempt(ring) else { return Ok(()) };
        let Some(run) = vring.serving() else { return Ok(()) };
        self.sent_by = Some(ring);
        if let Err(fault) = run.transmit(from, io) {
            self.shared.fail(ring, &mut vring, fault);
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Io) {
        if let Some(ring) = self.sent_by.take()
            && let Some(mut vring) = self.shared.attempt(ring)
        {
            vring.publish();
        }
        if let Some(mut vring) = self.shared.attempt(self.sends_by())
            && let Some(run) = vring.serving()
        {
            run.loans.reap(&mut run.ring);
            vring.publish();
        }
    }

    fn arm(&mut self) -> bool {
        // What comes after this is seen below, or rings anew.
        self.shared.door(self.pair).answer();
        let Some(mut vring) = self.shared.attempt(self.sends_by()) else { return false };
        let Some(run) = vring.serving() else { return true };
        if !run.loans.is_empty() || run.kick.is_none() {
            return false;
        }
        run.armed = true;
        !run.ring.notify_me(true)
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.shared.door(self.pair).fd())
    }
}

/// "Here I am" (RFC 903; what QEMU sends after a migration, `qemu_announce_self`).
fn rarp(mac: [u8; 6]) -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&[0x80, 0x35]);
    // Ethernet, IPv4, request reverse.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 3]);
    frame[22..28].copy_from_slice(&mac);
    frame[32..38].copy_from_slice(&mac);
    frame
}
