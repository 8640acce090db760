//! What a port asks of the host, what it refuses, and what it leaves behind: nothing. Needs root; each test
//! has its own namespace.
#![allow(unsafe_code)] // raw sockets

mod lab;

use lab::{Lab, frame, pool, spec, transmit, wait_for};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use vsw_mem::Batch;
use vsw_port::{Driver, Health, Io, PortError, PortSpec};
use vsw_port_afxdp::AfxdpDriver;
use vsw_port_os::bpf::{self, AttachType, Insn, ProgramType};
use vsw_port_os::link::Links;
use vsw_types::MacAddr;

/// A veth with two queues on our side. The other end has one: the driver's hook wants no fewer queues that
/// receive than there are that send to them.
fn two_queues(lab: &Lab) {
    lab.ip("link add a0 numtxqueues 2 numrxqueues 2 type veth peer name a1 numtxqueues 1 numrxqueues 1");
    lab.ip("link set dev a0 up");
    lab.ip("link set dev a1 up");
    assert_eq!(lab.channels("a0"), (2, 2));
}

/// Why a port cannot be opened, in words.
fn refusal(lab: &Lab, spec: &PortSpec) -> String {
    match lab.driver().open(spec, pool()).expect_err("refused") {
        e @ PortError::Refused { .. } => e.to_string(),
        e @ PortError::Missing { .. } => panic!("not refused for good: {e}"),
    }
}

#[test]
fn a_port_leaves_nothing_behind() {
    let Some(lab) = Lab::new("a_port_leaves_nothing_behind") else { return };
    two_queues(&lab);
    let before = lab.show("a0");
    lab.inside(|| {
        let asked = PortSpec { queues: Some(1), mtu: Some(1600), ..spec("a0") };
        // More than once: a queue can be bound again as soon as it is free.
        for _ in 0..5 {
            lab.driver().check(&asked).unwrap();
            let port = lab.driver().open(&asked, pool()).unwrap();
            assert_eq!(port.queues.len(), 1);
            let info = port.device.info();
            assert_eq!(info.mode, "native, copy, multi-buffer: the driver veth has no zero-copy");
            assert_eq!((info.mtu, info.mac.is_some()), (1600, true));
            let during = lab.show("a0");
            assert!(during.contains("xdp") && during.contains("promiscuity 1"), "{during}");
            assert_eq!(lab.channels("a0"), (1, 2));
            assert!(!lab.journal_is_empty());
            drop(port);
            assert_eq!(lab.channels("a0"), (2, 2));
            // A moment later where another thread is just starting a program, which has our files too.
            wait_for("it to look as before", || (lab.show("a0") == before).then_some(()));
            assert!(lab.journal_is_empty());
        }
    });
}

#[test]
fn what_somebody_changed_meanwhile_is_left_to_him() {
    let Some(lab) = Lab::new("what_somebody_changed_meanwhile_is_left_to_him") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let asked = PortSpec { mtu: Some(1600), ..spec("a0") };
        let port = lab.driver().open(&asked, pool()).unwrap();
        lab.ip("link set dev a0 mtu 1700");
        drop(port);
        assert!(lab.show("a0").contains("mtu 1700"));
        assert!(lab.journal_is_empty());
    });
}

#[test]
fn the_mtu_can_be_changed_on_an_open_port() {
    let Some(lab) = Lab::new("the_mtu_can_be_changed_on_an_open_port") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let mut port = lab.open("a0", pool());
        let with = |mtu| PortSpec { mtu, ..spec("a0") };
        port.device.configure(&with(Some(9000))).unwrap();
        assert_eq!(port.device.info().mtu, 9000);
        let e = port.device.configure(&with(Some(40_000))).unwrap_err().to_string();
        assert!(e.contains("at most 30442"), "{e}");
        let other = PortSpec { mac: Some(MacAddr([2, 0, 0, 0, 0, 1])), ..spec("a0") };
        let e = port.device.configure(&other).unwrap_err().to_string();
        assert!(e.contains("keeps its interface's address"), "{e}");
        assert_eq!(port.device.info().mtu, 9000, "unchanged");
        port.device.configure(&with(None)).unwrap();
        assert_eq!(port.device.info().mtu, 1500, "as it was");
        port.device.configure(&with(Some(2000))).unwrap();
        drop(port);
        assert!(lab.show("a0").contains("mtu 1500"));
    });
}

#[test]
fn queue_counts_that_do_not_fit_are_named() {
    let Some(lab) = Lab::new("queue_counts_that_do_not_fit_are_named") else { return };
    two_queues(&lab);
    lab.ip("link add br0 type bridge");
    lab.inside(|| {
        let asked = |name, n| PortSpec { queues: Some(n), ..spec(name) };
        for n in [1, 2] {
            assert_eq!(lab.driver().open(&asked("a0", n), pool()).unwrap().queues.len(), usize::from(n));
        }
        assert_eq!(lab.open("a0", pool()).queues.len(), 2, "all, if no number is given");
        let wanted = "3 queues were asked for, but a0 has 2 and can have 2; \
                      ask for 1 to 2, or leave the number out";
        assert_eq!(refusal(&lab, &asked("a0", 3)), wanted);
        assert_eq!(lab.driver().check(&asked("a0", 3)).unwrap_err().to_string(), wanted);
        let bridge = refusal(&lab, &asked("br0", 2));
        assert!(bridge.contains("2 queues were asked for, but br0 has 1 and can have 1"), "{bridge}");

        // One of two queues: set to two for as long as the port is there.
        let links = Links::open().unwrap();
        let one = vsw_port_os::ethtool::Channels { rx: 1, tx: 1, combined: 0 };
        wait_for("the kernel to let go", || vsw_port_os::ethtool::set_channels(&links, "a0", one).ok());
        let port = lab.driver().open(&asked("a0", 2), pool()).unwrap();
        assert_eq!((port.queues.len(), lab.channels("a0")), (2, (2, 2)));
        drop(port);
        assert_eq!(lab.channels("a0"), (1, 1));
    });
}

#[test]
fn the_status_says_why_the_mode_is_not_a_better_one() {
    let Some(lab) = Lab::new("the_status_says_why_the_mode_is_not_a_better_one") else { return };
    lab.veth("a0", "a1", "numtxqueues 2 numrxqueues 2");
    lab.inside(|| {
        let port = lab.driver().open(&PortSpec { queues: Some(1), ..spec("a0") }, pool()).unwrap();
        assert_eq!(
            port.device.info().mode,
            "generic, copy, multi-buffer: the driver veth has no native XDP \
             while the other end sends by more queues than this one has"
        );
    });
}

#[test]
fn what_cannot_be_attached_is_refused_and_what_is_missing_is_awaited() {
    let Some(lab) = Lab::new("what_cannot_be_attached_is_refused_and_what_is_missing_is_awaited") else {
        return;
    };
    lab.veth("a0", "a1", "");
    lab.veth("c0", "c1", "mtu 40000");
    lab.ip("link add br0 type bridge");
    lab.ip("link set dev a1 master br0");
    lab.inside(|| {
        let has = |spec: &PortSpec, words: &str| {
            for told in [refusal(&lab, spec), lab.driver().check(spec).unwrap_err().to_string()] {
                assert!(told.contains(words), "{told}");
            }
        };
        has(&spec("a1"), "a1 belongs to br0; take it out first");
        has(&spec("lo"), "lo is a loopback interface");
        has(&spec("c0"), "c0 has an MTU of 40000; an afxdp port can have at most 30442");
        has(&PortSpec { netns: Some(PathBuf::from("/run/netns/x")), ..spec("a0") }, "namespace");
        has(
            &PortSpec { mac: Some(MacAddr([2, 0, 0, 0, 0, 1])), ..spec("a0") },
            "keeps its interface's address",
        );

        let missing = lab.driver().check(&spec("nothing")).unwrap_err();
        assert!(matches!(missing, PortError::Missing { .. }));
        assert_eq!(missing.to_string(), "there is no interface nothing; it is attached when it appears");
    });
}

#[test]
fn another_xdp_program_is_respected() {
    let Some(lab) = Lab::new("another_xdp_program_is_respected") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let index = Links::open().unwrap().by_name("a0").unwrap().index;
        let pass = bpf::load(ProgramType::Xdp, &Insn::answer(2), 0).unwrap();
        let theirs = bpf::attach(pass.as_fd(), index, AttachType::Xdp, 0).unwrap();
        let before = lab.show("a0");
        let told = refusal(&lab, &PortSpec { mtu: Some(1400), ..spec("a0") });
        assert!(told.starts_with("another XDP program is on a0 (`ip link show dev a0` shows it)"), "{told}");
        assert_eq!(lab.show("a0"), before, "nothing was changed");
        assert!(lab.journal_is_empty());
        drop(theirs);
        let _ours = lab.open("a0", pool());
    });
}

#[test]
fn health_tells_what_happened_to_the_interface() {
    let Some(lab) = Lab::new("health_tells_what_happened_to_the_interface") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let pool = pool();
        let mut port = lab.open("a0", pool);
        assert_eq!(port.device.health(), Health::Up);
        lab.ip("link set dev a1 down");
        let down = |health| match health {
            Health::Down(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(down(port.device.health()).contains("no carrier"));
        lab.ip("link set dev a0 down");
        assert!(down(port.device.health()).contains("`ip link set dev a0 up`"));
        lab.ip("link set dev a1 up");
        lab.ip("link set dev a0 up");
        assert_eq!(port.device.health(), Health::Up);

        let lost = |health| match health {
            Health::Lost(e @ PortError::Missing { .. }) => e.to_string(),
            other => panic!("{other:?}"),
        };
        lab.ip("link del a0");
        lab.veth("a0", "a1", "");
        let told = lost(port.device.health());
        assert_eq!(told, "the interface a0 is gone; it is attached again when there is an interface a0");
        // The queue finds out when it sends.
        let mut io = Io::new(pool);
        let mut f = io.frames.take().unwrap();
        f.fill(&frame(1, 60)).unwrap();
        assert!(port.queues[0].recv(&mut Batch::new(), &mut io).is_ok());
        transmit(&mut *port.queues[0], &mut io, [f]);
        let told = port.queues[0].recv(&mut Batch::new(), &mut io).unwrap_err().to_string();
        assert!(told.starts_with("the device stopped working"), "{told}");
        assert!(port.queues[0].send(&mut Batch::new(), &mut io).is_err());
        drop(port);
        let mut again = lab.open("a0", pool);
        assert_eq!(again.device.health(), Health::Up);
    });
}

#[test]
fn what_a_killed_process_left_is_put_back() {
    const NAME: &str = "what_a_killed_process_left_is_put_back";
    const CHILD: &str = "VSW_TEST_AFXDP_CHILD";
    // The child is this test once more: it opens the port, says so, and waits to be killed.
    if let Some(journals) = std::env::var_os(CHILD) {
        let asked = PortSpec { queues: Some(1), mtu: Some(1600), ..spec("a0") };
        let _port = AfxdpDriver::new(journals.into()).open(&asked, pool()).unwrap();
        println!("\nopened");
        std::thread::sleep(std::time::Duration::from_secs(20));
        return;
    }
    let Some(lab) = Lab::new(NAME) else { return };
    two_queues(&lab);
    let before = lab.show("a0");
    let mut child = lab.inside(|| {
        Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, lab.journals())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let opened = told.take(20).any(|line| line == "opened");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(opened);

    wait_for("the kernel to clean up", || (!lab.show("a0").contains("xdp")).then_some(()));
    assert_eq!(lab.channels("a0"), (1, 2), "left behind");
    let done = lab.inside(|| lab.driver().recover());
    let wanted = "put back what an earlier run had changed on a0: its channels, its MTU to 1500, \
                  the stripping of VLAN tags";
    assert_eq!(done, [wanted]);
    assert_eq!(lab.channels("a0"), (2, 2));
    assert_eq!(lab.show("a0"), before);
    assert!(lab.journal_is_empty());
    assert!(lab.inside(|| lab.driver().recover()).is_empty(), "done once");
}

#[test]
fn a_journal_for_another_interface_changes_nothing() {
    let Some(lab) = Lab::new("a_journal_for_another_interface_changes_nothing") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let index = Links::open().unwrap().by_name("a0").unwrap().index;
        // The index is there again, but with another address.
        let journal = format!("ifindex {index}\nmac 1\nmtu 1400 1500\n");
        std::fs::write(lab.journals().join("afxdp-a0"), journal).unwrap();
        assert!(lab.driver().recover().is_empty());
        assert!(lab.show("a0").contains("mtu 1500"));
        assert!(lab.journal_is_empty());
    });
}
