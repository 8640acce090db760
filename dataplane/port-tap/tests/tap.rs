//! Taps on the real kernel.

#[path = "../../port-os/tests/common/mod.rs"]
mod common;
mod relay;

use common::*;
use relay::*;
use std::path::PathBuf;
use std::process::Command;
use vsw_mem::{Batch, GsoKind};
use vsw_port::{Driver, Health, Io, OpenPort, PortError, PortQueue, PortSpec};
use vsw_port_os::netns;
use vsw_port_tap::TapDriver;
use vsw_types::{DropReason, MacAddr, Name};

fn spec(name: &str, netns: Option<PathBuf>) -> PortSpec {
    let ifname = Name::new(name).unwrap();
    PortSpec { ifname, netns, mac: None, mtu: None, queues: Some(1), workers: 1, socket: None }
}

fn open(spec: &PortSpec) -> OpenPort {
    TapDriver::new().check(spec).unwrap();
    TapDriver::new().open(spec, pool()).unwrap()
}

fn refusal(spec: &PortSpec) -> PortError {
    TapDriver::new().open(spec, pool()).unwrap_err()
}

fn lost(health: Health) -> String {
    match health {
        Health::Lost(e @ PortError::Missing { .. }) => e.to_string(),
        other => panic!("not lost: {other:?}"),
    }
}

#[test]
fn it_is_made_in_a_namespace_as_asked_and_goes_with_the_port() {
    if !root("it_is_made_in_a_namespace_as_asked_and_goes_with_the_port") {
        return;
    }
    let ns = Netns::new();
    let mac = MacAddr([2, 0, 0, 0, 0, 5]);
    let asked = PortSpec { mac: Some(mac), mtu: Some(9000), ..spec("eth0", Some(ns.path.clone())) };
    let mut port = open(&asked);
    let info = port.device.info();
    assert_eq!((info.mode.as_str(), info.mac, info.mtu), ("vnet_hdr, 1 queue", Some(mac), 9000));
    assert_eq!(port.device.info().caps.names(), ["csum", "tso4", "tso6", "uso"]);
    assert_eq!(port.device.health(), Health::Up);
    let shown = output(&format!("ip -n {} -d link show eth0", ns.name));
    assert!(shown.contains("mtu 9000") && shown.contains("02:00:00:00:00:05"), "{shown}");
    assert!(shown.contains("qlen 1000") && shown.contains("UP,LOWER_UP"), "{shown}");

    // Its owner renames it, changes it and sets it down.
    ns.ip("link set eth0 down");
    ns.ip("link set eth0 name lan");
    ns.ip("link set lan mtu 1400");
    assert_eq!(port.device.info().mtu, 1400);
    let Health::Down(why) = port.device.health() else { panic!("it is down") };
    assert_eq!(why, "the interface is down in its namespace; set it up there with `ip link set lan up`");
    ns.ip("link set lan up");
    assert_eq!(port.device.health(), Health::Up);

    let other = MacAddr([2, 0, 0, 0, 0, 6]);
    port.device.configure(&PortSpec { mac: Some(other), mtu: Some(2000), ..asked.clone() }).unwrap();
    let info = port.device.info();
    assert_eq!((info.mac, info.mtu), (Some(other), 2000));
    let e = port.device.configure(&PortSpec { mtu: Some(65_530), ..asked }).unwrap_err();
    assert!(e.to_string().contains("does not take an MTU of 65530"), "{e}");
    assert_eq!((port.device.info().mac, port.device.info().mtu), (Some(other), 2000), "nothing changed");

    drop(port);
    assert!(!output(&format!("ip -n {} link show", ns.name)).contains("lan"));
}

#[test]
fn every_offload_crosses_from_stack_to_stack() {
    if !root("every_offload_crosses_from_stack_to_stack") {
        return;
    }
    let (left, right) = (Netns::new(), Netns::new());
    let mut a = open(&spec("tap0", Some(left.path.clone())));
    let mut b = open(&spec("tap0", Some(right.path.clone())));
    for (ns, host) in [(&left, 1), (&right, 2)] {
        ns.ip(&format!("addr add 10.9.0.{host}/24 dev tap0"));
        ns.ip(&format!("addr add fd00::{host}/64 dev tap0 nodad"));
    }
    let (there, back) = wire(&mut a, &mut b, || {
        tcp(&left.path, &right.path, "10.9.0.2");
        tcp(&right.path, &left.path, "fd00::1");
        for address in ["10.9.0.2", "fd00::2"] {
            let listener = udp_listener(&right.path, address);
            udp_train(&left.path, address);
            expect_train(&listener);
        }
    });
    assert_eq!((there.lost, back.lost), (0, 0));
    assert!(there.gso.contains(&GsoKind::Tcp4) && there.gso.contains(&GsoKind::Udp), "{there:?}");
    assert!(back.gso.contains(&GsoKind::Tcp6), "{back:?}");
    assert!(there.longest > 60_000 && back.longest > 60_000, "{there:?} {back:?}");
}

#[test]
fn flows_spread_over_its_queues() {
    if !root("flows_spread_over_its_queues") {
        return;
    }
    let ns = Netns::new();
    let mut port = open(&PortSpec { queues: None, workers: 4, ..spec("tap0", Some(ns.path.clone())) });
    assert_eq!(port.queues.len(), 4);
    ns.ip("addr add 10.9.0.1/24 dev tap0");
    ns.ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev tap0");
    for _ in 0..32 {
        udp_train(&ns.path, "10.9.0.2"); // a new port each time
    }
    let mut io = Io::new(pool());
    let busy = port.queues.iter_mut().map(|queue| {
        let mut batch = Batch::new();
        queue.recv(&mut batch, &mut io).unwrap();
        usize::from(!batch.is_empty())
    });
    assert!(busy.sum::<usize>() > 1);
}

#[test]
fn a_frame_that_the_kernel_refuses_is_counted_and_the_others_go() {
    if !root("a_frame_that_the_kernel_refuses_is_counted_and_the_others_go") {
        return;
    }
    let ns = Netns::new();
    let mut port = open(&spec("tap0", Some(ns.path.clone())));
    let mut io = Io::new(pool());
    let mut send = |queue: &mut dyn PortQueue, lengths: &[usize]| {
        let mut batch = Batch::new();
        for len in lengths {
            let mut frame = ethernet(&mut io, [0xff; 6], [0x88, 0xb5], &[0; 46]);
            frame.set_len(*len);
            batch.push(frame);
        }
        queue.send(&mut batch, &mut io).unwrap();
        assert!(batch.is_empty());
        io.take_tally().map_or(0, |t| t[DropReason::TxError as usize])
    };
    let queue = port.queues[0].as_mut();
    assert_eq!(send(queue, &[60, 5, 60]), 1, "five bytes are no frame");
    ns.ip("link set tap0 down");
    assert_eq!(send(queue, &[60, 60]), 2, "an interface that is down takes nothing");
    ns.ip("link set tap0 up");
    assert_eq!(send(queue, &[60, 60]), 0);
    let shown = output(&format!("ip -n {} -s link show tap0", ns.name));
    let received = shown.lines().skip_while(|l| !l.contains("RX:")).nth(1).unwrap();
    assert_eq!(received.split_whitespace().nth(1), Some("4"), "{shown}");

    ns.ip("link del tap0");
    let mut batch = Batch::new();
    assert!(queue.recv(&mut batch, &mut io).is_err());
    batch.push(ethernet(&mut io, [0xff; 6], [0x88, 0xb5], &[0; 46]));
    assert!(queue.send(&mut batch, &mut io).is_err());
    assert_eq!(lost(port.device.health()), "the interface tap0 was deleted or moved away; it is made again");
}

#[test]
fn a_lost_namespace_is_noticed_and_its_successor_is_another() {
    if !root("a_lost_namespace_is_noticed_and_its_successor_is_another") {
        return;
    }
    let ns = Netns::new();
    let asked = spec("tap0", Some(ns.path.clone()));
    let mut port = open(&asked);
    run(&format!("ip netns del {}", ns.name));
    let gone = format!("network namespace `{}` is gone; the port comes back when it does", ns.name);
    assert_eq!(lost(port.device.health()), gone);
    // Our descriptors keep the old one alive: the queue works on as if nothing had happened.
    port.queues[0].recv(&mut Batch::new(), &mut Io::new(pool())).unwrap();
    let missing = refusal(&asked);
    let expected = format!(
        "network namespace `{0}` does not exist (/run/netns/{0}); create it with `ip netns add {0}`",
        ns.name
    );
    assert_eq!((missing.to_string(), matches!(missing, PortError::Missing { .. })), (expected, true));

    run(&format!("ip netns add {}", ns.name));
    assert_eq!(lost(port.device.health()), gone, "a new one of that name is another");
    drop(port);
    assert_eq!(open(&asked).device.health(), Health::Up);
}

#[test]
fn it_is_made_in_the_namespace_of_a_process_and_lost_with_that() {
    if !root("it_is_made_in_the_namespace_of_a_process_and_lost_with_that") {
        return;
    }
    struct Killed(std::process::Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let process = Killed(Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap());
    let pid = process.0.id();
    let file = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let mine = netns::identity("/proc/self/ns/net".as_ref()).unwrap();
    wait_for("the process in its namespace", || netns::identity(&file).unwrap() != mine);
    let mut port = open(&spec("tap0", Some(file.clone())));
    assert_eq!(port.device.health(), Health::Up);
    drop(process);
    assert_eq!(
        lost(port.device.health()),
        format!("the network namespace of process {pid} is gone; the port comes back when it does")
    );
    assert_eq!(
        refusal(&spec("tap0", Some(file))).to_string(),
        format!("there is no process {pid}; name one that runs")
    );
}

#[test]
fn a_name_that_is_taken_is_refused_at_once_and_waited_for_later() {
    if !root("a_name_that_is_taken_is_refused_at_once_and_waited_for_later") {
        return;
    }
    let ns = Netns::new();
    // A persistent TAP of somebody else, which nobody holds open, is not to be adopted.
    ns.ip("tuntap add dev tap0 mode tap multi_queue vnet_hdr");
    let asked = spec("tap0", Some(ns.path.clone()));
    let text = format!(
        "an interface named tap0 exists already in network namespace `{}` and does not belong to this \
         switch; choose another name, or delete it",
        ns.name
    );
    let e = TapDriver::new().check(&asked).unwrap_err();
    assert_eq!((e.to_string(), matches!(e, PortError::Refused { .. })), (text.clone(), true));
    let e = refusal(&asked);
    assert_eq!((e.to_string(), matches!(e, PortError::Missing { .. })), (text, true));

    in_fresh_netns(|| {
        run("ip link add veth0 type veth peer name veth1");
        assert_eq!(
            TapDriver::internal().check(&spec("veth0", None)).unwrap_err().to_string(),
            "an interface named veth0 exists already and does not belong to this switch; \
             use --type packet to attach it, or choose another name, or delete it"
        );
    });
}

#[test]
fn what_cannot_be_opened_leaves_nothing() {
    if !root("what_cannot_be_opened_leaves_nothing") {
        return;
    }
    in_fresh_netns(|| {
        let asked = PortSpec { mtu: Some(65_530), ..spec("tap0", None) };
        assert!(refusal(&asked).to_string().starts_with("tap0 does not take an MTU of 65530"));
        let asked = PortSpec { queues: Some(300), ..spec("tap0", None) };
        assert!(matches!(TapDriver::new().check(&asked), Err(PortError::Refused { .. })));
        assert!(!output("ip link").contains("tap0"));
    });
}

#[test]
fn without_the_capability_it_says_so() {
    if !root("without_the_capability_it_says_so") {
        return;
    }
    in_fresh_netns(|| {
        // Capabilities belong to the thread, which ends with this closure.
        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let e = refusal(&spec("tap0", None));
        assert_eq!(
            e.to_string(),
            "making the interface tap0 is not allowed; run as root, or with CAP_NET_ADMIN"
        );
        assert!(matches!(e, PortError::Refused { .. }));
        assert_eq!(TapDriver::new().check(&spec("tap0", None)).unwrap_err(), e);
    });
}
