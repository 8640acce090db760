//! One worker: its queues, its frames, its counts. Nothing here is locked; what is shared is named in
//! [`WorkerParts`].

use crate::command::{Attach, Command, Event};
use crate::counters::{CounterBank, Counters, Field};
use crate::exec::{Exec, key_of};
use crate::inbox::Inbox;
use crate::mesh::Mesh;
use crate::outbox::{ARRIVE, Outbox};
use crate::readiness::Readiness;
use crate::slot::Slot;
use crate::thread::Doorbell;
use arc_swap::{ArcSwap, Cache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use vsw_mem::{Batch, Frame, FramePool};
use vsw_port::{Io, PortQueue};
use vsw_switch::{Effects, Ingress, Snapshot, decide, prefetch, prefetch_pays};
use vsw_types::{Direction::Rx, DropReason, Now, PortIdx};

/// A snapshot, and its number among all that were ever published.
#[derive(Debug, Default)]
pub struct Published {
    pub epoch: u64,
    pub snapshot: Snapshot,
}

/// What a worker shares with others.
#[derive(Debug)]
pub struct WorkerParts {
    /// Read: the snapshot in force.
    pub config: Arc<ArcSwap<Published>>,
    /// Somebody wants to know when stations come or move; taken back by the first who tells.
    pub watched: Arc<AtomicBool>,
    /// Written here, read elsewhere.
    pub bank: Arc<CounterBank>,
    pub pool: &'static FramePool,
    pub(crate) bell: Arc<Doorbell>,
    /// The newest epoch that this worker works under.
    pub(crate) seen: Arc<AtomicU64>,
    pub(crate) mail: Arc<AtomicBool>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) mesh: Mesh,
}

/// Frames waiting to come in at the other ends of patch ports: as many as one flood over a hundred of them
/// makes, twice.
const PATCHED: usize = 256;

/// Passes between two publications of the counters while busy.
const PUBLISH_EVERY: u32 = 32;

pub struct Worker {
    config: Cache<Arc<ArcSwap<Published>>, Arc<Published>>,
    watched: Arc<AtomicBool>,
    bank: Arc<CounterBank>,
    io: Io,
    counters: Counters,
    inbox: Inbox,
    out: Outbox,
    readiness: Readiness,
    batch: Batch,
    patched: Vec<(PortIdx, Frame)>,
    bell: Arc<Doorbell>,
    seen: Arc<AtomicU64>,
    mail: Arc<AtomicBool>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    passes: u32,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("passes", &self.passes).finish_non_exhaustive()
    }
}

impl Worker {
    /// # Errors
    /// When the kernel gives no epoll descriptor.
    pub fn new(parts: WorkerParts) -> std::io::Result<Self> {
        Ok(Self {
            config: Cache::new(parts.config),
            watched: parts.watched,
            bank: parts.bank,
            io: Io::new(parts.pool),
            counters: Counters::default(),
            inbox: Inbox::default(),
            out: Outbox::new(parts.mesh, parts.pool.size(), parts.events.clone()),
            readiness: Readiness::new(parts.bell.fd())?,
            batch: Batch::new(),
            patched: Vec::with_capacity(PATCHED),
            bell: parts.bell,
            seen: parts.seen,
            mail: parts.mail,
            commands: parts.commands,
            events: parts.events,
            passes: 0,
        })
    }

    /// Receives from every active queue once, decides, sends. Returns the frames that moved: 0 means idle.
    pub fn pass(&mut self, now: Now) -> usize {
        let Self { config, watched, io, counters, inbox, out, readiness, batch, patched, events, .. } = self;
        let published = config.load();
        let snap = &published.snapshot;
        let mut moved = 0;
        let mut i = 0;
        out.begin(now);
        if self.seen.load(Ordering::Relaxed) != published.epoch {
            out.adopt(snap, io, counters);
            inbox.adopt(snap, out, io, counters);
            let mut exec = Exec { snap, io, out, counters, patched, forwarded: 0, learned: false };
            release(inbox, &mut exec, now);
            tell_of_stations(exec.learned, watched, events);
        }
        while let Some(at) = readiness.active(i) {
            let (received, port) = match out.slots.get_mut(at as usize) {
                Some(Some(slot)) => (receive(slot, batch, io, counters), slot.port),
                _ => (0, PortIdx(u16::MAX)),
            };
            moved += received;
            if received > 0 {
                out.touch(at);
            }
            if !batch.is_empty() {
                if let Some(home) = inbox.home(port) {
                    inbox.hold_all((port, home), batch, out, io, counters);
                } else {
                    let mut exec = Exec { snap, io, out, counters, patched, forwarded: 0, learned: false };
                    forward(port, batch, &mut exec, now);
                    tell_of_stations(exec.learned, watched, events);
                }
            }
            match out.slots.get_mut(at as usize) {
                Some(Some(slot)) if slot.broken => {
                    readiness.remove(at, slot.queue.readiness());
                    out.touch(at);
                }
                slot => {
                    let arm = || slot.and_then(Option::as_mut).is_none_or(|slot| slot.queue.arm());
                    if readiness.note(i, received > 0, now, arm) {
                        i += 1;
                    }
                }
            }
        }
        moved += out.take_over(ARRIVE, inbox, io, counters);
        let mut exec = Exec { snap, io, out, counters, patched, forwarded: 0, learned: false };
        release(inbox, &mut exec, now);
        while let Some(port) = inbox.next(now) {
            moved += let_in(port, inbox, batch, &mut exec, now);
        }
        tell_of_stations(exec.learned, watched, events);
        out.flush(io, counters);
        if self.seen.load(Ordering::Relaxed) != published.epoch {
            self.seen.store(published.epoch, Ordering::Release);
        }
        self.passes = self.passes.wrapping_add(1);
        if moved == 0 || self.passes.is_multiple_of(PUBLISH_EVERY) {
            self.counters.publish(&self.bank);
        }
        moved
    }

    /// From now on this worker knows the port, and owns its queue if there is one.
    ///
    /// # Errors
    /// When the queue's descriptor cannot be watched; the port is unknown then.
    pub fn attach(&mut self, attach: Attach) -> std::io::Result<()> {
        let port = attach.port;
        if self.out.way(port).is_none() {
            self.counters.reset(port);
            self.counters.publish(&self.bank);
        }
        if let Some(at) = self.out.add(attach)
            && let Some(Some(slot)) = self.out.slots.get(at as usize)
        {
            self.readiness.add(at, slot.queue.readiness())?;
        }
        Ok(())
    }

    /// Forgets the port. Its queues come back; one that is flushed and dropped closes its device.
    pub fn detach(&mut self, port: PortIdx) -> Vec<Box<dyn PortQueue>> {
        let Self { io, counters, inbox, out, .. } = self;
        out.take_over(usize::MAX, inbox, io, counters);
        out.flush(io, counters);
        inbox.clear(port, &mut out.desk(io, counters));
        out.clear(port, io, counters);
        let gone: Vec<_> = out.remove(port).collect();
        let queues = gone.into_iter().map(|(at, slot)| {
            self.readiness.remove(at, slot.queue.readiness());
            slot.queue
        });
        let queues = queues.collect();
        self.counters.publish(&self.bank);
        queues
    }

    /// Does what housekeeping asks. `true`: it asks to stop.
    pub(crate) fn serve_mailbox(&mut self) -> bool {
        if !self.mail.load(Ordering::Relaxed) {
            return false;
        }
        self.mail.store(false, Ordering::SeqCst);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Attach(attach) => {
                    let port = attach.port;
                    if let Err(e) = self.attach(attach) {
                        let _ = self.events.send(Event::Broken(port, e.to_string()));
                    }
                }
                Command::Detach(port, reply) => {
                    for queue in self.detach(port) {
                        let _ = reply.send(Some(queue));
                    }
                    let _ = reply.send(None);
                }
                Command::SetMtu(port, mtu) => self.out.set_mtu(port, mtu),
                Command::SetCaps(port, caps) => self.out.set_caps(port, caps),
                Command::Sync(reply) => {
                    let _ = reply.send(());
                }
                Command::Stop => return true,
            }
        }
        false
    }

    pub(crate) fn may_sleep(&self) -> bool {
        self.readiness.all_quiet()
    }

    /// Sleeps until a queue has something, somebody rings, or something that waits may leave.
    pub(crate) fn sleep(&mut self, clock: impl Fn() -> Now) {
        self.counters.publish(&self.bank);
        let due = self.out.due().into_iter().chain(self.inbox.due()).min();
        let most = due.map(|due| due.0.saturating_sub(clock().0));
        let dozing = self.bell.doze();
        // Whoever put something here before `doze` did not ring.
        if self.out.mesh.is_empty()
            && !self.mail.load(Ordering::Relaxed)
            && self.seen.load(Ordering::Relaxed) == self.config.load().epoch
            && self.readiness.wait(most)
        {
            self.bell.answer();
        }
        drop(dozing);
    }

    /// Looks whether a queue that was idle has something.
    pub(crate) fn glance(&mut self) {
        if self.readiness.wait(Some(0)) {
            self.bell.answer();
        }
    }
}

/// Receives a batch from one queue and counts it. Returns the frames received, broken ones included.
fn receive(slot: &mut Slot, batch: &mut Batch, io: &mut Io, counters: &mut Counters) -> usize {
    if slot.broken {
        return 0;
    }
    if let Err(e) = slot.queue.recv(batch, io) {
        slot.fail(&e);
    }
    let mut received = batch.len();
    if let Some(tally) = io.take_tally() {
        received += counters.tally(slot.port, Rx, &tally) as usize;
    }
    if received > 0 {
        counters.add(slot.port, Field::RxPackets, received as u64);
        counters.add(slot.port, Field::RxBytes, batch.iter().map(|f| f.len() as u64).sum());
    }
    received
}

/// Tells who wanted to know, once, if there are stations where they were not.
#[inline]
fn tell_of_stations(learned: bool, watched: &AtomicBool, events: &mpsc::Sender<Event>) {
    if learned && watched.load(Ordering::Relaxed) && watched.swap(false, Ordering::SeqCst) {
        let _ = events.send(Event::Stations);
    }
}

/// Decides for a whole batch and does it. Where the table of stations is larger than what stays near the
/// processor, what it says of all frames is fetched before the first is decided.
fn forward(port: PortIdx, batch: &mut Batch, exec: &mut Exec<'_>, now: Now) {
    let Some(ingress) = exec.snap.ingress(port) else {
        return batch.drain(..).for_each(|frame| exec.drop_rx(frame, port, DropReason::NotForwarding));
    };
    if prefetch_pays(&ingress) {
        batch.iter().for_each(|frame| prefetch(frame.bytes(), &ingress));
    }
    if ingress.port.guard.is_some() {
        return forward_guarded(&ingress, batch, exec, now);
    }
    for frame in batch.drain(..) {
        match key_of(port, &frame) {
            Ok(key) => {
                let verdict = decide(&key, &ingress, now, Effects::Allow);
                exec.run(frame, &key, &verdict, &ingress);
            }
            Err(reason) => exec.drop_rx(frame, port, reason),
        }
        if !exec.patched.is_empty() {
            cross(exec, now);
        }
    }
    exec.counters.add(port, Field::Forwarded, std::mem::take(&mut exec.forwarded));
}

/// The same for a port whose attached side may not send everything.
#[inline(never)]
fn forward_guarded(ingress: &Ingress<'_>, batch: &mut Batch, exec: &mut Exec<'_>, now: Now) {
    for frame in batch.drain(..) {
        exec.decide_and_run(frame, ingress, now);
        if !exec.patched.is_empty() {
            cross(exec, now);
        }
    }
    exec.counters.add(ingress.index, Field::Forwarded, std::mem::take(&mut exec.forwarded));
}

/// Has frames come in that wait no more.
fn release(inbox: &mut Inbox, exec: &mut Exec<'_>, now: Now) {
    while let Some((port, frame)) = inbox.release() {
        come_in(port, frame, exec, now);
    }
}

/// Has those frames of a port come in that have waited for their moment. Returns how many.
fn let_in(port: PortIdx, inbox: &mut Inbox, batch: &mut Batch, exec: &mut Exec<'_>, now: Now) -> usize {
    let (mut count, mut is_more) = (0, true);
    while is_more {
        is_more = inbox.take(port, batch, &mut exec.out.desk(exec.io, exec.counters));
        count += batch.len();
        batch.drain(..).for_each(|frame| come_in(port, frame, exec, now));
    }
    count
}

/// Decides for a frame that has waited, or waits no more.
#[inline(never)]
fn come_in(port: PortIdx, frame: Frame, exec: &mut Exec<'_>, now: Now) {
    enter(port, frame, exec, now);
    if !exec.patched.is_empty() {
        cross(exec, now);
    }
}

/// Decides for one frame of any port and does it, as far as the ends of patch ports.
fn enter(port: PortIdx, frame: Frame, exec: &mut Exec<'_>, now: Now) {
    match exec.snap.ingress(port) {
        Some(ingress) => exec.decide_and_run(frame, &ingress, now),
        None => exec.drop_rx(frame, port, DropReason::NotForwarding),
    }
    exec.counters.add(port, Field::Forwarded, std::mem::take(&mut exec.forwarded));
}

/// Frames that come in by patch ports, and by the patch ports that they leave by.
#[cold]
fn cross(exec: &mut Exec<'_>, now: Now) {
    let forwarded = std::mem::take(&mut exec.forwarded);
    while let Some((port, frame)) = exec.patched.pop() {
        exec.counters.add(port, Field::RxPackets, 1);
        exec.counters.add(port, Field::RxBytes, frame.len() as u64);
        enter(port, frame, exec, now);
    }
    exec.forwarded = forwarded;
}
