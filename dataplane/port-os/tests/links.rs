//! Interfaces, namespaces and traffic control, on the real kernel.

mod common;

use common::*;
use std::path::Path;
use vsw_port_os::link::{Links, Watch};
use vsw_port_os::netns;
use vsw_port_os::tc::{self, IngressDrop, Method};
use vsw_types::MacAddr;

#[test]
fn a_link_is_read_and_changed() {
    if !root("a_link_is_read_and_changed") {
        return;
    }
    in_fresh_netns(|| {
        run("ip link add v0 type veth peer name v1");
        let links = Links::open().unwrap();
        let a = links.by_name("v0").unwrap();
        assert_eq!((a.name.as_str(), a.mtu, a.up, a.carrier, a.loopback), ("v0", 1500, false, false, false));
        assert_eq!((a.master, links.driver("v0").unwrap().as_str()), (None, "veth"));
        assert!(links.by_name("lo").unwrap().loopback);
        assert_eq!(links.by_name("c").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(!links.exists("a-name-too-long-for-an-interface"));

        let mac = MacAddr([2, 0, 0, 0, 0, 7]);
        links.set_mac("v0", mac).unwrap();
        links.set_mtu("v0", 9000).unwrap();
        links.set_tx_queue_len("v0", 77).unwrap();
        links.set_up("v0").unwrap();
        links.set_up("v1").unwrap();
        let a = links.by_name("v0").unwrap();
        assert_eq!((a.mac, a.mtu, a.up, a.carrier), (Some(mac), 9000, true, true));
        assert!(output("ip link show v0").contains("qlen 77"));
        assert!(links.set_mtu("v0", 70_000).is_err());

        run("ip link add bridge0 type bridge");
        run("ip link set v0 master bridge0");
        assert_eq!(links.by_index(a.index).unwrap().master.as_deref(), Some("bridge0"));
    });
}

#[test]
fn a_watch_tells_of_changes() {
    if !root("a_watch_tells_of_changes") {
        return;
    }
    in_fresh_netns(|| {
        let watch = Watch::open().unwrap();
        assert!(!watch.drain());
        run("ip link add v0 type veth peer name v1");
        assert!(watch.drain());
        assert!(!watch.drain());
        run("ip link del v0");
        assert!(watch.drain());
    });
}

#[test]
fn a_closure_runs_in_another_namespace_and_the_caller_stays() {
    if !root("a_closure_runs_in_another_namespace_and_the_caller_stays") {
        return;
    }
    let ns = Netns::new();
    ns.ip("link add there type veth peer name b");
    let mine = netns::identity(Path::new("/proc/thread-self/ns/net")).unwrap();
    let links = netns::run_in(&ns.path, Links::open).unwrap().unwrap();
    assert!(links.exists("there"), "the socket stays in its namespace");
    assert!(!Links::open().unwrap().exists("there"));
    assert_eq!(netns::identity(Path::new("/proc/thread-self/ns/net")).unwrap(), mine);
    assert_ne!(netns::identity(&ns.path).unwrap(), mine);
}

#[test]
fn what_is_missing_is_named() {
    let said = |file: &str, errno| {
        let (cause, remedy) = netns::explain(Path::new(file), &std::io::Error::from_raw_os_error(errno));
        format!("{cause}; {remedy}")
    };
    let rows = [
        (
            "/run/netns/blue",
            libc::ENOENT,
            "network namespace `blue` does not exist (/run/netns/blue); create it with `ip netns add blue`",
        ),
        ("/proc/77/ns/net", libc::ENOENT, "there is no process 77; name one that runs"),
        (
            "/run/netns/blue",
            libc::EINVAL,
            "/run/netns/blue is a file but stands for no network namespace; \
             remove it and create the namespace again with `ip netns add`",
        ),
        (
            "/proc/77/ns/net",
            libc::EPERM,
            "entering the network namespace of process 77 is not allowed; \
             run as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE",
        ),
    ];
    for (file, errno, text) in rows {
        assert_eq!(said(file, errno), text);
    }
    let missing = netns::run_in(Path::new("/run/netns/vsw-t-none"), || ()).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}

/// Whether `v1` answers a ping to its address, sent from `v0`, which is in a namespace of its own.
fn answers(ns: &Netns) -> bool {
    run("ip neigh flush all"); // ARP must go again too
    let ping = format!("ip netns exec {} ping -c1 -W1 10.9.0.1", ns.name);
    ns.ip("neigh flush all");
    output(&ping).contains("1 received")
}

#[test]
fn what_is_dropped_on_ingress_does_not_reach_the_host() {
    if !root("what_is_dropped_on_ingress_does_not_reach_the_host") {
        return;
    }
    in_fresh_netns(|| {
        let ns = Netns::new();
        run(&format!("ip link add v1 type veth peer name v0 netns {}", ns.name));
        run("ip addr add 10.9.0.1/24 dev v1");
        run("ip link set v1 up");
        ns.ip("addr add 10.9.0.2/24 dev v0");
        ns.ip("link set v0 up");
        let links = Links::open().unwrap();
        let index = links.by_name("v1").unwrap().index;
        assert!(answers(&ns), "before");

        for method in [Method::Best, Method::Clsact] {
            let guard = tc::drop_ingress(index, method).unwrap();
            assert_eq!(matches!(guard, IngressDrop::Clsact { .. }), method == Method::Clsact);
            assert!(!answers(&ns), "{method:?}");
            drop(guard);
            assert!(answers(&ns), "after {method:?}");
            assert!(!tc::has_qdisc(&links, index).unwrap(), "{method:?}");
        }

        // A killed process takes a link along, but leaves a filter behind.
        std::mem::forget(tc::drop_ingress(index, Method::Clsact).unwrap());
        assert!(!answers(&ns));
        assert!(tc::remove_filter(&links, index).unwrap());
        assert!(answers(&ns));
        assert!(!tc::remove_filter(&links, index).unwrap(), "nothing is left");
        tc::remove_qdisc(&links, index).unwrap();
        assert!(!tc::has_qdisc(&links, index).unwrap());

        // What somebody else has there stays.
        run("tc qdisc add dev v1 clsact");
        drop(tc::drop_ingress(index, Method::Clsact).unwrap());
        assert!(tc::has_qdisc(&links, index).unwrap());
        assert!(answers(&ns));
    });
}
