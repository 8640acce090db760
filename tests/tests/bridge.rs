//! What the bridge does, frame by frame: frames in, frames out, and exactly what moved.

use vsw_tests::frames::{c, frame, s};
use vsw_tests::{Heard, Rig, bridge, port};
use vsw_types::Direction::{Rx, Tx};

/// "b t:8100/10" for a frame that came out of b untagged and out of t with a tag.
fn told(heard: &Heard) -> String {
    let tags = |f: &[u8]| {
        let mut said = String::new();
        let mut at = 12;
        while matches!(f[at..at + 2], [0x81, 0x00] | [0x88, 0xa8]) {
            said += &format!(
                ":{}{}",
                if f[at] == 0x81 { "c" } else { "s" },
                u16::from_be_bytes([f[at + 2], f[at + 3]])
            );
            at += 4;
        }
        assert_eq!(f.len() - at, 2 + 46, "the payload is whole");
        said
    };
    heard.iter().map(|(p, f)| format!("{p}{}", tags(&f.bytes))).collect::<Vec<_>>().join(" ")
}

/// PCP 5 in a TCI.
const P5: u16 = 5 << 13;

type Row<'a> = (&'a str, u8, u8, &'a [(u16, u16)], &'a str);

/// Rows: in-port, dst, src, tags => what comes out.
fn run(rig: &mut Rig, rows: &[Row<'_>]) {
    for (i, (port, dst, src, tags, want)) in rows.iter().enumerate() {
        let got = told(&rig.send(port, &frame(*dst, *src, tags)[..]));
        assert_eq!(got, *want, "row {i}: {:?}", rows[i]);
        rig.check_accounts();
    }
}

#[test]
fn access_and_trunk() {
    let ports = vec![
        port("a", "access 10"),
        port("b", "access 10"),
        port("c", "access 20"),
        port("t", "trunk 10,20"),
    ];
    let mut rig = Rig::new(vec![bridge("br0", ports)]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a", 2,    1, &[],              "b t:c10"),       // unknown: flood VLAN 10
        ("b", 1,    2, &[],              "a"),             // a was learned
        ("a", 2,    1, &[],              "b"),             // and so was b
        ("c", 2,    3, &[],              "t:c20"),         // VLAN 20 knows no 2
        ("t", 3,    9, &[c(20)],         "c"),             // the tag comes off
        ("c", 9,    3, &[],              "t:c20"),         // the tag goes on
        ("t", 3,    9, &[c(30)],         ""),              // not allowed
        ("t", 3,    9, &[c(4095)],       ""),              // reserved
        ("t", 3,    9, &[],              ""),              // no native VLAN
        ("t", 3,    9, &[c(0)],          ""),              // a priority is no VLAN
        ("a", 0xff, 1, &[],              "b t:c10"),       // broadcast
        ("a", 0xff, 1, &[c(P5)],         "b t:c40970"),    // priority-tagged: untagged, keeps its priority
        ("a", 0xff, 1, &[c(10)],         ""),              // tagged on an access port
        ("a", 0xff, 1, &[c(0), c(20)],   ""),              // a hidden tag
        ("t", 0xff, 9, &[c(10), c(20)],  ""),              // would show its second tag to a and b
        ("b", 2,    2, &[],              ""),              // to itself
        ("t", 0xff, 9, &[s(10)],         "a b"),           // a service tag is a tag
    ]);
    assert_eq!(rig.drops("a", Rx), [("tagged-on-access", 1), ("nested-tag", 1)]);
    assert_eq!(rig.drops("t", Rx), [("vlan-not-allowed", 2), ("no-native-vlan", 2)]);
    assert_eq!((rig.drops("a", Tx), rig.drops("b", Tx)), (vec![("nested-tag", 1)], vec![("nested-tag", 1)]));
    assert_eq!(rig.drops("b", Rx), [("hairpin", 1)]);
    rig.tear_down();
}

#[test]
fn native_vlans() {
    let ports = vec![
        port("u", "trunk 10,20 native 10"),
        port("n", "trunk 10,20 native 10 tagged"),
        port("a", "access 10"),
        port("x", ""),
    ];
    let mut rig = Rig::new(vec![bridge("br0", ports)]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a", 0xff, 1, &[],             "n:c10 u x:c10"), // native-tagged sends it tagged
        ("u", 0xff, 2, &[],             "a n:c10 x:c10"),
        ("u", 0xff, 2, &[c(10)],        "a n:c10 x:c10"), // tagged with the native VLAN is fine
        ("n", 0xff, 3, &[],             "a u x:c10"),
        ("u", 0xff, 2, &[c(20)],        "n:c20 x:c20"),
        ("u", 0xff, 2, &[c(P5)],        "a n:c40970 x:c40970"),
        ("x", 0xff, 4, &[],             ""),              // VLAN 1: only x itself carries it
        ("x", 0xff, 4, &[c(20)],        "n:c20 u:c20"),
        ("n", 0xff, 3, &[c(10), c(20)], "x:c10:c20"),     // not to u and a, which would show tag 20
    ]);
    assert_eq!(rig.drops("x", Rx), [("no-destination", 1)]);
    assert_eq!(rig.drops("u", Tx), [("nested-tag", 1)]);
}

#[test]
fn qinq() {
    let ports = vec![
        port("q", "qinq 100"),
        port("r", "qinq 100 cvlans 5-6"),
        port("t", "trunk 100"),
        port("a", "access 100"),
    ];
    let mut rig = Rig::new(vec![bridge("br0", ports)]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("q", 0xff, 1, &[],                     "a t:s100"),          // r takes only 5 and 6
        ("q", 0xff, 1, &[c(5)],                 "r:c5 t:s100:c5"),    // a would show the customer's tag
        ("q", 0xff, 1, &[c(P5 | 7)],            "t:s41060:c40967"),   // the priority is copied
        ("r", 0xff, 2, &[c(6)],                 "q:c6 t:s100:c6"),
        ("r", 0xff, 2, &[c(7)],                 ""),
        ("r", 0xff, 2, &[],                     ""),
        ("t", 0xff, 3, &[s(100), c(5)],         "q:c5 r:c5"),
        ("t", 0xff, 3, &[c(100), c(9)],         "q:c9"),
        ("t", 1,    3, &[s(100), c(5), c(77)],  "q:c5:c77"),          // to a known station, three tags deep
        ("a", 1,    4, &[],                     "q"),
    ]);
    assert_eq!(rig.drops("r", Rx), [("cvlan-not-allowed", 2)]);
}

#[test]
fn isolated_ports_do_not_hear_each_other() {
    let ports = vec![port("a", "isolated"), port("b", "isolated"), port("up", "")];
    let mut rig = Rig::new(vec![bridge("br0", ports)]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a",  0xff, 1, &[], "up"),
        ("b",  1,    2, &[], ""),
        ("up", 0xff, 9, &[], "a b"),
        ("b",  9,    2, &[], "up"),
    ]);
    assert_eq!(rig.drops("b", Rx), [("isolated", 1)]);
}

#[test]
fn bridges_are_apart() {
    let mut rig = Rig::new(vec![
        bridge("br0", vec![port("a", ""), port("b", "")]),
        bridge("br1", vec![port("c", ""), port("d", "")]),
    ]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a", 0xff, 1, &[], "b"),
        ("c", 1,    3, &[], "d"),   // br1 does not know br0's stations
        ("c", 0xff, 1, &[], "d"),   // the same address in both
        ("b", 1,    2, &[], "a"),
        ("d", 1,    4, &[], "c"),
    ]);
}

#[test]
fn patch_ports_join_bridges_and_loops_end() {
    let mut rig = Rig::new(vec![
        bridge(
            "br0",
            vec![port("a", "access 10"), port("p0", "trunk 10 patch p1"), port("q0", "trunk 30 patch q1")],
        ),
        bridge(
            "br1",
            vec![port("b", "access 10"), port("p1", "trunk 10 patch p0"), port("q1", "trunk 30 patch q0")],
        ),
    ]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a", 0xff, 1, &[], "b"),
        ("b", 1,    2, &[], "a"),
    ]);
    assert_eq!(rig.counters("p0").tx_packets(), 1);
    assert_eq!(rig.counters("p1").rx_packets(), 1);
    // Two cables between the same bridges: a loop. Frames die instead of circling for ever.
    rig.configure(vec![
        bridge("br0", vec![port("a", ""), port("p0", "patch p1"), port("q0", "patch q1")]),
        bridge("br1", vec![port("b", ""), port("p1", "patch p0"), port("q1", "patch q0")]),
    ]);
    rig.send("a", &frame(0xff, 1, &[])[..]);
    rig.check_accounts();
    let died: u64 = ["p0", "p1", "q0", "q1"].iter().map(|p| rig.counters(p).dropped(Tx)).sum();
    assert!(died > 0);
    rig.tear_down();
}

#[test]
fn stations_move_and_age() {
    let mut rig = Rig::new(vec![bridge("br0", vec![port("a", ""), port("b", ""), port("c", "")])]);
    run(&mut rig, &[("a", 0xff, 1, &[], "b c"), ("c", 1, 3, &[], "a")]);
    run(&mut rig, &[("b", 0xff, 1, &[], "a c"), ("c", 1, 3, &[], "b")]); // 1 moved
    assert_eq!(rig.counters("b").macs_moved(), 1);
    for _ in 0..10 {
        rig.wait(60);
        rig.send("c", &frame(1, 3, &[])[..]); // 3 talks, 1 is silent
    }
    assert_eq!((rig.knows("br0", 1, 1), rig.knows("br0", 1, 3).as_deref()), (None, Some("c")));
    assert_eq!(told(&rig.send("c", &frame(1, 3, &[])[..])), "a b");
}

#[test]
fn what_makes_no_sense_is_dropped_by_name() {
    let mut rig = Rig::new(vec![bridge("br0", vec![port("a", ""), port("b", "")])]);
    let good = frame(0xff, 1, &[]);
    for (bytes, reason) in [
        (vec![], "runt"),
        (good[..13].to_vec(), "runt"),
        (frame(0xff, 1, &[c(5)])[..17].to_vec(), "truncated-tag"),
        (frame(0xff, 1, &[s(5), c(6)])[..21].to_vec(), "truncated-tag"),
        ([&[1u8, 0x80, 0xc2, 0, 0, 0][..], &good[6..]].concat(), "reserved-address"),
        ([&[1u8, 0x80, 0xc2, 0, 0, 0xf][..], &good[6..]].concat(), "reserved-address"),
        ([&good[..6], &[3, 0, 0, 0, 0, 1], &good[12..]].concat(), "group-source"),
        ([&good[..6], &[0; 6], &good[12..]].concat(), "group-source"),
    ] {
        let before = rig.drops("a", Rx).into_iter().find(|(r, _)| *r == reason).map_or(0, |(_, n)| n);
        assert!(rig.send("a", &bytes[..]).is_empty(), "{reason}");
        let after = rig.drops("a", Rx).into_iter().find(|(r, _)| *r == reason).map_or(0, |(_, n)| n);
        assert_eq!(after, before + 1, "{reason}");
    }
    let forwarded = rig.send("a", &[&[1u8, 0x80, 0xc2, 0, 0, 0x10][..], &good[6..]].concat()[..]);
    assert_eq!(forwarded.len(), 1, "-10 is not reserved");
    let long = [&good[..], &[0; 1455]].concat(); // 1515 bytes: one more than MTU and header
    assert!(rig.send("a", &long[..]).is_empty());
    assert_eq!(rig.drops("b", Tx), [("too-big", 1)]);
    assert_eq!(rig.send("a", &long[..1514]).len(), 1);
    rig.check_accounts();
}

#[test]
fn what_a_port_refuses_is_counted_and_given_back() {
    let mut rig = Rig::new(vec![bridge("br0", vec![port("a", ""), port("b", "")])]);
    rig.peers["b"].accept_only(3);
    for _ in 0..10 {
        rig.send("a", &frame(0xff, 1, &[])[..]);
    }
    let b = rig.counters("b");
    assert_eq!((b.tx_packets(), rig.drops("b", Tx)), (3, vec![("tx-full", 7)]));
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn a_port_that_breaks_hurts_nobody_else() {
    let mut rig = Rig::new(vec![bridge("br0", vec![port("a", ""), port("b", ""), port("c", "")])]);
    rig.peers["b"].break_device();
    assert_eq!(told(&rig.send("a", &frame(0xff, 1, &[])[..])), "c");
    assert_eq!(rig.drops("b", Tx), [("port-gone", 1)]);
    rig.configure(vec![bridge("br0", vec![port("a", ""), port("c", "")])]);
    assert_eq!(told(&rig.send("a", &frame(0xff, 1, &[])[..])), "c");
    rig.check_accounts();
    rig.tear_down();
}

#[test]
fn limits_are_fair_and_counted() {
    let mut b = bridge("br0", vec![port("a", ""), port("b", "maclimit 2"), port("c", "")]);
    b.mac_limit = Some(8);
    let mut rig = Rig::new(vec![b]);
    for src in 1..=5 {
        rig.send("b", &frame(0xff, src, &[])[..]);
    }
    assert_eq!(rig.counters("b").macs_refused(), 3);
    for src in 10..=40 {
        rig.send("a", &frame(0xff, src, &[])[..]); // a floods the table
    }
    assert!(rig.counters("a").macs_refused() > 0);
    for src in [50, 51] {
        rig.send("c", &frame(0xff, src, &[])[..]);
    }
    assert!(rig.counters("a").macs_evicted() + u64::from(rig.knows("br0", 1, 50).is_some()) > 0);
    assert_eq!(rig.knows("br0", 1, 1).as_deref(), Some("b"), "the quiet port keeps its stations");
}

#[test]
fn static_stations_do_not_move() {
    let mut b = bridge("br0", vec![port("a", ""), port("b", ""), port("c", "")]);
    b.stations =
        vec![vsw_config::DraftStation { mac: "02:00:00:00:00:07".into(), port: "b".into(), vlan: None }];
    let mut rig = Rig::new(vec![b]);
    #[rustfmt::skip]
    run(&mut rig, &[
        ("a", 7,    1, &[], "b"),
        ("c", 0xff, 7, &[], "a b"),
        ("a", 7,    1, &[], "b"),
    ]);
}

#[test]
fn several_workers_hand_over() {
    let ports: Vec<_> = (0..6).map(|i| port(&format!("p{i}"), "")).collect();
    let mut rig = Rig::with(3, Default::default(), vec![bridge("br0", ports)]);
    for src in 0..6u8 {
        assert_eq!(rig.send(&format!("p{src}"), &frame(0xff, src + 1, &[])[..]).len(), 5);
    }
    for (from, to) in [(0, 5), (5, 0), (1, 4), (3, 2)] {
        let heard = rig.send(&format!("p{from}"), &frame(to + 1, from + 1, &[])[..]);
        assert_eq!(told(&heard), format!("p{to}"));
    }
    rig.check_accounts();
    rig.tear_down();
}
