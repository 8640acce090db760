//! Which queues are worth asking: those that were busy a moment ago, and those whose descriptor says so.
//!
//! Asking a queue costs a system call for most kinds of port. A queue that had nothing for
//! [`PATIENCE`] leaves the active list and is watched through epoll; the first frame brings it back. With
//! no active queue the worker sleeps in epoll, so an idle switch costs nothing and a busy one never asks
//! more queues than are busy. Queues without a descriptor stay active for ever.

use rustix::event::epoll;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use vsw_types::Now;

/// Nanoseconds for which a queue is asked again although it had nothing. About what going to sleep and
/// being woken cost together.
const PATIENCE: u64 = 10_000;

/// Descriptors learned of in one look.
const EVENTS: usize = 64;

/// The doorbell's token; queues' tokens are their slots.
const BELL: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Readiness {
    epoll: OwnedFd,
    active: Vec<u16>,
    /// By slot.
    state: Vec<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    watched: bool,
    active: bool,
    /// When it last had something: nanoseconds.
    busy: u64,
}

impl Readiness {
    pub(crate) fn new(bell: BorrowedFd<'_>) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        Ok(Self { epoll, active: Vec::new(), state: Vec::new() })
    }

    /// From now on the queue in `slot` is asked or watched.
    pub(crate) fn add(&mut self, slot: u16, fd: Option<BorrowedFd<'_>>) -> std::io::Result<()> {
        let n = (slot as usize + 1).max(self.state.len());
        self.state.resize(n, State::default());
        self.active.reserve(n);
        if let Some(fd) = fd {
            epoll::add(&self.epoll, fd, epoll::EventData::new_u64(slot.into()), epoll::EventFlags::IN)?;
        }
        self.state[slot as usize] = State { watched: fd.is_some(), active: false, busy: 0 };
        self.activate(slot);
        Ok(())
    }

    /// Neither asks nor watches it any more.
    pub(crate) fn remove(&mut self, slot: u16, fd: Option<BorrowedFd<'_>>) {
        if let Some(fd) = fd {
            // A descriptor whose device is gone may be unknown already.
            let _ = epoll::delete(&self.epoll, fd);
        }
        self.state[slot as usize] = State::default();
        self.active.retain(|s| *s != slot);
    }

    fn activate(&mut self, slot: u16) {
        if let Some(state) = self.state.get_mut(slot as usize)
            && !std::mem::replace(&mut state.active, true)
        {
            self.active.push(slot);
        }
    }

    /// The slot to ask `i`-th in this pass.
    #[inline]
    pub(crate) fn active(&self, i: usize) -> Option<u16> {
        self.active.get(i).copied()
    }

    /// Notes whether the `i`-th active queue had something. One that had nothing for long leaves the list, if
    /// `arm` says that it will tell when it has. `false`: it left, and another one may be at its place.
    #[inline]
    pub(crate) fn note(&mut self, i: usize, had: bool, now: Now, arm: impl FnOnce() -> bool) -> bool {
        let state = &mut self.state[self.active[i] as usize];
        if had || !state.watched {
            state.busy = now.0;
            return true;
        }
        // One that just became active gets its time too.
        if state.busy == 0 {
            state.busy = now.0;
        }
        if now.0.saturating_sub(state.busy) < PATIENCE || !arm() {
            return true;
        }
        state.active = false;
        state.busy = 0;
        self.active.swap_remove(i);
        false
    }

    /// Nothing has to be asked.
    pub(crate) fn all_quiet(&self) -> bool {
        self.active.is_empty()
    }

    /// Looks at the watched descriptors; waits for one, for so many nanoseconds or (`None`) for ever. Returns
    /// whether the doorbell rang.
    pub(crate) fn wait(&mut self, nanos: Option<u64>) -> bool {
        let most = nanos.map(|n| rustix::event::Timespec {
            tv_sec: (n / 1_000_000_000) as i64,
            tv_nsec: (n % 1_000_000_000) as i64,
        });
        let mut events = [const { MaybeUninit::uninit() }; EVENTS];
        // An interrupted wait is a wait that ended.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events, most.as_ref()) else { return false };
        let mut rang = false;
        for event in events {
            let token = event.data.u64();
            if token == BELL {
                rang = true;
            } else {
                self.activate(token as u16);
            }
        }
        rang
    }
}
