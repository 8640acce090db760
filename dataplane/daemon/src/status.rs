//! What the switch says of itself: ports, stations, counters.

use crate::managed::{Managed, State};
use crate::message::{Refused, Scope};
use crate::switch::Switch;
use std::collections::BTreeMap;
use std::sync::Arc;
use vsw_api::v1;
use vsw_config::{Config, PortKind};
use vsw_port::{Health, PortError};
use vsw_switch::Fdb;
use vsw_types::{Direction, DropReason, Name, PortIdx};

/// The generation in force, and every configured port.
pub(crate) fn of(switch: &Switch) -> v1::DatapathStatus {
    let ports = switch.config.ports().filter_map(|(bridge, name, port)| {
        let managed = switch.ports.get(name)?;
        let mut status = port_status(name, port, managed, &switch.config);
        if switch.accel.has(managed.slot) {
            status.mode.push_str("; shortcut in the kernel");
        }
        status.name = name.to_string();
        status.bridge = bridge.to_string();
        Some(status)
    });
    v1::DatapathStatus {
        generation: switch.config.generation().0,
        ports: ports.collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: switch.started,
    }
}

fn port_status(name: &Name, port: &vsw_config::Port, managed: &Managed, config: &Config) -> v1::PortStatus {
    let mut status = v1::PortStatus { r#type: port.kind.name().to_owned(), ..Default::default() };
    if let Some(choice) = &managed.choice {
        status.r#type = choice.kind.to_owned();
        status.type_reason = choice.reason.clone();
    }
    match &managed.state {
        State::Patch => {
            let PortKind::Patch { peer } = &port.kind else { return status };
            let joined = config
                .port(peer.as_str())
                .is_some_and(|(_, p)| matches!(&p.kind, PortKind::Patch { peer: back } if back == name));
            status.mode = format!("patch to {peer}");
            status.set_state(if joined { v1::PortState::Up } else { v1::PortState::Down });
            if !joined {
                status.reason = format!("its other end {peer} is not there yet");
            }
        }
        State::Waiting(waiting) => {
            // An interface that the switch does not make comes and goes by itself; anything else is a failure.
            let borrowed = matches!(status.r#type.as_str(), "packet" | "afxdp");
            let down = borrowed && matches!(waiting.error, PortError::Missing { .. });
            status.set_state(if down { v1::PortState::Down } else { v1::PortState::Failed });
            status.reason = waiting.error.to_string();
        }
        State::Open(open) => {
            status.mode = open.info.mode.clone();
            status.mac = open.info.mac.map(|m| m.to_string()).unwrap_or_default();
            status.mtu = open.info.mtu;
            status.queues = open.queues as u32;
            status.offloads = open.info.caps.names().into_iter().map(str::to_owned).collect();
            match (&open.health, &managed.unsettled) {
                (_, Some(e)) => {
                    status.set_state(v1::PortState::Failed);
                    status.reason = format!("it runs with its old settings: {e}");
                }
                (Health::Down(why), None) => {
                    status.set_state(v1::PortState::Down);
                    status.reason = why.clone();
                }
                (Health::Failed(why), None) => {
                    status.set_state(v1::PortState::Failed);
                    status.reason = why.clone();
                }
                _ => status.set_state(v1::PortState::Up),
            }
        }
    }
    status
}

/// The table and the port that a scope means.
pub(crate) fn scope<'a>(
    switch: &'a Switch,
    scope: &Scope,
) -> Result<(&'a Arc<Fdb>, Option<PortIdx>), Refused> {
    let table = switch.fdbs.table(&scope.bridge);
    let table = table.ok_or_else(|| Refused::NotFound(format!("bridge {}: does not exist", scope.bridge)))?;
    let port = match &scope.port {
        None => None,
        Some(name) => match switch.ports.get(name.as_str()) {
            Some(m) => Some(m.slot),
            None => return Err(Refused::NotFound(format!("port {name}: does not exist"))),
        },
    };
    Ok((table, port))
}

/// Stations by VLAN and address.
pub(crate) fn macs(switch: &Switch, wanted: &Scope) -> Result<Vec<v1::Mac>, Refused> {
    let (table, port) = scope(switch, wanted)?;
    let names: BTreeMap<PortIdx, &Name> = switch.ports.iter().map(|(n, m)| (m.slot, n)).collect();
    let mut entries: Vec<_> = table
        .entries(switch.engine.now())
        .filter(|e| wanted.vlan.is_none_or(|v| v == e.vlan) && port.is_none_or(|p| p == e.port))
        .collect();
    entries.sort_unstable_by_key(|e| (e.vlan, e.mac));
    let known = entries.into_iter().filter_map(|e| {
        Some(v1::Mac {
            mac: e.mac.to_string(),
            vlan: e.vlan.get().into(),
            port: names.get(&e.port)?.to_string(),
            age_seconds: e.age,
            r#static: e.is_static,
        })
    });
    Ok(known.collect())
}

/// Counters of one port or of all.
pub(crate) fn counters(switch: &Switch, port: Option<&str>) -> Vec<v1::PortCounters> {
    let ports = switch.config.ports().filter(|(_, name, _)| port.is_none_or(|p| p == name.as_str()));
    ports
        .filter_map(|(bridge, name, _)| {
            let managed = switch.ports.get(name)?;
            let mut c = switch.engine.counters(managed.slot);
            if let Some(seat) = managed.seat() {
                let passed = switch.accel.counts(seat);
                c.add_passed((passed.rx_packets, passed.rx_bytes), (passed.tx_packets, passed.tx_bytes));
            }
            let drops = [Direction::Rx, Direction::Tx].into_iter().flat_map(|direction| {
                let c = &c;
                DropReason::ALL.iter().map(move |reason| v1::DropCount {
                    direction: direction.name().to_owned(),
                    reason: reason.name().to_owned(),
                    text: reason.text().to_owned(),
                    packets: c.drops(direction, *reason),
                })
            });
            Some(v1::PortCounters {
                bridge: bridge.to_string(),
                port: name.to_string(),
                rx_packets: c.rx_packets(),
                rx_bytes: c.rx_bytes(),
                tx_packets: c.tx_packets(),
                tx_bytes: c.tx_bytes(),
                drops: drops.filter(|d| d.packets > 0).collect(),
                macs: switch.fdbs.counts.of(managed.slot),
                macs_moved: c.macs_moved(),
                macs_evicted: c.macs_evicted(),
                macs_refused: c.macs_refused(),
            })
        })
        .collect()
}
