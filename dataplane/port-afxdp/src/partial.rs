//! Frames whose checksum the sender left to a NIC that was never there.
//!
//! A kernel that sends through a veth counts on the other side's knowing that the TCP or UDP checksum is
//! still to be finished (CHECKSUM_PARTIAL). XDP has no place for that knowledge: what arrives is a frame
//! whose checksum field holds the sum of the pseudo-header only (`skb_set_transport_header` and friends;
//! Linux `Documentation/networking/checksum-offloads.rst`). Such a frame is recognised here by just that
//! and marked, so that whoever sends it on finishes it.
//!
//! A complete checksum that happens to look like this is not harmed: it can only do so when the sum over
//! the segment is what finishing computes, so finishing puts the same value there. For this the frame must
//! end where the segment does: the sum goes to the end of the frame.
//!
//! Not recognised, because senders finish these themselves: fragments, IPv6 extension headers, more than
//! two VLAN tags. Thread-safety: a pure function.

use vsw_mem::Csum;
use vsw_wire::u16_at;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What is to be finished in a frame of `len` bytes that begins with `bytes`, its headers among them:
/// `None` if nothing is.
#[inline]
pub(crate) fn unfinished(bytes: &[u8], len: usize) -> Option<Csum> {
    let (ethertype, l3) = match u16_at(bytes, 12)? {
        0x8100 | 0x88a8 => match u16_at(bytes, 16)? {
            0x8100 | 0x88a8 => (u16_at(bytes, 20)?, 22),
            inner => (inner, 18),
        },
        plain => (plain, 14),
    };
    // Addresses, protocol, where L4 begins and how long it is, header included.
    let (addresses, protocol, start, length) = match ethertype {
        0x0800 => {
            let header = bytes.get(l3..l3 + 20)?;
            let words = usize::from(header[0] & 0x0f) * 4;
            let total = usize::from(u16_at(header, 2)?);
            // More fragments, or not the first (RFC 791, 3.1).
            let fragment = u16_at(header, 6)? & 0x3fff != 0;
            if header[0] >> 4 != 4 || words < 20 || total < words || fragment {
                return None;
            }
            (&header[12..20], header[9], l3 + words, total - words)
        }
        0x86dd => {
            let header = bytes.get(l3..l3 + 40)?;
            if header[0] >> 4 != 6 {
                return None;
            }
            (&header[8..40], header[6], l3 + 40, usize::from(u16_at(header, 4)?))
        }
        _ => return None,
    };
    let (offset, shortest) = match protocol {
        TCP => (16, 20),
        UDP => (6, 8),
        _ => return None,
    };
    let field = u16_at(bytes, start + offset)?;
    if length < shortest || start + length != len || (protocol == UDP && field == 0) {
        return None;
    }
    let pseudo = addresses.chunks_exact(2).fold(u32::from(protocol) + length as u32, |sum, word| {
        sum + u32::from(u16::from_be_bytes([word[0], word[1]]))
    });
    (field == fold(pseudo)).then_some(Csum::Partial { start: start as u16, offset: offset as u16 })
}

/// One's complement sum in 16 bits (RFC 1071). `sum` is of few enough words not to overflow.
fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests;
