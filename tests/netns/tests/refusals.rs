//! Bad input through the real thing: a clear error, and nothing changes.

use vsw_netns::traffic::reaches;
use vsw_netns::{Lab, Role};

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let Some(lab) = Lab::new("bad_input_is_refused_and_changes_nothing") else { return };
    lab.good("add-br br0");
    lab.good("add-br br1");
    let _a = lab.tap("br0", "a", 1, "--vlan 10");
    let _wire = lab.veth("wire", 2);
    let _slave = lab.veth("slave", 3);
    lab.host.ip("link add linux0 type bridge");
    lab.host.ip("link set slave master linux0");
    lab.host.ip("link add lonely type veth peer name other");
    let before = lab.json("show");
    let interfaces = lab.host.ip("-o link show");
    for (line, says) in [
        // Names and numbers.
        ("add-port br9 x", &["error: bridge br9: does not exist", "vswctl add-br br9"][..]),
        ("del-br br9", &["error: bridge br9: does not exist"]),
        ("del-port br0 x", &["error: port x: is not in bridge br0", "vswctl list-ports br0"]),
        ("set-port br0 x --mtu 1400", &["error: port x: is not in bridge br0"]),
        ("add-port br0 a_name_of_16_byt", &["error: port a_name_of_16_byt: ", "15 characters"]),
        ("add-port br0 a/b", &["error: port a/b: ", "'/'"]),
        ("add-br ..", &["error: bridge ..: ", "not allowed"]),
        ("add-port br0 x --vlan 0", &["error: port x: VLAN 0 ", "1 to 4094"]),
        ("add-port br0 x --vlan 4095", &["error: port x: VLAN 4095 ", "1 to 4094"]),
        ("set-port br0 a --vlan 4095", &["error: port a: VLAN 4095 ", "1 to 4094"]),
        ("add-port br0 x --trunk 10,,20", &["error: port x: `10,,20` ", "write 10,20-29,30"]),
        ("add-port br0 x --trunk 20-10", &["error: port x: `20-10` "]),
        ("add-port br0 x --mac 02:00:00:00:00", &["error: port x: ", "02:00:00:00:00"]),
        ("add-port br0 x --mac 01:00:00:00:00:01", &["error: port x: ", "group address"]),
        ("add-port br0 x --mtu 20", &["error: port x: MTU 20 ", "68 to 65521"]),
        ("add-port br0 x --queues 0", &["error: port x: queue count 0 ", "1 to 64"]),
        ("add-port br0 x --type wire", &["error: port x: ", "the types are auto, tap, internal"]),
        ("add-port br0 x --type patch", &["error: port x: ", "--peer"]),
        ("add-mac br0 zz a", &["error: station zz: "]),
        ("add-mac br0 02:00:00:00:00:01 a --vlan 11", &["error: station 02:00:00:00:00:01: ", "VLAN 11"]),
        // What is there already.
        ("add-br br0", &["error: bridge br0: exists already", "set-br"]),
        ("add-port br0 a", &["error: port a: is in bridge br0 already", "set-port"]),
        ("add-port br1 a", &["error: port a: is in bridge br0 already", "vswctl del-port br0 a"]),
        // What the host says.
        ("add-port br0 x --netns vsw-t-nowhere", &["error: port x: ", "vsw-t-nowhere", "ip netns add"]),
        ("add-port br0 slave", &["error: port slave: ", "linux0", "nomaster"]),
        ("add-port br0 slave --type afxdp", &["error: port slave: ", "linux0", "nomaster"]),
        ("add-port br0 lo", &["error: port lo: ", "loopback"]),
        ("add-port br0 wire --type tap", &["error: port wire: ", "exists already", "--type packet"]),
        (
            "add-port br0 wire --mac 02:00:00:00:00:01",
            &["error: port wire: ", "exists already", "--type packet"],
        ),
        ("add-port br0 wire --type packet --netns x", &["error: port wire: ", "tap"]),
        ("add-port br0 wire --type afxdp --queues 9", &["error: port wire: ", "9", "queue"]),
    ] {
        lab.bad(line, 1, says);
        assert_eq!(lab.json("show"), before, "after {line}");
    }
    for line in ["add-port br0 x --vlan ten", "add-port br0", "show --no-such-flag"] {
        assert_eq!(lab.ctl(line).status, 2, "{line}");
    }
    assert_eq!(lab.json("show"), before);
    assert_eq!(lab.host.ip("-o link show"), interfaces);
}

#[test]
fn an_interface_of_another_switch_is_refused() {
    let Some(lab) = Lab::new("an_interface_of_another_switch_is_refused") else { return };
    let other = lab.second();
    lab.good("add-br br0");
    other.good("add-br br9");
    for kind in ["packet", "afxdp"] {
        let a = lab.tap("br0", "a", 1, "");
        let _wire = lab.veth("wire", 2);
        lab.good(&format!("add-port br0 wire --type {kind}"));
        lab.becomes("wire", "up");
        for theirs in ["packet", "afxdp"] {
            let t = other.ctl(&format!("add-port br9 wire --type {theirs}"));
            assert_eq!(t.status, 1, "{theirs} over {kind}: {t:?}");
            assert!(t.stderr.starts_with("error: port wire: "), "{t:?}");
        }
        reaches(&a, 2);
        lab.good("del-port br0 wire");
        lab.good("del-port br0 a");
        other.good("add-port br9 wire --type packet");
        other.good("del-port br9 wire");
        lab.host.ip("link del wire");
    }
}

#[test]
fn a_missing_capability_is_named() {
    let Some(lab) = Lab::idle("a_missing_capability_is_named") else { return };
    lab.start(Role::Control);
    let plain = lab.command(Role::Dataplane);
    let mut without =
        lab.host.command("setpriv --bounding-set=-net_admin,-net_raw --inh-caps=-net_admin,-net_raw");
    // `ip netns exec NAME` are the first three.
    without.args(plain.get_args().skip(3));
    lab.start_by(Role::Dataplane, without);
    lab.ready();
    lab.good("add-br br0");
    let before = lab.json("show");
    lab.bad("add-port br0 x --type tap", 1, &["error: port x: ", "not allowed", "CAP_NET_ADMIN"]);
    assert_eq!(lab.json("show"), before);
}
