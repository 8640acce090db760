//! The forwarding tables of all bridges: made, enlarged, aged, flushed, and told about static stations.
//!
//! Used by the switch thread; the tables themselves are shared with the workers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use vsw_config::{Bridge, Config};
use vsw_switch::fdb::{Entry, StationCounts};
use vsw_switch::{Fdb, FdbKey};
use vsw_types::{Name, Now, PortIdx};

/// Ageing visits all of a table at least this many times in one ageing time.
const VISITS: u32 = 30;
/// And takes at most so many turns for it, one a second.
const MOST_TURNS: u32 = 10;

#[derive(Debug)]
pub(crate) struct Fdbs {
    tables: BTreeMap<Name, Arc<Fdb>>,
    pub(crate) counts: Arc<StationCounts>,
    turn: u32,
}

impl Fdbs {
    pub(crate) fn new() -> Self {
        Self { tables: BTreeMap::new(), counts: Arc::default(), turn: 0 }
    }

    /// A table for each bridge, as large as it asks for, knowing its static stations. Bridges that are gone
    /// lose theirs.
    pub(crate) fn sync(&mut self, config: &Config, slot: impl Fn(&Name) -> Option<PortIdx>, now: Now) {
        self.tables.retain(|name, _| config.bridge(name.as_str()).is_some());
        for (name, bridge) in config.bridges() {
            let old = self.tables.get(name);
            if !old.is_some_and(|t| t.fits(bridge.mac_limit, bridge.ageing_seconds)) {
                let seed = RandomState::new().hash_one(name.as_str());
                let table = Fdb::new(bridge.mac_limit, bridge.ageing_seconds, seed, self.counts.clone());
                if let Some(old) = old {
                    table.copy_from(old, now);
                }
                self.tables.insert(name.clone(), Arc::new(table));
            }
            if let Some(table) = self.tables.get(name) {
                sync_static(table, bridge, &slot, now);
            }
        }
    }

    pub(crate) fn table(&self, bridge: &str) -> Option<&Arc<Fdb>> {
        self.tables.get(bridge)
    }

    /// Forgets a port's stations for which `which` says so, in all bridges but for static ones.
    pub(crate) fn forget(&self, port: PortIdx, which: impl Fn(&Name, &Entry) -> bool, now: Now) -> usize {
        let tables = self.tables.iter();
        tables.map(|(name, t)| t.remove(|e| e.port == port && !e.is_static && which(name, e), now)).sum()
    }

    /// One turn of ageing: called once a second. Returns how many stations went.
    pub(crate) fn age(&mut self, config: &Config, now: Now) -> usize {
        self.turn = self.turn.wrapping_add(1);
        let mut gone = 0;
        for (name, table) in &self.tables {
            let Some(bridge) = config.bridge(name.as_str()) else { continue };
            let turns = (bridge.ageing_seconds / VISITS).clamp(1, MOST_TURNS);
            gone += table.age((self.turn % turns) as usize, turns as usize, now, bridge.ageing_seconds);
        }
        gone
    }
}

/// The static stations of a table are those of the configuration.
fn sync_static(table: &Fdb, bridge: &Bridge, slot: &impl Fn(&Name) -> Option<PortIdx>, now: Now) {
    let wanted = |e: &Entry| bridge.stations.get(&(e.vlan, e.mac)).and_then(slot) == Some(e.port);
    table.remove(|e| e.is_static && !wanted(e), now);
    for ((vlan, mac), port) in &bridge.stations {
        if let Some(slot) = slot(port)
            && !table.insert_static(FdbKey::new(*vlan, *mac), slot)
        {
            tracing::warn!("station {mac}: no room for it in VLAN {vlan}; raise the bridge's MAC limit");
        }
    }
}
