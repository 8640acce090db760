//! Guests, NICs and switches that come and go.

use super::{add_early, generation, machine};
use crate::traffic::{reaches, transfer};
use crate::{Kind, Nic, Pinger};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use vsw_netns::{Lab, Role};

/// Shut down and started again without touching the configuration.
pub fn the_port_comes_before_its_guest(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    add_early(lab, &nic, "--vlan 10");
    assert_eq!(lab.state("vm0"), "down");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let before = generation(lab);
    for again in [false, true] {
        let guest = machine.boot(lab);
        lab.becomes("vm0", "up");
        reaches(&guest, "10.0.0.2");
        transfer(lab, &guest, &a, "10.0.0.2", 1 << 20, 1 << 20);
        if again {
            guest.kill();
        } else {
            guest.shut_down();
        }
        lab.becomes("vm0", "down");
    }
    assert_eq!(generation(lab), before);
}

pub fn the_guest_comes_before_its_port(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    let guest = machine.start(lab);
    // QEMU waits for the other end of a vhost-user socket before it starts the guest.
    match kind {
        Kind::Tap => guest.ready(),
        Kind::VhostUser => std::thread::sleep(Duration::from_millis(500)),
    }
    lab.good(&format!("{} --vlan 10", nic.add_port("br0")));
    guest.ready();
    lab.becomes("vm0", "up");
    let _a = lab.tap("br0", "a", 2, "--vlan 10");
    reaches(&guest, "10.0.0.2");
    reaches(&guest, "fd00::2");
}

pub fn a_nic_is_plugged_into_a_running_guest(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    let second = Nic::new(lab, kind, "vm1", 5);
    add_early(lab, &nic, "--vlan 10");
    add_early(lab, &second, "--vlan 20");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let _b = lab.tap("br0", "b", 3, "--vlan 20");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    let pings = Pinger::new(&a, "10.0.0.1");
    pings.answered(Instant::now());
    let before = generation(lab);
    for _ in 0..2 {
        guest.plug(&second);
        guest.good("for i in $(seq 100); do [ -e /sys/class/net/eth1 ] && break; sleep 0.1; done");
        // The same network, but another VLAN: what comes for .3 went out of the new NIC.
        guest.good(
            "ip link set eth1 up && ip addr add 10.0.0.5/24 dev eth1 && ip route add 10.0.0.3 dev eth1",
        );
        lab.becomes("vm1", "up");
        reaches(&guest, "10.0.0.3");
        guest.unplug(&second);
        lab.becomes("vm1", "down");
        pings.answered(Instant::now());
    }
    assert_eq!(generation(lab), before);
}

pub fn a_guest_is_killed_in_the_middle_of_traffic(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    add_early(lab, &nic, "--vlan 10");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let b = lab.tap("br0", "b", 3, "--vlan 10");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    let (pings, bystanders) = (Pinger::new(&a, "10.0.0.1"), Pinger::new(&a, "10.0.0.3"));
    let flood = b.command("ping -q -f -s 1400 10.0.0.1").stdout(std::process::Stdio::null()).spawn();
    let mut flood = flood.expect("ping starts");
    guest.good("ping -s 60000 10.0.0.2 >/dev/null 2>&1 & (while :; do head -c 1400 /dev/zero | nc -u -w 1 10.0.0.2 9; done) >/dev/null 2>&1 &");
    for _ in 0..2 {
        pings.answered(Instant::now());
        std::thread::sleep(Duration::from_millis(500));
    }
    let before = generation(lab);
    guest.kill();
    lab.becomes("vm0", "down");
    let killed = Instant::now();
    assert!(bystanders.answered(killed) < Duration::from_secs(2), "others notice nothing");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    pings.answered(Instant::now());
    let _ = flood.kill().and_then(|()| flood.wait());
    transfer(lab, &guest, &a, "10.0.0.2", 1 << 20, 1 << 20);
    assert_eq!(generation(lab), before);
}

/// Killed, then stopped in good order; traffic resumes by itself, and how soon is printed.
pub fn the_switch_restarts_under_a_running_guest(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    add_early(lab, &nic, "--vlan 10");
    // Interfaces that the switch makes go with it; a wire stays.
    let a = lab.veth("wire", 2);
    lab.good("add-port br0 wire --type packet --vlan 10");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    reaches(&guest, "10.0.0.2");
    let pings = Pinger::new(&a, "10.0.0.1");
    let path = lab.dir().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd.set_read_timeout(Some(Duration::from_secs(20))).expect("a live socket");
    for how in ["killed", "stopped"] {
        pings.answered(Instant::now());
        match how {
            "killed" => lab.kill(Role::Dataplane),
            _ => lab.stop(Role::Dataplane),
        }
        pings.silenced();
        let mut command = lab.command(Role::Dataplane);
        command.env("NOTIFY_SOCKET", &path);
        let started = Instant::now();
        lab.start_by(Role::Dataplane, command);
        systemd.recv(&mut [0; 64]).expect("it says that it is ready");
        let (ready, back) = (started.elapsed(), pings.answered(started));
        println!("{kind:?}: vswd {how}: ready {ready:.0?} and traffic {back:.0?} after its start");
        assert!(back < ready + Duration::from_secs(3), "traffic resumes soon");
        transfer(lab, &guest, &a, "10.0.0.2", 1 << 20, 1 << 20);
        lab.becomes("vm0", "up");
    }
}
