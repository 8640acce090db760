//! The rig.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use vsw_config::{Config, Draft, DraftBridge, DraftPort, PortKind};
use vsw_engine::{Engine, Event, Worker, counters::PortCounters};
use vsw_mem::{FramePool, PoolSize};
use vsw_port::sim::{SimFrame, SimPeer};
use vsw_port::{OpenPort, PortCaps, PortQueue};
use vsw_switch::fdb::{Entry, StationCounts};
use vsw_switch::{Fdb, FdbKey, Snapshot};
use vsw_types::{Direction, DropReason, MacAddr, Name, Now, PortIdx, QosStats, VlanId};

/// Everything that came out, by port, in the order of names and then of time.
pub type Heard = Vec<(String, SimFrame)>;

/// A bridge of ports.
pub fn bridge(name: &str, ports: Vec<DraftPort>) -> DraftBridge {
    DraftBridge { name: name.into(), ports, ..Default::default() }
}

/// A port by name and VLAN mode, written as on the command line: `access 10`, `trunk 10,20`,
/// `trunk 10,20 native 10`, `trunk 10 native 10 tagged`, `qinq 100`, `qinq 100 cvlans 5-6`, `` (transparent),
/// and then any of `isolated`, `maclimit N`, `patch PEER`.
pub fn port(name: &str, words: &str) -> DraftPort {
    let mut p = DraftPort { name: name.into(), ..Default::default() };
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a value behind the word");
        match word {
            "access" => p.vlan.access = Some(next().parse().expect("a VLAN")),
            "trunk" => p.vlan.trunk = Some(next().into()),
            "native" => p.vlan.native = Some(next().parse().expect("a VLAN")),
            "tagged" => p.vlan.native_tagged = true,
            "qinq" => p.vlan.qinq = Some(next().parse().expect("a VLAN")),
            "cvlans" => p.vlan.cvlans = Some(next().into()),
            "isolated" => p.isolated = true,
            "maclimit" => p.mac_limit = Some(next().parse().expect("a number")),
            "mtu" => p.mtu = Some(next().parse().expect("a number")),
            "patch" => {
                p.kind = "patch".into();
                p.peer = Some(next().into());
            }
            other => panic!("no such word: {other}"),
        }
    }
    p
}

/// Bits of frames that came out of a port: see [`Rig::let_pass`].
pub fn bits(heard: &[(u64, String, SimFrame)], port: &str) -> u64 {
    heard.iter().filter(|h| h.1 == port).map(|h| h.2.bytes.len() as u64 * 8).sum()
}

/// Puts something between the switch and the queue of the port with this name, when it is opened.
pub type Wrap = Box<dyn FnMut(&str, Box<dyn PortQueue>) -> Box<dyn PortQueue>>;

/// How a switch is made: the usual, unless said otherwise.
pub struct Setup {
    pub workers: usize,
    pub pool: PoolSize,
    /// Ports that cannot do everything.
    pub caps: BTreeMap<String, PortCaps>,
    /// Ports that have more than one queue.
    pub queues: BTreeMap<String, usize>,
    pub wrap: Wrap,
}

impl Default for Setup {
    fn default() -> Self {
        let pool = PoolSize { small: 1024, large: 64 };
        Self {
            workers: 1,
            pool,
            caps: BTreeMap::new(),
            queues: BTreeMap::new(),
            wrap: Box::new(|_, queue| queue),
        }
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("workers", &self.workers).finish_non_exhaustive()
    }
}

/// A switch without threads.
#[derive(Debug)]
pub struct Rig {
    pub pool: &'static FramePool,
    pub now: Now,
    pub peers: BTreeMap<String, SimPeer>,
    pub engine: Engine,
    workers: Vec<Worker>,
    config: Config,
    slots: BTreeMap<Name, PortIdx>,
    /// The counts of ports that went.
    gone: PortCounters,
    fdbs: BTreeMap<Name, Arc<Fdb>>,
    pub counts: Arc<StationCounts>,
    /// What workers tell housekeeping.
    pub events: mpsc::Receiver<Event>,
    setup: Setup,
}

impl Rig {
    /// One worker.
    pub fn new(bridges: Vec<DraftBridge>) -> Self {
        Self::with(1, BTreeMap::new(), bridges)
    }

    /// So many workers, and ports that cannot do everything.
    pub fn with(workers: usize, caps: BTreeMap<String, PortCaps>, bridges: Vec<DraftBridge>) -> Self {
        Self::start(Setup { workers, caps, ..Default::default() }, bridges)
    }

    pub fn start(setup: Setup, bridges: Vec<DraftBridge>) -> Self {
        let pool = FramePool::leak(setup.pool).expect("memory");
        let (engine, workers, events) = Engine::parts(setup.workers, pool).expect("descriptors");
        let mut rig = Self {
            pool,
            now: Now::from_secs(1),
            peers: BTreeMap::new(),
            engine,
            workers,
            config: Config::default(),
            slots: BTreeMap::new(),
            gone: PortCounters::default(),
            fdbs: BTreeMap::new(),
            counts: Arc::default(),
            events,
            setup,
        };
        rig.configure(bridges);
        rig
    }

    /// Another configuration: ports come and go, as the daemon does it.
    pub fn configure(&mut self, bridges: Vec<DraftBridge>) {
        let generation = self.config.generation().0 + 1;
        let new =
            Config::try_from(Draft { generation, bridges, ..Default::default() }).expect("a good draft");
        let gone: Vec<Name> = self.slots.keys().filter(|n| new.port(n.as_str()).is_none()).cloned().collect();
        let added: Vec<Name> =
            new.ports().map(|(_, n, _)| n.clone()).filter(|n| !self.slots.contains_key(n)).collect();
        for name in added {
            let slot = PortIdx((0..).find(|i| !self.slots.values().any(|s| s.0 == *i)).expect("a free slot"));
            let port = new.port(name.as_str()).expect("a port").1;
            let caps = self.setup.caps.get(name.as_str()).copied().unwrap_or(PortCaps::ALL);
            let queues = if matches!(port.kind, PortKind::Patch { .. }) {
                Vec::new()
            } else {
                let count = self.setup.queues.get(name.as_str()).copied().unwrap_or(1);
                let (peer, OpenPort { queues, .. }) = SimPeer::open_queues(caps, count);
                self.peers.insert(name.to_string(), peer);
                queues.into_iter().map(|q| (self.setup.wrap)(name.as_str(), q)).collect()
            };
            let mtu = port.mtu.map_or(if queues.is_empty() { 65_535 } else { 1500 }, u32::from);
            for (worker, attach) in self.engine.spread(slot, caps, mtu, queues) {
                self.workers[worker].attach(attach).expect("attached");
            }
            self.slots.insert(name, slot);
        }
        for (name, b) in new.bridges() {
            let fits = |f: &Arc<Fdb>| f.fits(b.mac_limit, b.ageing_seconds);
            if !self.fdbs.get(name).is_some_and(fits) {
                let fdb = Fdb::new(b.mac_limit, b.ageing_seconds, 42, self.counts.clone());
                self.fdbs.insert(name.clone(), Arc::new(fdb));
            }
            for ((vlan, mac), port) in &b.stations {
                assert!(self.fdbs[name].insert_static(FdbKey::new(*vlan, *mac), self.slots[port]));
            }
        }
        self.config = new;
        let live: BTreeMap<_, _> =
            self.slots.iter().filter(|(n, _)| !gone.contains(n)).map(|(n, i)| (n.clone(), *i)).collect();
        let snap = Snapshot::compile(&self.config, |n| live.get(n).copied(), |n| self.fdbs[n].clone());
        self.engine.publish(snap).expect("published");
        for name in gone {
            let slot = self.slots.remove(&name).expect("a slot");
            for worker in &mut self.workers {
                worker.detach(slot);
            }
            self.gone.add(&self.engine.counters(slot));
            self.peers.remove(name.as_str());
        }
        self.forget();
    }

    /// Forgets stations that are not where the configuration can have them any more: behind a port that
    /// went, or moved to another bridge, or does not carry the VLAN, or is not told so by hand any more.
    fn forget(&mut self) {
        self.fdbs.retain(|name, _| self.config.bridge(name.as_str()).is_some());
        let ports: BTreeMap<_, _> = self.slots.iter().map(|(name, slot)| (*slot, name)).collect();
        for (name, bridge) in self.config.bridges() {
            let stays = |e: &Entry| {
                let Some(port) = ports.get(&e.port) else { return false };
                let carries = bridge.ports.get(*port).is_some_and(|p| p.vlans.carries(e.vlan));
                carries && (!e.is_static || bridge.stations.get(&(e.vlan, e.mac)) == Some(*port))
            };
            self.fdbs[name].remove(|e| !stays(e), self.now);
        }
    }

    /// Sends one frame and lets the switch finish with it.
    pub fn send(&mut self, port: &str, frame: impl Into<SimFrame>) -> Heard {
        self.peers[port].put(frame);
        self.settle();
        self.heard()
    }

    /// So many nanoseconds pass, in steps of which each gets its passes; what waits leaves when it may.
    /// Everything that came out, with the time at which it did.
    pub fn let_pass(&mut self, nanos: u64, step: u64) -> Vec<(u64, String, SimFrame)> {
        let (end, mut all) = (self.now.0 + nanos, Vec::new());
        while self.now.0 < end {
            self.now.0 = end.min(self.now.0 + step);
            self.settle();
            all.extend(self.heard().into_iter().map(|(port, frame)| (self.now.0, port, frame)));
        }
        all
    }

    /// Sends so many frames in each of so many milliseconds, and lets what came of them leave.
    pub fn offer(
        &mut self,
        port: &str,
        millis: u64,
        per_ms: usize,
        frame: &[u8],
    ) -> Vec<(u64, String, SimFrame)> {
        let mut all = Vec::new();
        for _ in 0..millis {
            (0..per_ms).for_each(|_| self.peers[port].put(frame));
            all.extend(self.let_pass(1_000_000, 100_000));
            self.check_accounts();
        }
        all
    }

    /// Passes until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let moved: usize = self.workers.iter_mut().map(|w| w.pass(self.now)).sum();
            if moved == 0 {
                return;
            }
        }
        panic!("the switch does not come to rest");
    }

    /// One pass of one worker, for tests in which another one is late. Returns the frames that moved.
    pub fn pass(&mut self, worker: usize) -> usize {
        self.workers[worker].pass(self.now)
    }

    /// Everything that came out since last asked.
    pub fn heard(&self) -> Heard {
        let mut all = Vec::new();
        for (name, peer) in &self.peers {
            while let Some(frame) = peer.take() {
                all.push((name.clone(), frame));
            }
        }
        all
    }

    /// Time passes, and housekeeping ages the tables.
    pub fn wait(&mut self, seconds: u32) {
        self.now.0 += u64::from(seconds) * 1_000_000_000;
        for (name, b) in self.config.bridges() {
            self.fdbs[name].age(0, 1, self.now, b.ageing_seconds);
        }
    }

    /// Behind which port a station (by the last byte of its MAC) is known to be.
    pub fn knows(&self, bridge: &str, vid: u32, station: u8) -> Option<String> {
        let key = FdbKey::new(VlanId::new(vid).expect("a VLAN"), MacAddr(crate::frames::mac(station)));
        let slot = self.fdbs[bridge].lookup(key)?;
        self.slots.iter().find(|(_, i)| **i == slot).map(|(n, _)| n.to_string())
    }

    /// Every station of a bridge, as (VLAN, address) -> port.
    pub fn stations(&self, bridge: &str) -> BTreeMap<(u16, MacAddr), String> {
        let name =
            |slot| self.slots.iter().find(|(_, i)| **i == slot).map_or("?".into(), |(n, _)| n.to_string());
        self.fdbs[bridge].entries(self.now).map(|e| ((e.vlan.get(), e.mac), name(e.port))).collect()
    }

    /// What quality of service did at a port.
    pub fn qos(&self, port: &str) -> QosStats {
        self.engine.qos_stats(self.slots[port]).expect("a port in the snapshot")
    }

    pub fn counters(&self, port: &str) -> PortCounters {
        self.engine.counters(self.slots[port])
    }

    /// Drops of one direction at a port, by name, that are not zero.
    pub fn drops(&self, port: &str, direction: Direction) -> Vec<(&'static str, u64)> {
        let counters = self.counters(port);
        let all = DropReason::ALL.iter().map(|r| (r.name(), counters.drops(direction, *r)));
        all.filter(|(_, n)| *n > 0).collect()
    }

    /// Nothing vanished: what came in went out or died by name, and every buffer is back. Call it when the
    /// switch is at rest; buffers that a worker keeps in stock are not missing.
    pub fn check_accounts(&self) {
        let mut sum = self.gone.clone();
        for name in self.slots.keys() {
            let c = self.counters(name.as_str());
            assert_eq!(
                c.rx_packets() + c.rx_segmented(),
                c.forwarded() + c.rx_queued() + c.dropped(Direction::Rx),
                "port {name}: received is forwarded and dropped, or waits"
            );
            sum.add(&c);
        }
        assert_eq!(
            sum.forwarded() + sum.copies() + sum.segmented(),
            sum.tx_packets() + sum.queued() + sum.dropped(Direction::Tx),
            "what was to be sent was sent or dropped, or waits"
        );
    }

    /// Takes the switch apart; every buffer must be home then.
    pub fn tear_down(self) {
        let pool = self.pool;
        drop(self);
        assert_eq!(pool.available(), pool.size(), "every buffer came home");
    }
}
