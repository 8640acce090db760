//! What of an IP packet quality of service looks at: traffic class, protocol, addresses, ports.
//!
//! Unlike [`crate::l4`] it takes what it finds: a packet whose upper headers are not there, or are not those
//! of TCP or UDP, still has a traffic class.

use crate::eth::{self, ethertype};
use crate::{checksum, put_u16, u16_at};

/// Most IPv6 extension headers looked through: a bound on the work.
const MAX_NESTED: usize = 8;

/// The protocols whose first four bytes are ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// An IP packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Where its header begins: bytes from the start of the frame.
    pub l3: usize,
    pub is_v6: bool,
    /// DSCP in the upper six bits, ECN in the lower two (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Of IPv4, or the last header found of IPv6.
    pub protocol: u8,
    /// Source and destination; `None`: the protocol has none, or they are in another fragment.
    pub ports: Option<(u16, u16)>,
}

impl Outline {
    /// Looks through the first bytes of a frame, behind any tags. `None`: this is not IP.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (kind, l3) = eth::payload(bytes)?;
        match kind {
            ethertype::IPV4 => Self::v4(bytes, l3),
            ethertype::IPV6 => Self::v6(bytes, l3),
            _ => None,
        }
    }

    fn v4(bytes: &[u8], l3: usize) -> Option<Self> {
        let header = bytes.get(l3..)?.first_chunk::<20>()?;
        let len = (header[0] & 0x0f) as usize * 4;
        if header[0] >> 4 != 4 || len < 20 {
            return None;
        }
        // Of a fragment only the first has ports; all are to be of one flow, so that none has.
        let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let protocol = header[9];
        let ports = if is_fragment { None } else { ports(bytes, l3 + len, protocol) };
        Some(Self { l3, is_v6: false, traffic_class: header[1], protocol, ports })
    }

    fn v6(bytes: &[u8], l3: usize) -> Option<Self> {
        let header = bytes.get(l3..)?.first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let traffic_class = header[0] << 4 | header[1] >> 4;
        let (mut protocol, mut at, mut is_fragment) = (header[6], l3 + 40, false);
        for _ in 0..MAX_NESTED {
            // Hop-by-hop, routing, fragment, destination options (RFC 8200, 4).
            let (0 | 43 | 44 | 60, Some(next)) = (protocol, bytes.get(at..at + 2)) else { break };
            is_fragment |= protocol == 44;
            at += if protocol == 44 { 8 } else { (next[1] as usize + 1) * 8 };
            protocol = next[0];
        }
        let ports = if is_fragment { None } else { ports(bytes, at, protocol) };
        Some(Self { l3, is_v6: true, traffic_class, protocol, ports })
    }

    #[inline]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class >> 2
    }

    /// Both addresses, as they lie there. `bytes` is the frame that this is the outline of.
    pub fn addresses<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let (from, to) = if self.is_v6 { (8, 40) } else { (12, 20) };
        bytes.get(self.l3 + from..self.l3 + to).unwrap_or_default()
    }

    /// Writes another DSCP into the frame that this is the outline of; ECN stays.
    pub fn set_dscp(&mut self, bytes: &mut [u8], dscp: u8) {
        self.set_traffic_class(bytes, dscp << 2 | self.traffic_class & 3);
    }

    /// Marks "congestion experienced", if the sender said that it understands. `false`: it did not.
    pub fn set_congested(&mut self, bytes: &mut [u8]) -> bool {
        if self.traffic_class & 3 == 0 {
            return false;
        }
        self.set_traffic_class(bytes, self.traffic_class | 3);
        true
    }

    /// No checksum of an upper layer covers it; IPv4's own is kept right (RFC 1624).
    fn set_traffic_class(&mut self, bytes: &mut [u8], class: u8) {
        let Some(old) = u16_at(bytes, self.l3) else { return };
        let new = match self.is_v6 {
            true => old & 0xf00f | u16::from(class) << 4,
            false => old & 0xff00 | u16::from(class),
        };
        put_u16(bytes, self.l3, new);
        self.traffic_class = class;
        if !self.is_v6 {
            let sum = u16_at(bytes, self.l3 + 10).unwrap_or_default();
            put_u16(bytes, self.l3 + 10, checksum::changed(sum, old, new));
        }
    }
}

fn ports(bytes: &[u8], l4: usize, protocol: u8) -> Option<(u16, u16)> {
    if !WITH_PORTS.contains(&protocol) {
        return None;
    }
    Some((u16_at(bytes, l4)?, u16_at(bytes, l4 + 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;

    fn v4(tags: &[u16], class: u8) -> Vec<u8> {
        let mut f = vec![0; 12];
        tags.iter().for_each(|tci| f.extend([0x81, 0, (tci >> 8) as u8, *tci as u8]));
        f.extend([8, 0, 0x45, class, 0, 28, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        f.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        let l3 = f.len() - 28;
        let mut sum = Sum::default();
        sum.add(&f[l3..l3 + 20]);
        put_u16(&mut f, l3 + 10, sum.finish());
        f
    }

    fn header_is_whole(f: &[u8], l3: usize) -> bool {
        let mut sum = Sum::default();
        sum.add(&f[l3..l3 + 20]);
        sum.finish() == 0
    }

    #[test]
    fn every_traffic_class_can_be_written_over_every_other() {
        for tags in [&[][..], &[5], &[5, 6]] {
            for old in 0..=255 {
                for dscp in 0..64 {
                    let mut f = v4(tags, old);
                    let mut outline = Outline::of(&f).unwrap();
                    outline.set_dscp(&mut f, dscp);
                    assert!(header_is_whole(&f, outline.l3), "{old} to {dscp}");
                    let want = Outline { traffic_class: dscp << 2 | old & 3, ..outline };
                    assert_eq!(Outline::of(&f), Some(want));
                    assert_eq!((want.ports, want.protocol), (Some((12_345, 53)), 17));
                }
            }
        }
    }

    #[test]
    fn only_those_who_understand_are_marked() {
        for (class, marked) in
            [(0b1011_1000, None), (0b1011_1001, Some(0b1011_1011)), (2, Some(3)), (3, Some(3))]
        {
            let mut f = v4(&[], class);
            let mut outline = Outline::of(&f).unwrap();
            assert_eq!(outline.set_congested(&mut f), marked.is_some());
            assert_eq!(Outline::of(&f).unwrap().traffic_class, marked.unwrap_or(class));
            assert!(header_is_whole(&f, outline.l3));
        }
    }

    #[test]
    fn ipv6_behind_extension_headers_and_what_is_cut_short() {
        let mut f = vec![0; 12];
        f.extend([0x86, 0xdd, 0x6b, 0x81, 2, 3, 0, 16, 60, 64]);
        f.extend([1; 32]);
        f.extend([6, 0, 0, 0, 0, 0, 0, 0, 0, 80, 1, 0, 0, 0, 0, 0]);
        let mut outline = Outline::of(&f).unwrap();
        assert_eq!((outline.traffic_class, outline.protocol, outline.ports), (0xb8, 6, Some((80, 256))));
        outline.set_dscp(&mut f, 10);
        assert_eq!(f[14..18], [0x62, 0x81, 2, 3], "the flow label stays");
        assert_eq!(outline.addresses(&f), [1; 32]);
        for cut in 0..f.len() {
            // Nothing but not to panic, and no header that is not there.
            assert_eq!(Outline::of(&f[..cut]).is_some(), cut >= 54, "cut at {cut}");
        }
        let mut f = v4(&[], 0);
        f[20] = 0x20; // more fragments
        assert_eq!(Outline::of(&f).unwrap().ports, None);
    }
}
