//! One worker's thread: pass after pass, and sleep when there is nothing to do.
//!
//! The doorbell is how others wake a sleeping worker: an eventfd, rung only when the flag says that the
//! worker sleeps. Worker: set the flag, look once more, sleep. Others: put something there, look at the
//! flag. A sequentially consistent fence between the two on either side makes it impossible that both
//! miss each other (Dekker's pattern).

use crate::{Polling, Worker};
use rustix::event::{EventfdFlags, eventfd};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Instant;
use vsw_types::Now;

/// Wakes one worker.
#[derive(Debug)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
    fd: OwnedFd,
}

impl Doorbell {
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { asleep: AtomicBool::new(false), fd })
    }

    pub(crate) fn ring(&self) {
        // A full counter rings as well.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    pub(crate) fn ring_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Stops the ringing.
    pub(crate) fn answer(&self) {
        let _ = rustix::io::read(&self.fd, &mut [0u8; 8]);
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Declares the worker asleep as long as the guard lives. Look for work once more after this.
    pub(crate) fn doze(&self) -> Dozing<'_> {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Dozing(self)
    }
}

pub(crate) struct Dozing<'a>(&'a Doorbell);

impl Drop for Dozing<'_> {
    fn drop(&mut self) {
        self.0.asleep.store(false, Ordering::Relaxed);
    }
}

/// Passes between two looks at the descriptors of queues that were idle, while others are busy.
const GLANCE: u32 = 16;

/// Runs until the worker is told to stop.
pub(crate) fn run(mut worker: Worker, start: Instant, polling: Polling) {
    // Wake when asked to, and not up to 50 us later: queues of shaped ports wait for their moment.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let clock = || Now(start.elapsed().as_nanos() as u64);
    let mut since_glance = 0;
    loop {
        let moved = worker.pass(clock());
        if worker.serve_mailbox() {
            return;
        }
        since_glance += 1;
        if worker.may_sleep() && polling == Polling::Adaptive {
            worker.sleep(clock);
            since_glance = 0;
        } else if since_glance >= GLANCE || moved == 0 {
            worker.glance();
            since_glance = 0;
        }
    }
}
