//! An attached interface as housekeeping sees it.
//!
//! It is known by its name and its index: another one of the same name is another interface, to which
//! the port has to be attached anew.

use crate::attachment::Attachment;
use crate::owned;
use vsw_port::{Device, Health, PortError, PortInfo, PortSpec};

pub(crate) struct PacketDevice {
    attachment: Attachment,
    queues: usize,
}

impl PacketDevice {
    pub(crate) fn new(attachment: Attachment, queues: usize) -> Self {
        Self { attachment, queues }
    }

    pub(crate) fn index(&self) -> u32 {
        self.attachment.link().index
    }
}

impl Device for PacketDevice {
    fn info(&self) -> PortInfo {
        let attached = self.attachment.link();
        let link = self.attachment.links().by_index(attached.index).unwrap_or_else(|_| attached.clone());
        let plural = if self.queues == 1 { "" } else { "s" };
        let mode = format!("vnet_hdr, {} queue{plural}", self.queues);
        PortInfo { mode, mac: link.mac, mtu: link.mtu }
    }

    fn health(&mut self) -> Health {
        let name = &self.attachment.link().name;
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
