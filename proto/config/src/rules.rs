//! Every rule a configuration must obey. Each broken one becomes a [`Violation`]; all are reported.

mod qos;

use crate::{
    Bridge, Config, DEFAULT_AGEING_SECONDS, DEFAULT_MAC_LIMIT, Draft, DraftBridge, DraftPort, DraftStation,
    DraftVlan, MAX_MAC_LIMIT, Netns, Object, Port, PortKind, Violation, VlanMode,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use vsw_types::{Generation, MAX_PORTS, MacAddr, Name, VlanId, VlanSet};

/// Seconds; IEEE 802.1Q-2022, table 8-6 gives 10 to 1,000,000. Shorter ones are for labs.
const AGEING: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// Bytes. 68: RFC 791, 3.2; 65521: what `drivers/net/tun.c` allows, 65535 less the Ethernet header.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_521;
/// Bytes of a Unix socket's path, unix(7): `sun_path` less its end.
const SOCKET_PATH: usize = 107;
const QUEUES: std::ops::RangeInclusive<u32> = 1..=64;

pub(crate) fn check(draft: Draft) -> Result<Config, Vec<Violation>> {
    let mut found = Violations::default();
    let profiles = qos::profiles(draft.profiles, &mut found);
    let mut bridges = BTreeMap::new();
    for b in draft.bridges {
        let object = Object::Bridge(b.name.clone());
        let Some((name, bridge)) = bridge(b, &profiles, &mut found) else { continue };
        if bridges.insert(name, bridge).is_some() {
            found.push(object, "is there twice; give each bridge its own name");
        }
    }
    whole(&bridges, &mut found);
    if found.0.is_empty() {
        let profiles = profiles.into_values().flatten().collect();
        Ok(Config { generation: Generation(draft.generation), bridges, profiles })
    } else {
        Err(found.0)
    }
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn push(&mut self, object: Object, problem: impl ToString) {
        self.0.push(Violation { object, problem: problem.to_string() });
    }
    /// The value, or a note of why there is none.
    fn take<T, E: ToString>(&mut self, object: &Object, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.push(object.clone(), e)).ok()
    }
}

fn within(what: &str, unit: &str, n: u32, range: &std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    if range.contains(&n) {
        return Ok(n);
    }
    Err(format!("{what} {n} is out of range; it goes from {} to {}{unit}", range.start(), range.end()))
}

fn bridge(b: DraftBridge, profiles: &qos::Profiles, found: &mut Violations) -> Option<(Name, Bridge)> {
    let object = Object::Bridge(b.name.clone());
    let name = found.take(&object, Name::new(&b.name));
    let ageing = b.ageing_seconds.unwrap_or(DEFAULT_AGEING_SECONDS);
    let ageing = found.take(&object, within("ageing time", " seconds", ageing, &AGEING));
    let limit = b.mac_limit.unwrap_or(DEFAULT_MAC_LIMIT);
    let limit = found.take(&object, within("MAC limit", " stations", limit, &(1..=MAX_MAC_LIMIT)));
    let mut ports = BTreeMap::new();
    for p in b.ports {
        let object = Object::Port(p.name.clone());
        let Some((name, port)) = port(p, profiles, found) else { continue };
        if ports.insert(name, port).is_some() {
            found.push(object, format!("is in bridge {} twice", b.name));
        }
    }
    let mut stations = BTreeMap::new();
    for s in b.stations {
        let object = Object::Station(s.mac.clone());
        let Some((key, port)) = station(s, &b.name, &ports, found) else { continue };
        if stations.insert(key, port).is_some() {
            found.push(object, format!("is there twice in VLAN {} of bridge {}", key.0, b.name));
        }
    }
    let bridge = Bridge { ageing_seconds: ageing?, mac_limit: limit?, ports, stations };
    Some((name?, bridge))
}

fn port(p: DraftPort, profiles: &qos::Profiles, found: &mut Violations) -> Option<(Name, Port)> {
    let object = Object::Port(p.name.clone());
    let name = found.take(&object, Name::new(&p.name));
    let kind = found.take(&object, kind(&p));
    let vlans = found.take(&object, vlans(&p.vlan));
    let mac = p.mac.as_deref().map(|m| found.take(&object, unicast(m)));
    let mtu = p.mtu.map(|n| found.take(&object, within("MTU", " bytes", n, &MTU)));
    let queues = p.queues.map(|n| found.take(&object, within("queue count", "", n, &QUEUES)));
    let limit =
        p.mac_limit.map(|n| found.take(&object, within("MAC limit", " stations", n, &(1..=MAX_MAC_LIMIT))));
    if let Some(kind) = &kind
        && let Err(why) = fits(kind, &p)
    {
        found.push(object, why);
        return None;
    }
    let (kind, mtu) = (kind?, settled(mtu)?.map(|n| n as u16));
    let qos = qos::port(p.qos, &object, &kind, mtu, profiles, found);
    let port = Port {
        kind,
        vlans: vlans?,
        mac: settled(mac)?,
        mtu,
        queues: settled(queues)?.map(|n| n as u16),
        mac_limit: settled(limit)?,
        isolated: p.isolated,
        qos: qos?,
    };
    Some((name?, port))
}

/// Outer: was it given; inner: was it good.
fn settled<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(Some(v)) => Some(Some(v)),
        Some(None) => None,
    }
}

fn kind(p: &DraftPort) -> Result<PortKind, String> {
    let netns = match &p.netns {
        Some(n) => Some(Netns::parse(n).map_err(|why| format!("`{n}` is not a network namespace: {why}"))?),
        None => None,
    };
    let ifname = p.ifname.as_deref().map(Name::new).transpose().map_err(|e| e.to_string())?;
    match p.kind.as_str() {
        // What only an interface can have that the switch makes.
        "" | "auto" if netns.is_some() || ifname.is_some() || p.mac.is_some() => {
            Ok(PortKind::Tap { netns, ifname })
        }
        "" | "auto" => Ok(PortKind::Auto),
        "tap" => Ok(PortKind::Tap { netns, ifname }),
        "internal" => Ok(PortKind::Internal),
        "packet" => Ok(PortKind::Packet),
        "afxdp" => Ok(PortKind::Afxdp),
        "vhost-user" => {
            let socket = p.socket.as_deref().map(socket_path).transpose()?;
            let server = match p.socket_mode.as_deref() {
                None | Some("client") => false,
                Some("server") => true,
                Some(other) => {
                    return Err(format!(
                        "there is no socket mode `{other}`; the modes are client and server"
                    ));
                }
            };
            Ok(PortKind::VhostUser { socket, server })
        }
        "patch" => match p.peer.as_deref() {
            Some(peer) => Ok(PortKind::Patch { peer: Name::new(peer).map_err(|e| e.to_string())? }),
            None => Err("a patch port needs the name of the port at its other end; add --peer PORT".into()),
        },
        other => Err(format!(
            "there is no port type `{other}`; the types are auto, tap, internal, packet, afxdp, vhost-user and patch"
        )),
    }
}

fn socket_path(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(format!("`{path}` is no absolute path of a socket; give one like /run/vm/web.sock"));
    }
    match path.len() {
        ..=SOCKET_PATH => Ok(PathBuf::from(path)),
        len => Err(format!("the socket's path has {len} bytes; at most {SOCKET_PATH} are possible")),
    }
}

/// What was given besides must mean something for a port of this kind.
fn fits(kind: &PortKind, p: &DraftPort) -> Result<(), String> {
    let name = kind.name();
    let tap = matches!(kind, PortKind::Tap { .. });
    let makes = tap || matches!(kind, PortKind::Internal);
    let patch = matches!(kind, PortKind::Patch { .. });
    let only = |given: bool, what: &str, who: &str| match given {
        true => Err(format!("a port of type {name} takes no {what}; only {who} do")),
        false => Ok(()),
    };
    only(!tap && p.netns.is_some(), "network namespace", "tap ports")?;
    only(!tap && p.ifname.is_some(), "interface name", "tap ports")?;
    let vhost = matches!(kind, PortKind::VhostUser { .. });
    only(!vhost && p.socket.is_some(), "socket", "vhost-user ports")?;
    only(!vhost && p.socket_mode.is_some(), "socket mode", "vhost-user ports")?;
    only(!patch && p.peer.is_some(), "peer", "patch ports")?;
    only(!makes && p.mac.is_some(), "MAC address", "ports whose interface the switch makes")?;
    only(patch && p.mtu.is_some(), "MTU", "ports to somewhere outside")?;
    only(patch && p.queues.is_some(), "queue count", "ports to somewhere outside")
}

fn unicast(mac: &str) -> Result<MacAddr, String> {
    let mac: MacAddr = mac.parse().map_err(|e: vsw_types::BadMac| e.to_string())?;
    if mac.is_group() || mac == MacAddr::ZERO {
        return Err(format!("{mac} cannot be the address of a station; it is a group address or all zero"));
    }
    Ok(mac)
}

fn vlans(v: &DraftVlan) -> Result<VlanMode, String> {
    let vid = |n| VlanId::new(n).map_err(|e| e.to_string());
    let list = |l: &str| l.parse::<VlanSet>().map_err(|e| e.to_string());
    let trunkish = v.trunk.is_some() || v.native.is_some() || v.native_tagged;
    if usize::from(v.access.is_some()) + usize::from(trunkish) + usize::from(v.qinq.is_some()) > 1 {
        return Err("a port is an access port, a trunk or a QinQ port; give only one of the three".into());
    }
    if v.cvlans.is_some() && v.qinq.is_none() {
        return Err("customer VLANs need a service VLAN; add --qinq N".into());
    }
    if v.native_tagged && v.native.is_none() {
        return Err("there is no native VLAN to tag; add --native N".into());
    }
    if let Some(n) = v.access {
        return Ok(VlanMode::Access(vid(n)?));
    }
    if let Some(n) = v.qinq {
        return Ok(VlanMode::Qinq {
            service: vid(n)?,
            customers: v.cvlans.as_deref().map(list).transpose()?,
        });
    }
    if !trunkish {
        return Ok(VlanMode::transparent());
    }
    let native = v.native.map(vid).transpose()?;
    // A native VLAN without a list: all VLANs, as for a port that says nothing.
    let mut allowed = v.trunk.as_deref().map_or_else(|| Ok(VlanSet::all()), list)?;
    native.into_iter().for_each(|n| allowed.insert(n));
    Ok(VlanMode::Trunk { allowed, native, native_tagged: v.native_tagged })
}

fn station(
    s: DraftStation,
    bridge: &str,
    ports: &BTreeMap<Name, Port>,
    found: &mut Violations,
) -> Option<((VlanId, MacAddr), Name)> {
    let object = Object::Station(s.mac.clone());
    let mac = found.take(&object, unicast(&s.mac))?;
    let Some((name, port)) = ports.get_key_value(s.port.as_str()) else {
        found.push(object, format!("there is no port {} in bridge {bridge}", s.port));
        return None;
    };
    let untagged = match &port.vlans {
        VlanMode::Access(v) | VlanMode::Qinq { service: v, .. } => Some(*v),
        VlanMode::Trunk { native, .. } => *native,
    };
    let vlan = match s.vlan.map(VlanId::new) {
        Some(given) => found.take(&object, given)?,
        None => match untagged {
            Some(v) => v,
            None => {
                found.push(object, format!("port {name} has no native VLAN; say which with --vlan N"));
                return None;
            }
        },
    };
    if !port.vlans.carries(vlan) {
        found.push(object, format!("port {name} does not carry VLAN {vlan}"));
        return None;
    }
    Some(((vlan, mac), name.clone()))
}

/// Rules about the switch as a whole.
fn whole(bridges: &BTreeMap<Name, Bridge>, found: &mut Violations) {
    let mut owner: BTreeMap<&Name, &Name> = BTreeMap::new();
    let mut wires = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    let mut patches: BTreeMap<&Name, (&Name, &Name)> = BTreeMap::new();
    for (b, name, port) in bridges.iter().flat_map(|(b, x)| x.ports.iter().map(move |(n, p)| (b, n, p))) {
        if let Some(first) = owner.insert(name, b) {
            found.push(
                Object::Port(name.to_string()),
                format!("is in bridge {first} already; a port is in one bridge, so remove it there first"),
            );
        }
        if bridges.contains_key(name) && !matches!(port.kind, PortKind::Internal) {
            found.push(
                Object::Port(name.to_string()),
                "has the name of a bridge; only a port of type internal may be named after one",
            );
        }
        match &port.kind {
            PortKind::Patch { peer } => {
                patches.insert(name, (b, peer));
            }
            PortKind::Tap { netns, ifname } => {
                let netns = netns.as_ref().map(Netns::path);
                if !wires.insert((netns, ifname.as_ref().unwrap_or(name))) {
                    found.push(
                        Object::Port(name.to_string()),
                        "another port has the same interface in the same network namespace",
                    );
                }
            }
            PortKind::VhostUser { socket: Some(path), .. } if !sockets.insert(path) => {
                found.push(
                    Object::Port(name.to_string()),
                    format!("another port has the same socket {}", path.display()),
                );
            }
            _ => {}
        }
    }
    let count = owner.len();
    if count > MAX_PORTS {
        found.push(Object::Switch, format!("{count} ports are more than the {MAX_PORTS} it can have"));
    }
    for (name, (bridge, peer)) in &patches {
        // A patch whose other end is not there yet is no error: ends are added one at a time.
        let Some(there) = owner.get(peer) else { continue };
        let object = || Object::Port(name.to_string());
        match patches.get(peer) {
            _ if peer == name => found.push(object(), "is its own peer"),
            Some((_, back)) if back == name && there == bridge => {
                found.push(object(), format!("both ends are in bridge {bridge}: that is a loop"));
            }
            Some((_, back)) if back == name => {}
            Some((_, back)) => found.push(object(), format!("its peer {peer} belongs to {back}")),
            None => found.push(object(), format!("its peer {peer} is no patch port")),
        }
    }
}

#[cfg(test)]
mod tests;
