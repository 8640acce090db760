//! Frames through real AF_XDP sockets on veth pairs. Needs root; each test has its own namespace.
#![allow(unsafe_code)] // raw sockets

mod lab;

use lab::{Lab, Station, contents, frame, is_ours, pool, receive, receive_if, spec, transmit, wait_for};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;
use vsw_mem::{BATCH, Batch, Csum, Frame, FramePool};
use vsw_port::{Driver, Io};
use vsw_types::DropReason;

/// Closed sockets may be let go of a moment later.
fn everything_came_home(pool: &'static FramePool) {
    wait_for("all buffers to be back", || (pool.available() == pool.size()).then_some(()));
}

#[test]
fn a_frame_goes_from_port_to_port_without_a_copy() {
    let Some(lab) = Lab::new("a_frame_goes_from_port_to_port_without_a_copy") else { return };
    lab.veth("a0", "a1", "");
    lab.veth("b0", "b1", "");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let (mut a, mut b) = (lab.open("a0", pool), lab.open("b0", pool));
        let (from, to) = (Station::new("a1"), Station::new("b1"));
        for number in 0..100 {
            let sent = frame(number, 60 + number as usize);
            from.send(&sent);
            let received = receive(&mut *a.queues[0], &mut io);
            assert_eq!(contents(&received), sent);
            assert!(received.is_plain(), "nothing to finish in it");
            let at = received.bytes().as_ptr();
            transmit(&mut *b.queues[0], &mut io, [received]);
            assert_eq!(to.receive(), sent);
            // The kernel is done with the buffer, which was the last to come back.
            let mut free = io.frames.take().unwrap();
            assert_eq!(free.room_mut().as_ptr(), at, "it was sent from where it was received");
            io.frames.recycle(free);
        }
        drop((a, b, io));
        everything_came_home(pool);
    });
}

#[test]
fn a_batch_goes_both_ways_in_order() {
    let Some(lab) = Lab::new("a_batch_goes_both_ways_in_order") else { return };
    lab.veth("a0", "b0", "");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let (mut a, mut b) = (lab.open("a0", pool), lab.open("b0", pool));
        for round in 0..2 * (1 << 12) / BATCH {
            let one = |n: usize| {
                let mut f = io.frames.take().unwrap();
                f.fill(&frame(n as u8, 60 + round % 1000)).unwrap();
                f
            };
            let frames: Vec<Frame> = (0..BATCH).map(one).collect();
            transmit(&mut *a.queues[0], &mut io, frames);
            for n in 0..BATCH {
                let got = receive_one(&mut b, &mut io, n);
                assert_eq!(contents(&got), frame(n as u8, 60 + round % 1000));
                io.frames.recycle(got);
            }
        }
        assert_eq!(io.take_tally(), None);
        drop((a, b, io));
        everything_came_home(pool);
    });

    /// Batches are kept between calls.
    fn receive_one(port: &mut vsw_port::OpenPort, io: &mut Io, n: usize) -> Frame {
        thread_local!(static KEPT: std::cell::RefCell<Vec<Frame>> = const { std::cell::RefCell::new(Vec::new()) });
        KEPT.with_borrow_mut(|kept| {
            wait_for("the batch", || {
                let mut batch = Batch::new();
                port.queues[0].recv(&mut batch, io).unwrap();
                kept.extend(batch.into_iter().filter(|f| is_ours(f.bytes())));
                (!kept.is_empty()).then_some(())
            });
            assert!(n < BATCH);
            kept.remove(0)
        })
    }
}

#[test]
fn jumbo_frames_pass_in_parts() {
    let Some(lab) = Lab::new("jumbo_frames_pass_in_parts") else { return };
    lab.veth("a0", "a1", "mtu 9000");
    lab.veth("b0", "b1", "mtu 9000");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let (mut a, mut b) = (lab.open("a0", pool), lab.open("b0", pool));
        assert!(a.device.info().caps.chains);
        let (left, right) = (Station::new("a1"), Station::new("b1"));
        for len in [60, 1514, 1792, 1793, 3584, 3585, 9000, 9014] {
            let sent = frame(7, len);
            left.send(&sent);
            let received = receive(&mut *a.queues[0], &mut io);
            assert_eq!(received.segment_count(), len.div_ceil(1792));
            assert_eq!(contents(&received), sent);
            transmit(&mut *b.queues[0], &mut io, [received]);
            assert_eq!(right.receive(), sent, "{len} bytes from left to right");

            right.send(&sent);
            let received = receive(&mut *b.queues[0], &mut io);
            transmit(&mut *a.queues[0], &mut io, [received]);
            assert_eq!(left.receive(), sent, "{len} bytes from right to left");
        }
        assert_eq!(io.take_tally(), None);
        drop((a, b, io));
        everything_came_home(pool);
    });
}

#[test]
fn what_does_not_lie_in_chunks_is_copied_and_what_cannot_be_sent_is_named() {
    let Some(lab) = Lab::new("what_does_not_lie_in_chunks_is_copied_and_what_cannot_be_sent_is_named") else {
        return;
    };
    lab.veth("a0", "a1", "mtu 20000");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let mut a = lab.open("a0", pool);
        let station = Station::new("a1");

        let whole = frame(1, 15_000);
        let mut large = io.frames.take_large().unwrap();
        large.fill(&whole).unwrap();
        transmit(&mut *a.queues[0], &mut io, [large]);
        assert_eq!(station.receive(), whole, "from a large buffer");

        let mut mixed = io.frames.take().unwrap();
        mixed.fill(&whole[..100]).unwrap();
        let mut large = io.frames.take_large().unwrap();
        large.fill(&whole[100..]).unwrap();
        mixed.append(large).unwrap();
        transmit(&mut *a.queues[0], &mut io, [mixed]);
        assert_eq!(station.receive(), whole, "from a small and a large one");

        let mut pieces = whole[..3000].chunks(100);
        let mut piece = || {
            let mut part = io.frames.take()?;
            part.fill(pieces.next()?).ok()?;
            Some(part)
        };
        let mut many = piece().unwrap();
        while let Some(part) = piece() {
            many.append(part).unwrap();
        }
        assert_eq!(many.segment_count(), 30);
        transmit(&mut *a.queues[0], &mut io, [many]);
        assert_eq!(station.receive(), whole[..3000], "from more buffers than the kernel takes");
        assert_eq!(io.take_tally(), None);

        let mut giant = io.frames.take_large().unwrap();
        giant.fill(&frame(2, 40_000)).unwrap();
        let mut runt = io.frames.take().unwrap();
        runt.fill(&[0; 13]).unwrap();
        transmit(&mut *a.queues[0], &mut io, [giant, runt]);
        let tally = io.take_tally().unwrap();
        assert_eq!((tally[DropReason::TooBig as usize], tally[DropReason::Runt as usize]), (1, 1));
        assert_eq!(tally.iter().sum::<u32>(), 2);
        drop((a, io));
        everything_came_home(pool);
    });
}

#[test]
fn the_frame_that_overflows_a_queue_is_counted() {
    let Some(lab) = Lab::new("the_frame_that_overflows_a_queue_is_counted") else { return };
    lab.veth("a0", "a1", "");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let mut a = lab.open("a0", pool);
        let station = Station::new("a1");
        for n in 0..600_u32 {
            station.send(&frame(n as u8, 60));
            if n % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2)); // the veth's own ring holds 256
            }
        }
        let mut received = 0;
        let mut batch = Batch::new();
        let mut lost = 0;
        for _ in 0..3000 {
            a.queues[0].recv(&mut batch, &mut io).unwrap();
            a.queues[0].flush(&mut io);
            received += batch.drain(..).filter(|f| is_ours(f.bytes())).count() as u32;
            lost += io.take_tally().map_or(0, |t| t[DropReason::KernelQueueFull as usize]);
        }
        assert!(lost > 0, "4096 / 32 chunks in the fill ring");
        assert_eq!(received + lost, 600);
    });
}

#[test]
fn a_kernels_unfinished_checksums_are_recognised() {
    let Some(lab) = Lab::new("a_kernels_unfinished_checksums_are_recognised") else { return };
    let Some(far) = Lab::new("") else { return };
    lab.ip(&format!("link add a0 type veth peer name a1 netns {}", far.name()));
    lab.ip("link set dev a0 up");
    far.ip("link set dev a1 up");
    for (address, neighbour) in [("10.9.9.1/24", "10.9.9.2"), ("fd00:9::1/64", "fd00:9::2")] {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        far.ip(&format!("address add {address} dev a1{nodad}"));
        far.ip(&format!("neighbour add {neighbour} lladdr 02:00:00:00:00:09 dev a1"));
    }
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let mut a = lab.open("a0", pool);
        let partial = |start, offset| Csum::Partial { start, offset };
        for (to, v6) in [("10.9.9.2:7777", false), ("[fd00:9::2]:7777", true)] {
            let (ip, ethertype) = if v6 { (40, [0x86, 0xdd]) } else { (20, [0x08, 0x00]) };
            let next = if v6 { 20 } else { 23 };
            let of = |protocol: u8| {
                move |f: &Frame| f.bytes()[12..14] == ethertype && f.bytes().get(next) == Some(&protocol)
            };
            far.inside(|| {
                let bind = if v6 { "[::]:0" } else { "0.0.0.0:0" };
                UdpSocket::bind(bind).unwrap().send_to(b"hello", to).unwrap();
            });
            let udp = receive_if(&mut *a.queues[0], &mut io, of(17));
            assert_eq!(udp.offload().csum, partial(14 + ip, 6), "UDP to {to}");
            far.inside(|| {
                let _ = TcpStream::connect_timeout(&to.parse().unwrap(), Duration::from_millis(50));
            });
            let tcp = receive_if(&mut *a.queues[0], &mut io, of(6));
            assert_eq!(tcp.offload().csum, partial(14 + ip, 16), "TCP to {to}");
        }
    });
}

#[test]
fn the_generic_hook_serves_where_the_driver_has_none() {
    let Some(lab) = Lab::new("the_generic_hook_serves_where_the_driver_has_none") else { return };
    lab.veth("v0", "v1", "mtu 9000");
    lab.ip("link add br0 type bridge");
    lab.ip("link set dev br0 addrgenmode none up");
    lab.ip("link set dev v0 master br0");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let mut port = lab.open("br0", pool);
        let mode = port.device.info().mode;
        assert_eq!(mode, "generic, copy, multi-buffer: the driver bridge has no native XDP");
        let station = Station::new("v1");
        for len in [60, 1514, 9014] {
            // The bridge forwards when it has made up its mind about its port.
            let received = wait_for("the bridge to forward", || {
                station.send(&frame(1, len));
                let mut batch = Batch::new();
                port.queues[0].recv(&mut batch, &mut io).unwrap();
                batch.into_iter().find(|f| is_ours(f.bytes()) && f.len() == len)
            });
            assert_eq!(contents(&received), frame(1, len));
            transmit(&mut *port.queues[0], &mut io, [received]);
            assert_eq!(station.receive(), frame(1, len));
        }
        drop((port, io));
        everything_came_home(pool);
    });
}

#[test]
fn every_queue_is_served() {
    let Some(lab) = Lab::new("every_queue_is_served") else { return };
    lab.veth("a0", "a1", "numtxqueues 2 numrxqueues 2");
    lab.inside(|| {
        let pool = pool();
        let mut io = Io::new(pool);
        let mut a = lab.driver().open(&spec("a0"), pool).unwrap();
        assert_eq!(a.queues.len(), 2);
        let station = Station::new("a1");
        for queue in &mut a.queues {
            let mut f = io.frames.take().unwrap();
            f.fill(&frame(1, 100)).unwrap();
            transmit(&mut **queue, &mut io, [f]);
            assert_eq!(station.receive(), frame(1, 100));
        }
        // The kernel spreads flows over the queues as it likes; none may miss the switch.
        let mut received = 0;
        for n in 0..64_u8 {
            let mut flow = frame(n, 100);
            flow[6..12].copy_from_slice(&[2, 0, 0, 0, n, n]);
            station.send(&flow);
        }
        wait_for("64 frames", || {
            for queue in &mut a.queues {
                let mut batch = Batch::new();
                queue.recv(&mut batch, &mut io).unwrap();
                received += batch.iter().filter(|f| is_ours(f.bytes())).count();
            }
            (received == 64).then_some(())
        });
    });
}

#[test]
fn closing_amid_traffic_loses_no_buffer() {
    let Some(lab) = Lab::new("closing_amid_traffic_loses_no_buffer") else { return };
    lab.veth("a0", "b0", "");
    lab.inside(|| {
        let pool = pool();
        for round in 0..10 {
            let mut io = Io::new(pool);
            let (mut a, mut b) = (lab.open("a0", pool), lab.open("b0", pool));
            for n in 0..round * 3 {
                let frames = (0..BATCH).map_while(|_| {
                    let mut f = io.frames.take()?;
                    f.fill(&frame(n, 1000)).ok()?;
                    Some(f)
                });
                let mut batch: Batch = frames.collect();
                a.queues[0].send(&mut batch, &mut io).unwrap();
                if n % 2 == 0 {
                    a.queues[0].flush(&mut io); // the rest stays in the TX ring
                }
                if n % 3 == 0 {
                    b.queues[0].recv(&mut Batch::new(), &mut io).unwrap(); // and in the RX ring
                }
            }
            drop((a, b, io));
            everything_came_home(pool);
        }
    });
}
