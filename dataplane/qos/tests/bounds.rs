//! Limits hold in every span of time, and give all that they allow.

mod common;

use common::{History, Packet, class};
use proptest::prelude::*;
use vsw_qos::{
    Algorithm, Bucket, Colour, Limit, Meter, MeterSettings, Scheduler, Settings, Share, Size, Tiers,
};
use vsw_types::Now;

fn limits() -> impl Strategy<Value = Limit> {
    let rate = prop_oneof![1_000u64..1_000_000, 1_000_000u64..10_000_000_000, Just(400_000_000_000)];
    (rate, 1u64..10_000_000).prop_map(|(rate, burst)| Limit { rate, burst })
}

/// Gaps between frames, in nanoseconds, and their lengths in bits.
fn traffic() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let gap = prop_oneof![Just(0u64), 1u64..2_000, 1_000u64..100_000_000];
    prop::collection::vec((gap, 1u64..600_000), 1..120)
}

proptest! {
    #![proptest_config(common::proptest_config())]

    /// The bucket says yes exactly when the twin, which counts from the beginning in whole numbers, does.
    #[test]
    fn a_bucket_agrees_with_its_twin(limit in limits(), traffic in traffic()) {
        let mut bucket = Bucket::full(limit, Now(0));
        let (mut now, mut history) = (0, History::default());
        // Billionths, the slow way: filled nanosecond by nanosecond is what multiplication does.
        let (mut tokens, most) = (i128::from(limit.burst) * 1_000_000_000, i128::from(limit.burst) * 1_000_000_000);
        for (gap, n) in traffic {
            now += gap;
            tokens = (tokens + i128::from(gap) * i128::from(limit.rate)).min(most);
            bucket.advance(limit, Now(now));
            let expected = tokens >= i128::from(n.min(limit.burst)) * 1_000_000_000;
            prop_assert_eq!(bucket.allows(limit, n), expected);
            if expected {
                tokens -= i128::from(n) * 1_000_000_000;
                bucket.take(n);
                history.note(now, n);
            } else {
                prop_assert!(bucket.ready(limit, n) > Now(now));
            }
        }
        history.check(limit);
    }

    /// Green never exceeds the committed rate; yellow never the excess (RFC 4115), green and yellow never the
    /// peak (RFC 2698), green and yellow never the rate with both bursts (RFC 2697).
    #[test]
    fn colours_keep_their_limits(first in limits(), second in limits(), traffic in traffic(), kind in 0..3) {
        let algorithm = [Algorithm::SingleRate, Algorithm::TwoRate, Algorithm::Differentiated][kind as usize];
        let tiers = Tiers { committed: first, second: Some(second) };
        let settings = MeterSettings { algorithm, bits: Some(tiers), packets: None };
        let mut meter = Meter::default();
        let [mut green, mut yellow, mut both] = [(); 3].map(|()| History::default());
        let mut now = 0;
        for (gap, bits) in traffic {
            now += gap;
            let size = Size { bytes: (bits / 8) as u32, packets: 1 };
            match meter.colour(&settings, size, Colour::Green, Now(now)) {
                Colour::Green => {
                    green.note(now, size.bits());
                    both.note(now, size.bits());
                }
                Colour::Yellow => {
                    yellow.note(now, size.bits());
                    both.note(now, size.bits());
                }
                Colour::Red => {}
            }
        }
        green.check(first);
        match algorithm {
            Algorithm::SingleRate if first.burst > 600_000 => {
                both.check(Limit { rate: first.rate, burst: first.burst + second.burst.max(600_000) });
            }
            Algorithm::SingleRate => {}
            Algorithm::TwoRate => both.check(second),
            Algorithm::Differentiated => yellow.check(second),
        }
    }

    /// A shaped port never exceeds its rate, and is never idle while something waits and may leave: as long
    /// as it is backlogged it sends all that its rate gives.
    #[test]
    fn a_port_sends_what_its_rate_gives(
        rate in 64_000u64..10_000_000_000,
        burst in 12_112u64..1_000_000,
        lengths in prop::collection::vec(60usize..1515, 1..300),
    ) {
        let limit = Limit { rate, burst };
        let mut patient = class(Share::Weight(1));
        // All of it takes a minute at the lowest rate.
        patient.queue.time = u64::MAX;
        let settings = Settings { max: Some(limit), classes: vec![patient], patience: 0 };
        let mut scheduler = Scheduler::new(settings, Now(0));
        let mut none = |_: Packet, reason| panic!("{reason:?}");
        let bits: u64 = lengths.iter().map(|l| *l as u64 * 8).sum();
        for (i, len) in lengths.iter().enumerate() {
            scheduler.push(0, Packet(i as u32), Size::one(*len), 0, Now(0), &mut none);
        }
        let (mut now, mut history) = (Now(0), History::default());
        loop {
            match scheduler.pop(now, &mut none) {
                Ok(departure) => history.note(now.0, departure.size.bits()),
                Err(Some(next)) => {
                    prop_assert!(next > now);
                    now = next;
                }
                Err(None) => break,
            }
        }
        prop_assert_eq!(history.sum(), bits);
        history.check(limit);
        // The last one left when the rate allowed it, to the nanosecond.
        let due = (u128::from(bits.saturating_sub(burst)) * 1_000_000_000).div_ceil(u128::from(rate)) as u64;
        prop_assert_eq!(now.0, due);
    }
}

#[test]
fn the_example_of_two_rates() {
    // RFC 2698: committed 8 kbit/s, peak 16 kbit/s, bursts of 1,000 and 2,000 bytes; frames of 500.
    let tiers = Tiers {
        committed: Limit { rate: 8_000, burst: 8_000 },
        second: Some(Limit { rate: 16_000, burst: 16_000 }),
    };
    let settings = MeterSettings { algorithm: Algorithm::TwoRate, bits: Some(tiers), packets: None };
    let mut meter = Meter::default();
    let mut colours = |ms: u64, was| {
        meter.colour(&settings, Size::one(500), was, Now(ms * common::MS)).name().chars().next().unwrap()
    };
    let at_once: String = (0..5).map(|_| colours(0, Colour::Green)).collect();
    assert_eq!(at_once, "ggyyr");
    assert_eq!(colours(250, Colour::Green), 'y', "the peak has 500 bytes again, the rate 250");
    assert_eq!(colours(500, Colour::Green), 'g');
    assert_eq!(colours(750, Colour::Yellow), 'y', "what came yellow is not made green");
    assert_eq!(colours(5_000, Colour::Red), 'r');
}

#[test]
fn bits_and_packets_are_limited_together() {
    let tiers = |rate| Some(Tiers::plain(Limit { rate, burst: rate }));
    let settings =
        MeterSettings { algorithm: Algorithm::SingleRate, bits: tiers(1_000_000), packets: tiers(10) };
    let mut meter = Meter::default();
    let mut passed = |size, n| {
        (0..n).filter(|_| meter.colour(&settings, size, Colour::Green, Now(0)) == Colour::Green).count()
    };
    assert_eq!(passed(Size::one(60), 20), 10, "packets are what is short");
    let mut meter = Meter::default();
    let big = Size::cut(66 + 8 * 1448, 66, 1448);
    assert_eq!(meter.colour(&settings, big, Colour::Green, Now(0)), Colour::Green);
    assert_eq!(meter.colour(&settings, big, Colour::Green, Now(0)), Colour::Red, "it is eight packets");
    assert_eq!(meter.colour(&settings, Size::one(60), Colour::Green, Now(0)), Colour::Green);
}

#[test]
fn a_packet_limit_makes_red_and_leaves_yellow_alone() {
    let bits = Tiers {
        committed: Limit { rate: 8_000, burst: 8_000 },
        second: Some(Limit { rate: 8_000, burst: 8_000 }),
    };
    let packets = Tiers::plain(Limit { rate: 3, burst: 3 });
    for algorithm in [Algorithm::SingleRate, Algorithm::TwoRate, Algorithm::Differentiated] {
        let settings = MeterSettings { algorithm, bits: Some(bits), packets: Some(packets) };
        let mut meter = Meter::default();
        let mut colour = |bytes| meter.colour(&settings, Size::one(bytes), Colour::Green, Now(0));
        assert_eq!(colour(600), Colour::Green);
        if algorithm != Algorithm::TwoRate {
            assert_eq!(colour(600), Colour::Yellow);
        }
        while colour(1) == Colour::Green {}
        assert_eq!(colour(1), Colour::Red, "{algorithm:?}");
    }
}

#[test]
fn a_change_keeps_the_tokens() {
    let limit = |rate| MeterSettings {
        algorithm: Algorithm::SingleRate,
        bits: Some(Tiers::plain(Limit { rate, burst: 80_000 })),
        packets: None,
    };
    let mut meter = Meter::default();
    while meter.colour(&limit(1_000_000), Size::one(1000), Colour::Green, Now(0)) == Colour::Green {}
    assert_eq!(meter.colour(&limit(2_000_000), Size::one(1000), Colour::Green, Now(0)), Colour::Red);
    assert_eq!(
        meter.colour(&limit(2_000_000), Size::one(1000), Colour::Green, Now(4 * common::MS)),
        Colour::Green
    );
}
