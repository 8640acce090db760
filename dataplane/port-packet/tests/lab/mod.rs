//! What the tests of attached interfaces share.
#![allow(dead_code)] // each test binary uses a part of it

use crate::common::*;
use crate::relay::pool;
use vsw_mem::{Batch, Frame};
use vsw_port::{Driver, Io, OpenPort, PortSpec};
use vsw_port_packet::PacketDriver;
use vsw_types::Name;

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
/// An EtherType for experiments (IEEE 802).
pub(crate) const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

pub(crate) fn spec(name: &str) -> PortSpec {
    let ifname = Name::new(name).unwrap();
    PortSpec { ifname, netns: None, mac: None, mtu: None, queues: None, workers: 1, socket: None }
}

pub(crate) fn open(name: &str, folder: &Folder) -> OpenPort {
    let driver = PacketDriver::new(folder.0.clone());
    driver.check(&spec(name)).unwrap();
    driver.open(&spec(name), pool()).unwrap()
}

/// Both ends of a veth pair, attached.
pub(crate) fn pair(folder: &Folder) -> (OpenPort, OpenPort) {
    run("ip link add v0 type veth peer name v1");
    run("ip link set v0 up");
    run("ip link set v1 up");
    (open("v0", folder), open("v1", folder))
}

/// Only what a test sends itself, not what the host's stack has to say.
pub(crate) fn ours(frame: &Frame) -> bool {
    frame.bytes()[6..12] == [2, 0, 0, 0, 0, 0x99]
}

pub(crate) fn send(port: &mut OpenPort, io: &mut Io, frame: Frame) {
    let mut batch = Batch::new();
    batch.push(frame);
    port.queues[0].send(&mut batch, io).unwrap();
    assert!(batch.is_empty() && io.take_tally().is_none());
}

/// Whether the host answers a ping to its address on `v1`.
pub(crate) fn host_answers(ns: &Netns) -> bool {
    ns.ip("neigh flush all");
    output(&format!("ip netns exec {} ping -c1 -W1 10.9.0.1", ns.name)).contains("1 received")
}

pub(crate) fn with_a_host(ns: &Netns) {
    run(&format!("ip link add v1 type veth peer name eth0 netns {}", ns.name));
    run("ip addr add 10.9.0.1/24 dev v1");
    run("ip link set v1 up");
    ns.ip("addr add 10.9.0.2/24 dev eth0");
    ns.ip("link set eth0 up");
}
