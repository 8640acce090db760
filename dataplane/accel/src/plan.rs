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
    /// Those ports whose frames without a tag are of the VLAN whose frames leave without one, and which may
    /// send to all members.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut plan = Self::default();
        for (index, port) in snapshot.ports() {
            let Some(vlan) = port.pvid.filter(|v| port.bare == Some(*v) && !port.isolated) else { continue };
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
