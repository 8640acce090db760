//! Messages to drafts, configurations to messages.

mod qos;

use crate::v1;
use vsw_config::{Config, Draft, DraftBridge, DraftPort, DraftStation, DraftVlan, PortKind, VlanMode};

/// What a message asks for, not yet checked.
pub fn draft(config: v1::Config) -> Draft {
    Draft {
        generation: config.generation,
        bridges: config
            .bridges
            .into_iter()
            .map(|b| DraftBridge {
                name: b.name,
                ageing_seconds: b.ageing_seconds,
                mac_limit: b.mac_limit,
                ports: b.ports.into_iter().map(port_draft).collect(),
                stations: b
                    .stations
                    .into_iter()
                    .map(|s| DraftStation { mac: s.mac, port: s.port, vlan: s.vlan })
                    .collect(),
            })
            .collect(),
        profiles: config.profiles.into_iter().map(qos::profile_draft).collect(),
    }
}

fn port_draft(p: v1::Port) -> DraftPort {
    let vlan = p.vlan.unwrap_or_default();
    DraftPort {
        name: p.name,
        kind: p.r#type,
        vlan: DraftVlan {
            access: vlan.access,
            trunk: vlan.trunk,
            native: vlan.native,
            native_tagged: vlan.native_tagged,
            qinq: vlan.qinq,
            cvlans: vlan.cvlans,
        },
        netns: p.netns,
        ifname: p.ifname,
        peer: p.peer,
        mac: p.mac,
        mtu: p.mtu,
        queues: p.queues,
        mac_limit: p.mac_limit,
        isolated: p.isolated,
        socket: p.socket,
        socket_mode: p.socket_mode,
        qos: p.qos.map(qos::port_draft).unwrap_or_default(),
    }
}

/// A configuration as a message that means the same: `Config::try_from(draft(message(c))) == Ok(c)`.
pub fn message(config: &Config) -> v1::Config {
    v1::Config {
        generation: config.generation().0,
        bridges: config
            .bridges()
            .map(|(name, b)| v1::Bridge {
                name: name.to_string(),
                ageing_seconds: Some(b.ageing_seconds),
                mac_limit: Some(b.mac_limit),
                ports: b.ports.iter().map(|(n, p)| port_message(n.as_str(), p)).collect(),
                stations: b
                    .stations
                    .iter()
                    .map(|((vlan, mac), port)| v1::Station {
                        mac: mac.to_string(),
                        port: port.to_string(),
                        vlan: Some(vlan.get().into()),
                    })
                    .collect(),
            })
            .collect(),
        profiles: config.profiles().map(|(name, p)| qos::profile_message(name.as_str(), p)).collect(),
    }
}

fn port_message(name: &str, p: &vsw_config::Port) -> v1::Port {
    let (netns, ifname, peer) = match &p.kind {
        PortKind::Tap { netns, ifname } => {
            (netns.as_ref().map(|n| n.to_string()), ifname.as_ref().map(|n| n.to_string()), None)
        }
        PortKind::Patch { peer } => (None, None, Some(peer.to_string())),
        _ => (None, None, None),
    };
    let (socket, socket_mode) = match &p.kind {
        // A path came as text, and is that.
        PortKind::VhostUser { socket, server } => (
            socket.as_ref().map(|path| path.to_string_lossy().into_owned()),
            server.then(|| "server".to_owned()),
        ),
        _ => (None, None),
    };
    v1::Port {
        name: name.to_owned(),
        r#type: p.kind.name().to_owned(),
        vlan: Some(vlan_message(&p.vlans)),
        netns,
        ifname,
        peer,
        mac: p.mac.map(|m| m.to_string()),
        mtu: p.mtu.map(u32::from),
        queues: p.queues.map(u32::from),
        mac_limit: p.mac_limit,
        isolated: p.isolated,
        socket,
        socket_mode,
        qos: qos::port_message(&p.qos),
    }
}

fn vlan_message(vlans: &VlanMode) -> v1::Vlan {
    match vlans {
        VlanMode::Access(v) => v1::Vlan { access: Some(v.get().into()), ..Default::default() },
        VlanMode::Trunk { allowed, native, native_tagged } => v1::Vlan {
            trunk: Some(allowed.to_string()),
            native: native.map(|v| v.get().into()),
            native_tagged: *native_tagged,
            ..Default::default()
        },
        VlanMode::Qinq { service, customers } => v1::Vlan {
            qinq: Some(service.get().into()),
            cvlans: customers.as_ref().map(|c| c.to_string()),
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_config::{
        DraftClass, DraftMatch, DraftPolicer, DraftPortQos, DraftProfile, DraftRate, DraftShaper, DraftStorm,
    };

    fn gold() -> DraftProfile {
        let class = |name: &str, dscp: Option<u32>| DraftClass {
            name: name.into(),
            matches: DraftMatch { dscps: dscp.into_iter().collect(), ..Default::default() },
            ..Default::default()
        };
        let voice = DraftClass { prio: true, queue_us: Some(5_000), ..class("voice", Some(46)) };
        let web = DraftClass {
            matches: DraftMatch {
                pcps: vec![3, 1],
                vlans: Some("10,20".into()),
                ethertypes: vec![0x800],
                protocols: vec![17, 6],
                ports: vec![(443, 443), (80, 81)],
                ..Default::default()
            },
            weight: Some(3),
            min: Some(5_000_000),
            max: Some(800_000_000),
            queue_bytes: Some(64_000),
            codel: Some(false),
            flows: Some(false),
            ecn: Some(false),
            set_pcp: Some(7),
            set_dscp: Some(10),
            ..class("web", None)
        };
        let rest = DraftClass { codel_target_us: Some(9_000), ..class("others", None) };
        DraftProfile {
            name: "voice+bulk".into(),
            sent_by: Some(DraftPolicer {
                rate: Some(500_000_000),
                burst: Some(100_000),
                peak: Some(400_000_000_000),
                packets: Some(20_000),
                packet_burst: Some(64),
                yellow: "remark".into(),
                red: "remark".into(),
                ..Default::default()
            }),
            sent_to: Some(DraftShaper {
                max: Some(40_000_000_000),
                min: Some(100_000_000),
                burst: Some(9_000),
                starve_us: Some(20_000),
                classes: vec![voice, web, rest],
            }),
        }
    }

    #[test]
    fn a_configuration_survives_the_wire() {
        let port =
            |name: &str, kind: &str| DraftPort { name: name.into(), kind: kind.into(), ..Default::default() };
        let mut access = port("acc", "tap");
        access.vlan.access = Some(10);
        access.netns = Some("blue".into());
        access.ifname = Some("eth0".into());
        access.mac = Some("02:00:00:00:00:01".into());
        access.qos = DraftPortQos {
            profile: Some("voice+bulk".into()),
            trust: "dscp".into(),
            storm: DraftStorm {
                broadcast: Some(DraftRate::Packets(500)),
                unknown: Some(DraftRate::Bits(1_000_000)),
                ..Default::default()
            },
            ..Default::default()
        };
        let mut trunk = port("trunk", "packet");
        trunk.vlan = DraftVlan {
            trunk: Some("10,20-29".into()),
            native: Some(20),
            native_tagged: true,
            ..Default::default()
        };
        trunk.mtu = Some(9000);
        let mut qinq = port("qinq", "afxdp");
        qinq.vlan = DraftVlan { qinq: Some(100), cvlans: Some("5-6".into()), ..Default::default() };
        qinq.queues = Some(2);
        let limit = |excess: Option<u64>, burst: Option<u64>| DraftProfile {
            sent_by: Some(DraftPolicer {
                rate: Some(1_000_000),
                excess,
                excess_burst: burst,
                ..Default::default()
            }),
            sent_to: Some(DraftShaper { min: Some(5_000), ..Default::default() }),
            ..Default::default()
        };
        qinq.qos.own = Some(limit(Some(5_000), None));
        trunk.qos.own = Some(limit(None, Some(10_000)));
        let mut patch = port("pa", "patch");
        patch.peer = Some("pb".into());
        patch.isolated = true;
        patch.mac_limit = Some(7);
        let mut vm = port("vm", "vhost-user");
        vm.socket = Some("/run/vm/web.sock".into());
        vm.socket_mode = Some("server".into());
        let config = Config::try_from(Draft {
            generation: 42,
            bridges: vec![DraftBridge {
                name: "br0".into(),
                ageing_seconds: Some(60),
                mac_limit: Some(100),
                ports: vec![
                    access,
                    trunk,
                    qinq,
                    patch,
                    vm,
                    port("vm2", "vhost-user"),
                    port("plain", ""),
                    port("br0", "internal"),
                ],
                stations: vec![DraftStation {
                    mac: "02:00:00:00:00:09".into(),
                    port: "acc".into(),
                    vlan: None,
                }],
            }],
            profiles: vec![gold(), DraftProfile { name: "plain".into(), ..limit(None, None) }],
        })
        .unwrap();
        assert_eq!(config.profile("plain").unwrap().sent_to.as_ref().unwrap().classes.len(), 1);
        assert_eq!(Config::try_from(draft(message(&config))).unwrap(), config);
    }
}
