//! VLANs and large frames.

use super::{add_early, machine};
use crate::traffic::{between_guests, cannot_reach, reaches, transfer};
use crate::{Guest, Kind, Machine, Nic, Pinger};
use std::time::Instant;
use vsw_netns::{Lab, Namespace};

/// Bytes each way.
const SOME: usize = 8 << 20;
/// A mean frame length that only frames larger than the MTU make; the largest of the others is 1518.
const WHOLE: u64 = 1600;

/// A trunk into the guest; its frames stay whole.
pub fn a_guest_and_containers_talk_across_vlans(lab: &Lab, kind: Kind) {
    let (mut machine, nic) = machine(lab, kind);
    machine.words = "vsw.vlan=eth0.10 vsw.addr=eth0.10:10.0.10.1/24 vsw.vlan=eth0.20 \
                     vsw.addr=eth0.20:10.0.20.1/24 vsw.addr=eth0:10.0.0.1/24"
        .into();
    add_early(lab, &nic, "--trunk 10,20,30 --native 30");
    let container = |port: &str, vlan: u8, address: &str| {
        let machine = Namespace::new(port);
        lab.good(&format!("add-port br0 {port} --netns {} --vlan {vlan}", machine.name()));
        machine.ip(&format!("link set dev {port} up"));
        machine.ip(&format!("addr add {address}/24 dev {port}"));
        machine
    };
    let addresses = ["10.0.10.2", "10.0.20.2", "10.0.0.2"];
    let containers = [
        container("a", 10, addresses[0]),
        container("b", 20, addresses[1]),
        container("c", 30, addresses[2]),
    ];
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    for (container, address) in containers.iter().zip(addresses) {
        reaches(&guest, address);
        guest.good(&format!("ping -c 2 -s 8000 {address}"));
        transfer(lab, &guest, container, address, SOME / 8, SOME / 8);
    }
    // As it was with the Linux bridge: the guest's TCP leaves the cutting to somebody else.
    for (container, address) in [(&containers[0], addresses[0]), (&containers[2], addresses[2])] {
        let sent = mean_frame(lab, "rx", || transfer(lab, &guest, container, address, SOME, 0));
        let got = mean_frame(lab, "tx", || transfer(lab, &guest, container, address, 0, SOME));
        println!("{kind:?}: mean frame {sent} bytes from the guest, {got} bytes to it");
        assert!(sent > WHOLE && got > WHOLE, "frames are larger than the MTU: {sent}, {got}");
    }
    // VLAN 20 is somebody else's now.
    lab.good("set-port br0 vm0 --trunk 10,30 --native 30");
    cannot_reach(&guest, addresses[1]);
    reaches(&guest, addresses[0]);
    for port in ["vm0", "a", "b", "c"] {
        for reason in ["bad-offload", "tx-error", "over-long", "no-headroom", "too-big"] {
            assert_eq!(lab.dropped(port, reason), 0, "{port}: {reason}");
        }
    }
    features(&guest);
}

/// The guest's driver and the device agreed on checksum and segmentation offload, both ways (virtio 1.2, 5.1.3).
fn features(guest: &Guest) {
    let bits = guest.good("cat /sys/class/net/eth0/device/features");
    for (bit, name) in
        [(0, "CSUM"), (1, "GUEST_CSUM"), (7, "GUEST_TSO4"), (11, "HOST_TSO4"), (15, "MRG_RXBUF")]
    {
        assert_eq!(bits.as_bytes().get(bit), Some(&b'1'), "VIRTIO_NET_F_{name} in {bits}");
    }
}

/// Bytes a frame at the port `vm0` in one direction while `f` runs.
fn mean_frame(lab: &Lab, direction: &str, f: impl FnOnce()) -> u64 {
    let counters = || {
        let stats = lab.json("stats vm0");
        ["packets", "bytes"].map(|what| stats[0][format!("{direction}_{what}")].as_u64().unwrap_or_default())
    };
    let before = counters();
    f();
    let after = counters();
    (after[1] - before[1]) / (after[0] - before[0]).max(1)
}

/// Two guests, of which the second is on a TAP, and containers. Large frames stay whole from guest to guest.
pub fn guests_talk_to_each_other(lab: &Lab, kind: Kind) {
    let (mut first, nic) = machine(lab, kind);
    first.words =
        "vsw.vlan=eth0.10 vsw.addr=eth0.10:10.0.0.1/24 vsw.vlan=eth0.20 vsw.addr=eth0.20:10.0.20.1/24".into();
    let other = Nic::new(lab, Kind::Tap, "vm1", 4);
    let second = Machine::new("other", std::slice::from_ref(&other), "vsw.addr=eth0:10.0.0.4/24");
    add_early(lab, &nic, "--trunk 10,20");
    add_early(lab, &other, "--vlan 10");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let b = lab.tap("br0", "b", 3, "--vlan 20");
    b.ip("addr add 10.0.20.3/24 dev b");
    let (first, second) = (first.start(lab), second.start(lab));
    for (guest, port) in [(&first, "vm0"), (&second, "vm1")] {
        guest.ready();
        lab.becomes(port, "up");
    }
    for to in ["10.0.0.4", "10.0.0.2", "10.0.20.3"] {
        reaches(&first, to);
    }
    transfer(lab, &first, &b, "10.0.20.3", SOME / 8, SOME / 8);
    transfer(lab, &second, &a, "10.0.0.2", SOME / 8, SOME / 8);
    between_guests(&second, &first, "10.0.0.1", SOME / 8);
    let frame = mean_frame(lab, "rx", || between_guests(&first, &second, "10.0.0.4", SOME));
    println!("{kind:?} to Tap: mean frame {frame} bytes");
    assert!(frame > WHOLE, "frames are larger than the MTU: {frame}");
    lab.good("set-port br0 vm1 --vlan 20");
    cannot_reach(&second, "10.0.0.1");
    cannot_reach(&second, "10.0.0.2");
    reaches(&second, "10.0.0.3");
}

pub fn a_vlan_changes_while_traffic_flows(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    add_early(lab, &nic, "--vlan 10");
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let b = lab.tap("br0", "b", 3, "--vlan 20");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    let (of_a, of_b) = (Pinger::new(&a, "10.0.0.1"), Pinger::new(&b, "10.0.0.1"));
    of_a.answered(Instant::now());
    of_b.silenced();
    lab.good("set-port br0 vm0 --vlan 20");
    of_b.answered(Instant::now());
    of_a.silenced();
    reaches(&guest, "10.0.0.3");
    // A stream waits until its machine is in reach again.
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| transfer(lab, &guest, &b, "10.0.0.3", SOME, SOME));
        for vlan in [10, 20, 10, 20] {
            std::thread::sleep(std::time::Duration::from_millis(300));
            lab.good(&format!("set-port br0 vm0 --vlan {vlan}"));
        }
        stream.join().expect("it ends well");
    });
    lab.good("set-port br0 vm0 --vlan 10");
    of_a.answered(Instant::now());
    of_b.silenced();
}
