//! A network namespace for one test, raw sockets in it, and the few words in which the tests speak.
//!
//! Thread-safety: each test has a lab of its own.

#![allow(dead_code)] // each test binary uses a part of it

#[path = "../../../port-os/tests/common/mod.rs"]
mod common;

use common::{Folder, Netns};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vsw_mem::{Batch, Frame, FramePool, PoolSize};
use vsw_port::{Driver, Io, OpenPort, PortQueue, PortSpec};
use vsw_port_afxdp::AfxdpDriver;
use vsw_port_os::netns;
use vsw_types::Name;

/// A namespace and a directory for journals, gone when the test is over.
pub(crate) struct Lab {
    ns: Netns,
    journals: Folder,
}

impl Lab {
    /// `None`, and a word about it, without root.
    pub(crate) fn new(test: &str) -> Option<Self> {
        common::root(test).then(|| Self { ns: Netns::new(), journals: Folder::new() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.ns.name
    }

    /// Runs `ip` in the namespace.
    pub(crate) fn ip(&self, words: &str) {
        self.ns.ip(words);
    }

    /// What `ip -d link show` says of an interface.
    pub(crate) fn show(&self, ifname: &str) -> String {
        common::output(&format!("ip -n {} -d link show dev {ifname}", self.ns.name))
    }

    /// Receive and transmit queues of an interface, now.
    pub(crate) fn channels(&self, ifname: &str) -> (u32, u32) {
        let now = self.inside(|| {
            let links = vsw_port_os::link::Links::open().unwrap();
            vsw_port_os::ethtool::channels(&links, ifname).unwrap().0
        });
        (now.rx, now.tx)
    }

    /// A veth pair, both ends up, without the chatter of IPv6. `more` describes each end.
    pub(crate) fn veth(&self, a: &str, b: &str, more: &str) {
        self.ip(&format!("link add {a} {more} type veth peer name {b} {more}"));
        for end in [a, b] {
            self.ip(&format!("link set dev {end} addrgenmode none up"));
        }
    }

    /// Runs `f` in the namespace, on a thread of its own; a panic there is one here.
    pub(crate) fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        netns::run_in(&self.ns.path, f).unwrap()
    }

    pub(crate) fn driver(&self) -> AfxdpDriver {
        AfxdpDriver::new(self.journals())
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.journals.0.clone()
    }

    /// Opens a port on `ifname`; the caller is inside.
    pub(crate) fn open(&self, ifname: &str, pool: &'static FramePool) -> OpenPort {
        self.driver().open(&spec(ifname), pool).unwrap()
    }

    pub(crate) fn journal_is_empty(&self) -> bool {
        self.journals.0.read_dir().unwrap().next().is_none()
    }
}

pub(crate) fn pool() -> &'static FramePool {
    FramePool::leak(PoolSize { small: 4096, large: 8 }).unwrap()
}

pub(crate) fn spec(ifname: &str) -> PortSpec {
    let ifname = Name::new(ifname).unwrap();
    PortSpec { ifname, netns: None, mac: None, mtu: None, queues: None, workers: 1, socket: None }
}

/// Tries until `f` gives something, for two seconds.
pub(crate) fn wait_for<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(Instant::now() < end, "waited two seconds for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Receives until there is a frame of the tests' own ethertype, or one that `wanted` likes.
pub(crate) fn receive_if(queue: &mut dyn PortQueue, io: &mut Io, wanted: impl Fn(&Frame) -> bool) -> Frame {
    wait_for("a frame", || {
        let mut batch = Batch::new();
        queue.recv(&mut batch, io).unwrap();
        queue.flush(io);
        batch.into_iter().find(|f| wanted(f))
    })
}

pub(crate) fn receive(queue: &mut dyn PortQueue, io: &mut Io) -> Frame {
    receive_if(queue, io, |f| is_ours(f.bytes()))
}

/// Sends frames, all of which the queue must take.
pub(crate) fn transmit(queue: &mut dyn PortQueue, io: &mut Io, frames: impl IntoIterator<Item = Frame>) {
    let mut batch: Batch = frames.into_iter().collect();
    queue.send(&mut batch, io).unwrap();
    queue.flush(io);
    assert!(batch.is_empty(), "taken");
}

/// All bytes of a frame.
pub(crate) fn contents(frame: &Frame) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// A frame of an ethertype for experiments (IEEE 802, 88-b5), to everybody.
pub(crate) fn frame(number: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5, number]);
    bytes.extend((bytes.len()..len).map(|i| (i % 251) as u8));
    bytes
}

pub(crate) fn is_ours(bytes: &[u8]) -> bool {
    bytes.get(12..14) == Some(&[0x88, 0xb5])
}

/// A raw socket on an interface: what a station does.
pub(crate) struct Station(OwnedFd);

impl Station {
    pub(crate) fn new(ifname: &str) -> Self {
        let all = (libc::ETH_P_ALL as u16).to_be();
        let index = vsw_port_os::link::Links::open().unwrap().by_name(ifname).unwrap().index;
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0);
        // SAFETY: the kernel just made it for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        address.sll_ifindex = index as i32;
        let len = size_of_val(&address) as u32;
        // SAFETY: the address is as long as said.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(bound, 0);
        Self(fd)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        use rustix::net::{SendFlags, send};
        assert_eq!(send(&self.0, bytes, SendFlags::empty()).unwrap(), bytes.len());
    }

    /// The next of the tests' own frames.
    pub(crate) fn receive(&self) -> Vec<u8> {
        use rustix::net::{RecvFlags, recv};
        let mut buffer = vec![0; 70_000];
        wait_for("a frame at the station", || {
            let (n, _) = recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
            is_ours(&buffer[..n]).then(|| buffer[..n].to_vec())
        })
    }
}
