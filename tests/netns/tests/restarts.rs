//! Daemons that stop, die and come back, in any order.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use vsw_netns::traffic::{pings, reaches};
use vsw_netns::{Lab, Role, Typed, eventually};

#[test]
fn packets_flow_while_the_control_process_is_away() {
    let Some(lab) = Lab::new("packets_flow_while_the_control_process_is_away") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "--vlan 10");
    let b = lab.tap("br0", "b", 2, "--vlan 10");
    reaches(&a, 2);
    let mut traffic = a.command("ping -q -i 0.02 -c 150 -w 10 10.0.0.2");
    let traffic = traffic.stdout(std::process::Stdio::piped()).spawn().unwrap();
    lab.kill(Role::Control);
    assert_eq!(lab.ctl("show").status, 3);
    lab.start(Role::Control);
    lab.ready();
    let out = Typed::from(traffic.wait_with_output().unwrap());
    assert!(out.stdout.contains(" 150 received"), "{}", out.stdout);
    // It knows everything, and what is there stays as it is.
    assert_eq!(lab.ctl("list-ports br0").stdout, "a\nb\n");
    lab.becomes("a", "up");
    lab.good("set-port br0 b --vlan 20");
    lab.good("set-port br0 b --vlan 10");
    reaches(&b, 1);
}

#[test]
fn a_lone_dataplane_starts_from_what_it_applied_last() {
    let Some(lab) = Lab::new("a_lone_dataplane_starts_from_what_it_applied_last") else { return };
    lab.good("add-br br0");
    let [a, b] = [1, 2].map(|n| {
        let (name, kind) = (format!("wire{n}"), if n == 1 { "packet" } else { "afxdp" });
        let machine = lab.veth(&name, n);
        lab.good(&format!("add-port br0 {name} --type {kind} --vlan 10"));
        machine
    });
    let c = lab.tap("br0", "c", 3, "--vlan 10");
    reaches(&a, 2);
    let mac = lab.port("c")["mac"].clone();
    lab.stop(Role::Control);
    for kill in [false, true] {
        if kill {
            lab.kill(Role::Dataplane);
        } else {
            lab.stop(Role::Dataplane);
        }
        assert!(!c.has("c"), "the interface goes with its switch");
        lab.start(Role::Dataplane);
        eventually("the interface is made again", || c.has("c"));
        c.address("c", 3);
        reaches(&a, 2);
        reaches(&b, 3);
    }
    lab.start(Role::Control);
    lab.ready();
    assert_eq!(lab.port("c")["mac"], mac, "an address that neighbours remember");
    lab.good("add-br br1");
}

#[test]
fn they_start_and_stop_as_services_do() {
    let Some(lab) = Lab::idle("they_start_and_stop_as_services_do") else { return };
    let path = lab.dir().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for role in [Role::Control, Role::Dataplane] {
        let mut command = lab.command(role);
        lab.start_by(role, {
            command.env("NOTIFY_SOCKET", &path);
            command
        });
        let mut said = [0; 64];
        let n = systemd.recv(&mut said).unwrap();
        assert!(String::from_utf8_lossy(&said[..n]).contains("READY=1"), "{}", role.program());
    }
    lab.ready();
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    for role in [Role::Control, Role::Dataplane] {
        let second = Typed::of(&mut lab.command(role));
        assert_eq!((second.status, &*second.stdout), (1, ""), "{second:?}");
        let errors: Vec<&str> = second.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("one sentence: {second:?}") };
        let pid = lab.pid(role).to_string();
        for part in ["run directory", "another", role.program(), &pid, "--run-dir"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    assert!(lab.ctl("show").ok() && a.has("a"), "the second copies changed nothing");
    lab.stop(Role::Dataplane);
    lab.stop(Role::Control);
    assert!(!a.has("a"));
    lab.nothing_is_left();
}

#[test]
fn a_corrupt_store_is_told_and_kept() {
    let Some(lab) = Lab::new("a_corrupt_store_is_told_and_kept") else { return };
    lab.good("add-br br0");
    let [a, b] = [1, 2].map(|n| {
        let machine = lab.veth(&format!("wire{n}"), n);
        lab.good(&format!("add-port br0 wire{n} --type packet"));
        machine
    });
    reaches(&a, 2);
    lab.stop(Role::Control);
    let store = lab.state_dir().join("control.redb");
    let garbage = vec![0x5a; 9000];
    std::fs::write(&store, &garbage).unwrap();
    let refused = Typed::of(&mut lab.command(Role::Control));
    assert_eq!(refused.status, 1);
    for part in ["error: store ", "is damaged", "left untouched", "mv ", "--adopt"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(std::fs::read(&store).unwrap(), garbage);
    reaches(&b, 1);
    // The way out that it named.
    std::fs::rename(&store, store.with_extension("bad")).unwrap();
    let mut adopt = lab.command(Role::Control);
    adopt.arg("--adopt");
    lab.start_by(Role::Control, adopt);
    lab.ready();
    assert_eq!(lab.ctl("list-ports br0").stdout, "wire1\nwire2\n");
    pings(&a, "-c 1 -w 5 10.0.0.2");

    // The dataplane's copy: it says so, and gets the configuration from the control process.
    lab.stop(Role::Dataplane);
    std::fs::write(lab.state_dir().join("datapath.config"), &garbage).unwrap();
    lab.start(Role::Dataplane);
    lab.ready();
    assert!(lab.logged(Role::Dataplane).contains("is damaged"));
    lab.becomes("wire1", "up");
    reaches(&a, 2);
}
