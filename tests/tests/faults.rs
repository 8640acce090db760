//! Ports that fail: full, refusing, losing, dying, keeping what they got; and what the engine makes of it.
//! Nothing may vanish uncounted, and nobody else may notice.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use vsw_engine::Event;
use vsw_mem::{Batch, Frame, PoolSize};
use vsw_port::fault::{FaultQueue, Faults};
use vsw_port::pcap::{self, PcapQueue};
use vsw_port::{Io, PortError, PortQueue};
use vsw_tests::frames::{c, frame};
use vsw_tests::{Rig, Setup, Wrap, bridge, port};
use vsw_types::Direction::{Rx, Tx};
use vsw_types::DropReason;

type Handles = Arc<Mutex<BTreeMap<String, Arc<Faults>>>>;

/// Three plain ports, each behind a queue that fails when told to.
fn faulty(workers: usize, pool: PoolSize) -> (Rig, impl Fn(&str) -> Arc<Faults>) {
    let handles = Handles::default();
    let known = handles.clone();
    let wrap: Wrap = Box::new(move |name, queue| {
        let (queue, faults) = FaultQueue::wrap(queue);
        known.lock().unwrap().insert(name.to_owned(), faults);
        Box::new(queue)
    });
    let rig = Rig::start(Setup { workers, pool, wrap, ..Default::default() }, three());
    (rig, move |name: &str| handles.lock().unwrap()[name].clone())
}

fn three() -> Vec<vsw_config::DraftBridge> {
    vec![bridge("br0", vec![port("a", ""), port("b", ""), port("c", "")])]
}

const POOL: PoolSize = PoolSize { small: 1024, large: 64 };

fn broadcast() -> Vec<u8> {
    frame(0xff, 1, &[])
}

/// How many came out of each port.
fn heard_by(rig: &Rig) -> BTreeMap<String, usize> {
    let mut heard = BTreeMap::new();
    for (name, _) in rig.heard() {
        *heard.entry(name).or_default() += 1;
    }
    heard
}

fn counts<const N: usize>(rows: [(&str, usize); N]) -> BTreeMap<String, usize> {
    rows.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
}

#[test]
fn a_full_queue_is_asked_twice_and_then_drops() {
    for workers in [1, 3] {
        let (mut rig, faults) = faulty(workers, POOL);
        faults("b").full.store(1, Relaxed);
        rig.send("a", &broadcast()[..]); // the second attempt succeeds
        assert_eq!((rig.counters("b").tx_packets(), rig.drops("b", Tx)), (1, vec![]));
        faults("b").full.store(2, Relaxed);
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 1, "c has its copy");
        assert_eq!((rig.counters("b").tx_packets(), rig.drops("b", Tx)), (1, vec![("tx-full", 1)]));
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 2, "b works again");
        rig.check_accounts();
        rig.tear_down();
    }
}

#[test]
fn refused_and_lost_frames_are_counted_where_it_happened() {
    let (mut rig, faults) = faulty(1, POOL);
    faults("b").refuse.store(3, Relaxed);
    faults("a").lose.store(2, Relaxed);
    for _ in 0..10 {
        rig.peers["a"].put(&broadcast()[..]);
    }
    rig.settle();
    assert_eq!(heard_by(&rig), counts([("b", 5), ("c", 8)]));
    assert_eq!(rig.drops("a", Rx), [("kernel-queue-full", 2)]);
    assert_eq!(rig.drops("b", Tx), [("tx-error", 3)]);
    assert_eq!((rig.counters("a").rx_packets(), rig.counters("b").tx_packets()), (10, 5));
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn a_device_that_dies_is_reported_once_whichever_way_it_shows() {
    // In `recv` of a port that only listens; in `send` of one that only talks.
    for (workers, dies) in [(1, "a"), (1, "b"), (3, "a"), (3, "b")] {
        let (mut rig, faults) = faulty(workers, POOL);
        rig.send("a", &broadcast()[..]);
        faults(dies).dead.store(true, Relaxed);
        for _ in 0..5 {
            rig.send("a", &broadcast()[..]);
        }
        rig.check_accounts();
        let events: Vec<Event> = rig.events.try_iter().collect();
        assert!(
            matches!(&events[..], [Event::Broken(_, why)] if why.contains("made to fail")),
            "{dies}: {events:?}"
        );
        let c = if dies == "a" { 1 } else { 6 };
        assert_eq!(rig.counters("c").tx_packets(), c);
        // Closed, and opened anew.
        let without = ["a", "b", "c"].into_iter().filter(|n| *n != dies).map(|n| port(n, "")).collect();
        rig.configure(vec![bridge("br0", without)]);
        rig.configure(three());
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 2);
        rig.check_accounts();
        rig.tear_down();
    }
}

/// A device that cannot send, and has nothing to say.
struct Mute(Box<dyn PortQueue>);

impl PortQueue for Mute {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.0.recv(into, io)
    }
    fn send(&mut self, _: &mut Batch, _: &mut Io) -> Result<(), PortError> {
        Err(PortError::missing("it cannot send", "end the test"))
    }
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[test]
fn a_device_that_fails_in_sending_only_is_reported_too() {
    let wrap: Wrap = Box::new(|name, inner| if name == "b" { Box::new(Mute(inner)) } else { inner });
    let mut rig = Rig::start(Setup { wrap, ..Default::default() }, three());
    for _ in 0..5 {
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 1);
    }
    assert_eq!(rig.drops("b", Tx), [("port-gone", 5)]);
    let events: Vec<Event> = rig.events.try_iter().collect();
    assert!(matches!(&events[..], [Event::Broken(_, why)] if why.contains("cannot send")), "{events:?}");
    rig.check_accounts();
    rig.tear_down();
}

/// A device that takes frames and never finishes with them, as one whose peer stopped reading.
struct Hoarder {
    inner: Box<dyn PortQueue>,
    kept: Vec<Frame>,
    most: usize,
}

impl PortQueue for Hoarder {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.inner.recv(into, io)
    }
    fn send(&mut self, from: &mut Batch, _: &mut Io) -> Result<(), PortError> {
        let n = from.len().min(self.most - self.kept.len());
        self.kept.extend(from.drain(..n));
        Ok(())
    }
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn hoarding(most: usize, pool: PoolSize) -> Rig {
    let wrap: Wrap = Box::new(move |name, inner| match name {
        "b" => Box::new(Hoarder { inner, kept: Vec::new(), most }),
        _ => inner,
    });
    Rig::start(Setup { pool, wrap, ..Default::default() }, three())
}

#[test]
fn a_stuck_port_does_not_starve_others() {
    // A device's ring is smaller than the pool: that is what keeps others alive.
    let mut rig = hoarding(64, PoolSize { small: 256, large: 4 });
    for _ in 0..500 {
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 1, "c hears every frame");
    }
    assert_eq!(rig.drops("b", Tx), [("tx-full", 500 - 64)]);
    assert_eq!(rig.drops("c", Tx), []);
    rig.check_accounts();
    rig.configure(vec![bridge("br0", vec![port("a", ""), port("c", "")])]);
    rig.tear_down();
}

#[test]
fn an_empty_pool_is_counted_and_survived() {
    let mut rig = hoarding(usize::MAX, PoolSize { small: 64, large: 4 });
    for _ in 0..200 {
        assert_eq!(rig.send("a", &broadcast()[..]).len(), 1, "the last buffer goes in and out by c");
        rig.check_accounts();
    }
    assert_eq!(rig.drops("b", Tx), [("no-frame", 200 - 63)]);
    rig.send("b", &frame(0xff, 2, &[])[..]);
    for _ in 0..10 {
        rig.send("a", &frame(2, 1, &[])[..]); // to b alone, which keeps the last one too
    }
    assert_eq!(rig.drops("a", Rx), [("no-frame", 9)]);
    rig.check_accounts();
    rig.configure(vec![bridge("br0", vec![port("a", ""), port("c", "")])]);
    assert_eq!(rig.send("a", &broadcast()[..]).len(), 1, "the buffers came home with the port");
    rig.tear_down();
}

#[test]
fn a_flood_that_runs_out_of_frames_says_so() {
    let ports = (0..20).map(|i| port(&format!("p{i}"), "")).collect();
    let mut rig = Rig::start(
        Setup { pool: PoolSize { small: 8, large: 1 }, ..Default::default() },
        vec![bridge("br0", ports)],
    );
    let heard = rig.send("p0", &broadcast()[..]).len();
    let died: u64 = (1..20).flat_map(|i| rig.drops(&format!("p{i}"), Tx)).map(|(_, n)| n).sum();
    assert!((1..=8).contains(&heard), "{heard} copies from eight buffers");
    assert_eq!(heard as u64 + died, 19);
    assert_eq!(rig.drops("p1", Tx).len() + rig.drops("p18", Tx).len(), 1, "some have, some have not");
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn a_worker_that_is_behind_is_not_waited_for() {
    let pool = PoolSize { small: 8192, large: 4 };
    let (mut rig, _) = faulty(2, pool);
    // a and c belong to worker 0, b to worker 1, which does not get to run.
    for _ in 0..3000 {
        rig.peers["a"].put(&broadcast()[..]);
    }
    for _ in 0..200 {
        rig.pass(0);
    }
    rig.settle();
    let heard = heard_by(&rig);
    assert_eq!((heard["b"], heard["c"]), (1024, 3000));
    assert_eq!(rig.drops("b", Tx), [("mesh-full", 3000 - 1024)]);
    rig.check_accounts();
    rig.tear_down();
}

/// A device that refuses, is full, and finds out late that it also lost something on the way in.
struct Late(Box<dyn PortQueue>, u32);

impl PortQueue for Late {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.0.recv(into, io)
    }
    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        if !from.is_empty() {
            io.discard(from.remove(0), DropReason::TxError);
        }
        Ok(())
    }
    fn flush(&mut self, io: &mut Io) {
        io.count(DropReason::KernelQueueFull, std::mem::take(&mut self.1));
    }
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[test]
fn what_a_device_tells_late_is_counted_on_the_right_side() {
    let wrap: Wrap = Box::new(|name, inner| match name {
        "b" => Box::new(Late(inner, 0)),
        "c" => Box::new(Late(inner, 7)),
        _ => inner,
    });
    let mut rig = Rig::start(Setup { wrap, ..Default::default() }, three());
    for _ in 0..4 {
        rig.peers["a"].put(&broadcast()[..]);
    }
    rig.settle();
    for port in ["b", "c"] {
        assert_eq!(rig.drops(port, Tx), [("tx-full", 2), ("tx-error", 2)], "{port}");
        assert_eq!(rig.counters(port).tx_packets(), 0);
    }
    assert_eq!((rig.drops("b", Rx), rig.drops("c", Rx)), (vec![], vec![("kernel-queue-full", 7)]));
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn a_capture_goes_through_and_is_recorded() {
    let folder = std::env::temp_dir().join(format!("vsw-t-pcap-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let plain: Vec<Vec<u8>> = (0..100u8)
        .map(|i| [frame(if i % 3 == 0 { 2 } else { 0xff }, 1, &[]), vec![i; i as usize]].concat())
        .collect();
    let record = |name: &str, frames: &[Vec<u8>]| {
        let mut file = File::create(path(name)).unwrap();
        pcap::write_header(&mut file).unwrap();
        frames.iter().for_each(|f| pcap::write_frame(&mut file, std::iter::once(f)).unwrap());
    };
    record("a.in", &plain);
    record("t.in", &[frame(0xff, 2, &[c(10)])]);
    let (from, to) = (folder.clone(), folder.clone());
    let wrap: Wrap = Box::new(move |name, inner| match name {
        "b" => inner,
        _ => Box::new(
            PcapQueue::open(&from.join(format!("{name}.in")), &to.join(format!("{name}.out"))).unwrap(),
        ),
    });
    let ports = vec![port("t", "trunk 10"), port("a", "access 10"), port("b", "access 10")];
    let mut rig = Rig::start(Setup { wrap, ..Default::default() }, vec![bridge("br0", ports)]);
    rig.settle();
    rig.check_accounts();
    let read = |name: &str| pcap::read(File::open(path(name)).unwrap()).unwrap();
    let tagged: Vec<Vec<u8>> =
        plain.iter().map(|f| [&f[..12], &[0x81, 0, 0, 10], &f[12..]].concat()).collect();
    let (a, t, b) = (read("a.out"), read("t.out"), heard_by(&rig));
    // Station 2 spoke once from t: before or after a's first batch.
    let flooded = plain.iter().filter(|f| f[0] == 0xff).count();
    assert_eq!(a, [frame(0xff, 2, &[])]);
    assert_eq!(t, tagged, "all of it, in order, each with its tag");
    assert!((flooded + 1..=plain.len() + 1).contains(&b["b"]));
    rig.tear_down();
    std::fs::remove_dir_all(&folder).unwrap();
}
