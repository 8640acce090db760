//! Frames through attached interfaces, on the real kernel.

#[path = "../../port-os/tests/common/mod.rs"]
mod common;
mod held;
mod lab;
#[path = "../../port-tap/tests/relay/mod.rs"]
mod relay;

use common::*;
use lab::*;
use relay::*;
use vsw_mem::{Batch, Csum, Frame, Gso, GsoKind, Offload};
use vsw_port::{Driver, Io, PortSpec};
use vsw_port_os::link::Links;
use vsw_port_packet::PacketDriver;
use vsw_types::DropReason;

/// A TCP segment of 3000 bytes over IPv4, to be cut into thousands; `at` is where its IP header begins.
fn train(io: &mut Io, at: u16) -> Frame {
    let mut ip = vec![0x45, 0];
    ip.extend(3040_u16.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    let sum = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum::<u32>();
    let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&folded.to_be_bytes());
    ip.extend([0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    ip.extend([9; 3000]);
    let mut tags = vec![0x81, 0, 0x60, 10];
    tags.truncate(usize::from(at) - 14);
    let bytes = [&BROADCAST[..], &[2, 0, 0, 0, 0, 0x99], &tags, &[8, 0], &ip].concat();
    let mut frame = io.frames.take().unwrap();
    let mut rest = io.frames.take_large().unwrap();
    frame.fill(&bytes[..100]).unwrap();
    rest.fill(&bytes[100..]).unwrap();
    frame.append(rest).unwrap();
    let gso = Gso { kind: GsoKind::Tcp4, size: 1000, hdr_len: at + 40, ecn: false };
    let csum = Csum::Partial { start: at + 20, offset: 16 };
    frame.set_offload(Offload { csum, gso: Some(gso) });
    frame
}

#[test]
fn a_frame_arrives_once_and_only_at_the_other_end() {
    if !root("a_frame_arrives_once_and_only_at_the_other_end") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = pair(&folder);
        let mut io = Io::new(pool());
        let frame = ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 100]);
        let sent = frame.bytes().to_vec();
        send(&mut a, &mut io, frame);
        let got = catch(&mut b.queues, &mut io, ours).unwrap();
        assert_eq!((got.bytes(), got.offload()), (&sent[..], Offload::NONE));
        assert_eq!(caught(&mut b.queues, &mut io, ours), 0, "once");
        assert_eq!(caught(&mut a.queues, &mut io, ours), 0, "not what it sent itself");
        assert_eq!(a.device.info().caps.names(), ["csum", "tso4", "tso6", "uso"]);
        let info = a.device.info();
        assert_eq!((info.mode.as_str(), info.mtu), ("vnet_hdr, 1 queue", 1500));
        assert!(output("ip link show v0").contains(&info.mac.unwrap().to_string()));
    });
}

#[test]
fn every_offload_crosses_from_stack_to_stack() {
    if !root("every_offload_crosses_from_stack_to_stack") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (left, right) = (Netns::new(), Netns::new());
        for (ns, host, name) in [(&left, 1, "v0"), (&right, 2, "v1")] {
            run(&format!("ip link add {name} type veth peer name eth0 netns {}", ns.name));
            run(&format!("ip link set {name} up"));
            ns.ip("link set eth0 up");
            ns.ip(&format!("addr add 10.9.0.{host}/24 dev eth0"));
            ns.ip(&format!("addr add fd00::{host}/64 dev eth0 nodad"));
        }
        let (mut a, mut b) = (open("v0", &folder), open("v1", &folder));
        let (there, back) = wire(&mut a, &mut b, || {
            tcp(&left.path, &right.path, "10.9.0.2");
            tcp(&right.path, &left.path, "fd00::1");
            for address in ["10.9.0.2", "fd00::2"] {
                let listener = udp_listener(&right.path, address);
                udp_train(&left.path, address);
                expect_train(&listener);
            }
        });
        assert_eq!((there.lost, back.lost), (0, 0));
        assert!(there.gso.contains(&GsoKind::Tcp4) && there.gso.contains(&GsoKind::Udp), "{there:?}");
        assert!(back.gso.contains(&GsoKind::Tcp6), "{back:?}");
        assert!(there.longest > 60_000 && back.longest > 60_000, "{there:?} {back:?}");
    });
}

#[test]
fn tags_are_put_back_and_offsets_with_them() {
    if !root("tags_are_put_back_and_offsets_with_them") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = pair(&folder);
        let mut io = Io::new(pool());
        for tags in [&[0x81, 0, 0x60, 10][..], &[0x88, 0xa8, 0, 20, 0x81, 0, 0, 10], &[0x81, 0, 0x60, 0]] {
            let payload = [&tags[2..], &EXPERIMENT, &[7; 60]].concat();
            let frame = ethernet(&mut io, BROADCAST, [tags[0], tags[1]], &payload);
            let sent = frame.bytes().to_vec();
            send(&mut a, &mut io, frame);
            let got = catch(&mut b.queues, &mut io, ours).unwrap();
            assert_eq!(got.bytes(), sent, "{tags:x?}");
        }
        for at in [14, 18] {
            let frame = train(&mut io, at);
            let (sent, offload) = (frame.segments().collect::<Vec<_>>().concat(), frame.offload());
            send(&mut a, &mut io, frame);
            let got = catch(&mut b.queues, &mut io, ours).unwrap();
            let came = got.segments().collect::<Vec<_>>().concat();
            assert_eq!((came.len(), came == sent), (sent.len(), true));
            assert_eq!(got.offload().csum, offload.csum);
            let (got, sent) = (got.offload().gso.unwrap(), offload.gso.unwrap());
            assert_eq!((got.kind, got.size), (sent.kind, sent.size));
        }
    });
}

#[test]
fn a_tap_that_somebody_holds_gets_what_its_guest_can_take() {
    if !root("a_tap_that_somebody_holds_gets_what_its_guest_can_take") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let mut io = Io::new(pool());
        for (offloads, frames) in [(libc::TUN_F_CSUM | libc::TUN_F_TSO4, 1), (0, 3)] {
            let tap = held::Tap::new("tap0", offloads);
            let mut port = open("tap0", &folder);
            let frame = train(&mut io, 14);
            send(&mut port, &mut io, frame);
            let got: Vec<_> = tap.read().into_iter().filter(|(_, f)| f[12..14] == [8, 0]).collect();
            assert_eq!(got.len(), frames, "offloads {offloads:x}");
            if frames == 1 {
                assert_eq!((got[0].0[1], got[0].1.len()), (1, 3054), "VIRTIO_NET_HDR_GSO_TCPV4");
            } else {
                assert!(got.iter().all(|(header, f)| header[..2] == [0, 0] && f.len() == 1054));
            }

            // A guest sends one whole.
            let whole = train(&mut io, 14);
            let mut header = [0; 10];
            header.copy_from_slice(&vsw_port::vnet::encode(whole.offload())[..10]);
            tap.write(&header, &whole.segments().collect::<Vec<_>>().concat());
            let got = catch(&mut port.queues, &mut io, ours).unwrap();
            assert_eq!((got.len(), got.offload().gso.unwrap().size), (3054, 1000));
        }
    });
}

#[test]
fn what_the_kernel_could_not_keep_is_counted() {
    if !root("what_the_kernel_could_not_keep_is_counted") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = pair(&folder);
        let mut io = Io::new(pool());
        const BATCHES: u32 = 1500;
        for _ in 0..BATCHES {
            let mut batch = Batch::new();
            while !batch.is_full() {
                batch.push(ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]));
            }
            a.queues[0].send(&mut batch, &mut io).unwrap();
            assert!(batch.is_empty());
        }
        let (mut received, mut dropped) = (0, 0);
        wait_for("all that was sent", || {
            let mut batch = Batch::new();
            b.queues[0].recv(&mut batch, &mut io).unwrap();
            b.queues[0].flush(&mut io);
            received += batch.iter().filter(|f| ours(f)).count() as u32;
            batch.into_iter().for_each(|f| io.frames.recycle(f));
            dropped += io.take_tally().map_or(0, |t| t[DropReason::KernelQueueFull as usize]);
            // The host's own announcements may be among the dropped.
            received + dropped >= BATCHES * 32
        });
        assert!(received > 1000 && dropped > 1000, "{received} {dropped}");
        assert!(received + dropped < BATCHES * 32 + 20, "{received} {dropped}");
    });
}

#[test]
fn flows_spread_over_its_queues_and_nothing_comes_twice() {
    if !root("flows_spread_over_its_queues_and_nothing_comes_twice") {
        return;
    }
    in_fresh_netns(|| {
        let (ns, folder) = (Netns::new(), Folder::new());
        with_a_host(&ns);
        ns.ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev eth0");
        let driver = PacketDriver::new(folder.0.clone());
        let mut port = driver.open(&PortSpec { queues: Some(4), ..spec("v1") }, pool()).unwrap();
        assert_eq!((port.queues.len(), port.device.info().mode.as_str()), (4, "vnet_hdr, 4 queues"));
        for _ in 0..32 {
            udp_train(&ns.path, "10.9.0.9"); // a new port each time
        }
        let mut io = Io::new(pool());
        let trains = |f: &Frame| f.len() > 10_000;
        let counts: Vec<_> =
            port.queues.iter_mut().map(|q| caught(std::slice::from_mut(q), &mut io, trains)).collect();
        assert_eq!(counts.iter().sum::<usize>(), 32, "{counts:?}");
        assert!(counts.iter().filter(|n| **n > 0).count() > 1, "{counts:?}");
        drop(port);

        // Nor does what leaves by the interface come in: neither ours by another queue, nor the host's.
        let host = Links::open().unwrap().by_name("v1").unwrap().mac.unwrap().0;
        for queues in [1, 4] {
            let mut port = driver.open(&PortSpec { queues: Some(queues), ..spec("v1") }, pool()).unwrap();
            let frame = ethernet(&mut io, BROADCAST, EXPERIMENT, &[7; 60]);
            send(&mut port, &mut io, frame);
            output("ping -c1 -W1 10.9.0.77");
            let outgoing = |f: &Frame| ours(f) || f.bytes()[6..12] == host;
            assert_eq!(caught(&mut port.queues, &mut io, outgoing), 0, "{queues} queues");
        }
    });
}
