//! The shapes of the JSON and YAML output. Field names are a promise: extend, never rename.
//!
//! Sizes in bytes, times in seconds. A number that is not known is null, a text that is not known is empty.

use crate::qos::list::PortQos;
use serde::Serialize;
use vsw_api::v1::{self, PortState};
use vsw_types::VlanSet;

#[derive(Debug, Serialize)]
pub(crate) struct Switch {
    pub(crate) generation: u64,
    pub(crate) bridges: Vec<Bridge>,
    /// Why the dataplane has no say in this.
    #[serde(skip)]
    pub(crate) unreachable: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    pub(crate) ageing_seconds: u32,
    pub(crate) ports: Vec<Port>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Port {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) type_reason: String,
    /// up, down or failed.
    pub(crate) state: &'static str,
    pub(crate) reason: String,
    pub(crate) mode: String,
    pub(crate) vlan_mode: &'static str,
    /// Of an access port; the native one of a trunk; the service VLAN of a QinQ port.
    pub(crate) vlan: Option<u32>,
    /// Allowed on a trunk; the customer VLANs of a QinQ port.
    pub(crate) trunks: Vec<u16>,
    pub(crate) mac: Option<String>,
    pub(crate) mtu: Option<u32>,
    pub(crate) queues: Option<u32>,
    pub(crate) offloads: Vec<String>,
    /// Left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qos: Option<PortQos>,
}

impl Switch {
    pub(crate) fn new(reply: v1::ShowReply) -> Self {
        let config = reply.config.unwrap_or_default();
        let status = reply.datapath.as_ref();
        let bridge = |b: v1::Bridge| Bridge {
            name: b.name,
            ageing_seconds: b.ageing_seconds.unwrap_or_default(),
            ports: b
                .ports
                .into_iter()
                .map(|p| match status {
                    Some(status) => Port::new(status.ports.iter().find(|s| s.name == p.name), p),
                    None => Port { reason: reply.unreachable.clone(), ..Port::new(None, p) },
                })
                .collect(),
        };
        let bridges = config.bridges.into_iter().map(bridge).collect();
        Self { generation: config.generation, bridges, unreachable: reply.unreachable }
    }
}

impl Port {
    fn new(status: Option<&v1::PortStatus>, p: v1::Port) -> Self {
        let s = status.cloned().unwrap_or_else(|| v1::PortStatus {
            reason: "the dataplane does not report it yet".into(),
            ..Default::default()
        });
        let (vlan_mode, vlan, trunks) = vlans(&p.vlan.unwrap_or_default());
        Self {
            name: p.name,
            state: match s.state() {
                PortState::Up => "up",
                PortState::Failed => "failed",
                PortState::Down | PortState::Unspecified => "down",
            },
            kind: if s.r#type.is_empty() { p.r#type } else { s.r#type },
            type_reason: s.type_reason,
            reason: s.reason,
            mode: s.mode,
            vlan_mode,
            vlan,
            trunks,
            mac: Some(s.mac).filter(|mac| !mac.is_empty()).or(p.mac),
            mtu: Some(s.mtu).filter(|mtu| *mtu != 0).or(p.mtu),
            queues: Some(s.queues).filter(|n| *n != 0).or(p.queues),
            offloads: s.offloads,
            qos: p.qos.as_ref().map(PortQos::new),
        }
    }
}

fn vlans(v: &v1::Vlan) -> (&'static str, Option<u32>, Vec<u16>) {
    let list = |list: &Option<String>| -> Vec<u16> {
        let set: VlanSet = list.as_deref().and_then(|l| l.parse().ok()).unwrap_or_default();
        set.iter().map(|v| v.get()).collect()
    };
    match v {
        v1::Vlan { access: Some(n), .. } => ("access", Some(*n), Vec::new()),
        v1::Vlan { qinq: Some(n), .. } => ("qinq", Some(*n), list(&v.cvlans)),
        v1::Vlan { native: None, .. } => ("trunk", None, list(&v.trunk)),
        v1::Vlan { native_tagged: true, .. } => ("native-tagged", v.native, list(&v.trunk)),
        _ => ("native-untagged", v.native, list(&v.trunk)),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Mac {
    pub(crate) mac: String,
    pub(crate) vlan: u32,
    pub(crate) port: String,
    pub(crate) age_seconds: u32,
    #[serde(rename = "static")]
    pub(crate) fixed: bool,
}

impl From<v1::Mac> for Mac {
    fn from(m: v1::Mac) -> Self {
        Self { mac: m.mac, vlan: m.vlan, port: m.port, age_seconds: m.age_seconds, fixed: m.r#static }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) bridge: String,
    pub(crate) port: String,
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_dropped: u64,
    /// Stations behind the port now.
    pub(crate) macs: u32,
    /// Stations that moved to it.
    pub(crate) macs_moved: u64,
    /// Stations of it that gave way to others in a full table.
    pub(crate) macs_evicted: u64,
    /// Frames whose source was not learned: a limit was reached.
    pub(crate) macs_refused: u64,
}

impl From<&v1::PortCounters> for Stats {
    fn from(c: &v1::PortCounters) -> Self {
        let dropped =
            |way: &str| c.drops.iter().filter(|d| d.direction == way).map(|d| d.packets).sum::<u64>();
        Self {
            bridge: c.bridge.clone(),
            port: c.port.clone(),
            rx_packets: c.rx_packets,
            rx_bytes: c.rx_bytes,
            tx_packets: c.tx_packets,
            tx_bytes: c.tx_bytes,
            rx_dropped: dropped("rx"),
            tx_dropped: dropped("tx"),
            macs: c.macs,
            macs_moved: c.macs_moved,
            macs_evicted: c.macs_evicted,
            macs_refused: c.macs_refused,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Drop {
    pub(crate) bridge: String,
    pub(crate) port: String,
    pub(crate) direction: String,
    pub(crate) reason: String,
    pub(crate) packets: u64,
    /// For people.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Drop {
    /// Only what did happen.
    pub(crate) fn all(reply: v1::CountersReply) -> Vec<Self> {
        let of_port = |c: v1::PortCounters| {
            c.drops.into_iter().filter(|d| d.packets > 0).map(move |d| Self {
                bridge: c.bridge.clone(),
                port: c.port.clone(),
                direction: d.direction,
                reason: d.reason,
                packets: d.packets,
                text: d.text,
            })
        };
        reply.ports.into_iter().flat_map(of_port).collect()
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) vswctl: &'static str,
    pub(crate) vswcontrold: String,
    /// Empty when it cannot be reached.
    pub(crate) vswd: String,
}
