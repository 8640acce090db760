//! 64-byte frames from one namespace through a switch into another, one flow, one core for the switch.
//!
//! ```text
//!   namespace gen          namespace sw            namespace sink
//!   generator ─▶ g0 ═veth═ s0 ─▶ switch ─▶ s1 ═veth═ k0 ─▶ counting XDP program
//! ```
//! With `tap` ports `g0` and `k0` are the taps themselves.

use super::compare::{Better, Metric, Peer, compare};
use super::lab::Netns;
use super::ovs::{self, Ovs};
use super::traffic::{End, saturate};
use super::vsw::Vsw;
use super::{Cores, lab};
use crate::Effort;
use crate::report::Row;
use anyhow::{Context, Result};
use vsw_port_os::generate::open_to_redirects;

/// The three rooms.
struct Rooms {
    generator: Netns,
    switch: Netns,
    sink: Netns,
    cores: Cores,
}

impl Rooms {
    fn new() -> Result<Self> {
        let (generator, switch, sink) = (Netns::new("gen")?, Netns::new("sw")?, Netns::new("sink")?);
        Ok(Self { generator, switch, sink, cores: Cores::choose()? })
    }

    fn with_veth() -> Result<Self> {
        let rooms = Self::new()?;
        rooms.generator.veth("g0", &rooms.switch, "s0")?;
        rooms.sink.veth("k0", &rooms.switch, "s1")?;
        Ok(rooms)
    }

    /// Has the switch's ends of the veths take generated frames, where no AF_XDP socket does.
    fn open_veth(&self) -> Result<Vec<std::os::fd::OwnedFd>> {
        let open = |ifname| -> Result<_> {
            let index = self.switch.ifindex(ifname)?;
            self.switch.inside(|| open_to_redirects(index))?.with_context(|| format!("XDP on {ifname}"))
        };
        ["s0", "s1"].into_iter().map(open).collect()
    }

    /// Rate, best second, loss in percent.
    fn measure(&self, effort: Effort) -> Result<[f64; 3]> {
        let from = End { ns: &self.generator, ifname: "g0", station: 1 };
        let to = End { ns: &self.sink, ifname: "k0", station: 2 };
        let rate = saturate(from, to, self.cores, effort)?;
        Ok([rate.median, rate.best, rate.loss * 100.0])
    }

    fn vsw(&self) -> Result<Vsw> {
        Vsw::start(&self.switch, Some(self.cores.switch))
    }
}

/// The rate with every offer refused that does not fit: RFC 8204's saturated throughput, and its loss.
const fn metrics(rows: [&'static str; 3]) -> [Metric; 3] {
    let [median, best, loss] = rows;
    [
        Metric { row: median, unit: "Mpps", better: Better::More },
        Metric { row: best, unit: "Mpps", better: Better::More },
        Metric { row: loss, unit: "% lost", better: Better::Neither },
    ]
}

pub(crate) fn afxdp_64(effort: Effort) -> Result<Vec<Row>> {
    let ours = || {
        let rooms = Rooms::with_veth()?;
        let switch = rooms.vsw()?;
        switch.ctl("add-port br0 s0 --type afxdp")?;
        switch.ctl("add-port br0 s1 --type afxdp")?;
        rooms.measure(effort)
    };
    let theirs = || {
        let rooms = Rooms::with_veth()?;
        let switch = Ovs::start(&rooms.switch, rooms.cores.switch)?;
        switch.add_afxdp("s0")?;
        switch.add_afxdp("s1")?;
        rooms.measure(effort)
    };
    let peer = Peer { name: ovs::NAME, round: if Ovs::is_installed() { Some(&theirs) } else { None } };
    let rows = metrics(["afxdp-64", "afxdp-64, best second", "afxdp-64, loss"]);
    let [rate, best, loss] = compare(effort, rows, ours, &peer)?;
    Ok(vec![rate.goal_ratio(0.8), best, loss])
}

pub(crate) fn packet_64(effort: Effort) -> Result<Vec<Row>> {
    let ours = || {
        let rooms = Rooms::with_veth()?;
        let _open = rooms.open_veth()?;
        let switch = rooms.vsw()?;
        switch.ctl("add-port br0 s0 --type packet")?;
        switch.ctl("add-port br0 s1 --type packet")?;
        rooms.measure(effort)
    };
    let rows = metrics(["packet-64", "packet-64, best second", "packet-64, loss"]);
    beside_bridge(effort, rows, ours)
}

pub(crate) fn tap_64(effort: Effort) -> Result<Vec<Row>> {
    let ours = || {
        let rooms = Rooms::new()?;
        let switch = rooms.vsw()?;
        for (ifname, ns) in [("g0", &rooms.generator), ("k0", &rooms.sink)] {
            switch.ctl(&format!("add-port br0 {ifname} --type tap --netns {}", ns.name()))?;
            ns.ip(&format!("link set {ifname} up"))?;
        }
        rooms.measure(effort)
    };
    let rows = metrics(["tap-64", "tap-64, best second", "tap-64, loss"]);
    beside_bridge(effort, rows, ours)
}

/// Beside the kernel's bridge over veth, which is made to work on the switch's core.
fn beside_bridge(effort: Effort, rows: [Metric; 3], ours: impl Fn() -> Result<[f64; 3]>) -> Result<Vec<Row>> {
    let theirs = || {
        let rooms = Rooms::with_veth()?;
        let _open = rooms.open_veth()?;
        rooms.switch.bridge(&["s0", "s1"])?;
        let mask = format!("{:x}", 1_u64 << rooms.cores.switch);
        rooms.switch.write("/sys/class/net/s0/queues/rx-0/rps_cpus", &mask)?;
        rooms.measure(effort)
    };
    let peer = Peer { name: lab::BRIDGE, round: Some(&theirs) };
    Ok(compare(effort, rows, ours, &peer)?.into())
}
