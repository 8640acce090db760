//! Frames between a guest and a queue, in both layouts and with all that is negotiated about rings.

use super::guest::{BUFFERS, Guest};
use crate::features::{GUEST_CSUM, GUEST_ECN, GUEST_TSO4, MRG_RXBUF, VERSION_1};
use crate::queue::VhostQueue;
use crate::ring::{F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED};
use std::sync::Arc;
use vsw_mem::{Batch, Csum, Frame, FramePool, Gso, GsoKind, Offload, PoolSize};
use vsw_port::{Io, PortQueue, vnet};
use vsw_types::DropReason;

/// What rings can be like.
pub(crate) fn layouts() -> impl Iterator<Item = u64> {
    let bits = [F_RING_PACKED, F_EVENT_IDX, F_INDIRECT_DESC, MRG_RXBUF];
    (0..16u32).map(move |n| {
        VERSION_1 | bits.iter().enumerate().filter(|(i, _)| n >> i & 1 != 0).map(|(_, b)| b).sum::<u64>()
    })
}

pub(crate) fn io() -> Io {
    Io::new(FramePool::leak(PoolSize { small: 256, large: 8 }).unwrap())
}

pub(crate) fn queue(guest: &Guest) -> VhostQueue {
    VhostQueue::new(Arc::clone(&guest.shared), 0)
}

fn bytes(frame: &Frame) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// Bytes that tell one frame from another.
pub(crate) fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 + seed * 13) as u8).collect()
}

fn frame(io: &mut Io, data: &[u8]) -> Frame {
    let (front, rest) = data.split_at(data.len().min(1700));
    let mut frame = io.frames.take().unwrap();
    frame.fill(front).unwrap();
    if !rest.is_empty() {
        let mut large = io.frames.take_large().unwrap();
        large.fill(rest).unwrap();
        frame.append(large).unwrap();
    }
    frame
}

#[test]
fn what_a_guest_sends_comes_whole_and_in_order() {
    for features in layouts() {
        let (mut guest, mut io) = (Guest::new(features, 64), io());
        let mut queue = queue(&guest);
        let indirect = features & F_INDIRECT_DESC != 0;
        let header = vec![0; guest.header_len()];
        // Twice around the ring, with lengths around what is copied, and pieces that end anywhere.
        for round in 0..40 {
            let lens = [14, 60, 511, 512, 513, 1514, 9014, 65_549][round % 8..].iter().take(3);
            let lens: Vec<usize> = lens.copied().collect();
            let mut at = BUFFERS + (round as u64 % 3) * 5;
            for (i, len) in lens.iter().enumerate() {
                let cut = [7 + len / 9, 12, 4096, 100_000][(round + i) % 4].max(len / 8);
                at = guest.send(&header, &payload(*len, i), at, cut, indirect && round % 2 == 0);
            }
            let mut batch = Batch::new();
            queue.recv(&mut batch, &mut io).unwrap();
            assert_eq!(guest.shared.fault(), None, "{features:#x}");
            let came: Vec<Vec<u8>> = batch.iter().map(bytes).collect();
            let sent: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, len)| payload(*len, i)).collect();
            assert!(came == sent, "{features:#x}, round {round}: {lens:?}");
            let lent = batch.iter().position(Frame::has_loans).unwrap_or(lens.len());
            assert_eq!(lent, lens.iter().position(|l| *l > 512).unwrap_or(lens.len()));
            // What is lent is not used yet, nor what came behind it.
            queue.flush(&mut io);
            assert_eq!(guest.tx.used().len(), lent, "{features:#x}, round {round}");
            batch.into_iter().for_each(|f| io.frames.recycle(f));
            queue.flush(&mut io);
            assert_eq!(guest.tx.used().len(), lens.len() - lent);
        }
        assert!(io.take_tally().is_none());
    }
}

#[test]
fn what_is_sent_to_a_guest_comes_whole_and_in_order() {
    for features in layouts() {
        let (mut guest, mut io) = (Guest::new(features, 64), io());
        let mut queue = queue(&guest);
        let (indirect, mergeable) = (features & F_INDIRECT_DESC != 0, features & MRG_RXBUF != 0);
        for round in 0..30 {
            // Buffers of two pieces; for those that cannot be merged, long enough.
            let each = if mergeable { 1526 } else { 66_000 };
            let chains = if mergeable { 50 } else { 3 };
            let mut buffers = Vec::new();
            for i in 0..if indirect || mergeable { chains } else { 3 } {
                let at = BUFFERS + i * (each + 10) + round % 5;
                let pieces = [(at, 100, true), (at + 100, each as u32 - 100, true)];
                let table = indirect.then_some(0x3_0000 + 64 * i as usize);
                if mergeable && !indirect && i >= 30 {
                    break;
                }
                let id = guest.rx.add(&pieces, table);
                buffers.push((id, at));
            }
            let lens = [[60, 1514, 1515], [9014, 60, 17_000], [14, 40_000, 100]][round as usize % 3];
            let mut batch = Batch::new();
            for (i, len) in lens.iter().enumerate() {
                batch.push(frame(&mut io, &payload(*len, i)));
            }
            queue.send(&mut batch, &mut io).unwrap();
            assert!(batch.is_empty(), "{features:#x}: {lens:?}");
            assert!(guest.rx.used().is_empty(), "not shown yet");
            queue.flush(&mut io);
            let mut used = guest.rx.used().into_iter();
            for (i, len) in lens.iter().enumerate() {
                let mut whole = Vec::new();
                let mut n = 1;
                while n > 0 {
                    let (id, written) = used.next().expect("as many as were said");
                    let (_, at) = buffers.iter().find(|(b, _)| *b == id).expect("one of ours");
                    let data = guest.read(*at, written as usize);
                    if whole.is_empty() {
                        n = u16::from_le_bytes([data[10], data[11]]);
                    }
                    whole.extend(data);
                    n -= 1;
                }
                assert!(whole[guest.header_len()..] == payload(*len, i), "{features:#x}, {len}");
            }
            assert_eq!(used.next(), None);
            // Not all buffers were needed: the rest is given back by stopping, and offered anew.
            let base = guest.shared.stop(0).unwrap();
            drop(guest);
            let _ = base;
            guest = Guest::new(features, 64);
            queue = VhostQueue::new(Arc::clone(&guest.shared), 0);
        }
        assert!(io.take_tally().is_none());
    }
}

#[test]
fn guest_to_guest_with_what_is_still_to_be_done() {
    for layout in [0, F_RING_PACKED] {
        let features = VERSION_1 | MRG_RXBUF | GUEST_CSUM | GUEST_TSO4 | GUEST_ECN | layout;
        let (mut a, mut b, mut io) = (Guest::new(features, 64), Guest::new(features, 64), io());
        let (mut from, mut to) = (queue(&a), queue(&b));
        let gso = Gso { kind: GsoKind::Tcp4, size: 1448, hdr_len: 66, ecn: false };
        let offload = Offload { csum: Csum::Partial { start: 34, offset: 16 }, gso: Some(gso) };
        let data = payload(65_000, 1);
        a.send(&vnet::encode(offload), &data, BUFFERS, 4096, false);
        for i in 0..20 {
            b.rx.add(&[(BUFFERS + 4096 * i, 4096, true)], None);
        }
        let mut batch = Batch::new();
        from.recv(&mut batch, &mut io).unwrap();
        assert_eq!((batch[0].len(), batch[0].offload()), (65_000, offload));
        to.send(&mut batch, &mut io).unwrap();
        from.flush(&mut io);
        to.flush(&mut io);
        assert_eq!(a.tx.used().len(), 1);
        let used = b.rx.used();
        let whole: Vec<u8> = used
            .iter()
            .enumerate()
            .flat_map(|(i, (_, len))| b.read(BUFFERS + 4096 * i as u64, *len as usize))
            .collect();
        assert_eq!((used.len(), whole.len()), (16, 12 + 65_000));
        assert_eq!(whole[..10], vnet::encode(offload)[..10]);
        assert!(whole[12..] == data);
    }
}

#[test]
fn what_a_guest_cannot_take_is_named_and_the_rest_goes_on() {
    for layout in [0, F_RING_PACKED] {
        let (mut guest, mut io) = (Guest::new(VERSION_1 | layout, 16), io());
        let mut queue = queue(&guest);
        let mut send = |frames: Vec<Frame>| {
            let mut batch: Batch = frames.into_iter().collect();
            queue.send(&mut batch, &mut io).unwrap();
            queue.flush(&mut io);
            let (left, tally) = (batch.len(), io.take_tally());
            (left, tally)
        };
        let mut io2 = crate::tests::frames::io();
        let (left, _) = send(vec![frame(&mut io2, &payload(60, 0))]);
        assert_eq!(left, 1, "no buffers: the queue is full");
        for i in 0..4 {
            guest.rx.add(&[(BUFFERS + 2048 * i, 1526, true)], None);
        }
        let mut cut = frame(&mut io2, &payload(1000, 0));
        cut.set_offload(Offload { csum: Csum::Partial { start: 34, offset: 16 }, gso: None });
        let frames = vec![
            frame(&mut io2, &payload(1514, 1)),
            frame(&mut io2, &payload(1515, 2)),
            cut,
            frame(&mut io2, &payload(60, 3)),
        ];
        let (left, tally) = send(frames);
        let tally = tally.unwrap();
        assert_eq!(left, 0);
        assert_eq!((tally[DropReason::TooBig as usize], tally[DropReason::TxError as usize]), (1, 1));
        let used: Vec<u32> = guest.rx.used().into_iter().map(|(_, len)| len).collect();
        assert_eq!(used, [1526, 72]);
        guest.shared.enable(0, false);
        let mut batch: Batch = [frame(&mut io2, &payload(60, 0))].into_iter().collect();
        let mut io3 = crate::tests::frames::io();
        VhostQueue::new(Arc::clone(&guest.shared), 0).send(&mut batch, &mut io3).unwrap();
        assert_eq!(io3.take_tally().unwrap()[DropReason::NoGuest as usize], 1);
    }
}

#[test]
fn nobody_notifies_who_does_not_want_it() {
    for features in layouts() {
        let (mut guest, mut io) = (Guest::new(features, 16), io());
        let mut queue = queue(&guest);
        let header = vec![0; guest.header_len()];
        let mut receive = |guest: &mut Guest, queue: &mut VhostQueue| {
            guest.send(&header, &payload(60, 0), BUFFERS, 1000, false);
            let asked = guest.tx.wants_kick();
            let mut batch = Batch::new();
            queue.recv(&mut batch, &mut io).unwrap();
            assert_eq!(batch.len(), 1);
            batch.into_iter().for_each(|f| io.frames.recycle(f));
            queue.flush(&mut io);
            assert_eq!(guest.tx.used().len(), 1);
            (asked, guest.tx.calls() > 0)
        };
        guest.tx.want_call(false);
        // The first may have been asked for when the ring was started.
        receive(&mut guest, &mut queue);
        for _ in 0..40 {
            guest.tx.want_call(false);
            assert_eq!(receive(&mut guest, &mut queue), (false, false), "{features:#x}: busy and polling");
            guest.tx.want_call(true);
            assert_eq!(receive(&mut guest, &mut queue), (false, true), "{features:#x}: the guest waits");
            assert!(queue.arm(), "nothing there");
            guest.tx.want_call(false);
            assert_eq!(receive(&mut guest, &mut queue), (true, false), "{features:#x}: the worker waits");
            guest.send(&header, &payload(60, 0), BUFFERS, 1000, false);
            assert!(!queue.arm(), "{features:#x}: something there");
            let mut batch = Batch::new();
            let mut io = crate::tests::frames::io();
            queue.recv(&mut batch, &mut io).unwrap();
            queue.flush(&mut io);
            assert_eq!((batch.len(), guest.tx.used().len()), (1, 1));
        }
    }
}
