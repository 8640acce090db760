//! Quality of service as tables: what is policed, marked, put into which class, and held back when flooded.
//!
//! Marks must come out as in a packet that another library builds with them, checksum and all, also where
//! the packet is cut on the way.

mod twin;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use twin::{Field, Packet, packet};
use vsw_config::{DraftClass, DraftMatch, DraftPolicer, DraftPort, DraftPortQos, DraftRate, DraftShaper};
use vsw_mem::{Csum, Gso, GsoKind, Offload};
use vsw_port::PortCaps;
use vsw_port::sim::SimFrame;
use vsw_tests::frames::{c, frame, mac, s};
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::Direction::{Rx, Tx};

const MS: u64 = 1_000_000;

fn with(name: &str, words: &str, set: impl FnOnce(&mut DraftPortQos)) -> DraftPort {
    let mut p = port(name, words);
    set(&mut p.qos);
    p
}

fn class(name: &str, set: impl FnOnce(&mut DraftClass)) -> DraftClass {
    let mut c = DraftClass { name: name.into(), ..Default::default() };
    set(&mut c);
    c
}

fn shaped(classes: Vec<DraftClass>) -> impl FnOnce(&mut DraftPortQos) {
    let sent_to = Some(DraftShaper { classes, ..Default::default() });
    |qos| qos.own = Some(vsw_config::DraftProfile { sent_to, ..Default::default() })
}

fn policed(sent_by: DraftPolicer) -> impl FnOnce(&mut DraftPortQos) {
    |qos| qos.own = Some(vsw_config::DraftProfile { sent_by: Some(sent_by), ..Default::default() })
}

fn ip(udp: bool, v6: bool, class: u8, len: usize) -> Packet {
    let payload = vec![7; len];
    let (ip_options, extensions, tcp_options) = (vec![], vec![], vec![]);
    Packet { udp, v6, ip_options, extensions, tcp_options, flags: 0x10, sequence: 1, id: 1, class, payload }
}

/// Conditions, in the order in which they are tried.
fn conditions() -> Vec<DraftClass> {
    let matching = |name, matches| class(name, |c| c.matches = matches);
    vec![
        matching("pcp5", DraftMatch { pcps: vec![5], ..Default::default() }),
        matching("ef", DraftMatch { dscps: vec![46], ..Default::default() }),
        matching("vlan20", DraftMatch { vlans: Some("20-29".into()), ..Default::default() }),
        matching("local", DraftMatch { ethertypes: vec![0x88b5], ..Default::default() }),
        matching("web", DraftMatch { protocols: vec![6], ports: vec![(80, 80)], ..Default::default() }),
        matching("dns", DraftMatch { ports: vec![(1, 53)], ..Default::default() }),
        matching("udp", DraftMatch { protocols: vec![17], ..Default::default() }),
    ]
}

#[test]
fn the_first_class_that_matches_has_the_frame() {
    let mut rig = Rig::new(vec![bridge(
        "br0",
        vec![port("in", "trunk 10,20,30 native 30"), with("out", "trunk 10,20,30", shaped(conditions()))],
    )]);
    let (udp, tcp) = (ip(true, false, 0, 9), ip(false, false, 0, 9));
    let ef = |p: &Packet| Packet { class: 46 << 2 | 1, ..p.clone() };
    #[rustfmt::skip]
    let table = [
        ("pcp5",   frame(0xff, 1, &[c(5 << 13 | 10)])),
        ("pcp5",   ef(&udp).whole(&[c(5 << 13 | 20)], Field::Full)),
        ("ef",     ef(&udp).whole(&[c(10)], Field::Full)),
        ("ef",     Packet { v6: true, ..ef(&tcp) }.whole(&[c(20)], Field::Full)),
        ("ef",     ef(&tcp).whole(&[s(10), c(5 << 13 | 20)], Field::Full)), // of two tags the first counts
        ("vlan20", frame(0xff, 1, &[c(20)])),
        ("vlan20", udp.whole(&[c(6 << 13 | 20)], Field::Full)),
        ("local",  frame(0xff, 1, &[])),
        ("local",  frame(0xff, 1, &[c(10), c(20)])),
        ("web",    tcp.whole(&[], Field::Full)),
        ("web",    Packet { v6: true, ..tcp.clone() }.whole(&[c(10)], Field::Full)),
        ("dns",    udp.whole(&[c(10)], Field::Full)),
        ("rest",   [&mac(0xff)[..], &mac(1), &[0x08, 0x06], &[0; 46]].concat()),
    ];
    let names: Vec<String> = conditions().into_iter().map(|c| c.name).chain(["rest".into()]).collect();
    for (i, (name, bytes)) in table.into_iter().enumerate() {
        let before = rig.qos("out").classes;
        assert_eq!(rig.send("in", &bytes[..]).len(), 1);
        let after = rig.qos("out").classes;
        let grown = |n: &usize| after[*n].sent.packets > before[*n].sent.packets;
        let hit: Vec<_> = (0..names.len()).filter(grown).map(|n| names[n].as_str()).collect();
        assert_eq!(hit, [name], "row {i}");
    }
    rig.check_accounts();
}

#[test]
fn a_fragment_has_no_ports_but_all_the_rest() {
    let mut rig = Rig::new(vec![bridge("br0", vec![port("in", ""), with("out", "", shaped(conditions()))])]);
    let mut bytes = ip(true, false, 0, 40).whole(&[], Field::Full);
    bytes[20] = 0x20; // more fragments
    rig.send("in", &bytes[..]);
    assert_eq!(rig.qos("out").classes[6].sent.packets, 1, "it is UDP");
}

#[test]
fn marks_count_as_far_as_the_port_is_trusted() {
    let both = || {
        vec![
            class("p", |c| c.matches.pcps = vec![5]),
            class("d", |c| c.matches.dscps = vec![46]),
            class("cs5", |c| c.matches.dscps = vec![40]),
            class("zero", |c| c.matches.dscps = vec![0]),
        ]
    };
    // A frame of PCP 5 with DSCP 46, one of PCP 0 with 46, one of PCP 5 with 0.
    for (trust, want) in [
        ("both", [0, 1, 0]),
        ("none", [3, 3, 3]),
        ("pcp", [0, 3, 0]),
        ("dscp", [0, 0, 3]), // 46 is of precedence 5
    ] {
        let mut rig = Rig::new(vec![bridge(
            "br0",
            vec![with("in", "trunk 10", |q| q.trust = trust.into()), with("out", "trunk 10", shaped(both()))],
        )]);
        for ((pcp, dscp), class) in [(5, 46), (0, 46), (5, 0)].into_iter().zip(want) {
            let before = rig.qos("out").classes[class].sent.packets;
            let bytes = ip(true, false, dscp << 2, 9).whole(&[c(pcp << 13 | 10)], Field::Full);
            let heard = rig.send("in", &bytes[..]);
            assert_eq!(heard[0].1.bytes, bytes, "the marks themselves stay");
            assert_eq!(rig.qos("out").classes[class].sent.packets, before + 1, "{trust}: {pcp} {dscp}");
        }
    }
}

/// A class that writes marks, at a port that can do nothing and one that can do all.
fn marking_rig() -> Rig {
    let marks = || vec![class("all", |c| (c.set_dscp, c.set_pcp) = (Some(10), Some(6)))];
    let ports = vec![
        port("in", "trunk 10"),
        with("plain", "trunk 10 mtu 65521", shaped(marks())),
        with("best", "trunk 10 mtu 65521", shaped(marks())),
        with("bare", "access 10 mtu 65521", shaped(marks())),
    ];
    let caps = [("plain".to_owned(), PortCaps::NONE)].into();
    let pool = vsw_mem::PoolSize { small: 16_384, large: 512 };
    Rig::start(Setup { caps, pool, ..Default::default() }, vec![bridge("br0", ports)])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Default::default()
    })]

    /// Whatever the packet, whole or to be cut: the marks are those of one that was built with them.
    #[test]
    fn marks_are_written_as_if_the_sender_had(p in packet(), size in 200u16..9000) {
        thread_local!(static RIG: std::cell::RefCell<Option<Rig>> = const { std::cell::RefCell::new(None) });
        RIG.with_borrow_mut(|rig| {
            let rig = rig.get_or_insert_with(marking_rig);
            let tags: &[(u16, u16)] = &[c(3 << 13 | 10)];
            let kind = match (p.udp, p.v6) {
                (true, _) => GsoKind::Udp,
                (_, false) => GsoKind::Tcp4,
                (_, true) => GsoKind::Tcp6,
            };
            let csum = |l2: usize| Csum::Partial { start: (l2 + p.to_l4()) as u16, offset: p.checksum_offset() };
            let gso = Gso { kind, size, hdr_len: (18 + p.headers()) as u16, ecn: p.flags & 0x80 != 0 };
            let offload = Offload { csum: csum(18), gso: Some(gso) };
            rig.peers["in"].put(SimFrame { bytes: p.whole(tags, Field::Open), offload });
            rig.settle();
            let heard = rig.heard();
            let marked = Packet { class: 10 << 2 | p.class & 3, ..p.clone() };
            let by = |port: &str| heard.iter().filter(|h| h.0 == port).map(|h| h.1.bytes.clone()).collect::<Vec<_>>();
            let new: &[(u16, u16)] = &[c(6 << 13 | 10)];
            assert_eq!(by("plain"), marked.cut(new, size.into(), Field::Full));
            assert_eq!(by("best"), [marked.whole(new, Field::Open)]);
            assert_eq!(by("bare"), [marked.whole(&[], Field::Open)]);
            rig.check_accounts();
        });
    }
}

#[test]
fn what_is_above_the_rate_dies_and_the_rest_passes() {
    // 8 kbit/s and 1,000 bytes at once: ten frames of 100 bytes, then one in 100 ms.
    let slow = DraftPolicer { rate: Some(8_000), burst: Some(2_000), ..Default::default() };
    let mut rig = Rig::new(vec![bridge("br0", vec![with("a", "", policed(slow)), port("b", "")])]);
    let bytes = ip(true, false, 0, 58).whole(&[], Field::Full);
    assert_eq!(bytes.len(), 100);
    let passed = |rig: &mut Rig, n: usize| (0..n).map(|_| rig.send("a", &bytes[..]).len()).sum::<usize>();
    assert_eq!(passed(&mut rig, 30), 20);
    rig.now.0 += 500 * MS;
    assert_eq!(passed(&mut rig, 30), 5);
    assert_eq!(rig.drops("a", Rx), [("policed", 35)]);
    assert_eq!(rig.send("b", &frame(0xff, 2, &[])[..]).len(), 1, "it is about what `a` sends");
    let stats = rig.qos("a").sent_by.unwrap();
    assert_eq!((stats.green.packets, stats.red.packets, stats.dropped.bytes), (25, 35, 3_500));
    rig.check_accounts();
}

#[test]
fn a_frame_to_be_cut_is_policed_as_its_pieces() {
    let pps = DraftPolicer { packets: Some(100), packet_burst: Some(20), ..Default::default() };
    let mut rig = Rig::new(vec![bridge("br0", vec![with("a", "", policed(pps)), port("b", "")])]);
    let p = ip(false, false, 0, 10_000);
    let offload = Offload {
        csum: Csum::Partial { start: 34, offset: 16 },
        gso: Some(Gso { kind: GsoKind::Tcp4, size: 1000, hdr_len: 54, ecn: false }),
    };
    let big = || SimFrame { bytes: p.whole(&[], Field::Open), offload };
    let passed: Vec<_> = (0..3).map(|_| rig.send("a", big()).len()).collect();
    assert_eq!(passed, [1, 1, 0]);
    let stats = rig.qos("a").sent_by.unwrap();
    assert_eq!((stats.green.packets, stats.green.bytes), (20, 2 * (10_000 + 10 * 54)));
    rig.check_accounts();
}

#[test]
fn colours_become_drop_precedence() {
    // RFC 2698: green up to 8 kbit/s, yellow up to twice that.
    let policer = DraftPolicer {
        rate: Some(8_000),
        burst: Some(2_000),
        peak: Some(16_000),
        excess_burst: Some(4_000),
        yellow: "remark".into(),
        red: "remark".into(),
        ..Default::default()
    };
    let mut rig = Rig::new(vec![bridge("br0", vec![with("a", "", policed(policer)), port("b", "")])]);
    // AF21 with ECT(1); DSCPs that have no precedence stay.
    for (dscp, [green, yellow, red]) in [(18, [18, 20, 22]), (46, [46, 46, 46])] {
        rig.wait(10);
        let sent = ip(true, true, dscp << 2 | 1, 500 - 62);
        let expected = |dscp: u8| Packet { class: dscp << 2 | 1, ..sent.clone() }.whole(&[], Field::Full);
        for (i, dscp) in [green; 4].into_iter().chain([yellow; 4]).chain([red; 2]).enumerate() {
            let heard = rig.send("a", &sent.whole(&[], Field::Full)[..]);
            assert_eq!(heard[0].1.bytes, expected(dscp), "frame {i}");
        }
    }
    let stats = rig.qos("a").sent_by.unwrap();
    assert_eq!((stats.green.packets, stats.yellow.packets, stats.red.packets), (8, 8, 4));
    assert_eq!((stats.remarked, stats.dropped.packets), (6, 0));
}

#[test]
fn a_change_keeps_the_tokens() {
    let at = |rate| DraftPolicer { rate: Some(rate), burst: Some(2_000), ..Default::default() };
    let config = |rate| vec![bridge("br0", vec![with("a", "", policed(at(rate))), port("b", "")])];
    let mut rig = Rig::new(config(8_000));
    let bytes = ip(true, false, 0, 58).whole(&[], Field::Full);
    let passed = |rig: &mut Rig| (0..30).map(|_| rig.send("a", &bytes[..]).len()).sum::<usize>();
    assert_eq!(passed(&mut rig), 20);
    rig.configure(config(80_000));
    assert_eq!(passed(&mut rig), 0, "a change gives nothing away");
    rig.now.0 += 100 * MS;
    assert_eq!(passed(&mut rig), 10, "and is in force");
    assert_eq!(rig.qos("a").sent_by.unwrap().green.packets, 30, "numbers go on");
    rig.configure(vec![bridge("br0", vec![port("a", ""), port("b", "")])]);
    assert_eq!((passed(&mut rig), rig.qos("a").sent_by), (30, None));
    rig.check_accounts();
}

#[test]
fn storms_are_limited_by_kind_and_leave_others_alone() {
    let storm = |qos: &mut DraftPortQos| {
        qos.storm.broadcast = Some(DraftRate::Packets(500));
        qos.storm.multicast = Some(DraftRate::Packets(100));
        qos.storm.unknown = Some(DraftRate::Bits(480_000)); // 1,000 frames of 60 bytes
    };
    let mut rig = Rig::new(vec![bridge("br0", vec![with("a", "", storm), port("b", "")])]);
    rig.send("b", &frame(0xff, 2, &[])[..]); // so that 2 is known
    let mut group = frame(0, 1, &[]);
    group[0] = 1;
    let kinds = [frame(0xff, 1, &[]), group, frame(9, 1, &[]), frame(2, 1, &[])];
    let mut heard = [0; 4];
    // Ten seconds of 2,000 frames of each.
    for _ in 0..20_000 {
        rig.now.0 += MS / 2;
        for (kind, heard) in kinds.iter().zip(&mut heard) {
            *heard += rig.send("a", &kind[..]).len();
        }
    }
    let near = |n: usize, want: usize| n >= want && n <= want + want / 20;
    assert!(near(heard[0], 5_000) && near(heard[1], 1_000) && near(heard[2], 10_000), "{heard:?}");
    assert_eq!(heard[3], 20_000, "unicast loses nothing");
    let drops = rig.drops("a", Rx);
    assert_eq!(drops.len(), 3);
    for ((name, n), (want, heard)) in
        drops.into_iter().zip(["storm-broadcast", "storm-multicast", "storm-unknown"].into_iter().zip(heard))
    {
        assert_eq!((name, n), (want, 20_000 - heard as u64));
    }
    let stats = rig.qos("a").storm;
    assert_eq!(
        (stats[0].passed.packets, stats[2].dropped.packets),
        (heard[0] as u64, 20_000 - heard[2] as u64)
    );
    rig.check_accounts();
    assert!(rig.drops("b", Tx).is_empty());
}
