//! One line, done when it returns, effective at once: the feel of `brctl`.

use vsw_netns::traffic::{cannot_reach, pings, reaches};
use vsw_netns::{Lab, Namespace, Role, eventually};

#[test]
fn a_bridge_and_two_machines_take_five_lines() {
    let Some(lab) = Lab::new("a_bridge_and_two_machines_take_five_lines") else { return };
    let (a, b) = (Namespace::new("a"), Namespace::new("b"));
    lab.good("addbr br0");
    lab.good(&format!("add-port br0 tap-a --netns {}", a.name()));
    // By the process id of somebody who is there.
    let mut sleeper = b.command("sleep 60").spawn().unwrap();
    eventually("the process is in its namespace", || {
        let of = |path: &str| std::fs::read_link(path).ok();
        of(&format!("/proc/{}/ns/net", sleeper.id())) != of("/proc/self/ns/net")
    });
    lab.good(&format!(
        "addif br0 tap-b --netns {} --mac 02:00:00:00:00:0b --mtu 1400 --queues 2",
        sleeper.id()
    ));
    // Up already.
    assert_eq!((lab.state("tap-a"), lab.state("tap-b")), ("up".into(), "up".into()));
    a.address("tap-a", 1);
    b.address("tap-b", 2);
    reaches(&a, 2);
    reaches(&b, 1);
    let link = b.ip("link show tap-b");
    assert!(link.contains("02:00:00:00:00:0b") && link.contains("mtu 1400"), "{link}");
    let port = lab.port("tap-b");
    assert_eq!(
        (&port["mtu"], &port["queues"], &port["mac"]),
        (&1400.into(), &2.into(), &"02:00:00:00:00:0b".into())
    );

    // Effective when the command returns.
    lab.good("set-port br0 tap-b --mtu 1300");
    assert!(b.ip("link show tap-b").contains("mtu 1300"));
    lab.good("set-port br0 tap-b --vlan 7");
    cannot_reach(&a, 2);
    lab.good("set-port br0 tap-a --vlan 7");
    reaches(&a, 2);
    lab.good("set-port br0 tap-a --isolated");
    lab.good("set-port br0 tap-b --isolated");
    cannot_reach(&a, 2);
    lab.good("set-port br0 tap-b --isolated=false");
    reaches(&a, 2);

    lab.good("delif br0 tap-a");
    assert!(!a.has("tap-a"));
    assert!(b.has("tap-b"));
    lab.good("delbr br0");
    assert!(!b.has("tap-b"));
    assert_eq!(lab.json("show")["bridges"], serde_json::json!([]));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn programs_find_the_fields_that_were_promised() {
    let Some(lab) = Lab::new("programs_find_the_fields_that_were_promised") else { return };
    lab.good("add-br br0 --ageing 60");
    let a = lab.tap("br0", "a", 1, "--vlan 10");
    let _b = lab.tap("br0", "b", 2, "--trunk 10,20-22 --native 10");
    reaches(&a, 2);
    let promised = |value: &serde_json::Value, names: &str| {
        for name in names.split(' ') {
            assert!(value.get(name).is_some(), "no {name} in {value}");
        }
    };
    let shown = lab.json("show");
    promised(&shown, "bridges generation");
    let bridge = &shown["bridges"][0];
    promised(bridge, "ageing_seconds name ports");
    assert_eq!((&bridge["name"], &bridge["ageing_seconds"]), (&"br0".into(), &60.into()));
    promised(
        &bridge["ports"][0],
        "mac mode mtu name offloads queues reason state trunks type type_reason vlan vlan_mode",
    );
    let a_port = lab.port("a");
    assert_eq!(
        (&a_port["type"], &a_port["vlan_mode"], &a_port["vlan"]),
        (&"tap".into(), &"access".into(), &10.into())
    );
    for offload in ["csum", "tso4", "tso6"] {
        assert!(a_port["offloads"].as_array().unwrap().contains(&offload.into()), "{offload}");
    }
    let b_port = lab.port("b");
    assert_eq!(b_port["vlan_mode"], "native-untagged");
    assert_eq!(b_port["trunks"], serde_json::json!([10, 20, 21, 22]));

    let macs = lab.json("show-macs br0");
    promised(&macs[0], "age_seconds mac port static vlan");
    let of_a = macs.as_array().unwrap().iter().find(|m| m["port"] == "a").unwrap();
    assert_eq!((&of_a["mac"], &of_a["vlan"], &of_a["static"]), (&a_port["mac"], &10.into(), &false.into()));
    let stats = lab.json("stats a");
    promised(&stats[0], "bridge port rx_bytes rx_dropped rx_packets tx_bytes tx_dropped tx_packets");
    assert!(stats[0]["rx_packets"].as_u64().unwrap() > 0 && stats[0]["tx_bytes"].as_u64().unwrap() > 0);

    // Larger than the MTU of the way out.
    lab.good("set-port br0 b --mtu 1000");
    a.typed("ping -q -c 2 -i 0.2 -W 1 -M do -s 1200 10.0.0.2");
    eventually("the drop is counted", || lab.dropped("b", "too-big") >= 2);
    let drops = lab.json("drops b");
    let of_b = drops.as_array().unwrap().iter().find(|d| d["reason"] == "too-big").unwrap();
    promised(of_b, "bridge direction packets port reason");
    assert_eq!((&of_b["bridge"], &of_b["direction"]), (&"br0".into(), &"tx".into()));
    assert!(lab.ctl("drops b").stdout.contains("larger than the MTU"));
}

#[test]
fn stations_can_be_fixed_and_forgotten() {
    let Some(lab) = Lab::new("stations_can_be_fixed_and_forgotten") else { return };
    lab.good("add-br br0 --ageing 3");
    let a = lab.tap("br0", "a", 1, "--vlan 10");
    let b = lab.tap("br0", "b", 2, "--vlan 10");
    reaches(&a, 2);
    let ports = |lab: &Lab| -> Vec<String> {
        let macs = lab.json("show-macs br0 --vlan 10");
        macs.as_array().unwrap().iter().map(|m| m["port"].as_str().unwrap().to_owned()).collect()
    };
    assert!(ports(&lab).contains(&"b".into()));
    lab.good("add-mac br0 02:00:00:00:00:99 b --vlan 10");
    a.ip("link set dev a down");
    b.ip("link set dev b down");
    eventually("silent stations are forgotten", || ports(&lab) == ["b"]);
    assert_eq!(lab.json("show-macs br0")[0]["static"], true);
    assert_eq!(lab.ctl("flush-macs br0").stdout, "0 stations forgotten\n");
    assert_eq!(lab.ctl("flush-macs br0 --static").stdout, "1 station forgotten\n");
    assert_eq!(lab.json("show-macs br0"), serde_json::json!([]));
}

#[test]
fn a_port_whose_interface_is_not_there_yet_is_pending() {
    let Some(lab) = Lab::new("a_port_whose_interface_is_not_there_yet_is_pending") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    lab.bad("add-port br0 veth0 --type packet", 4, &["pending: port veth0: ", "veth0"]);
    lab.good("add-port br0 veth1 --type packet --no-wait");
    assert_eq!(lab.state("veth0"), "down");
    let reason = lab.port("veth0")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("veth0"), "{reason}");
    let b = lab.veth("veth0", 2);
    lab.becomes("veth0", "up");
    reaches(&a, 2);
    pings(&b, "-c 1 -w 5 10.0.0.1");
    // The interface is the user's: it stays, and the host has it back.
    lab.good("del-port br0 veth0");
    assert!(lab.host.has("veth0"));
    cannot_reach(&a, 2);
}

#[test]
fn without_the_control_process_vswctl_ends_with_3() {
    let Some(lab) = Lab::new("without_the_control_process_vswctl_ends_with_3") else { return };
    lab.good("add-br br0");
    lab.stop(Role::Control);
    lab.bad("add-br br1", 3, &["error: vswcontrold cannot be reached at unix:", "vswcontrold --run-dir"]);
    assert_eq!(lab.ctl("add-port br0").status, 2);
    assert_eq!(lab.ctl("frobnicate").status, 2);
    lab.start(Role::Control);
    lab.ready();
    assert_eq!(lab.ctl("list-br").stdout, "br0\n");
    // Nor without the dataplane: then it is recorded.
    lab.stop(Role::Dataplane);
    lab.bad("add-br br1", 4, &["pending: switch: vswd cannot be reached at "]);
    lab.start(Role::Dataplane);
    lab.ready();
    eventually("vswd has it", || lab.ctl("add-port br1 x --type tap").ok());
}
