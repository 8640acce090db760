//! The kinds of port there are, and which one a port of type `auto` gets.

use std::path::{Path, PathBuf};
use vsw_config::{Netns, PortKind};
use vsw_port::{Driver, PortError, PortSpec, SocketSpec};
use vsw_port_afxdp::AfxdpDriver;
use vsw_port_os::link::Links;
use vsw_port_os::shortcut::BoardCell;
use vsw_port_packet::PacketDriver;
use vsw_port_tap::TapDriver;
use vsw_port_vhost::{News, VhostDriver};
use vsw_types::{MacAddr, Name};

/// The registry: a new kind of port is a line here.
pub(crate) struct Drivers {
    all: Vec<Box<dyn Driver>>,
    /// Where vhost-user ports have their sockets that are told no other place.
    sockets: PathBuf,
    /// Names this host in addresses that must not change when the process restarts.
    host: u64,
}

/// Which driver opens a port, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

/// Drivers of physical NICs known to have native XDP (`ndo_bpf` in the kernel's `drivers/net`).
const NATIVE_XDP: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "ena",
    "gve",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "nfp",
    "qede",
    "sfc",
    "stmmac",
    "tsnep",
    "virtio_net",
    "vmxnet3",
];

impl Drivers {
    /// `journal`: where drivers note what a killed process would leave on the host; under the run directory,
    /// which a reboot empties as it undoes the rest. `shortcut`: where AF_XDP ports get seats.
    /// `sockets`: where vhost-user ports have theirs. `news` is called when a port changed by itself.
    pub(crate) fn new(journal: &Path, sockets: PathBuf, shortcut: Option<BoardCell>, news: News) -> Self {
        let afxdp = AfxdpDriver::new(journal.to_owned());
        let afxdp = match shortcut {
            Some(board) => afxdp.with_shortcut(board),
            None => afxdp,
        };
        let all: Vec<Box<dyn Driver>> = vec![
            Box::new(TapDriver::new()),
            Box::new(TapDriver::internal()),
            Box::new(PacketDriver::new(journal.to_owned())),
            Box::new(afxdp),
            Box::new(VhostDriver::new(news)),
        ];
        let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Self { all, sockets, host: fnv(id.trim().as_bytes()) }
    }

    /// Undoes what an earlier process left behind; a sentence for each thing done.
    pub(crate) fn recover(&self) -> Vec<String> {
        self.all.iter().flat_map(|d| d.recover()).collect()
    }

    pub(crate) fn by_kind(&self, kind: &str) -> Result<&dyn Driver, PortError> {
        let driver = self.all.iter().find(|d| d.kind() == kind).map(|d| &**d);
        driver.ok_or_else(|| {
            PortError::refused(format!("this vswd has no ports of type {kind}"), "update vswd")
        })
    }

    /// `None`: a patch port, which has no driver.
    pub(crate) fn choose(&self, name: &Name, kind: &PortKind) -> Option<Choice> {
        let said = || "as configured".to_owned();
        let (kind, reason) = match kind {
            PortKind::Patch { .. } => return None,
            PortKind::Auto => automatic(name.as_str()),
            PortKind::Tap { .. } => ("tap", said()),
            PortKind::Internal => ("internal", said()),
            PortKind::Packet => ("packet", said()),
            PortKind::Afxdp => ("afxdp", said()),
            PortKind::VhostUser { .. } => ("vhost-user", said()),
        };
        Some(Choice { kind, reason })
    }

    /// What a driver needs to know of a configured port.
    pub(crate) fn spec(&self, name: &Name, port: &vsw_config::Port, kind: &str, workers: u16) -> PortSpec {
        let (netns, ifname) = match &port.kind {
            PortKind::Tap { netns, ifname } => (netns.as_ref().map(Netns::path), ifname.clone()),
            _ => (None, None),
        };
        let socket = match &port.kind {
            PortKind::VhostUser { socket, server } => {
                let path = socket.clone().unwrap_or_else(|| self.sockets.join(format!("{name}.sock")));
                Some(SocketSpec { path, server: *server })
            }
            _ => None,
        };
        let makes = matches!(kind, "tap" | "internal");
        PortSpec {
            ifname: ifname.unwrap_or_else(|| name.clone()),
            netns,
            mac: port.mac.or_else(|| makes.then(|| self.stable_mac(name))),
            mtu: port.mtu,
            queues: port.queues,
            workers,
            socket,
        }
    }

    /// An address for an interface that we make: the same each time, so that a restart does not invalidate
    /// the neighbours' ARP caches. Locally administered, individual (IEEE 802-2014, 8.2 and 8.4).
    fn stable_mac(&self, name: &Name) -> MacAddr {
        let hash = fnv(name.as_str().as_bytes()) ^ self.host.rotate_left(17);
        let [_, _, a, b, c, d, e, f] = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        MacAddr([a & 0xfc | 0x02, b, c, d, e, f])
    }
}

/// What `--type auto` means for an interface as it is now. None is made: one of ours would be in the way of
/// the VMM that is about to make it, and of one that was shut down and starts again.
fn automatic(name: &str) -> (&'static str, String) {
    let Ok(links) = Links::open() else {
        return ("packet", "the kernel's interfaces cannot be listed".into());
    };
    if !links.exists(name) {
        return ("packet", format!("there is no interface {name} yet"));
    }
    let driver = links.driver(name).unwrap_or_default();
    if NATIVE_XDP.contains(&driver.as_str()) {
        return ("afxdp", format!("{name} is a NIC whose driver {driver} has native XDP"));
    }
    let what =
        if driver.is_empty() { "exists".into() } else { format!("is an interface of driver {driver}") };
    ("packet", format!("{name} {what}"))
}

/// FNV-1a: spreads names, keeps no secrets.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_stable_individual_and_local() {
        let drivers = Drivers { all: Vec::new(), sockets: PathBuf::new(), host: 1 };
        let mac = |n: &str| drivers.stable_mac(&Name::new(n).unwrap());
        assert_eq!(mac("tap0"), mac("tap0"));
        assert_ne!(mac("tap0"), mac("tap1"));
        for i in 0..100 {
            let first = mac(&format!("tap{i}")).0[0];
            assert_eq!(first & 3, 2, "tap{i}: {first:02x}");
        }
        let elsewhere = Drivers { all: Vec::new(), sockets: PathBuf::new(), host: 2 };
        assert_ne!(elsewhere.stable_mac(&Name::new("tap0").unwrap()), mac("tap0"));
    }
}
