//! Changes to ports. See the parent module.

use super::{Change, bridge_mut, known, named, qos};
use crate::Error;
use vsw_api::v1;
use vsw_config::{Config, Port};

pub fn add_port(now: &Config, request: v1::AddPortRequest) -> Result<Change, Error> {
    named(&request.bridge, "bridge name")?;
    let port = request.port.ok_or(Error::Missing("port"))?;
    named(&port.name, "port name")?;
    known(now, &request.bridge, None)?;
    let (bridge, name) = (request.bridge, port.name.clone());
    let asked = format!("add-port {bridge} {name}");

    let mut config = vsw_api::message(now);
    let ports = &mut bridge_mut(&mut config, &bridge)?.ports;
    match now.port(&name) {
        None => ports.push(port),
        Some((owner, _)) if owner.as_str() != bridge => {
            return Err(Error::PortElsewhere { port: name, owner: owner.to_string() });
        }
        Some(_) if !request.may_exist => return Err(Error::PortExists { bridge, port: name }),
        Some((_, is)) => {
            let differs = differences(is, &checked(now, &bridge, port)?);
            if !differs.is_empty() {
                return Err(Error::PortDiffers {
                    bridge,
                    port: name,
                    differs: differs.join(" and another "),
                });
            }
        }
    }
    Ok(Change::new(config, asked).about(&name))
}

/// What a request means for a port that is there, spelling aside: itself, in the place of that port. Stations
/// would only bring in rules about others.
fn checked(now: &Config, bridge: &str, port: v1::Port) -> Result<Port, Error> {
    let name = port.name.clone();
    let mut config = vsw_api::message(now);
    let within = bridge_mut(&mut config, bridge)?;
    within.stations.clear();
    within.ports.retain(|p| p.name != name);
    within.ports.push(port);
    let config = Config::try_from(vsw_api::draft(config)).map_err(Error::Violations)?;
    let found = config.port(&name).map(|(_, p)| p.clone());
    found.ok_or_else(|| Error::NoPort { bridge: bridge.to_owned(), port: name })
}

/// What differs, as a person would name it.
fn differences(a: &Port, b: &Port) -> Vec<&'static str> {
    [
        (a.kind != b.kind, "type, interface or socket"),
        (a.vlans != b.vlans, "VLAN setting"),
        (a.mac != b.mac, "MAC address"),
        (a.mtu != b.mtu, "MTU"),
        (a.queues != b.queues, "queue count"),
        (a.mac_limit != b.mac_limit, "MAC limit"),
        (a.isolated != b.isolated, "isolation"),
        (a.qos != b.qos, "quality of service"),
    ]
    .into_iter()
    .filter_map(|(differs, what)| differs.then_some(what))
    .collect()
}

pub fn set_port(now: &Config, request: v1::SetPortRequest) -> Result<Change, Error> {
    named(&request.port, "port name")?;
    known(now, &request.bridge, Some(&request.port))?;
    let mut config = vsw_api::message(now);
    let ports = &mut bridge_mut(&mut config, &request.bridge)?.ports;
    let mut notes = Vec::new();
    for port in ports.iter_mut().filter(|p| p.name == request.port) {
        port.vlan = request.vlan.clone().or(port.vlan.take());
        port.mac = request.mac.clone().or(port.mac.take());
        port.mtu = request.mtu.or(port.mtu);
        port.queues = request.queues.or(port.queues);
        port.mac_limit = request.mac_limit.or(port.mac_limit).filter(|limit| *limit != 0);
        port.isolated = request.isolated.unwrap_or(port.isolated);
        notes.extend(qos::set(port, &request)?);
    }
    let asked = format!("set-port {} {}", request.bridge, request.port);
    Ok(Change { notes, ..Change::new(config, asked).about(&request.port) })
}

/// Its static stations go with it.
pub fn delete_port(now: &Config, request: v1::DeletePortRequest) -> Result<Change, Error> {
    let v1::DeletePortRequest { bridge, port, if_exists, .. } = request;
    named(&port, "port name")?;
    let asked = format!("del-port {bridge} {port}");
    match known(now, &bridge, Some(&port)) {
        Err(Error::NoPort { .. }) if if_exists => return Ok(Change::none(now, asked)),
        known => known?,
    }
    let mut config = vsw_api::message(now);
    let within = bridge_mut(&mut config, &bridge)?;
    within.ports.retain(|p| p.name != port);
    within.stations.retain(|s| s.port != port);
    Ok(Change::new(config, asked))
}
