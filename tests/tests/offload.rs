//! Frames with work left to do, from any port to any port: what comes out must be, bit for bit, what a
//! slow twin makes that builds every packet anew.
//!
//! And metadata that lies: dropped by name, never believed, never lost, and never a way into another VLAN.

mod twin;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::cell::RefCell;
use std::collections::BTreeMap;
use twin::{Field, Packet, packet};
use vsw_mem::{Csum, Gso, GsoKind, Offload, PoolSize};
use vsw_port::PortCaps;
use vsw_port::sim::SimFrame;
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::Direction::{Rx, Tx};

type Tags = &'static [(u16, u16)];

/// Through which ports, and with which tags in and out.
struct Way {
    from: &'static str,
    to: &'static str,
    tags_in: Tags,
    tags_out: Tags,
}

const C: u16 = 0x8100;
const S: u16 = 0x88a8;
#[rustfmt::skip]
const WAYS: [Way; 7] = [
    Way { from: "access 10", to: "access 10", tags_in: &[],                   tags_out: &[] },
    Way { from: "access 10", to: "trunk 10",  tags_in: &[],                   tags_out: &[(C, 10)] },
    Way { from: "trunk 10",  to: "access 10", tags_in: &[(C, 10)],            tags_out: &[] },
    Way { from: "access 10", to: "trunk 10",  tags_in: &[(C, 0xa000)],        tags_out: &[(C, 0xa00a)] },
    Way { from: "trunk 10",  to: "trunk 10",  tags_in: &[(S, 10), (C, 5)],    tags_out: &[(S, 10), (C, 5)] },
    Way { from: "qinq 10",   to: "trunk 10",  tags_in: &[(C, 0x2005)],        tags_out: &[(S, 0x200a), (C, 0x2005)] },
    Way { from: "trunk 10",  to: "qinq 10",   tags_in: &[(S, 10), (C, 5)],    tags_out: &[(C, 5)] },
];

const CAPS: [PortCaps; 7] = [
    PortCaps::ALL,
    PortCaps::NONE,
    PortCaps { csum: true, ..PortCaps::NONE },
    PortCaps { uso: false, ..PortCaps::ALL },
    PortCaps { tso4: false, ..PortCaps::ALL },
    PortCaps { tso6: false, uso: false, ..PortCaps::ALL },
    PortCaps { chains: false, ..PortCaps::ALL },
];

const MTUS: [usize; 3] = [1500, 9000, 65_521];

/// What the sender leaves to do.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    /// Somebody checked it.
    Checked,
    Checksum,
    /// Cut after so many bytes.
    Cut(u16),
}

thread_local! {
    /// A switch for each (way, capabilities, MTU), made when first asked for.
    static RIGS: RefCell<BTreeMap<(usize, usize, usize), Rig>> = const { RefCell::new(BTreeMap::new()) };
}

/// Two ports listen: `out` with some capabilities, and `best`, with all of them, that must not notice.
fn rig(way: usize, caps: usize, mtu: usize) -> Rig {
    let Way { from, to, .. } = WAYS[way];
    let mtu = format!("mtu {}", MTUS[mtu]);
    let ports =
        vec![port("in", from), port("out", &format!("{to} {mtu}")), port("best", &format!("{to} {mtu}"))];
    let caps = BTreeMap::from([("out".to_owned(), CAPS[caps])]);
    let pool = PoolSize { small: 256, large: 48 };
    Rig::start(Setup { caps, pool, ..Default::default() }, vec![bridge("br0", ports)])
}

fn offload(p: &Packet, tags: Tags, left: Left) -> Offload {
    let l2 = 14 + 4 * tags.len();
    let csum = Csum::Partial { start: (l2 + p.to_l4()) as u16, offset: p.checksum_offset() };
    let kind = match (p.udp, p.v6) {
        (true, _) => GsoKind::Udp,
        (_, false) => GsoKind::Tcp4,
        (_, true) => GsoKind::Tcp6,
    };
    let hdr_len = (l2 + p.headers()) as u16;
    match left {
        Left::Nothing => Offload::NONE,
        Left::Checked => Offload { csum: Csum::Valid, gso: None },
        Left::Checksum => Offload { csum, gso: None },
        Left::Cut(size) => Offload { csum, gso: Some(Gso { kind, size, hdr_len, ecn: p.flags & 0x80 != 0 }) },
    }
}

fn field(left: Left) -> Field {
    if matches!(left, Left::Nothing | Left::Checked) { Field::Full } else { Field::Open }
}

/// What must come out of a port with `caps`.
fn expected(p: &Packet, tags: Tags, left: Left, caps: PortCaps) -> Vec<SimFrame> {
    let whole = |field, offload| vec![SimFrame { bytes: p.whole(tags, field), offload }];
    let cuts = match (p.udp, p.v6) {
        (true, _) => caps.uso,
        (_, false) => caps.tso4,
        (_, true) => caps.tso6,
    };
    // One buffer has no room for the longest of frames.
    let cuts = cuts && (caps.chains || p.whole(tags, Field::Open).len() <= vsw_mem::LARGE);
    match left {
        Left::Cut(size) if !cuts => {
            let (field, offload) = match caps.csum {
                true => (Field::Open, offload(p, tags, Left::Checksum)),
                false => (Field::Full, Offload::NONE),
            };
            let cut = p.cut(tags, size as usize, field);
            cut.into_iter().map(|bytes| SimFrame { bytes, offload }).collect()
        }
        Left::Checksum if !caps.csum => whole(Field::Full, Offload::NONE),
        other => whole(field(other), offload(p, tags, other)),
    }
}

fn check(p: &Packet, left: Left, way: usize, caps: usize, mtu: usize) {
    RIGS.with_borrow_mut(|rigs| {
        let rig = rigs.entry((way, caps, mtu)).or_insert_with(|| rig(way, caps, mtu));
        let Way { tags_in, tags_out, .. } = WAYS[way];
        let too_big = || rig.counters("out").drops(Tx, vsw_types::DropReason::TooBig);
        let before = too_big();
        let frame = SimFrame { bytes: p.whole(tags_in, field(left)), offload: offload(p, tags_in, left) };
        let mut by_port: BTreeMap<String, Vec<SimFrame>> = BTreeMap::new();
        rig.peers["in"].put(frame);
        rig.settle();
        for (port, frame) in rig.heard() {
            by_port.entry(port).or_default().push(frame);
        }
        let longest = match left {
            Left::Cut(size) => p.headers() + p.payload.len().min(size as usize),
            _ => p.headers() + p.payload.len(),
        };
        if longest > MTUS[mtu] {
            assert!(by_port.is_empty(), "larger than the MTU");
            let after = rig.counters("out").drops(Tx, vsw_types::DropReason::TooBig);
            assert_eq!(after, before + 1);
        } else {
            for (port, caps) in [("out", CAPS[caps]), ("best", PortCaps::ALL)] {
                same(&by_port.remove(port).unwrap_or_default(), &expected(p, tags_out, left, caps), port);
            }
        }
        rig.check_accounts();
    });
}

fn same(heard: &[SimFrame], expected: &[SimFrame], port: &str) {
    for (i, (h, e)) in heard.iter().zip(expected).enumerate() {
        let differ = h.bytes.iter().zip(&e.bytes).position(|(a, b)| a != b);
        assert_eq!(h.bytes.len(), e.bytes.len(), "{port}, frame {i}: length");
        assert_eq!(differ, None, "{port}, frame {i}: first byte that differs");
        assert_eq!(h.offload, e.offload, "{port}, frame {i}");
    }
    assert_eq!(heard.len(), expected.len(), "{port}: frames");
}

fn left() -> impl Strategy<Value = Left> {
    let size = prop_oneof![
        2 => prop::sample::select(&[1460u16, 1448, 1440, 8948, 65_535][..]),
        2 => 500u16..9000,
        1 => 17u16..200,
    ];
    prop_oneof![
        1 => Just(Left::Nothing),
        1 => Just(Left::Checked),
        3 => Just(Left::Checksum),
        8 => size.prop_map(Left::Cut),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/offload.regressions");
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_pair_agrees_with_the_twin(
        p in packet(), left in left(), way in 0..WAYS.len(), caps in 0..CAPS.len(), mtu in 0..MTUS.len(),
    ) {
        check(&p, left, way, caps, mtu);
    }
}

fn plain(udp: bool, v6: bool, len: usize) -> Packet {
    let payload = (0..len).map(|i| (i / 7) as u8).collect();
    Packet {
        udp,
        v6,
        ip_options: vec![],
        extensions: vec![],
        tcp_options: vec![1; 12],
        flags: 0x99, // CWR, ACK, PSH, FIN
        sequence: u32::MAX - 1000,
        id: 0xfffe,
        class: 2,
        payload,
    }
}

#[test]
fn every_way_and_every_device_once() {
    for (udp, v6) in [(false, false), (false, true), (true, false), (true, true)] {
        for way in 0..WAYS.len() {
            for caps in 0..CAPS.len() {
                for left in [Left::Nothing, Left::Checked, Left::Checksum, Left::Cut(1001), Left::Cut(8001)] {
                    check(&plain(udp, v6, 9001), left, way, caps, 2);
                }
                check(&plain(udp, v6, 1400), Left::Checksum, way, caps, 0);
                check(&plain(udp, v6, 65_000), Left::Cut(1400), way, caps, 0);
            }
        }
    }
}

#[test]
fn a_udp_checksum_of_zero_is_written_as_ones() {
    for v6 in [false, true] {
        let mut p = plain(true, v6, 10);
        // The sum over everything else, put into the payload, makes the checksum zero.
        p.payload[..2].fill(0);
        let l4 = 14 + p.to_l4();
        let whole = p.whole(&[], Field::Full);
        p.payload[..2].copy_from_slice(&whole[l4 + 6..l4 + 8]);
        assert_eq!(p.whole(&[], Field::Full)[l4 + 6..l4 + 8], [0xff, 0xff]);
        for left in [Left::Checksum, Left::Cut(1000)] {
            check(&p, left, 1, 1, 0);
        }
    }
}

#[test]
fn a_cut_over_a_chain_of_buffers_is_in_order() {
    // Headers end just before, at and behind the end of the first buffer.
    for len in 1700..1800 {
        check(&plain(false, false, len), Left::Cut(len as u16 - 1), 5, 1, 2);
    }
}

/// Over a cable, where a second tag goes on the copies of a frame whose first buffer is full already.
#[test]
fn a_long_frame_gets_two_tags_and_is_flooded() {
    let mut rig = Rig::new(vec![
        bridge("br0", vec![port("in", "access 10"), port("x", "trunk 10 patch y")]),
        bridge("br1", vec![port("y", "qinq 20 patch x"), port("out", "trunk 20"), port("best", "trunk 20")]),
    ]);
    let (p, left) = (plain(false, false, 20_000), Left::Cut(1400));
    let frame = SimFrame { bytes: p.whole(&[], Field::Open), offload: offload(&p, &[], left) };
    let heard = rig.send("in", frame);
    let twin = &expected(&p, &[(S, 20), (C, 10)], left, PortCaps::ALL)[0];
    assert_eq!(heard.iter().map(|(port, _)| &port[..]).collect::<Vec<_>>(), ["best", "out"]);
    heard
        .iter()
        .for_each(|(port, frame)| same(std::slice::from_ref(frame), std::slice::from_ref(twin), port));
    rig.check_accounts();
    rig.tear_down();
}

/// Metadata that no honest sender writes.
fn lies() -> impl Strategy<Value = Offload> {
    let near = prop_oneof![3 => 0u16..120, 1 => any::<u16>()];
    let csum = prop_oneof![
        6 => (near, prop_oneof![2 => Just(0u16), 2 => Just(6), 2 => Just(16), 1 => any::<u16>()])
            .prop_map(|(start, offset)| Csum::Partial { start, offset }),
        1 => Just(Csum::InFrame),
        1 => Just(Csum::Valid),
    ];
    let kind = prop::sample::select(&[GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp][..]);
    let size = prop_oneof![Just(0u16), Just(1), 1u16..100, any::<u16>()];
    let gso = (kind, size, any::<u16>(), any::<bool>()).prop_map(|(kind, size, hdr_len, ecn)| Gso {
        kind,
        size,
        hdr_len,
        ecn,
    });
    (csum, prop::option::of(gso)).prop_map(|(csum, gso)| Offload { csum, gso })
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn lies_hurt_nobody(
        p in packet(), offload in lies(), way in 0..WAYS.len(), caps in 0..CAPS.len(),
        damage in prop::collection::vec((14usize..80, any::<u8>()), 0..4),
        cut in prop::option::of(14usize..200),
    ) {
        let Way { tags_in, tags_out, .. } = WAYS[way];
        let l2 = 14 + 4 * tags_in.len();
        let mut bytes = p.whole(tags_in, Field::Open);
        bytes.truncate(cut.map_or(bytes.len(), |c| c.max(l2)));
        for (at, value) in damage {
            if at >= l2 && let Some(b) = bytes.get_mut(at) {
                *b = value;
            }
        }
        RIGS.with_borrow_mut(|rigs| {
            let rig = rigs.entry((way, caps, 2)).or_insert_with(|| rig(way, caps, 2));
            let head: Vec<u8> = p.whole(tags_out, Field::Open)[..14 + 4 * tags_out.len()].to_vec();
            for (port, frame) in rig.send("in", SimFrame { bytes, offload }) {
                assert!(frame.bytes.starts_with(&head), "{port}: addresses and tags are as decided");
                let caps = if port == "out" { CAPS[caps] } else { PortCaps::ALL };
                assert!(caps.csum || !matches!(frame.offload.csum, Csum::Partial { .. }));
                assert!(frame.offload.gso.is_none() || caps.tso4 || caps.tso6 || caps.uso);
            }
            rig.check_accounts();
        });
    }
}

#[test]
fn lies_are_dropped_by_name() {
    let p = plain(false, false, 5000);
    let good = offload(&p, &[], Left::Cut(1000));
    let gso = good.gso.unwrap();
    let with = |gso: Gso| Offload { gso: Some(gso), ..good };
    let csum = |start, offset| Offload { csum: Csum::Partial { start, offset }, gso: None };
    let wrong = [
        (with(Gso { kind: GsoKind::Tcp6, ..gso }), "another IP"),
        (with(Gso { kind: GsoKind::Udp, ..gso }), "another protocol"),
        (with(Gso { size: 0, ..gso }), "cuts of nothing"),
        (with(Gso { size: 1, ..gso }), "more cuts than any sender makes"),
        (Offload { csum: Csum::Partial { start: 35, offset: 16 }, ..good }, "a byte beside"),
        (Offload { csum: Csum::Partial { start: 34, offset: 6 }, ..good }, "the field of another protocol"),
        (Offload { csum: Csum::InFrame, ..good }, "to be cut, but its checksum is done"),
        (csum(34, u16::MAX), "a field behind the end"),
        (csum(34, 1800), "a field behind the first buffer"),
    ];
    let mut rig = rig(0, 1, 2);
    for (i, (offload, what)) in wrong.into_iter().enumerate() {
        let frame = SimFrame { bytes: p.whole(&[], Field::Open), offload };
        let to: Vec<_> = rig.send("in", frame).into_iter().map(|(port, _)| port).collect();
        assert_eq!(to, ["best"], "{what}: only to who can say no itself");
        assert_eq!(rig.drops("out", Tx), [("bad-offload", i as u64 + 1)], "{what}");
    }
    rig.check_accounts();
    rig.tear_down();
}

/// A checksum that is written over a tag would choose the VLAN after it was decided.
#[test]
fn no_checksum_reaches_a_tag() {
    let p = plain(false, false, 100);
    for (way, starts) in [(3, 14..18), (2, 14..18), (6, 14..22)] {
        let mut rig = rig(way, 1, 2);
        for (i, start) in starts.enumerate() {
            let offload = Offload { csum: Csum::Partial { start, offset: 0 }, gso: None };
            let bytes = p.whole(WAYS[way].tags_in, Field::Open);
            assert_eq!(rig.send("in", SimFrame { bytes, offload }), []);
            assert_eq!(rig.drops("in", Rx), [("bad-offload", i as u64 + 1)]);
        }
        rig.check_accounts();
        rig.tear_down();
    }
}
