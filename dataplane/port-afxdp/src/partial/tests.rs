//! Frames made by hand, and by an independent builder at random.

use super::*;
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::{tcp, udp};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A packet to be, in the parts that matter here.
#[derive(Clone, Debug)]
struct Packet {
    tags: Vec<u16>,
    v6: bool,
    /// IPv4 options, in words.
    options: usize,
    tcp: bool,
    source: [u8; 16],
    destination: [u8; 16],
    payload: Vec<u8>,
}

impl Packet {
    fn plain() -> Self {
        let (source, destination) = ([10; 16], [20; 16]);
        Self { tags: vec![], v6: false, options: 0, tcp: false, source, destination, payload: vec![1, 2, 3] }
    }

    /// The frame with a zero checksum; where L4 begins; where in it the field is.
    fn build(&self) -> (Vec<u8>, usize, usize) {
        let mut f = vec![0; 12];
        for tag in &self.tags {
            f.extend(tag.to_be_bytes());
            f.extend([0, 5]);
        }
        let (header, field) = if self.tcp { (20, 16) } else { (8, 6) };
        let l4 = header + self.payload.len();
        let protocol = if self.tcp { TCP } else { UDP };
        if self.v6 {
            f.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            f.extend((l4 as u16).to_be_bytes());
            f.extend([protocol, 64]);
            f.extend(self.source.iter().chain(&self.destination));
        } else {
            let words = 5 + self.options;
            f.extend([0x08, 0x00, 0x40 | words as u8, 0]);
            f.extend(((words * 4 + l4) as u16).to_be_bytes());
            f.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]); // don't fragment
            f.extend(self.source[..4].iter().chain(&self.destination[..4]));
            f.extend(vec![1; self.options * 4]);
        }
        let start = f.len();
        f.extend([0x12, 0x34, 0x56, 0x78]);
        if self.tcp {
            f.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        } else {
            f.extend((l4 as u16).to_be_bytes());
            f.extend([0, 0]);
        }
        f.extend(&self.payload);
        (f, start, field)
    }

    /// The right checksum, by somebody else's code.
    fn checksum(&self, l4: &[u8]) -> u16 {
        let v4 = |a: &[u8; 16]| Ipv4Addr::new(a[0], a[1], a[2], a[3]);
        let (s4, d4) = (v4(&self.source), v4(&self.destination));
        let (s6, d6) = (Ipv6Addr::from(self.source), Ipv6Addr::from(self.destination));
        if self.tcp {
            let packet = tcp::TcpPacket::new(l4).unwrap();
            if self.v6 {
                tcp::ipv6_checksum(&packet, &s6, &d6)
            } else {
                tcp::ipv4_checksum(&packet, &s4, &d4)
            }
        } else {
            let packet = udp::UdpPacket::new(l4).unwrap();
            if self.v6 {
                udp::ipv6_checksum(&packet, &s6, &d6)
            } else {
                udp::ipv4_checksum(&packet, &s4, &d4)
            }
        }
    }

    /// As a kernel sends it that leaves the checksum to the device.
    fn build_unfinished(&self) -> (Vec<u8>, usize, usize) {
        let (mut f, start, field) = self.build();
        let length = f.len() - start;
        let addresses: Vec<u8> = if self.v6 {
            [self.source, self.destination].concat()
        } else {
            [&self.source[..4], &self.destination[..4]].concat()
        };
        let next = if self.tcp { IpNextHeaderProtocols::Tcp } else { IpNextHeaderProtocols::Udp };
        let mut pseudo = addresses;
        pseudo.extend([0, next.0]);
        pseudo.extend((length as u16).to_be_bytes());
        let sum = !pnet_packet::util::checksum(&pseudo, usize::MAX);
        f[start + field..start + field + 2].copy_from_slice(&sum.to_be_bytes());
        (f, start, field)
    }
}

fn seen(frame: &[u8]) -> Option<Csum> {
    unfinished(frame, frame.len())
}

/// What a device does with CHECKSUM_PARTIAL.
fn finish(frame: &mut [u8], csum: Csum) {
    let Csum::Partial { start, offset } = csum else { panic!("nothing to finish") };
    let (start, at) = (usize::from(start), usize::from(start + offset));
    let sum = pnet_packet::util::checksum(&frame[start..], usize::MAX);
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn each_kind_is_recognised_where_it_lies() {
    for (tags, l3) in [(vec![], 14), (vec![0x8100], 18), (vec![0x88a8, 0x8100], 22)] {
        for (v6, ip) in [(false, 20), (true, 40)] {
            for (tcp, offset) in [(false, 6), (true, 16)] {
                let packet = Packet { tags: tags.clone(), v6, tcp, ..Packet::plain() };
                let (frame, ..) = packet.build_unfinished();
                assert_eq!(seen(&frame), Some(Csum::Partial { start: l3 + ip, offset }), "{packet:?}");
            }
        }
    }
}

#[test]
fn what_needs_nothing_is_left_alone() {
    let (mut complete, start, field) = Packet::plain().build();
    let sum = Packet::plain().checksum(&complete[start..]);
    complete[start + field..start + field + 2].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(seen(&complete), None, "complete");

    assert_eq!(seen(&Packet::plain().build().0), None, "UDP without a checksum (RFC 768)");

    let (frame, ..) = Packet::plain().build_unfinished();
    assert!(seen(&frame).is_some());
    let with = |at: usize, value: u8| {
        let mut other = frame.clone();
        other[at] = value;
        seen(&other)
    };
    assert_eq!(with(20, 0x20), None, "the first fragment");
    assert_eq!(with(21, 0x01), None, "a later fragment");
    assert_eq!(with(14, 0x44), None, "a header length that cannot be");
    assert_eq!(with(23, 1), None, "ICMP");
    assert_eq!(with(17, 19), None, "an IP packet shorter than its header");
    let padded = [frame.as_slice(), &[0; 20]].concat();
    assert_eq!(seen(&padded), None, "the sum would go over the padding");
    let three = Packet { tags: vec![0x88a8, 0x8100, 0x8100], ..Packet::plain() };
    assert_eq!(seen(&three.build_unfinished().0), None, "three tags");
}

#[test]
fn no_frame_is_too_short() {
    let (frame, ..) =
        Packet { tags: vec![0x8100], v6: true, tcp: true, ..Packet::plain() }.build_unfinished();
    for len in 0..frame.len() {
        assert_eq!(seen(&frame[..len]), None, "{len}");
    }
}

fn packets() -> impl Strategy<Value = Packet> {
    let tags = proptest::collection::vec(prop_oneof![Just(0x8100), Just(0x88a8)], 0..=2);
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    (tags, any::<bool>(), 0..=10_usize, any::<bool>(), any::<[u8; 16]>(), any::<[u8; 16]>(), payload)
        .prop_map(|(tags, v6, options, tcp, source, destination, payload)| Packet {
            tags,
            v6,
            options,
            tcp,
            source,
            destination,
            payload,
        })
}

proptest! {
    #[test]
    fn finishing_what_was_recognised_makes_it_right(packet in packets()) {
        let (mut frame, start, field) = packet.build_unfinished();
        let csum = seen(&frame).expect("recognised");
        prop_assert_eq!(csum, Csum::Partial { start: start as u16, offset: field as u16 });
        let right = packet.checksum(&frame[start..]);
        finish(&mut frame, csum);
        prop_assert_eq!(u16_at(&frame, start + field), Some(right));
    }

    /// The one complete packet in 65,536 that looks unfinished: its first word is made so that it does.
    #[test]
    fn a_complete_packet_that_looks_unfinished_stays_right(mut packet in packets()) {
        packet.payload.splice(0..0, [0, 0]);
        let (mut frame, start, field) = packet.build_unfinished();
        let pseudo = u16_at(&frame, start + field).unwrap();
        frame[start + field..start + field + 2].fill(0);
        // The checksum without that word is ~(pseudo + rest); with it, it must be `pseudo`.
        let word = fold(u32::from(packet.checksum(&frame[start..])) + u32::from(!pseudo));
        packet.payload[..2].copy_from_slice(&word.to_be_bytes());

        let (mut frame, start, field) = packet.build();
        let right = packet.checksum(&frame[start..]);
        frame[start + field..start + field + 2].copy_from_slice(&right.to_be_bytes());
        prop_assert_eq!(right, pseudo);
        let csum = seen(&frame).expect("looks unfinished");
        let before = frame.clone();
        finish(&mut frame, csum);
        prop_assert_eq!(frame, before);
    }

    #[test]
    fn noise_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        seen(&bytes);
    }
}
