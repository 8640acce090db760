//! Who gets how much: weights, priority, guarantees, maxima, flows.

mod common;

use common::{MS, Packet, SECOND, class};
use proptest::prelude::*;
use vsw_qos::{ClassSettings, CodelSettings, Departure, Limit, Scheduler, Settings, Share, Size};
use vsw_types::{DropReason, Now};

const MEGABIT: u64 = 1_000_000;

fn limit(rate: u64) -> Limit {
    Limit { rate, burst: 24_224 }
}

fn port(rate: u64, classes: Vec<ClassSettings>) -> Scheduler<Packet> {
    Scheduler::new(Settings { max: Some(limit(rate)), classes, patience: 100 * MS }, Now(0))
}

/// Runs for a time in which these classes always have something, of these lengths. Returns bits by class,
/// and the longest time that one of them was not served.
fn greedy(
    s: &mut Scheduler<Packet>,
    lengths: &[(usize, usize)],
    from: u64,
    time: u64,
) -> (Vec<u64>, Vec<u64>) {
    let count = s.stats().len();
    let (mut bits, mut longest, mut last) = (vec![0; count], vec![0; count], vec![from; count]);
    let mut drop = |_: Packet, _| {};
    let mut now = Now(from);
    for i in 0..8 {
        lengths.iter().for_each(|(c, len)| s.push(*c, Packet(i), Size::one(*len), i, now, &mut drop));
    }
    while now.0 < from + time {
        match s.pop(now, &mut drop) {
            Ok(Departure { size, class, item }) => {
                bits[class] += size.bits();
                longest[class] = longest[class].max(now.0 - last[class]);
                last[class] = now.0;
                let len = lengths.iter().find(|(c, _)| *c == class).map_or(60, |(_, len)| *len);
                s.push(class, item, Size::one(len), item.0, now, &mut drop);
            }
            Err(next) => now = next.expect("something waits"),
        }
    }
    // Who was not served at all waits still.
    lengths.iter().for_each(|(c, _)| longest[*c] = longest[*c].max(now.0 - last[*c]));
    (bits, longest)
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[test]
fn weights_share_what_is_there() {
    // Whatever lengths the two have.
    for (a, b) in [(1514, 1514), (1514, 60), (64, 1514), (9014, 1514)] {
        let mut s = port(100 * MEGABIT, vec![class(Share::Weight(3)), class(Share::Weight(1))]);
        let (bits, _) = greedy(&mut s, &[(0, a), (1, b)], 0, 2 * SECOND);
        let whole = bits[0] + bits[1];
        assert!((share(bits[0], whole) - 0.75).abs() < 0.01, "{a} and {b}: {bits:?}");
        assert!((share(whole, 200 * MEGABIT) - 1.0).abs() < 0.001, "nothing is left unused");
    }
}

#[test]
fn a_guarantee_holds_beside_eight_greedy_others() {
    let guaranteed = ClassSettings { min: Some(limit(20 * MEGABIT)), ..class(Share::Weight(1)) };
    let mut classes = vec![guaranteed, class(Share::Strict)];
    classes.extend((0..7).map(|_| class(Share::Weight(10))));
    let mut s = port(100 * MEGABIT, classes);
    let all: Vec<_> = (0..9).map(|c| (c, 1514)).collect();
    let (bits, _) = greedy(&mut s, &all, 0, 2 * SECOND);
    let got = share(bits[0], 40 * MEGABIT);
    assert!((1.0..1.03).contains(&got), "{got} of the guarantee");
    // What it does not use is everybody's.
    let (bits, _) = greedy(&mut port(100 * MEGABIT, s.settings().classes.clone()), &all[2..], 0, SECOND);
    assert!(share(bits.iter().sum(), 100 * MEGABIT) > 0.999);
}

#[test]
fn what_the_weight_gives_counts_for_the_guarantee() {
    let classes = |min: Option<u64>, weights: [u16; 2]| {
        let first = ClassSettings { min: min.map(limit), ..class(Share::Weight(weights[0])) };
        vec![first, class(Share::Weight(weights[1]))]
    };
    let both = [(0, 1514), (1, 1514)];
    // Half of all is more than the guarantee; a twentieth is less.
    for (weights, want) in [([1, 1], 50), ([1, 19], 20)] {
        let mut s = port(100 * MEGABIT, classes(Some(20 * MEGABIT), weights));
        let (bits, _) = greedy(&mut s, &both, 0, SECOND);
        let got = share(bits[0], want * MEGABIT);
        assert!((0.98..1.06).contains(&got), "{got} of {want} Mbit/s");
    }
    // More than it was guaranteed is no debt.
    let mut s = port(100 * MEGABIT, classes(Some(20 * MEGABIT), [1, 999]));
    greedy(&mut s, &both[..1], 0, SECOND);
    let (bits, _) = greedy(&mut s, &both, SECOND, SECOND);
    assert!(share(bits[0], 20 * MEGABIT) > 0.98, "{bits:?}");
    // What the guarantee gave does not count against the weight.
    let mut s = port(100 * MEGABIT, classes(Some(70 * MEGABIT), [1, 1]));
    greedy(&mut s, &both, 0, SECOND);
    let settings = Settings { classes: classes(None, [1, 1]), ..s.settings().clone() };
    s.change(settings, Some, Now(SECOND), &mut |_, _| {});
    let (bits, _) = greedy(&mut s, &both, SECOND, SECOND / 4);
    assert!((share(bits[0], bits[0] + bits[1]) - 0.5).abs() < 0.01, "{bits:?}");
}

#[test]
fn a_guarantee_below_a_frame_is_paid_off_before_the_next() {
    let small = Some(Limit { rate: MEGABIT, burst: 1_000 });
    let classes = vec![ClassSettings { min: small, ..class(Share::Weight(1)) }, class(Share::Weight(19))];
    let (bits, _) = greedy(&mut port(10 * MEGABIT, classes), &[(0, 1514), (1, 1514)], 0, 4 * SECOND);
    let got = share(bits[0], 4 * MEGABIT);
    // Half of the guarantee more by weight, which counts only for what the bucket holds.
    assert!((0.98..1.55).contains(&got), "{got} of the guarantee");
}

#[test]
fn guarantees_that_cannot_all_hold_share_what_is_there() {
    let class = || ClassSettings { min: Some(limit(8 * MEGABIT)), ..class(Share::Weight(1)) };
    let all = [(0, 1514), (1, 1514), (2, 1514)];
    let (bits, _) = greedy(&mut port(10 * MEGABIT, vec![class(), class(), class()]), &all, 0, SECOND);
    assert!(bits.iter().all(|b| share(*b, 10 * MEGABIT) > 0.3), "{bits:?}");
}

#[test]
fn who_had_little_to_send_has_saved_nothing() {
    let mut s = port(100 * MEGABIT, vec![class(Share::Weight(10)), class(Share::Weight(1))]);
    let mut drop = |_: Packet, _| {};
    let mut now = Now(0);
    // One frame of the first between two of the second.
    for i in 0..200 {
        s.push(0, Packet(0), Size::one(60), 0, now, &mut drop);
        s.push(1, Packet(i), Size::one(1514), 0, now, &mut drop);
        s.push(1, Packet(i), Size::one(1514), 0, now, &mut drop);
        while let Some(next) = match s.pop(now, &mut drop) {
            Ok(_) => Some(now),
            Err(next) => next,
        } {
            now = next;
        }
    }
    let (bits, longest) = greedy(&mut s, &[(0, 1514), (1, 1514)], now.0, SECOND / 10);
    assert!((share(bits[1], bits[0] + bits[1]) - 1.0 / 11.0).abs() < 0.01, "{bits:?}");
    // Ten frames and one at 100 Mbit/s.
    assert!(longest[1] < 2 * 11 * 121_120, "{longest:?}");
}

#[test]
fn who_may_leave_first_is_waited_for() {
    let capped = |rate| ClassSettings { max: Some(limit(rate)), ..class(Share::Weight(1)) };
    let classes = vec![capped(MEGABIT / 10), capped(10 * MEGABIT)];
    let mut s = Scheduler::new(Settings { max: None, classes, patience: 100 * MS }, Now(0));
    let (bits, _) = greedy(&mut s, &[(0, 1514), (1, 1514)], 0, SECOND);
    assert!((share(bits[1], 10 * MEGABIT) - 1.0).abs() < 0.01, "{bits:?}");
}

#[test]
fn patience_begins_when_there_is_something_to_wait_with() {
    let mut s = port(10 * MEGABIT, vec![class(Share::Strict), class(Share::Weight(1))]);
    greedy(&mut s, &[(0, 1514)], 0, SECOND);
    // The first of the second class comes after a second, behind strict ones without end.
    let mut drop = |_: Packet, r| panic!("{r:?}");
    s.push(1, Packet(0), Size::one(1514), 0, Now(SECOND), &mut drop);
    let mut now = Now(SECOND);
    let mut left = None;
    while left.is_none() && now < Now(2 * SECOND) {
        match s.pop(now, &mut drop) {
            Ok(Departure { class: 1, .. }) => left = Some(now.0 - SECOND),
            Ok(Departure { size, item, .. }) => s.push(0, item, size, item.0, now, &mut drop),
            Err(next) => now = next.expect("something waits"),
        }
    }
    assert!(left.is_some_and(|left| (100 * MS..103 * MS).contains(&left)), "{left:?} ns");
}

#[test]
fn strict_priority_starves_nobody_for_longer_than_allowed() {
    let mut s = port(10 * MEGABIT, vec![class(Share::Strict), class(Share::Strict), class(Share::Weight(1))]);
    let (bits, longest) = greedy(&mut s, &[(0, 1514), (1, 1514), (2, 1514)], 0, 10 * SECOND);
    assert!(share(bits[0], 100 * MEGABIT) > 0.97, "it is strict all the same: {bits:?}");
    assert!(longest[1..].iter().all(|t| *t <= 105 * MS), "{longest:?}");
    // A port so slow that all are always late: they take turns.
    let classes = vec![class(Share::Strict), class(Share::Weight(1)), class(Share::Weight(1))];
    let mut s = Scheduler::new(Settings { max: Some(limit(64_000)), classes, patience: MS }, Now(0));
    let (_, longest) = greedy(&mut s, &[(0, 1514), (1, 1514), (2, 1514)], 0, 10 * SECOND);
    assert!(longest.iter().all(|t| *t <= 3 * 190 * MS), "{longest:?}");
}

#[test]
fn a_class_never_exceeds_its_maximum_and_the_rest_is_others() {
    let capped = ClassSettings { max: Some(limit(30 * MEGABIT)), ..class(Share::Strict) };
    let mut s = port(100 * MEGABIT, vec![capped, class(Share::Weight(1))]);
    let (bits, _) = greedy(&mut s, &[(0, 1514), (1, 1514)], 0, SECOND);
    assert!((share(bits[0], 30 * MEGABIT) - 1.0).abs() < 0.01, "{bits:?}");
    assert!((share(bits[1], 70 * MEGABIT) - 1.0).abs() < 0.01, "{bits:?}");
    // Alone it leaves the port idle, and says until when.
    let (bits, _) = greedy(&mut s, &[(0, 1514)], SECOND, SECOND);
    assert!((share(bits[0], 30 * MEGABIT) - 1.0).abs() < 0.01, "{bits:?}");
}

#[test]
fn a_change_keeps_queues_tokens_and_numbers() {
    let mut s = port(10 * MEGABIT, vec![class(Share::Weight(1)), class(Share::Weight(1))]);
    let mut drop = |_: Packet, r| panic!("{r:?}");
    (0..40).for_each(|i| s.push(i as usize % 2, Packet(i), Size::one(1514), 0, Now(0), &mut drop));
    while s.pop(Now(0), &mut drop).is_ok() {}
    let left: u32 = s.stats().map(|c| c.queue_items).sum();
    // The second class stays, as the first; what waited in the other goes to the last.
    let classes = vec![class(Share::Weight(5)), class(Share::Strict)];
    let settings = Settings { max: Some(limit(20 * MEGABIT)), classes, patience: 0 };
    s.change(settings, |i| [Some(1), None][i], Now(0), &mut drop);
    assert_eq!(s.stats().map(|c| c.queue_items).sum::<u32>(), left);
    assert!(s.stats().next().is_some_and(|c| c.packets > 0));
    assert!(matches!(s.pop(Now(0), &mut drop), Err(Some(_))), "no tokens were given away");
    let (bits, _) = greedy(&mut s, &[(0, 1514)], 0, SECOND);
    assert!((share(bits.iter().sum(), 20 * MEGABIT) - 1.0).abs() < 0.01);
}

/// A bulk flow that always has a queue, and one that sends a frame now and then: how long the second waits.
fn beside_bulk(settings: ClassSettings) -> (u64, u64) {
    let mut s = port(100 * MEGABIT, vec![settings]);
    let mut drops = 0;
    let mut drop = |_: Packet, _| drops += 1;
    let (mut now, mut next_bulk, mut next_ping, mut worst) = (Now(0), 0, 0, 0);
    let mut sent = [0u64; 100];
    while now.0 < 5 * SECOND {
        // Bulk offers 1.2 times the rate, and slows down for nobody.
        while next_bulk <= now.0 {
            s.push(0, Packet(1000), Size::one(1514), 7 << 24, Now(next_bulk), &mut drop);
            next_bulk += 100_933;
        }
        if next_ping <= now.0 {
            let n = next_ping / (100 * MS);
            sent[n as usize] = now.0;
            s.push(0, Packet(n as u32), Size::one(98), 200 << 24, now, &mut drop);
            next_ping += 100 * MS;
        }
        match s.pop(now, &mut drop) {
            Ok(Departure { item: Packet(n @ ..1000), .. }) => worst = worst.max(now.0 - sent[n as usize]),
            Ok(_) => {}
            Err(at) => now = at.unwrap_or(Now(u64::MAX)).min(Now(next_bulk)).min(Now(next_ping)),
        }
    }
    (worst, s.stats().next().map_or(0, |c| c.delay_max))
}

#[test]
fn a_sparse_flow_does_not_wait_behind_a_fat_one() {
    let fair = ClassSettings { flows: 256, codel: Some(CodelSettings::default()), ..class(Share::Weight(1)) };
    let (ping, _) = beside_bulk(fair);
    assert!(ping < MS, "{ping} ns");
    let (ping, bulk) = beside_bulk(class(Share::Weight(1)));
    assert!(ping > 50 * MS && bulk < 130 * MS, "plain: {ping} ns; the queue is bounded: {bulk} ns");
}

#[test]
fn who_waited_for_too_long_is_dropped() {
    let mut settings = class(Share::Weight(1));
    settings.queue.time = 20 * MS;
    let mut s = port(MEGABIT, vec![settings]);
    let mut reasons = Vec::new();
    (0..20).for_each(|i| s.push(0, Packet(i), Size::one(1514), 0, Now(0), &mut |_, r| reasons.push(r)));
    let mut now = Now(0);
    while let Err(Some(next)) | Ok(Some(next)) = s.pop(now, &mut |_, r| reasons.push(r)).map(|_| Some(now)) {
        now = next;
    }
    assert!(now.0 <= 33 * MS && reasons.len() > 10, "{now:?}, {} dropped", reasons.len());
    assert!(reasons.iter().all(|r| *r == DropReason::ClassFull));
}

#[test]
fn frames_that_allow_it_are_marked_and_others_dropped() {
    for (packet, dropped) in [(Packet(1), false), (Packet(2), true)] {
        let codel = Some(CodelSettings::default());
        let mut s = port(10 * MEGABIT, vec![ClassSettings { codel, ..class(Share::Weight(1)) }]);
        let mut reasons = Vec::new();
        let mut now = Now(0);
        (0..100).for_each(|_| s.push(0, packet, Size::one(1514), 0, now, &mut |_, _| {}));
        while now.0 < SECOND {
            match s.pop(now, &mut |_, r| reasons.push(r)) {
                Ok(_) => s.push(0, packet, Size::one(1514), 0, now, &mut |_, _| {}),
                Err(next) => now = next.unwrap_or(Now(SECOND)),
            }
        }
        let stats = s.stats().next().unwrap();
        assert_eq!((stats.delayed > 0, stats.marked > 0), (dropped, !dropped));
        assert_eq!(reasons.len() as u64, stats.delayed);
        assert!(reasons.iter().all(|r| *r == DropReason::ClassDelay));
    }
}

proptest! {
    #![proptest_config(common::proptest_config())]

    /// Whatever comes: everything pushed is popped, dropped or still there, and a port that may send does.
    #[test]
    fn nothing_vanishes_and_no_work_is_left(
        kinds in prop::collection::vec((0u16..4, any::<bool>(), any::<bool>(), 1u16..64), 1..6),
        steps in prop::collection::vec((0usize..6, 60usize..3000, any::<u32>(), 0u64..3_000_000), 1..400),
    ) {
        let classes: Vec<_> = kinds.iter().map(|(weight, codel, capped, flows)| ClassSettings {
            codel: codel.then(CodelSettings::default),
            max: capped.then_some(limit(5 * MEGABIT)),
            flows: *flows,
            ..class(if *weight == 0 { Share::Strict } else { Share::Weight(*weight) })
        }).collect();
        let capped = kinds.iter().any(|k| k.2);
        let mut s = port(20 * MEGABIT, classes);
        let (mut now, mut pushed, mut popped, mut dropped) = (0, 0u64, 0u64, 0u64);
        let mut open_at = Now(0);
        for (class, len, flow, gap) in steps {
            now += gap;
            s.push(class, Packet(flow), Size::one(len), flow, Now(now), &mut |_, _| dropped += 1);
            pushed += 1;
            loop {
                match s.pop(Now(now), &mut |_, _| dropped += 1) {
                    Ok(_) => popped += 1,
                    Err(Some(next)) => {
                        prop_assert!(next > Now(now));
                        open_at = next;
                        break;
                    }
                    Err(None) => {
                        prop_assert!(s.is_empty());
                        break;
                    }
                }
            }
            let waiting: u64 = s.stats().map(|c| u64::from(c.queue_items)).sum();
            prop_assert_eq!(pushed, popped + dropped + waiting);
        }
        // It kept its word: at that moment one may leave (or had waited for too long).
        if !s.is_empty() && !capped {
            let before = s.stats().map(|c| c.queue_items).sum::<u32>();
            let _ = s.pop(open_at.max(Now(now)), &mut |_, _| {});
            prop_assert!(s.stats().map(|c| c.queue_items).sum::<u32>() < before);
        }
        let mut left = 0;
        let waiting: u64 = s.stats().map(|c| u64::from(c.queue_items)).sum();
        s.drain(|_, _| left += 1);
        prop_assert_eq!(left, waiting);
        prop_assert!(s.is_empty());
    }
}
