//! An attached interface as housekeeping sees it.
//!
//! It is known by its name and its index: another one of the same name is another interface, to which
//! the port has to be attached anew. So it has to when a frame stopped its ring (see `drops`): without one.

use crate::attachment::Attachment;
use crate::drops::Drops;
use crate::owned;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use vsw_port::{Device, Health, PortCaps, PortError, PortInfo, PortSpec};

/// A ring that kept nothing for so long, and lost frames, is stuck: a worker reads one every few microseconds.
const WINDOW: Duration = Duration::from_millis(500);

/// Interfaces, by index, whose frames stopped a ring, for as long as the process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ringless(Arc<Mutex<HashSet<u32>>>);

impl Ringless {
    pub(crate) fn contains(&self, index: u32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }

    fn insert(&self, index: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
    }
}

pub(crate) struct PacketDevice {
    attachment: Attachment,
    /// The sockets of its queues, which close them.
    sockets: Vec<Weak<Drops>>,
    ringless: Ringless,
    /// When the rings were last looked at.
    looked: Instant,
    caps: PortCaps,
}

impl PacketDevice {
    pub(crate) fn new(
        attachment: Attachment,
        sockets: Vec<Weak<Drops>>,
        ringless: Ringless,
        caps: PortCaps,
    ) -> Self {
        Self { attachment, sockets, ringless, looked: Instant::now(), caps }
    }

    /// Frames lost by rings that are stuck.
    fn stuck(&mut self) -> Option<u32> {
        if self.ringless.contains(self.index()) || self.looked.elapsed() < WINDOW {
            return None;
        }
        self.looked = Instant::now();
        self.sockets.iter().filter_map(|socket| socket.upgrade()?.stuck()).reduce(u32::saturating_add)
    }

    pub(crate) fn index(&self) -> u32 {
        self.attachment.link().index
    }
}

impl Device for PacketDevice {
    fn info(&self) -> PortInfo {
        let attached = self.attachment.link();
        let link = self.attachment.links().by_index(attached.index).unwrap_or_else(|_| attached.clone());
        let queues = self.sockets.len();
        let plural = if queues == 1 { "" } else { "s" };
        let ring =
            if self.ringless.contains(self.index()) { ", no ring: its frames stopped one" } else { "" };
        let mode = format!("vnet_hdr, {queues} queue{plural}{ring}");
        PortInfo { mode, mac: link.mac, mtu: link.mtu, caps: self.caps }
    }

    fn health(&mut self) -> Health {
        let stuck = self.stuck();
        let name = &self.attachment.link().name;
        if let Some(frames) = stuck {
            self.ringless.insert(self.index());
            let cause = format!(
                "{name} sent a frame that is to be segmented in a way the kernel has no virtio-net word for, \
                 which stopped its ring; {frames} frames were lost"
            );
            return Health::Lost(PortError::missing(cause, "it is attached again without a ring"));
        }
        let link = match self.attachment.links().by_name(name) {
            Ok(link) => link,
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {
                let cause = format!("the interface {name} disappeared");
                return Health::Lost(PortError::missing(cause, "it is attached again when it appears"));
            }
            Err(e) => return Health::Lost(PortError::dead(&e)),
        };
        if link.index != self.index() {
            let cause = format!("another interface took the name {name}");
            return Health::Lost(PortError::missing(cause, "that is attached instead"));
        }
        match link.master {
            Some(master) => Health::Lost(owned(name, &master)),
            None if !link.up => {
                Health::Down(format!("the interface is down; set it up with `ip link set {name} up`"))
            }
            None if !link.carrier => Health::Down("no carrier: nobody is at the other end".into()),
            None => Health::Up,
        }
    }

    fn configure(&mut self, spec: &PortSpec) -> Result<(), PortError> {
        self.attachment.set_mtu(spec.mtu)
    }
}
