//! A table: what is wrong, and the words that say so.

use super::*;

fn port(name: &str) -> DraftPort {
    DraftPort { name: name.into(), ..Default::default() }
}

fn bridge(name: &str, ports: Vec<DraftPort>) -> DraftBridge {
    DraftBridge { name: name.into(), ports, ..Default::default() }
}

fn draft(bridges: Vec<DraftBridge>) -> Draft {
    Draft { generation: 1, bridges, ..Default::default() }
}

fn said(bridges: Vec<DraftBridge>) -> String {
    let found = Config::try_from(draft(bridges)).expect_err("a draft that breaks a rule");
    found.iter().map(|v| v.to_string()).collect::<Vec<_>>().join("\n")
}

fn said_of(edit: impl FnOnce(&mut DraftPort)) -> String {
    let mut p = port("p1");
    edit(&mut p);
    said(vec![bridge("br0", vec![p])])
}

fn vm(p: &mut DraftPort) {
    p.kind = "vhost-user".into();
}

#[test]
fn each_bad_port_is_told() {
    type Row = (fn(&mut DraftPort), &'static str);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|p| p.name = "sixteen_bytes___".into(),            "longer than 15"),
        (|p| p.name = "a/b".into(),                         "'/'"),
        (|p| p.vlan.access = Some(0),                       "VLAN 0 does not exist"),
        (|p| p.vlan.access = Some(4095),                    "VLAN 4095 does not exist"),
        (|p| p.vlan.access = Some(65_546),                  "VLAN 65546 does not exist"),
        (|p| p.vlan.trunk = Some("10,x".into()),            "`x` is neither a number nor a range"),
        (|p| p.vlan.trunk = Some("".into()),                "neither a number nor a range"),
        (|p| { p.vlan.access = Some(1); p.vlan.qinq = Some(2) }, "only one of the three"),
        (|p| p.vlan.native_tagged = true,                   "no native VLAN to tag"),
        (|p| p.vlan.cvlans = Some("5".into()),              "add --qinq N"),
        (|p| p.kind = "dpdk".into(),                        "no port type `dpdk`"),
        (|p| p.kind = "patch".into(),                       "add --peer PORT"),
        (|p| { p.kind = "packet".into(); p.netns = Some("x".into()) }, "takes no network namespace"),
        (|p| { p.kind = "afxdp".into(); p.mac = Some("02:00:00:00:00:01".into()) }, "takes no MAC address"),
        (|p| p.netns = Some("0".into()),                    "no process id"),
        (|p| p.netns = Some("a/b".into()),                  "neither a name"),
        (|p| p.mac = Some("01:00:00:00:00:01".into()),      "group address"),
        (|p| p.mac = Some("nonsense".into()),               "not a MAC address"),
        (|p| p.mtu = Some(20),                              "MTU 20 is out of range"),
        (|p| p.mtu = Some(70_000),                          "MTU 70000 is out of range"),
        (|p| p.queues = Some(0),                            "queue count 0 is out of range"),
        (|p| p.socket = Some("/run/s".into()),              "takes no socket; only vhost-user ports do"),
        (|p| p.socket_mode = Some("server".into()),         "takes no socket mode"),
        (|p| { vm(p); p.socket = Some("s.sock".into()) },   "no absolute path"),
        (|p| { vm(p); p.socket = Some("/run/".into()) },    "no absolute path"),
        (|p| { vm(p); p.socket = Some(format!("/{}", "a".repeat(107))) }, "has 108 bytes; at most 107"),
        (|p| { vm(p); p.socket_mode = Some("both".into()) }, "no socket mode `both`"),
        (|p| { vm(p); p.mac = Some("02:00:00:00:00:01".into()) }, "takes no MAC address"),
        (|p| p.mac_limit = Some(0),                         "MAC limit 0 is out of range"),
    ];
    for (edit, says) in rows {
        let said = said_of(edit);
        assert!(said.contains(says), "wanted {says:?}, got {said:?}");
        assert!(said.starts_with("port "), "names the object: {said:?}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let mut p = port("p1");
    p.mtu = Some(1);
    p.vlan.access = Some(9999);
    assert_eq!(said(vec![bridge("br0", vec![p]), bridge("", vec![])]).lines().count(), 3);
}

#[test]
fn rules_about_the_whole() {
    let twice = said(vec![bridge("br0", vec![port("p1")]), bridge("br1", vec![port("p1")])]);
    assert!(twice.contains("port p1: is in bridge br0 already"), "{twice}");
    let named = said(vec![bridge("br0", vec![port("br0")])]);
    assert!(named.contains("has the name of a bridge"), "{named}");
    let patch = |n: &str, peer: &str| DraftPort { kind: "patch".into(), peer: Some(peer.into()), ..port(n) };
    let loops = said(vec![bridge("br0", vec![patch("a", "b"), patch("b", "a")])]);
    assert!(loops.contains("that is a loop"), "{loops}");
    let stolen = said(vec![bridge("br0", vec![patch("a", "b")]), bridge("br1", vec![patch("b", "c")])]);
    assert!(stolen.contains("belongs to c"), "{stolen}");
    assert!(Config::try_from(draft(vec![bridge("br0", vec![patch("a", "b")])])).is_ok(), "one end at a time");
    let vm = |n: &str| DraftPort {
        kind: "vhost-user".into(),
        socket: Some(format!("/{}", "s".repeat(106))),
        ..port(n)
    };
    let shared = said(vec![bridge("br0", vec![vm("a")]), bridge("br1", vec![vm("b")])]);
    assert!(shared.contains("port b: another port has the same socket /s"), "{shared}");
}

#[test]
fn a_port_that_says_nothing_is_transparent() {
    let config = Config::try_from(draft(vec![bridge("br0", vec![port("p1")])])).unwrap();
    assert_eq!(config.port("p1").unwrap().1.vlans, VlanMode::transparent());
    assert_eq!(config.bridge("br0").unwrap().ageing_seconds, 300);
}

#[test]
fn stations_get_the_ports_own_vlan() {
    let mut b = bridge(
        "br0",
        vec![DraftPort { vlan: DraftVlan { access: Some(10), ..Default::default() }, ..port("p1") }],
    );
    b.stations = vec![DraftStation { mac: "02:00:00:00:00:01".into(), port: "p1".into(), vlan: None }];
    let config = Config::try_from(draft(vec![b.clone()])).unwrap();
    let key = (VlanId::new(10).unwrap(), "02:00:00:00:00:01".parse().unwrap());
    assert_eq!(config.bridge("br0").unwrap().stations[&key].as_str(), "p1");
    b.stations[0].vlan = Some(11);
    assert!(said(vec![b.clone()]).contains("does not carry VLAN 11"));
    b.stations[0].port = "p9".into();
    assert!(said(vec![b]).contains("there is no port p9 in bridge br0"));
}
