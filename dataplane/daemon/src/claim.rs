//! An attached interface belongs to one switch of the host, whatever their run directories are.
//!
//! The claim is a bound abstract Unix socket (unix(7)), the name of which is unique in a network namespace,
//! as the interface is, and which goes with its process, however that ends.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use vsw_port::{PortError, PortSpec};

/// Nobody else's, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim(#[allow(dead_code)] Option<UnixDatagram>);

impl Claim {
    /// # Errors
    /// `Refused` when another process has it. Interfaces that the switch makes need no claim: there the
    /// kernel refuses the second one.
    pub(crate) fn take(kind: &str, spec: &PortSpec) -> Result<Self, PortError> {
        if !matches!(kind, "packet" | "afxdp") {
            return Ok(Self(None));
        }
        let name = spec.ifname.as_str();
        let address = SocketAddr::from_abstract_name(format!("vswd/interface/{name}"));
        match address.and_then(|a| UnixDatagram::bind_addr(&a)) {
            Ok(socket) => Ok(Self(Some(socket))),
            Err(e) if e.kind() == ErrorKind::AddrInUse => Err(PortError::refused(
                format!("{name} is attached by another vswd"),
                "take it out of that switch first, with `vswctl del-port` there",
            )),
            Err(e) => Err(PortError::missing(format!("{name} cannot be claimed: {e}"), "it is tried again")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_types::Name;

    #[test]
    fn an_interface_has_one_owner_at_a_time() {
        let name = Name::new(&format!("c{}", std::process::id())).unwrap();
        let spec = PortSpec { ifname: name, netns: None, mac: None, mtu: None, queues: None, workers: 1 };
        let first = Claim::take("packet", &spec).unwrap();
        assert!(matches!(Claim::take("afxdp", &spec), Err(PortError::Refused { .. })));
        Claim::take("tap", &spec).unwrap();
        drop(first);
        Claim::take("afxdp", &spec).unwrap();
    }
}
