//! What attaching does to an interface and its host, and what happens when it goes.

#[path = "../../port-os/tests/common/mod.rs"]
mod common;
mod lab;
#[path = "../../port-tap/tests/relay/mod.rs"]
mod relay;

use common::*;
use lab::*;
use relay::*;
use vsw_mem::Batch;
use vsw_port::{Driver, Health, Io, PortError, PortSpec};
use vsw_port_os::tc::Method;
use vsw_port_packet::PacketDriver;
use vsw_types::{DropReason, MacAddr};

#[test]
fn the_host_does_not_hear_it_while_it_is_attached() {
    if !root("the_host_does_not_hear_it_while_it_is_attached") {
        return;
    }
    in_fresh_netns(|| {
        let (ns, folder) = (Netns::new(), Folder::new());
        with_a_host(&ns);
        assert!(host_answers(&ns), "before");
        for method in [Method::Best, Method::Clsact] {
            let driver = PacketDriver::new(folder.0.clone()).with_method(method);
            let asked = PortSpec { mtu: Some(1400), ..spec("v1") };
            let mut port = driver.open(&asked, pool()).unwrap();
            assert!(!host_answers(&ns), "{method:?}");
            let mut io = Io::new(pool());
            let arp = catch(&mut port.queues, &mut io, |f| f.bytes()[12..14] == [8, 6]);
            assert!(arp.is_some(), "the switch does");
            assert!(output("ip -d link show v1").contains("promiscuity 1"));
            assert_eq!(port.device.info().mtu, 1400);
            port.device.configure(&spec("v1")).unwrap();
            assert_eq!(port.device.info().mtu, 1500);
            port.device.configure(&PortSpec { mtu: Some(1300), ..spec("v1") }).unwrap();
            assert!(port.device.configure(&PortSpec { mtu: Some(60), ..spec("v1") }).is_err());
            assert_eq!(port.device.info().mtu, 1300, "nothing changed");
            drop(port);
            assert!(host_answers(&ns), "after {method:?}");
            let shown = output("ip -d link show v1");
            assert!(shown.contains("promiscuity 0") && shown.contains("mtu 1500"), "{shown}");
            assert!(!output("tc qdisc show dev v1").contains("clsact"));
            assert!(driver.recover().is_empty(), "nothing is left to undo");
        }
    });
}

#[test]
fn what_a_killed_process_left_is_undone() {
    if !root("what_a_killed_process_left_is_undone") {
        return;
    }
    in_fresh_netns(|| {
        let (ns, folder) = (Netns::new(), Folder::new());
        with_a_host(&ns);
        let driver = PacketDriver::new(folder.0.clone()).with_method(Method::Clsact);
        let port = driver.open(&PortSpec { mtu: Some(1400), ..spec("v1") }, pool()).unwrap();
        drop(port.queues); // the kernel closes these
        std::mem::forget(port.device);
        assert!(!host_answers(&ns));
        let next = PacketDriver::new(folder.0.clone());
        assert_eq!(
            next.recover(),
            [
                "removed the ingress filter that an earlier run left on v1",
                "put the MTU of v1 back to 1500, which an earlier run had set to 1400"
            ]
        );
        assert!(host_answers(&ns));
        assert!(!output("tc qdisc show dev v1").contains("clsact"));
        assert!(output("ip link show v1").contains("mtu 1500"));
        assert!(next.recover().is_empty());

        // What is of somebody else by now is left alone: another interface, another's clsact, nonsense.
        std::fs::write(folder.0.join("packet-v1"), "99999 1500 1300 1 end\n").unwrap();
        std::fs::write(folder.0.join("packet-v2"), "not fini").unwrap();
        std::fs::write(folder.0.join("unrelated"), "kept").unwrap();
        run("tc qdisc add dev v1 clsact");
        assert!(next.recover().is_empty());
        assert!(output("tc qdisc show dev v1").contains("clsact"));
        assert!(output("ip link show v1").contains("mtu 1500"));
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
    });
}

/// As a VMM sets up the TAP that it has just made.
#[test]
fn it_receives_when_the_interface_is_set_up_while_it_is_attached() {
    if !root("it_receives_when_the_interface_is_set_up_while_it_is_attached") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let driver = PacketDriver::new(folder.0.clone());
        let (mut a, mut b) = pair(&folder);
        let mut io = Io::new(pool());
        for delay in 0..20 {
            drop(b);
            run("ip link set v1 down");
            b = std::thread::scope(|scope| {
                // It takes some milliseconds to start.
                let up = scope.spawn(|| run("ip link set v1 up"));
                std::thread::sleep(std::time::Duration::from_micros(delay * 200));
                let opened = driver.open(&spec("v1"), pool()).unwrap();
                up.join().unwrap();
                opened
            });
            wait_for("carrier", || a.device.health() == Health::Up);
            let frame = ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]);
            send(&mut a, &mut io, frame);
            let came = catch(&mut b.queues, &mut io, ours);
            assert!(came.is_some(), "{delay}");
        }
    });
}

#[test]
fn it_goes_with_its_interface_and_comes_back_with_it() {
    if !root("it_goes_with_its_interface_and_comes_back_with_it") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let driver = PacketDriver::new(folder.0.clone());
        let missing = driver.check(&spec("v0")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "there is no interface v0; it is attached when it appears (--type tap makes one)"
        );
        assert!(matches!(missing, PortError::Missing { .. }));

        let (mut a, mut b) = pair(&folder);
        let mut io = Io::new(pool());
        wait_for("carrier", || a.device.health() == Health::Up);
        run("ip link set v1 down");
        let down = |why: &str| Health::Down(why.into());
        assert_eq!(a.device.health(), down("no carrier: nobody is at the other end"));
        assert_eq!(b.device.health(), down("the interface is down; set it up with `ip link set v1 up`"));
        b.queues[0].recv(&mut Batch::new(), &mut io).unwrap();
        let mut batch = Batch::new();
        for _ in 0..3 {
            batch.push(ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]));
        }
        b.queues[0].send(&mut batch, &mut io).unwrap();
        assert_eq!(io.take_tally().unwrap()[DropReason::TxError as usize], 3);
        run("ip link set v1 up");
        wait_for("carrier", || a.device.health() == Health::Up);
        let frame = ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]);
        send(&mut a, &mut io, frame);
        assert!(catch(&mut b.queues, &mut io, ours).is_some(), "it works again");

        run("ip link del v0");
        let lost = "the interface v0 disappeared; it is attached again when it appears";
        assert!(matches!(a.device.health(), Health::Lost(e) if e.to_string() == lost));
        batch.push(ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]));
        assert!(a.queues[0].send(&mut batch, &mut io).is_err());
        drop(b);
        let (mut c, mut d) = pair(&folder);
        assert!(matches!(a.device.health(), Health::Lost(_)), "another of that name");
        let frame = ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]);
        send(&mut c, &mut io, frame);
        assert!(catch(&mut d.queues, &mut io, ours).is_some());
    });
}

#[test]
fn what_cannot_be_attached_is_refused_in_words() {
    if !root("what_cannot_be_attached_is_refused_in_words") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        run("ip link add v0 type veth peer name v1");
        run("ip link add lan0 type bridge");
        run("ip link set v1 master lan0");
        let mac = Some(MacAddr([2, 0, 0, 0, 0, 1]));
        let rows = [
            (spec("v1"), "v1 belongs to lan0; take it out first with `ip link set v1 nomaster`"),
            (spec("lo"), "lo is the loopback interface; attach another"),
            (PortSpec { mac, ..spec("v0") }, "the address of v0 is its owner's; leave --mac out"),
            (
                PortSpec { netns: Some("/run/netns/x".into()), ..spec("v0") },
                "v0 cannot be attached inside another network namespace; \
                 use --type tap to make an interface there",
            ),
            (
                PortSpec { queues: Some(300), ..spec("v0") },
                "300 queues are more than the 256 that a packet port can have; ask for fewer with --queues",
            ),
            (
                PortSpec { mtu: Some(60), ..spec("v0") },
                "v0 does not take an MTU of 60: Invalid argument (os error 22); choose another --mtu",
            ),
        ];
        let driver = PacketDriver::new(folder.0.clone());
        for (spec, text) in rows {
            let e = driver.open(&spec, pool()).unwrap_err();
            assert_eq!((e.to_string().as_str(), matches!(e, PortError::Refused { .. })), (text, true));
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left");

        let mut port = open("v0", &folder);
        run("ip link set v0 master lan0");
        assert!(matches!(port.device.health(), Health::Lost(PortError::Refused { .. })));

        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        run("ip link set v0 nomaster");
        rustix::thread::set_capabilities(None, sets).unwrap();
        assert_eq!(
            driver.open(&spec("v0"), pool()).unwrap_err().to_string(),
            "attaching v0 is not allowed; run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF"
        );
    });
}
