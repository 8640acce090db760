//! Finding the L3 and L4 headers of a frame, for those who must change them: segmentation and checksums.
//!
//! IPv4 (RFC 791) with options, IPv6 (RFC 8200) with the extension headers that may stand before TCP or
//! UDP. Fragments have no L4 header that one could rely on and are not found.

use crate::eth::{self, ethertype};
use crate::u16_at;

/// Where the headers of a TCP or UDP packet begin: bytes from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    pub l3: usize,
    pub ip: Ip,
    pub l4: usize,
    pub protocol: Protocol,
    /// Where L4's payload begins.
    pub payload: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Where the checksum is in the L4 header: bytes.
    pub const fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Most IPv6 extension headers looked through: a bound on the work, not a limit of a standard.
const MAX_NESTED: usize = 8;

/// Finds the headers in the first bytes of a frame. All of them, L4 included, are inside `bytes`.
pub fn find(bytes: &[u8]) -> Option<Headers> {
    let (kind, l3) = eth::payload(bytes)?;
    let (ip, l4, number) = match kind {
        ethertype::IPV4 => ipv4(bytes, l3)?,
        ethertype::IPV6 => ipv6(bytes, l3)?,
        _ => return None,
    };
    let (protocol, len) = match number {
        6 => (Protocol::Tcp, (*bytes.get(l4 + 12)? >> 4) as usize * 4),
        17 => (Protocol::Udp, 8),
        _ => return None,
    };
    let payload = l4 + len;
    if (protocol == Protocol::Tcp && len < 20) || payload > bytes.len() {
        return None;
    }
    Some(Headers { l3, ip, l4, protocol, payload })
}

fn ipv4(bytes: &[u8], l3: usize) -> Option<(Ip, usize, u8)> {
    let first = *bytes.get(l3)?;
    let len = (first & 0x0f) as usize * 4;
    let fragment = u16_at(bytes, l3 + 6)? & 0x3fff; // MF and offset
    if first >> 4 != 4 || len < 20 || fragment != 0 {
        return None;
    }
    Some((Ip::V4, l3 + len, *bytes.get(l3 + 9)?))
}

fn ipv6(bytes: &[u8], l3: usize) -> Option<(Ip, usize, u8)> {
    if bytes.get(l3)? >> 4 != 6 {
        return None;
    }
    let mut next = *bytes.get(l3 + 6)?;
    let mut at = l3 + 40;
    for _ in 0..MAX_NESTED {
        match next {
            // Hop-by-hop, routing, destination options: length in 8 octets, less the first (RFC 8200, 4.3).
            0 | 43 | 60 => {
                next = *bytes.get(at)?;
                at += (*bytes.get(at + 1)? as usize + 1) * 8;
            }
            _ => return Some((Ip::V6, at, next)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_tcp_behind_tags_and_options() {
        let mut f = vec![0; 12];
        f.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 0x08, 0]);
        let l3 = f.len();
        f.extend([0x46, 0, 0, 64, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1]);
        let l4 = f.len();
        let mut tcp = [0; 40];
        tcp[12] = 0x80;
        f.extend(tcp);
        let want = Headers { l3, ip: Ip::V4, l4, protocol: Protocol::Tcp, payload: l4 + 32 };
        assert_eq!(find(&f), Some(want));
        for cut in 0..l4 + 32 {
            assert_eq!(find(&f[..cut]), None, "cut at {cut}");
        }
        f[l3 + 6] = 0x20; // more fragments
        assert_eq!(find(&f), None);
    }

    #[test]
    fn finds_udp_behind_an_extension_header() {
        let mut f = vec![0; 12];
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 60, 64]);
        f.extend([0; 32]);
        f.extend([17, 0, 0, 0, 0, 0, 0, 0]); // destination options, next: UDP
        f.extend([0; 8]);
        let found = find(&f).unwrap();
        assert_eq!((found.l4, found.protocol, found.payload), (14 + 48, Protocol::Udp, 14 + 56));
        assert_eq!(find(&f[..f.len() - 1]), None);
    }
}
