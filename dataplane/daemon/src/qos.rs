//! What quality of service did, told to the control process: the packet path's numbers under the names that
//! the configuration gives them.

use crate::switch::Switch;
use vsw_api::v1;
use vsw_config::Config;
use vsw_config::qos::PortQos;
use vsw_types::{ClassStats, Count, Name, QosStats};

/// Of one port, or of all that have any quality of service.
pub(crate) fn stats(switch: &Switch, port: Option<&str>) -> Vec<v1::PortQosStats> {
    // What is not open has counted nothing.
    let stats = |name: &Name| {
        let slot = switch.ports.get(name)?.slot;
        Some(switch.engine.qos_stats(slot).unwrap_or_default())
    };
    messages(&switch.config, port, stats)
}

fn messages(
    config: &Config,
    port: Option<&str>,
    stats: impl Fn(&Name) -> Option<QosStats>,
) -> Vec<v1::PortQosStats> {
    let wanted = |name: &Name, qos: &PortQos| match port {
        Some(p) => p == name.as_str(),
        None => qos.profile.is_some() || !qos.storm.is_none(),
    };
    let ports = config.ports().filter(|(_, name, p)| wanted(name, &p.qos));
    let message = |(bridge, name, port): (&Name, &Name, &vsw_config::Port)| {
        Some(v1::PortQosStats {
            bridge: bridge.to_string(),
            port: name.to_string(),
            ..of_port(&port.qos, &stats(name)?)
        })
    };
    ports.filter_map(message).collect()
}

/// What was configured is always told, even where nothing was counted yet.
fn of_port(qos: &PortQos, stats: &QosStats) -> v1::PortQosStats {
    let policed = qos.sent_by().filter(|p| !p.waits()).map(|_| stats.sent_by.unwrap_or_default());
    let queue = qos.sent_by().filter(|p| p.waits()).map(|_| of_class("", stats.sent_by_queue.as_ref()));
    let limits = [
        ("broadcast", qos.storm.broadcast),
        ("multicast", qos.storm.multicast),
        ("unknown", qos.storm.unknown),
    ];
    let storm = limits.into_iter().zip(stats.storm).filter(|((_, limit), _)| limit.is_some());
    let classes = qos.sent_to().map(|s| &s.classes[..]).unwrap_or_default().iter().enumerate();
    v1::PortQosStats {
        profile: qos.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        sent_by: policed.map(|p| v1::PolicerStats {
            green: count(p.green),
            yellow: count(p.yellow),
            red: count(p.red),
            dropped: count(p.dropped),
            remarked: p.remarked,
        }),
        sent_by_queue: queue,
        storm: storm
            .map(|((kind, _), s)| v1::StormStats {
                kind: kind.to_owned(),
                passed: count(s.passed),
                dropped: count(s.dropped),
            })
            .collect(),
        classes: classes.map(|(n, c)| of_class(&c.name.to_string(), stats.classes.get(n))).collect(),
        ..Default::default()
    }
}

fn of_class(name: &str, stats: Option<&ClassStats>) -> v1::ClassStats {
    let stats = stats.cloned().unwrap_or_default();
    let drops = stats.drops.iter().filter(|(_, packets)| *packets > 0);
    v1::ClassStats {
        name: name.to_owned(),
        sent: count(stats.sent),
        drops: drops.map(|(r, n)| v1::QosDrop { reason: r.name().to_owned(), packets: *n }).collect(),
        ecn_marked: stats.ecn_marked,
        queue_packets: stats.queue_packets,
        queue_bytes: stats.queue_bytes,
        queue_bytes_max: stats.queue_bytes_max,
        delay_ns: stats.delay_ns,
        delay_ns_max: stats.delay_ns_max,
    }
}

fn count(c: Count) -> Option<v1::QosCount> {
    Some(v1::QosCount { packets: c.packets, bytes: c.bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_config::{
        Draft, DraftBridge, DraftPolicer, DraftPort, DraftPortQos, DraftProfile, DraftRate, DraftShaper,
        DraftStorm,
    };
    use vsw_types::{DropReason, PolicerStats, StormStats};

    fn config() -> Config {
        let own = DraftProfile {
            sent_by: Some(DraftPolicer { rate: Some(1_000_000), ..Default::default() }),
            sent_to: Some(DraftShaper::default()),
            ..Default::default()
        };
        let storm = DraftStorm { multicast: Some(DraftRate::Packets(5)), ..Default::default() };
        let shaped = DraftPortQos { own: Some(own), storm, ..Default::default() };
        let ports = vec![
            DraftPort { name: "plain".into(), ..Default::default() },
            DraftPort { name: "shaped".into(), qos: shaped, ..Default::default() },
        ];
        let bridges = vec![DraftBridge { name: "br0".into(), ports, ..Default::default() }];
        Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).unwrap()
    }

    #[test]
    fn numbers_get_the_names_of_the_configuration() {
        let c = |packets| Count { packets, bytes: packets * 100 };
        let class = ClassStats {
            sent: c(7),
            drops: vec![(DropReason::ClassFull, 2), (DropReason::ClassDelay, 0)],
            queue_bytes_max: 3000,
            ..Default::default()
        };
        let storm = |n| StormStats { passed: c(n), dropped: c(n + 1) };
        let stats = QosStats {
            sent_by: Some(PolicerStats { green: c(1), red: c(2), dropped: c(2), ..Default::default() }),
            storm: [storm(10), storm(20), storm(30)],
            classes: vec![class],
            ..Default::default()
        };
        let told = messages(&config(), None, |_| Some(stats.clone()));
        let [port] = &told[..] else { panic!("{told:?}") };
        assert_eq!((port.port.as_str(), port.bridge.as_str()), ("shaped", "br0"));
        let by = port.sent_by.unwrap();
        assert_eq!((by.green.unwrap().bytes, by.dropped.unwrap().packets), (100, 2));
        let [s] = &port.storm[..] else { panic!("{:?}", port.storm) };
        assert_eq!(
            (s.kind.as_str(), s.passed.unwrap().packets, s.dropped.unwrap().packets),
            ("multicast", 20, 21)
        );
        let [rest] = &port.classes[..] else { panic!("{:?}", port.classes) };
        assert_eq!((rest.name.as_str(), rest.sent.unwrap().packets, rest.queue_bytes_max), ("rest", 7, 3000));
        assert_eq!(rest.drops, [v1::QosDrop { reason: "class-full".into(), packets: 2 }]);
    }

    #[test]
    fn what_waits_is_not_policed() {
        let sent_by = DraftPolicer { rate: Some(1_000_000), red: "wait".into(), ..Default::default() };
        let own = DraftProfile { sent_by: Some(sent_by), ..Default::default() };
        let qos = DraftPortQos { own: Some(own), ..Default::default() };
        let ports = vec![DraftPort { name: "patient".into(), qos, ..Default::default() }];
        let bridges = vec![DraftBridge { name: "br0".into(), ports, ..Default::default() }];
        let config = Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).unwrap();
        let queue = ClassStats { queue_bytes: 5, ..Default::default() };
        let stats = QosStats { sent_by_queue: Some(queue), ..Default::default() };
        let told = messages(&config, None, |_| Some(stats.clone()));
        assert_eq!((told[0].sent_by, told[0].sent_by_queue.as_ref().map(|q| q.queue_bytes)), (None, Some(5)));
    }

    #[test]
    fn what_has_none_is_told_when_asked_for() {
        let told = messages(&config(), Some("plain"), |_| Some(QosStats::default()));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].classes.len(), told[0].sent_by), (0, None));
        assert_eq!(messages(&config(), Some("shaped"), |_| Some(QosStats::default()))[0].classes.len(), 1);
    }
}
