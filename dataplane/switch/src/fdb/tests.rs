//! The table against a map, at its limits, and under threads.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn key(i: u32) -> FdbKey {
    let [a, b, c, d] = i.to_be_bytes();
    FdbKey::new(VlanId::new(1 + i % 3).unwrap(), MacAddr([2, 0, a, b, c, d]))
}

fn table(limit: u32) -> (Fdb, Arc<StationCounts>) {
    let counts = Arc::new(StationCounts::default());
    (Fdb::new(limit, 300, 0x1234_5678_9abc_def0, counts.clone()), counts)
}

const NONE: u32 = u32::MAX;

#[test]
fn everything_up_to_the_limit_is_found() {
    let (fdb, counts) = table(10_000);
    for i in 0..10_000 {
        let learned = fdb.learn(key(i), PortIdx((i % 7) as u16), NONE, Now::from_secs(1));
        assert_eq!(learned, Learned::New, "station {i}");
    }
    assert_eq!(fdb.len(), 10_000);
    assert_eq!((0..7).map(|p| counts.of(PortIdx(p))).sum::<u32>(), 10_000);
    for i in 0..10_000 {
        assert_eq!(fdb.lookup(key(i)), Some(PortIdx((i % 7) as u16)), "station {i}");
    }
    assert_eq!(fdb.lookup(key(10_000)), None);
}

#[test]
fn stations_move_age_and_are_flushed() {
    let (fdb, counts) = table(100);
    let at = Now::from_secs;
    fdb.learn(key(1), PortIdx(1), NONE, at(10));
    assert_eq!(fdb.learn(key(1), PortIdx(2), NONE, at(11)), Learned::Moved { from: PortIdx(1) });
    assert_eq!((counts.of(PortIdx(1)), counts.of(PortIdx(2))), (0, 1));
    fdb.learn(key(2), PortIdx(2), NONE, at(200));
    assert_eq!(fdb.age(0, 1, at(310), 300), 0, "299 seconds are not 300");
    assert_eq!(fdb.age(0, 1, at(311), 300), 1);
    assert_eq!((fdb.lookup(key(1)), fdb.lookup(key(2))), (None, Some(PortIdx(2))));
    fdb.learn(key(2), PortIdx(2), NONE, at(400)); // heard again
    assert_eq!(fdb.age(0, 1, at(600), 300), 0);
    assert_eq!(fdb.remove(|e| e.port == PortIdx(2), at(600)), 1);
    assert!(fdb.is_empty());
}

#[test]
fn static_stations_stay() {
    let (fdb, _) = table(100);
    fdb.learn(key(1), PortIdx(1), NONE, Now::from_secs(1));
    assert!(fdb.insert_static(key(1), PortIdx(2)));
    assert_eq!(fdb.learn(key(1), PortIdx(3), NONE, Now::from_secs(2)), Learned::Known);
    assert_eq!(fdb.age(0, 1, Now::from_secs(100_000), 300), 0);
    assert_eq!(fdb.lookup(key(1)), Some(PortIdx(2)));
    assert_eq!(fdb.len(), 1);
}

#[test]
fn a_flooding_port_evicts_its_own() {
    let (fdb, counts) = table(100);
    for i in 0..20 {
        fdb.learn(key(i), PortIdx(1), NONE, Now::from_secs(1));
    }
    let mut full = 0;
    for i in 1000..6000 {
        full += u32::from(fdb.learn(key(i), PortIdx(2), NONE, Now::from_secs(1)) == Learned::BridgeFull);
    }
    assert!(fdb.len() <= 100);
    assert!(full > 4000, "a full table refuses: {full}");
    assert!((0..20).all(|i| fdb.lookup(key(i)) == Some(PortIdx(1))), "the quiet port keeps its stations");
    // And a third port that comes late still gets its share.
    let got = (0..30).filter(|i| {
        matches!(
            fdb.learn(key(9000 + i), PortIdx(3), NONE, Now::from_secs(1)),
            Learned::New | Learned::Evicted { of: PortIdx(2) }
        )
    });
    assert!(got.count() >= 20, "port 3 has {}", counts.of(PortIdx(3)));
}

#[test]
fn a_port_has_its_own_limit() {
    let (fdb, counts) = table(100);
    let learned: Vec<_> = (0..5).map(|i| fdb.learn(key(i), PortIdx(1), 3, Now::from_secs(1))).collect();
    assert_eq!(learned[2..], [Learned::New, Learned::PortFull, Learned::PortFull]);
    assert_eq!(counts.of(PortIdx(1)), 3);
    fdb.learn(key(9), PortIdx(2), NONE, Now::from_secs(1));
    assert_eq!(fdb.learn(key(9), PortIdx(1), 3, Now::from_secs(1)), Learned::PortFull, "nor by a move");
    assert_eq!(fdb.lookup(key(9)), Some(PortIdx(2)));
}

#[test]
fn long_ageing_is_kept_too() {
    let counts = Arc::new(StationCounts::default());
    let fdb = Fdb::new(16, 1_000_000, 1, counts);
    fdb.learn(key(1), PortIdx(1), NONE, Now::from_secs(5_000_000));
    assert_eq!(fdb.age(0, 1, Now::from_secs(5_999_000), 1_000_000), 0);
    assert_eq!(fdb.age(0, 1, Now::from_secs(6_000_010), 1_000_000), 1);
}

#[test]
fn a_larger_table_takes_over_what_was_known() {
    let (small, counts) = table(10);
    small.learn(key(1), PortIdx(1), NONE, Now::from_secs(100));
    small.insert_static(key(2), PortIdx(2));
    let large = Fdb::new(1000, 300, 7, counts.clone());
    large.copy_from(&small, Now::from_secs(150));
    drop(small);
    assert_eq!(counts.of(PortIdx(1)), 1, "counted once");
    let mut all: Vec<_> =
        large.entries(Now::from_secs(160)).map(|e| (e.port.0, e.age, e.is_static)).collect();
    all.sort_unstable();
    assert_eq!(all, [(1, 60, false), (2, 0, true)]);
}

/// Readers never see one station's port under another's name, while slots are reused all the time.
#[test]
fn no_torn_reads() {
    let (fdb, _) = table(40);
    let stop = AtomicBool::new(false);
    let (mut hits, mut wrong) = (0u32, 0u32);
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut t = 0u32;
            while !stop.load(Relaxed) {
                t += 1;
                fdb.learn(key(t % 97), PortIdx((t % 97) as u16), NONE, Now::from_secs(t));
                if t.is_multiple_of(8) {
                    fdb.age(0, 1, Now::from_secs(t), 4);
                }
            }
        });
        // Until enough answers were checked, however busy the machine; a minute is a hang.
        let start = std::time::Instant::now();
        let mut i = 0;
        while hits < 300_000 && start.elapsed().as_secs() < 60 {
            i = (i + 1) % 97;
            if let Some(found) = fdb.lookup(key(i)) {
                hits += 1;
                wrong += u32::from(found != PortIdx(i as u16));
            }
        }
        stop.store(true, Relaxed);
    });
    assert!(hits >= 300_000, "the race was not run: {hits} hits");
    assert_eq!(wrong, 0, "of {hits}");
}

#[test]
fn what_others_heard_keeps_a_station_young_where_it_is() {
    let (fdb, _) = table(100);
    fdb.learn(key(1), PortIdx(1), NONE, Now::from_secs(10));
    assert!(fdb.refresh(key(1), PortIdx(1), Now::from_secs(200)));
    assert!(!fdb.refresh(key(1), PortIdx(2), Now::from_secs(200)), "it is elsewhere");
    assert!(!fdb.refresh(key(2), PortIdx(1), Now::from_secs(200)), "nobody knows it");
    assert_eq!(fdb.len(), 1);
    assert_eq!(fdb.age(0, 1, Now::from_secs(400), 300), 0);
    assert_eq!(fdb.age(0, 1, Now::from_secs(500), 300), 1);
}
