//! All workers together, as housekeeping sees them: make before break.
//!
//! Called from housekeeping threads; calls wait for the workers (microseconds), never the other way
//! round. A worker that does not answer within [`PATIENCE`] is stuck, which is a bug and is said so.

use crate::command::{Attach, Command, Event, Via};
use crate::counters::{CounterBank, PortCounters};
use crate::mesh::Mesh;
use crate::thread::{self, Doorbell};
use crate::worker::{Published, Worker, WorkerParts};
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vsw_mem::FramePool;
use vsw_port::{PortCaps, PortQueue};
use vsw_switch::Snapshot;
use vsw_types::{Now, PortIdx, QosStats};

/// Time a worker has to finish its pass.
const PATIENCE: Duration = Duration::from_secs(10);

/// What workers do when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Spin for a moment, then sleep.
    Adaptive,
    /// Never sleep.
    Busy,
}

/// A worker that did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(pub usize);

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "worker {} does not answer; this is a bug in vswd, restart it", self.0)
    }
}

impl std::error::Error for Stuck {}

#[derive(Debug)]
struct Handle {
    bank: Arc<CounterBank>,
    bell: Arc<Doorbell>,
    seen: Arc<AtomicU64>,
    mail: Arc<AtomicBool>,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    fn tell(&self, command: Command) {
        // A worker that is gone has panicked, and the process with it.
        let _ = self.commands.send(command);
        self.mail.store(true, Ordering::SeqCst);
        self.bell.ring_if_asleep();
    }
}

/// The running workers.
#[derive(Debug)]
pub struct Engine {
    config: Arc<ArcSwap<Published>>,
    watched: Arc<AtomicBool>,
    workers: Vec<Handle>,
    start: Instant,
    epoch: u64,
    next_home: usize,
}

impl Engine {
    /// Workers without threads, for tests that call [`Worker::pass`] themselves.
    ///
    /// # Errors
    /// When the kernel gives no descriptors.
    pub fn parts(
        count: usize,
        pool: &'static FramePool,
    ) -> std::io::Result<(Self, Vec<Worker>, mpsc::Receiver<Event>)> {
        let config = Arc::new(ArcSwap::from_pointee(Published::default()));
        let watched = Arc::new(AtomicBool::new(false));
        let (event_sender, events) = mpsc::channel();
        let bells = (0..count).map(|_| Doorbell::new().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let mut handles = Vec::new();
        let mut workers = Vec::new();
        for (bell, mesh) in bells.iter().zip(Mesh::between(&bells)) {
            let (sender, commands) = mpsc::channel();
            let (bank, seen, mail) = (Arc::default(), Arc::default(), Arc::default());
            workers.push(Worker::new(WorkerParts {
                config: config.clone(),
                watched: watched.clone(),
                bank: Arc::clone(&bank),
                pool,
                bell: bell.clone(),
                seen: Arc::clone(&seen),
                mail: Arc::clone(&mail),
                commands,
                events: event_sender.clone(),
                mesh,
            })?);
            handles.push(Handle { bank, bell: bell.clone(), seen, mail, commands: sender, thread: None });
        }
        let engine =
            Self { config, watched, workers: handles, start: Instant::now(), epoch: 0, next_home: 0 };
        Ok((engine, workers, events))
    }

    /// Starts one thread for each of `cpus`, pinned to it.
    ///
    /// # Errors
    /// When the kernel gives no descriptors or threads.
    pub fn start(
        cpus: &[usize],
        polling: Polling,
        pool: &'static FramePool,
    ) -> std::io::Result<(Self, mpsc::Receiver<Event>)> {
        let (mut engine, workers, events) = Self::parts(cpus.len(), pool)?;
        for ((i, worker), cpu) in workers.into_iter().enumerate().zip(cpus.iter().copied()) {
            let start = engine.start;
            let thread = std::thread::Builder::new().name(format!("worker-{i}")).spawn(move || {
                let mut set = rustix::thread::CpuSet::new();
                set.set(cpu);
                // A CPU that is not ours to use: the worker runs where it may.
                let _ = rustix::thread::sched_setaffinity(None, &set);
                thread::run(worker, start, polling);
            })?;
            engine.workers[i].thread = Some(thread);
        }
        Ok((engine, events))
    }

    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// The time as workers tell it.
    pub fn now(&self) -> Now {
        Now(self.start.elapsed().as_nanos() as u64)
    }

    /// Gives the queues of an open port to workers, one each in turn, and lets all workers know the way.
    /// Frames that come in are not forwarded before a snapshot names the port.
    pub fn attach(&mut self, port: PortIdx, caps: PortCaps, mtu: u32, queues: Vec<Box<dyn PortQueue>>) {
        for (worker, attach) in self.spread(port, caps, mtu, queues) {
            self.workers[worker].tell(Command::Attach(attach));
        }
    }

    /// Who gets what when a port is attached: (worker, what it is told).
    pub fn spread(
        &mut self,
        port: PortIdx,
        caps: PortCaps,
        mtu: u32,
        queues: Vec<Box<dyn PortQueue>>,
    ) -> Vec<(usize, Attach)> {
        let count = self.workers.len();
        let home = self.next_home;
        let owns = queues.len();
        self.next_home = (home + owns.max(1)) % count;
        let mut told: Vec<(usize, Attach)> = Vec::new();
        for (i, queue) in queues.into_iter().enumerate() {
            told.push(((home + i) % count, Attach { port, caps, mtu, home, via: Via::Queue(queue) }));
        }
        for other in (0..count).filter(|w| owns == 0 || (w + count - home) % count >= owns) {
            let via = if owns == 0 { Via::Engine } else { Via::Worker(home) };
            told.push((other, Attach { port, caps, mtu, home, via }));
        }
        told
    }

    /// Makes workers forward by this snapshot, and waits until none works under an older one. Meters and
    /// queues of ports that stay go on.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub fn publish(&mut self, mut snapshot: Snapshot) -> Result<(), Stuck> {
        // A port that only some workers know yet would lose what the others send to it.
        self.sync()?;
        self.epoch += 1;
        snapshot.inherit(&self.config.load().snapshot);
        let old = self.config.swap(Arc::new(Published { epoch: self.epoch, snapshot }));
        self.settle()?;
        // Freed here, where it may take its time, and not by a worker.
        drop(old);
        Ok(())
    }

    /// Waits until every worker has done what it was told.
    fn sync(&self) -> Result<(), Stuck> {
        for (i, worker) in self.workers.iter().enumerate().filter(|(_, w)| w.thread.is_some()) {
            let (reply, answer) = mpsc::channel();
            worker.tell(Command::Sync(reply));
            answer.recv_timeout(PATIENCE).map_err(|_| Stuck(i))?;
        }
        Ok(())
    }

    /// Waits until every worker has finished a pass under the newest snapshot.
    fn settle(&self) -> Result<(), Stuck> {
        let deadline = Instant::now() + PATIENCE;
        for (i, worker) in self.workers.iter().enumerate().filter(|(_, w)| w.thread.is_some()) {
            worker.bell.ring_if_asleep();
            while worker.seen.load(Ordering::Acquire) < self.epoch {
                if Instant::now() > deadline {
                    return Err(Stuck(i));
                }
                std::thread::sleep(Duration::from_micros(20));
                worker.bell.ring_if_asleep();
            }
        }
        Ok(())
    }

    /// Takes a port away from all workers and gives its queues back, to be dropped. No snapshot may name
    /// the port any more.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub fn detach(&mut self, port: PortIdx) -> Result<Vec<Box<dyn PortQueue>>, Stuck> {
        let mut queues = Vec::new();
        // When the first round is over no worker hands frames for the port to another one any more; the
        // second drains those that were still between two workers. After it the slot can be used again.
        for _ in 0..2 {
            for (i, worker) in self.workers.iter().enumerate() {
                let (reply, answer) = mpsc::channel();
                worker.tell(Command::Detach(port, reply));
                while let Some(queue) = answer.recv_timeout(PATIENCE).map_err(|_| Stuck(i))? {
                    queues.push(queue);
                }
            }
        }
        Ok(queues)
    }

    pub fn set_mtu(&self, port: PortIdx, mtu: u32) {
        self.workers.iter().for_each(|w| w.tell(Command::SetMtu(port, mtu)));
    }

    pub fn set_caps(&self, port: PortIdx, caps: PortCaps) {
        self.workers.iter().for_each(|w| w.tell(Command::SetCaps(port, caps)));
    }

    /// Asks for one [`Event::Stations`] when next some worker learns something new.
    pub fn watch_stations(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    /// A port's counts, summed over the workers.
    pub fn counters(&self, port: PortIdx) -> PortCounters {
        let mut sum = PortCounters::default();
        self.workers.iter().for_each(|w| sum.add(&w.bank.read(port)));
        sum
    }

    /// What quality of service did at a port, for those that the snapshot in force names.
    pub fn qos_stats(&self, port: PortIdx) -> Option<QosStats> {
        Some(self.config.load().snapshot.port(port)?.qos_stats())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.tell(Command::Stop);
        }
        for thread in self.workers.iter_mut().filter_map(|w| w.thread.take()) {
            let _ = thread.join();
        }
    }
}
