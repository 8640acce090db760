//! The same story for every kind of port.

use crate::traffic::{addresses, reaches};
use crate::{Lab, Namespace, eventually};
use std::net::SocketAddr;

/// Kinds of ports, with settings of their own. The TAP has a queue for each worker of the lab.
const KINDS: [(&str, &str); 3] = [("tap", "--queues 2"), ("packet", ""), ("afxdp", "")];

/// Two machines on a bridge of their own, by ports of one kind, called after it.
#[derive(Debug)]
pub struct Pair {
    pub kind: &'static str,
    pub a: Namespace,
    pub b: Namespace,
}

impl Pair {
    /// A pair of each kind; ports with these settings.
    #[track_caller]
    pub fn of_each_kind(lab: &Lab, for_a: &str, for_b: &str) -> Vec<Self> {
        let pair = |(kind, settings): (&'static str, &str)| {
            lab.good(&format!("add-br {kind}"));
            let [a, b] = [("a", 1, for_a), ("b", 2, for_b)].map(|(end, n, more)| {
                let port = format!("{kind}-{end}");
                if kind == "tap" {
                    return lab.tap(kind, &port, n, &format!("{settings} {more}"));
                }
                let machine = lab.veth(&port, n);
                lab.good(&format!("add-port {kind} {port} --type {kind} {settings} {more}"));
                lab.becomes(&port, "up");
                machine
            });
            Self { kind, a, b }
        };
        KINDS.map(pair).into()
    }

    /// The names of its ports.
    pub fn port_a(&self) -> String {
        format!("{}-a", self.kind)
    }
    pub fn port_b(&self) -> String {
        format!("{}-b", self.kind)
    }

    /// Where the second machine is.
    pub fn to(&self) -> SocketAddr {
        addresses(2)[0]
    }

    #[track_caller]
    pub fn reach(&self) {
        reaches(&self.a, 2);
    }

    /// After another vswd began: TAPs are new ones, and need their addresses.
    #[track_caller]
    pub fn come_back(&self, lab: &Lab) {
        for (machine, port, n) in [(&self.a, self.port_a(), 1), (&self.b, self.port_b(), 2)] {
            lab.becomes(&port, "up");
            if self.kind == "tap" {
                eventually("the interface is back", || machine.has(&port));
                machine.address(&port, n);
            }
        }
        eventually("they reach each other", || self.a.typed("ping -q -c 1 -W 1 10.0.0.2").ok());
    }
}
