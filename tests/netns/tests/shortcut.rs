//! The kernel's shortcut between AF_XDP ports, as seen from outside: it works where `vswd` stands still, and is
//! never seen where it must not be.

use std::time::{Duration, Instant};
use vsw_netns::traffic::{addresses, cannot_reach, pings, reaches, transfer};
use vsw_netns::{Lab, Namespace, Role, eventually, run};

/// A machine at an AF_XDP port. `takes`: its end of the veth takes redirected frames, since it has GRO.
fn machine(lab: &Lab, name: &str, n: u8, takes: bool, settings: &str) -> Namespace {
    let machine = lab.veth(name, n);
    gro(&machine, name, takes);
    lab.good(&format!("add-port br0 {name} --type afxdp {settings}"));
    lab.becomes(name, "up");
    machine
}

fn gro(machine: &Namespace, ifname: &str, on: bool) {
    assert!(machine.typed(&format!("ethtool -K {ifname} gro {}", if on { "on" } else { "off" })).ok());
}

/// `vswd` stands still while this lives: what moves, the kernel moves.
struct Frozen<'a>(&'a Lab);

impl<'a> Frozen<'a> {
    fn new(lab: &'a Lab) -> Self {
        run(&format!("kill -STOP {}", lab.pid(Role::Dataplane)));
        Self(lab)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run(&format!("kill -CONT {}", self.0.pid(Role::Dataplane)));
    }
}

fn ping_once(from: &Namespace, to: u8) -> bool {
    from.typed(&format!("ping -q -c 1 -W 1 {}", addresses(to)[0].ip())).ok()
}

/// Waits until frames between the two, which know each other, need no worker.
#[track_caller]
fn short(lab: &Lab, from: &Namespace, to: u8) {
    reaches(from, to);
    eventually("the kernel hands frames on", || {
        let _frozen = Frozen::new(lab);
        ping_once(from, to)
    });
}

/// Packets that an interface received and sent, as the kernel counts them.
fn kernel(machine: &Namespace, ifname: &str) -> (u64, u64) {
    let text = machine.ip(&format!("-s -j link show dev {ifname}"));
    let link: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |way: &str| link[0]["stats64"][way]["packets"].as_u64().unwrap();
    (count("rx"), count("tx"))
}

#[test]
fn known_stations_need_no_worker_and_all_is_counted() {
    let Some(lab) = Lab::new("known_stations_need_no_worker_and_all_is_counted") else { return };
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, true, "");
    let b = machine(&lab, "vb", 2, true, "");
    short(&lab, &a, 2);
    let stats = |port: &str, field: &str| lab.json(&format!("stats {port}"))[0][field].as_u64().unwrap();
    let counted = || [stats("va", "rx_packets"), stats("vb", "tx_packets")];
    std::thread::sleep(Duration::from_millis(500)); // what was frozen is counted
    let before = counted();
    {
        let _frozen = Frozen::new(&lab);
        for size in [0, 100, 1472] {
            pings(&a, &format!("-c 20 -i 0.01 -W 1 -s {size} 10.0.0.2"));
        }
    }
    let after = counted();
    let grown = [after[0] - before[0], after[1] - before[1]];
    assert!(grown.iter().all(|n| (60..70).contains(n)), "{before:?} {after:?}");
    assert!(lab.port("va")["mode"].as_str().unwrap().contains("shortcut"), "{}", lab.port("va"));
    // Checksums that a sender left unfinished are finished by the workers.
    for to in addresses(2) {
        transfer(&a, &b, to, 4 << 20);
    }
    a.ip("link set dev va down");
    b.ip("link set dev vb down");
    let all = || lab.json("stats").as_array().unwrap().clone();
    let sum = |field: &str| all().iter().map(|p| p[field].as_u64().unwrap()).sum::<u64>();
    eventually("rx = tx + drops", || {
        sum("rx_packets") == sum("tx_packets") + sum("rx_dropped") + sum("tx_dropped")
    });
}

#[test]
fn who_takes_no_redirected_frames_gets_them_by_a_worker() {
    let Some(lab) = Lab::new("who_takes_no_redirected_frames_gets_them_by_a_worker") else { return };
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, false, "");
    let b = machine(&lab, "vb", 2, false, "");
    reaches(&a, 2);
    transfer(&a, &b, addresses(2)[0], 1 << 20);
    gro(&a, "va", true);
    gro(&b, "vb", true);
    short(&lab, &a, 2);
    // It can change its mind: what is lost is what is on its way.
    gro(&b, "vb", false);
    eventually("frames arrive again", || ping_once(&a, 2));
    std::thread::sleep(Duration::from_millis(1200));
    pings(&a, "-c 20 -i 0.01 -W 1 10.0.0.2");
    {
        let _frozen = Frozen::new(&lab);
        assert!(!ping_once(&a, 2), "without a worker");
    }
    pings(&a, "-c 20 -i 0.01 -W 1 10.0.0.2");
}

#[test]
fn isolated_ports_and_other_vlans_have_none() {
    let Some(lab) = Lab::new("isolated_ports_and_other_vlans_have_none") else { return };
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, true, "--vlan 10");
    let _b = machine(&lab, "vb", 2, true, "--vlan 10");
    let _c = machine(&lab, "vc", 3, true, "--vlan 10 --isolated");
    let _d = machine(&lab, "vd", 4, true, "--vlan 20");
    short(&lab, &a, 2);
    reaches(&a, 3);
    cannot_reach(&a, 4);
    std::thread::sleep(Duration::from_millis(200));
    let _frozen = Frozen::new(&lab);
    assert!(ping_once(&a, 2) && !ping_once(&a, 3));
}

/// Also under load: after the answer to `set-port` no frame crosses.
#[test]
fn a_port_that_changes_its_vlan_is_out_at_once() {
    let Some(lab) = Lab::new("a_port_that_changes_its_vlan_is_out_at_once") else { return };
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, true, "--vlan 10");
    let b = machine(&lab, "vb", 2, true, "--vlan 10");
    // Whatever comes to it comes by the switch: it asks for nothing itself.
    b.ip("link set dev vb arp off");
    a.ip("neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev va");
    b.ip("link set dev vb address 02:00:00:00:00:02");
    let mac_of_a = lab_mac(&a, "va");
    b.ip(&format!("neigh replace 10.0.0.1 lladdr {mac_of_a} dev vb"));
    short_v4(&lab, &a, 2);
    for vlan in [20, 30, 40] {
        lab.good("set-port br0 vb --vlan 10");
        short_v4(&lab, &a, 2);
        let mut flood = a.command("ping -q -f -w 3 10.0.0.2").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        lab.good(&format!("set-port br0 vb --vlan {vlan}"));
        std::thread::sleep(Duration::from_millis(20)); // what is in b's own queue
        let before = kernel(&b, "vb").0;
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(kernel(&b, "vb").0, before, "frames of VLAN 10 arrive in VLAN {vlan}");
        let _ = flood.kill();
        let _ = flood.wait();
    }
}

fn lab_mac(machine: &Namespace, ifname: &str) -> String {
    let text = machine.ip(&format!("-j link show dev {ifname}"));
    let link: serde_json::Value = serde_json::from_str(&text).unwrap();
    link[0]["address"].as_str().unwrap().to_owned()
}

/// As [`short`], where IPv6 does not work.
#[track_caller]
fn short_v4(lab: &Lab, from: &Namespace, to: u8) {
    eventually("it answers", || ping_once(from, to));
    eventually("the kernel hands frames on", || {
        let _frozen = Frozen::new(lab);
        ping_once(from, to)
    });
}

/// To another AF_XDP port, to a port of another kind, and back: its traffic follows, and leaves nothing behind.
#[test]
fn a_station_that_moves_is_followed() {
    let Some(lab) = Lab::new("a_station_that_moves_is_followed") else { return };
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, true, "");
    let b = machine(&lab, "vb", 2, true, "");
    let c = machine(&lab, "vc", 2, true, "");
    let d = lab.tap("br0", "vd", 2, "");
    // One address, one station, at three places; only where it is does the interface have it.
    let places = [(&b, "vb"), (&c, "vc"), (&d, "vd")];
    const MAC: &str = "02:00:00:00:00:22";
    for (machine, name) in places {
        machine.ip(&format!("link set dev {name} arp off"));
    }
    let at_a = lab_mac(&a, "va");
    a.ip(&format!("neigh replace 10.0.0.2 lladdr {MAC} dev va"));
    for (round, at) in [0, 1, 2, 0, 2, 1, 0].into_iter().enumerate() {
        let (machine, name) = places[at];
        for (other, its) in places.into_iter().filter(|(_, n)| *n != name) {
            other.ip(&format!("link set dev {its} address 02:00:00:00:ff:{}{}", round, its_number(its)));
        }
        machine.ip(&format!("link set dev {name} address {MAC}"));
        machine.ip(&format!("neigh replace 10.0.0.1 lladdr {at_a} dev {name}"));
        // It says one word, from where it is now.
        machine.typed("ping -q -c 1 -W 0.05 10.0.0.1");
        let end = Instant::now() + Duration::from_millis(100);
        while !ping_quick(&a) {
            assert!(Instant::now() < end, "round {round}: nothing arrives at {name} within 100 ms");
        }
        let seen = |(m, n): (&Namespace, &str)| kernel(m, n).0;
        let before = places.map(seen);
        pings(&a, "-c 20 -i 0.01 -W 1 10.0.0.2");
        let after = places.map(seen);
        for i in 0..3 {
            let arrived = after[i] - before[i];
            assert!(
                if i == at { arrived >= 20 } else { arrived < 10 },
                "round {round}, {}: {arrived}",
                places[i].1
            );
        }
    }
}

fn its_number(name: &str) -> u8 {
    name.as_bytes()[1] - b'a'
}

fn ping_quick(from: &Namespace) -> bool {
    from.typed("ping -q -c 1 -W 0.05 10.0.0.2").ok()
}

#[test]
fn who_speaks_only_through_the_kernel_stays_and_who_is_silent_goes() {
    let Some(lab) = Lab::new("who_speaks_only_through_the_kernel_stays_and_who_is_silent_goes") else {
        return;
    };
    lab.good("add-br br0 --ageing 10");
    let a = machine(&lab, "va", 1, true, "");
    let _b = machine(&lab, "vb", 2, true, "");
    let c = machine(&lab, "vc", 3, true, "");
    short(&lab, &a, 2);
    reaches(&a, 3);
    c.ip("link set dev vc arp off");
    c.ip("addr flush dev vc");
    let age_of = |mac: &str| {
        let macs = lab.json("show-macs br0");
        macs.as_array().unwrap().iter().find(|m| m["mac"] == mac).map(|m| m["age_seconds"].as_u64().unwrap())
    };
    let [at_a, at_c] = [(&a, "va"), (&c, "vc")].map(|(m, n)| lab_mac(m, n));
    assert!(age_of(&at_c).is_some());
    let end = Instant::now() + Duration::from_secs(14);
    while Instant::now() < end {
        pings(&a, "-c 5 -i 0.05 -W 1 10.0.0.2");
        let age = age_of(&at_a);
        assert!(age.is_some_and(|age| age < 5), "{age:?} seconds old");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(age_of(&at_c).is_none(), "silent for 14 seconds");
    // And what is flushed is forgotten by the kernel too.
    assert!(lab.ctl("flush-macs br0").ok());
    let _frozen = Frozen::new(&lab);
    assert!(!ping_once(&a, 2));
}

#[test]
fn it_can_be_switched_off() {
    let Some(lab) = Lab::idle("it_can_be_switched_off") else { return };
    lab.start(Role::Control);
    let mut command = lab.command(Role::Dataplane);
    command.args(["--shortcut", "off"]);
    lab.start_by(Role::Dataplane, command);
    lab.ready();
    lab.good("add-br br0");
    let a = machine(&lab, "va", 1, true, "");
    let _b = machine(&lab, "vb", 2, true, "");
    reaches(&a, 2);
    assert!(!lab.port("va")["mode"].as_str().unwrap().contains("shortcut"));
    let _frozen = Frozen::new(&lab);
    assert!(!ping_once(&a, 2));
}
