//! Small frames from one namespace through a switch into another, one core for the switch.
//!
//! ```text
//!   namespace gen          namespace sw            namespace sink
//!   generator ─▶ g0 ═veth═ s0 ─▶ switch ─▶ s1 ═veth═ k0 ─▶ counting XDP program
//! ```
//! With `tap` ports `g0` and `k0` are the taps themselves; Open vSwitch's stay in its own namespace, since it
//! loses those that move.

use super::Cores;
use super::compare::{Better, Metric, Peer, compare};
use super::lab::{BRIDGE, Netns};
use super::ovs::{Kind, Ovs};
use super::traffic::{End, Path};
use super::vsw::Vsw;
use crate::Effort;
use crate::report::Row;
use anyhow::{Context, Result};
use vsw_port_os::generate::{IMIX, Stream, open_to_redirects};

/// The three rooms.
struct Rooms {
    generator: Netns,
    switch: Netns,
    sink: Netns,
    cores: Cores,
}

/// What a round measures, in the order of [`metrics`].
const COUNT: usize = 10;
type Values = [f64; COUNT];

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

    fn measure(&self, effort: Effort) -> Result<Values> {
        let (from, to) = (End { ns: &self.generator, ifname: "g0" }, End { ns: &self.sink, ifname: "k0" });
        measure(&Path::new(from, to, self.cores)?, effort)
    }

    fn vsw(&self) -> Result<Vsw> {
        Vsw::start(&self.switch, Some(self.cores.switch))
    }
}

fn measure(path: &Path<'_>, effort: Effort) -> Result<Values> {
    path.introduce(1)?;
    let plain = Stream::default();
    let small = path.saturate(&plain, effort.seconds)?;
    let throughput = path.throughput(small.rate * 1.1)?;
    let [p50, p99] = path.latency(throughput / 2.0, effort)?;
    let imix = path.saturate(&Stream { sizes: IMIX.to_vec(), ..plain.clone() }, 1)?;
    let large = path.saturate(&Stream { sizes: vec![1514], ..plain.clone() }, 1)?;
    let mut many = [0.0; 2];
    for (rate, pairs) in many.iter_mut().zip([500, 50_000]) {
        path.introduce(pairs)?;
        *rate = path.saturate(&Stream { pairs, ..plain.clone() }, effort.seconds)?.rate;
    }
    let [thousand, hundred_thousand] = many;
    let loss = small.loss * 100.0;
    Ok([small.rate, loss, small.cpu, throughput, p50, p99, imix.rate, large.rate, thousand, hundred_thousand])
}

/// Saturated: RFC 8204's throughput with every frame refused that does not fit, and its loss. Without loss: RFC
/// 2544's, but for one frame in a thousand.
#[rustfmt::skip]
const fn metrics(rows: [&'static str; COUNT], goals: &'static [(&'static str, f64)]) -> [Metric; COUNT] {
    use Better::{Less, More, Neither};
    let [rate, loss, cpu, throughput, p50, p99, imix, large, thousand, many] = rows;
    [
        Metric::new(rate, "Mpps", More).goals(goals),
        Metric::new(loss, "% lost", Neither),
        Metric::new(cpu, "CPU s/M frames", Less),
        Metric::new(throughput, "Mpps", More),
        Metric::new(p50, "us", Less),
        Metric::new(p99, "us", Less),
        Metric::new(imix, "Mpps", More),
        Metric::new(large, "Mpps", More),
        Metric::new(thousand, "Mpps", More),
        Metric::new(many, "Mpps", More),
    ]
}

macro_rules! rows {
    ($name:literal) => {
        [
            $name,
            concat!($name, ", loss"),
            concat!($name, ", CPU"),
            concat!($name, ", at most 0.1 % lost"),
            concat!($name, ", half of that, p50"),
            concat!($name, ", half of that, p99"),
            concat!($name, ", IMIX"),
            concat!($name, ", 1518 bytes"),
            concat!($name, ", 1,000 stations"),
            concat!($name, ", 100,000 stations"),
        ]
    };
}

pub(crate) fn afxdp_64(effort: Effort) -> Result<Vec<Row>> {
    const NAME: &str = Kind::AfXdp.name();
    let theirs = || over_ovs(Kind::AfXdp, effort);
    let peers = [Peer { name: NAME, round: if Kind::AfXdp.is_installed() { Some(&theirs) } else { None } }];
    compare(effort, metrics(rows!("afxdp-64"), &[(NAME, 1.25)]), || over_veth("afxdp", effort), &peers)
}

/// The same frames all through the worker, as where the kernel's shortcut does not reach.
pub(crate) fn afxdp_worker(effort: Effort) -> Result<Vec<Row>> {
    const NAME: &str = Kind::AfXdp.name();
    let rate = |rooms: &Rooms| -> Result<[f64; 1]> {
        let (from, to) = (End { ns: &rooms.generator, ifname: "g0" }, End { ns: &rooms.sink, ifname: "k0" });
        let path = Path::new(from, to, rooms.cores)?;
        path.introduce(1)?;
        Ok([path.saturate(&Stream::default(), effort.seconds)?.rate])
    };
    let ours = || {
        let rooms = Rooms::with_veth()?;
        let switch = Vsw::start_with(&rooms.switch, Some(rooms.cores.switch), &["--shortcut", "off"])?;
        switch.ctl("add-port br0 s0 --type afxdp")?;
        switch.ctl("add-port br0 s1 --type afxdp")?;
        rate(&rooms)
    };
    let theirs = || {
        let rooms = Rooms::with_veth()?;
        let switch = Ovs::start(&rooms.switch, Kind::AfXdp, rooms.cores.switch)?;
        switch.add("s0")?;
        switch.add("s1")?;
        rate(&rooms)
    };
    let installed = Kind::AfXdp.is_installed();
    let peer = Peer { name: NAME, round: installed.then_some(&theirs as &dyn Fn() -> Result<[f64; 1]>) };
    let metrics = [Metric::new("afxdp-64, all through the worker", "Mpps", Better::More)];
    compare(effort, metrics, ours, &[peer])
}

pub(crate) fn packet_64(effort: Effort) -> Result<Vec<Row>> {
    const NAME: &str = Kind::Packet.name();
    let theirs = || over_ovs(Kind::Packet, effort);
    let bridge = || over_bridge(effort);
    let peers = [
        Peer { name: NAME, round: if Kind::Packet.is_installed() { Some(&theirs) } else { None } },
        Peer { name: BRIDGE, round: Some(&bridge) },
    ];
    compare(effort, metrics(rows!("packet-64"), &[(NAME, 1.5)]), || over_veth("packet", effort), &peers)
}

pub(crate) fn tap_64(effort: Effort) -> Result<Vec<Row>> {
    const NAME: &str = Kind::Tap.name();
    let ours = || {
        let rooms = Rooms::new()?;
        let switch = rooms.vsw()?;
        for (ifname, ns) in [("g0", &rooms.generator), ("k0", &rooms.sink)] {
            switch.ctl(&format!("add-port br0 {ifname} --type tap --netns {}", ns.name()))?;
            ns.ip(&format!("link set {ifname} up"))?;
        }
        rooms.measure(effort)
    };
    let theirs = || {
        let rooms = Rooms::new()?;
        let switch = Ovs::start(&rooms.switch, Kind::Tap, rooms.cores.switch)?;
        for ifname in ["g0", "k0"] {
            switch.add(ifname)?;
            rooms.switch.ip(&format!("link set {ifname} up"))?;
        }
        let [from, to] = ["g0", "k0"].map(|ifname| End { ns: &rooms.switch, ifname });
        measure(&Path::new(from, to, rooms.cores)?, effort)
    };
    let bridge = || over_bridge(effort);
    let peers = [
        Peer { name: NAME, round: if Kind::Tap.is_installed() { Some(&theirs) } else { None } },
        Peer { name: BRIDGE, round: Some(&bridge) },
    ];
    compare(effort, metrics(rows!("tap-64"), &[(NAME, 1.5)]), ours, &peers)
}

fn over_veth(port: &str, effort: Effort) -> Result<Values> {
    let rooms = Rooms::with_veth()?;
    let _open = if port == "afxdp" { Vec::new() } else { rooms.open_veth()? };
    let switch = rooms.vsw()?;
    switch.ctl(&format!("add-port br0 s0 --type {port}"))?;
    switch.ctl(&format!("add-port br0 s1 --type {port}"))?;
    rooms.measure(effort)
}

fn over_ovs(kind: Kind, effort: Effort) -> Result<Values> {
    let rooms = Rooms::with_veth()?;
    let _open = if kind == Kind::AfXdp { Vec::new() } else { rooms.open_veth()? };
    let switch = Ovs::start(&rooms.switch, kind, rooms.cores.switch)?;
    switch.add("s0")?;
    switch.add("s1")?;
    rooms.measure(effort)
}

/// The kernel's bridge, which is made to work on the switch's core.
fn over_bridge(effort: Effort) -> Result<Values> {
    let rooms = Rooms::with_veth()?;
    let _open = rooms.open_veth()?;
    rooms.switch.bridge(&["s0", "s1"])?;
    let mask = format!("{:x}", 1_u64 << rooms.cores.switch);
    for ifname in ["s0", "s1"] {
        rooms.switch.write(&format!("/sys/class/net/{ifname}/queues/rx-0/rps_cpus"), &mask)?;
    }
    rooms.measure(effort)
}
