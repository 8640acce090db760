//! What the kernel tells of the frames that a socket lost: for the worker, which counts them, and for
//! housekeeping, which sees from it that a ring is stuck.
//!
//! A frame whose segmentation the virtio-net header has no word for (UFO from a guest, SCTP from a container)
//! is lost: `tpacket_rcv` takes the next slot for it, cannot describe the frame, counts it as dropped, and
//! forgets to give the slot back (its bit in `rx_owner_map` stays set; seen in Linux 6.18, there since 5.6).
//! That slot is never filled, and none after it. Nothing wakes the worker, and only a new socket helps. Such
//! a port therefore goes on without a ring: there the kernel loses that frame alone.
//!
//! Both threads may ask at any time: the kernel's counts are zero after each look, so they are added up here.

use crate::socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(Debug)]
pub(crate) struct Drops {
    pub(crate) fd: OwnedFd,
    /// Frames that were lost and not counted yet.
    uncounted: AtomicU32,
    /// Frames that were lost, and that were not, since housekeeping last asked.
    lost: AtomicU32,
    kept: AtomicU32,
}

impl Drops {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, uncounted: AtomicU32::new(0), lost: AtomicU32::new(0), kept: AtomicU32::new(0) }
    }

    /// Asks the kernel.
    pub(crate) fn look(&self) {
        let (kept, lost) = socket::statistics(&self.fd);
        self.kept.fetch_add(kept, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
        self.uncounted.fetch_add(lost, Relaxed);
    }

    /// Frames that were lost up to the last look, each told once.
    #[inline]
    pub(crate) fn take(&self) -> u32 {
        if self.uncounted.load(Relaxed) == 0 { 0 } else { self.uncounted.swap(0, Relaxed) }
    }

    /// Frames that found no slot although the ring is empty, since last asked; `None` if it works. To be
    /// asked after enough time for a worker to read some: then not one was kept.
    pub(crate) fn stuck(&self) -> Option<u32> {
        self.look();
        let (kept, lost) = (self.kept.swap(0, Relaxed), self.lost.swap(0, Relaxed));
        (lost > 0 && kept == 0 && !self.readable()).then_some(lost)
    }

    fn readable(&self) -> bool {
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0)
    }
}
