//! Requests about profiles against one small switch.

use crate::Error;
use crate::edit::*;
use tonic::Code;
use vsw_api::v1;
use vsw_config::Config;

fn shaper(max: u64) -> Option<v1::Shaper> {
    Some(v1::Shaper { max: Some(max), ..Default::default() })
}
fn policer(rate: u64) -> Option<v1::Policer> {
    Some(v1::Policer { rate: Some(rate), ..Default::default() })
}
fn class(name: &str, dscps: &[u32]) -> v1::QosClass {
    let matches = (!dscps.is_empty()).then(|| v1::QosMatch { dscps: dscps.into(), ..Default::default() });
    v1::QosClass { name: name.into(), r#match: matches, ..Default::default() }
}
fn profile(name: &str) -> v1::QosProfile {
    v1::QosProfile { name: name.into(), sent_by: policer(500_000_000), sent_to: shaper(1_000_000_000) }
}

/// br0: a and b have gold, c has nothing; silver is nobody's.
fn switch() -> Config {
    let port = |name: &str, profile: Option<&str>| v1::Port {
        name: name.into(),
        qos: profile.map(|p| v1::PortQos { profile: Some(p.into()), ..Default::default() }),
        ..Default::default()
    };
    let ports = vec![port("a", Some("gold")), port("b", Some("gold")), port("c", None)];
    let br0 = v1::Bridge { name: "br0".into(), ports, ..Default::default() };
    let profiles = vec![profile("gold"), profile("silver")];
    Config::try_from(vsw_api::draft(v1::Config { generation: 7, bridges: vec![br0], profiles })).unwrap()
}

fn add(profile: v1::QosProfile, may_exist: bool) -> Result<Change, Error> {
    add_qos(&switch(), v1::AddQosRequest { profile: Some(profile), may_exist, wait: None })
}
fn set(name: &str, change: v1::QosChange) -> Result<Change, Error> {
    set_qos(&switch(), v1::SetQosRequest { name: name.into(), change: Some(change), wait: None })
}
fn del(name: &str, if_exists: bool) -> Result<Change, Error> {
    delete_qos(&switch(), v1::DeleteQosRequest { name: name.into(), if_exists, wait: None })
}
fn port(now: &Config, request: v1::SetPortRequest) -> Result<Config, Error> {
    let request = v1::SetPortRequest { bridge: "br0".into(), port: "a".into(), ..request };
    let change = set_port(now, request)?;
    Config::try_from(change.draft).map_err(Error::Violations)
}
/// The profile as it is afterwards.
fn after(change: Result<Change, Error>, name: &str) -> v1::QosProfile {
    let config = Config::try_from(change.unwrap().draft).unwrap();
    vsw_api::message(&config).profiles.into_iter().find(|p| p.name == name).unwrap()
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let own = Some(v1::QosChange { sent_by: policer(5_000), ..Default::default() });
    let both = v1::SetPortRequest { qos: Some("gold".into()), own_qos: own, ..Default::default() };
    let cases: Vec<(Result<Change, Error>, Code, &str)> = vec![
        (
            add(profile("gold"), false),
            Code::AlreadyExists,
            "QoS profile gold: exists already; change it with `vswctl set-qos gold`",
        ),
        (
            add(v1::QosProfile { sent_to: shaper(5_000), ..profile("gold") }, true),
            Code::AlreadyExists,
            "QoS profile gold: exists already, and says something else; change it with `vswctl set-qos gold`",
        ),
        (
            set("zinc", v1::QosChange::default()),
            Code::NotFound,
            "QoS profile zinc: does not exist; see `vswctl list-qos`",
        ),
        (del("zinc", false), Code::NotFound, "QoS profile zinc: does not exist; see `vswctl list-qos`"),
        (
            del("gold", true),
            Code::FailedPrecondition,
            "QoS profile gold: is used by ports a and b; give them another first, or none with `vswctl set-port \
             br0 a --no-qos`",
        ),
        (
            port(&switch(), both).map(|_| unreachable!()),
            Code::InvalidArgument,
            "port a: has a named profile or one of its own, not both; give only one",
        ),
        (
            add_qos(&switch(), v1::AddQosRequest::default()),
            Code::InvalidArgument,
            "the request has no QoS profile; fill it in",
        ),
    ];
    for (result, code, says) in cases {
        let e = result.expect_err(says);
        assert_eq!((e.to_string().as_str(), e.code()), (says, code));
    }
}

#[test]
fn what_is_there_already_is_no_change() {
    let now = switch();
    for change in [add(profile("gold"), true), del("zinc", true), set("gold", v1::QosChange::default())] {
        let draft = vsw_config::Draft { generation: 7, ..change.unwrap().draft };
        assert_eq!(Config::try_from(draft).unwrap(), now);
    }
    assert_eq!(set("gold", v1::QosChange::default()).unwrap().about, ["a", "b"]);
}

#[test]
fn what_is_not_named_stays() {
    let gold =
        after(set("gold", v1::QosChange { sent_to: shaper(2_000_000_000), ..Default::default() }), "gold");
    assert_eq!((gold.sent_by, gold.sent_to), (policer(500_000_000), shaper(2_000_000_000)));
    let gold = after(set("gold", v1::QosChange { no_sent_by: true, ..Default::default() }), "gold");
    assert_eq!((gold.sent_by, gold.sent_to), (None, shaper(1_000_000_000)));

    let burst = |n| set("gold", v1::QosChange { burst: Some(n), ..Default::default() });
    let gold = after(burst(64_000), "gold");
    assert_eq!((gold.sent_by.unwrap().burst, gold.sent_to.unwrap().burst), (Some(64_000), Some(64_000)));
    assert_eq!(after(burst(0), "gold"), profile("gold"), "automatic, as it was");
    // Of what has no rate there is no burst.
    let lifted =
        v1::QosChange { no_sent_by: true, no_sent_to: true, burst: Some(9_000), ..Default::default() };
    let found = Config::try_from(set("gold", lifted).unwrap().draft).unwrap_err();
    assert!(found[0].to_string().contains("there is no rate"), "{found:?}");

    // Classes come together; a minimum is that of the rest, whatever its name.
    let classes = vec![class("voice", &[46]), class("others", &[])];
    let to = v1::Shaper { classes, min: Some(5_000), ..Default::default() };
    let gold = after(set("gold", v1::QosChange { sent_to: Some(to), ..Default::default() }), "gold");
    let to = gold.sent_to.clone().unwrap();
    assert_eq!((to.max, to.min, to.classes[1].min), (Some(1_000_000_000), None, Some(5_000)));
    let mut now = vsw_api::message(&switch());
    now.profiles[0] = gold;
    let now = Config::try_from(vsw_api::draft(now)).unwrap();
    let change =
        |change| set_qos(&now, v1::SetQosRequest { name: "gold".into(), change: Some(change), wait: None });
    let min = Some(v1::Shaper { min: Some(9_000), ..Default::default() });
    let to = after(change(v1::QosChange { sent_to: min, ..Default::default() }), "gold").sent_to.unwrap();
    assert_eq!((to.classes.len(), to.classes[1].min), (2, Some(9_000)));
    // Other classes take the place of all that were, and of the minimum.
    let video = v1::Shaper { classes: vec![class("video", &[34]), class("rest", &[])], ..Default::default() };
    let to =
        after(change(v1::QosChange { sent_to: Some(video), ..Default::default() }), "gold").sent_to.unwrap();
    let names: Vec<_> = to.classes.iter().map(|c| (c.name.as_str(), c.min)).collect();
    assert_eq!((names, to.max), (vec![("video", None), ("rest", None)], Some(1_000_000_000)));
    let to = after(change(v1::QosChange { no_classes: true, ..Default::default() }), "gold").sent_to;
    assert_eq!(to, shaper(1_000_000_000));
}

#[test]
fn what_does_not_wait_any_more_is_said() {
    let patient = v1::Policer { red: "wait".into(), ..policer(1_000_000).unwrap() };
    let mut now = vsw_api::message(&switch());
    now.profiles[0].sent_by = Some(patient);
    let now = Config::try_from(vsw_api::draft(now)).unwrap();
    let notes = |change| {
        set_qos(&now, v1::SetQosRequest { name: "gold".into(), change: Some(change), wait: None })
            .unwrap()
            .notes
    };
    let [note] = &notes(v1::QosChange { sent_by: policer(2_000_000), ..Default::default() })[..] else {
        panic!("one note")
    };
    assert!(
        note.starts_with("QoS profile gold: what is sent above the rate does not wait any more"),
        "{note}"
    );
    assert!(
        notes(v1::QosChange { burst: Some(64_000), ..Default::default() }).is_empty(),
        "it waits as before"
    );
    assert!(notes(v1::QosChange { no_sent_by: true, ..Default::default() }).is_empty(), "nothing is limited");
}

#[test]
fn which_class_wins_is_said() {
    let classes = vec![class("voice", &[46, 44]), class("video", &[34, 46]), class("rest", &[])];
    let to = Some(v1::Shaper { classes, ..Default::default() });
    let change = add(v1::QosProfile { sent_to: to, ..profile("new") }, false).unwrap();
    assert_eq!(
        change.notes,
        [
            "QoS profile new: classes voice and video match some of the same frames; voice gets them, because it \
          comes first"
        ]
    );
}

#[test]
fn a_port_has_a_named_profile_or_one_of_its_own() {
    let own = |sent_by, sent_to| v1::SetPortRequest {
        own_qos: Some(v1::QosChange { sent_by, sent_to, ..Default::default() }),
        ..Default::default()
    };
    let qos = |c: &Config| vsw_api::message(c).bridges[0].ports[0].qos.clone();
    let named = |name: &str| v1::SetPortRequest { qos: Some(name.into()), ..Default::default() };
    // Its own takes the place of the named one, and grows.
    let now = port(&switch(), own(policer(5_000), None)).unwrap();
    let now = port(&now, own(None, shaper(6_000))).unwrap();
    let is = qos(&now).unwrap();
    assert_eq!(
        (is.profile, is.own.unwrap().sent_by, now.profile("gold").is_some()),
        (None, policer(5_000), true)
    );
    let storm = v1::Storm {
        broadcast: Some(v1::Rate { per_second: Some(v1::rate::PerSecond::Packets(500)) }),
        ..Default::default()
    };
    // Storm and trust are not the profile's.
    let limit = v1::SetPortRequest { storm: Some(storm), trust: Some("none".into()), ..Default::default() };
    let now = port(&port(&now, limit).unwrap(), named("silver")).unwrap();
    let is = qos(&now).unwrap();
    assert_eq!(
        (is.profile.as_deref(), is.own, is.storm, is.trust.as_str()),
        (Some("silver"), None, Some(storm), "none")
    );
    let none =
        v1::SetPortRequest { storm: Some(v1::Storm::default()), trust: Some("both".into()), ..named("") };
    assert_eq!(qos(&port(&now, none).unwrap()), None, "nothing is left");
}
