//! Reading what the decision needs of a frame (addresses, up to two tags, the type behind them), and what
//! segmentation needs (where the TCP payload begins).

use crate::Effort;
use crate::micro::frame;
use crate::report::Row;
use crate::stats::Sample;
use crate::timing::{each, sample};
use anyhow::{Context, Result, ensure};
use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice, SlicedPacket, TransportSlice};
use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::tcp::TcpPacket;
use pnet_packet::vlan::VlanPacket;
use std::hint::black_box;
use vsw_switch::FlowKey;
use vsw_types::{MacAddr, PortIdx};
use vsw_wire::l4;

/// What all of them have to find; the addresses as what a table is asked with.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    dst: u64,
    src: u64,
    vids: [Option<u16>; 2],
    ethertype: u16,
}

pub(crate) fn parse(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (label, tags) in [("untagged", &[][..]), ("one tag", &[10]), ("two tags", &[10, 20])] {
        let bytes = frame(1, 2, tags, 122);
        let all = [ours(&bytes), pnet(&bytes), ether(&bytes)];
        let first = all[0].as_ref().context("ours finds nothing")?;
        ensure!(first.vids[0] == tags.first().copied() && first.ethertype == 0x0800, "ours reads {first:?}");
        ensure!(all.iter().all(|f| f.as_ref() == Some(first)), "they read different things: {all:?}");
        let row = Row::alone(format!("parse, {label}"), "ns", &time(&bytes, effort, ours));
        rows.push(row.clone().beside_cost("pnet_packet", &time(&bytes, effort, pnet)));
        rows.push(row.beside_cost("etherparse", &time(&bytes, effort, ether)));
    }
    let bytes = frame(1, 2, &[10], 122);
    let all = [payload_ours(&bytes), payload_pnet(&bytes), payload_ether(&bytes)];
    ensure!(all == [Some(58); 3], "they find the payload at {all:?}");
    let row = Row::alone("parse, to the TCP payload", "ns", &time(&bytes, effort, payload_ours));
    rows.push(row.clone().beside_cost("pnet_packet", &time(&bytes, effort, payload_pnet)));
    rows.push(row.beside_cost("etherparse", &time(&bytes, effort, payload_ether)));
    Ok(rows)
}

fn time<T>(bytes: &[u8], effort: Effort, read: impl Fn(&[u8]) -> T) -> Sample {
    sample(effort.samples, || each(0..1024, |_| read(black_box(bytes))))
}

/// Where the TCP payload of a frame with one tag begins, as segmentation has to know.
fn payload_ours(bytes: &[u8]) -> Option<usize> {
    l4::find(bytes).map(|h| h.payload)
}

/// With the checks that ours makes: the header lengths, fragments, the end of the frame.
fn payload_pnet(bytes: &[u8]) -> Option<usize> {
    let mut ethertype = EthernetPacket::new(bytes)?.get_ethertype();
    let mut l3 = EthernetPacket::minimum_packet_size();
    for _ in 0..8 {
        if ethertype != EtherTypes::Vlan && ethertype != EtherTypes::QinQ {
            break;
        }
        ethertype = VlanPacket::new(bytes.get(l3..)?)?.get_ethertype();
        l3 += VlanPacket::minimum_packet_size();
    }
    let ip = Ipv4Packet::new(bytes.get(l3..)?)?;
    let whole = ip.get_fragment_offset() == 0 && ip.get_flags() & 1 == 0;
    let tcp_in_ip4 = ethertype == EtherTypes::Ipv4
        && ip.get_version() == 4
        && ip.get_next_level_protocol() == IpNextHeaderProtocols::Tcp;
    if !whole || !tcp_in_ip4 || ip.get_header_length() < 5 {
        return None;
    }
    let l4 = l3 + ip.get_header_length() as usize * 4;
    let offset = TcpPacket::new(bytes.get(l4..)?)?.get_data_offset() as usize;
    let payload = l4 + offset * 4;
    (offset >= 5 && payload <= bytes.len()).then_some(payload)
}

fn payload_ether(bytes: &[u8]) -> Option<usize> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    Some(tcp.payload().as_ptr().addr() - bytes.as_ptr().addr())
}

fn ours(bytes: &[u8]) -> Option<Found> {
    let key = FlowKey::extract(PortIdx(0), bytes).ok()?;
    Some(Found {
        dst: key.dst.number(),
        src: key.src.number(),
        vids: [key.outer.map(|t| t.vid()), key.inner.map(|t| t.vid())],
        ethertype: key.ethertype,
    })
}

fn pnet(bytes: &[u8]) -> Option<Found> {
    let eth = EthernetPacket::new(bytes)?;
    let (dst, src) = (eth.get_destination(), eth.get_source());
    let mut vids = [None; 2];
    let mut ethertype = eth.get_ethertype();
    let mut at = EthernetPacket::minimum_packet_size();
    for vid in &mut vids {
        if ethertype != EtherTypes::Vlan && ethertype != EtherTypes::QinQ {
            break;
        }
        let tag = VlanPacket::new(eth.packet().get(at..)?)?;
        *vid = Some(tag.get_vlan_identifier());
        ethertype = tag.get_ethertype();
        at += VlanPacket::minimum_packet_size();
    }
    let [dst, src] = [dst, src].map(|a| MacAddr(a.octets()).to_u48());
    Some(Found { dst, src, vids, ethertype: ethertype.0 })
}

fn ether(bytes: &[u8]) -> Option<Found> {
    let eth = Ethernet2HeaderSlice::from_slice(bytes).ok()?;
    let mut vids = [None; 2];
    let mut ethertype = eth.ether_type();
    let mut at = eth.slice().len();
    for vid in &mut vids {
        if ![0x8100, 0x88a8].contains(&ethertype.0) {
            break;
        }
        let tag = SingleVlanHeaderSlice::from_slice(bytes.get(at..)?).ok()?;
        *vid = Some(tag.vlan_identifier().value());
        ethertype = tag.ether_type();
        at += tag.slice().len();
    }
    let [dst, src] = [eth.destination(), eth.source()].map(|a| MacAddr(a).to_u48());
    Some(Found { dst, src, vids, ethertype: ethertype.0 })
}
