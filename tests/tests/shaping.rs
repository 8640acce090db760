//! What is sent to a shaped port, in simulated time: rates, queues, and that nothing vanishes meanwhile.

use std::collections::BTreeMap;
use vsw_config::{DraftBridge, DraftClass, DraftPort, DraftProfile, DraftShaper};
use vsw_mem::{Csum, Gso, GsoKind, Offload, PoolSize};
use vsw_port::PortCaps;
use vsw_port::sim::SimFrame;
use vsw_tests::frames::{c, mac};
use vsw_tests::{Rig, Setup, bits, bridge, port};
use vsw_types::Direction::Tx;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MEGABIT: u64 = 1_000_000;

fn shaped(name: &str, words: &str, max: u64, classes: Vec<DraftClass>) -> DraftPort {
    let mut p = port(name, words);
    let sent_to = Some(DraftShaper { max: Some(max), classes, ..Default::default() });
    p.qos.own = Some(DraftProfile { sent_to, ..Default::default() });
    p
}

fn one(max: u64) -> Vec<DraftBridge> {
    vec![bridge("br0", vec![port("in", ""), shaped("out", "", max, vec![]), port("free", "isolated")])]
}

/// A broadcast frame of `len` bytes, not IP.
fn frame(len: usize) -> Vec<u8> {
    let mut f = [&mac(0xff)[..], &mac(1), &[0x88, 0xb5]].concat();
    f.resize(len, 0);
    f
}

/// A broadcast UDP frame of a flow.
fn udp(len: usize, flow: u8, ecn: u8, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut f = [mac(0xff), mac(1)].concat();
    tags.iter().for_each(|(tpid, tci)| f.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat()));
    f.extend([8, 0, 0x45, ecn, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, flow, 0, 53]);
    f.resize(len, 0);
    f
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[test]
fn a_port_gets_its_rate_and_no_more() {
    for rate in [MEGABIT, 10 * MEGABIT, 100 * MEGABIT] {
        let mut rig = Rig::new(one(rate));
        // Twice the rate, so that the queue is never empty.
        let per_ms = (rate * 2 / 1000 / (1000 * 8)).max(1) as usize;
        let heard = rig.offer("in", 1_000, per_ms, &frame(1000));
        let got = share(bits(&heard, "out"), rate);
        assert!((0.99..1.03).contains(&got), "{got} of {rate}");
        assert_eq!(bits(&heard, "free"), 1_000 * per_ms as u64 * 8_000, "the port beside it is not shaped");
        assert!(rig.counters("out").queued() > 0);
        assert!(rig.qos("out").classes[0].queue_bytes > 0);
        // What waits leaves, without anything new.
        rig.let_pass(10 * SECOND, MS);
        assert_eq!((rig.counters("out").queued(), rig.qos("out").classes[0].queue_bytes), (0, 0));
        rig.check_accounts();
        rig.tear_down();
    }
}

#[test]
fn a_slow_port_paces_frame_by_frame() {
    let mut rig = Rig::new(one(64_000));
    (0..10).for_each(|_| rig.peers["in"].put(&frame(1000)[..]));
    let heard = rig.let_pass(2 * SECOND, MS / 100);
    let at: Vec<u64> = heard.iter().filter(|h| h.1 == "out").map(|h| h.0).collect();
    assert_eq!(at.len(), 10);
    // The burst first; then one each 125 ms, to the grain of the wheel and the step of the clock.
    let gaps: Vec<u64> = at.windows(2).map(|w| w[1] - w[0]).skip(4).collect();
    assert!(gaps.iter().all(|g| g.abs_diff(125 * MS) < MS / 10), "{gaps:?}");
}

#[test]
fn a_live_change_keeps_what_waits() {
    let mut rig = Rig::new(one(MEGABIT));
    (0..40).for_each(|_| rig.peers["in"].put(&frame(1000)[..]));
    rig.let_pass(10 * MS, MS);
    let queued = rig.counters("out").queued();
    assert!(queued > 30, "{queued}");
    rig.configure(one(10 * MEGABIT));
    assert_eq!(rig.counters("out").queued(), queued, "queues stay");
    let before = rig.qos("out").classes[0].sent.packets;
    let heard = rig.let_pass(20 * MS, MS / 10);
    let got = share(bits(&heard, "out"), 10 * MEGABIT / 50);
    assert!((0.85..1.15).contains(&got), "the new rate holds at once: {got}");
    assert!(rig.qos("out").classes[0].sent.packets > before);
    // Without a shaper all of it leaves, and no frame is missing.
    rig.configure(vec![bridge("br0", vec![port("in", ""), port("out", ""), port("free", "isolated")])]);
    rig.settle();
    assert_eq!((rig.counters("out").queued(), rig.counters("out").tx_packets()), (0, 40));
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn what_waits_dies_with_its_port() {
    let mut rig = Rig::new(one(MEGABIT));
    (0..40).for_each(|_| rig.peers["in"].put(&frame(1000)[..]));
    rig.let_pass(10 * MS, MS);
    rig.configure(vec![bridge("br0", vec![port("in", ""), port("free", "isolated")])]);
    rig.let_pass(SECOND, MS);
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn classes_share_by_weight() {
    let class = |name: &str, pcp, weight| DraftClass {
        name: name.into(),
        matches: vsw_config::DraftMatch { pcps: vec![pcp], ..Default::default() },
        weight: Some(weight),
        ..Default::default()
    };
    let classes = vec![class("three", 3, 3), class("one", 1, 1)];
    let mut rig = Rig::new(vec![bridge(
        "br0",
        vec![port("in", "trunk 10"), shaped("out", "trunk 10", 20 * MEGABIT, classes)],
    )]);
    for _ in 0..1_000 {
        for flow in 0..2 {
            rig.peers["in"].put(&udp(1500, flow, 0, &[c(3 << 13 | 10)])[..]);
            rig.peers["in"].put(&udp(1000, flow, 0, &[c(1 << 13 | 10)])[..]);
        }
        rig.let_pass(MS, MS / 10);
    }
    rig.check_accounts();
    let classes = rig.qos("out").classes;
    let (three, one) = (classes[0].sent.bytes, classes[1].sent.bytes);
    assert!((share(three, three + one) - 0.75).abs() < 0.01, "{three} {one}");
    assert!((share((three + one) * 8, 20 * MEGABIT) - 1.0).abs() < 0.03);
}

#[test]
fn a_full_queue_says_so_and_marks_those_who_understand() {
    for (ecn, reasons) in [(0, vec!["class-full", "class-delay"]), (2, vec!["class-full"])] {
        let mut rig = Rig::new(one(10 * MEGABIT));
        rig.offer("in", 2_000, 1, &udp(1480, 1, ecn, &[]));
        let heard: Vec<_> = rig.drops("out", Tx).into_iter().map(|d| d.0).collect();
        assert!(heard.iter().all(|r| reasons.contains(r)) && !heard.is_empty(), "{heard:?}");
        let class = &rig.qos("out").classes[0];
        assert_eq!(class.ecn_marked > 0, ecn != 0);
        let dropped: u64 = class.drops.iter().map(|d| d.1).sum();
        assert_eq!(dropped, rig.counters("out").dropped(Tx));
        assert!(class.queue_bytes_max <= 10 * MEGABIT / 32 && class.delay_ns_max < 300 * MS, "{class:?}");
    }
}

fn large(len: usize) -> SimFrame {
    let mut bytes = [mac(0xff), mac(1)].concat();
    bytes.extend([8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([1, 2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 1, 0, 0, 0, 0]);
    let total = (len - 14) as u16;
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    bytes.resize(len, 3);
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1446, hdr_len: 54, ecn: false });
    SimFrame { bytes, offload: Offload { csum: Csum::Partial { start: 34, offset: 16 }, gso } }
}

#[test]
fn large_frames_are_cut_only_where_they_would_block_a_slow_port() {
    let pool = PoolSize { small: 4096, large: 64 };
    let ports = vec![
        port("in", ""),
        shaped("slow", "", 10 * MEGABIT, vec![]),
        shaped("fast", "", 10_000 * MEGABIT, vec![]),
        shaped("poor", "", 10_000 * MEGABIT, vec![]),
    ];
    let caps = BTreeMap::from([("poor".to_owned(), PortCaps::NONE)]);
    let mut rig = Rig::start(Setup { pool, caps, ..Default::default() }, vec![bridge("br0", ports)]);
    rig.peers["in"].put(large(54 + 20 * 1446));
    let heard = rig.let_pass(100 * MS, MS / 100);
    let frames =
        |port: &str| heard.iter().filter(|h| h.1 == port).map(|h| h.2.bytes.len()).collect::<Vec<_>>();
    assert_eq!(frames("slow"), [1500; 20]);
    assert_eq!(frames("fast"), [54 + 20 * 1446]);
    assert_eq!(frames("poor"), [1500; 20]);
    // 240 kbit, 100 of which at once.
    let at: Vec<u64> = heard.iter().filter(|h| h.1 == "slow").map(|h| h.0).collect();
    assert!((13 * MS..16 * MS).contains(&(at[19] - at[0])), "{at:?}");
    for port in ["slow", "fast", "poor"] {
        let sent = rig.qos(port).classes[0].sent;
        assert_eq!((sent.packets, sent.bytes), (20, 20 * 1500), "{port}: counted as on the wire");
    }
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn queues_leave_buffers_for_others() {
    // Ports too slow to matter, each offered more than the whole pool.
    let pool = PoolSize { small: 256, large: 32 };
    let names: Vec<String> = (0..6).map(|i| format!("slow{i}")).collect();
    let mut ports = vec![port("in", ""), port("free", "")];
    ports.extend(names.iter().map(|n| shaped(n, "", 1_000, vec![])));
    ports.push(shaped("fast", "", 10_000 * MEGABIT, vec![]));
    let mut rig = Rig::start(Setup { pool, ..Default::default() }, vec![bridge("br0", ports)]);
    for _ in 0..500 {
        rig.peers["in"].put(&udp(100, 1, 0, &[])[..]);
        rig.settle();
        let heard = rig.heard();
        assert_eq!(heard.iter().filter(|h| h.0 == "free").count(), 1);
        assert_eq!(heard.iter().filter(|h| h.0 == "fast").count(), 1);
        rig.check_accounts();
    }
    let queued: Vec<u64> = names.iter().map(|n| rig.counters(n).queued()).collect();
    assert!(queued.iter().sum::<u64>() <= 192 && queued.iter().all(|n| *n > 0), "{queued:?}");
    rig.tear_down();
}

#[test]
fn a_device_that_is_full_is_tried_again() {
    let mut rig = Rig::new(one(100 * MEGABIT));
    rig.peers["out"].accept_only(3);
    (0..10).for_each(|_| rig.peers["in"].put(&frame(1000)[..]));
    rig.let_pass(10 * MS, MS / 10);
    assert_eq!((rig.counters("out").tx_packets(), rig.counters("out").queued()), (3, 7));
    rig.check_accounts();
    rig.peers["out"].accept_only(100);
    rig.let_pass(10 * MS, MS / 10);
    assert_eq!((rig.counters("out").tx_packets(), rig.counters("out").queued()), (10, 0));
    rig.check_accounts();
}

#[test]
fn frames_of_all_workers_wait_at_one_home() {
    let setup = Setup { workers: 3, ..Default::default() };
    let mut ports = vec![shaped("out", "", 8 * MEGABIT, vec![])];
    ports.extend((0..3).map(|i| port(&format!("in{i}"), "isolated")));
    let mut rig = Rig::start(setup, vec![bridge("br0", ports)]);
    let mut all = Vec::new();
    for _ in 0..500 {
        (0..3).for_each(|i| rig.peers[&format!("in{i}")].put(&frame(1000)[..]));
        all.extend(rig.let_pass(MS, MS / 10));
    }
    let got = share(bits(&all, "out"), 4 * MEGABIT);
    assert!((0.99..1.05).contains(&got), "{got}");
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn no_port_starves_because_others_come_first() {
    // More ports than the pool has buffers for all that they could queue, offered in the same order each time.
    let pool = PoolSize { small: 512, large: 8 };
    let names: Vec<String> = (10..70).map(|i| format!("p{i}")).collect();
    let mut ports: Vec<_> = names.iter().map(|n| shaped(n, "", MEGABIT, vec![])).collect();
    ports.push(port("in", ""));
    let mut rig = Rig::start(Setup { pool, ..Default::default() }, vec![bridge("br0", ports)]);
    let to = |station: usize, len| {
        let mut f = frame(len);
        f[..6].copy_from_slice(&mac(station as u8));
        f
    };
    for (i, name) in names.iter().enumerate() {
        let mut hello = frame(60);
        hello[6..12].copy_from_slice(&mac(100 + i as u8));
        rig.send(name, &hello[..]);
    }
    rig.let_pass(SECOND, 10 * MS);
    let sent = |rig: &Rig, name: &str| rig.counters(name).tx_bytes() * 8;
    let before: Vec<u64> = names.iter().map(|n| sent(&rig, n)).collect();
    // All that each has waiting first, then the next one's.
    for _ in 0..500 {
        for i in 0..names.len() {
            (0..8).for_each(|_| rig.peers["in"].put(&to(100 + i, 250)[..]));
        }
        rig.let_pass(3 * MS, 3 * MS);
    }
    for (name, before) in names.iter().zip(before) {
        let got = share(sent(&rig, name) - before, 3 * MEGABIT / 2);
        assert!((0.95..1.05).contains(&got), "{name}: {got}");
    }
    rig.check_accounts();
    rig.tear_down();
}
