//! A virtio-user NIC, as testpmd's `--vdev` wants it.

use std::fmt;
use std::path::PathBuf;

/// Layout of the queues (virtio 1.1, 2.6 and 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    Split,
    Packed,
}

/// What a NIC offers; the switch may take less of it.
#[derive(Clone, Debug)]
pub struct Nic {
    pub socket: PathBuf,
    /// Whether it owns the socket and the switch connects. Such a NIC outlives the switch.
    pub server: bool,
    pub ring: Ring,
    /// Queue pairs.
    pub queues: u16,
    /// Whether a frame may take several receive buffers (`VIRTIO_NET_F_MRG_RXBUF`).
    pub mergeable: bool,
    /// Descriptors in a queue: a power of two.
    pub descriptors: u16,
    /// The last byte of its address, which is 02:00:00:00:00:XX.
    pub station: u8,
}

impl Nic {
    /// One split queue pair of 256 descriptors, mergeable, that owns its socket.
    pub fn new(socket: impl Into<PathBuf>, station: u8) -> Self {
        Self {
            socket: socket.into(),
            server: true,
            ring: Ring::Split,
            queues: 1,
            mergeable: true,
            descriptors: 256,
            station,
        }
    }

    pub fn mac(&self) -> String {
        format!("02:00:00:00:00:{:02x}", self.station)
    }

    /// The value of `--vdev` for NIC number `index`.
    pub(crate) fn devargs(&self, index: usize) -> String {
        let flag = u8::from;
        let fields = [
            format!("net_virtio_user{index}"),
            format!("path={}", self.socket.display()),
            format!("server={}", flag(self.server)),
            format!("queues={}", self.queues),
            // Without the control queue there is but one pair.
            format!("cq={}", flag(self.queues > 1)),
            format!("queue_size={}", self.descriptors),
            format!("packed_vq={}", flag(self.ring == Ring::Packed)),
            format!("mrg_rxbuf={}", flag(self.mergeable)),
            format!("mac={}", self.mac()),
        ];
        fields.join(",")
    }
}

/// For messages: what of the matrix it is.
impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [client, server] = ["the switch connects", "the switch listens"];
        let mode = if self.server { client } else { server };
        let mergeable = if self.mergeable { "mergeable" } else { "not mergeable" };
        write!(f, "{mode}, {:?}, {} queue pairs, {mergeable}", self.ring, self.queues)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devargs_tell_everything() {
        let nic = Nic { ring: Ring::Packed, queues: 2, mergeable: false, ..Nic::new("/run/x", 10) };
        assert_eq!(
            nic.devargs(1),
            "net_virtio_user1,path=/run/x,server=1,queues=2,cq=1,queue_size=256,packed_vq=1,mrg_rxbuf=0,\
             mac=02:00:00:00:00:0a"
        );
    }
}
