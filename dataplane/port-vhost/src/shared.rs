//! What a port's session (the protocol) and its queues (the packet path) share: the vrings.
//!
//! Each vring has a lock. A worker only ever tries it, once a batch, and goes on without the ring when it does
//! not get it; the session waits for it, which takes a batch's time at most. While a session waits the ring is
//! `wanted`, and workers keep away, so that a busy ring cannot keep the session waiting.
//!
//! Vring 2n is what the guest receives by (we send), 2n + 1 what it sends by; virtio 1.2, 5.1.2.
//!
//! Thread-safety: all of it is shared. Sessions call from one thread; each queue is a worker's.

use crate::door::{Door, eventfd};
use crate::fault::Fault;
use crate::features::Terms;
use crate::inflight::{InFlight, Note};
use crate::loans::Grave;
use crate::log::DirtyLog;
use crate::memory::Memory;
use crate::run::Run;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Where a ring is, and where it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingSetup {
    /// Descriptors.
    pub(crate) size: u32,
    /// Front end's addresses: descriptor table, available ring (driver area), used ring (device area).
    pub(crate) desc: u64,
    pub(crate) avail: u64,
    pub(crate) used: u64,
    /// The guest's address of the used ring, for the dirty-page log, if that is asked for.
    pub(crate) log: Option<u64>,
    /// As SET_VRING_BASE says it: split: next available index. Packed: next available index (15 bits), its
    /// wrap counter, then the same of used.
    pub(crate) base: u32,
}

/// One vring, as long as its lock is held.
#[derive(Debug, Default)]
pub(crate) struct Vring {
    enabled: bool,
    run: Option<Run>,
    pub(crate) call: Option<OwnedFd>,
    err: Option<OwnedFd>,
    fault: Option<Fault>,
}

impl Vring {
    /// The ring, if it is to be served.
    #[inline]
    pub(crate) fn serving(&mut self) -> Option<&mut Run> {
        if self.enabled { self.run.as_mut() } else { None }
    }

    /// Shows what was used, and notifies the guest if it wants that.
    #[inline]
    pub(crate) fn publish(&mut self) {
        if let Some(run) = &mut self.run
            && run.ring.publish()
            && let Some(call) = &self.call
        {
            // A full counter notifies as well.
            let _ = rustix::io::write(call, &1u64.to_ne_bytes());
        }
    }
}

#[derive(Debug, Default)]
struct Seat {
    wanted: AtomicBool,
    /// Enabled and running, as far as is known without the lock.
    live: AtomicBool,
    vring: Mutex<Vring>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    seats: Box<[Seat]>,
    /// One for each pair: what a worker that left the queue alone waits for.
    doors: Box<[Door]>,
    features: AtomicU64,
    common: Mutex<Common>,
    /// An address that is to be made known, and whether there is one.
    announced: Mutex<Option<[u8; 6]>>,
    announces: AtomicBool,
}

/// What all rings share, of the session's.
#[derive(Debug, Default)]
struct Common {
    memory: Arc<Memory>,
    log: Option<Arc<DirtyLog>>,
    inflight: Option<Arc<InFlight>>,
    graves: Vec<Grave>,
}

impl Shared {
    /// For `pairs` queue pairs.
    ///
    /// # Errors
    /// When the kernel gives no descriptors.
    pub(crate) fn new(pairs: u16) -> std::io::Result<Arc<Self>> {
        let doors = (0..pairs).map(|_| Door::new()).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            seats: (0..2 * pairs).map(|_| Seat::default()).collect(),
            doors,
            features: AtomicU64::new(0),
            common: Mutex::default(),
            announced: Mutex::default(),
            announces: AtomicBool::new(false),
        }))
    }

    /// Vrings there are: two for each pair.
    pub(crate) fn rings(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn door(&self, pair: usize) -> &Door {
        &self.doors[pair]
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { features: self.features.load(Acquire) }
    }

    /// A worker's way to a ring: `None` when somebody else has it now.
    #[inline]
    pub(crate) fn attempt(&self, ring: usize) -> Option<MutexGuard<'_, Vring>> {
        let seat = &self.seats[ring];
        if seat.wanted.load(Relaxed) {
            return None;
        }
        match seat.vring.try_lock() {
            Ok(vring) => Some(vring),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The session's way: waits for workers to be through. A worker that found it taken went away as if nothing were there
    /// (and may sleep), so that it is told to look again, also when nothing was changed.
    fn with<R>(&self, ring: usize, f: impl FnOnce(&mut Vring) -> R) -> R {
        let seat = &self.seats[ring];
        seat.wanted.store(true, SeqCst);
        let mut vring = seat.vring.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut vring);
        seat.live.store(vring.enabled && vring.run.is_some(), Release);
        drop(vring);
        seat.wanted.store(false, SeqCst);
        self.doors[ring / 2].ring();
        result
    }

    fn common(&self) -> MutexGuard<'_, Common> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bury(&self, grave: impl IntoIterator<Item = Grave>) {
        let mut common = self.common();
        common.graves.retain(|g| !g.is_over());
        common.graves.extend(grave.into_iter().filter(|g| !g.is_over()));
    }

    fn check(&self, ring: usize) -> Result<(), Fault> {
        if ring < self.seats.len() { Ok(()) } else { Err(Fault::NoSuchRing(ring)) }
    }

    /// A ring that frames can be sent by: that of the pair, if the guest uses it, else another.
    #[inline]
    pub(crate) fn way_out(&self, pair: usize) -> Option<usize> {
        let live = |ring: usize| self.seats[ring].live.load(Relaxed);
        if live(2 * pair) {
            return Some(2 * pair);
        }
        (0..self.seats.len()).step_by(2).find(|ring| live(*ring))
    }

    /// What was negotiated, virtio and `VHOST_F_LOG_ALL`. Running rings know at once.
    pub(crate) fn set_features(&self, features: u64) {
        self.features.store(features, Release);
        self.renew();
    }

    fn renew(&self) {
        let (terms, log) = (self.terms(), self.common().log.clone());
        for ring in 0..self.seats.len() {
            self.with(ring, |vring| {
                if let Some(run) = &mut vring.run {
                    run.renew(terms, log.clone());
                }
            });
        }
    }

    /// Another table; running rings go on in it. Buffers lent from the old one stay mapped until they are back.
    ///
    /// # Errors
    /// When a running ring does not lie in it; that ring is stopped.
    pub(crate) fn set_memory(&self, memory: Arc<Memory>) -> Result<(), Fault> {
        self.common().memory = memory.clone();
        let mut result = Ok(());
        for ring in 0..self.seats.len() {
            let moved = self.with(ring, |vring| {
                let moved = vring.run.as_mut().map(|run| run.relocate(memory.clone()));
                if let Some(Err(fault)) = &moved {
                    let grave = self.end(ring, vring, Some(fault.clone()));
                    self.bury(grave);
                }
                moved
            });
            match moved {
                None => {}
                Some(Ok(grave)) => self.bury(grave),
                Some(Err(fault)) => result = Err(fault),
            }
        }
        result
    }

    /// The ring is served from now on (as soon as it is enabled). `kick`: the guest's notifications; none means
    /// that the ring is to be polled.
    ///
    /// # Errors
    /// When it does not lie in memory.
    pub(crate) fn start(&self, ring: usize, setup: RingSetup, kick: Option<OwnedFd>) -> Result<(), Fault> {
        self.check(ring)?;
        self.stop(ring);
        let given = {
            let common = self.common();
            let note = Note::new(common.inflight.as_ref(), ring, setup.size);
            (common.memory.clone(), common.log.clone(), note)
        };
        let receives = ring.is_multiple_of(2);
        let kick = kick.map(eventfd).transpose()?;
        let mut run = Run::new(setup, self.terms(), given, kick, receives)?;
        match &run.kick {
            // Buffers that the guest adds are looked for when there is something to put there.
            _ if receives => _ = run.ring.notify_me(false),
            Some(kick) => self.doors[ring / 2].watch(kick),
            None => {}
        }
        self.with(ring, |vring| {
            vring.fault = None;
            vring.run = Some(run);
        });
        Ok(())
    }

    /// The ring is not touched any more when this returns. What to tell the front end: see [`RingSetup::base`].
    /// `None` if it did not run.
    pub(crate) fn stop(&self, ring: usize) -> Option<u32> {
        self.check(ring).ok()?;
        let (base, graves) = self.with(ring, |vring| {
            let grave = vring.run.as_mut().and_then(|run| run.loans.settle(&mut run.ring));
            vring.publish();
            let base = vring.run.as_ref().map(|run| run.ring.base());
            (base, [grave, self.end(ring, vring, None)])
        });
        self.bury(graves.into_iter().flatten());
        base
    }

    pub(crate) fn enable(&self, ring: usize, on: bool) {
        if self.check(ring).is_ok() {
            self.with(ring, |vring| vring.enabled = on);
        }
    }

    /// How the guest is notified.
    ///
    /// # Errors
    /// When there is no such ring, or it is no eventfd.
    pub(crate) fn set_call(&self, ring: usize, call: Option<OwnedFd>) -> Result<(), Fault> {
        self.check(ring)?;
        let call = call.map(eventfd).transpose()?;
        self.with(ring, |vring| {
            vring.call = call;
            // What was used before the guest could be told.
            if let Some(call) = &vring.call {
                let _ = rustix::io::write(call, &1u64.to_ne_bytes());
            }
        });
        Ok(())
    }

    /// How the front end is told that the ring failed.
    ///
    /// # Errors
    /// As [`Shared::set_call`].
    pub(crate) fn set_err(&self, ring: usize, err: Option<OwnedFd>) -> Result<(), Fault> {
        self.check(ring)?;
        let err = err.map(eventfd).transpose()?;
        self.with(ring, |vring| vring.err = err);
        Ok(())
    }

    /// Where pages that we write are noted (`VHOST_USER_SET_LOG_BASE`): `len` bytes at `offset` of the file.
    ///
    /// # Errors
    /// When it cannot be mapped.
    pub(crate) fn set_log(&self, file: &OwnedFd, offset: u64, len: u64) -> Result<(), Fault> {
        let log = DirtyLog::new(file, offset, len)?;
        self.common().log = Some(Arc::new(log));
        self.renew();
        Ok(())
    }

    /// Where rings that are started from now on note how far they are, and go on by what is noted.
    pub(crate) fn set_inflight(&self, region: InFlight) {
        self.common().inflight = Some(Arc::new(region));
    }

    /// Has the switch learn where the guest is: a frame with this source comes in (RARP, RFC 903).
    pub(crate) fn announce(&self, mac: [u8; 6]) {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(mac);
        self.announces.store(true, Release);
        self.doors[0].ring();
    }

    /// The address to be made known, once.
    #[inline]
    pub(crate) fn announced(&self) -> Option<[u8; 6]> {
        if !self.announces.load(Relaxed) {
            return None;
        }
        let mut announced = self.announced.try_lock().ok()?;
        self.announces.store(false, Relaxed);
        announced.take()
    }

    /// All rings stop, all that the front end gave is forgotten.
    pub(crate) fn disconnect(&self) {
        for ring in 0..self.seats.len() {
            self.stop(ring);
            self.with(ring, |vring| *vring = Vring::default());
        }
        let mut common = self.common();
        (common.memory, common.log, common.inflight) = Default::default();
        self.features.store(0, Release);
    }

    /// A worker found out that a ring cannot be served.
    #[cold]
    pub(crate) fn fail(&self, ring: usize, vring: &mut Vring, fault: Fault) {
        self.seats[ring].live.store(false, Release);
        if let Some(err) = &vring.err {
            let _ = rustix::io::write(err, &1u64.to_ne_bytes());
        }
        let grave = self.end(ring, vring, Some(fault));
        self.bury(grave);
        self.doors[ring / 2].ring();
    }

    /// The ring is not served any more. What frames may still read is returned.
    fn end(&self, ring: usize, vring: &mut Vring, fault: Option<Fault>) -> Option<Grave> {
        vring.fault = fault.or(vring.fault.take());
        let run = vring.run.take()?;
        if let Some(kick) = &run.kick {
            self.doors[ring / 2].forget(kick);
        }
        Some(run.loans.bury())
    }

    /// The first ring that failed since it was started: (ring, why).
    pub(crate) fn fault(&self) -> Option<(usize, Fault)> {
        (0..self.seats.len()).find_map(|ring| Some((ring, self.with(ring, |vring| vring.fault.clone())?)))
    }

    /// Whether the guest can receive and send: some pair is started and enabled.
    pub(crate) fn is_running(&self) -> bool {
        self.seats.chunks(2).any(|pair| pair.iter().all(|seat| seat.live.load(Acquire)))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Frames that outlived the port read memory that must stay then.
        self.bury(None);
        let graves = std::mem::take(&mut self.common().graves);
        graves.into_iter().for_each(std::mem::forget);
    }
}
