//! The examples of the RFCs, frame by frame.

mod common;

use common::MS;
use vsw_qos::{Algorithm, Colour, Limit, Meter, MeterSettings, Size, Tiers};
use vsw_types::Now;

/// 8 kbit/s are 1,000 bytes a second; so much at once.
const KILOBYTE: Limit = Limit { rate: 8_000, burst: 8_000 };

fn settings(algorithm: Algorithm, second: Option<Limit>) -> MeterSettings {
    MeterSettings { algorithm, bits: Some(Tiers { committed: KILOBYTE, second }), packets: None }
}

/// The colours of so many frames of 500 bytes at one moment.
fn colours(meter: &mut Meter, settings: &MeterSettings, ms: u64, n: usize) -> String {
    let now = Now(ms * MS);
    let mut one = |_| meter.colour(settings, Size::one(500), Colour::Green, now).name().chars().next();
    (0..n).filter_map(&mut one).collect()
}

#[test]
fn what_overflows_fills_the_excess_burst_of_a_single_rate() {
    let settings = settings(Algorithm::SingleRate, Some(Limit { rate: 0, burst: 8_000 }));
    let mut meter = Meter::default();
    assert_eq!(colours(&mut meter, &settings, 0, 6), "ggyyrr");
    assert_eq!(colours(&mut meter, &settings, 500, 2), "gr", "nothing overflowed");
    // One second fills the committed bucket, half of one more the other by half.
    assert_eq!(colours(&mut meter, &settings, 2_000, 4), "ggyr");
    assert_eq!(colours(&mut meter, &settings, 60_000, 6), "ggyyrr", "neither holds more than its burst");
}

#[test]
fn the_excess_of_a_differentiated_meter_has_a_rate_of_its_own() {
    let settings = settings(Algorithm::Differentiated, Some(KILOBYTE));
    let mut meter = Meter::default();
    assert_eq!(colours(&mut meter, &settings, 0, 6), "ggyyrr");
    assert_eq!(colours(&mut meter, &settings, 500, 3), "gyr");
    assert_eq!(colours(&mut meter, &settings, 60_000, 6), "ggyyrr");
}

#[test]
fn what_came_yellow_or_red_is_not_made_better() {
    for (algorithm, second) in [
        (Algorithm::SingleRate, Limit { rate: 0, burst: 8_000 }),
        (Algorithm::TwoRate, Limit { rate: 16_000, burst: 16_000 }),
        (Algorithm::Differentiated, KILOBYTE),
    ] {
        let settings = settings(algorithm, Some(second));
        let mut meter = Meter::default();
        let mut colour = |was| meter.colour(&settings, Size::one(500), was, Now(0));
        assert_eq!(colour(Colour::Red), Colour::Red, "{algorithm:?}");
        assert_eq!(colour(Colour::Yellow), Colour::Yellow, "{algorithm:?}");
        assert_eq!(colour(Colour::Yellow), Colour::Yellow, "{algorithm:?}");
        // They took nothing of what is committed.
        assert_eq!([colour(Colour::Green), colour(Colour::Green)], [Colour::Green; 2], "{algorithm:?}");
    }
}

#[test]
fn what_passed_unasked_is_paid() {
    let packets = Some(Tiers::plain(Limit { rate: 2, burst: 4 }));
    let both = MeterSettings { packets, ..settings(Algorithm::SingleRate, None) };
    let only = MeterSettings { bits: None, ..both };
    for settings in [both, only] {
        let mut meter = Meter::default();
        assert_eq!(colours(&mut meter, &settings, 0, 1), "g");
        // 1,500 bytes; the three packets that the burst had left.
        meter.charge(&settings, Size { bytes: 1500, packets: 3 });
        assert_eq!(colours(&mut meter, &settings, 0, 1), "r");
        assert_eq!(colours(&mut meter, &settings, 499, 1), "r");
        let paid = if settings.bits.is_some() { 1_500 } else { 500 };
        assert_eq!(colours(&mut meter, &settings, paid - 1, 1), "r");
        assert_eq!(colours(&mut meter, &settings, paid, 1), "g");
    }
}

#[test]
fn what_passed_unasked_counts_for_the_peak_too() {
    let peak = Some(Limit { rate: 16_000, burst: 16_000 });
    let settings = settings(Algorithm::TwoRate, peak);
    let mut meter = Meter::default();
    assert_eq!(colours(&mut meter, &settings, 0, 1), "g");
    meter.charge(&settings, Size { bytes: 1500, packets: 3 });
    assert_eq!(colours(&mut meter, &settings, 0, 1), "r");
}

#[test]
fn a_limit_that_comes_again_begins_full() {
    let with = settings(Algorithm::SingleRate, None);
    let packets = Some(Tiers::plain(Limit { rate: 2, burst: 100 }));
    let without = MeterSettings { bits: None, packets, ..with };
    let mut meter = Meter::default();
    assert_eq!(colours(&mut meter, &with, 0, 3), "ggr");
    assert_eq!(colours(&mut meter, &without, 0, 3), "ggg");
    assert_eq!(colours(&mut meter, &with, 0, 3), "ggr");
}
