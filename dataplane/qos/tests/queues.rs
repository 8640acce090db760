//! Who waits, who is dropped, and what is told of it.

mod common;

use common::{MS, Packet, SECOND, class};
use vsw_qos::{ClassSettings, CodelSettings, Limit, Scheduler, Settings, Share, Size};
use vsw_types::{DropReason, Now};

fn scheduler(max: Option<Limit>, classes: Vec<ClassSettings>) -> Scheduler<Packet> {
    Scheduler::new(Settings { max, classes, patience: 100 * MS }, Now(0))
}
fn fair() -> ClassSettings {
    ClassSettings { flows: 256, ..class(Share::Weight(1)) }
}
/// Queues a frame; those that died for it.
fn push(s: &mut Scheduler<Packet>, class: usize, packet: u32, len: usize, flow: u32, now: u64) -> Vec<u32> {
    let mut dead = Vec::new();
    let mut drop = |p: Packet, reason| {
        assert_eq!(reason, DropReason::ClassFull);
        dead.push(p.0);
    };
    s.push(class, Packet(packet), Size::one(len), flow, Now(now), &mut drop);
    dead
}
/// Everything that leaves at one moment.
fn pop_all(s: &mut Scheduler<Packet>, now: u64) -> Vec<u32> {
    std::iter::from_fn(|| s.pop(Now(now), &mut |p, r| panic!("{p:?} {r:?}")).ok()).map(|d| d.item.0).collect()
}
const FIRST: u32 = 0;
const SECOND_FLOW: u32 = 1 << 31;

#[test]
fn a_class_has_its_own_places() {
    let mut few = class(Share::Weight(1));
    few.queue.frames = 10;
    let mut s = scheduler(None, vec![few, few]);
    let dead: Vec<u32> = (0..15).flat_map(|i| push(&mut s, 0, i, 60, 0, 0)).collect();
    assert_eq!(dead, [10, 11, 12, 13, 14], "of one queue who comes is dropped");
    assert!((0..10).all(|i| push(&mut s, 1, 100 + i, 60, 0, 0).is_empty()), "the other's are free");
    let stats: Vec<_> = s.stats().map(|c| (c.full, c.queue_items, c.queue_bytes_max)).collect();
    assert_eq!(stats, [(5, 10, 600), (0, 10, 600)]);
}

#[test]
fn bytes_are_limited_but_one_frame_always_fits() {
    let mut small = class(Share::Weight(1));
    small.queue.bytes = 1_000;
    let mut s = scheduler(None, vec![small]);
    assert!(push(&mut s, 0, 1, 1514, 0, 0).is_empty());
    assert_eq!(push(&mut s, 0, 2, 60, 0, 0), [2]);
    assert_eq!(pop_all(&mut s, 0), [1]);
    let dead: Vec<u32> = (0..5).flat_map(|i| push(&mut s, 0, i, 250, 0, 0)).collect();
    assert_eq!(dead, [4], "four times 250 bytes fit exactly");
}

#[test]
fn overflow_takes_half_of_the_fattest_flow_from_its_head() {
    let mut settings = fair();
    settings.queue.bytes = 43_000;
    let mut s = scheduler(None, vec![settings]);
    assert!((0..3).all(|i| push(&mut s, 0, i, 1000, FIRST, 0).is_empty()));
    assert!((100..140).all(|i| push(&mut s, 0, i, 1000, SECOND_FLOW, 0).is_empty()));
    // Who comes is of the thin one, and stays.
    assert_eq!(push(&mut s, 0, 3, 1000, FIRST, 0), (100..120).collect::<Vec<_>>());
    let stats = s.stats().next().unwrap();
    assert_eq!((stats.full, stats.queue_items), (20, 24));
    let left = pop_all(&mut s, 0);
    assert!((0..4).all(|i| left.contains(&i)) && left.len() == 24);
}

#[test]
fn flows_share_by_bytes() {
    let mut s = scheduler(None, vec![fair()]);
    (0..40).for_each(|i| drop(push(&mut s, 0, i, 1514, FIRST, 0)));
    (100..900).for_each(|i| drop(push(&mut s, 0, i, 76, SECOND_FLOW, 0)));
    let mut bytes = [0; 2];
    for _ in 0..400 {
        let d = s.pop(Now(0), &mut |_, _| {}).unwrap();
        bytes[usize::from(d.item.0 >= 100)] += d.size.bytes;
    }
    assert!(bytes[0].abs_diff(bytes[1]) <= 2 * 1514, "{bytes:?}");
}

#[test]
fn a_flow_that_is_new_again_and_again_starves_nobody() {
    let mut s = scheduler(None, vec![fair()]);
    // Two that are empty whenever their turn comes, and have something again right after it.
    let flow = |packet| (packet - 1000) << 29;
    [1002, 1004].into_iter().for_each(|p| drop(push(&mut s, 0, p, 100, flow(p), 0)));
    assert_eq!(s.pop(Now(0), &mut |_, _| {}).unwrap().item.0, 1002);
    (0..300).for_each(|i| drop(push(&mut s, 0, i, 1514, FIRST, 0)));
    let mut bulk = 0;
    for _ in 0..200 {
        match s.pop(Now(0), &mut |_, _| {}).unwrap().item.0 {
            p @ 1000.. => drop(push(&mut s, 0, 2006 - p, 100, flow(2006 - p), 0)),
            _ => bulk += 1,
        }
    }
    assert!(bulk > 40, "{bulk} of 200");
}

#[test]
fn a_new_flow_goes_before_all_that_wait() {
    let mut s = scheduler(None, vec![fair()]);
    for flow in 0..20 {
        (0..10).for_each(|_| drop(push(&mut s, 0, flow, 1514, flow << 24, 0)));
    }
    // Each had its first turn.
    (0..40).for_each(|_| drop(s.pop(Now(0), &mut |_, _| {})));
    push(&mut s, 0, 1000, 98, 200 << 24, 0);
    let before = (0..30).take_while(|_| s.pop(Now(0), &mut |_, _| {}).unwrap().item.0 != 1000).count();
    assert!(before <= 1, "{before} were before it");
}

#[test]
fn other_numbers_of_flows_keep_what_waits() {
    let mut s = scheduler(None, vec![class(Share::Weight(1))]);
    (0..20).for_each(|i| drop(push(&mut s, 0, i, 100, 0, 0)));
    for flows in [16, 1, 256] {
        let classes = vec![ClassSettings { flows, ..class(Share::Weight(1)) }];
        s.change(Settings { classes, ..s.settings().clone() }, Some, Now(0), &mut |_, r| panic!("{r:?}"));
        assert_eq!(s.stats().next().unwrap().queue_items, 20);
    }
    assert_eq!(pop_all(&mut s, 0), (0..20).collect::<Vec<_>>(), "in their order");
}

#[test]
fn a_change_keeps_the_tokens_of_classes_and_what_they_earned_so_far() {
    let at = |rate| Some(Limit { rate, burst: 100_000_000 });
    // The port's, and a class's.
    for port in [true, false] {
        let settings = |rate| Settings {
            max: at(rate).filter(|_| port),
            classes: vec![ClassSettings { max: at(rate).filter(|_| !port), ..class(Share::Weight(1)) }],
            patience: 0,
        };
        let mut s = Scheduler::new(settings(1_000_000), Now(0));
        let send = |s: &mut Scheduler<Packet>, now| {
            (0..900).for_each(|_| drop(push(s, 0, 1, 1250, 0, now)));
            let mut left = 0;
            while s.pop(Now(now), &mut |_, _| {}).is_ok() {
                left += 1;
            }
            s.drain(|_, _| {});
            left
        };
        while send(&mut s, 0) > 0 {}
        s.change(settings(2_000_000), Some, Now(0), &mut |_, _| {});
        assert_eq!(send(&mut s, 0), 0, "a change gives nothing away");
        // A second at two megabits, then one at ten.
        s.change(settings(10_000_000), Some, Now(SECOND), &mut |_, _| {});
        assert_eq!(send(&mut s, SECOND), 200);
        assert_eq!(send(&mut s, SECOND + SECOND / 2), 500);
    }
}

#[test]
fn fewer_classes_go_on_whoever_had_the_turn() {
    let mut s = scheduler(None, vec![class(Share::Weight(1)); 3]);
    (0..6).for_each(|i| drop(push(&mut s, i as usize % 3, i, 1514, 0, 0)));
    let mut left: Vec<u32> = (0..3).map(|_| s.pop(Now(0), &mut |_, _| {}).unwrap().item.0).collect();
    let settings = Settings { classes: vec![class(Share::Weight(1))], ..s.settings().clone() };
    s.change(settings, Some, Now(0), &mut |_, r| panic!("{r:?}"));
    left.extend(pop_all(&mut s, 0));
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn waits_are_told() {
    let mut s = scheduler(None, vec![class(Share::Weight(1))]);
    for (from, until) in [(0, 30 * MS), (40 * MS, 50 * MS)] {
        push(&mut s, 0, 1, 60, 0, from);
        assert_eq!(pop_all(&mut s, until), [1]);
    }
    s.refuse(0, Size { bytes: 3000, packets: 2 });
    s.refuse(7, Size::one(60));
    let stats = s.stats().next().unwrap();
    assert_eq!((stats.delay, stats.delay_max, stats.full), (10 * MS, 30 * MS, 2));
}

#[test]
fn marks_may_be_off() {
    let codel = Some(CodelSettings { ecn: false, ..CodelSettings::default() });
    let max = Some(Limit { rate: 10_000_000, burst: 24_224 });
    let mut s = scheduler(max, vec![ClassSettings { codel, ..class(Share::Weight(1)) }]);
    let mut now = Now(0);
    (0..100).for_each(|_| drop(push(&mut s, 0, 1, 1514, 0, 0)));
    while now.0 < SECOND {
        match s.pop(now, &mut |_, _| {}) {
            Ok(_) => drop(push(&mut s, 0, 1, 1514, 0, now.0)),
            Err(next) => now = next.unwrap_or(Now(SECOND)),
        }
    }
    let stats = s.stats().next().unwrap();
    assert!(stats.delayed > 0 && stats.marked == 0, "{stats:?}");
}
