//! What is still to be done to a frame, told in the words of virtio-net (Virtio 1.2, 5.1.6).
//!
//! It travels with the frame from any port to any port. Plain data; offsets are bytes from the first
//! byte of the Ethernet header.

/// Work that the sender left to whoever puts the frame on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offload {
    pub csum: Csum,
    pub gso: Option<Gso>,
}

/// The state of the L4 checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Csum {
    /// Nothing is known: it is in the frame, right or wrong.
    #[default]
    InFrame,
    /// Somebody checked it and found it right (DATA_VALID).
    Valid,
    /// To be finished: the field at `start + offset` holds the sum of the pseudo-header; the sum over
    /// everything from `start` goes there (NEEDS_CSUM).
    Partial { start: u16, offset: u16 },
}

/// The frame stands for many: it is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    pub kind: GsoKind,
    /// L4 payload bytes of each cut, the last excepted. Never 0.
    pub size: u16,
    /// The sender's idea of all headers' length, for drivers that want a hint. Not to be trusted.
    pub hdr_len: u16,
    /// CWR belongs in the first cut only (TCP ECN, RFC 3168).
    pub ecn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    Tcp4,
    Tcp6,
    /// UDP datagrams of equal size (USO), over IPv4 or IPv6.
    Udp,
}

impl Offload {
    pub const NONE: Self = Self { csum: Csum::InFrame, gso: None };

    /// The same frame after `by` bytes were put in front of its L3 header (or taken away, if negative).
    /// `None` if an offset would leave the frame.
    #[must_use]
    pub fn shifted(self, by: i16) -> Option<Self> {
        let csum = match self.csum {
            Csum::Partial { start, offset } => Csum::Partial { start: start.checked_add_signed(by)?, offset },
            other => other,
        };
        let gso = self.gso.map(|g| Gso { hdr_len: g.hdr_len.saturating_add_signed(by), ..g });
        Some(Self { csum, gso })
    }
}
