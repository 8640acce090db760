//! Every kind of port with every other: small and large pings, TCP both ways with every byte compared.

use vsw_netns::traffic::{addresses, pings, reaches, transfer};
use vsw_netns::{Lab, Namespace, Role, eventually};

/// Bytes each way.
const SOME: usize = 8 << 20;

fn exchange_everything(a: &Namespace, b: &Namespace, n: u8) {
    reaches(a, n);
    for to in addresses(n) {
        for size in [1400, 8000] {
            pings(a, &format!("-c 2 -i 0.2 -w 10 -s {size} {}", to.ip()));
        }
        transfer(a, b, to, SOME);
    }
}

#[test]
fn tap_packet_and_afxdp_ports_exchange_everything() {
    let Some(lab) = Lab::new("tap_packet_and_afxdp_ports_exchange_everything") else { return };
    lab.good("add-br br0");
    let mut machines = vec![lab.tap("br0", "tap1", 1, ""), lab.tap("br0", "tap2", 2, "")];
    for (n, kind) in [(3, "packet"), (4, "packet"), (5, "afxdp"), (6, "afxdp")] {
        let name = format!("{kind}{n}");
        machines.push(lab.veth(&name, n));
        lab.good(&format!("add-port br0 {name} --type {kind}"));
        lab.becomes(&name, "up");
        assert_eq!(lab.port(&name)["type"], kind);
    }
    for (i, a) in machines.iter().enumerate() {
        for (j, b) in machines.iter().enumerate().skip(i + 1) {
            exchange_everything(a, b, j as u8 + 1);
        }
    }
    for reason in ["bad-offload", "tx-error", "over-long", "no-headroom", "too-big"] {
        for port in lab.ctl("list-ports br0").stdout.lines() {
            assert_eq!(lab.dropped(port, reason), 0, "{port}: {reason}");
        }
    }
}

/// Another switch plays the VMM: it holds the TAP that ours attaches, with a guest behind it.
#[test]
fn a_tap_that_a_vmm_holds_is_attached_as_brctl_would() {
    let Some(lab) = Lab::new("a_tap_that_a_vmm_holds_is_attached_as_brctl_would") else { return };
    let vmm = lab.second();
    vmm.good("add-br vm");
    vmm.good("add-port vm vnet0 --type tap");
    let guest = vmm.tap("vm", "eth0", 1, "");

    lab.good("add-br br0");
    lab.good("addif br0 vnet0");
    let port = lab.port("vnet0");
    assert_eq!((&port["type"], &port["state"]), (&"packet".into(), &"up".into()), "{port}");
    assert!(port["type_reason"].as_str().unwrap().contains("vnet0"), "{port}");
    let a = lab.tap("br0", "a", 2, "");
    exchange_everything(&guest, &a, 2);
    exchange_everything(&a, &guest, 1);
    // The VMM goes, and comes again.
    vmm.good("del-port vm vnet0");
    lab.becomes("vnet0", "down");
    vmm.good("add-port vm vnet0 --type tap");
    lab.becomes("vnet0", "up");
    reaches(&a, 1);
}

/// Nothing is made in its place, not even by a switch that starts while the VMM is away.
#[test]
fn a_port_may_come_before_its_interface() {
    let Some(lab) = Lab::new("a_port_may_come_before_its_interface") else { return };
    let vmm = lab.second();
    vmm.good("add-br vm");
    let guest = vmm.tap("vm", "eth0", 1, "");
    lab.good("add-br br0");
    lab.bad("add-port br0 vnet0", 4, &["pending: port vnet0: ", "no interface vnet0", "--type tap"]);
    let a = lab.tap("br0", "a", 2, "");
    for again in [false, true] {
        assert_eq!(lab.state("vnet0"), "down");
        vmm.good("add-port vm vnet0 --type tap");
        lab.becomes("vnet0", "up");
        if again {
            a.address("a", 2);
        }
        reaches(&guest, 2);
        vmm.good("del-port vm vnet0");
        lab.becomes("vnet0", "down");
        lab.kill(Role::Dataplane);
        lab.start(Role::Dataplane);
        lab.ready();
        eventually("the machine has its NIC again", || a.has("a"));
    }
}

#[test]
fn patch_ports_join_two_bridges() {
    let Some(lab) = Lab::new("patch_ports_join_two_bridges") else { return };
    lab.good("add-br br0");
    lab.good("add-br br1");
    let a = lab.tap("br0", "a", 1, "--vlan 10");
    let b = lab.tap("br1", "b", 2, "--vlan 10");
    let t = lab.ctl("add-port br0 to1 --type patch --peer to0 --trunk 10");
    assert!(matches!(t.status, 0 | 4), "{t:?}");
    assert_eq!(lab.state("to1"), "down");
    lab.good("add-port br1 to0 --type patch --peer to1 --trunk 10");
    assert_eq!((lab.state("to0"), lab.state("to1")), ("up".into(), "up".into()));
    exchange_everything(&a, &b, 2);
    lab.good("set-port br1 to0 --trunk 20");
    vsw_netns::traffic::cannot_reach(&a, 2);
    lab.good("set-port br1 to0 --trunk 10");
    reaches(&a, 2);
    lab.good("del-port br0 to1");
    lab.becomes("to0", "down");
}
