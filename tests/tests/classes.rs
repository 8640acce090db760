//! What is typed of a class or of a policer is what its frames get, in simulated time.

use vsw_config::{DraftBridge, DraftClass, DraftMatch, DraftPolicer, DraftProfile, DraftShaper};
use vsw_mem::{Csum, Gso, GsoKind, Offload, PoolSize};
use vsw_port::sim::SimFrame;
use vsw_tests::frames::{c, mac};
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::Direction::Tx;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MEGABIT: u64 = 1_000_000;

fn ports(sent_by: Option<DraftPolicer>, sent_to: Option<DraftShaper>) -> Vec<DraftBridge> {
    let [mut input, mut out] = ["in", "out"].map(|name| port(name, "trunk 10"));
    let profile = |sent_by, sent_to| DraftProfile { sent_by, sent_to, ..Default::default() };
    input.qos.own = sent_by.map(|by| profile(Some(by), None));
    out.qos.own = sent_to.map(|to| profile(None, Some(to)));
    vec![bridge("br0", vec![input, out])]
}

/// What is sent to "out" waits in these classes.
fn shaped(max: u64, classes: Vec<DraftClass>) -> Vec<DraftBridge> {
    ports(None, Some(DraftShaper { max: Some(max), classes, ..Default::default() }))
}

/// The class of frames with a PCP: a plain queue, unless said otherwise.
fn class(name: &str, pcp: u32, edit: impl FnOnce(&mut DraftClass)) -> DraftClass {
    let matches = DraftMatch { pcps: vec![pcp], ..Default::default() };
    let (codel, flows) = (Some(false), Some(false));
    let mut class = DraftClass { name: name.into(), matches, codel, flows, ..Default::default() };
    edit(&mut class);
    class
}

/// A broadcast UDP frame with a PCP, that allows ECN, from 10.0.0.HOST.
fn udp(len: usize, pcp: u16, host: u8, ports: (u16, u16)) -> Vec<u8> {
    let (tpid, tci) = c(pcp << 13 | 10);
    let mut f = [mac(0xff), mac(1)].concat();
    f.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat());
    f.extend([8, 0, 0x45, 2, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 0, 0, 200]);
    f.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
    f.resize(len, 0);
    f
}

/// A frame that is not IP.
fn other(len: usize, station: u8, ethertype: u16) -> Vec<u8> {
    let (tpid, tci) = c(1 << 13 | 10);
    let mut f = [mac(0xff), mac(station)].concat();
    f.extend([tpid.to_be_bytes(), tci.to_be_bytes(), ethertype.to_be_bytes()].concat());
    f.resize(len, 0);
    f
}

/// Of 1,446 bytes of payload each.
fn large(pieces: usize, dscp: u8) -> SimFrame {
    let mut bytes = [mac(0xff), mac(1)].concat();
    let (tpid, tci) = c(1 << 13 | 10);
    bytes.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat());
    let total = ((40 + pieces * 1446) as u16).to_be_bytes();
    bytes.extend([
        8,
        0,
        0x45,
        dscp << 2,
        total[0],
        total[1],
        0,
        1,
        0x40,
        0,
        64,
        6,
        0,
        0,
        10,
        0,
        0,
        1,
        10,
        0,
        0,
        2,
    ]);
    bytes.extend([1, 2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 1, 0, 0, 0, 0]);
    bytes.resize(58 + pieces * 1446, 3);
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1446, hdr_len: 58, ecn: false });
    SimFrame { bytes, offload: Offload { csum: Csum::Partial { start: 38, offset: 16 }, gso } }
}

/// So many of a frame at once.
fn put(rig: &mut Rig, n: usize, frame: &[u8]) {
    (0..n).for_each(|_| rig.peers["in"].put(frame));
    rig.settle();
}

#[test]
fn classes_get_what_is_typed() {
    type Row = (fn(&mut DraftClass), std::ops::Range<f64>);
    // Beside another class as greedy as this one, at 10 Mbit/s: its part.
    let rows: [Row; 5] = [
        (|_| {}, 0.49..0.51),
        (|c| c.weight = Some(4), 0.79..0.81),
        (|c| c.max = Some(2 * MEGABIT), 0.19..0.22),
        // And something of the rest by weight.
        (|c| c.min = Some(6 * MEGABIT), 0.59..0.75),
        // The other one all the same, after 100 ms: nine times.
        (|c| c.prio = true, 0.985..0.995),
    ];
    for (n, (edit, want)) in rows.into_iter().enumerate() {
        let mut rig = Rig::new(shaped(10 * MEGABIT, vec![class("it", 1, edit), class("other", 2, |_| {})]));
        for _ in 0..1_000 {
            put(&mut rig, 2, &udp(1000, 1, 1, (1, 2)));
            put(&mut rig, 2, &udp(1000, 2, 1, (1, 2)));
            rig.let_pass(MS, MS / 10);
        }
        let [it, other] = [0, 1].map(|n| rig.qos("out").classes[n].sent.bytes as f64);
        assert!(want.contains(&(it / (it + other))), "row {n}: {it} {other}");
        rig.check_accounts();
    }
}

#[test]
fn patience_is_as_typed() {
    for (starve_us, want) in [(10_000, 80..101), (200_000, 4..6)] {
        let classes = vec![class("first", 1, |c| c.prio = true), class("late", 2, |_| {})];
        let starve_us = Some(starve_us);
        let shaper = DraftShaper { max: Some(10 * MEGABIT), classes, starve_us, ..Default::default() };
        let mut rig = Rig::new(ports(None, Some(shaper)));
        // More than the burst before the others come.
        put(&mut rig, 20, &udp(1000, 1, 1, (1, 2)));
        put(&mut rig, 200, &udp(100, 2, 1, (1, 2)));
        for _ in 0..1_000 {
            put(&mut rig, 2, &udp(1000, 1, 1, (1, 2)));
            rig.let_pass(MS, MS / 10);
        }
        let late = rig.qos("out").classes[1].sent.packets;
        assert!(want.contains(&late), "{late} in a second");
    }
}

#[test]
fn queues_are_as_long_as_typed() {
    let fill = |edit: fn(&mut DraftClass)| {
        let mut rig = Rig::new(shaped(MEGABIT, vec![class("it", 1, edit)]));
        for _ in 0..20 {
            put(&mut rig, 5, &udp(1000, 1, 1, (1, 2)));
            rig.let_pass(MS, MS / 10);
        }
        rig.let_pass(SECOND, MS);
        let class = rig.qos("out").classes[0].clone();
        assert_eq!(class.drops[0].1, rig.drops("out", Tx)[0].1, "{class:?}");
        assert_eq!((class.drops[0].0.name(), rig.drops("out", Tx)[0].0), ("class-full", "class-full"));
        (class.queue_bytes_max, class.delay_ns_max)
    };
    let (bytes, _) = fill(|c| c.queue_bytes = Some(10_000));
    assert_eq!(bytes, 10_000);
    let (bytes, wait) = fill(|c| c.queue_us = Some(20_000));
    assert!(bytes > 40_000 && (10 * MS..=30 * MS).contains(&wait), "{bytes} {wait}");
    let (bytes, wait) = fill(|_| {});
    assert!(bytes > 40_000 && wait > 300 * MS, "{bytes} {wait}");
}

#[test]
fn codel_and_ecn_can_be_off() {
    type Row = (fn(&mut DraftClass), [bool; 2]);
    let rows: [Row; 3] = [
        (|c| c.codel = Some(true), [false, true]),
        (|c| (c.codel, c.ecn) = (Some(true), Some(false)), [true, false]),
        (|_| {}, [false, false]),
    ];
    for (n, (edit, want)) in rows.into_iter().enumerate() {
        let mut rig = Rig::new(shaped(10 * MEGABIT, vec![class("it", 1, edit)]));
        for _ in 0..500 {
            put(&mut rig, 2, &udp(700, 1, 1, (1, 2)));
            rig.let_pass(MS, MS / 10);
        }
        let class = rig.qos("out").classes[0].clone();
        let by_codel = class.drops.iter().find(|(reason, _)| reason.name() == "class-delay").unwrap().1;
        assert_eq!([by_codel > 0, class.ecn_marked > 0], want, "row {n}: {class:?}");
        let told = rig.drops("out", Tx).into_iter().find(|(name, _)| *name == "class-delay");
        assert_eq!(told.map_or(0, |(_, n)| n), by_codel);
    }
}

#[test]
fn each_flow_has_its_turn_unless_flows_are_off() {
    // A queue of one flow, and a frame of another one: how long it waits, in milliseconds.
    let wait = |flows, bulk: Vec<u8>, single: Vec<u8>| {
        let mut rig = Rig::new(shaped(10 * MEGABIT, vec![class("it", 1, |c| c.flows = Some(flows))]));
        put(&mut rig, 60, &bulk);
        rig.let_pass(MS, MS / 10);
        let began = rig.now.0;
        put(&mut rig, 1, &single);
        let heard = rig.let_pass(SECOND, MS / 10);
        (heard.iter().find(|(_, _, f)| f.bytes == single).unwrap().0 - began) / MS
    };
    let bulk = || udp(1000, 1, 1, (7, 9));
    let flows = [
        (bulk(), udp(99, 1, 1, (8, 9))),
        (bulk(), udp(99, 1, 1, (7, 10))),
        (bulk(), udp(99, 1, 2, (7, 9))),
        (bulk(), other(99, 1, 0x88b5)),
        (other(1000, 1, 0x88b5), other(99, 2, 0x88b5)),
    ];
    for (n, (bulk, single)) in flows.into_iter().enumerate() {
        // Two flows may share a queue, one time of 256; hardly ever three times.
        let waits: Vec<u64> = (0..3).map(|_| wait(true, bulk.clone(), single.clone())).collect();
        assert!(waits.iter().any(|ms| *ms <= 3), "row {n}: {waits:?}");
        assert!(wait(false, bulk, single) > 30, "row {n}");
    }
    let waits: Vec<u64> = (0..3).map(|_| wait(true, bulk(), udp(99, 1, 1, (7, 9)))).collect();
    assert!(waits.iter().all(|ms| *ms > 30), "of one flow none overtakes: {waits:?}");
}

#[test]
fn the_burst_is_as_typed() {
    for (burst, want) in [(Some(30_000), 30), (None, 3)] {
        let shaper = DraftShaper { max: Some(MEGABIT), burst, ..Default::default() };
        let mut rig = Rig::new(ports(None, Some(shaper)));
        put(&mut rig, 40, &udp(1000, 1, 1, (1, 2)));
        assert_eq!(rig.heard().len(), want);
    }
}

#[test]
fn a_slow_class_of_a_fast_port_cuts_large_frames() {
    for (max, want) in [(Some(10 * MEGABIT), vec![1504; 20]), (None, vec![58 + 20 * 1446])] {
        let mut rig = Rig::new(shaped(10_000 * MEGABIT, vec![class("it", 1, |c| c.max = max)]));
        rig.peers["in"].put(large(20, 0));
        let heard = rig.let_pass(100 * MS, MS / 10);
        assert_eq!(heard.iter().map(|(_, _, f)| f.bytes.len()).collect::<Vec<_>>(), want);
        rig.check_accounts();
    }
}

#[test]
fn either_port_matches_and_only_within_the_range() {
    let matching = |name: &str, range| {
        let ports = vec![range];
        class(name, 1, |c| c.matches = DraftMatch { ports, ..Default::default() })
    };
    let mut rig = Rig::new(shaped(100 * MEGABIT, vec![matching("a", (50, 53)), matching("b", (80, 80))]));
    for (ports, want) in [
        ((53, 9), 0),
        ((9, 50), 0),
        ((54, 9), 2),
        ((9, 49), 2),
        ((80, 9), 1),
        ((9, 80), 1),
        ((81, 79), 2),
        ((80, 51), 0),
    ] {
        let before = rig.qos("out").classes[want].sent.packets;
        put(&mut rig, 1, &udp(100, 1, 1, ports));
        rig.let_pass(MS, MS);
        assert_eq!(rig.qos("out").classes[want].sent.packets, before + 1, "{ports:?}");
    }
}

#[test]
fn classes_are_known_by_their_names_at_a_change() {
    let [a, b] = [|| class("a", 1, |_| {}), || class("b", 2, |_| {})];
    let mut rig = Rig::new(shaped(MEGABIT, vec![a(), b()]));
    put(&mut rig, 10, &udp(1000, 1, 1, (1, 2)));
    put(&mut rig, 20, &udp(1000, 2, 1, (1, 2)));
    let before = rig.qos("out").classes;
    assert!(before[0].queue_packets > 5 && before[1].queue_packets > 15, "{before:?}");
    rig.configure(shaped(MEGABIT, vec![b(), a()]));
    rig.settle();
    let after = rig.qos("out").classes;
    for (old, new) in [(0, 1), (1, 0)] {
        let told = |c: &vsw_types::ClassStats| (c.sent, c.queue_packets, c.queue_bytes);
        assert_eq!(told(&before[old]), told(&after[new]));
    }
    // Told without a gap, before a worker had anything to do.
    rig.configure(shaped(2 * MEGABIT, vec![b(), a()]));
    let now = rig.qos("out").classes[1].sent;
    assert!(now.packets > 0 && now == after[1].sent, "{now:?}");
}

#[test]
fn a_faster_rate_does_not_wait_for_the_old_moment() {
    let mut rig = Rig::new(shaped(8_000, vec![]));
    put(&mut rig, 20, &udp(1000, 1, 1, (1, 2)));
    rig.let_pass(10 * MS, MS);
    assert!(rig.counters("out").queued() > 10, "one a second");
    rig.configure(shaped(100 * MEGABIT, vec![]));
    rig.let_pass(3 * MS, MS);
    assert_eq!(rig.counters("out").queued(), 0);
    rig.check_accounts();
}

#[test]
fn what_a_full_device_left_is_counted_when_it_leaves_or_dies() {
    let mut rig = Rig::new(shaped(100 * MEGABIT, vec![]));
    rig.peers["out"].accept_only(3);
    put(&mut rig, 10, &udp(1000, 1, 1, (1, 2)));
    rig.let_pass(10 * MS, MS / 10);
    let counts = |rig: &Rig| (rig.counters("out").tx_packets(), rig.counters("out").tx_bytes());
    assert_eq!(counts(&rig), (3, 3_000));
    rig.peers["out"].accept_only(2);
    rig.let_pass(10 * MS, MS / 10);
    assert_eq!(counts(&rig), (5, 5_000));
    rig.configure(vec![bridge("br0", vec![port("in", "trunk 10")])]);
    rig.let_pass(10 * MS, MS);
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn one_class_leaves_half_of_the_buffers_and_gets_its_own_again() {
    let pool = PoolSize { small: 256, large: 32 };
    let classes = |queue_us| {
        let class = |name: &str, pcp| class(name, pcp, |c| c.queue_us = queue_us);
        shaped(64_000, vec![class("a", 1), class("b", 2)])
    };
    let mut rig = Rig::start(Setup { pool, ..Default::default() }, classes(Some(100_000)));
    let fill = |rig: &mut Rig| {
        // By fours: the pool is no larger than what one class is given.
        (0..50).for_each(|_| put(rig, 4, &udp(200, 2, 1, (1, 2))));
        rig.heard();
        rig.counters("out").queued()
    };
    let first = fill(&mut rig);
    // Half of the pool is the queues', half of that one class's.
    assert!((50..=64).contains(&first), "{first}");
    let class = rig.qos("out").classes[1].clone();
    assert_eq!(class.drops[0].1, rig.drops("out", Tx)[0].1, "who was not let in is told");
    for _ in 0..4 {
        // Most of them die of old age.
        rig.let_pass(10 * SECOND, 100 * MS);
        assert_eq!(fill(&mut rig), first);
    }
    for _ in 0..4 {
        rig.configure(ports(None, None));
        rig.settle();
        assert_eq!(rig.counters("out").queued(), 0);
        rig.configure(classes(Some(100_000)));
        assert!(fill(&mut rig).abs_diff(first) < 2);
    }
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn policers_are_as_typed() {
    let with = |edit: fn(&mut DraftPolicer)| {
        let mut policer = DraftPolicer { rate: Some(8_000), burst: Some(2_000), ..Default::default() };
        edit(&mut policer);
        policer
    };
    // Frames of 500 bytes at one moment: green, yellow, red.
    for (policer, want) in [
        (with(|_| {}), [4, 0, 6]),
        (with(|p| p.excess_burst = Some(3_000)), [4, 6, 0]),
        (with(|p| (p.excess, p.excess_burst) = (Some(8_000), Some(2_000))), [4, 4, 2]),
        (with(|p| (p.peak, p.excess_burst) = (Some(8_000), Some(3_000))), [4, 2, 4]),
    ] {
        let mut rig = Rig::new(ports(Some(policer), None));
        put(&mut rig, 10, &udp(500, 1, 1, (1, 2)));
        let by = rig.qos("in").sent_by.unwrap();
        assert_eq!([by.green, by.yellow, by.red].map(|c| c.packets), want);
    }
    // An automatic burst: 300 ms, and not less than ten of 1,514 bytes.
    for (rate, want) in [(8 * MEGABIT, 300), (8_000, 15)] {
        let policer = DraftPolicer { rate: Some(rate), ..Default::default() };
        let mut rig = Rig::new(ports(Some(policer), None));
        put(&mut rig, 400, &udp(1000, 1, 1, (1, 2)));
        assert_eq!(rig.qos("in").sent_by.unwrap().green.packets, want);
    }
}

#[test]
fn marked_frames_are_counted_as_their_pieces() {
    let red = "remark".into();
    let policer = DraftPolicer { rate: Some(8_000), burst: Some(2_000), red, ..Default::default() };
    let mut rig = Rig::new(ports(Some(policer), None));
    // AF21; the first one is larger than the burst and passes.
    (0..2).for_each(|_| drop(rig.send("in", large(10, 18))));
    let by = rig.qos("in").sent_by.unwrap();
    assert_eq!((by.green.packets, by.red.packets, by.remarked), (10, 10, 10));
}
