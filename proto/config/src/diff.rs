//! What must be done to get from one configuration to another.

use crate::{Config, Port};
use vsw_types::Name;

/// Ports by what happens to them. Bridges and stations need no list: they live in the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub removed: Vec<Name>,
    pub added: Vec<Name>,
    pub changed: Vec<(Name, PortChange)>,
}

/// How deep a change to a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChange {
    /// Only rules of forwarding: the next snapshot has them, the device is left alone.
    Rules,
    /// Settings of the open device: MAC or MTU.
    Device,
    /// Another device: close, and open anew.
    Reopen,
}

/// What leads from `old` to `new`. A port that moves to another bridge is changed, not removed and added.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let mut d = Diff::default();
    for (_, name, _) in old.ports() {
        if new.port(name.as_str()).is_none() {
            d.removed.push(name.clone());
        }
    }
    for (bridge, name, port) in new.ports() {
        match old.port(name.as_str()) {
            None => d.added.push(name.clone()),
            Some((was_in, was)) => {
                if let Some(change) = change(was, port, was_in != bridge) {
                    d.changed.push((name.clone(), change));
                }
            }
        }
    }
    d
}

fn change(was: &Port, is: &Port, moved: bool) -> Option<PortChange> {
    if was.kind != is.kind || was.queues != is.queues {
        return Some(PortChange::Reopen);
    }
    if was.mac != is.mac || was.mtu != is.mtu {
        return Some(PortChange::Device);
    }
    (moved || was != is).then_some(PortChange::Rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draft, DraftBridge, DraftPort};

    fn config(ports: &[DraftPort]) -> Config {
        let bridges = vec![DraftBridge { name: "br0".into(), ports: ports.to_vec(), ..Default::default() }];
        Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).unwrap()
    }

    #[test]
    fn each_change_has_its_depth() {
        let p = |n: &str| DraftPort { name: n.into(), ..Default::default() };
        let vm = |n: &str, mode: Option<&str>| DraftPort {
            kind: "vhost-user".into(),
            socket_mode: mode.map(str::to_owned),
            ..p(n)
        };
        let old = config(&[
            p("gone"),
            p("same"),
            p("vlan"),
            p("mtu"),
            p("kind"),
            vm("vm", None),
            vm("vm2", Some("client")),
        ]);
        let mut vlan = p("vlan");
        vlan.vlan.access = Some(10);
        let mtu = DraftPort { mtu: Some(9000), ..p("mtu") };
        let kind = DraftPort { kind: "tap".into(), ..p("kind") };
        let d = diff(
            &old,
            &config(&[p("same"), vlan, mtu, kind, p("new"), vm("vm", Some("server")), vm("vm2", None)]),
        );
        let name = |n: &str| Name::new(n).unwrap();
        assert_eq!(d.removed, [name("gone")]);
        assert_eq!(d.added, [name("new")]);
        assert_eq!(
            d.changed,
            [
                (name("kind"), PortChange::Reopen),
                (name("mtu"), PortChange::Device),
                (name("vlan"), PortChange::Rules),
                (name("vm"), PortChange::Reopen)
            ]
        );
    }
}
