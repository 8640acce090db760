//! Opens ports of kind `vhost-user`.
//!
//! Thread-safety: the service's thread is started with the first port, and shared by all.

use crate::device::VhostDevice;
use crate::face::Face;
use crate::queue::VhostQueue;
use crate::service::{NewPort, News, Service};
use crate::shared::Shared;
use crate::socket::{self, Listener};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};
use vsw_mem::FramePool;
use vsw_port::{Driver, OpenPort, PortError, PortQueue, PortSpec, SocketSpec};

/// Queue pairs when nobody says how many. Not one: a front end that counts vrings instead of pairs (Cloud
/// Hypervisor) takes the answer of one for half a queue.
const USUAL_QUEUES: std::ops::RangeInclusive<u16> = 2..=8;
/// A vring's number has eight bits in some messages.
const MOST_QUEUES: u16 = 128;

/// See the module.
pub struct VhostDriver {
    news: News,
    service: Mutex<Option<Arc<Service>>>,
}

impl std::fmt::Debug for VhostDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VhostDriver").finish_non_exhaustive()
    }
}

impl VhostDriver {
    /// `news` is called, from another thread, when something changed that `show` would say of a port.
    pub fn new(news: News) -> Self {
        Self { news, service: Mutex::default() }
    }

    fn service(&self) -> Result<Arc<Service>, PortError> {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = &*service {
            return Ok(service.clone());
        }
        let started = Arc::new(Service::start(self.news.clone()).map_err(|e| failed(&e))?);
        Ok(service.insert(started).clone())
    }
}

impl Driver for VhostDriver {
    fn kind(&self) -> &'static str {
        "vhost-user"
    }

    fn check(&self, spec: &PortSpec) -> Result<(), PortError> {
        pairs(spec)?;
        let at = socket_of(spec)?;
        if at.server { socket::check(&at.path) } else { Ok(()) }
    }

    fn open(&self, spec: &PortSpec, _pool: &'static FramePool) -> Result<OpenPort, PortError> {
        let pairs = pairs(spec)?;
        let SocketSpec { path, server } = socket_of(spec)?.clone();
        let service = self.service()?;
        let shared = Shared::new(pairs).map_err(|e| failed(&e))?;
        let face = Arc::new(Face::default());
        let listener = if server { Some(Listener::open(&path)?) } else { None };
        let id = service.open(NewPort {
            name: spec.ifname.to_string(),
            path: path.clone(),
            listener,
            shared: shared.clone(),
            face: face.clone(),
            mtu: spec.mtu,
        });
        let queue = |pair| Box::new(VhostQueue::new(shared.clone(), pair)) as Box<dyn PortQueue>;
        let queues = (0..pairs).map(queue).collect();
        let device = VhostDevice { service, id, path, server, shared, face, mtu: spec.mtu };
        Ok(OpenPort { device: Box::new(device), queues })
    }
}

fn pairs(spec: &PortSpec) -> Result<u16, PortError> {
    match spec.queues {
        Some(n) if n > MOST_QUEUES => {
            let cause = format!("{n} queues are more than the {MOST_QUEUES} that a vhost-user port can have");
            Err(PortError::refused(cause, "ask for fewer with --queues"))
        }
        Some(n) => Ok(n.max(1)),
        None => Ok(spec.workers.clamp(*USUAL_QUEUES.start(), *USUAL_QUEUES.end())),
    }
}

fn socket_of(spec: &PortSpec) -> Result<&SocketSpec, PortError> {
    let at = spec.socket.as_ref().ok_or_else(|| {
        PortError::refused("a vhost-user port needs a socket", "say where it is, with --socket")
    })?;
    let len = at.path.as_os_str().as_bytes().len();
    if !at.path.is_absolute() || len > socket::LONGEST_PATH {
        let cause = format!("{} is no path for a socket", at.path.display());
        let remedy = format!("give an absolute path of at most {} bytes with --socket", socket::LONGEST_PATH);
        return Err(PortError::refused(cause, remedy));
    }
    Ok(at)
}

fn failed(e: &std::io::Error) -> PortError {
    PortError::missing(format!("a vhost-user port cannot be made: {e}"), "it is tried again")
}
