//! What no driver does: each has its name, and ends that ring, not more.

use super::frames::{io, payload, queue};
use super::guest::{BASE, BUFFERS, Buffer, Guest, SIZE, USER};
use crate::fault::Fault;
use crate::features::{MRG_RXBUF, VERSION_1};
use crate::ring::{F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED};
use crate::shared::RingSetup;
use proptest::prelude::*;
use vsw_mem::Batch;
use vsw_port::PortQueue;

/// What the switch says to a chain that the guest sends.
fn verdict(features: u64, buffers: &[Buffer], indirect: bool) -> Option<Fault> {
    let (mut guest, mut io) = (Guest::new(features, 16), io());
    guest.tx.add(buffers, indirect.then_some(0x3_0000));
    queue(&guest).recv(&mut Batch::new(), &mut io).unwrap();
    guest.shared.fault().map(|(ring, fault)| {
        assert_eq!(ring, 1);
        assert!(!guest.shared.is_running());
        fault
    })
}

#[test]
fn lies_about_buffers_have_names() {
    let end = BASE + SIZE as u64;
    for features in [VERSION_1, VERSION_1 | F_RING_PACKED] {
        let all = features | F_INDIRECT_DESC;
        assert_eq!(verdict(all, &[(end - 100, 100, false)], false), None);
        assert_eq!(verdict(all, &[(end - 99, 100, false)], false), Some(Fault::OutOfMemory(end - 99, 100)));
        assert_eq!(verdict(all, &[(BASE - 1, 100, false)], false), Some(Fault::OutOfMemory(BASE - 1, 100)));
        assert_eq!(verdict(all, &[(!0, 100, false)], true), Some(Fault::OutOfMemory(!0, 100)));
        assert_eq!(verdict(all, &[(BUFFERS, !0, false)], true), Some(Fault::OutOfMemory(BUFFERS, !0)));
        assert_eq!(verdict(all, &[(BUFFERS, 100, true)], false), None, "harmless, and DPDK does it");
        assert_eq!(verdict(all, &[(BUFFERS, 11, false)], false), Some(Fault::ShortBuffer(11)));
        assert_eq!(verdict(features, &[(BUFFERS, 100, false)], true), Some(Fault::Indirect(16)));
        let many = vec![(BUFFERS, 10, false); 17];
        assert_eq!(verdict(all, &many, true), Some(Fault::LongChain), "longer than the ring");
        assert_eq!(verdict(all, &many[..16], true), None);
        assert_eq!(verdict(all, &[(BUFFERS, 1 << 20, false); 4], true), None, "over-long is a frame's fault");
    }
}

#[test]
fn what_lies_over_an_edge_is_found_out() {
    let (end, half) = (BASE + SIZE as u64, BASE + SIZE as u64 / 2);
    for features in [VERSION_1, VERSION_1 | F_RING_PACKED] {
        // Over the border of two regions: two pieces of one buffer.
        let (mut guest, mut io) = (Guest::new(features, 16), io());
        let data = payload(200, 3);
        guest.send(&[0; 12], &data, half - 100, 1000, false);
        let mut batch = Batch::new();
        queue(&guest).recv(&mut batch, &mut io).unwrap();
        assert_eq!(batch.iter().map(|f| f.bytes().to_vec()).collect::<Vec<_>>(), [data]);

        // An indirect table, and a ring, that end behind the memory.
        let mut guest = Guest::new(features | F_INDIRECT_DESC, 16);
        let table = (end - 16 - BASE) as usize;
        guest.tx.add_indirect(table, 2);
        queue(&guest).recv(&mut Batch::new(), &mut io).unwrap();
        assert_eq!(guest.shared.fault(), Some((1, Fault::OutOfMemory(end - 16, 32))));
        let guest = Guest::new(features, 16);
        let setup = RingSetup { desc: USER + SIZE as u64 - 16, ..guest.tx.setup(0) };
        let over = Fault::RingAddress(
            if features == VERSION_1 { "descriptor table" } else { "descriptor ring" },
            setup.desc,
        );
        assert_eq!(guest.shared.start(1, setup, None), Err(over));
    }
}

#[test]
fn a_chain_that_leaves_the_table_or_comes_back_has_a_name() {
    let verdict = |next: u8| {
        let (mut guest, mut io) = (Guest::new(VERSION_1, 16), io());
        guest.write(BASE + 0x2_0000, &BUFFERS.to_le_bytes());
        guest.write(BASE + 0x2_0008, &[50, 0, 0, 0, 1, 0, next, 0]);
        guest.tx.offer(0);
        queue(&guest).recv(&mut Batch::new(), &mut io).unwrap();
        guest.shared.fault()
    };
    assert_eq!(verdict(16), Some((1, Fault::NoSuchDescriptor(16, 16))));
    assert_eq!(verdict(0), Some((1, Fault::LongChain)));
}

#[test]
fn what_is_to_be_read_is_not_written() {
    for features in [VERSION_1, VERSION_1 | F_RING_PACKED] {
        let (mut guest, mut io) = (Guest::new(features, 16), io());
        guest.rx.add(&[(BUFFERS, 2000, true), (BUFFERS + 2000, 2000, false)], None);
        let mut frame = io.frames.take().unwrap();
        frame.fill(&payload(100, 0)).unwrap();
        let mut batch: Batch = [frame].into_iter().collect();
        queue(&guest).send(&mut batch, &mut io).unwrap();
        assert_eq!((batch.len(), guest.shared.fault()), (1, Some((0, Fault::Direction))));
    }
}

#[test]
fn lies_about_rings_have_names() {
    let fault = |setup: RingSetup, features: u64| {
        let guest = Guest::new(features, 16);
        guest.shared.start(1, setup, None).unwrap_err()
    };
    for features in [VERSION_1, VERSION_1 | F_RING_PACKED] {
        let good = Guest::new(features, 16).tx.setup(0);
        assert_eq!(fault(RingSetup { size: 0, ..good }, features), Fault::RingSize(0));
        assert_eq!(fault(RingSetup { size: 1 << 16, ..good }, features), Fault::RingSize(1 << 16));
        for (bad, off) in [(0, 0), (!0, 0), (good.desc, 8), (good.desc, 1)] {
            let bad = bad + off;
            let named = |fault| matches!(fault, Fault::RingAddress(_, at) if at == bad);
            assert!(named(fault(RingSetup { desc: bad, ..good }, features)));
            // The other areas need less alignment.
            if off != 8 {
                assert!(named(fault(RingSetup { avail: bad, ..good }, features)));
                assert!(named(fault(RingSetup { used: bad, ..good }, features)));
            }
        }
        let guest = Guest::new(features, 16);
        assert_eq!(guest.shared.start(2, good, None), Err(Fault::NoSuchRing(2)));
        let file = super::guest::memfd(8);
        assert_eq!(guest.shared.set_call(0, Some(file)), Err(Fault::NotEventfd));
    }
    let good = Guest::new(VERSION_1, 16).tx.setup(0);
    assert_eq!(fault(RingSetup { size: 15, ..good }, VERSION_1), Fault::RingSize(15));
    let packed = VERSION_1 | F_RING_PACKED;
    assert_eq!(fault(RingSetup { base: 16, ..good }, packed), Fault::NoSuchDescriptor(16, 16));
}

#[test]
fn lies_about_what_is_available_have_names() {
    let (mut guest, mut io) = (Guest::new(VERSION_1, 16), io());
    guest.tx.offer(16);
    queue(&guest).recv(&mut Batch::new(), &mut io).unwrap();
    assert_eq!(guest.shared.fault(), Some((1, Fault::NoSuchDescriptor(16, 16))));

    let mut guest = Guest::new(VERSION_1, 16);
    (0..17).for_each(|_| guest.tx.offer(0));
    queue(&guest).recv(&mut Batch::new(), &mut io).unwrap();
    assert_eq!(guest.shared.fault(), Some((1, Fault::TooManyAvailable(17, 16))));

    // The same descriptors again and again, never waiting for them to come back.
    let mut guest = Guest::new(VERSION_1, 16);
    guest.send(&[0; 12], &payload(9000, 0), BUFFERS, 100_000, false);
    let mut held = Vec::new();
    for _ in 0..100 {
        guest.tx.offer(0);
        let mut batch = Batch::new();
        queue(&guest).recv(&mut batch, &mut io).unwrap();
        held.extend(batch);
    }
    assert!(held.len() <= 16 && guest.shared.fault().is_some(), "{}", held.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Rings full of anything: no panic, no end of the memory (the kernel would say so), no frame that is longer
    /// than frames are; and it ends.
    #[test]
    fn anything_at_all(
        packed in any::<bool>(),
        more in any::<[bool; 3]>(),
        words in proptest::collection::vec((0u32..0x1_2000, any::<u64>(), 0u8..4), 0..200),
        ids in proptest::collection::vec(0u16..20, 0..40),
    ) {
        let mut features = VERSION_1;
        for (on, bit) in [packed, more[0], more[1], more[2]]
            .into_iter()
            .zip([F_RING_PACKED, F_EVENT_IDX, F_INDIRECT_DESC, MRG_RXBUF])
        {
            features |= if on { bit } else { 0 };
        }
        let (mut guest, mut io) = (Guest::new(features, 16), io());
        for (at, value, kind) in words {
            // Addresses that are nearly right, flags, lengths, noise: dense where the rings are.
            let at = (at as usize / 0x1000) * 0x1000 + (at as usize % 0x100);
            let value = match kind {
                0 => BASE + value % (SIZE as u64 + 64),
                1 => value & 0x0007_0007_0000_ffff,
                2 => value & 0x8087_000f_0000_0fff,
                _ => value,
            };
            guest.write((BASE + 0x1000 + at as u64) & !7, &value.to_le_bytes());
            guest.write((BASE + 0x2_0000 + at as u64) & !7, &value.to_le_bytes());
        }
        if !packed {
            for id in ids {
                guest.tx.offer(id);
                guest.rx.offer(id);
            }
        }
        let mut queue = queue(&guest);
        for _ in 0..4 {
            let mut batch = Batch::new();
            queue.recv(&mut batch, &mut io).unwrap();
            queue.flush(&mut io);
            batch.iter().for_each(|f| assert!(f.len() <= vsw_mem::MAX_FRAME));
            queue.send(&mut batch, &mut io).unwrap();
            batch.into_iter().for_each(|f| io.frames.recycle(f));
            queue.flush(&mut io);
            queue.arm();
        }
        guest.shared.disconnect();
    }
}
