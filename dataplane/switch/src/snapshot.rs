//! One configuration, compiled: dense tables that the packet path indexes, never searches.
//!
//! Immutable once built, and shared. Control builds a new one and swaps the pointer; a worker sees the
//! change at its next pass and never in the middle of one. Only ports that are open and attached to their
//! workers are in it: a configured port that could not be opened does not exist here.

use crate::Fdb;
use crate::qos::{Guard, Shaping};
use std::collections::HashMap;
use std::sync::Arc;
use vsw_config::qos::Trust;
use vsw_config::{Config, Port, VlanMode};
use vsw_types::{Generation, Name, PortIdx, QosStats, VlanId, VlanSet};
use vsw_wire::eth::ethertype;
use vsw_wire::vlan::Tag;

const VIDS: usize = 4096;

/// What the packet path knows of the configuration.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub generation: Generation,
    ports: Box<[Option<PortTable>]>,
    bridges: Box<[BridgeTable]>,
}

/// One bridge.
#[derive(Debug)]
pub struct BridgeTable {
    pub name: Name,
    pub fdb: Arc<Fdb>,
    members: Members,
}

/// For each VLAN its members. Many VLANs have the same, and share a list.
#[derive(Debug)]
struct Members {
    /// VLAN id -> which of `lists`.
    list_of: Box<[u16; VIDS]>,
    lists: Vec<Box<[PortIdx]>>,
}

/// One port.
#[derive(Debug)]
pub struct PortTable {
    pub name: Name,
    pub bridge: u16,
    pub mode: Mode,
    /// The VLAN of frames that come in without a tag (PVID, IEEE 802.1Q-2022, 6.9), and the tag that they have
    /// where they leave tagged. `None`: they are not carried.
    pub pvid: Option<VlanId>,
    pub pvid_tag: Tag,
    /// The VLAN whose frames leave without a tag: those that came without one leave as they are.
    pub bare: Option<VlanId>,
    pub isolated: bool,
    /// Most stations remembered behind it.
    pub mac_limit: u32,
    /// The other end, if it is a patch port.
    pub patch: Option<PortIdx>,
    /// What its attached side may send; `None`: anything.
    pub guard: Option<Box<Guard>>,
    /// How what it sends waits before it comes in; `None`: not at all.
    pub ingress_shaping: Option<Arc<Shaping>>,
    /// How what is sent to it waits; `None`: not at all.
    pub shaping: Option<Arc<Shaping>>,
    /// Which marks of frames that it received are believed.
    pub trust: Trust,
}

/// How a port meets VLANs, for the packet path: as [`VlanMode`].
#[derive(Debug)]
pub enum Mode {
    Access(VlanId),
    /// `allowed` holds the native VLAN too.
    Trunk {
        allowed: VlanSet,
        native: Option<VlanId>,
        native_tagged: bool,
    },
    Qinq {
        service: VlanId,
        customers: Option<VlanSet>,
    },
}

impl From<&VlanMode> for Mode {
    fn from(vlans: &VlanMode) -> Self {
        match vlans.clone() {
            VlanMode::Access(vlan) => Self::Access(vlan),
            VlanMode::Trunk { mut allowed, native, native_tagged } => {
                native.into_iter().for_each(|n| allowed.insert(n));
                Self::Trunk { allowed, native, native_tagged }
            }
            VlanMode::Qinq { service, customers } => Self::Qinq { service, customers },
        }
    }
}

impl Mode {
    fn pvid(&self) -> Option<VlanId> {
        match self {
            Self::Access(vlan) | Self::Qinq { service: vlan, customers: None } => Some(*vlan),
            Self::Trunk { native, .. } => *native,
            Self::Qinq { .. } => None,
        }
    }

    fn pvid_tag(&self) -> Tag {
        let vid = self.pvid().map_or(0, VlanId::get);
        match self {
            Self::Qinq { .. } => Tag::new(ethertype::STAG, vid),
            _ => Tag::customer(vid),
        }
    }

    fn bare(&self) -> Option<VlanId> {
        match self {
            Self::Trunk { native_tagged: true, .. } => None,
            _ => self.pvid(),
        }
    }
}

/// Where frames come in: a port of a snapshot, and its bridge. The same for all frames of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Ingress<'a> {
    pub snap: &'a Snapshot,
    pub index: PortIdx,
    pub port: &'a PortTable,
    pub bridge: &'a BridgeTable,
}

impl PortTable {
    /// Whether its frames must pass a worker: nobody else meters and queues.
    pub fn has_qos(&self) -> bool {
        self.guard.is_some() || self.queue_count() > 0
    }

    /// Directions in which its frames wait.
    pub fn queue_count(&self) -> usize {
        self.shaping.iter().chain(&self.ingress_shaping).count()
    }

    /// What quality of service did, so far as it was published.
    pub fn qos_stats(&self) -> QosStats {
        let (sent_by, storm) = self.guard.as_ref().map(|g| g.stats()).unwrap_or_default();
        let sent_by_queue = self.ingress_shaping.as_ref().and_then(|s| s.stats().pop());
        let classes = self.shaping.as_ref().map(|s| s.stats()).unwrap_or_default();
        QosStats { sent_by, sent_by_queue, storm, classes }
    }

    /// The VLAN that a frame is in if it is admitted: a guess, for fetching ahead.
    #[inline]
    pub(crate) fn likely_vlan(&self, outer: Option<Tag>) -> Option<VlanId> {
        match (&self.mode, outer) {
            (Mode::Access(vlan) | Mode::Qinq { service: vlan, .. }, _) => Some(*vlan),
            (Mode::Trunk { .. }, Some(tag)) if tag.vid() != 0 => VlanId::from_vid(tag.vid()),
            (Mode::Trunk { native, .. }, _) => *native,
        }
    }
}

impl Snapshot {
    /// `None` for a port that is not in this snapshot.
    #[inline]
    pub fn ingress(&self, index: PortIdx) -> Option<Ingress<'_>> {
        let port = self.port(index)?;
        Some(Ingress { snap: self, index, port, bridge: self.bridge(port) })
    }

    /// Cannot fail: a [`Config`] has been found good. `index` tells the slot of each port that is open;
    /// `fdb` the table of each bridge.
    pub fn compile(
        config: &Config,
        index: impl Fn(&Name) -> Option<PortIdx>,
        fdb: impl Fn(&Name) -> Arc<Fdb>,
    ) -> Self {
        let mut ports: Vec<Option<PortTable>> = Vec::new();
        let mut bridges = Vec::new();
        for (number, (name, bridge)) in config.bridges().enumerate() {
            let open: Vec<(PortIdx, &Name, &Port)> =
                bridge.ports.iter().filter_map(|(n, p)| index(n).map(|i| (i, n, p))).collect();
            for (idx, name, port) in &open {
                let slot = idx.0 as usize;
                if ports.len() <= slot {
                    ports.resize_with(slot + 1, || None);
                }
                let patch = match &port.kind {
                    // A patch whose other end does not point back is a cable with one plug.
                    vsw_config::PortKind::Patch { peer } => config
                        .port(peer.as_str())
                        .filter(
                            |(_, p)| matches!(&p.kind, vsw_config::PortKind::Patch { peer } if peer == *name),
                        )
                        .and_then(|_| index(peer)),
                    _ => None,
                };
                let mode = Mode::from(&port.vlans);
                ports[slot] = Some(PortTable {
                    name: (*name).clone(),
                    bridge: number as u16,
                    pvid: mode.pvid(),
                    pvid_tag: mode.pvid_tag(),
                    bare: mode.bare(),
                    mode,
                    isolated: port.isolated,
                    mac_limit: port.mac_limit.unwrap_or(u32::MAX),
                    patch,
                    guard: Guard::of(&port.qos),
                    ingress_shaping: port.qos.sent_by().and_then(Shaping::of_sender).map(Arc::new),
                    shaping: port.qos.sent_to().map(|s| Arc::new(Shaping::of(s))),
                    trust: port.qos.trust,
                });
            }
            let members: Vec<_> = open.iter().map(|(i, _, p)| (*i, &p.vlans)).collect();
            let members = member_lists(&members);
            bridges.push(BridgeTable { name: name.clone(), fdb: fdb(name), members });
        }
        Self { generation: config.generation(), ports: ports.into(), bridges: bridges.into() }
    }

    /// Goes on with the tokens and numbers of ports that were in `old` too.
    pub fn inherit(&mut self, old: &Self) {
        for (new, old) in self.ports.iter_mut().zip(&old.ports) {
            let (Some(new), Some(old)) = (new, old) else { continue };
            if new.name != old.name {
                continue;
            }
            if let (Some(new), Some(old)) = (&mut new.guard, &old.guard) {
                new.inherit(old);
            }
            let queues = [(&mut new.shaping, &old.shaping), (&mut new.ingress_shaping, &old.ingress_shaping)];
            for (new, old) in queues {
                if let (Some(new), Some(old)) = (new, old)
                    && let Some(new) = Arc::get_mut(new)
                {
                    new.inherit(old);
                }
            }
        }
    }

    #[inline]
    pub fn port(&self, p: PortIdx) -> Option<&PortTable> {
        self.ports.get(p.0 as usize)?.as_ref()
    }

    /// The bridge of a port of this snapshot.
    #[inline]
    pub fn bridge(&self, port: &PortTable) -> &BridgeTable {
        &self.bridges[port.bridge as usize]
    }

    pub fn bridges(&self) -> &[BridgeTable] {
        &self.bridges
    }

    /// The ports that are in it, with their slots.
    pub fn ports(&self) -> impl Iterator<Item = (PortIdx, &PortTable)> {
        self.ports.iter().enumerate().filter_map(|(i, p)| p.as_ref().map(|p| (PortIdx(i as u16), p)))
    }
}

impl BridgeTable {
    /// The ports that carry a VLAN, in the order of their slots.
    #[inline]
    pub fn members(&self, vlan: VlanId) -> &[PortIdx] {
        &self.members.lists[self.members.list_of[vlan.get() as usize] as usize]
    }
}

/// For each VLAN its members; VLANs with the same members get the same list. A thousand ports that carry
/// all VLANs are one list, not four thousand.
fn member_lists(ports: &[(PortIdx, &VlanMode)]) -> Members {
    // The sum of a random number for each member tells sets apart; ports that carry everything say nothing.
    let mut signature = vec![0u128; VIDS];
    for (i, (_, vlans)) in ports.iter().enumerate() {
        let mark = spread(i as u64);
        match vlans {
            VlanMode::Access(v) | VlanMode::Qinq { service: v, .. } => {
                signature[v.get() as usize] = signature[v.get() as usize].wrapping_add(mark);
            }
            VlanMode::Trunk { allowed, .. } if allowed.len() == 4094 => {}
            VlanMode::Trunk { .. } => {
                for v in (1..4095).filter_map(VlanId::from_vid).filter(|v| vlans.carries(*v)) {
                    signature[v.get() as usize] = signature[v.get() as usize].wrapping_add(mark);
                }
            }
        }
    }
    let mut known: HashMap<u128, u16> = HashMap::new();
    let mut lists: Vec<Box<[PortIdx]>> = Vec::new();
    let mut list_of = Box::new([0; VIDS]);
    for vlan in (1..4095).filter_map(VlanId::from_vid) {
        list_of[vlan.get() as usize] = *known.entry(signature[vlan.get() as usize]).or_insert_with(|| {
            let mut list: Vec<_> = ports.iter().filter(|(_, v)| v.carries(vlan)).map(|(i, _)| *i).collect();
            list.sort_unstable();
            lists.push(list.into());
            (lists.len() - 1) as u16
        });
    }
    Members { list_of, lists }
}

/// SplitMix64 twice: numbers whose sums do not meet by accident.
fn spread(i: u64) -> u128 {
    let mix = |mut z: u64| {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (mix(2 * i) as u128) << 64 | mix(2 * i + 1) as u128
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_config::{Draft, DraftBridge, DraftPort};

    #[test]
    fn members_are_those_that_carry_the_vlan() {
        let port = |name: &str, list: Option<&str>, access: Option<u32>| {
            let mut p = DraftPort { name: name.into(), ..Default::default() };
            p.vlan.trunk = list.map(Into::into);
            p.vlan.access = access;
            p
        };
        let ports = vec![
            port("a", None, Some(10)),
            port("b", None, Some(20)),
            port("c", Some("10,20"), None),
            port("d", None, None),
            port("e", None, Some(10)),
        ];
        let bridges = vec![DraftBridge { name: "br0".into(), ports, ..Default::default() }];
        let config = Config::try_from(Draft { generation: 3, bridges, ..Default::default() }).unwrap();
        // Slots in another order than names; `e` is not open.
        let slot =
            |n: &Name| ["d", "c", "b", "a"].iter().position(|x| *x == n.as_str()).map(|i| PortIdx(i as u16));
        let fdb = Arc::new(Fdb::new(16, 300, 0, Arc::default()));
        let snap = Snapshot::compile(&config, slot, |_| fdb.clone());
        let members = |vid: u32| {
            let list = snap.bridges()[0].members(VlanId::new(vid).unwrap());
            list.iter().map(|i| snap.port(*i).unwrap().name.to_string()).collect::<Vec<_>>().concat()
        };
        assert_eq!((members(10).as_str(), members(20).as_str(), members(30).as_str()), ("dca", "dcb", "d"));
        assert_eq!(snap.bridges()[0].members.lists.len(), 3, "VLANs with the same members share a list");
        assert!(snap.port(PortIdx(4)).is_none());
    }
}
