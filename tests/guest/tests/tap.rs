//! Virtual machines on TAPs: QEMU makes the TAP, the switch attaches it by its name.

use vsw_guest::traffic::{cannot_reach, reaches, transfer};
use vsw_guest::{Kind, Machine, Nic, lab};

/// A machine with one NIC on VLAN 10, address 10.0.0.1.
fn machine(lab: &vsw_netns::Lab) -> (Machine, Nic) {
    let nic = Nic::new(lab, Kind::Tap, "tap0", 1);
    (Machine::new("vm1", std::slice::from_ref(&nic), "vsw.addr=eth0:10.0.0.1/24"), nic)
}

#[test]
fn the_port_comes_after_the_guest() {
    let Some(lab) = lab("the_port_comes_after_the_guest") else { return };
    lab.good("add-br br0");
    let (machine, _) = machine(&lab);
    let guest = machine.boot(&lab);
    lab.good("add-port br0 tap0 --vlan 10");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    reaches(&guest, "10.0.0.2");
    transfer(&lab, &guest, &a, "10.0.0.2", 4 << 20, 4 << 20);
    lab.good("set-port br0 a --vlan 20");
    cannot_reach(&guest, "10.0.0.2");
    assert_eq!(lab.port("tap0")["type"], "packet");
}
