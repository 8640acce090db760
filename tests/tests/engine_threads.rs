//! Real worker threads: traffic goes on while snapshots are published and ports come and go; nothing is
//! lost uncounted, nobody waits for ever, and who has nothing to do sleeps.
//!
//! Ports are pairs of datagram sockets, which have a descriptor to sleep on. The tests measure what the
//! process does, so only one runs at a time.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vsw_config::{Config, Draft, DraftPort, DraftProfile, DraftShaper};
use vsw_engine::{Engine, Event, Polling};
use vsw_mem::{Batch, Csum, FramePool, Offload, PoolSize};
use vsw_port::sim::{SimFrame, SimPeer};
use vsw_port::{Io, PortCaps, PortError, PortQueue};
use vsw_switch::{Fdb, Snapshot};
use vsw_tests::frames::frame;
use vsw_tests::{bridge, port};
use vsw_types::{Direction, DropReason, Name, PortIdx};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The switch's end of a pair of sockets.
struct SocketQueue(UnixDatagram);

fn plug() -> (UnixDatagram, Box<dyn PortQueue>) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    ours.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    (ours, Box::new(SocketQueue(theirs)))
}

impl PortQueue for SocketQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            let Some(mut frame) = io.frames.take() else { break };
            match self.0.recv(frame.room_mut()) {
                Ok(n) => {
                    frame.set_len(n);
                    into.push(frame);
                }
                Err(e) => {
                    io.frames.recycle(frame);
                    if e.kind() == WouldBlock {
                        break;
                    }
                    return Err(PortError::dead(&e));
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !from.is_empty() {
            match self.0.send(from[0].bytes()) {
                Ok(_) => io.frames.recycle(from.remove(0)),
                Err(e) if e.kind() == WouldBlock => break,
                Err(e) => return Err(PortError::dead(&e)),
            }
        }
        Ok(())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// Workers, and a bridge of plain ports, slot by slot.
struct Host {
    pool: &'static FramePool,
    engine: Engine,
    events: std::sync::mpsc::Receiver<Event>,
    fdb: Arc<Fdb>,
    generation: u64,
}

impl Host {
    fn new() -> Self {
        let pool = FramePool::leak(PoolSize { small: 1024, large: 4 }).unwrap();
        let (engine, events) = Engine::start(&[0, 1], Polling::Adaptive, pool).unwrap();
        let fdb = Arc::new(Fdb::new(1024, 300, 7, Arc::default()));
        Self { pool, engine, events, fdb, generation: 0 }
    }

    fn attach(&mut self, slot: u16) -> UnixDatagram {
        let (ours, queue) = plug();
        self.engine.attach(PortIdx(slot), PortCaps::NONE, 1500, vec![queue]);
        ours
    }

    /// Ports `p0`, `p1` .. with the slots of their numbers.
    fn publish(&mut self, slots: &[u16]) {
        self.publish_ports(slots.iter().map(|i| port(&format!("p{i}"), "")).collect());
    }

    fn publish_ports(&mut self, ports: Vec<DraftPort>) {
        self.generation += 1;
        let bridges = vec![bridge("br0", ports)];
        let config =
            Config::try_from(Draft { generation: self.generation, bridges, ..Default::default() }).unwrap();
        let slot = |name: &Name| name.as_str()[1..].parse().ok().map(PortIdx);
        let snapshot = Snapshot::compile(&config, slot, |_| self.fdb.clone());
        self.engine.publish(snapshot).unwrap();
    }

    /// What came in went on or died by name. Returns what came in and what went out.
    fn accounts(&self, slot: u16) -> (u64, u64) {
        let c = self.engine.counters(PortIdx(slot));
        assert_eq!(c.rx_packets(), c.forwarded() + c.dropped(Direction::Rx), "port {slot}: received");
        (c.rx_packets(), c.tx_packets())
    }

    /// Frames that came in by a port and were to go out, less those that went out by it or died there. Over
    /// all ports, those that are gone included, it comes to nothing.
    fn balance(&self, slot: u16) -> i64 {
        let c = self.engine.counters(PortIdx(slot));
        let to_send = c.forwarded() + c.copies() + c.segmented();
        to_send as i64 - (c.tx_packets() + c.dropped(Direction::Tx)) as i64
    }

    /// Waits until nothing is counted any more.
    fn rest(&self, slots: u16) {
        let all = || (0..slots).map(|i| self.engine.counters(PortIdx(i))).collect::<Vec<_>>();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut before = all();
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = all();
            if now == before {
                return;
            }
            assert!(Instant::now() < deadline, "the switch does not come to rest");
            before = now;
        }
    }

    fn end(self) {
        assert_eq!(self.events.try_iter().collect::<Vec<_>>(), [], "no queue broke");
        let pool = self.pool;
        drop(self);
        assert_eq!(pool.available(), pool.size(), "every buffer came home");
    }
}

/// Reads until told to stop and nothing is left; returns how many frames.
fn count(socket: &UnixDatagram, stop: &AtomicBool) -> u64 {
    let mut frames = 0;
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => frames += 1,
            Err(e) if matches!(e.kind(), WouldBlock | TimedOut) => {
                if stop.load(Relaxed) {
                    return frames;
                }
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// Tells threads to stop, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn ports_come_and_go_under_traffic() {
    let _alone = alone();
    const ROUNDS: u16 = 300;
    let mut host = Host::new();
    let (a, b) = (host.attach(0), host.attach(1));
    host.publish(&[0, 1]);
    let (stop_sending, stop_reading) = (AtomicBool::new(false), AtomicBool::new(false));
    let sent = AtomicU64::new(0);
    let (mut heard_a, mut heard_b, mut heard_late, mut balance) = (0, 0, 0, 0);
    std::thread::scope(|s| {
        for (socket, source) in [(&a, 1), (&b, 2)] {
            let (sent, stop) = (&sent, &stop_sending);
            s.spawn(move || {
                // Some to everybody, some to the other side only.
                for i in 0u64.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let to = if i.is_multiple_of(4) { 0xff } else { 3 - source };
                    socket.send(&frame(to, source, &[])).expect("the switch reads");
                    sent.fetch_add(1, Relaxed);
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
        }
        let (sending, reading) = (Stop(&stop_sending), Stop(&stop_reading));
        let readers = [s.spawn(|| count(&a, &stop_reading)), s.spawn(|| count(&b, &stop_reading))];
        for round in 0..ROUNDS {
            // The slot is used again and again; so are the workers, in turn.
            let slot = 2 + round % 3;
            let c = host.attach(slot);
            host.publish(&[0, 1, slot]);
            c.send(&frame(1, 3, &[])).unwrap();
            c.send(&frame(0xff, 3, &[])).unwrap();
            if round.is_multiple_of(10) {
                std::thread::sleep(Duration::from_millis(2));
            }
            host.publish(&[0, 1]);
            drop(host.engine.detach(PortIdx(slot)).expect("workers answer"));
            let now = host.engine.now();
            host.fdb.remove(|e| e.port == PortIdx(slot), now);
            let (_, out) = host.accounts(slot);
            c.set_nonblocking(true).unwrap();
            assert_eq!(count(&c, &AtomicBool::new(true)), out, "round {round}");
            heard_late += out;
            balance += host.balance(slot);
        }
        drop(sending);
        host.rest(2);
        drop(reading);
        [heard_a, heard_b] = readers.map(|r| r.join().unwrap());
    });
    balance += host.balance(0) + host.balance(1);
    assert_eq!(balance, 0, "what was to be sent was sent or died by name");
    let ((in_a, out_a), (in_b, out_b)) = (host.accounts(0), host.accounts(1));
    assert_eq!(in_a + in_b, sent.load(Relaxed), "everything that was sent was received");
    assert_eq!((out_a, out_b), (heard_a, heard_b), "what is said to be sent arrived");
    for slot in [0, 1] {
        let c = host.engine.counters(PortIdx(slot));
        let known = [DropReason::TxFull, DropReason::MeshFull, DropReason::Hairpin]
            .map(|r| c.drops(Direction::Tx, r));
        assert_eq!(c.dropped(Direction::Tx), known.iter().sum::<u64>(), "only for want of room");
        assert_eq!(c.dropped(Direction::Rx), 0);
    }
    assert!(heard_a > 500 && heard_b > 500 && heard_late > 100, "{heard_a}, {heard_b}, {heard_late}");
    host.end();
}

/// CPU time of this process.
fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

#[test]
fn an_idle_switch_sleeps_and_wakes_at_once() {
    let _alone = alone();
    let mut host = Host::new();
    let sockets: Vec<_> = (0..16).map(|i| host.attach(i)).collect();
    host.publish(&(0..16).collect::<Vec<_>>());
    for round in 0..3 {
        std::thread::sleep(Duration::from_millis(50));
        let before = cpu();
        std::thread::sleep(Duration::from_millis(200));
        let burnt = cpu() - before;
        assert!(burnt < Duration::from_millis(4), "2 % of a core: {burnt:?} in 200 ms");
        // From one worker's port to all others, the other worker's included.
        sockets[round].send(&frame(0xff, round as u8 + 1, &[])).unwrap();
        for (i, socket) in sockets.iter().enumerate().filter(|(i, _)| *i != round) {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!(socket.recv(&mut [0; 2048]).unwrap(), 60, "port {i}");
        }
    }
    host.rest(16);
    for slot in 0..16 {
        host.accounts(slot);
    }
    assert_eq!((0..16).map(|slot| host.balance(slot)).sum::<i64>(), 0);
    host.end();
}

/// Who sleeps wakes for what waits, when it may leave; and for a change that lets it.
#[test]
fn what_waits_leaves_although_nothing_comes() {
    let _alone = alone();
    let mut host = Host::new();
    let sockets: Vec<_> = (0..2).map(|i| host.attach(i)).collect();
    let shaped = |max| {
        let mut out = port("p1", "");
        let sent_to = Some(DraftShaper { max: Some(max), ..Default::default() });
        out.qos.own = Some(DraftProfile { sent_to, ..Default::default() });
        vec![port("p0", ""), out]
    };
    let mut bytes = frame(0xff, 1, &[]);
    bytes.resize(1000, 0);
    let heard = |socket: &UnixDatagram, patience| {
        socket.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
        socket.recv(&mut [0; 2048]).is_ok()
    };
    // 20 ms each, behind a burst.
    host.publish_ports(shaped(400_000));
    (0..10).for_each(|_| assert_eq!(sockets[0].send(&bytes).unwrap(), 1000));
    let began = Instant::now();
    assert!((0..10).all(|_| heard(&sockets[1], 5_000)));
    assert!(began.elapsed() > Duration::from_millis(100), "{:?}", began.elapsed());
    // Eight seconds each; then all of them at once.
    host.publish_ports(shaped(1_000));
    (0..10).for_each(|_| assert_eq!(sockets[0].send(&bytes).unwrap(), 1000));
    while heard(&sockets[1], 200) {}
    assert!(host.engine.counters(PortIdx(1)).queued() > 5);
    host.publish_ports(shaped(100_000_000));
    assert!(heard(&sockets[1], 3_000));
    host.rest(2);
    assert_eq!((host.accounts(0).0, host.accounts(1).1, host.balance(0) + host.balance(1)), (20, 20, 0));
    host.end();
}

/// A guest can take up another driver while its port is open.
#[test]
fn a_ports_capabilities_change_while_it_is_open() {
    let _alone = alone();
    let mut host = Host::new();
    let (left, port) = SimPeer::open(PortCaps::ALL);
    host.engine.attach(PortIdx(0), PortCaps::ALL, 1500, port.queues);
    let (right, port) = SimPeer::open(PortCaps::NONE);
    host.engine.attach(PortIdx(1), PortCaps::NONE, 1500, port.queues);
    host.publish(&[0, 1]);
    // IPv4, UDP from port 1 to port 2, 26 bytes of L4; the checksum's field has some sum.
    let mut bytes = frame(0xff, 1, &[]);
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    bytes[16..38].copy_from_slice(&[0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]);
    bytes[38..42].copy_from_slice(&[0, 26, 1, 2]);
    let open = Offload { csum: Csum::Partial { start: 34, offset: 6 }, gso: None };
    for (caps, expected) in
        [(PortCaps::NONE, Offload::NONE), (PortCaps::ALL, open), (PortCaps::NONE, Offload::NONE)]
    {
        host.engine.set_caps(PortIdx(1), caps);
        // When it is published, all that workers were told before is done.
        host.publish(&[0, 1]);
        left.put(SimFrame { bytes: bytes.clone(), offload: open });
        let deadline = Instant::now() + Duration::from_secs(5);
        let heard = std::iter::repeat_with(|| right.take()).find_map(|heard| {
            assert!(Instant::now() < deadline, "nothing came out");
            heard
        });
        let heard = heard.expect("an endless iterator").offload;
        assert_eq!(matches!(heard.csum, Csum::Partial { .. }), expected == open, "{caps:?}: {heard:?}");
    }
    host.rest(2);
    host.end();
}
