//! Ports whose interface the switch makes: kinds `tap` and `internal`.
//!
//! The kernel's stack is at the other end, that of a container (the interface is made in its network
//! namespace) or the host's own. The switch holds the TAP's descriptors, one per queue; the interface
//! disappears with the last of them, so nothing is left behind by a killed process. Frames come and go
//! with the virtio-net header and every offload that the kernel has.
//!
//! - `tun`: the system calls that make the interface.
//! - `queue`: the packet path.
//! - `device`: how the port is, and changes while it is open.
//!
//! Thread-safety: the driver has no state. A device keeps a socket in the interface's namespace, so that
//! no thread has to enter it again.

mod device;
mod queue;
mod tun;

use device::TapDevice;
use queue::TapQueue;
use rustix::thread::CapabilitySet;
use std::io;
use std::path::Path;
use vsw_mem::FramePool;
use vsw_port::{Driver, OpenPort, PortCaps, PortError, PortQueue, PortSpec};
use vsw_port_os::link::{Link, Links};
use vsw_port_os::netns;

/// Frames that the kernel keeps for a queue that is not read (txqueuelen). The kernel's own default for
/// a TAP is 500.
const TX_QUEUE_LEN: u32 = 1000;
/// Queues when nobody says how many.
const USUAL_QUEUES: u16 = 8;
/// MAX_TAP_QUEUES, `drivers/net/tun.c`.
const MOST_QUEUES: u16 = 256;

/// Makes interfaces.
#[derive(Debug)]
pub struct TapDriver {
    kind: &'static str,
}

impl TapDriver {
    /// For kind `tap`: where the configuration says.
    #[allow(clippy::new_without_default)] // the kind is a choice, not a default
    pub fn new() -> Self {
        Self { kind: "tap" }
    }

    /// For kind `internal`: in the host's own namespace.
    pub fn internal() -> Self {
        Self { kind: "internal" }
    }
}

impl Driver for TapDriver {
    fn kind(&self) -> &'static str {
        self.kind
    }

    /// An interface of that name, or a namespace that is not there, is a refusal here: a mistake of who asks.
    /// When the port is opened later, either may come right by itself.
    fn check(&self, spec: &PortSpec) -> Result<(), PortError> {
        queue_count(spec)?;
        tun::open().map_err(|e| no_tun(&e))?;
        match rustix::thread::capabilities(None) {
            Ok(sets) if !sets.effective.contains(CapabilitySet::NET_ADMIN) => return Err(not_allowed(spec)),
            _ => {}
        }
        if let Some(file) = &spec.netns {
            netns::identity(file).map_err(|e| {
                let (cause, remedy) = netns::explain(file, &e);
                PortError::refused(cause, remedy)
            })?;
        }
        inside(spec.netns.as_deref(), || {
            let links = Links::open().map_err(|e| failed("reading the interfaces", &e))?;
            match links.exists(spec.ifname.as_str()) {
                true => Err(taken(spec, PortError::refused)),
                false => Ok(()),
            }
        })
    }

    fn open(&self, spec: &PortSpec, _pool: &'static FramePool) -> Result<OpenPort, PortError> {
        let count = queue_count(spec)?;
        // Before the interface, so that a namespace replaced meanwhile is noticed.
        let namespace = match &spec.netns {
            Some(file) => Some((file.clone(), netns::identity(file).map_err(|e| no_namespace(file, &e))?)),
            None => None,
        };
        let (tap, links, link) = inside(spec.netns.as_deref(), || make(spec, count))?;
        let caps = PortCaps { csum: true, tso4: true, tso6: true, uso: tap.uso, chains: true };
        let queues = tap.queues.into_iter().map(|fd| Box::new(TapQueue::new(fd)) as Box<dyn PortQueue>);
        let queues: Vec<_> = queues.collect();
        let device = Box::new(TapDevice::new(links, link, namespace, queues.len(), caps));
        Ok(OpenPort { device, queues })
    }
}

/// Makes the interface in the calling thread's namespace. On error its descriptors are closed, and with
/// them it is gone.
fn make(spec: &PortSpec, count: u16) -> Result<(tun::Tap, Links, Link), PortError> {
    let name = spec.ifname.as_str();
    let first = tun::open().map_err(|e| no_tun(&e))?;
    let tap = tun::make(first, name, count).map_err(|e| match e.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => taken(spec, PortError::missing),
        Some(libc::EPERM) => not_allowed(spec),
        _ => failed(&format!("making the interface {name}"), &e),
    })?;
    let links = Links::open().map_err(|e| failed("reading the interfaces", &e))?;
    // Not worth failing for: the kernel's default works.
    let _ = links.set_tx_queue_len(name, TX_QUEUE_LEN);
    device::apply(&links, name, spec.mac, spec.mtu)?;
    links.set_up(name).map_err(|e| failed(&format!("setting {name} up"), &e))?;
    let link = links.by_name(name).map_err(|e| failed(&format!("reading {name}"), &e))?;
    Ok((tap, links, link))
}

/// Runs `f` in the namespace asked for.
fn inside<T: Send>(
    namespace: Option<&Path>,
    f: impl FnOnce() -> Result<T, PortError> + Send,
) -> Result<T, PortError> {
    match namespace {
        None => f(),
        Some(file) => netns::run_in(file, f).map_err(|e| no_namespace(file, &e))?,
    }
}

fn queue_count(spec: &PortSpec) -> Result<u16, PortError> {
    match spec.queues {
        Some(n) if n > MOST_QUEUES => {
            let cause = format!("{n} queues are more than the {MOST_QUEUES} that a TAP can have");
            Err(PortError::refused(cause, "ask for fewer with --queues"))
        }
        Some(n) => Ok(n.max(1)),
        None => Ok(spec.workers.clamp(1, USUAL_QUEUES)),
    }
}

fn taken(spec: &PortSpec, error: fn(String, String) -> PortError) -> PortError {
    let name = spec.ifname.as_str();
    let place =
        spec.netns.as_deref().map(|file| format!(" in {}", netns::describe(file))).unwrap_or_default();
    let attach = if place.is_empty() { "use --type packet to attach it, or " } else { "" };
    error(
        format!("an interface named {name} exists already{place} and does not belong to this switch"),
        format!("{attach}choose another name, or delete it"),
    )
}

fn not_allowed(spec: &PortSpec) -> PortError {
    let cause = format!("making the interface {} is not allowed", spec.ifname);
    PortError::refused(cause, "run as root, or with CAP_NET_ADMIN")
}

fn no_tun(e: &io::Error) -> PortError {
    match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => PortError::refused(
            "/dev/net/tun does not exist or has no driver",
            "load it with `modprobe tun`; in a container, pass the device in",
        ),
        Some(libc::EACCES | libc::EPERM) => PortError::refused(
            "opening /dev/net/tun is not allowed",
            "run as root; in a container, allow the device",
        ),
        _ => failed("opening /dev/net/tun", e),
    }
}

/// A namespace can come (back); the permission to enter it does not come by itself.
fn no_namespace(file: &Path, e: &io::Error) -> PortError {
    let (cause, remedy) = netns::explain(file, e);
    match e.kind() {
        io::ErrorKind::PermissionDenied => PortError::refused(cause, remedy),
        _ => PortError::missing(cause, remedy),
    }
}

fn failed(what: &str, e: &io::Error) -> PortError {
    PortError::missing(format!("{what} failed: {e}"), "it is tried again")
}
