//! An open TAP as housekeeping sees it.
//!
//! The interface is known by its index: in its namespace it may be renamed, and its MTU, address and
//! state are its owner's to change. Our descriptors keep a namespace alive that everybody else has left;
//! so that it is gone shows only in the file that stands for it.

use std::io;
use std::path::PathBuf;
use vsw_port::{Device, Health, PortCaps, PortError, PortInfo, PortSpec};
use vsw_port_os::link::{Link, Links};
use vsw_port_os::netns::{self, Identity};
use vsw_types::MacAddr;

pub(crate) struct TapDevice {
    links: Links,
    /// As it was when made.
    made: Link,
    namespace: Option<(PathBuf, Identity)>,
    queues: usize,
    caps: PortCaps,
}

impl TapDevice {
    pub(crate) fn new(
        links: Links,
        made: Link,
        namespace: Option<(PathBuf, Identity)>,
        queues: usize,
        caps: PortCaps,
    ) -> Self {
        Self { links, made, namespace, queues, caps }
    }

    fn now(&self) -> io::Result<Link> {
        self.links.by_index(self.made.index)
    }
}

impl Device for TapDevice {
    fn info(&self) -> PortInfo {
        let link = self.now().unwrap_or_else(|_| self.made.clone());
        let plural = if self.queues == 1 { "" } else { "s" };
        let mode = format!("vnet_hdr, {} queue{plural}", self.queues);
        PortInfo { mode, mac: link.mac, mtu: link.mtu, caps: self.caps }
    }

    fn health(&mut self) -> Health {
        if let Some((file, identity)) = &self.namespace
            && netns::identity(file).ok() != Some(*identity)
        {
            let cause = format!("{} is gone", netns::describe(file));
            return Health::Lost(PortError::missing(cause, "the port comes back when it does"));
        }
        match self.now() {
            Ok(link) if !link.up => {
                let place = if self.namespace.is_some() { " in its namespace" } else { "" };
                Health::Down(format!(
                    "the interface is down{place}; set it up there with `ip link set {} up`",
                    link.name
                ))
            }
            Ok(_) => Health::Up,
            Err(e) => Health::Lost(match e.raw_os_error() {
                Some(libc::ENODEV) => PortError::missing(
                    format!("the interface {} was deleted or moved away", self.made.name),
                    "it is made again",
                ),
                _ => PortError::dead(&e),
            }),
        }
    }

    fn configure(&mut self, spec: &PortSpec) -> Result<(), PortError> {
        let link = self.now().map_err(|e| PortError::dead(&e))?;
        apply(&self.links, &link.name, spec.mac, spec.mtu).inspect_err(|_| {
            // The old values stay in force.
            let _ = link.mac.map(|mac| self.links.set_mac(&link.name, mac));
        })
    }
}

/// Sets what is given.
pub(crate) fn apply(
    links: &Links,
    name: &str,
    mac: Option<MacAddr>,
    mtu: Option<u16>,
) -> Result<(), PortError> {
    if let Some(mac) = mac {
        links.set_mac(name, mac).map_err(|e| {
            PortError::refused(format!("{name} does not take the address {mac}: {e}"), "choose another --mac")
        })?;
    }
    if let Some(mtu) = mtu {
        links.set_mtu(name, mtu.into()).map_err(|e| {
            PortError::refused(
                format!("{name} does not take an MTU of {mtu}: {e}"),
                "choose another --mtu; a TAP takes 68 to 65521",
            )
        })?;
    }
    Ok(())
}
