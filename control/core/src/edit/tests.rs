//! Every request against one small switch: what it makes of it, or the exact sentence that refuses it.

use super::*;
use tonic::Code;

fn port(name: &str) -> v1::Port {
    v1::Port { name: name.into(), ..Default::default() }
}
fn access(name: &str, vlan: u32) -> v1::Port {
    v1::Port { vlan: Some(v1::Vlan { access: Some(vlan), ..Default::default() }), ..port(name) }
}
fn station(mac: &str, port: &str, vlan: Option<u32>) -> v1::Station {
    v1::Station { mac: mac.into(), port: port.into(), vlan }
}

const M1: &str = "02:00:00:00:00:01";
const M2: &str = "02:00:00:00:00:02";

/// br0: a (VLAN 10) and t (all VLANs); M1 behind a, M2 behind t in VLANs 20 and 30. br1: other.
fn switch() -> Config {
    let br0 = v1::Bridge {
        name: "br0".into(),
        ports: vec![access("a", 10), port("t")],
        stations: vec![station(M1, "a", None), station(M2, "t", Some(20)), station(M2, "t", Some(30))],
        ..Default::default()
    };
    let br1 = v1::Bridge { name: "br1".into(), ports: vec![port("other")], ..Default::default() };
    Config::try_from(vsw_api::draft(v1::Config {
        generation: 7,
        bridges: vec![br0, br1],
        ..Default::default()
    }))
    .unwrap()
}

fn after(change: Result<Change, Error>) -> Config {
    Config::try_from(change.unwrap().draft).unwrap()
}
fn add(bridge: &str, port: v1::Port, may_exist: bool) -> Result<Change, Error> {
    let request = v1::AddPortRequest { bridge: bridge.into(), port: Some(port), may_exist, wait: None };
    add_port(&switch(), request)
}
fn set(request: v1::SetPortRequest) -> Result<Change, Error> {
    set_port(&switch(), request)
}
fn del(bridge: &str, port: &str, if_exists: bool) -> Result<Change, Error> {
    let request = v1::DeletePortRequest { bridge: bridge.into(), port: port.into(), if_exists, wait: None };
    delete_port(&switch(), request)
}
fn add_mac(bridge: &str, station: Option<v1::Station>) -> Result<Change, Error> {
    add_station(&switch(), v1::AddStationRequest { bridge: bridge.into(), station, wait: None })
}
fn del_mac(bridge: &str, mac: &str, vlan: Option<u32>) -> Result<Change, Error> {
    let request = v1::DeleteStationRequest { bridge: bridge.into(), mac: mac.into(), vlan, wait: None };
    delete_station(&switch(), request)
}
fn add_br(bridge: Option<v1::Bridge>) -> Result<Change, Error> {
    add_bridge(&switch(), v1::AddBridgeRequest { bridge, wait: None })
}
fn del_br(name: &str, if_exists: bool) -> Result<Change, Error> {
    delete_bridge(&switch(), v1::DeleteBridgeRequest { name: name.into(), if_exists, wait: None })
}
fn flush(bridge: &str, port: Option<&str>, vlan: Option<u32>) -> Result<(Change, u64), Error> {
    let request =
        v1::FlushMacsRequest { bridge: bridge.into(), port: port.map(str::to_owned), vlan, r#static: true };
    flush_stations(&switch(), &request)
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let cases: Vec<(Result<Change, Error>, Code, &str)> = vec![
        (add_br(None), Code::InvalidArgument, "the request has no bridge; fill it in"),
        (
            add_br(Some(v1::Bridge::default())),
            Code::InvalidArgument,
            "the request has no bridge name; fill it in",
        ),
        (
            add_br(Some(v1::Bridge { name: "br0".into(), ..Default::default() })),
            Code::AlreadyExists,
            "bridge br0: exists already; change it with `vswctl set-br br0`",
        ),
        (
            del_br("br9", false),
            Code::NotFound,
            "bridge br9: does not exist; create it with `vswctl add-br br9`",
        ),
        (
            add("br9", port("x"), true),
            Code::NotFound,
            "bridge br9: does not exist; create it with `vswctl add-br br9`",
        ),
        (add("br0", port(""), false), Code::InvalidArgument, "the request has no port name; fill it in"),
        (add("", port("x"), false), Code::InvalidArgument, "the request has no bridge name; fill it in"),
        (
            add("br0", access("a", 10), false),
            Code::AlreadyExists,
            "port a: is in bridge br0 already; change it with `vswctl set-port br0 a`",
        ),
        (
            add("br0", v1::Port { mtu: Some(9000), ..access("a", 11) }, true),
            Code::AlreadyExists,
            "port a: is in bridge br0 already, with another VLAN setting and another MTU; change it with \
             `vswctl set-port br0 a`, or remove it first",
        ),
        (
            add("br0", port("other"), true),
            Code::AlreadyExists,
            "port other: is in bridge br1 already; a port is in one bridge, so remove it there first with \
             `vswctl del-port br1 other`",
        ),
        (
            add("br0", access("a", 4095), true),
            Code::InvalidArgument,
            "port a: VLAN 4095 does not exist; VLAN ids go from 1 to 4094",
        ),
        (
            set(v1::SetPortRequest { bridge: "br0".into(), port: "x".into(), ..Default::default() }),
            Code::NotFound,
            "port x: is not in bridge br0; see `vswctl list-ports br0`",
        ),
        (
            del("br0", "other", true),
            Code::NotFound,
            "port other: is in bridge br1, not in br0; name that bridge",
        ),
        (
            del("br9", "a", true),
            Code::NotFound,
            "bridge br9: does not exist; create it with `vswctl add-br br9`",
        ),
        (add_mac("br0", None), Code::InvalidArgument, "the request has no station; fill it in"),
        (
            add_mac("br0", Some(station(M1, "a", None))),
            Code::AlreadyExists,
            "station 02:00:00:00:00:01: is in VLAN 10 of bridge br0 already, behind port a; remove it first \
             with `vswctl del-mac br0 02:00:00:00:00:01 --vlan 10`",
        ),
        (
            del_mac("br0", M2, None),
            Code::FailedPrecondition,
            "station 02:00:00:00:00:02: is in VLANs 20, 30 of bridge br0; say which with --vlan N",
        ),
        (
            del_mac("br0", M2, Some(40)),
            Code::NotFound,
            "station 02:00:00:00:00:02: is no static station of VLAN 40 of bridge br0; see `vswctl show-macs br0`",
        ),
        (
            del_mac("br0", "nonsense", None),
            Code::NotFound,
            "station nonsense: is no static station of bridge br0; see `vswctl show-macs br0`",
        ),
        (
            flush("br0", Some("zz"), None).map(|(c, _)| c),
            Code::NotFound,
            "port zz: is not in bridge br0; see `vswctl list-ports br0`",
        ),
        (
            flush("br0", None, Some(4095)).map(|(c, _)| c),
            Code::InvalidArgument,
            "bridge br0: VLAN 4095 does not exist; VLAN ids go from 1 to 4094",
        ),
    ];
    for (got, code, sentence) in cases {
        let e = got.expect_err(sentence);
        assert_eq!((e.to_string().as_str(), e.code()), (sentence, code));
    }
}

#[test]
fn what_the_rules_refuse_is_told_in_one_line() {
    let two = v1::Bridge { name: "br/2".into(), ageing_seconds: Some(0), ..Default::default() };
    let e = Config::try_from(add_br(Some(two)).unwrap().draft).map_err(Error::Violations).unwrap_err();
    assert_eq!(
        e.to_string(),
        "bridge br/2: `br/2` contains '/'; an interface name is printable ASCII without spaces, `/` and `:`; \
         bridge br/2: ageing time 0 is out of range; it goes from 1 to 1000000 seconds"
    );
}

#[test]
fn what_is_there_already_may_be_asked_for_again() {
    let spelt_otherwise = v1::Port { r#type: "auto".into(), ..access("a", 10) };
    assert_eq!(after(add("br0", spelt_otherwise, true)), switch());
    assert_eq!(after(del("br0", "nope", true)), switch());
    assert_eq!(after(del_br("nope", true)), switch());
    let same = v1::SetPortRequest { bridge: "br0".into(), port: "a".into(), ..Default::default() };
    assert_eq!(after(set(same)), switch());
}

#[test]
fn a_port_is_patched_field_by_field() {
    let request = v1::SetPortRequest {
        bridge: "br0".into(),
        port: "t".into(),
        mtu: Some(9000),
        mac_limit: Some(5),
        isolated: Some(true),
        ..Default::default()
    };
    let once = after(set(request.clone()));
    let (_, t) = once.port("t").unwrap();
    assert_eq!((t.mtu, t.mac_limit, t.isolated), (Some(9000), Some(5), true));
    assert_eq!(t.vlans, switch().port("t").unwrap().1.vlans);

    let back = v1::SetPortRequest { mtu: None, mac_limit: Some(0), isolated: Some(false), ..request };
    let twice = after(set_port(&once, back));
    let (_, t) = twice.port("t").unwrap();
    assert_eq!((t.mtu, t.mac_limit, t.isolated), (Some(9000), None, false));
}

#[test]
fn vlan_settings_are_replaced_together() {
    let vlan = v1::Vlan { trunk: Some("20,30".into()), native: Some(5), ..Default::default() };
    let request =
        v1::SetPortRequest { bridge: "br0".into(), port: "t".into(), vlan: Some(vlan), ..Default::default() };
    let config = after(set(request));
    let vlan = v1::Vlan { qinq: Some(20), ..Default::default() };
    let request = v1::SetPortRequest {
        bridge: "br1".into(),
        port: "other".into(),
        vlan: Some(vlan),
        ..Default::default()
    };
    let config = after(set_port(&config, request));
    assert_eq!(config.port("t").unwrap().1.vlans.name(), "native-untagged");
    assert_eq!(config.port("other").unwrap().1.vlans.name(), "qinq");
}

#[test]
fn what_belongs_to_something_goes_with_it() {
    let config = after(del("br0", "t", false));
    let br0 = config.bridge("br0").unwrap();
    assert_eq!((br0.ports.len(), br0.stations.len()), (1, 1));
    let config = after(del_br("br0", false));
    assert_eq!(config.ports().count(), 1);
    assert!(config.bridge("br0").is_none());
}

#[test]
fn stations_come_and_go_alone() {
    assert_eq!(after(add_mac("br0", Some(station(M1, "t", None)))).bridge("br0").unwrap().stations.len(), 4);
    assert_eq!(after(del_mac("br0", "02-00-00-00-00-01", None)).bridge("br0").unwrap().stations.len(), 2);
    assert_eq!(after(del_mac("br0", M2, Some(30))).bridge("br0").unwrap().stations.len(), 2);
    for (port, vlan, gone) in [
        (None, None, 3),
        (Some("t"), None, 2),
        (None, Some(10), 1),
        (Some("t"), Some(20), 1),
        (Some("a"), Some(20), 0),
    ] {
        let (change, count) = flush("br0", port, vlan).unwrap();
        let left = after(Ok(change)).bridge("br0").unwrap().stations.len() as u64;
        assert_eq!((count, left), (gone, 3 - gone), "{port:?} {vlan:?}");
    }
}

#[test]
fn a_bridge_may_come_with_all_that_is_in_it() {
    let bridge = v1::Bridge {
        name: "br2".into(),
        ports: vec![access("p", 5), port("q")],
        stations: vec![station(M1, "p", None)],
        ..Default::default()
    };
    let change = add_br(Some(bridge)).unwrap();
    assert_eq!(change.about, ["p", "q"]);
    assert_eq!(after(Ok(change)).bridge("br2").unwrap().stations.len(), 1);
}
