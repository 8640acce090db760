//! An open port as housekeeping sees it.
//!
//! Thread-safety: used by one thread at a time; the attachment is shared with the queues.

use crate::attachment::Attachment;
use crate::open::{accepts, os_error};
use crate::socket::Binding;
use std::sync::{Arc, PoisonError};
use vsw_port::{Device, Health, PortCaps, PortError, PortInfo, PortSpec, Shortcut};
use vsw_port_os::link::{Features, Links};
use vsw_types::Name;

/// An interface with our program on it.
#[derive(Debug)]
pub(crate) struct Afxdp {
    pub(crate) ifname: Name,
    pub(crate) ifindex: u32,
    pub(crate) mode: String,
    pub(crate) binding: Binding,
    pub(crate) links: Links,
    pub(crate) features: Option<Features>,
    pub(crate) attachment: Arc<Attachment>,
}

impl Afxdp {
    fn gone(&self, cause: String) -> Health {
        Health::Lost(PortError::missing(
            cause,
            format!("it is attached again when there is an interface {}", self.ifname.as_str()),
        ))
    }
}

impl Device for Afxdp {
    fn info(&self) -> PortInfo {
        let link = self.links.by_index(self.ifindex).ok();
        PortInfo {
            mode: self.mode.clone(),
            mac: link.as_ref().and_then(|l| l.mac),
            mtu: link.map_or(0, |l| l.mtu),
            caps: PortCaps { chains: self.binding.multi_buffer, ..PortCaps::NONE },
        }
    }

    fn health(&mut self) -> Health {
        let name = self.ifname.as_str();
        match self.links.by_index(self.ifindex) {
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {
                self.gone(format!("the interface {name} is gone"))
            }
            Err(e) => Health::Down(format!("the interface {name} cannot be read: {e}")),
            Ok(link) if link.name != name => {
                self.gone(format!("the interface {name} is now called {}", link.name))
            }
            Ok(_) if !self.attachment.program.in_place() => Health::Lost(PortError::missing(
                format!("somebody took the XDP program off {name}, or put another in its place"),
                "it is attached again when it can be",
            )),
            Ok(link) if !link.up => {
                Health::Down(format!("the interface is down; `ip link set dev {name} up` sets it up"))
            }
            Ok(link) if !link.carrier => Health::Down("no carrier: nobody is at the other end".into()),
            Ok(_) => Health::Up,
        }
    }

    fn shortcut(&self) -> Option<Shortcut> {
        let program = &self.attachment.program;
        let seat = program.seat.as_ref().filter(|_| program.not_native.is_none())?.number();
        let takes = self.features.as_ref().is_some_and(|f| f.takes_redirects(self.ifindex).unwrap_or(false));
        Some(Shortcut { seat, takes })
    }

    fn configure(&mut self, spec: &PortSpec) -> Result<(), PortError> {
        let name = self.ifname.as_str();
        let link = self.links.by_index(self.ifindex).map_err(|e| os_error(name, "be read", &e))?;
        accepts(spec, &link, self.binding.multi_buffer)?;
        let mut settings = self.attachment.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.set_mtu(spec.mtu.map(u32::from)).map_err(|e| os_error(name, "take that MTU", &e))
    }
}
