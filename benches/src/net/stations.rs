//! Two stations that talk IP, each in a room of its own, and the room of what switches between them.

use super::lab::Netns;
use super::vsw::Vsw;
use anyhow::Result;

/// The address of station `b`.
pub(crate) const SERVER: &str = "10.77.0.2";

/// A kind of port of ours that a station is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    Tap,
    Packet,
    AfXdp,
}

impl PortKind {
    pub(crate) const ALL: [Self; 3] = [Self::Tap, Self::Packet, Self::AfXdp];

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Packet => "packet",
            Self::AfXdp => "afxdp",
        }
    }

    /// Names of the ports that `a` and `b` are behind.
    pub(crate) fn ports(self) -> [&'static str; 2] {
        match self {
            Self::Tap => ["ta", "tb"],
            Self::Packet | Self::AfXdp => ["s0", "s1"],
        }
    }
}

/// Two stations, both with an interface `e0`, and the room between them.
pub(crate) struct Rooms {
    pub(crate) a: Netns,
    pub(crate) b: Netns,
    pub(crate) switch: Netns,
}

impl Rooms {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { a: Netns::new("a")?, b: Netns::new("b")?, switch: Netns::new("sw")? })
    }

    pub(crate) fn stations(&self) -> [(&Netns, &'static str); 2] {
        [(&self.a, "10.77.0.1/24"), (&self.b, "10.77.0.2/24")]
    }

    /// A switch of ours with what is usual, both stations behind ports of this kind.
    pub(crate) fn ours(&self, kind: PortKind) -> Result<Vsw> {
        if kind != PortKind::Tap {
            self.veths()?;
        }
        let switch = Vsw::start(&self.switch, None)?;
        for ((ns, address), port) in self.stations().into_iter().zip(kind.ports()) {
            let add = format!("add-port br0 {port} --type {}", kind.name());
            if kind != PortKind::Tap {
                switch.ctl(&add)?;
                continue;
            }
            switch.ctl(&format!("{add} --netns {}", ns.name()))?;
            ns.ip(&format!("link set {port} name e0"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
            ns.ip("link set e0 up")?;
        }
        Ok(switch)
    }

    /// Veths whose switch ends are `s0` and `s1`.
    pub(crate) fn veths(&self) -> Result<()> {
        for (i, (ns, address)) in self.stations().into_iter().enumerate() {
            ns.veth("e0", &self.switch, &format!("s{i}"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
        }
        Ok(())
    }

    /// The kernel's bridge between them.
    pub(crate) fn bridge(&self) -> Result<()> {
        self.veths()?;
        self.switch.bridge(&["s0", "s1"])
    }
}
