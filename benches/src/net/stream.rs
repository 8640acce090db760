//! Stations that talk IP with each other, through a switch of ours or a peer.

use super::compare::{Better, Metric, Peer, compare};
use super::lab::{BRIDGE, Netns};
use super::ovs::{Kind, Ovs};
use super::process::finish;
use super::traffic::{End, Path};
use super::vsw::Vsw;
use super::{Cores, talk};
use crate::Effort;
use crate::report::Row;
use anyhow::Result;
use std::any::Any;
use std::os::fd::OwnedFd;
use vsw_port_os::generate::open_to_redirects;

pub(super) const SERVER: &str = "10.77.0.2";
const OVS: &str = Kind::Tso.name();

/// Two stations and the room between them.
pub(super) struct Rooms {
    pub(super) a: Netns,
    pub(super) b: Netns,
    pub(super) switch: Netns,
}

/// What switches: kept as long as it is measured.
pub(super) type Switch = Box<dyn Any>;

impl Rooms {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { a: Netns::new("a")?, b: Netns::new("b")?, switch: Netns::new("sw")? })
    }

    fn stations(&self) -> [(&Netns, &'static str); 2] {
        [(&self.a, "10.77.0.1/24"), (&self.b, "10.77.0.2/24")]
    }

    /// Over a switch of ours with what is usual.
    fn over_taps(&self) -> Result<Switch> {
        Ok(Box::new(self.taps()?))
    }

    pub(super) fn taps(&self) -> Result<Vsw> {
        let switch = Vsw::start(&self.switch, None)?;
        for (ns, address) in self.stations() {
            let name = ns.name();
            let port = &name[name.len() - 1..];
            switch.ctl(&format!("add-port br0 t{port} --type tap --netns {name}"))?;
            ns.ip(&format!("link set t{port} name e0"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
            ns.ip("link set e0 up")?;
        }
        Ok(switch)
    }

    /// Veths whose switch ends are `s0` and `s1`.
    fn veths(&self) -> Result<()> {
        for (i, (ns, address)) in self.stations().into_iter().enumerate() {
            ns.veth("e0", &self.switch, &format!("s{i}"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
        }
        Ok(())
    }

    fn over_packet(&self) -> Result<Switch> {
        Ok(Box::new(self.ports("packet")?))
    }

    /// Over a switch of ours with ports of this kind on veths.
    pub(super) fn ports(&self, kind: &str) -> Result<Vsw> {
        self.veths()?;
        let switch = Vsw::start(&self.switch, None)?;
        for port in ["s0", "s1"] {
            switch.ctl(&format!("add-port br0 {port} --type {kind}"))?;
        }
        Ok(switch)
    }

    pub(super) fn over_bridge(&self) -> Result<Switch> {
        self.veths()?;
        self.switch.bridge(&["s0", "s1"])?;
        Ok(Box::new(()))
    }

    fn over_ovs(&self) -> Result<Switch> {
        self.veths()?;
        let switch = Ovs::start(&self.switch, Kind::Tso, Cores::choose()?.switch)?;
        switch.add("s0")?;
        switch.add("s1")?;
        Ok(Box::new(switch))
    }

    /// Has the switch learn a thousand stations that say nothing more.
    fn idle_stations(&self) -> Result<()> {
        // A veth takes generated frames only as long as its other end looks at them.
        let open = |ifname: &str| -> Option<OwnedFd> {
            let index = self.switch.ifindex(ifname).ok()?;
            self.switch.inside(|| open_to_redirects(index)).ok()?.ok()
        };
        let _open = [open("s0"), open("s1")];
        let [from, to] = [&self.a, &self.b].map(|ns| End { ns, ifname: "e0" });
        Path::new(from, to, Cores::choose()?)?.introduce(500)
    }
}

/// A way to connect the two stations.
pub(super) type Connect = fn(&Rooms) -> Result<Switch>;

/// Ours and peers, each in rooms of its own.
fn beside<const N: usize>(
    effort: Effort,
    metrics: [Metric; N],
    measure: &dyn Fn(&Rooms) -> Result<[f64; N]>,
    ours: Connect,
    peers: &[(&'static str, Connect)],
) -> Result<Vec<Row>> {
    let round = |connect: Connect| -> Result<[f64; N]> {
        let rooms = Rooms::new()?;
        let _switch = connect(&rooms)?;
        measure(&rooms)
    };
    let rounds: Vec<_> = peers.iter().map(|(_, connect)| move || round(*connect)).collect();
    let peers: Vec<Peer<'_, N>> = peers
        .iter()
        .zip(&rounds)
        .map(|((name, _), round)| {
            let installed = *name != OVS || Kind::Tso.is_installed();
            Peer { name, round: installed.then_some(round as &dyn Fn() -> Result<[f64; N]>) }
        })
        .collect();
    compare(effort, metrics, || round(ours), &peers)
}

pub(crate) fn tcp_tap(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("tcp-tap", "Gbit/s", Better::More).goals(&[(BRIDGE, 0.85), (OVS, 1.5)]),
        Metric::new("tcp-tap, CPU", "CPU s/GB", Better::Less),
    ];
    let measure = |rooms: &Rooms| talk::tcp(&rooms.a, &rooms.b, SERVER, 1, effort);
    let peers: [(_, Connect); 2] = [(BRIDGE, Rooms::over_bridge), (OVS, Rooms::over_ovs)];
    beside(effort, metrics, &measure, Rooms::over_taps, &peers)
}

pub(crate) fn tcp_packet(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("tcp-packet", "Gbit/s", Better::More).goals(&[(OVS, 1.3)]),
        Metric::new("tcp-packet, CPU", "CPU s/GB", Better::Less),
    ];
    let measure = |rooms: &Rooms| talk::tcp(&rooms.a, &rooms.b, SERVER, 1, effort);
    let peers: [(_, Connect); 2] = [(BRIDGE, Rooms::over_bridge), (OVS, Rooms::over_ovs)];
    beside(effort, metrics, &measure, Rooms::over_packet, &peers)
}

/// Eight streams, and a thousand stations more in the table.
pub(crate) fn tcp_8(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("tcp-8, 1,000 idle stations", "Gbit/s", Better::More).goals(&[(BRIDGE, 0.8)]),
        Metric::new("tcp-8, CPU", "CPU s/GB", Better::Less),
    ];
    let measure = |rooms: &Rooms| {
        rooms.idle_stations()?;
        talk::tcp(&rooms.a, &rooms.b, SERVER, 8, effort)
    };
    beside(effort, metrics, &measure, Rooms::over_taps, &[(BRIDGE, Rooms::over_bridge)])
}

/// The same switch, and taps whose stations use no offload: what a tap without `IFF_VNET_HDR` gives.
pub(crate) fn tcp_offload(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [Metric::new("tcp-tap with offloads", "Gbit/s", Better::More)];
    let measure = |rooms: &Rooms| Ok([talk::tcp(&rooms.a, &rooms.b, SERVER, 1, effort)?[0]]);
    let without: Connect = |rooms| {
        let switch = rooms.over_taps()?;
        for (ns, _) in rooms.stations() {
            let off = ["tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off"];
            finish(ns.command("ethtool").arg("-K").arg("e0").args(off))?;
        }
        Ok(switch)
    };
    beside(effort, metrics, &measure, Rooms::over_taps, &[("without offloads", without)])
}

pub(crate) fn ping_tap(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric::new("ping-tap, p50", "us", Better::Less).goals(&[(BRIDGE, 0.5)]),
        Metric::new("ping-tap, p99", "us", Better::Less),
    ];
    let measure = |rooms: &Rooms| talk::ping(&rooms.a, SERVER, effort);
    let peers: [(_, Connect); 2] = [(BRIDGE, Rooms::over_bridge), (OVS, Rooms::over_ovs)];
    beside(effort, metrics, &measure, Rooms::over_taps, &peers)
}
