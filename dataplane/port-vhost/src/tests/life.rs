//! Rings that are stopped, started again and moved, memory that comes and goes, pages that are logged.

use super::frames::{io, layouts, payload, queue};
use super::guest::{BASE, BUFFERS, Guest, memfd};
use crate::fault::Fault;
use crate::features::{LOG_ALL, VERSION_1};
use crate::inflight::{InFlight, Note};
use crate::memory::{MAX_REGIONS, Memory, RegionSpec};
use crate::ring::F_RING_PACKED;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vsw_mem::{Batch, Frame};
use vsw_port::{Io, PortQueue};

fn receive(guest: &Guest, io: &mut Io) -> Batch {
    let mut batch = Batch::new();
    let mut queue = queue(guest);
    queue.recv(&mut batch, io).unwrap();
    queue.flush(io);
    batch
}

#[test]
fn a_ring_goes_on_where_it_was_stopped() {
    for features in layouts() {
        let (mut guest, mut io) = (Guest::new(features, 8), io());
        for round in 0..40 {
            for i in 0..round % 4 {
                guest.send(&[0; 12], &payload(100, i), BUFFERS + 1000 * i as u64, 56, false);
            }
            let got = receive(&guest, &mut io);
            assert_eq!(got.len(), round % 4, "{features:#x}, round {round}");
            got.into_iter().for_each(|f| io.frames.recycle(f));
            assert_eq!(guest.tx.used().len(), round % 4);
            let base = guest.shared.stop(1).expect("it ran");
            assert_eq!(guest.shared.stop(1), None);
            assert!(receive(&guest, &mut io).is_empty());
            let kick = guest.tx.kick.try_clone().unwrap();
            guest.shared.start(1, guest.tx.setup(base), Some(kick)).unwrap();
        }
    }
}

#[test]
fn a_split_ring_goes_on_after_the_switch_was_killed() {
    let (mut guest, mut io) = (Guest::new(VERSION_1, 8), io());
    for i in 0..3 {
        guest.send(&[0; 12], &payload(100, i), BUFFERS + 1000 * i as u64, 200, false);
    }
    let first = receive(&guest, &mut io);
    assert_eq!((first.len(), guest.tx.used().len()), (3, 3));
    guest.send(&[0; 12], &payload(100, 7), BUFFERS, 200, false);
    // Another process, told an old base: what was taken and shown is not taken again, what was not is.
    guest.shared = crate::shared::Shared::new(1).unwrap();
    guest.shared.set_features(VERSION_1);
    guest.shared.set_memory(guest.table()).unwrap();
    guest.start(0);
    let got = receive(&guest, &mut io);
    assert_eq!(got.iter().map(|f| f.bytes().to_vec()).collect::<Vec<_>>(), [payload(100, 7)]);
}

/// A new process, which knows of the old one what the front end and the guest's memory tell.
fn successor(guest: &mut Guest, inflight: &OwnedFd, base: u32) {
    guest.shared = crate::shared::Shared::new(1).unwrap();
    guest.shared.set_features(guest.features);
    guest.shared.set_memory(guest.table()).unwrap();
    let len = rustix::fs::fstat(inflight).unwrap().st_size as u64;
    guest.shared.set_inflight(InFlight::map(inflight, 0, len, 2, 8).unwrap());
    guest.start(base);
}

#[test]
fn a_packed_ring_goes_on_by_what_was_in_flight() {
    let features = VERSION_1 | F_RING_PACKED;
    let (mut guest, mut io) = (Guest::new(features, 8), io());
    let (region, len) = InFlight::create(2, 8).unwrap();
    let fresh = Guest::fresh(features);
    successor(&mut guest, &region, fresh);
    for round in 0..30 {
        for i in 0..round % 3 {
            guest.send(&[0; 12], &payload(100, round + i), BUFFERS + 1000 * i as u64, 60, false);
        }
        // Taken, and never shown as used: the next process takes them again.
        let mut queue = queue(&guest);
        let mut lost = Batch::new();
        queue.recv(&mut lost, &mut io).unwrap();
        assert_eq!(lost.len(), round % 3);
        if round % 2 == 0 {
            successor(&mut guest, &region, fresh);
            let got = receive(&guest, &mut io);
            assert_eq!(got.len(), round % 3, "round {round}");
        } else {
            queue.flush(&mut io);
        }
        assert_eq!(guest.tx.used().len(), round % 3, "round {round}");
        successor(&mut guest, &region, fresh);
        assert!(receive(&guest, &mut io).is_empty(), "what was shown is over");
    }
    // Killed between noting a batch and showing it, or right after.
    let note = Note::new(Some(&Arc::new(InFlight::map(&region, 0, len, 2, 8).unwrap())), 1, 8);
    let [before, _] = note.places().unwrap();
    note.set(((before.0 + 2) % 8, before.1 ^ (before.0 > 5)), before);
    guest.send(&[0; 12], &payload(100, 1), BUFFERS, 60, false);
    successor(&mut guest, &region, fresh);
    assert_eq!(receive(&guest, &mut io).len(), 1);
    assert_eq!(guest.tx.used().len(), 1);
    let [_, after] = note.places().unwrap();
    note.set(after, before);
    successor(&mut guest, &region, fresh);
    assert!(receive(&guest, &mut io).is_empty());
}

#[test]
fn in_flight_regions_that_cannot_be_are_refused() {
    let (file, len) = InFlight::create(2, 8).unwrap();
    assert!(InFlight::map(&file, 0, len, 2, 8).is_ok());
    for (offset, len, rings, size) in [
        (0, len - 1, 2, 8),
        (8, len, 2, 8),
        (1, len, 2, 8),
        (!7, len, 2, 8),
        (0, len, 0, 8),
        (0, len, 2, 0),
        (0, len, 3, 8),
    ] {
        let refused = InFlight::map(&file, offset, len, rings, size);
        assert!(matches!(refused, Err(Fault::InFlight(_))), "{offset}, {len}, {rings}, {size}");
    }
    assert!(InFlight::create(u16::MAX, 1 << 15).is_err());
}

#[test]
fn frames_outlive_their_ring_and_its_memory() {
    for layout in [0, F_RING_PACKED] {
        let (mut guest, mut io) = (Guest::new(VERSION_1 | layout, 8), io());
        guest.send(&[0; 12], &payload(9000, 1), BUFFERS, 100_000, false);
        let got = receive(&guest, &mut io);
        assert!(got[0].has_loans());
        guest.shared.disconnect();
        let whole: Vec<u8> = got[0].segments().flatten().copied().collect();
        assert!(whole == payload(9000, 1));
        assert_eq!(guest.tx.used().len(), 1, "the guest is not left waiting");
        got.into_iter().for_each(|f| io.frames.recycle(f));
    }
}

#[test]
fn memory_comes_and_goes_while_rings_run() {
    for layout in [0, F_RING_PACKED] {
        let (mut guest, mut io) = (Guest::new(VERSION_1 | layout, 8), io());
        let more = RegionSpec { guest: 1 << 32, size: 1 << 20, user: 1 << 40, offset: 4096 };
        let table = guest.table().with(more, memfd((1 << 20) + 4096)).unwrap();
        guest.shared.set_memory(Arc::new(table.clone())).unwrap();
        guest.tx.add(&[(1 << 32, 112, false)], None);
        let got = receive(&guest, &mut io);
        assert_eq!(got.iter().map(Frame::len).collect::<Vec<_>>(), [100]);
        guest.shared.set_memory(Arc::new(table.without(more).unwrap())).unwrap();
        assert_eq!(guest.shared.fault(), None);
        guest.tx.used();
        guest.tx.add(&[(1 << 32, 112, false)], None);
        assert!(receive(&guest, &mut io).is_empty());
        assert_eq!(guest.shared.fault(), Some((1, Fault::OutOfMemory(1 << 32, 112))));
        // A table in which the rings are not.
        let empty = Arc::new(Memory::default());
        assert!(matches!(guest.shared.set_memory(empty), Err(Fault::RingAddress(..))));
        assert!(!guest.shared.is_running());
    }
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let file = || memfd(1 << 20);
    let base = RegionSpec { guest: 1 << 20, size: 1 << 20, user: 5 << 20, offset: 0 };
    let one = Memory::new([(base, file())]).unwrap();
    let with = |spec| one.with(spec, file()).map(drop).unwrap_err();
    let far = RegionSpec { guest: 9 << 20, user: 19 << 20, ..base };
    assert!(one.with(far, file()).is_ok());
    assert_eq!(with(RegionSpec { guest: (2 << 20) - 1, ..far }), Fault::RegionOverlap((2 << 20) - 1));
    assert_eq!(with(RegionSpec { user: 4 << 20 | 1, ..far }), Fault::RegionOverlap(4 << 20 | 1));
    assert_eq!(with(RegionSpec { size: 0, ..far }), Fault::RegionBounds(9 << 20, 0));
    assert_eq!(with(RegionSpec { guest: !0, ..far }), Fault::RegionBounds(!0, 1 << 20));
    assert_eq!(with(RegionSpec { offset: 1, ..far }), Fault::RegionFile(9 << 20, 1 << 20));
    assert_eq!(with(RegionSpec { offset: !0, ..far }), Fault::RegionBounds(9 << 20, 1 << 20));
    assert!(matches!(one.without(far), Err(Fault::NoRegion(..))));
    let many = (0..=MAX_REGIONS as u64)
        .map(|i| (RegionSpec { guest: i << 20, size: 4096, user: i << 20, offset: 0 }, file()));
    assert_eq!(Memory::new(many).map(drop), Err(Fault::TooManyRegions(MAX_REGIONS)));
}

#[test]
fn pages_that_were_written_are_logged_and_no_others() {
    for layout in [0, F_RING_PACKED] {
        let features = VERSION_1 | layout;
        let (mut guest, mut io) = (Guest::new(features, 8), io());
        let (file, len) = (memfd(4096 + 256), 256);
        let bits = || {
            let mut bytes = vec![0; len];
            rustix::io::pread(&file, &mut bytes, 4096).unwrap();
            let all = (0..8 * len).filter(|page| bytes[page / 8] >> (page % 8) & 1 != 0);
            all.map(|page| page as u64 * 4096).collect::<Vec<_>>()
        };
        guest.shared.set_log(&file, 4096, len as u64).unwrap();
        let buffer = BUFFERS + 4096 - 100;
        let put = |guest: &mut Guest, io: &mut Io| {
            guest.rx.add(&[(buffer, 3000, true)], None);
            let mut frame = io.frames.take().unwrap();
            frame.fill(&payload(1000, 0)).unwrap();
            let mut batch: Batch = [frame].into_iter().collect();
            let mut queue = queue(guest);
            queue.send(&mut batch, io).unwrap();
            queue.flush(io);
            assert_eq!(guest.rx.used().len(), 1);
        };
        put(&mut guest, &mut io);
        assert_eq!(bits(), [], "not negotiated yet");
        guest.shared.set_features(features | LOG_ALL);
        put(&mut guest, &mut io);
        // Where it says that buffers are used: the used ring, or the descriptors (logged at the same address).
        assert_eq!(bits(), [BASE + 0xb000, BUFFERS, BUFFERS + 4096]);
        guest.shared.set_features(features);
        assert!(matches!(guest.shared.set_log(&file, 4096, 257), Err(Fault::Log(257, _))));
    }
}
