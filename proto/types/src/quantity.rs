//! Rates, sizes and spans of time, as people write them: `1.5g`, `20kpps`, `64k`, `5ms`.
//!
//! Rates are decimal (k is 1,000) and exact: they are integers of 64 bits from end to end, and no
//! floating point is involved in reading or printing one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Bits per second, 1,000 to 400,000,000,000. Counts whole Ethernet frames from the destination address to
/// the end of the payload: without preamble, FCS and gap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct BitRate(u64);

/// Packets per second, 1 to 1,000,000,000. A frame that is to be segmented counts as its segments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct PacketRate(u64);

/// Why something is no rate. Texts go behind the name of what it was for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    #[error("`{0}` is no rate; write bits per second like 100m or 1.5g, packets per second like 20kpps")]
    Syntax(String),
    #[error("`{0}` is no rate in bits per second; write it like 100m or 1.5g")]
    NoBits(String),
    #[error("`{0}` is no rate in packets per second; write it like 500pps or 20kpps")]
    NoPackets(String),
    #[error("`{0}` is a negative rate; rates go from {1} to {2}")]
    Negative(String, &'static str, &'static str),
    #[error("{0} is below the lowest rate; rates go from {1} to {2}")]
    Low(String, &'static str, &'static str),
    #[error("{0} is above the highest rate; rates go from {1} to {2}")]
    High(String, &'static str, &'static str),
}

const BITS: &[(&str, u64)] = &[("g", 1_000_000_000), ("m", 1_000_000), ("k", 1_000), ("", 1)];

macro_rules! rate {
    ($type:ident, $min:expr, $max:expr, $low:literal, $high:literal) => {
        impl $type {
            pub const MIN: Self = Self($min);
            pub const MAX: Self = Self($max);

            /// # Errors
            /// When it is out of range; zero is.
            pub fn new(per_second: u64) -> Result<Self, BadRate> {
                match per_second {
                    n if n < $min => Err(BadRate::Low(shown(n) + Self::SUFFIX, $low, $high)),
                    n if n > $max => Err(BadRate::High(shown(n) + Self::SUFFIX, $low, $high)),
                    n => Ok(Self(n)),
                }
            }
            /// As a number, per second.
            #[inline]
            pub const fn get(self) -> u64 {
                self.0
            }
            fn read(typed: &str, number: &str, syntax: fn(String) -> BadRate) -> Result<Self, BadRate> {
                if let Some(positive) = number.strip_prefix('-') {
                    return match scaled(positive, BITS) {
                        Scaled::None => Err(syntax(typed.into())),
                        _ => Err(BadRate::Negative(typed.into(), $low, $high)),
                    };
                }
                match scaled(number, BITS) {
                    Scaled::Some(n) => Self::new(n),
                    Scaled::TooLarge => Err(BadRate::High(typed.into(), $low, $high)),
                    Scaled::None => Err(syntax(typed.into())),
                }
            }
        }

        impl fmt::Display for $type {
            /// As it is typed; exact.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&(shown(self.0) + Self::SUFFIX))
            }
        }
    };
}

rate!(BitRate, 1_000, 400_000_000_000, "1k", "400g");
rate!(PacketRate, 1, 1_000_000_000, "1pps", "1gpps");

impl BitRate {
    const SUFFIX: &str = "";
}
impl PacketRate {
    const SUFFIX: &str = "pps";
}

impl FromStr for BitRate {
    type Err = BadRate;

    /// `100m`, `1.5g`, `64k`, `2500000`; `bit`, `bit/s` or `bps` may follow.
    fn from_str(s: &str) -> Result<Self, BadRate> {
        let lower = s.to_ascii_lowercase();
        let number = ["bit/s", "bits", "bit", "bps"].iter().find_map(|u| lower.strip_suffix(u));
        Self::read(s, number.unwrap_or(&lower), BadRate::NoBits)
    }
}

impl FromStr for PacketRate {
    type Err = BadRate;

    /// `500pps`, `20kpps`.
    fn from_str(s: &str) -> Result<Self, BadRate> {
        let lower = s.to_ascii_lowercase();
        let number = lower.strip_suffix("pps").ok_or_else(|| BadRate::NoPackets(s.into()))?;
        Self::read(s, number, BadRate::NoPackets)
    }
}

/// A rate in either unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rate {
    Bits(BitRate),
    Packets(PacketRate),
}

impl FromStr for Rate {
    type Err = BadRate;
    fn from_str(s: &str) -> Result<Self, BadRate> {
        if s.to_ascii_lowercase().ends_with("pps") {
            return s.parse().map(Self::Packets);
        }
        s.parse().map(Self::Bits).map_err(|e| match e {
            BadRate::NoBits(s) => BadRate::Syntax(s),
            e => e,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits(r) => r.fmt(f),
            Self::Packets(r) => r.fmt(f),
        }
    }
}

/// The shortest exact spelling with a unit: 1500000000 is `1.5g`.
fn shown(n: u64) -> String {
    let unit = BITS.iter().find(|(_, unit)| n >= *unit && (*unit == 1 || n.is_multiple_of(unit / 1000)));
    let (suffix, unit) = unit.copied().unwrap_or(("", 1));
    match n % unit {
        0 => format!("{}{suffix}", n / unit),
        rest => {
            let thousandths = format!("{:03}", rest / (unit / 1000));
            format!("{}.{}{suffix}", n / unit, thousandths.trim_end_matches('0'))
        }
    }
}

enum Scaled {
    Some(u64),
    TooLarge,
    None,
}

/// A decimal number and a unit, exactly; digits beyond the smallest whole are no number.
fn scaled(s: &str, units: &[(&str, u64)]) -> Scaled {
    let end = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, suffix) = s.split_at(end);
    let Some((_, unit)) = units.iter().find(|(name, _)| *name == suffix) else { return Scaled::None };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 18 || fraction.contains('.') {
        return Scaled::None;
    }
    let Ok(whole) = whole.parse::<u64>() else { return Scaled::TooLarge };
    let ten = 10u128.pow(fraction.len() as u32);
    let fraction = fraction.parse::<u64>().map_or(0, u128::from) * u128::from(*unit);
    if !fraction.is_multiple_of(ten) {
        return Scaled::None;
    }
    match u64::try_from(u128::from(whole) * u128::from(*unit) + fraction / ten) {
        Ok(n) => Scaled::Some(n),
        Err(_) => Scaled::TooLarge,
    }
}

/// Bytes: `1500`, `64k` (64,000), `64ki` (65,536), `1.5m`; a `b` may follow.
pub fn bytes(s: &str) -> Option<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("k", 1_000),
        ("m", 1_000_000),
        ("g", 1_000_000_000),
        ("ki", 1 << 10),
        ("mi", 1 << 20),
        ("gi", 1 << 30),
    ];
    let lower = s.to_ascii_lowercase();
    match scaled(lower.strip_suffix('b').unwrap_or(&lower), UNITS) {
        Scaled::Some(n) => Some(n),
        _ => None,
    }
}

/// Bytes as [`bytes`] reads them.
pub fn show_bytes(n: u64) -> String {
    shown(n)
}

/// A span of time, in microseconds or longer: `5ms`, `500us`, `1s`. The unit must be said.
pub fn span(s: &str) -> Option<Duration> {
    match scaled(&s.to_ascii_lowercase(), &[("us", 1), ("ms", 1_000), ("s", 1_000_000)]) {
        Scaled::Some(us) => Some(Duration::from_micros(us)),
        _ => None,
    }
}

/// A span as [`span`] reads it.
pub fn show_span(span: Duration) -> String {
    match span.as_micros() {
        us if us >= 1_000_000 && us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us >= 1_000 && us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests;
