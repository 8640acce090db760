//! What generated frames look like: UDP over IPv4 between numbered stations.
//!
//! ```text
//!  | dst 6 | src 6 | [tag 4] | type 2 | IPv4 20 | UDP 8 | time of sending 8 | .. |
//! ```
//! The station numbered `n` is `02:76:n` on the near side and `06:76:n` on the far side, `n` in four bytes.
//! Values; nothing is shared.

use std::io;

/// Bytes of Ethernet, IPv4 and UDP headers and the time of sending.
const LEAST: usize = 14 + 20 + 8 + 8;

/// A stream of frames.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Bytes of the frames, without FCS, in turn: the longest is made, and cut to each.
    pub sizes: Vec<u16>,
    /// Pairs of stations that the frames are between, in turn.
    pub pairs: u32,
    /// Customer tag of this VLAN.
    pub vlan: Option<u16>,
    /// From the far stations to the near ones.
    pub back: bool,
    /// Frames per second; as many as possible without.
    pub rate: Option<u64>,
}

impl Default for Stream {
    /// 64-byte frames (60 without FCS) from one station to another, as many as possible.
    fn default() -> Self {
        Self { sizes: vec![60], pairs: 1, vlan: None, back: false, rate: None }
    }
}

/// IMIX: 64, 594 and 1518 bytes as 7 : 4 : 1, mixed (340 bytes in the mean).
pub const IMIX: [u16; 12] = [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 590, 60];

impl Stream {
    pub(super) fn check(&self) -> io::Result<()> {
        let shortest = self.sizes.iter().min().map_or(0, |n| *n as usize);
        let longest = self.longest() as usize;
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if shortest < LEAST + self.shift() || longest > 1518 {
            return wrong(format!(
                "frames of {shortest} to {longest} bytes: 50 (tagged 54) to 1518 can be made"
            ));
        }
        if self.pairs == 0 || self.pairs > i32::MAX as u32 {
            return wrong(format!("{} pairs of stations: 1 to 2^31 - 1 can be had", self.pairs));
        }
        match self.rate {
            Some(rate) if !(1..=1_000_000_000).contains(&rate) => wrong(format!("{rate} frames a second")),
            _ => Ok(()),
        }
    }

    pub(super) fn longest(&self) -> u16 {
        self.sizes.iter().copied().max().unwrap_or(0)
    }

    /// Bytes that headers lie further back for the tag.
    pub(super) fn shift(&self) -> usize {
        if self.vlan.is_some() { 4 } else { 0 }
    }

    /// The frame of the first pair at the full length.
    pub(super) fn template(&self) -> Vec<u8> {
        let mut f = vec![0; self.longest() as usize];
        let [near, far] = [[2, 0x76, 0, 0, 0, 0], [6, 0x76, 0, 0, 0, 0]];
        let (src, dst) = if self.back { (far, near) } else { (near, far) };
        f[..6].copy_from_slice(&dst);
        f[6..12].copy_from_slice(&src);
        if let Some(vlan) = self.vlan {
            f[12..14].copy_from_slice(&[0x81, 0]);
            f[14..16].copy_from_slice(&vlan.to_be_bytes());
        }
        let ip = 12 + self.shift();
        let lengths = Lengths::of(self.longest() as usize - self.shift());
        f[ip..ip + 4].copy_from_slice(&[8, 0, 0x45, 0]);
        f[ip + 4..ip + 6].copy_from_slice(&lengths.ip.to_be_bytes());
        f[ip + 10..ip + 12].copy_from_slice(&[64, 17]); // TTL, UDP
        f[ip + 12..ip + 14].copy_from_slice(&lengths.ip_checksum.to_be_bytes());
        f[ip + 14..ip + 22].copy_from_slice(&ADDRESSES);
        f[ip + 22..ip + 26].copy_from_slice(&[0x30, 0x39, 0x30, 0x39]);
        f[ip + 26..ip + 28].copy_from_slice(&lengths.udp.to_be_bytes()); // no UDP checksum: RFC 768
        f
    }
}

/// 198.18.0.1 to 198.18.0.2: addresses for benchmarks (RFC 2544, C.2.2).
const ADDRESSES: [u8; 8] = [198, 18, 0, 1, 198, 18, 0, 2];

/// What in the headers depends on the length of the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) ip: u16,
    pub(super) ip_checksum: u16,
    pub(super) udp: u16,
}

impl Lengths {
    /// `len`: bytes of the frame without its tag.
    pub(super) fn of(len: usize) -> Self {
        let ip = (len - 14) as u16;
        let words = [0x4500, ip, 0, 0, 0x4011];
        let addresses = ADDRESSES.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c));
        let sum: u32 = words.into_iter().chain(addresses).map(u32::from).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        Self { ip, ip_checksum: !((folded & 0xffff) + (folded >> 16)) as u16, udp: ip - 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_add_up() {
        let stream = Stream { sizes: IMIX.to_vec(), vlan: Some(7), ..Stream::default() };
        let f = stream.template();
        assert_eq!((f.len(), &f[12..18]), (1514, &[0x81, 0, 0, 7, 8, 0][..]));
        let words = f[18..38].as_chunks::<2>().0.iter().map(|c| u32::from(u16::from_be_bytes(*c)));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the header's checksum (RFC 791)");
        assert_eq!(u16::from_be_bytes([f[20], f[21]]) as usize, f.len() - 18);
        assert_eq!(u16::from_be_bytes([f[42], f[43]]) as usize, f.len() - 38);
        assert_eq!(IMIX.iter().map(|n| u32::from(*n) + 4).sum::<u32>() / 12, 361);
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        let plain = Stream::default;
        for wrong in [
            Stream { sizes: vec![], ..plain() },
            Stream { sizes: vec![49], ..plain() },
            Stream { sizes: vec![53], vlan: Some(1), ..plain() },
            Stream { sizes: vec![1519], ..plain() },
            Stream { pairs: 0, ..plain() },
            Stream { rate: Some(0), ..plain() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert!(plain().check().is_ok());
    }
}
