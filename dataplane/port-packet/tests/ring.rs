//! What the receive ring of a packet port does with frames of all lengths, and with too many of them.

#[path = "../../port-os/tests/common/mod.rs"]
mod common;
mod held;
mod lab;
#[path = "../../port-tap/tests/relay/mod.rs"]
mod relay;

use common::*;
use lab::*;
use relay::*;
use rustix::event::epoll;
use std::mem::MaybeUninit;
use vsw_mem::{Batch, Csum, Frame, Gso, GsoKind, Offload, SMALL_DATA};
use vsw_port::{Driver, Health, Io, OpenPort};
use vsw_port_packet::PacketDriver;
use vsw_types::DropReason;

/// Addresses and type of what is sent here.
const HEAD: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x99, 0x88, 0xb5];
/// More than a ring has.
const MANY: u32 = 4000;

/// A frame of `len` bytes that are `n`'s own.
fn numbered(io: &mut Io, n: u32, len: usize) -> Frame {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i as u32).wrapping_mul(n + 7) as u8).collect();
    bytes[..14].copy_from_slice(&HEAD);
    bytes[26..30].copy_from_slice(&n.to_be_bytes());
    let mut frame = io.frames.take().unwrap();
    let (head, rest) = bytes.split_at(len.min(SMALL_DATA));
    frame.fill(head).unwrap();
    if !rest.is_empty() {
        let mut tail = io.frames.take_large().unwrap();
        tail.fill(rest).unwrap();
        frame.append(tail).unwrap();
    }
    frame
}

fn whole(frame: &Frame) -> Vec<u8> {
    frame.segments().collect::<Vec<_>>().concat()
}

fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.bytes()[26..30].try_into().unwrap())
}

/// Sends that many frames of that length, numbered from `first` on.
fn flood(port: &mut OpenPort, io: &mut Io, first: u32, count: u32, len: usize) {
    let mut next = first;
    while next < first + count {
        let mut batch = Batch::new();
        // Large buffers are few.
        while next < first + count && batch.len() < 16 {
            let mut frame = numbered(io, next, len);
            if len > 9014 {
                segmented(&mut frame);
            }
            batch.push(frame);
            next += 1;
        }
        port.queues[0].send(&mut batch, io).unwrap();
        assert!(batch.is_empty());
    }
}

/// All of ours that is there, in order, and how many the kernel could not keep.
fn drain(port: &mut OpenPort, io: &mut Io) -> (Vec<u32>, u32) {
    let (mut numbers, mut lost, mut vain) = (Vec::new(), 0, 0);
    while vain < 20 {
        let mut batch = Batch::new();
        port.queues[0].recv(&mut batch, io).unwrap();
        port.queues[0].flush(io);
        lost += io.take_tally().map_or(0, |t| t[DropReason::KernelQueueFull as usize]);
        if batch.is_empty() {
            vain += 1;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for frame in batch {
            if ours(&frame) {
                numbers.push(number(&frame));
            }
            io.frames.recycle(frame);
        }
    }
    (numbers, lost)
}

/// Waits until nothing is heard of the host's own announcements.
fn quiet_pair(folder: &Folder, mtu: u32) -> (OpenPort, OpenPort) {
    for name in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
    }
    let (a, b) = pair(folder);
    for name in ["v0", "v1"] {
        run(&format!("ip link set {name} mtu {mtu}"));
    }
    (a, b)
}

#[test]
fn more_than_the_ring_holds_is_counted_and_it_goes_on() {
    if !root("more_than_the_ring_holds_is_counted_and_it_goes_on") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = quiet_pair(&folder, 1500);
        let mut io = Io::new(pool());
        for round in 0..3 {
            flood(&mut a, &mut io, round * MANY, MANY, 60);
            let (numbers, lost) = drain(&mut b, &mut io);
            assert!(numbers.len() >= 1000 && lost > 1000, "round {round}: {} {lost}", numbers.len());
            assert_eq!(numbers.len() as u32 + lost, MANY, "round {round}");
            // Those that came first were kept.
            let first: Vec<_> = (round * MANY..).take(numbers.len()).collect();
            assert_eq!(numbers, first, "round {round}");
        }
        flood(&mut a, &mut io, 0, 100, 60);
        assert_eq!(drain(&mut b, &mut io), ((0..100).collect(), 0), "as if nothing had been");

        // Nor has it to be empty once: every slot that is filled after a loss tells of it.
        flood(&mut a, &mut io, 0, MANY, 60);
        let mut lost = 0;
        for _ in 0..100 {
            let mut batch = Batch::new();
            b.queues[0].recv(&mut batch, &mut io).unwrap();
            b.queues[0].flush(&mut io);
            lost += io.take_tally().map_or(0, |t| t[DropReason::KernelQueueFull as usize]);
            assert!(batch.is_full());
            batch.into_iter().for_each(|f| io.frames.recycle(f));
            flood(&mut a, &mut io, 0, 32, 60);
        }
        assert!(lost > 1000, "{lost}");
    });
}

#[test]
fn frames_of_all_lengths_keep_their_order_and_their_bytes() {
    if !root("frames_of_all_lengths_keep_their_order_and_their_bytes") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = quiet_pair(&folder, 9000);
        let mut io = Io::new(pool());
        // 1972 bytes are the longest in a slot.
        let lengths = [60, 1514, 9000, 1972, 65_000, 65_000, 60, 1973, 1792, 1793, 65_000, 64, 9000, 9014];
        let mut n = 0;
        for round in 0..20 {
            let mut sent = Vec::new();
            let mut batch = Batch::new();
            for i in 0..28 {
                let len = lengths[(i + round) % lengths.len()];
                let mut frame = numbered(&mut io, n, len);
                n += 1;
                if len > 9014 {
                    segmented(&mut frame);
                }
                sent.push((whole(&frame), frame.offload()));
                batch.push(frame);
            }
            a.queues[0].send(&mut batch, &mut io).unwrap();
            let mut got = Vec::new();
            wait_for("all", || {
                let mut batch = Batch::new();
                b.queues[0].recv(&mut batch, &mut io).unwrap();
                for frame in batch {
                    got.push((whole(&frame), frame.offload()));
                    io.frames.recycle(frame);
                }
                got.len() >= sent.len()
            });
            assert_eq!(io.take_tally(), None);
            for (got, sent) in got.iter().zip(&sent) {
                let (kind, sent_kind) =
                    (got.1.gso.map(|g| (g.kind, g.size)), sent.1.gso.map(|g| (g.kind, g.size)));
                assert_eq!((got.0.len(), got.1.csum, kind), (sent.0.len(), sent.1.csum, sent_kind));
                assert!(got.0 == sent.0, "the bytes of {}", sent.0.len());
            }
        }
    });
}

/// Makes it a TCP segment over IPv4 that is still to be cut; its number is its source address. Nobody looks at
/// the rest on this way.
fn segmented(frame: &mut Frame) {
    let gso = Gso { kind: GsoKind::Tcp4, size: 1448, hdr_len: 54, ecn: false };
    frame.set_offload(Offload { csum: Csum::Partial { start: 34, offset: 16 }, gso: Some(gso) });
    let bytes = frame.bytes_mut();
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[23] = 6;
    bytes[46] = 0x50;
}

#[test]
fn tags_arrive_as_they_were_sent_in_the_ring_and_beside_it() {
    if !root("tags_arrive_as_they_were_sent_in_the_ring_and_beside_it") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = quiet_pair(&folder, 9000);
        let mut io = Io::new(pool());
        let customer = [0x81, 0, 0x60, 10];
        let service = [0x88, 0xa8, 0xe0, 20];
        for tags in [&customer[..], &service, &[service, customer].concat(), &[customer, customer].concat()] {
            for len in [60, 1790, 1960, 1975, 1990, 5000] {
                let mut frame = numbered(&mut io, 1, len);
                let types = [tags, &[0x88, 0xb5]].concat();
                frame.bytes_mut()[12..12 + types.len()].copy_from_slice(&types);
                let sent = whole(&frame);
                send(&mut a, &mut io, frame);
                let got = catch(&mut b.queues, &mut io, ours).unwrap();
                assert!(whole(&got) == sent, "{tags:x?}, {len} bytes: {:x?}", &got.bytes()[..24]);
                io.frames.recycle(got);
            }
        }
    });
}

#[test]
fn a_frame_that_was_cut_is_counted_and_not_delivered() {
    if !root("a_frame_that_was_cut_is_counted_and_not_delivered") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = quiet_pair(&folder, 9000);
        let mut io = Io::new(pool());
        // The socket has room for some, the ring for all: of the others it has pieces.
        flood(&mut a, &mut io, 0, 800, 65_000);
        let (numbers, lost) = drain(&mut b, &mut io);
        assert!(numbers.len() > 50 && lost > 300, "{} {lost}", numbers.len());
        assert_eq!(numbers, (0..800 - lost).collect::<Vec<_>>(), "those that came first, and each counted");
        flood(&mut a, &mut io, 0, 50, 65_000);
        assert_eq!(drain(&mut b, &mut io), ((0..50).collect(), 0), "as if nothing had been");
    });
}

#[test]
fn only_a_ring_with_frames_is_ready() {
    if !root("only_a_ring_with_frames_is_ready") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let (mut a, mut b) = quiet_pair(&folder, 9000);
        let mut io = Io::new(pool());
        drain(&mut b, &mut io);
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let fd = b.queues[0].readiness().unwrap();
        epoll::add(&watch, fd, epoll::EventData::new_u64(1), epoll::EventFlags::IN).unwrap();
        let ready = || {
            let soon = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let mut events = [const { MaybeUninit::uninit() }; 4];
            !epoll::wait(&watch, &mut events, Some(&soon)).unwrap().0.is_empty()
        };
        assert!(!ready(), "at first");
        for len in [60, 1972, 9000] {
            for count in [1, 100, MANY] {
                flood(&mut a, &mut io, 0, count, len);
                assert!(ready() && ready(), "{count} of {len} bytes: until they are read");
                let mut batch = Batch::new();
                b.queues[0].recv(&mut batch, &mut io).unwrap();
                assert_eq!(ready(), count > 1, "{count} of {len} bytes: as long as there are more");
                batch.into_iter().for_each(|f| io.frames.recycle(f));
                drain(&mut b, &mut io);
                assert!(!ready(), "{count} of {len} bytes: no more");
            }
        }
        run("ip link set v1 down");
        (0..100).for_each(|_| b.queues[0].recv(&mut Batch::new(), &mut io).unwrap());
        assert!(!ready(), "an interface that is down");
        run("ip link set v1 up");
        wait_for("it is up again", || {
            flood(&mut a, &mut io, 0, 1, 60);
            ready()
        });
    });
}

/// A UDP datagram that a guest wants to have fragmented (VIRTIO_NET_HDR_GSO_UDP), for which there is no word on
/// the way out since Linux 4.14.
fn ufo(tap: &held::Tap) {
    let mut ip = vec![0x45, 0, 0x0b, 0xd4, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2];
    ip.extend([0, 80, 0, 81, 0x0b, 0xc0, 0, 0]);
    ip.extend([9; 3000]);
    let frame = [&HEAD[..12], &[8, 0], &ip].concat();
    tap.write(&[1, 3, 42, 0, 0xc8, 5, 34, 0, 6, 0], &frame);
}

#[test]
fn a_frame_that_stops_the_ring_is_recovered_from() {
    if !root("a_frame_that_stops_the_ring_is_recovered_from") {
        return;
    }
    in_fresh_netns(|| {
        let folder = Folder::new();
        let driver = PacketDriver::new(folder.0.clone());
        let mut io = Io::new(pool());
        let tap = held::Tap::new("tap0", libc::TUN_F_CSUM);
        let mut port = driver.open(&spec("tap0"), pool()).unwrap();
        let plain = [&HEAD[..], &[7; 60]].concat();
        tap.write(&[0; 10], &plain);
        assert!(catch(&mut port.queues, &mut io, ours).is_some(), "before");
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert_eq!(port.device.health(), Health::Up, "frames were kept");
        ufo(&tap);
        tap.write(&[0; 10], &plain);
        assert_eq!(port.device.health(), Health::Up, "too early to tell");
        let mut lost = None;
        wait_for("it is noticed", || {
            lost = match port.device.health() {
                Health::Lost(e) => Some(e.to_string()),
                _ => None,
            };
            lost.is_some() || catch_now(&mut port, &mut io)
        });
        let Some(lost) = lost else { return }; // a kernel that gives the slot back
        assert!(lost.contains("tap0") && lost.contains("2 frames were lost"), "{lost}");
        drop(port);

        let mut port = driver.open(&spec("tap0"), pool()).unwrap();
        assert_eq!(port.device.info().mode, "vnet_hdr, 1 queue, no ring: its frames stopped one");
        ufo(&tap);
        tap.write(&[0; 10], &plain);
        assert!(catch(&mut port.queues, &mut io, ours).is_some(), "after");
        assert_eq!(io.take_tally().unwrap()[DropReason::BadOffload as usize], 1, "that one alone");
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert_eq!(port.device.health(), Health::Up);
    });
}

/// Whether one of ours is there.
fn catch_now(port: &mut OpenPort, io: &mut Io) -> bool {
    caught(&mut port.queues, io, ours) > 0
}
