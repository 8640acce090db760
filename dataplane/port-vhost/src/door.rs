//! What a worker that left a queue alone waits for: the guest's notification, or news from the session.
//!
//! The guest's descriptor comes and goes with its connection; the worker's must not. So it gets an epoll
//! descriptor, in which the others are: readable when one of them is.
//!
//! Thread-safety: shared by the session, which puts descriptors in, and the worker, which waits and answers.

use crate::fault::Fault;
use rustix::event::{EventfdFlags, epoll};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// See the module.
#[derive(Debug)]
pub(crate) struct Door {
    epoll: OwnedFd,
    bell: OwnedFd,
}

impl Door {
    pub(crate) fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok(Self { epoll, bell })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Has the worker look.
    pub(crate) fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// The guest's notifications. It leaves by itself when it is closed, here and at the guest's. Edge: what is
    /// not read is no news.
    pub(crate) fn watch(&self, kick: &OwnedFd) {
        let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let _ = epoll::add(&self.epoll, kick, epoll::EventData::new_u64(1), events);
    }

    /// Stops watching, before the descriptor is closed here: the guest may keep it open.
    pub(crate) fn forget(&self, kick: &OwnedFd) {
        let _ = epoll::delete(&self.epoll, kick);
    }

    /// Silence, until something new comes.
    pub(crate) fn answer(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
        let mut events = [const { MaybeUninit::uninit() }; 4];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = epoll::wait(&self.epoll, &mut events, Some(&now));
    }
}

/// The descriptor, if it is an eventfd. Workers write to what a stranger gave: it must not make them wait, as a
/// full pipe or a file on a dead server would.
///
/// # Errors
/// When it is something else.
pub(crate) fn eventfd(fd: OwnedFd) -> Result<OwnedFd, Fault> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new());
    if !link.is_ok_and(|l| l.as_bytes() == b"anon_inode:[eventfd]") {
        return Err(Fault::NotEventfd);
    }
    let flags = rustix::fs::fcntl_getfl(&fd).map_err(|_| Fault::NotEventfd)?;
    // Also for whoever gave it: front ends have it so anyway.
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK).map_err(|_| Fault::NotEventfd)?;
    Ok(fd)
}
