//! The commands that change something. They print nothing when it is done.

use crate::args::{AddQos, BridgeSettings, Change, Global, PortSettings};
use crate::client::{Client, Failure, wait};
use crate::output::{self, View};
use vsw_api::v1::*;

pub(crate) async fn run(change: &Change, global: &Global) -> Result<(), Failure> {
    let client = Client::connect(global).await?;
    let mut api = client.api.clone();
    let wait = wait(global);
    let reply = match change {
        Change::AddBr { bridge, settings: BridgeSettings { ageing, mac_limit } } => {
            let (name, ageing_seconds, mac_limit) = (bridge.clone(), *ageing, *mac_limit);
            let bridge = Some(Bridge { name, ageing_seconds, mac_limit, ..Default::default() });
            client.answer(api.add_bridge(AddBridgeRequest { bridge, wait })).await?
        }
        Change::DelBr { bridge, if_exists } => {
            let request = DeleteBridgeRequest { name: bridge.clone(), if_exists: *if_exists, wait };
            client.answer(api.delete_bridge(request)).await?
        }
        Change::SetBr { bridge, settings: BridgeSettings { ageing, mac_limit } } => {
            let (name, ageing_seconds, mac_limit) = (bridge.clone(), *ageing, *mac_limit);
            client.answer(api.set_bridge(SetBridgeRequest { name, ageing_seconds, mac_limit, wait })).await?
        }
        Change::SetAgeing { bridge, seconds } => {
            let (name, ageing_seconds) = (bridge.clone(), Some(*seconds));
            let request = SetBridgeRequest { name, ageing_seconds, mac_limit: None, wait };
            client.answer(api.set_bridge(request)).await?
        }
        Change::AddPort { bridge, port, kind, settings, netns, ifname, peer, socket, mode, may_exist } => {
            let port = Port {
                name: port.clone(),
                r#type: kind.clone().unwrap_or_default(),
                vlan: vlan(settings),
                netns: netns.clone(),
                ifname: ifname.clone(),
                peer: peer.clone(),
                mac: settings.mac.clone(),
                mtu: settings.mtu,
                queues: settings.queues,
                mac_limit: settings.mac_limit,
                isolated: settings.isolated.unwrap_or_default(),
                socket: socket.clone(),
                socket_mode: mode.clone(),
                qos: settings.qos.port(),
            };
            let (bridge, may_exist) = (bridge.clone(), *may_exist);
            client.answer(api.add_port(AddPortRequest { bridge, port: Some(port), may_exist, wait })).await?
        }
        Change::SetPort { bridge, port, settings } => {
            let request = SetPortRequest {
                bridge: bridge.clone(),
                port: port.clone(),
                vlan: vlan(settings),
                mac: settings.mac.clone(),
                mtu: settings.mtu,
                queues: settings.queues,
                mac_limit: settings.mac_limit,
                isolated: settings.isolated,
                wait,
                qos: settings.qos.named(),
                own_qos: settings.qos.own.change(),
                trust: settings.qos.trust.clone(),
                storm: settings.qos.storm,
            };
            client.answer(api.set_port(request)).await?
        }
        Change::DelPort { bridge, port, if_exists } => {
            let (bridge, port, if_exists) = (bridge.clone(), port.clone(), *if_exists);
            client.answer(api.delete_port(DeletePortRequest { bridge, port, if_exists, wait })).await?
        }
        Change::AddQos(AddQos { name, settings, may_exist }) => {
            // A name without anything is for the control process to refuse.
            let named = || QosProfile { name: name.clone(), ..Default::default() };
            let profile = Some(settings.profile(name).unwrap_or_else(named));
            let may_exist = *may_exist;
            client.answer(api.add_qos(AddQosRequest { profile, may_exist, wait })).await?
        }
        Change::SetQos { name, settings } => {
            let (name, change) = (name.clone(), settings.change());
            client.answer(api.set_qos(SetQosRequest { name, change, wait })).await?
        }
        Change::DelQos { name, if_exists } => {
            let request = DeleteQosRequest { name: name.clone(), if_exists: *if_exists, wait };
            client.answer(api.delete_qos(request)).await?
        }
        Change::AddMac { bridge, mac, port, vlan } => {
            let station = Some(Station { mac: mac.clone(), port: port.clone(), vlan: *vlan });
            client
                .answer(api.add_station(AddStationRequest { bridge: bridge.clone(), station, wait }))
                .await?
        }
        Change::DelMac { bridge, mac, vlan } => {
            let (bridge, mac, vlan) = (bridge.clone(), mac.clone(), *vlan);
            client.answer(api.delete_station(DeleteStationRequest { bridge, mac, vlan, wait })).await?
        }
        Change::FlushMacs { bridge, port, vlan, fixed } => {
            let (bridge, port, vlan) = (bridge.clone(), port.clone(), *vlan);
            let request = FlushMacsRequest { bridge, port, vlan, r#static: *fixed };
            let FlushMacsReply { flushed } = client.answer(api.flush_macs(request)).await?;
            return output::show(global.output, &Flushed { flushed });
        }
    };
    reply.notes.iter().for_each(|note| eprintln!("note: {note}"));
    if reply.pending.is_empty() { Ok(()) } else { Err(Failure::Pending(reply.pending)) }
}

/// `None` when nothing about VLANs was typed.
fn vlan(s: &PortSettings) -> Option<Vlan> {
    let vlan = Vlan {
        access: s.vlan,
        trunk: s.trunk.clone(),
        native: s.native,
        native_tagged: s.native_tagged,
        qinq: s.qinq,
        cvlans: s.cvlans.clone(),
    };
    (vlan != Vlan::default()).then_some(vlan)
}

#[derive(serde::Serialize)]
struct Flushed {
    flushed: u64,
}

impl View for Flushed {
    fn table(&self) -> String {
        match self.flushed {
            1 => "1 station forgotten\n".into(),
            n => format!("{n} stations forgotten\n"),
        }
    }
}
