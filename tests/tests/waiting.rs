//! What a port's attached side sends above its rate and what waits then, in simulated time.

use std::collections::BTreeMap;
use vsw_config::{DraftBridge, DraftPolicer, DraftPort, DraftProfile};
use vsw_mem::{Csum, Gso, GsoKind, Offload};
use vsw_port::PortCaps;
use vsw_port::sim::SimFrame;
use vsw_tests::frames::mac;
use vsw_tests::{Rig, Setup, bits, bridge, port};
use vsw_types::Direction::Rx;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MEGABIT: u64 = 1_000_000;

fn waiting(name: &str, words: &str, rate: u64) -> DraftPort {
    let mut p = port(name, words);
    let sent_by = Some(DraftPolicer { rate: Some(rate), red: "wait".into(), ..Default::default() });
    p.qos.own = Some(DraftProfile { sent_by, ..Default::default() });
    p
}

fn ports(rate: u64) -> Vec<DraftBridge> {
    vec![bridge("br0", vec![waiting("in", "", rate), port("out", ""), port("beside", "")])]
}

/// A broadcast UDP frame of a flow.
fn udp(len: usize, flow: u8) -> Vec<u8> {
    let mut f = [mac(0xff), mac(1)].concat();
    f.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, flow, 0, 53]);
    f.resize(len, 0);
    f
}

#[test]
fn a_port_sends_its_rate_and_no_more() {
    for rate in [MEGABIT, 10 * MEGABIT, 100 * MEGABIT] {
        let mut rig = Rig::new(ports(rate));
        let per_ms = (rate * 2 / 1000 / (1000 * 8)).max(1) as usize;
        let heard = rig.offer("in", 1_000, per_ms, &udp(1000, 1));
        let got = bits(&heard, "out") as f64 / rate as f64;
        assert!((0.99..1.03).contains(&got), "{got} of {rate}");
        let queue = rig.qos("in").sent_by_queue.expect("it waits");
        assert!(queue.queue_bytes > 0 && rig.counters("in").rx_queued() > 0);
        assert_eq!(rig.qos("in").sent_by, None, "nothing is policed");
        // What waits comes in, without anything new.
        rig.let_pass(10 * SECOND, MS);
        let queue = rig.qos("in").sent_by_queue.expect("it waits");
        assert_eq!((rig.counters("in").rx_queued(), queue.queue_bytes), (0, 0));
        assert_eq!(queue.sent.packets, rig.counters("in").forwarded());
        rig.check_accounts();
        rig.tear_down();
    }
}

#[test]
fn what_is_below_the_rate_comes_in_at_once() {
    let mut rig = Rig::new(ports(MEGABIT));
    for _ in 0..100 {
        rig.peers["in"].put(&udp(100, 1)[..]);
        let heard = rig.let_pass(MS, MS / 10);
        assert!(heard.iter().filter(|h| h.1 == "out").count() == 1, "no frame waits for the next one");
    }
    rig.tear_down();
}

#[test]
fn other_ports_do_not_wait() {
    let mut rig = Rig::new(ports(MEGABIT));
    (0..50).for_each(|_| rig.peers["in"].put(&udp(1000, 1)[..]));
    rig.pass(0);
    let frame = [&mac(0xff)[..], &mac(9), &udp(60, 2)[12..]].concat();
    rig.peers["beside"].put(&frame[..]);
    rig.settle();
    let heard = rig.heard();
    let passed = heard.iter().any(|(port, f)| port == "out" && f.bytes == frame);
    assert!(passed, "before those that wait");
    assert!(rig.counters("in").rx_queued() > 40);
    rig.let_pass(10 * SECOND, MS);
    rig.tear_down();
}

#[test]
fn a_flow_that_sends_little_passes_one_that_sends_much() {
    let mut rig = Rig::new(ports(MEGABIT));
    (0..100).for_each(|_| rig.peers["in"].put(&udp(1000, 1)[..]));
    rig.let_pass(MS, MS / 10);
    rig.peers["in"].put(&udp(100, 2)[..]);
    let heard = rig.let_pass(40 * MS, MS / 10);
    let small = heard.iter().find(|h| h.1 == "out" && h.2.bytes.len() == 100);
    assert!(small.is_some(), "100 frames of 8 ms each wait before it");
    rig.let_pass(10 * SECOND, MS);
    rig.tear_down();
}

#[test]
fn a_live_change_keeps_what_waits_and_none_lets_it_in() {
    let mut rig = Rig::new(ports(MEGABIT));
    let numbered = |n: u8| [udp(999, 1), vec![n]].concat();
    (0..40).for_each(|n| rig.peers["in"].put(&numbered(n)[..]));
    let mut all = rig.let_pass(10 * MS, MS);
    let queued = rig.counters("in").rx_queued();
    assert!(queued > 30, "{queued}");
    rig.configure(ports(10 * MEGABIT));
    assert_eq!(rig.counters("in").rx_queued(), queued, "queues stay");
    let heard = rig.let_pass(20 * MS, MS / 10);
    let got = bits(&heard, "out") as f64 / (10 * MEGABIT / 50) as f64;
    assert!((0.85..1.15).contains(&got), "the new rate holds at once: {got}");
    rig.configure(vec![bridge("br0", vec![port("in", ""), port("out", ""), port("beside", "")])]);
    all.extend(heard);
    all.extend(rig.let_pass(MS, MS));
    rig.check_accounts();
    assert_eq!((rig.counters("in").rx_queued(), rig.counters("in").forwarded()), (0, 40));
    let order = all.iter().filter(|h| h.1 == "out").map(|h| h.2.bytes[999]);
    assert!(order.eq(0..40), "in the order in which they came");
    rig.tear_down();
}

#[test]
fn what_waits_dies_with_its_port() {
    let mut rig = Rig::new(ports(MEGABIT));
    (0..40).for_each(|_| rig.peers["in"].put(&udp(1000, 1)[..]));
    rig.let_pass(10 * MS, MS);
    rig.heard();
    rig.configure(vec![bridge("br0", vec![port("out", ""), port("beside", "")])]);
    // Another one in its place is not taken for it.
    rig.configure(vec![bridge("br0", vec![port("new", ""), port("out", ""), port("beside", "")])]);
    assert!(rig.let_pass(SECOND, MS).is_empty());
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn a_full_queue_drops_by_name() {
    let mut rig = Rig::new(ports(MEGABIT));
    rig.offer("in", 1_000, 2, &udp(1000, 1));
    let drops: BTreeMap<_, _> = rig.drops("in", Rx).into_iter().collect();
    let told: u64 = rig.qos("in").sent_by_queue.expect("it waits").drops.iter().map(|d| d.1).sum();
    assert!(drops.contains_key("class-full") || drops.contains_key("class-delay"), "{drops:?}");
    assert_eq!(drops.values().sum::<u64>(), told);
    rig.tear_down();
}

#[test]
fn large_frames_are_cut_so_that_they_do_not_block() {
    let mut bytes = [mac(0xff), mac(1)].concat();
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend(10_052u16.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x80, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend([1; 12]);
    bytes.resize(14 + 10_052, 7);
    let gso = Some(Gso { kind: GsoKind::Tcp4, size: 1000, hdr_len: 66, ecn: false });
    let large = SimFrame { bytes, offload: Offload { csum: Csum::Partial { start: 34, offset: 16 }, gso } };
    let caps = BTreeMap::from([("out".to_owned(), PortCaps::ALL)]);
    let mut rig = Rig::with(1, caps, ports(MEGABIT));
    rig.peers["in"].put(large);
    let heard = rig.let_pass(SECOND, MS / 10);
    let at: Vec<u64> = heard.iter().filter(|h| h.1 == "out").map(|h| h.0).collect();
    assert_eq!(at.len(), 10, "ten pieces");
    // The burst first, which is two frames; then 8.5 ms each.
    assert!(at.windows(2).skip(3).all(|w| w[1] - w[0] > 7 * MS), "{at:?}");
    assert_eq!(rig.counters("in").rx_segmented(), 9);
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn frames_of_all_queues_wait_at_one_home() {
    let setup = Setup { workers: 2, queues: BTreeMap::from([("in".to_owned(), 2)]), ..Default::default() };
    let mut rig = Rig::start(setup, ports(10 * MEGABIT));
    let mut heard = Vec::new();
    for i in 0..1_000 {
        (0..4).for_each(|n| rig.peers["in"].put(&udp(1000, n)[..]));
        rig.pass(i % 2);
        heard.extend(rig.let_pass(MS, MS / 10));
    }
    rig.check_accounts();
    let got = bits(&heard, "out") as f64 / (10 * MEGABIT) as f64;
    assert!((0.99..1.03).contains(&got), "one rate, not one for each: {got}");
    rig.let_pass(10 * SECOND, MS);
    rig.tear_down();
}
