//! Tables: what is wrong, and the words that say so.

use crate::qos::*;
use crate::*;
use std::time::Duration;

fn profile(name: &str) -> DraftProfile {
    DraftProfile {
        name: name.into(),
        sent_by: Some(DraftPolicer { rate: Some(1_000_000), ..Default::default() }),
        sent_to: Some(DraftShaper { max: Some(1_000_000_000), ..Default::default() }),
    }
}
/// What is too much waits.
fn patient() -> DraftProfile {
    let mut p = DraftProfile { sent_to: None, ..profile("") };
    by(&mut p).red = "wait".into();
    p
}
fn by(p: &mut DraftProfile) -> &mut DraftPolicer {
    p.sent_by.as_mut().unwrap()
}
fn to(p: &mut DraftProfile) -> &mut DraftShaper {
    p.sent_to.as_mut().unwrap()
}
fn class(name: &str) -> DraftClass {
    DraftClass { name: name.into(), ..Default::default() }
}
fn marked(name: &str, dscps: &[u32]) -> DraftClass {
    DraftClass { matches: DraftMatch { dscps: dscps.into(), ..Default::default() }, ..class(name) }
}
/// The profile gets this class, for EF, before the one for the rest.
fn with(edit: impl FnOnce(&mut DraftClass)) -> DraftShaper {
    let mut c = marked("c", &[46]);
    edit(&mut c);
    DraftShaper { max: Some(1_000_000_000), classes: vec![c], ..Default::default() }
}
fn config(port: DraftPort, profiles: Vec<DraftProfile>) -> Result<Config, String> {
    let bridges = vec![DraftBridge { name: "br0".into(), ports: vec![port], ..Default::default() }];
    Config::try_from(Draft { generation: 1, bridges, profiles })
        .map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
fn port(edit: impl FnOnce(&mut DraftPort)) -> DraftPort {
    let mut p = DraftPort { name: "tap0".into(), ..Default::default() };
    p.qos.profile = Some("gold".into());
    edit(&mut p);
    p
}
fn gold(edit: impl FnOnce(&mut DraftProfile)) -> Result<QosProfile, String> {
    let mut p = profile("gold");
    edit(&mut p);
    config(port(|_| {}), vec![p]).map(|c| c.profile("gold").unwrap().clone())
}

#[test]
fn each_bad_profile_is_told() {
    type Row = (fn(&mut DraftProfile), &'static str);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|p| { p.sent_by = None; p.sent_to = None },    "says nothing"),
        (|p| by(p).rate = Some(0),                      "0 is below the lowest rate; rates go from 1k to 400g"),
        (|p| by(p).rate = Some(400_000_000_001),        "above the highest rate"),
        (|p| by(p).rate = Some(u64::MAX),               "above the highest rate"),
        (|p| by(p).packets = Some(0),                   "0pps is below the lowest rate"),
        (|p| by(p).rate = None,                         "there is no rate"),
        (|p| { by(p).rate = None; by(p).packets = Some(5); by(p).peak = Some(5_000) }, "need a rate in bits"),
        (|p| by(p).packet_burst = Some(5),              "a packet burst needs a rate in packets"),
        (|p| { by(p).packets = Some(5); by(p).packet_burst = Some(0) }, "a packet burst of 0"),
        (|p| { to(p).max = None; to(p).burst = Some(9_000) }, "sent to: a burst needs a rate"),
        (|p| by(p).burst = Some(0),                     "a burst of 0 bytes is smaller than any frame"),
        (|p| by(p).burst = Some(59),                    "smaller than any frame"),
        (|p| by(p).burst = Some(1517),                  "smaller than a frame of the port's MTU 1500, which has 1518"),
        (|p| to(p).burst = Some(1000),                  "the burst of what is sent to the port of QoS profile gold, 1000 bytes"),
        (|p| by(p).burst = Some(20_000_000_000),        "a burst of 20g bytes is more than 10g"),
        (|p| by(p).excess_burst = Some(100),            "the excess burst of QoS profile gold"),
        (|p| { by(p).peak = Some(2_000_000); by(p).excess_burst = Some(100) }, "the peak burst of QoS profile gold"),
        (|p| by(p).peak = Some(999_999),                "the peak 999.999k is below the rate 1m"),
        (|p| { by(p).peak = Some(2_000_000); by(p).excess = Some(1_000) }, "exclude each other"),
        (|p| by(p).excess = Some(0),                    "excess: 0 is below"),
        (|p| by(p).yellow = "remark".into(),            "nothing is yellow where there is one rate"),
        (|p| by(p).red = "pass".into(),                 "a limit that is none"),
        (|p| by(p).red = "blue".into(),                 "`blue` is nothing to do with red frames; say remark, drop or wait"),
        (|p| { by(p).peak = Some(2_000_000); by(p).red = "wait".into() }, "can wait (red=wait) where there is one rate"),
        (|p| { by(p).packets = Some(5); by(p).red = "wait".into() }, "one rate, in bits per second, and one burst"),
        (|p| { by(p).peak = Some(2_000_000); by(p).yellow = "wait".into() }, "`wait` is nothing to do with yellow frames"),
        (|p| to(p).max = Some(0),                       "sent to: 0 is below the lowest rate"),
        (|p| to(p).min = Some(0),                       "minimum: 0 is below the lowest rate"),
        (|p| to(p).min = Some(1_000_000_001),           "the guaranteed minimums (rest 1000000.001k) are"),
        (|p| to(p).starve_us = Some(0),                 "starve: 0 us is out of range"),
        (|p| *to(p) = with(|c| c.min = Some(0)),        "class c: minimum: 0 is below"),
        (|p| *to(p) = with(|c| c.max = Some(1)),        "class c: maximum: 1 is below"),
        (|p| *to(p) = with(|c| { c.min = Some(5_000); c.max = Some(4_000) }), "minimum 5k is above its maximum 4k"),
        (|p| *to(p) = with(|c| c.weight = Some(0)),     "class c: weight 0 is out of range; it goes from 1 to 1000"),
        (|p| *to(p) = with(|c| { c.prio = true; c.weight = Some(1) }), "class c: is either prio or has a weight"),
        (|p| *to(p) = with(|c| c.queue_bytes = Some(5)), "class c: a queue of 5 bytes is out of range"),
        (|p| *to(p) = with(|c| c.queue_us = Some(5)),   "class c: queue time: 5 us is out of range"),
        (|p| *to(p) = with(|c| c.codel_target_us = Some(1)), "class c: CoDel: 1 us is out of range"),
        (|p| *to(p) = with(|c| { c.codel = Some(false); c.codel_target_us = Some(50) }), "CoDel is off, but"),
        (|p| *to(p) = with(|c| { c.codel_target_us = Some(50); c.codel_interval_us = Some(50) }), "must be shorter"),
        (|p| *to(p) = with(|c| c.set_pcp = Some(8)),    "class c: PCP `8` does not exist"),
        (|p| *to(p) = with(|c| c.set_dscp = Some(64)),  "class c: DSCP `64` does not exist"),
        (|p| *to(p) = with(|c| c.matches.pcps = vec![8]), "class c: PCP `8` does not exist"),
        (|p| *to(p) = with(|c| c.matches.dscps = vec![64]), "class c: DSCP `64` does not exist"),
        (|p| *to(p) = with(|c| c.matches.vlans = Some("5000".into())), "class c: `5000` is not a list of VLANs"),
        (|p| *to(p) = with(|c| c.matches.ethertypes = vec![5]), "class c: ethertype 0x0005 is none"),
        (|p| *to(p) = with(|c| c.matches.protocols = vec![256]), "class c: IP protocol 256 is none"),
        (|p| *to(p) = with(|c| c.matches.ports = vec![(0, 5)]), "class c: port 0-5 is none"),
        (|p| *to(p) = with(|c| c.matches.ports = vec![(6, 5)]), "class c: port range 6-5 runs backwards"),
        (|p| *to(p) = with(|c| c.name = "a b".into()),  "class a b: the name `a b` contains ' '"),
        (|p| *to(p) = with(|c| c.name = "rest".into()), "class rest: has a match, so nothing catches the rest"),
        (|p| to(p).classes = vec![marked("a", &[1]), marked("a", &[2])], "class a: is there twice"),
        (|p| to(p).classes = vec![class("web"), class("rest")], "class web: matches everything, so that later classes"),
        (|p| to(p).classes = vec![marked("a", &[1, 2]), marked("b", &[2])], "class b: would never get a frame; a takes all"),
        (|p| { to(p).min = Some(5_000); to(p).classes = vec![DraftClass { max: Some(4_000), ..class("x") }] },
            "class x: its minimum 5k is above its maximum 4k"),
        (|p| { to(p).min = Some(1_000); to(p).classes = vec![DraftClass { min: Some(1_000), ..class("x") }] },
            "class x: has a minimum of its own; leave --min out"),
        (|p| to(p).classes = (1..=16).map(|n| marked(&format!("c{n}"), &[n])).collect(), "17 classes are more than the 16"),
    ];
    for (edit, says) in rows {
        let said = gold(edit).expect_err(says);
        assert!(said.contains(says), "wanted {says:?}, got {said:?}");
        assert!(said.starts_with("QoS profile gold: ") || said.starts_with("port tap0: "), "{said:?}");
        assert_eq!(said.lines().count(), 1, "nobody else is blamed: {said:?}");
    }
    assert!(gold(|_| {}).is_ok());
}

#[test]
fn a_class_is_covered_only_by_one_that_takes_all_of_its_frames() {
    let m = |vlans: &str, ports: &[(u32, u32)]| DraftMatch {
        vlans: (!vlans.is_empty()).then(|| vlans.into()),
        ports: ports.into(),
        ..Default::default()
    };
    for (first, second, covered) in [
        (m("10-20", &[]), m("12,20", &[]), true),
        (m("10-20", &[]), m("12,21", &[]), false),
        (m("10-20", &[]), m("", &[(80, 80)]), false),
        (m("10", &[]), m("10", &[(80, 80)]), true),
        (m("", &[(80, 90)]), m("", &[(81, 85), (90, 90)]), true),
        (m("", &[(80, 90)]), m("", &[(81, 85), (90, 91)]), false),
        (m("", &[(80, 90)]), m("10", &[]), false),
        (m("", &[(80, 90)]), m("10", &[(80, 80)]), true),
    ] {
        let said = format!("{first:?} before {second:?}");
        let classes = [("a", first), ("b", second)].map(|(n, matches)| DraftClass { matches, ..class(n) });
        assert_eq!(gold(|p| to(p).classes = classes.into()).is_err(), covered, "{said}");
    }
}

#[test]
fn minimums_above_the_rate_say_which() {
    let class = |name: &str, dscp, min| DraftClass { min: Some(min), ..marked(name, &[dscp]) };
    let sum = |rest| {
        gold(|p| {
            to(p).min = Some(rest);
            to(p).classes = vec![class("voice", 46, 600_000_000), class("bulk", 10, 300_000_000)];
        })
    };
    assert_eq!(
        sum(100_000_001).unwrap_err(),
        "QoS profile gold: the guaranteed minimums (voice 600m, bulk 300m, rest 100000.001k) are 1000000.001k \
         together, more than the 1g that may be sent to the port; lower them, or raise --sent-to"
    );
    let rest = sum(100_000_000).unwrap().sent_to.unwrap().classes.pop().unwrap();
    assert_eq!((rest.is_rest(), rest.min.map(|m| m.get())), (true, Some(100_000_000)));
}

#[test]
fn each_bad_port_is_told() {
    type Row = (fn(&mut DraftPort), &'static str);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|p| p.qos.profile = Some("silver".into()),     "there is no QoS profile silver; make it with `vswctl add-qos silver"),
        (|p| p.qos.profile = Some("a b".into()),        "QoS profile: the name `a b` contains ' '"),
        (|p| p.qos.own = Some(profile("")),             "of its own or a named one, not both"),
        (|p| p.qos.trust = "all".into(),                "`all` cannot be trusted"),
        (|p| p.qos.storm.broadcast = Some(DraftRate::Packets(0)), "storm limit: 0pps is below"),
        (|p| p.qos.storm.unknown = Some(DraftRate::Bits(u64::MAX)), "storm limit: 18446744073709551.615k is above"),
        (|p| { p.kind = "patch".into(); p.peer = Some("x".into()) }, "a patch port has no queue"),
        (|p| { p.kind = "patch".into(); p.peer = Some("x".into()); p.qos.profile = None; p.qos.own = Some(patient()) }, "what comes in by it cannot wait"),
        (|p| { p.qos.profile = None; p.qos.own = Some(DraftProfile::default()) }, "says nothing"),
        (|p| p.mtu = Some(9000),                        "smaller than a frame of the port's MTU 9000, which has 9018"),
    ];
    for (edit, says) in rows {
        let mut shared = profile("gold");
        by(&mut shared).burst = Some(9017);
        let said = config(port(edit), vec![shared]).expect_err(says);
        assert!(said.contains(says), "wanted {says:?}, got {said:?}");
        assert!(said.starts_with("port tap0: "), "{said:?}");
    }
    let twice = config(port(|_| {}), vec![profile("gold"), profile("gold")]).unwrap_err();
    assert!(twice.contains("QoS profile gold: is there twice"), "{twice}");
    let named = config(port(|p| p.qos.profile = None), vec![profile("none")]).unwrap_err();
    assert!(named.contains("QoS profile none: the name `none` is not allowed"), "{named}");
}

#[test]
fn what_is_not_said_has_its_default() {
    let shaper = gold(|p| to(p).classes = vec![marked("voice", &[46])]).unwrap().sent_to.unwrap();
    let [voice, rest] = &shaper.classes[..] else { panic!("{shaper:?}") };
    assert_eq!(shaper.starve, Duration::from_millis(100));
    assert_eq!(
        (voice.service, voice.codel, voice.flows, voice.ecn),
        (Service::Weight(1), Some(Codel::default()), true, true)
    );
    assert!(rest.is_rest() && rest.matches.is_everything());
    let none = config(port(|p| p.qos.profile = None), Vec::new()).unwrap();
    assert_eq!(none.port("tap0").unwrap().1.qos, PortQos::default());
}

#[test]
fn services_without_a_match_have_their_code_points() {
    let classes = || vec![marked("voice", &[46, 40]), class("bulk"), class("others")];
    let shaper = gold(|p| to(p).classes = classes()).unwrap().sent_to.unwrap();
    let points =
        |n: usize| shaper.classes[n].matches.dscps().map(|d| d.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!((points(0), points(1), points(2)), ("cs5,ef".into(), "cs1,af11,af12,af13".into(), "".into()));
    assert_eq!(shaper.classes.len(), 3, "the last one catches the rest");
}

#[test]
fn of_overlapping_classes_the_first_wins() {
    let video = DraftClass {
        matches: DraftMatch { vlans: Some("10".into()), dscps: vec![34, 46], ..Default::default() },
        ..class("video")
    };
    let web =
        DraftClass { matches: DraftMatch { ports: vec![(80, 90)], ..Default::default() }, ..class("web") };
    let p = gold(|p| to(p).classes = vec![marked("voice", &[46, 44]), video, web]).unwrap();
    let pairs: Vec<_> = p.overlaps().iter().map(|(a, b)| format!("{a} {b}")).collect();
    assert_eq!(pairs, ["voice video"], "different questions and the rest are no overlap");
}

#[test]
fn a_changed_profile_changes_its_ports_and_no_others() {
    let make = |max| {
        let ports = ["a", "b"].map(|n| DraftPort { name: n.into(), ..Default::default() });
        let [mut a, b] = ports;
        a.qos.profile = Some("gold".into());
        let mut gold = profile("gold");
        to(&mut gold).max = Some(max);
        let bridges = vec![DraftBridge { name: "br0".into(), ports: vec![a, b], ..Default::default() }];
        Config::try_from(Draft { generation: 1, bridges, profiles: vec![gold] }).unwrap()
    };
    assert_eq!(diff(&make(5_000), &make(5_000)), Diff::default());
    let changed = diff(&make(5_000), &make(6_000)).changed;
    assert_eq!(changed, [(vsw_types::Name::new("a").unwrap(), PortChange::Rules)]);
}
