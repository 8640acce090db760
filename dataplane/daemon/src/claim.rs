//! An attached interface, or the socket of a vhost-user port, belongs to one switch of the host, whatever their run directories are.
//!
//! The claim is a bound abstract Unix socket (unix(7)), the name of which is unique in a network namespace,
//! as the interface is, and which goes with its process, however that ends.

use crate::drivers::fnv;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use vsw_port::{PortError, PortSpec};

/// Nobody else's, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim(#[allow(dead_code)] Option<UnixDatagram>);

impl Claim {
    /// # Errors
    /// `Refused` when another port or process has it. Interfaces that the switch makes need no claim: there the
    /// kernel refuses the second one.
    pub(crate) fn take(kind: &str, spec: &PortSpec) -> Result<Self, PortError> {
        let (name, claim) = match (kind, &spec.socket) {
            ("packet" | "afxdp", _) => {
                let name = spec.ifname.to_string();
                let claim = format!("vswd/interface/{name}");
                (name, claim)
            }
            // A path may be as long as the claim's name can be.
            (_, Some(socket)) => {
                let hash = fnv(socket.path.as_os_str().as_bytes());
                (socket.path.display().to_string(), format!("vswd/socket/{hash:016x}"))
            }
            _ => return Ok(Self(None)),
        };
        let address = SocketAddr::from_abstract_name(claim);
        match address.and_then(|a| UnixDatagram::bind_addr(&a)) {
            Ok(socket) => Ok(Self(Some(socket))),
            Err(e) if e.kind() == ErrorKind::AddrInUse && spec.socket.is_some() => Err(PortError::refused(
                format!("the socket {name} belongs to another port, here or of another vswd"),
                "choose another path with --socket",
            )),
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
    use vsw_port::SocketSpec;
    use vsw_types::Name;

    #[test]
    fn an_interface_has_one_owner_at_a_time() {
        let name = Name::new(&format!("c{}", std::process::id())).unwrap();
        let spec = PortSpec {
            ifname: name,
            netns: None,
            mac: None,
            mtu: None,
            queues: None,
            workers: 1,
            socket: None,
        };
        let first = Claim::take("packet", &spec).unwrap();
        assert!(matches!(Claim::take("afxdp", &spec), Err(PortError::Refused { .. })));
        Claim::take("tap", &spec).unwrap();
        drop(first);
        Claim::take("afxdp", &spec).unwrap();
    }

    #[test]
    fn a_socket_has_one_owner_at_a_time() {
        let path = |n: u32| format!("/{}/{n}/{}", "a".repeat(90), std::process::id()).into();
        let spec = |n| PortSpec {
            ifname: Name::new("vm0").unwrap(),
            netns: None,
            mac: None,
            mtu: None,
            queues: None,
            workers: 1,
            socket: Some(SocketSpec { path: path(n), server: n == 1 }),
        };
        let first = Claim::take("vhost-user", &spec(1)).unwrap();
        let e = Claim::take("vhost-user", &spec(1)).unwrap_err();
        assert!(e.to_string().contains("belongs to another port"), "{e}");
        Claim::take("vhost-user", &spec(2)).unwrap();
        drop(first);
        Claim::take("vhost-user", &spec(1)).unwrap();
    }
}
