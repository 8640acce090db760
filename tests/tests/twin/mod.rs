//! What a NIC would put on the wire, made slowly: every packet of a segmented one is built anew from the
//! description, by another library's builders (`pnet_packet`), with every length and checksum its own.

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;
use pnet_packet::tcp::{self, MutableTcpPacket, TcpPacket};
use pnet_packet::udp::{self, MutableUdpPacket, UdpPacket};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const V4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 255, 2));
const V6: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0xffff, 2));
/// Where a packet with a routing header goes in the end.
const FINAL: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7);

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// An IPv6 extension header.
#[derive(Clone, Debug)]
pub(crate) enum Extension {
    /// Hop-by-hop (0) or destination (60) options, padded to so many times 8 bytes.
    Options { kind: u8, units: u8 },
    /// Segment routing (RFC 8754) with one segment, not visited yet: it is the final destination.
    Routing,
}

/// A TCP or UDP packet, before anybody cuts it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) udp: bool,
    pub(crate) v6: bool,
    /// Multiples of 4 bytes.
    pub(crate) ip_options: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) tcp_options: Vec<u8>,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) id: u16,
    /// DSCP and ECN.
    pub(crate) class: u8,
    pub(crate) payload: Vec<u8>,
}

/// What stands in the checksum field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field {
    /// The checksum.
    Full,
    /// The pseudo-header's sum; the device does the rest.
    Open,
}

type Tags = [(u16, u16)];

impl Packet {
    /// Bytes from IP's first to L4 payload's first.
    pub(crate) fn headers(&self) -> usize {
        self.to_l4() + if self.udp { 8 } else { 20 + self.tcp_options.len() }
    }

    /// Bytes of IP.
    pub(crate) fn to_l4(&self) -> usize {
        match self.v6 {
            false => 20 + self.ip_options.len(),
            true => 40 + self.extensions.iter().map(|e| extension(e, 0).len()).sum::<usize>(),
        }
    }

    /// Where the checksum is in the L4 header.
    pub(crate) fn checksum_offset(&self) -> u16 {
        if self.udp { 6 } else { 16 }
    }

    /// The whole, as a sender hands it to its NIC.
    pub(crate) fn whole(&self, tags: &Tags, field: Field) -> Vec<u8> {
        self.frame(tags, self.id, self.l4(&self.payload, self.sequence, self.flags, field))
    }

    /// What the NIC makes of it when it cuts after `size` bytes.
    pub(crate) fn cut(&self, tags: &Tags, size: usize, field: Field) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> = self.payload.chunks(size).collect();
        let mut frames = Vec::new();
        for (i, chunk) in chunks.iter().enumerate() {
            let mut flags = self.flags;
            if i + 1 < chunks.len() {
                flags &= !(FIN | PSH);
            }
            if i > 0 {
                flags &= !CWR;
            }
            let sequence = self.sequence.wrapping_add((i * size) as u32);
            let id = self.id.wrapping_add(i as u16);
            frames.push(self.frame(tags, id, self.l4(chunk, sequence, flags, field)));
        }
        frames
    }

    fn frame(&self, tags: &Tags, id: u16, l4: Vec<u8>) -> Vec<u8> {
        let mut f = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
        for (tpid, tci) in tags {
            f.extend(tpid.to_be_bytes());
            f.extend(tci.to_be_bytes());
        }
        f.extend(if self.v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        f.extend(if self.v6 { self.ipv6(&l4) } else { self.ipv4(id, &l4) });
        f.extend(l4);
        f
    }

    fn protocol(&self) -> u8 {
        if self.udp { 17 } else { 6 }
    }

    fn ipv4(&self, id: u16, l4: &[u8]) -> Vec<u8> {
        let len = 20 + self.ip_options.len();
        let mut bytes = vec![0; len];
        bytes[20..].copy_from_slice(&self.ip_options);
        let mut ip = MutableIpv4Packet::new(&mut bytes).unwrap();
        ip.set_version(4);
        ip.set_header_length((len / 4) as u8);
        ip.set_dscp(self.class >> 2);
        ip.set_ecn(self.class & 3);
        ip.set_total_length((len + l4.len()).try_into().unwrap());
        ip.set_identification(id);
        ip.set_flags(2); // do not fragment
        ip.set_ttl(64);
        ip.set_next_level_protocol(IpNextHeaderProtocol(self.protocol()));
        ip.set_source(V4.0);
        ip.set_destination(V4.1);
        let sum = ipv4::checksum(&Ipv4Packet::new(&bytes).unwrap());
        MutableIpv4Packet::new(&mut bytes).unwrap().set_checksum(sum);
        bytes
    }

    fn ipv6(&self, l4: &[u8]) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut next = self.protocol();
        for e in self.extensions.iter().rev() {
            rest = [extension(e, next), rest].concat();
            next = match e {
                Extension::Options { kind, .. } => *kind,
                Extension::Routing => 43,
            };
        }
        let mut bytes = vec![0; 40];
        let mut ip = MutableIpv6Packet::new(&mut bytes).unwrap();
        ip.set_version(6);
        ip.set_traffic_class(self.class);
        ip.set_flow_label(0xabcde);
        ip.set_payload_length((rest.len() + l4.len()).try_into().unwrap());
        ip.set_next_header(IpNextHeaderProtocol(next));
        ip.set_hop_limit(64);
        ip.set_source(V6.0);
        ip.set_destination(V6.1);
        bytes.extend(rest);
        bytes
    }

    fn l4(&self, payload: &[u8], sequence: u32, flags: u8, field: Field) -> Vec<u8> {
        let mut bytes;
        if self.udp {
            bytes = [&[0; 8], payload].concat();
            let mut udp = MutableUdpPacket::new(&mut bytes).unwrap();
            udp.set_source(4000);
            udp.set_destination(53);
            udp.set_length((8 + payload.len()).try_into().unwrap());
        } else {
            bytes = [&[0; 20], &self.tcp_options[..], payload].concat();
            let mut tcp = MutableTcpPacket::new(&mut bytes).unwrap();
            tcp.set_source(4000);
            tcp.set_destination(80);
            tcp.set_sequence(sequence);
            tcp.set_acknowledgement(0x1234_5678);
            tcp.set_data_offset(((20 + self.tcp_options.len()) / 4) as u8);
            tcp.set_flags(flags);
            tcp.set_window(501);
        }
        let sum = match field {
            Field::Full => self.checksum(&bytes),
            Field::Open => self.pseudo(bytes.len()),
        };
        let at = self.checksum_offset() as usize;
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// RFC 8200, 8.1: with a routing header, the final destination counts.
    fn target(&self) -> Ipv6Addr {
        let routed = self.extensions.iter().any(|e| matches!(e, Extension::Routing));
        if routed { FINAL } else { V6.1 }
    }

    fn checksum(&self, l4: &[u8]) -> u16 {
        let to = self.target();
        if !self.udp {
            let packet = TcpPacket::new(l4).unwrap();
            return match self.v6 {
                false => tcp::ipv4_checksum(&packet, &V4.0, &V4.1),
                true => tcp::ipv6_checksum(&packet, &V6.0, &to),
            };
        }
        let packet = UdpPacket::new(l4).unwrap();
        let sum = match self.v6 {
            false => udp::ipv4_checksum(&packet, &V4.0, &V4.1),
            true => udp::ipv6_checksum(&packet, &V6.0, &to),
        };
        // RFC 768: zero would say that there is none.
        if sum == 0 { 0xffff } else { sum }
    }

    /// The pseudo-header written out and summed word by word (RFC 9293, 3.1; RFC 8200, 8.1).
    fn pseudo(&self, len: usize) -> u16 {
        let addresses = match self.v6 {
            false => [V4.0.octets(), V4.1.octets()].concat(),
            true => [V6.0.octets(), self.target().octets()].concat(),
        };
        let mut bytes = addresses;
        bytes.extend([0, self.protocol()]);
        bytes.extend((len as u32).to_be_bytes());
        let mut sum: u32 = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }
}

fn extension(e: &Extension, next: u8) -> Vec<u8> {
    match e {
        Extension::Options { units, .. } => {
            let mut bytes = vec![0; *units as usize * 8];
            bytes[0] = next;
            bytes[1] = units - 1;
            bytes[2] = 1; // PadN to the end
            bytes[3] = units * 8 - 4;
            bytes
        }
        // Type 4, one segment left, the last entry is number 0: the final destination.
        Extension::Routing => [&[next, 2, 4, 1, 0, 0, 0, 0], &FINAL.octets()[..]].concat(),
    }
}

fn words(most: usize) -> impl Strategy<Value = Vec<u8>> {
    (0..=most).prop_map(|n| vec![1; n * 4]) // no-operation, for IP and TCP alike
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let one = prop_oneof![
        2 => (prop::sample::select(&[0u8, 60][..]), 1u8..4)
            .prop_map(|(kind, units)| Extension::Options { kind, units }),
        1 => Just(Extension::Routing),
    ];
    prop::collection::vec(one, 0..3)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![3 => 1usize..100, 4 => 1usize..10_000, 2 => 10_000usize..65_000, 1 => Just(65_535)];
    (len, any::<u8>(), 1usize..255)
        .prop_map(|(n, first, step)| (0..n).map(|i| first.wrapping_add(((i * step) >> 3) as u8)).collect())
}

/// Any packet that a sender could make.
pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let numbers = (any::<u8>(), prop_oneof![any::<u32>(), Just(u32::MAX - 3)], any::<u16>(), any::<u8>());
    let headers = (words(10), extensions(), words(10));
    (any::<bool>(), any::<bool>(), headers, numbers, payload()).prop_map(
        |(udp, v6, (ip_options, extensions, tcp_options), (flags, sequence, id, class), payload)| {
            let mut p =
                Packet { udp, v6, ip_options, extensions, tcp_options, flags, sequence, id, class, payload };
            // The longest IP packet that the kernel makes, of either version.
            p.payload.truncate(65_535 - p.headers());
            p
        },
    )
}
