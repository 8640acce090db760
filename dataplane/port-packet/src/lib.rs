//! Ports that attach an interface which exists already and belongs to somebody else: kind `packet`.
//!
//! A TAP that a VMM holds open, a veth end, a NIC: reached through AF_PACKET with the virtio-net header,
//! so that frames to be segmented stay whole, as they do at a Linux bridge. What the interface receives
//! goes to the switch alone: traffic control drops it before the host's own stack sees it.
//!
//! - `socket`: an AF_PACKET socket and its options.
//! - `queue`: the packet path; `ring`: what is received is mapped there; `slots`: the arrays of system calls.
//! - `drops`: what the kernel lost.
//! - `attachment`: what is changed about the interface, undone when the port goes.
//! - `journal`: what a killed process left behind.
//! - `device`: how the port is.
//!
//! Thread-safety: the driver may be shared; a port works in the network namespace of the thread that
//! opened it.

mod attachment;
mod device;
mod drops;
mod journal;
mod queue;
mod ring;
mod slots;
mod socket;

use attachment::Attachment;
use device::{PacketDevice, Ringless};
use drops::Drops;
use journal::Journal;
use queue::PacketQueue;
use ring::Ring;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use vsw_mem::FramePool;
use vsw_port::{Driver, OpenPort, PortCaps, PortError, PortQueue, PortSpec};
use vsw_port_os::link::{Link, Links};
use vsw_port_os::tc::Method;

/// PACKET_FANOUT_MAX of older kernels, `net/packet/internal.h`.
const MOST_QUEUES: u16 = 256;

/// Attaches interfaces.
#[derive(Debug)]
pub struct PacketDriver {
    journal: Journal,
    method: Method,
    ringless: Ringless,
}

impl PacketDriver {
    /// `journal`: a directory that is this process's alone and is empty after a reboot. What must be
    /// undone if the process is killed is noted there.
    pub fn new(journal: PathBuf) -> Self {
        Self { journal: Journal::new(journal), method: Method::Best, ringless: Ringless::default() }
    }

    /// The same, keeping frames from the host's stack by the method given: for tests of the older one.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }
}

impl Driver for PacketDriver {
    fn kind(&self) -> &'static str {
        "packet"
    }

    fn recover(&self) -> Vec<String> {
        self.journal.recover()
    }

    fn check(&self, spec: &PortSpec) -> Result<(), PortError> {
        suitable(spec).map(drop)
    }

    fn open(&self, spec: &PortSpec, _pool: &'static FramePool) -> Result<OpenPort, PortError> {
        let (links, link) = suitable(spec)?;
        let count = spec.queues.unwrap_or(1).max(1);
        let sockets = socket::create(count).map_err(|e| not_attached(&link.name, &e))?;
        let uso = kernel_has_uso();
        let attachment = Attachment::new(links, link, spec.mtu, &self.journal, self.method)?;
        let index = attachment.link().index;
        let ringless = self.ringless.contains(index);
        // Before they are bound: the kernel forgets to start a socket whose interface is set up while its ring
        // is made (`packet_set_ring` and `packet_notifier`), and a VMM sets up its TAP as soon as it is there.
        let ring = |fd| if ringless { Ok(None) } else { Ring::new(fd).map(Some) };
        let rings = sockets.iter().map(ring).collect::<io::Result<Vec<_>>>();
        let mut rings = rings.map_err(|e| no_ring(spec, &e))?;
        socket::attach(&sockets, index).map_err(|e| not_attached(spec.ifname.as_str(), &e))?;
        if sockets.len() > 1 {
            // Between bind and join, a socket got what another one got too. The ring first: a frame of the
            // socket without its place in the ring would be taken for another one.
            rings.iter_mut().flatten().for_each(Ring::clear);
            sockets.iter().for_each(socket::empty);
        }
        let (mut watched, mut queues) = (Vec::new(), Vec::<Box<dyn PortQueue>>::new());
        for (fd, ring) in sockets.into_iter().zip(rings) {
            let socket = Arc::new(Drops::new(fd));
            watched.push(Arc::downgrade(&socket));
            queues.push(Box::new(PacketQueue::new(socket, ring)));
        }
        let caps = PortCaps { csum: true, tso4: true, tso6: true, uso, chains: true };
        let device = PacketDevice::new(attachment, watched, self.ringless.clone(), caps);
        Ok(OpenPort { device: Box::new(device), queues })
    }
}

/// The interface, if it can be attached.
fn suitable(spec: &PortSpec) -> Result<(Links, Link), PortError> {
    let name = spec.ifname.as_str();
    if spec.netns.is_some() {
        let cause = format!("{name} cannot be attached inside another network namespace");
        return Err(PortError::refused(cause, "use --type tap to make an interface there"));
    }
    if spec.mac.is_some() {
        let cause = format!("the address of {name} is its owner's");
        return Err(PortError::refused(cause, "leave --mac out"));
    }
    if let Some(n) = spec.queues.filter(|n| *n > MOST_QUEUES) {
        let cause = format!("{n} queues are more than the {MOST_QUEUES} that a packet port can have");
        return Err(PortError::refused(cause, "ask for fewer with --queues"));
    }
    let links = Links::open().map_err(|e| not_attached(name, &e))?;
    let link = links.by_name(name).map_err(|e| match e.raw_os_error() {
        Some(libc::ENODEV) => PortError::missing(
            format!("there is no interface {name}"),
            "it is attached when it appears (--type tap makes one)",
        ),
        _ => not_attached(name, &e),
    })?;
    if link.loopback {
        let cause = format!("{name} is the loopback interface");
        return Err(PortError::refused(cause, "attach another"));
    }
    if let Some(master) = &link.master {
        return Err(owned(name, master));
    }
    if link.mac.is_none() {
        let cause = format!("{name} is not an Ethernet interface");
        return Err(PortError::refused(cause, "attach one that is"));
    }
    Ok((links, link))
}

fn owned(name: &str, master: &str) -> PortError {
    PortError::refused(
        format!("{name} belongs to {master}"),
        format!("take it out first with `ip link set {name} nomaster`"),
    )
}

fn not_attached(name: &str, e: &io::Error) -> PortError {
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => PortError::refused(
            format!("attaching {name} is not allowed"),
            "run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
        ),
        Some(libc::EAFNOSUPPORT) => PortError::refused(
            "the kernel has no packet sockets",
            "load them with `modprobe af_packet`, or use another type",
        ),
        _ => PortError::missing(format!("attaching {name} failed: {e}"), "it is tried again"),
    }
}

fn no_ring(spec: &PortSpec, e: &io::Error) -> PortError {
    let cause = format!("{} cannot have a receive ring of {} KiB a queue: {e}", spec.ifname, ring::LEN >> 10);
    PortError::missing(cause, "free memory, or ask for fewer with --queues; it is tried again")
}

/// VIRTIO_NET_HDR_GSO_UDP_L4 is known since Linux 6.2; there is nothing to ask but the version.
fn kernel_has_uso() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 2)
}
