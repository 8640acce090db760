//! Two stations that talk IP with each other, over two taps of ours or two veths of the kernel's bridge.

use super::compare::{Better, Metric, Peer, compare};
use super::lab::{BRIDGE, Netns};
use super::process::finish;
use super::traffic;
use super::vsw::Vsw;
use crate::Effort;
use crate::report::Row;
use anyhow::Result;

const SERVER: &str = "10.77.0.2";

/// Two stations and the room between them.
struct Rooms {
    a: Netns,
    b: Netns,
    switch: Netns,
}

impl Rooms {
    fn new() -> Result<Self> {
        Ok(Self { a: Netns::new("a")?, b: Netns::new("b")?, switch: Netns::new("sw")? })
    }

    fn stations(&self) -> [(&Netns, &'static str); 2] {
        [(&self.a, "10.77.0.1/24"), (&self.b, "10.77.0.2/24")]
    }

    /// Over a switch of ours with what is usual.
    fn over_taps(&self) -> Result<Vsw> {
        let switch = Vsw::start(&self.switch, None)?;
        for (i, (ns, address)) in self.stations().into_iter().enumerate() {
            switch.ctl(&format!("add-port br0 t{i} --type tap --netns {}", ns.name()))?;
            ns.ip(&format!("addr add {address} dev t{i}"))?;
            ns.ip(&format!("link set t{i} up"))?;
        }
        Ok(switch)
    }

    fn over_bridge(&self) -> Result<()> {
        for (i, (ns, address)) in self.stations().into_iter().enumerate() {
            ns.veth("e0", &self.switch, &format!("s{i}"))?;
            ns.ip(&format!("addr add {address} dev e0"))?;
        }
        self.switch.bridge(&["s0", "s1"])
    }
}

pub(crate) fn tcp_tap(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric { row: "tcp-tap", unit: "Gbit/s", better: Better::More },
        Metric { row: "tcp-tap, CPU time of the machine", unit: "s/GB", better: Better::Less },
    ];
    let [rate, cpu] = both(effort, metrics, &|rooms| traffic::tcp(&rooms.a, &rooms.b, SERVER, effort))?;
    Ok(vec![rate.goal_ratio(0.6), cpu])
}

/// The same switch, and taps whose stations use no offload: what a tap without `IFF_VNET_HDR` gives.
pub(crate) fn tcp_offload(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [Metric { row: "tcp-tap with offloads", unit: "Gbit/s", better: Better::More }];
    let round = |offloads: bool| -> Result<[f64; 1]> {
        let rooms = Rooms::new()?;
        let _switch = rooms.over_taps()?;
        if !offloads {
            for (i, (ns, _)) in rooms.stations().into_iter().enumerate() {
                let off = ["tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off"];
                finish(ns.command("ethtool").arg("-K").arg(format!("t{i}")).args(off))?;
            }
        }
        Ok([traffic::tcp(&rooms.a, &rooms.b, SERVER, effort)?[0]])
    };
    let without = || round(false);
    let peer = Peer { name: "without offloads", round: Some(&without) };
    Ok(compare(effort, metrics, || round(true), &peer)?.into())
}

pub(crate) fn ping_tap(effort: Effort) -> Result<Vec<Row>> {
    let metrics = [
        Metric { row: "ping-tap, p50", unit: "us", better: Better::Less },
        Metric { row: "ping-tap, p99", unit: "us", better: Better::Less },
    ];
    Ok(both(effort, metrics, &|rooms| traffic::ping(&rooms.a, SERVER, effort))?.into())
}

fn both<const N: usize>(
    effort: Effort,
    metrics: [Metric; N],
    measure: &dyn Fn(&Rooms) -> Result<[f64; N]>,
) -> Result<[Row; N]> {
    let ours = || {
        let rooms = Rooms::new()?;
        let _switch = rooms.over_taps()?;
        measure(&rooms)
    };
    let theirs = || {
        let rooms = Rooms::new()?;
        rooms.over_bridge()?;
        measure(&rooms)
    };
    compare(effort, metrics, ours, &Peer { name: BRIDGE, round: Some(&theirs) })
}
