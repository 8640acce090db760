//! A hundred kills of either side: traffic comes back, and nothing is left of those that were killed.
//!
//! Complications: a virtio-user NIC with packed rings resets them when it is connected again, and gives its own
//! polling thread a millisecond to be out of them. On a busy machine testpmd was seen to answer no more after that. So
//! with packed rings it rests while the switch is away; front ends are killed in the middle of traffic always.

use crate::alone;
use crate::resources::Resources;
use std::time::{Duration, Instant};
use vsw_netns::{Lab, Role, eventually};
use vsw_testpmd::{Config, Nic, Ring, Testpmd, is_there};

const KILLS: usize = 100;

/// After these the switch has made whatever it makes once.
const WARM: usize = 5;

/// What resident memory may differ by, in kB: an allocator is not exact. A queue that is kept is more.
const SLACK_KB: usize = 1_024;

/// A switch with two ports, and how to start a testpmd with their NICs: its rings, and whether it owns its socket.
fn lab(test: &str, nics: [(Ring, bool); 2]) -> Option<(Lab, Config)> {
    if !is_there(test) {
        return None;
    }
    let lab = Lab::new(test)?;
    lab.good("add-br br0");
    let nic = |(n, (ring, server)): (u8, _)| {
        let nic = Nic { server, ring, ..Nic::new(lab.dir().join(format!("vm{n}.sock")), n) };
        let mode = if server { "client" } else { "server" };
        let socket = nic.socket.display();
        lab.good(&format!("--no-wait add-port br0 vm{n} --type vhost-user --mode {mode} --socket {socket}"));
        nic
    };
    let nics = (1..).zip(nics).map(nic).collect();
    let config = Config { memory: 64, buffers: 4_096, ..Config::new(lab.dir(), nics) };
    Some((lab, config))
}

/// Waits until each NIC received a hundred frames more.
#[track_caller]
fn flows(testpmd: &mut Testpmd, what: &str) {
    let mut rx = |port| testpmd.stats(port).unwrap().rx_packets;
    let before = [rx(0), rx(1)];
    eventually(what, || (0..2).all(|port| rx(port) > before[port] + 100));
}

#[test]
fn front_ends_that_are_killed_leave_nothing() {
    let _alone = alone();
    let nics = [(Ring::Split, true), (Ring::Packed, false)];
    let Some((lab, config)) = lab("front_ends_that_are_killed_leave_nothing", nics) else { return };
    let mut before = None;
    let start = Instant::now();
    for kill in 0..KILLS + WARM {
        let mut testpmd = config.start().unwrap();
        testpmd.forward("flowgen").unwrap();
        flows(&mut testpmd, &format!("traffic before kill {kill}"));
        // In the middle of it.
        testpmd.kill();
        if kill + 1 == WARM {
            before = Some(settled(&lab));
        }
    }
    let (before, after) = (before.unwrap(), settled(&lab));
    println!("{KILLS} kills of the front end in {:.1?}: {before:?} became {after:?}", start.elapsed());
    assert!(before.descriptors >= after.descriptors, "descriptors: {before:?} became {after:?}");
    assert!(before.mappings >= after.mappings, "mappings: {before:?} became {after:?}");
    assert!(before.threads >= after.threads, "threads: {before:?} became {after:?}");
    assert!(after.resident_kb <= before.resident_kb + SLACK_KB, "memory: {before:?} became {after:?}");
}

/// What the switch holds without a front end.
#[track_caller]
fn settled(lab: &Lab) -> Resources {
    for port in ["vm1", "vm2"] {
        lab.becomes(port, "down");
    }
    // What was shared is given back when every worker has passed.
    std::thread::sleep(Duration::from_millis(500));
    Resources::of(lab.pid(Role::Dataplane))
}

#[test]
fn a_switch_that_is_killed_is_found_again() {
    kill_switches("a_switch_that_is_killed_is_found_again", Ring::Split);
}

#[test]
fn a_switch_that_is_killed_is_found_again_with_packed_rings() {
    kill_switches("a_switch_that_is_killed_is_found_again_with_packed_rings", Ring::Packed);
}

fn kill_switches(test: &str, ring: Ring) {
    let _alone = alone();
    // A virtio-user NIC that connects does so once: both own their sockets.
    let Some((lab, config)) = lab(test, [(ring, true); 2]) else { return };
    let mut testpmd = config.start().unwrap();
    testpmd.forward("flowgen").unwrap();
    flows(&mut testpmd, "traffic at first");
    let hold = |lab: &Lab, testpmd: &Testpmd| [lab.pid(Role::Dataplane), testpmd.pid()].map(Resources::of);
    let mut before = hold(&lab, &testpmd);
    let start = Instant::now();
    for kill in 0..KILLS + WARM {
        let rests = ring == Ring::Packed;
        if rests {
            testpmd.stop().unwrap();
        }
        lab.kill(Role::Dataplane);
        lab.start(Role::Dataplane);
        if rests {
            for port in ["vm1", "vm2"] {
                lab.becomes(port, "up");
            }
            testpmd.forward("flowgen").unwrap();
        }
        flows(&mut testpmd, &format!("traffic after kill {kill}"));
        if kill + 1 == WARM {
            before = hold(&lab, &testpmd);
        }
    }
    let took = start.elapsed();
    lab.ready();
    let after = hold(&lab, &testpmd);
    println!("{ring:?}: {KILLS} kills of vswd in {took:.1?}");
    for (name, before, after) in [("vswd", before[0], after[0]), ("testpmd", before[1], after[1])] {
        println!("{name}: {before:?} became {after:?}");
        // A client's connection to vswd more or less.
        assert!(after.descriptors <= before.descriptors + 2, "{name}: {before:?} became {after:?}");
        assert!(after.mappings <= before.mappings + 4, "{name}: {before:?} became {after:?}");
    }
    // Each vswd has memory of its own, and touched more or less of the guests'.
    let [before, after] = [before[1].resident_kb, after[1].resident_kb];
    assert!(after <= before + SLACK_KB, "memory of testpmd: {before} kB became {after} kB");
}
