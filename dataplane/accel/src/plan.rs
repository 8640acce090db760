//! What a snapshot lets the shortcut do.
//!
//! A value; nothing is shared but the tables of stations.

use std::collections::BTreeMap;
use std::sync::Arc;
use vsw_port_os::shortcut::Domain;
use vsw_switch::{Fdb, Snapshot};
use vsw_types::{PortIdx, VlanId};

/// The ports of a snapshot whose untagged frames the shortcut may hand on.
#[derive(Debug, Default)]
pub struct Plan {
    members: BTreeMap<PortIdx, Member>,
    tables: Vec<Arc<Fdb>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Member {
    bridge: u16,
    pub(crate) vlan: VlanId,
    pub(crate) fdb: Arc<Fdb>,
    /// The number of bridge and VLAN. `None` before [`Plan::number`].
    pub(crate) domain: Option<Domain>,
}

impl Plan {
    /// Those ports whose frames without a tag are of the VLAN whose frames leave without one, which may send
    /// to all members, and whose frames nobody meters or queues.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut plan = Self::default();
        let ports = snapshot.ports().filter(|(_, port)| !port.isolated && !port.has_qos());
        for (index, port) in ports {
            let Some(vlan) = port.pvid.filter(|v| port.bare == Some(*v)) else { continue };
            let fdb = snapshot.bridge(port).fdb.clone();
            if plan.tables.iter().all(|t| !Arc::ptr_eq(t, &fdb)) {
                plan.tables.push(fdb.clone());
            }
            plan.members.insert(index, Member { bridge: port.bridge, vlan, fdb, domain: None });
        }
        plan
    }

    pub(crate) fn member(&self, port: PortIdx) -> Option<&Member> {
        self.members.get(&port)
    }

    /// The tables of their stations.
    pub(crate) fn tables(&self) -> &[Arc<Fdb>] {
        &self.tables
    }

    /// How many numbers it needs, at most.
    pub(crate) fn domains(&self) -> u16 {
        self.members.len() as u16
    }

    /// Gives each bridge's VLAN a number above `last`, and returns the last one given.
    pub(crate) fn number(&mut self, last: u16) -> u16 {
        let mut numbers = BTreeMap::new();
        for member in self.members.values_mut() {
            let next = last + 1 + numbers.len() as u16;
            member.domain = Domain::new(*numbers.entry((member.bridge, member.vlan)).or_insert(next));
        }
        last + numbers.len() as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_config::{Config, Draft, DraftBridge, DraftPort};

    fn snapshot() -> Snapshot {
        let port = |name: &str, access: Option<u32>, trunk: Option<&str>, isolated: bool| {
            let mut p = DraftPort { name: name.into(), isolated, ..Default::default() };
            p.vlan.access = access;
            p.vlan.trunk = trunk.map(Into::into);
            p
        };
        let first = vec![
            port("p0", Some(10), None, false),
            port("p1", Some(10), None, false),
            port("p2", Some(20), None, false),
            port("p3", Some(10), None, true),
            port("p4", None, Some("10,20"), false),
            port("p5", None, None, false),
        ];
        let second = vec![port("p6", Some(10), None, false)];
        let bridge = |name: &str, ports| DraftBridge { name: name.into(), ports, ..Default::default() };
        let bridges = vec![bridge("br0", first), bridge("br1", second)];
        let config = Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).unwrap();
        let slot = |n: &vsw_types::Name| n.as_str()[1..].parse().ok().map(PortIdx);
        Snapshot::compile(&config, slot, |_| Arc::new(Fdb::new(16, 300, 0, Arc::default())))
    }

    #[test]
    fn a_number_for_each_vlan_of_each_bridge() {
        let mut plan = Plan::of(&snapshot());
        let last = plan.number(7);
        let number = |p: u16| plan.member(PortIdx(p)).map(|m| m.domain.unwrap().get());
        assert_eq!(number(0), number(1));
        // p5 has all VLANs, and VLAN 1 without a tag.
        let mut numbers: Vec<_> = [0, 2, 5, 6].into_iter().map(|p| number(p).unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!((numbers, last), (vec![8, 9, 10, 11], 11));
        assert_eq!((number(3), number(4)), (None, None), "isolated; nothing without a tag");
        assert_eq!(plan.tables().len(), 2);
    }
}
