//! Changes to static stations. See the parent module.

use super::{Change, bridge_mut, known, named, selection};
use crate::Error;
use vsw_api::v1;
use vsw_config::{Config, VlanMode};
use vsw_types::{MacAddr, VlanId};

pub fn add_station(now: &Config, request: v1::AddStationRequest) -> Result<Change, Error> {
    let bridge = request.bridge;
    let station = request.station.ok_or(Error::Missing("station"))?;
    named(&station.mac, "MAC address")?;
    named(&station.port, "port name")?;
    known(now, &bridge, Some(&station.port))?;
    if let Ok(mac) = station.mac.parse::<MacAddr>()
        && let Some(vlan) = meant(now, &bridge, &station)
        && let Some(port) = now.bridge(&bridge).and_then(|b| b.stations.get(&(vlan, mac)))
    {
        let (mac, port) = (mac.to_string(), port.to_string());
        return Err(Error::StationExists { bridge, mac, vlan: vlan.get(), port });
    }
    let asked = format!("add-mac {bridge} {} {}", station.mac, station.port);
    let mut config = vsw_api::message(now);
    bridge_mut(&mut config, &bridge)?.stations.push(station);
    Ok(Change::new(config, asked))
}

/// The VLAN that the station would be in; `None`: the rules will say what is wrong.
fn meant(now: &Config, bridge: &str, station: &v1::Station) -> Option<VlanId> {
    if let Some(given) = station.vlan {
        return VlanId::new(given).ok();
    }
    match now.bridge(bridge)?.ports.get(station.port.as_str())?.vlans {
        VlanMode::Access(v) | VlanMode::Qinq { service: v, .. } => Some(v),
        VlanMode::Trunk { native, .. } => native,
    }
}

pub fn delete_station(now: &Config, request: v1::DeleteStationRequest) -> Result<Change, Error> {
    let v1::DeleteStationRequest { bridge, mac, vlan, .. } = request;
    named(&mac, "MAC address")?;
    known(now, &bridge, None)?;
    // An address that is none is no station's either.
    let Ok(wanted) = mac.parse::<MacAddr>() else { return Err(Error::NoStation { bridge, mac }) };
    let vlans: Vec<u32> = now
        .bridge(&bridge)
        .into_iter()
        .flat_map(|b| b.stations.keys())
        .filter(|(_, m)| *m == wanted)
        .map(|(v, _)| v.get().into())
        .collect();
    let vlan = match (vlan, &*vlans) {
        (Some(v), has) if has.contains(&v) => v,
        (_, []) => return Err(Error::NoStation { bridge, mac }),
        (Some(vlan), _) => return Err(Error::NoStationInVlan { bridge, mac, vlan }),
        (None, [only]) => *only,
        (None, several) => {
            let vlans = several.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::StationAmbiguous { bridge, mac, vlans });
        }
    };
    let mut config = vsw_api::message(now);
    let stations = &mut bridge_mut(&mut config, &bridge)?.stations;
    stations.retain(|s| s.vlan != Some(vlan) || s.mac != wanted.to_string());
    Ok(Change::new(config, format!("del-mac {bridge} {wanted} --vlan {vlan}")))
}

/// Takes static stations out, and says how many.
pub fn flush_stations(now: &Config, request: &v1::FlushMacsRequest) -> Result<(Change, u64), Error> {
    let v1::FlushMacsRequest { bridge, port, vlan, .. } = request;
    selection(now, bridge, port.as_deref(), *vlan)?;
    let mut config = vsw_api::message(now);
    let stations = &mut bridge_mut(&mut config, bridge)?.stations;
    let before = stations.len();
    stations
        .retain(|s| port.as_ref().is_some_and(|p| *p != s.port) || vlan.is_some_and(|v| s.vlan != Some(v)));
    let gone = (before - stations.len()) as u64;
    Ok((Change::new(config, format!("flush-macs {bridge} --static")), gone))
}
