//! Requests against configurations: each function makes a [`Change`] of what is and what is asked, or says why
//! not. Nothing here has an effect; whether the result obeys the rules is checked afterwards, when the draft
//! becomes a `Config`.
//!
//! All functions are pure and free to call from any thread.

mod port;
mod qos;
mod station;

pub use port::{add_port, delete_port, set_port};
pub use qos::{add_qos, delete_qos, set_qos};
pub use station::{add_station, delete_station, flush_stations};

use crate::Error;
use vsw_api::v1;
use vsw_config::{Config, Draft};
use vsw_types::VlanId;

/// What a configuration should become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub draft: Draft,
    /// For the history, as one would type it.
    pub asked: String,
    /// The ports the request is about: it is in force when they are.
    pub about: Vec<String>,
    /// What one should know of it, though it is fine.
    pub notes: Vec<String>,
}

impl Change {
    fn new(config: v1::Config, asked: String) -> Self {
        Self { draft: vsw_api::draft(config), asked, about: Vec::new(), notes: Vec::new() }
    }
    /// The request is fulfilled as things are.
    fn none(now: &Config, asked: String) -> Self {
        Self::new(vsw_api::message(now), asked)
    }
    fn about(mut self, port: &str) -> Self {
        self.about.push(port.to_owned());
        self
    }
}

/// A new bridge, which may come with ports and stations.
pub fn add_bridge(now: &Config, request: v1::AddBridgeRequest) -> Result<Change, Error> {
    let bridge = request.bridge.ok_or(Error::Missing("bridge"))?;
    named(&bridge.name, "bridge name")?;
    if now.bridge(&bridge.name).is_some() {
        return Err(Error::BridgeExists(bridge.name));
    }
    let asked = format!("add-br {}", bridge.name);
    let about = bridge.ports.iter().map(|p| p.name.clone()).collect();
    let mut config = vsw_api::message(now);
    config.bridges.push(bridge);
    Ok(Change { about, ..Change::new(config, asked) })
}

pub fn set_bridge(now: &Config, request: v1::SetBridgeRequest) -> Result<Change, Error> {
    named(&request.name, "bridge name")?;
    let mut config = vsw_api::message(now);
    let bridge = bridge_mut(&mut config, &request.name)?;
    bridge.ageing_seconds = request.ageing_seconds.or(bridge.ageing_seconds);
    bridge.mac_limit = request.mac_limit.or(bridge.mac_limit);
    Ok(Change::new(config, format!("set-br {}", request.name)))
}

/// Its ports and stations go with it.
pub fn delete_bridge(now: &Config, request: v1::DeleteBridgeRequest) -> Result<Change, Error> {
    named(&request.name, "bridge name")?;
    let asked = format!("del-br {}", request.name);
    if request.if_exists && now.bridge(&request.name).is_none() {
        return Ok(Change::none(now, asked));
    }
    let mut config = vsw_api::message(now);
    bridge_mut(&mut config, &request.name)?;
    config.bridges.retain(|b| b.name != request.name);
    Ok(Change::new(config, asked))
}

fn named(given: &str, what: &'static str) -> Result<(), Error> {
    if given.is_empty() { Err(Error::Missing(what)) } else { Ok(()) }
}

fn bridge_mut<'a>(config: &'a mut v1::Config, name: &str) -> Result<&'a mut v1::Bridge, Error> {
    config.bridges.iter_mut().find(|b| b.name == name).ok_or_else(|| Error::NoBridge(name.to_owned()))
}

/// The bridge exists, and the port, if one is named, is in it.
pub fn known(now: &Config, bridge: &str, port: Option<&str>) -> Result<(), Error> {
    named(bridge, "bridge name")?;
    let found = now.bridge(bridge).ok_or_else(|| Error::NoBridge(bridge.to_owned()))?;
    let Some(port) = port else { return Ok(()) };
    if found.ports.contains_key(port) {
        return Ok(());
    }
    let (bridge, port) = (bridge.to_owned(), port.to_owned());
    Err(match now.port(&port) {
        Some((owner, _)) => Error::NotHere { bridge, port, owner: owner.to_string() },
        None => Error::NoPort { bridge, port },
    })
}

/// A selection of stations: [`known`], and the VLAN, if one is named, is one.
pub fn selection(now: &Config, bridge: &str, port: Option<&str>, vlan: Option<u32>) -> Result<(), Error> {
    known(now, bridge, port)?;
    match vlan.map(VlanId::new) {
        Some(Err(bad)) => Err(Error::BadVlan { bridge: bridge.to_owned(), bad }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
