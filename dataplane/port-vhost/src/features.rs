//! What is negotiated, and what follows from it. Virtio 1.2, 5.1.3 and 6; vhost-user protocol, "Feature bits".

use vsw_mem::{Csum, GsoKind, Offload};
use vsw_port::{PortCaps, vnet};

pub(crate) const GUEST_CSUM: u64 = 1 << 1;
pub(crate) const GUEST_TSO4: u64 = 1 << 7;
pub(crate) const GUEST_TSO6: u64 = 1 << 8;
pub(crate) const GUEST_ECN: u64 = 1 << 9;
pub(crate) const MRG_RXBUF: u64 = 1 << 15;
pub(crate) const LOG_ALL: u64 = 1 << 26;
pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const GUEST_USO4: u64 = 1 << 54;
pub(crate) const GUEST_USO6: u64 = 1 << 55;

/// Negotiated features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) features: u64,
}

impl Terms {
    pub(crate) fn has(self, all: u64) -> bool {
        self.features & all == all
    }

    /// Bytes of the virtio-net header: `num_buffers` is there with either of two features (5.1.6.1).
    #[inline]
    pub(crate) fn header_len(self) -> usize {
        if self.features & (MRG_RXBUF | VERSION_1) != 0 { vnet::LEN } else { vnet::LEN_LEGACY }
    }

    pub(crate) fn mergeable(self) -> bool {
        self.has(MRG_RXBUF)
    }

    /// Pages that we write are noted.
    pub(crate) fn logs(self) -> bool {
        self.has(LOG_ALL)
    }

    /// What the guest takes. Frames to be cut may come with ECN, so that has to be understood too.
    pub(crate) fn caps(self) -> PortCaps {
        let csum = self.has(GUEST_CSUM);
        PortCaps {
            csum,
            tso4: csum && self.has(GUEST_TSO4 | GUEST_ECN),
            tso6: csum && self.has(GUEST_TSO6 | GUEST_ECN),
            uso: csum && self.has(GUEST_USO4 | GUEST_USO6),
            chains: true,
        }
    }

    /// Whether the guest takes a frame with this still to be done. The switch knows what it takes, but learns
    /// of changes a moment late.
    pub(crate) fn take(self, offload: Offload) -> bool {
        let caps = self.caps();
        match (offload.gso.map(|g| g.kind), offload.csum) {
            (Some(GsoKind::Tcp4), _) => caps.tso4,
            (Some(GsoKind::Tcp6), _) => caps.tso6,
            (Some(GsoKind::Udp), _) => caps.uso,
            (None, Csum::Partial { .. }) => caps.csum,
            (None, _) => true,
        }
    }
}
