//! A switch as slow and as plain as it can be, from the rules alone: maps, vectors and whole copies.
//!
//! Knows nothing of the real one's types. A frame inside is its VLAN, its priority and what stands behind
//! the VLAN tag; so tagging and untagging are one line each, and every port shows what it would show.

use std::collections::{BTreeMap, HashMap};

/// A MAC address by its last byte, as in `vsw_tests::frames`.
type Mac = [u8; 6];

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mode {
    Access(u16),
    /// `None`: every VLAN.
    Trunk {
        list: Option<Vec<u16>>,
        native: Option<u16>,
        native_tagged: bool,
    },
    Qinq {
        service: u16,
        customers: Option<Vec<u16>>,
    },
}

impl Mode {
    pub(crate) fn carries(&self, vlan: u16) -> bool {
        match self {
            Self::Access(v) | Self::Qinq { service: v, .. } => *v == vlan,
            Self::Trunk { list, native, .. } => {
                *native == Some(vlan) || list.as_ref().is_none_or(|l| l.contains(&vlan))
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) bridge: usize,
    pub(crate) mode: Mode,
    pub(crate) isolated: bool,
    pub(crate) peer: Option<String>,
}

/// What one port counted. Drops by direction (`rx`, `tx`) and reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) rx: u64,
    pub(crate) tx: u64,
    pub(crate) moved: u64,
    pub(crate) drops: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Clone, Debug)]
struct Station {
    port: String,
    heard: u64,
    is_static: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Naive {
    /// Seconds.
    now: u64,
    pub(crate) ports: BTreeMap<String, Port>,
    pub(crate) counts: BTreeMap<String, Counts>,
    stations: HashMap<(usize, u16, Mac), Station>,
    /// Seconds, by bridge.
    ageing: Vec<u64>,
}

/// A frame inside the switch.
#[derive(Clone)]
struct Inside {
    dst: Mac,
    src: Mac,
    vlan: u16,
    tpid: u16,
    /// PCP and DEI, where they are in a TCI.
    priority: u16,
    /// From the type, or the next tag, on.
    rest: Vec<u8>,
    /// Bytes behind the first type that is none of the first two tags'.
    payload: usize,
}

/// What came out: (port, bytes).
pub(crate) type Out = Vec<(String, Vec<u8>)>;

const ETHERNET_PAYLOAD: usize = 1500;

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn is_tpid(kind: u16) -> bool {
    kind == 0x8100 || kind == 0x88a8
}

impl Naive {
    pub(crate) fn new(ageing: Vec<u64>) -> Self {
        Self { ageing, ..Default::default() }
    }

    /// Another configuration: ports, and static stations as (bridge, VLAN, address) -> port.
    pub(crate) fn configure(
        &mut self,
        ports: BTreeMap<String, Port>,
        fixed: &BTreeMap<(usize, u16, Mac), String>,
    ) {
        self.ports = ports;
        self.counts.retain(|name, _| self.ports.contains_key(name));
        for name in self.ports.keys() {
            self.counts.entry(name.clone()).or_default();
        }
        let ports = &self.ports;
        self.stations.retain(|key, station| {
            let there = ports.get(&station.port).is_some_and(|p| p.bridge == key.0 && p.mode.carries(key.1));
            there && (!station.is_static || fixed.get(key) == Some(&station.port))
        });
        for (key, port) in fixed {
            let station = Station { port: port.clone(), heard: 0, is_static: true };
            self.stations.insert(*key, station);
        }
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
        let (now, ageing) = (self.now, &self.ageing);
        self.stations.retain(|(bridge, _, _), s| s.is_static || now - s.heard < ageing[*bridge]);
    }

    /// A frame comes in.
    pub(crate) fn receive(&mut self, port: &str, bytes: &[u8], out: &mut Out) {
        self.count(port).rx += 1;
        if let Err(reason) = self.switch(port, bytes, out) {
            self.drop(port, "rx", reason);
        }
    }

    fn count(&mut self, port: &str) -> &mut Counts {
        self.counts.get_mut(port).expect("a port")
    }

    fn drop(&mut self, port: &str, direction: &'static str, reason: &'static str) {
        *self.count(port).drops.entry((direction, reason)).or_default() += 1;
    }

    fn switch(&mut self, name: &str, bytes: &[u8], out: &mut Out) -> Result<(), &'static str> {
        let port = self.ports[name].clone();
        let frame = classify(&port.mode, bytes)?;
        self.learn(name, port.bridge, &frame);
        let known = self.stations.get(&(port.bridge, frame.vlan, frame.dst));
        if let (Some(station), false) = (known, frame.dst[0] & 1 == 1) {
            let to = station.port.clone();
            if to == name {
                return Err("hairpin");
            }
            if port.isolated && self.ports[&to].isolated {
                return Err("isolated");
            }
            self.transmit(&to, &frame, out);
            return Ok(());
        }
        let everyone: Vec<String> = self
            .ports
            .iter()
            .filter(|(n, p)| *n != name && p.bridge == port.bridge && p.mode.carries(frame.vlan))
            .filter(|(_, p)| !(p.isolated && port.isolated))
            .map(|(n, _)| n.clone())
            .collect();
        if everyone.is_empty() {
            return Err("no-destination");
        }
        for to in everyone {
            self.transmit(&to, &frame, out);
        }
        Ok(())
    }

    fn learn(&mut self, port: &str, bridge: usize, frame: &Inside) {
        let new = Station { port: port.to_owned(), heard: self.now, is_static: false };
        let key = (bridge, frame.vlan, frame.src);
        match self.stations.get(&key) {
            Some(old) if old.is_static => return,
            Some(old) if old.port != port => self.count(port).moved += 1,
            _ => {}
        }
        self.stations.insert(key, new);
    }

    fn transmit(&mut self, name: &str, frame: &Inside, out: &mut Out) {
        let port = self.ports[name].clone();
        let bytes = match dress(&port.mode, frame) {
            Ok(_) if frame.payload > ETHERNET_PAYLOAD && port.peer.is_none() => Err("too-big"),
            other => other,
        };
        match (bytes, port.peer) {
            (Err(reason), _) => self.drop(name, "tx", reason),
            (Ok(bytes), None) => {
                self.count(name).tx += 1;
                out.push((name.to_owned(), bytes));
            }
            (Ok(bytes), Some(peer)) if self.ports.contains_key(&peer) => {
                self.count(name).tx += 1;
                self.receive(&peer, &bytes, out);
            }
            (Ok(_), Some(_)) => self.drop(name, "tx", "port-gone"),
        }
    }
}

/// The frame as it is inside, if it may come in.
fn classify(mode: &Mode, bytes: &[u8]) -> Result<Inside, &'static str> {
    if bytes.len() < 14 {
        return Err("runt");
    }
    // At most two tags are looked at.
    let mut tags = Vec::new();
    while tags.len() < 2 && is_tpid(word(bytes, 12 + 4 * tags.len())) {
        let at = 12 + 4 * tags.len();
        if bytes.len() < at + 6 {
            return Err("truncated-tag");
        }
        tags.push((word(bytes, at), word(bytes, at + 2)));
    }
    let (dst, src): (Mac, Mac) = (bytes[..6].try_into().unwrap(), bytes[6..12].try_into().unwrap());
    if src[0] & 1 == 1 || src == [0; 6] {
        return Err("group-source");
    }
    if dst[..5] == [0x01, 0x80, 0xc2, 0, 0] && dst[5] < 0x10 {
        return Err("reserved-address");
    }
    let payload = bytes.len() - 14 - 4 * tags.len();
    let outer = tags.first().copied();
    let untagged =
        |vlan| Inside { dst, src, vlan, tpid: 0x8100, priority: 0, rest: bytes[12..].to_vec(), payload };
    let tagged = |vlan, (tpid, tci): (u16, u16)| Inside {
        dst,
        src,
        vlan,
        tpid,
        priority: tci & 0xf000,
        rest: bytes[16..].to_vec(),
        payload,
    };
    // A priority tag counts as none, and keeps its priority; another tag behind it would become the first.
    let native = |vlan| match outer {
        None => Ok(untagged(vlan)),
        Some(_) if tags.len() > 1 => Err("nested-tag"),
        Some(tag) => Ok(tagged(vlan, tag)),
    };
    let vid = outer.map_or(0, |(_, tci)| tci & 0xfff);
    match mode {
        Mode::Access(vlan) if vid == 0 => native(*vlan),
        Mode::Access(_) => Err("tagged-on-access"),
        Mode::Trunk { native: n, .. } if vid == 0 => native(n.ok_or("no-native-vlan")?),
        Mode::Trunk { .. } if vid == 4095 || !mode.carries(vid) => Err("vlan-not-allowed"),
        Mode::Trunk { .. } => Ok(tagged(vid, outer.expect("a tag"))),
        Mode::Qinq { service, customers } => {
            if customers.as_ref().is_some_and(|list| outer.is_none() || !list.contains(&vid)) {
                return Err("cvlan-not-allowed");
            }
            let priority = outer.map_or(0, |(_, tci)| tci & 0xf000);
            Ok(Inside { priority, tpid: 0x88a8, ..untagged(*service) })
        }
    }
}

/// The bytes as the port shows them, if it may.
fn dress(mode: &Mode, f: &Inside) -> Result<Vec<u8>, &'static str> {
    let bare = [&f.dst[..], &f.src[..], &f.rest[..]].concat();
    let tci = f.priority | f.vlan;
    let tagged = [&f.dst[..], &f.src[..], &f.tpid.to_be_bytes(), &tci.to_be_bytes(), &f.rest[..]].concat();
    let next_tag = is_tpid(word(&f.rest, 0)).then(|| word(&f.rest, 2) & 0xfff);
    if !mode.carries(f.vlan) {
        return Err("vlan-not-allowed");
    }
    match mode {
        Mode::Trunk { native, native_tagged, .. } if *native != Some(f.vlan) || *native_tagged => Ok(tagged),
        Mode::Access(_) | Mode::Trunk { .. } if next_tag.is_some() => Err("nested-tag"),
        Mode::Access(_) | Mode::Trunk { .. } => Ok(bare),
        Mode::Qinq { customers: Some(list), .. } if !next_tag.is_some_and(|v| list.contains(&v)) => {
            Err("cvlan-not-allowed")
        }
        Mode::Qinq { .. } => Ok(bare),
    }
}
