//! A port of the driver's, and a front end for it: that of the `vhost` crate, on memory of its own.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use vhost::vhost_user::message::{VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use vsw_mem::{FramePool, PoolSize};
use vsw_port::{Driver, Health, OpenPort, PortSpec, SocketSpec};
use vsw_port_vhost::VhostDriver;
use vsw_types::Name;

const MEMORY: u64 = 1 << 16;
const SIZE: u16 = 64;
pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const PROTOCOL: u64 = 1 << 30;
pub(crate) const PACKED: u64 = 1 << 34;
pub(crate) const GUEST_CSUM: u64 = 1 << 1;

fn pool() -> &'static FramePool {
    static POOL: OnceLock<&'static FramePool> = OnceLock::new();
    POOL.get_or_init(|| FramePool::leak(PoolSize { small: 1024, large: 64 }).unwrap())
}

pub(crate) fn driver() -> VhostDriver {
    VhostDriver::new(Arc::new(|| {}))
}

pub(crate) fn spec(path: PathBuf, server: bool) -> PortSpec {
    PortSpec {
        ifname: Name::new("vm0").unwrap(),
        netns: None,
        mac: None,
        mtu: None,
        queues: Some(1),
        workers: 1,
        socket: Some(SocketSpec { path, server }),
    }
}

pub(crate) fn open(driver: &VhostDriver, spec: &PortSpec) -> OpenPort {
    driver.open(spec, pool()).unwrap()
}

/// Waits for what must come.
pub(crate) fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(t) = f() {
            return t;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn down(port: &mut OpenPort, with: &str) {
    until(with, || match port.device.health() {
        Health::Down(why) if why.contains(with) => Some(()),
        _ => None,
    });
}

pub(crate) fn up(port: &mut OpenPort) {
    until("the port", || (port.device.health() == Health::Up).then_some(()));
}

/// Where the port connects to.
pub(crate) fn listen(path: &Path) -> UnixListener {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).unwrap()
}

/// The next connection from the port.
pub(crate) fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    let stream = until("a connection", || listener.accept().ok()).0;
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// A guest's memory and notifications.
pub(crate) struct Guest {
    pub(crate) front: Frontend,
    memory: File,
    events: Vec<EventFd>,
}

impl Guest {
    /// Agrees on features, and has replies asked for.
    pub(crate) fn new(stream: UnixStream, features: u64) -> Self {
        let mut front = Frontend::from_stream(stream, 2);
        front.set_owner().unwrap();
        let offered = front.get_features().unwrap();
        assert_eq!(offered & features, features, "{offered:#x}");
        let protocol = front.get_protocol_features().unwrap();
        front.set_protocol_features(protocol).unwrap();
        assert!(protocol.contains(VhostUserProtocolFeatures::REPLY_ACK));
        front.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        front.set_features(features).unwrap();
        let memory = tempfile::tempfile().unwrap();
        memory.set_len(MEMORY).unwrap();
        let events = (0..4).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
        Self { front, memory, events }
    }

    pub(crate) fn region(&self) -> VhostUserMemoryRegionInfo {
        VhostUserMemoryRegionInfo {
            guest_phys_addr: 0,
            memory_size: MEMORY,
            userspace_addr: 0x10_0000,
            mmap_offset: 0,
            mmap_handle: self.memory.as_raw_fd(),
        }
    }

    /// Everything that a ring needs.
    pub(crate) fn start(&self, ring: usize, base: u16) {
        let at = 0x10_0000 + ((ring as u64) << 13);
        let config = VringConfigData {
            queue_max_size: SIZE,
            queue_size: SIZE,
            flags: 0,
            desc_table_addr: at,
            used_ring_addr: at + 0x1000,
            avail_ring_addr: at + 0x800,
            log_addr: None,
        };
        self.front.set_vring_call(ring, &self.events[2 * ring]).unwrap();
        self.front.set_vring_num(ring, SIZE).unwrap();
        self.front.set_vring_addr(ring, &config).unwrap();
        self.front.set_vring_base(ring, base).unwrap();
        self.front.set_vring_kick(ring, &self.events[2 * ring + 1]).unwrap();
    }

    /// Both rings of the pair run.
    pub(crate) fn boot(&mut self, base: u16) {
        self.front.set_mem_table(&[self.region()]).unwrap();
        for ring in 0..2 {
            self.start(ring, base);
            self.front.set_vring_enable(ring, true).unwrap();
        }
    }
}

/// Descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
