//! Quality of service: whether what is configured is what stations get, on every kind of port.
//!
//! Two stations talk IP over a switch of ours. What is sent by `a` is policed at its port, what is sent to `b`
//! is shaped at that. Payload is counted by those who receive it, in buckets of 10 ms, and told as the rate of
//! the frames that carried it, which is what is configured: `docs/qos.md`.
//!
//! Thread-safety: streams have threads of their own, which end with them.

mod change;
mod flow;
mod ping;
mod rate;
mod share;
mod storm;

pub(crate) use change::qos_change;
pub(crate) use ping::qos_ping;
pub(crate) use rate::qos_rate;
pub(crate) use share::qos_share;
pub(crate) use storm::qos_storm;

use super::stations::{Ours, PortKind, Rooms};
use super::talk;
use anyhow::Result;
use flow::{FRAME, Flow, TCP_PAYLOAD, UDP_PAYLOAD};
use std::net::Ipv4Addr;

/// The address of `b`.
const B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// What every rate holds within, in percent.
const TOLERANCE: f64 = 3.0;

/// Who is limited, and how.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// `a`, in what it sends: a policer.
    By,
    /// The same, where what is too much waits.
    Waits,
    /// `b`, in what is sent to it: a shaper.
    To,
}

impl Side {
    const ALL: [Self; 3] = [Self::By, Self::Waits, Self::To];

    fn name(self) -> &'static str {
        match self {
            Self::By => "sent-by",
            Self::Waits => "sent-by red=wait",
            Self::To => "sent-to",
        }
    }

    /// What is typed for so many bits a second.
    fn limit(self, rate: f64) -> String {
        let rate = typed(rate);
        match self {
            Self::By => format!("--sent-by {rate}"),
            Self::Waits => format!("--sent-by {rate},red=wait"),
            Self::To => format!("--sent-to {rate}"),
        }
    }

    /// The port that is limited.
    fn port(self, kind: PortKind) -> &'static str {
        kind.ports()[matches!(self, Self::To) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// Bits of frames for a bit of payload.
    fn frame_bits(self) -> f64 {
        FRAME
            / match self {
                Self::Tcp => TCP_PAYLOAD,
                Self::Udp => UDP_PAYLOAD,
            }
    }
}

/// Both stations behind a switch of ours.
struct Lab {
    rooms: Rooms,
    switch: Ours,
    kind: PortKind,
}

impl Lab {
    fn new(kind: PortKind) -> Result<Self> {
        let rooms = Rooms::new()?;
        let switch = rooms.ours(kind)?;
        let lab = Self { rooms, switch, kind };
        talk::answers(&lab.rooms.a, &B.to_string())?;
        Ok(lab)
    }

    /// From `a` to `b`. `offered`: bits of frames a second; TCP finds out for itself.
    fn flow(&self, protocol: Protocol, port: u16, offered: f64) -> Result<Flow> {
        let Rooms { a, b, .. } = &self.rooms;
        match protocol {
            Protocol::Tcp => Flow::tcp(a, b, B, port),
            Protocol::Udp => Flow::udp(a, b, B, port, offered / protocol.frame_bits()),
        }
    }

    /// Gives quality of service to the port that is limited.
    fn set(&self, side: Side, options: &str) -> Result<()> {
        self.switch.vsw.ctl(&format!("set-port br0 {} {options}", side.port(self.kind))).map(drop)
    }
}

/// How far a value is off, in percent.
fn off(value: f64, wanted: f64) -> f64 {
    (value / wanted - 1.0).abs() * 100.0
}

/// A rate as one types it.
fn typed(bits_per_second: f64) -> String {
    format!("{}k", (bits_per_second / 1e3).round())
}
