//! What people write, and what it means.

use super::*;

#[test]
fn rates_read_back_as_they_print() {
    for (typed, bits, printed) in [
        ("100m", 100_000_000, "100m"),
        ("1.5g", 1_500_000_000, "1.5g"),
        ("400G", 400_000_000_000, "400g"),
        ("64k", 64_000, "64k"),
        ("1000", 1_000, "1k"),
        ("1234567", 1_234_567, "1234.567k"),
        ("0.5m", 500_000, "500k"),
        ("34.359738368g", 34_359_738_368, "34359738.368k"),
        ("10Mbit", 10_000_000, "10m"),
        ("10mbit/s", 10_000_000, "10m"),
        ("10Mbps", 10_000_000, "10m"),
    ] {
        let rate: BitRate = typed.parse().unwrap();
        assert_eq!((rate.get(), rate.to_string().as_str()), (bits, printed), "{typed}");
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }
    for (typed, packets, printed) in
        [("500pps", 500, "500pps"), ("20kpps", 20_000, "20kpps"), ("1.5Mpps", 1_500_000, "1.5mpps")]
    {
        let rate: PacketRate = typed.parse().unwrap();
        assert_eq!((rate.get(), rate.to_string().as_str()), (packets, printed), "{typed}");
        assert_eq!(typed.parse(), Ok(Rate::Packets(rate)));
    }
}

#[test]
fn what_is_no_rate_says_why() {
    for (typed, says) in [
        ("0", "0 is below the lowest rate; rates go from 1k to 400g"),
        ("0m", "0 is below the lowest"),
        ("999", "999 is below the lowest"),
        ("-5m", "`-5m` is a negative rate"),
        ("401g", "401g is above the highest rate; rates go from 1k to 400g"),
        ("18446744073709551616", "above the highest"),
        ("99999999999g", "above the highest"),
        ("", "`` is no rate"),
        ("m", "`m` is no rate"),
        ("1.m", "`1.m` is no rate"),
        (".5m", "`.5m` is no rate"),
        ("1.2.3m", "`1.2.3m` is no rate"),
        ("1e9", "`1e9` is no rate"),
        ("100mb", "`100mb` is no rate"),
        ("+1m", "`+1m` is no rate"),
        ("0.00001k", "`0.00001k` is no rate"),
        ("--1m", "`--1m` is no rate"),
        ("0pps", "0pps is below the lowest rate; rates go from 1pps to 1gpps"),
        ("-1pps", "`-1pps` is a negative rate"),
        ("2gpps", "2gpps is above the highest"),
        ("xpps", "`xpps` is no rate in packets"),
    ] {
        let e = typed.parse::<Rate>().unwrap_err().to_string();
        assert!(e.contains(says), "{typed}: {e}");
    }
    assert!("500".parse::<PacketRate>().is_err(), "the unit must be said");
}

#[test]
fn sizes_and_spans() {
    for (typed, n) in [("1500", 1500), ("64k", 64_000), ("64KiB", 65_536), ("1.5m", 1_500_000)] {
        assert_eq!(bytes(typed), Some(n), "{typed}");
        assert_eq!(bytes(&show_bytes(n)), Some(n));
    }
    for (typed, us) in [("5ms", 5_000), ("500us", 500), ("1s", 1_000_000), ("1.5ms", 1_500)] {
        assert_eq!(span(typed), Some(Duration::from_micros(us)), "{typed}");
        assert_eq!(span(&show_span(Duration::from_micros(us))), Some(Duration::from_micros(us)));
    }
    assert_eq!(
        (bytes("-1"), bytes("x"), span("5"), span("-5ms"), span("0.1us")),
        (None, None, None, None, None)
    );
}
