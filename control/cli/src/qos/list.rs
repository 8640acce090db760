//! Profiles, and what ports say of quality of service, as they are configured.

use super::write;
use crate::output::{Item, View, lines};
use serde::Serialize;
use vsw_api::v1;

#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// As it is typed; null: no limit.
    pub(crate) sent_by: Option<String>,
    /// The same, without the classes.
    pub(crate) sent_to: Option<String>,
    pub(crate) sent_by_bits_per_second: Option<u64>,
    pub(crate) sent_by_packets_per_second: Option<u64>,
    pub(crate) sent_to_bits_per_second: Option<u64>,
    /// Each as it is typed; empty: one class for everything.
    pub(crate) classes: Vec<String>,
    /// Those that have it.
    pub(crate) ports: Vec<String>,
}

impl Profile {
    pub(crate) fn all(config: &v1::Config) -> Vec<Self> {
        let ports = || config.bridges.iter().flat_map(|b| &b.ports);
        let uses = |p: &v1::Port, name: &str| {
            p.qos.as_ref().and_then(|q| q.profile.as_deref()).is_some_and(|profile| profile == name)
        };
        let profile = |p: &v1::QosProfile| Self {
            ports: ports().filter(|port| uses(port, &p.name)).map(|port| port.name.clone()).collect(),
            ..Self::new(p)
        };
        config.profiles.iter().map(profile).collect()
    }

    fn new(p: &v1::QosProfile) -> Self {
        let by = p.sent_by.as_ref();
        let to = p.sent_to.as_ref();
        Self {
            name: p.name.clone(),
            sent_by: by.map(write::sent_by),
            sent_to: to.map(write::sent_to).filter(|s| !s.is_empty()),
            sent_by_bits_per_second: by.and_then(|p| p.rate),
            sent_by_packets_per_second: by.and_then(|p| p.packets),
            sent_to_bits_per_second: to.and_then(|s| s.max),
            classes: to.iter().flat_map(|s| &s.classes).map(write::class).collect(),
            ports: Vec::new(),
        }
    }
}

impl View for Vec<Profile> {
    fn table(&self) -> String {
        if self.is_empty() {
            return "There is no QoS profile. Make one with `vswctl add-qos gold --sent-to 1g`.\n".into();
        }
        let said = |text: &Option<String>| Item::text(text.as_deref().unwrap_or("-"));
        let ports = |p: &Profile| match &p.ports[..] {
            [] => "-".to_owned(),
            few if few.len() <= 3 => few.join(","),
            many => format!("{},{} and {} more", many[0], many[1], many.len() - 2),
        };
        let rows = self
            .iter()
            .map(|p| [Item::text(&p.name), said(&p.sent_by), said(&p.sent_to), Item::text(ports(p))]);
        let table = lines(["PROFILE", "SENT BY", "SENT TO", "PORTS"], rows.collect());
        let mut out = String::new();
        for (n, line) in table.iter().enumerate() {
            out += &format!("{line}\n");
            let classes = n.checked_sub(1).and_then(|n| self.get(n)).map(|p| &p.classes[..]);
            classes.unwrap_or_default().iter().for_each(|class| out += &format!("  {class}\n"));
        }
        out
    }
}

/// What a port says, in `show`.
#[derive(Debug, Serialize)]
pub(crate) struct PortQos {
    /// The named profile; null: one of its own, or none.
    pub(crate) profile: Option<String>,
    /// Of its own profile.
    pub(crate) sent_by: Option<String>,
    pub(crate) sent_to: Option<String>,
    pub(crate) classes: Vec<String>,
    /// both, none, pcp or dscp.
    pub(crate) trust: String,
    /// As it is typed; null: no limit.
    pub(crate) storm: Option<String>,
}

impl PortQos {
    pub(crate) fn new(q: &v1::PortQos) -> Self {
        let own = q.own.as_ref().map(Profile::new);
        let (sent_by, sent_to, classes) =
            own.map_or_else(Default::default, |p| (p.sent_by, p.sent_to, p.classes));
        let trust = if q.trust.is_empty() { "both" } else { &q.trust };
        Self {
            profile: q.profile.clone(),
            sent_by,
            sent_to,
            classes,
            trust: trust.to_owned(),
            storm: q.storm.as_ref().map(write::storm),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let said = |what: &str, value: &Option<String>| value.as_ref().map(|v| format!("{what} {v}"));
        let classes = match self.classes.len() {
            0 => None,
            1 => Some("1 class".to_owned()),
            n => Some(format!("{n} classes")),
        };
        let words = [
            said("QoS", &self.profile),
            said("sent by", &self.sent_by),
            said("sent to", &self.sent_to),
            classes,
            (self.trust != "both").then(|| format!("trust {}", self.trust)),
            said("storm", &self.storm),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}
