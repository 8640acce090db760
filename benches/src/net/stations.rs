//! Two stations that talk IP, each in a room of its own, and the room of what switches between them.
//!
//! Complications: a station is an interface of the kernel, and the other side of a `vhost-user` port is none. There
//! a testpmd is the wire in between: it passes frames on from a veth to a virtio-user NIC and back.
//!
//! ```text
//!   a: e0 ─veth─ s0 ─ testpmd ═memory═ v0 ─ switch ─ v1 ═memory═ testpmd ─ s1 ─veth─ e0 :b
//! ```
//! It takes no offload, so `e0` has none. One thread of it polls, and keeps the core that makes traffic busy: on a
//! machine of two cores stations and switch share the other one, and what testpmd leaves of this one. A path like
//! that does some 1.5 Gbit/s of TCP, and what else the machine does shows first here.
//!
//! Thread-safety: none needed; guards of what was made.

use super::lab::{Folder, Netns};
use super::process::finish;
use super::vsw::Vsw;
use super::{Cores, needs_testpmd};
use anyhow::Result;
use vsw_testpmd::{Config, Nic, Testpmd};

/// The address of station `b`.
pub(crate) const SERVER: &str = "10.77.0.2";

/// A kind of port of ours that a station is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    Tap,
    Packet,
    AfXdp,
    VhostUser,
}

impl PortKind {
    /// Every kind; an error if this machine cannot have one, before anything is measured.
    pub(crate) fn all() -> Result<[Self; 4]> {
        needs_testpmd()?;
        Ok([Self::Tap, Self::Packet, Self::AfXdp, Self::VhostUser])
    }

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Packet => "packet",
            Self::AfXdp => "afxdp",
            Self::VhostUser => "vhost-user",
        }
    }

    /// Names of the ports that `a` and `b` are behind.
    pub(crate) fn ports(self) -> [&'static str; 2] {
        match self {
            Self::Tap => ["ta", "tb"],
            Self::Packet | Self::AfXdp => ["s0", "s1"],
            Self::VhostUser => ["v0", "v1"],
        }
    }
}

/// A switch of ours, and what connects stations with it.
pub(crate) struct Ours {
    pub(crate) vsw: Vsw,
    _wire: Option<(Testpmd, Folder)>,
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
    pub(crate) fn ours(&self, kind: PortKind) -> Result<Ours> {
        if kind == PortKind::VhostUser {
            return self.over_vhost(kind);
        }
        if kind != PortKind::Tap {
            self.veths()?;
        }
        let vsw = Vsw::start(&self.switch, None)?;
        for ((ns, address), port) in self.stations().into_iter().zip(kind.ports()) {
            let add = format!("add-port br0 {port} --type {}", kind.name());
            if kind != PortKind::Tap {
                vsw.ctl(&add)?;
                continue;
            }
            vsw.ctl(&format!("{add} --netns {}", ns.name()))?;
            ns.ip(&format!("link set {port} name e0"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
            ns.ip("link set e0 up")?;
        }
        Ok(Ours { vsw, _wire: None })
    }

    /// The same with testpmd between veths and ports.
    fn over_vhost(&self, kind: PortKind) -> Result<Ours> {
        self.veths()?;
        for (ns, _) in self.stations() {
            finish(ns.command("ethtool").args(["-K", "e0", "tx", "off", "tso", "off"]))?;
        }
        let dir = Folder::new("wire")?;
        let nic = |(i, port): (u8, &str)| {
            let socket = dir.path().join(format!("{port}.sock"));
            Nic { descriptors: 1024, ..Nic::new(socket, i) }
        };
        let config = Config {
            cpus: vec![Cores::choose()?.traffic],
            interfaces: ["s0", "s1"].map(String::from).into(),
            ..Config::new(dir.path(), (0..).zip(kind.ports()).map(nic).collect())
        };
        let vsw = Vsw::start(&self.switch, None)?;
        for (port, nic) in kind.ports().into_iter().zip(&config.nics) {
            vsw.add_vhost(port, &nic.socket)?;
        }
        let mut testpmd = config.spawn_by(self.switch.command("env"))?;
        testpmd.ready()?;
        testpmd.join(&[[0, 2], [1, 3]])?;
        Ok(Ours { vsw, _wire: Some((testpmd, dir)) })
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
