//! What a queue makes of frames, one by one, against a packet socket in the kernel's stack.

#[path = "../../port-os/tests/common/mod.rs"]
mod common;
mod relay;
mod station;

use common::*;
use relay::pool;
use station::{Station, is_ours, pattern};
use vsw_mem::{BATCH, Batch, Frame, SMALL_DATA};
use vsw_port::{Driver, Io, OpenPort, PortQueue, PortSpec};
use vsw_port_tap::TapDriver;
use vsw_types::Name;

/// The longest that a TAP takes: its highest MTU, and an Ethernet header.
const LONGEST: usize = 65_535;

/// In the calling thread's namespace, with the highest MTU.
fn open(name: &str) -> OpenPort {
    let ifname = Name::new(name).unwrap();
    let mtu = Some((LONGEST - 14) as u16);
    let spec = PortSpec { ifname, netns: None, mac: None, mtu, queues: Some(1), workers: 1, socket: None };
    TapDriver::new().open(&spec, pool()).unwrap()
}

/// A frame with these bytes, in buffers as they are received into.
fn frame(io: &mut Io, bytes: &[u8]) -> Frame {
    let (head, rest) = bytes.split_at(bytes.len().min(SMALL_DATA));
    let mut frame = io.frames.take().unwrap();
    frame.fill(head).unwrap();
    if !rest.is_empty() {
        let mut large = io.frames.take_large().unwrap();
        large.fill(rest).unwrap();
        frame.append(large).unwrap();
    }
    frame
}

fn bytes(frame: &Frame) -> Vec<u8> {
    frame.segments().collect::<Vec<_>>().concat()
}

/// The tests' own frames out of the next `n` of them, in order.
fn receive(queue: &mut dyn PortQueue, n: usize, io: &mut Io) -> Vec<Frame> {
    let mut got = Vec::new();
    wait_for("frames from the interface", || {
        let mut batch = Batch::new();
        queue.recv(&mut batch, io).unwrap();
        got.extend(batch.into_iter().filter(|f| is_ours(f.bytes())));
        got.len() >= n
    });
    got
}

fn send(queue: &mut dyn PortQueue, frames: Vec<Frame>, io: &mut Io) {
    let mut frames = frames.into_iter().peekable();
    while frames.peek().is_some() {
        let mut batch: Batch = frames.by_ref().take(BATCH).collect();
        queue.send(&mut batch, io).unwrap();
        assert!(batch.is_empty());
    }
    assert_eq!(io.take_tally(), None);
}

#[test]
fn lengths_in_any_order_keep_content_and_order_both_ways() {
    if !root("lengths_in_any_order_keep_content_and_order_both_ways") {
        return;
    }
    in_fresh_netns(|| {
        let mut port = open("tap0");
        let queue = port.queues[0].as_mut();
        let station = Station::new("tap0");
        let mut io = Io::new(pool());
        // Runs of short frames, too short and long enough for the queue to stop expecting long ones.
        let edges = [SMALL_DATA, SMALL_DATA + 1, 14, 60, 1514, LONGEST, LONGEST, SMALL_DATA, 9014];
        let mut lengths = Vec::from(edges);
        for (run, long) in [(1, 1793), (15, LONGEST), (16, 40_000), (17, 1793), (40, LONGEST), (3, 3000)] {
            lengths.extend((0..run).map(|i| 60 + 43 * i));
            lengths.push(long);
        }
        let sent: Vec<_> = lengths.iter().enumerate().map(|(i, len)| pattern(i, *len)).collect();
        let mut arrived = Vec::new();
        // As many at a time as wait in a socket.
        for part in sent.chunks(4) {
            part.iter().for_each(|bytes| station.send(bytes));
            arrived.extend(receive(queue, part.len(), &mut io));
        }
        assert_eq!(arrived.iter().map(Frame::len).collect::<Vec<_>>(), lengths);
        assert!(arrived.iter().zip(&sent).all(|(frame, sent)| bytes(frame) == *sent));
        for (frame, sent) in arrived.into_iter().zip(&sent) {
            send(queue, vec![frame], &mut io);
            assert!(station.receive() == *sent, "a frame of {} bytes", sent.len());
        }
    });
}

#[test]
fn a_frame_without_headroom_for_the_header_is_sent_as_it_is() {
    if !root("a_frame_without_headroom_for_the_header_is_sent_as_it_is") {
        return;
    }
    in_fresh_netns(|| {
        let mut port = open("tap0");
        let queue = port.queues[0].as_mut();
        let station = Station::new("tap0");
        let mut io = Io::new(pool());
        let mut expect = |frame: Frame, expected: &[u8], io: &mut Io| {
            assert!(bytes(&frame) == expected);
            send(queue, vec![frame], io);
            assert!(station.receive() == expected, "a frame of {} bytes", expected.len());
        };
        for (len, left) in
            [(60, 0), (60, 11), (60, 12), (60, 13), (1500, 0), (5000, 0), (5000, 11), (5000, 12)]
        {
            let whole = pattern(left, 192 - left + len);
            let mut grown = frame(&mut io, &whole[192 - left..]);
            grown.grow_front(192 - left).unwrap();
            grown.bytes_mut()[..192 - left].copy_from_slice(&whole[..192 - left]);
            assert!(grown.grow_front(left + 1).is_err(), "no more than {left} bytes are left");
            expect(grown, &whole, &mut io);
        }
        let mut large = io.frames.take_large().unwrap();
        large.fill(&pattern(1, 3000)).unwrap();
        expect(large, &pattern(1, 3000), &mut io);
    });
}

#[test]
fn frames_that_found_the_queue_full_are_as_they_were() {
    if !root("frames_that_found_the_queue_full_are_as_they_were") {
        return;
    }
    in_fresh_netns(|| {
        // What comes from one is held back on the way to the other, and on the account of its sender.
        let (mut from, mut to) = (open("tap0"), open("tap1"));
        run("ip link add br0 type bridge mcast_snooping 0");
        for line in ["tap0 master br0", "tap1 master br0", "br0 up"] {
            run(&format!("ip link set {line}"));
        }
        let shaped = "dev tap1 root tbf limit 1mb burst 70kb rate";
        run(&format!("tc qdisc replace {shaped} 1kbit"));
        let queue = from.queues[0].as_mut();
        station::set_send_buffer(queue.readiness().unwrap(), 200_000);
        let mut io = Io::new(pool());
        let sent: Vec<_> = (0..24).map(|i| pattern(i, [60, 1500, 3000, 60_000][i % 4])).collect();
        let mut batch: Batch = sent.iter().map(|bytes| frame(&mut io, bytes)).collect();
        queue.send(&mut batch, &mut io).unwrap();
        let left = batch.len();
        assert!((4..20).contains(&left), "some went, some did not: {left} are left");
        for _ in 0..3 {
            queue.send(&mut batch, &mut io).unwrap();
            assert_eq!(batch.len(), left);
            let same = |(frame, sent): (&Frame, &Vec<u8>)| bytes(frame) == *sent;
            assert!(batch.iter().zip(&sent[24 - left..]).all(same));
        }
        assert_eq!(io.take_tally(), None);

        run(&format!("tc qdisc change {shaped} 10gbit"));
        wait_for("room", || {
            queue.send(&mut batch, &mut io).unwrap();
            batch.is_empty()
        });
        let arrived = receive(to.queues[0].as_mut(), sent.len(), &mut io);
        assert!(arrived.iter().map(bytes).eq(sent));
    });
}
