//! Why a change is refused, in sentences for people, and the gRPC code of each.
//!
//! A sentence names the object, the cause and what to do. Names in it come from clients: they are cut
//! and made printable when the sentence leaves the process, see [`one_line`].

use crate::StoreError;
use tonic::{Code, Status};
use vsw_api::v1;
use vsw_config::Violation;
use vsw_types::BadVlanId;

/// A refused change. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the request has no {0}; fill it in")]
    Missing(&'static str),
    #[error("{}", joined(.0))]
    Violations(Vec<Violation>),
    #[error("bridge {bridge}: {bad}")]
    BadVlan { bridge: String, bad: BadVlanId },

    #[error("bridge {0}: does not exist; create it with `vswctl add-br {0}`")]
    NoBridge(String),
    #[error("port {port}: is not in bridge {bridge}; see `vswctl list-ports {bridge}`")]
    NoPort { bridge: String, port: String },
    #[error("port {port}: is in bridge {owner}, not in {bridge}; name that bridge")]
    NotHere { bridge: String, port: String, owner: String },
    #[error("QoS profile {0}: does not exist; see `vswctl list-qos`")]
    NoProfile(String),
    #[error("port {0}: does not exist; see `vswctl show`")]
    UnknownPort(String),
    #[error("station {mac}: is no static station of bridge {bridge}; see `vswctl show-macs {bridge}`")]
    NoStation { bridge: String, mac: String },
    #[error(
        "station {mac}: is no static station of VLAN {vlan} of bridge {bridge}; see `vswctl show-macs {bridge}`"
    )]
    NoStationInVlan { bridge: String, mac: String, vlan: u32 },

    #[error("bridge {0}: exists already; change it with `vswctl set-br {0}`")]
    BridgeExists(String),
    #[error("QoS profile {0}: exists already; change it with `vswctl set-qos {0}`")]
    ProfileExists(String),
    #[error("QoS profile {0}: exists already, and says something else; change it with `vswctl set-qos {0}`")]
    ProfileDiffers(String),
    #[error(
        "QoS profile {profile}: is used by {ports}; give them another first, or none with `vswctl set-port \
             {first} --no-qos`"
    )]
    ProfileInUse { profile: String, ports: String, first: String },
    #[error("port {0}: has a named profile or one of its own, not both; give only one")]
    TwoProfiles(String),
    #[error("port {port}: is in bridge {bridge} already; change it with `vswctl set-port {bridge} {port}`")]
    PortExists { bridge: String, port: String },
    #[error(
        "port {port}: is in bridge {owner} already; a port is in one bridge, so remove it there first with \
         `vswctl del-port {owner} {port}`"
    )]
    PortElsewhere { port: String, owner: String },
    #[error(
        "port {port}: is in bridge {bridge} already, with another {differs}; change it with `vswctl set-port \
         {bridge} {port}`, or remove it first"
    )]
    PortDiffers { bridge: String, port: String, differs: String },
    #[error(
        "station {mac}: is in VLAN {vlan} of bridge {bridge} already, behind port {port}; remove it first with \
         `vswctl del-mac {bridge} {mac} --vlan {vlan}`"
    )]
    StationExists { bridge: String, mac: String, vlan: u16, port: String },

    #[error("station {mac}: is in VLANs {vlans} of bridge {bridge}; say which with --vlan N")]
    StationAmbiguous { bridge: String, mac: String, vlans: String },
    #[error("{}", joined(&.0.iter().map(|r| format!("{}: {}", r.object, r.reason)).collect::<Vec<_>>()))]
    Refused(Vec<v1::Refusal>),

    #[error(transparent)]
    Store(#[from] StoreError),
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// The gRPC code that the contract gives to this kind of refusal.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) | Self::Violations(_) | Self::BadVlan { .. } | Self::TwoProfiles(_) => {
                Code::InvalidArgument
            }
            Self::NoBridge(_)
            | Self::NoPort { .. }
            | Self::NotHere { .. }
            | Self::UnknownPort(_)
            | Self::NoProfile(_)
            | Self::NoStation { .. }
            | Self::NoStationInVlan { .. } => Code::NotFound,
            Self::BridgeExists(_)
            | Self::PortExists { .. }
            | Self::ProfileExists(_)
            | Self::ProfileDiffers(_)
            | Self::PortElsewhere { .. }
            | Self::PortDiffers { .. }
            | Self::StationExists { .. } => Code::AlreadyExists,
            Self::StationAmbiguous { .. } | Self::Refused(_) | Self::ProfileInUse { .. } => {
                Code::FailedPrecondition
            }
            Self::Store(_) => Code::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(e: Error) -> Self {
        Status::new(e.code(), one_line(&e.to_string()))
    }
}

/// Characters of a message. A gRPC message travels in an HTTP/2 header, and peers bound these; what was
/// sent to us may be repeated in it.
const LONGEST: usize = 2000;

/// The text as one printable line of bounded length.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (n, c) in text.chars().enumerate() {
        match c {
            _ if n == LONGEST => {
                line.push_str("..");
                break;
            }
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_bounded_printable_line() {
        assert_eq!(one_line("a\nb\u{1b}[31mc ü"), "a\\nb\\u{1b}[31mc ü");
        let long = Status::from(Error::NoBridge("x".repeat(3_000_000)));
        assert!(long.message().len() <= LONGEST + 2);
        assert_eq!(long.code(), Code::NotFound);
    }
}
