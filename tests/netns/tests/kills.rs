//! kill -9 of either daemon at any moment, during changes and under traffic.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use vsw_netns::traffic::{reaches, transfer};
use vsw_netns::{Lab, Namespace, Role, eventually};

const KILLS: u32 = 20;
/// Ports that come and go meanwhile, each in a namespace of its own.
const MACHINES: usize = 4;

/// What the last command that was reported as done said of a port: its VLAN, or that it is gone. Absent:
/// nobody knows, for the answer was lost.
type Done = BTreeMap<usize, Option<u32>>;

#[test]
fn nothing_that_was_reported_as_done_is_lost_by_kill_9() {
    let Some(lab) = Lab::new("nothing_that_was_reported_as_done_is_lost_by_kill_9") else { return };
    lab.good("add-br br0");
    let [a, b] = [("packet", 1), ("afxdp", 2)].map(|(kind, n)| {
        let machine = lab.veth(&format!("wire{n}"), n);
        lab.good(&format!("add-port br0 wire{n} --type {kind} --vlan 10"));
        machine
    });
    reaches(&a, 2);
    let machines: Vec<Namespace> = (0..MACHINES).map(|n| Namespace::new(&format!("m{n}"))).collect();
    let mut traffic = a.command("ping -q -i 0.01 10.0.0.2").stdout(Stdio::null()).spawn().unwrap();
    let finished = AtomicBool::new(false);
    let (done, changes) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| change_until(&lab, &machines, &finished));
        let mut random = 12345u32;
        for _ in 0..KILLS {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            std::thread::sleep(Duration::from_millis(u64::from(random >> 22)));
            let role = if random & 0x1_0000 == 0 { Role::Control } else { Role::Dataplane };
            lab.kill(role);
            std::thread::sleep(Duration::from_millis(u64::from(random >> 27)));
            lab.start(role);
        }
        finished.store(true, Relaxed);
        writer.join().unwrap()
    });
    traffic.kill().unwrap();
    traffic.wait().unwrap();
    lab.ready();
    assert!(changes >= KILLS, "only {changes} changes between {KILLS} kills");

    for (n, vlan) in &done {
        let port = lab.port(&format!("t{n}"));
        assert_eq!(port["vlan"].as_u64(), vlan.map(u64::from), "t{n} is {port}");
    }
    // What the configuration says is so, and nothing else is there.
    eventually("every port is up", || {
        let shown = lab.json("show");
        let ports = shown["bridges"][0]["ports"].as_array().cloned().unwrap_or_default();
        ports.iter().all(|p| p["state"] == "up")
    });
    for (n, machine) in machines.iter().enumerate() {
        let name = format!("t{n}");
        assert_eq!(machine.has(&name), !lab.port(&name).is_null(), "{name}");
    }
    reaches(&a, 2);
    transfer(&b, &a, vsw_netns::traffic::addresses(1)[0], 1 << 20);

    // The last ones die too; what they leave is found by the next, which leave nothing.
    lab.kill(Role::Dataplane);
    lab.kill(Role::Control);
    lab.start(Role::Control);
    lab.start(Role::Dataplane);
    lab.ready();
    lab.good("del-br br0");
    lab.stop(Role::Dataplane);
    lab.stop(Role::Control);
    for (n, machine) in machines.iter().enumerate() {
        assert!(!machine.has(&format!("t{n}")), "t{n}");
    }
    lab.nothing_is_left();
}

/// Adds, changes and removes ports until told to stop; what of it was reported as done.
fn change_until(lab: &Lab, machines: &[Namespace], finished: &AtomicBool) -> (Done, u32) {
    let (mut done, mut changes) = (Done::new(), 0);
    let mut round = 0;
    while !finished.load(Relaxed) {
        round += 1;
        let n = round % machines.len();
        let vlan = 1 + (round % 4000) as u32;
        let (line, becomes) = match round / machines.len() % 3 {
            0 => (format!("add-port br0 t{n} --netns {} --vlan {vlan}", machines[n].name()), Some(vlan)),
            1 => (format!("set-port br0 t{n} --vlan {vlan}"), Some(vlan)),
            _ => (format!("del-port br0 t{n}"), None),
        };
        match lab.ctl(&format!("--timeout 2 {line}")).status {
            // 4: recorded, and not in force, for vswd is away.
            0 | 4 => {
                done.insert(n, becomes);
                changes += 1;
            }
            // Refused, for an earlier one was lost: nothing changes.
            1 => {}
            _ => {
                done.remove(&n);
            }
        }
    }
    (done, changes)
}

/// It changes interfaces of others while it has them; the next one knows how they were.
#[test]
fn an_interface_is_put_back_as_it_was_before_the_killed_one() {
    let Some(lab) = Lab::new("an_interface_is_put_back_as_it_was_before_the_killed_one") else { return };
    lab.good("add-br br0");
    for (n, kind) in [(1, "packet"), (2, "afxdp")] {
        let _machine = lab.veth("wire", n);
        let mtu = |bytes: u32| lab.host.ip("link show dev wire").contains(&format!("mtu {bytes} "));
        lab.good(&format!("add-port br0 wire --type {kind} --mtu 1400"));
        assert!(mtu(1400));
        for _ in 0..2 {
            lab.kill(Role::Dataplane);
            lab.start(Role::Dataplane);
            lab.ready();
            lab.becomes("wire", "up");
            assert!(mtu(1400));
        }
        lab.good("del-port br0 wire");
        assert!(mtu(1500), "{kind}: {}", lab.host.ip("link show dev wire"));
        lab.host.ip("link del dev wire");
    }
    lab.stop(Role::Dataplane);
    lab.stop(Role::Control);
    lab.nothing_is_left();
}
