//! The virtio-net header: how TAP, AF_PACKET and vhost-user spell [`Offload`].
//!
//! Virtio 1.2, 5.1.6; `include/uapi/linux/virtio_net.h`. Little-endian (`TUNSETVNETLE`, or the host's
//! order where that is little-endian: x86-64 and arm64, which is where this switch runs).
//!
//! What comes in is a stranger's word: [`decode`] checks that every offset lies in the frame. What the
//! header says of the packet's protocol is not checked here but where somebody relies on it.

use vsw_mem::{Csum, Gso, GsoKind, Offload};
use vsw_types::DropReason;

/// Bytes: `struct virtio_net_hdr_v1`, the one with `num_buffers`.
pub const LEN: usize = 12;
/// Bytes: `struct virtio_net_hdr`, the one of AF_PACKET.
pub const LEN_LEGACY: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Reads a header. `frame_len` is the length of the frame behind it, in bytes.
///
/// # Errors
/// [`DropReason::BadOffload`] when it contradicts the frame or asks for what we never offered.
#[inline]
pub fn decode(header: &[u8; LEN], frame_len: usize) -> Result<Offload, DropReason> {
    // The usual case of small packets: nothing to do, two bytes to see it.
    if header[..2] == [0, 0] {
        return Ok(Offload::NONE);
    }
    decode_rest(header, frame_len)
}

fn decode_rest(header: &[u8; LEN], frame_len: usize) -> Result<Offload, DropReason> {
    let bad = DropReason::BadOffload;
    let word = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);
    let (flags, gso_type, hdr_len, gso_size, start, offset) =
        (header[0], header[1], word(2), word(4), word(6), word(8));
    let csum = if flags & F_NEEDS_CSUM != 0 {
        let field = start as usize + offset as usize;
        if (start as usize) < 14 || field + 2 > frame_len {
            return Err(bad);
        }
        Csum::Partial { start, offset }
    } else if flags & F_DATA_VALID != 0 {
        Csum::Valid
    } else {
        Csum::InFrame
    };
    let kind = match gso_type & !GSO_ECN {
        GSO_NONE => return if gso_type == GSO_NONE { Ok(Offload { csum, gso: None }) } else { Err(bad) },
        GSO_TCPV4 => GsoKind::Tcp4,
        GSO_TCPV6 => GsoKind::Tcp6,
        GSO_UDP_L4 => GsoKind::Udp,
        _ => return Err(bad), // UFO was never offered; others do not exist
    };
    // Virtio 1.2, 5.1.6.2: a frame to be cut needs its checksum.
    if gso_size == 0 || !matches!(csum, Csum::Partial { .. }) {
        return Err(bad);
    }
    let gso = Gso { kind, size: gso_size, hdr_len, ecn: gso_type & GSO_ECN != 0 };
    Ok(Offload { csum, gso: Some(gso) })
}

/// Writes a header.
#[inline]
pub fn encode(offload: Offload) -> [u8; LEN] {
    let mut h = [0; LEN];
    if offload == Offload::NONE {
        return h;
    }
    let mut put = |i: usize, v: u16| h[i..i + 2].copy_from_slice(&v.to_le_bytes());
    let mut flags = 0;
    let mut gso_type = GSO_NONE;
    match offload.csum {
        Csum::InFrame => {}
        Csum::Valid => flags = F_DATA_VALID,
        Csum::Partial { start, offset } => {
            flags = F_NEEDS_CSUM;
            put(6, start);
            put(8, offset);
        }
    }
    if let Some(gso) = offload.gso {
        gso_type = match gso.kind {
            GsoKind::Tcp4 => GSO_TCPV4,
            GsoKind::Tcp6 => GSO_TCPV6,
            GsoKind::Udp => GSO_UDP_L4,
        };
        if gso.ecn {
            gso_type |= GSO_ECN;
        }
        put(2, gso.hdr_len);
        put(4, gso.size);
    }
    h[0] = flags;
    h[1] = gso_type;
    h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let partial = Csum::Partial { start: 34, offset: 16 };
        let gso = |kind, ecn| Some(Gso { kind, size: 1448, hdr_len: 66, ecn });
        for offload in [
            Offload::NONE,
            Offload { csum: Csum::Valid, gso: None },
            Offload { csum: partial, gso: None },
            Offload { csum: partial, gso: gso(GsoKind::Tcp4, false) },
            Offload { csum: partial, gso: gso(GsoKind::Tcp6, true) },
            Offload { csum: partial, gso: gso(GsoKind::Udp, false) },
        ] {
            assert_eq!(decode(&encode(offload), 3000), Ok(offload));
        }
    }

    #[test]
    fn lies_are_refused() {
        // flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
        type Row = (u8, u8, u16, u16, u16, u16, &'static str);
        #[rustfmt::skip]
        let rows: &[Row] = &[
            (1, 0, 0,  0,    99,    0,     "the field ends behind the frame"),
            (1, 0, 0,  0,    65535, 65535, "offsets that overflow"),
            (1, 0, 0,  0,    0,     0,     "a checksum over the Ethernet header"),
            (1, 1, 54, 0,    34,    16,    "cuts of no bytes"),
            (0, 1, 54, 1448, 34,    16,    "cuts without checksum"),
            (1, 3, 42, 1448, 34,    6,     "UFO"),
            (1, 9, 42, 1448, 34,    6,     "a type that does not exist"),
            (0, 0x80, 0, 0,  0,     0,     "ECN of nothing"),
        ];
        for &(flags, kind, hdr_len, size, start, offset, what) in rows {
            let mut h = [0; LEN];
            h[0] = flags;
            h[1] = kind;
            for (i, v) in [(2, hdr_len), (4, size), (6, start), (8, offset)] {
                h[i..i + 2].copy_from_slice(&v.to_le_bytes());
            }
            assert_eq!(decode(&h, 100), Err(DropReason::BadOffload), "{what}");
        }
    }
}
