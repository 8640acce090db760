//! Three-colour meters: RFC 2697, RFC 2698 and RFC 4115, over bits and packets together.
//!
//! A frame is green only if it conforms in bits and in packets; it takes tokens of both or of none.

use crate::{Bucket, Limit, Size};
use vsw_types::Now;

/// What a meter says of a frame. In the order in which they get worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    #[default]
    Green,
    Yellow,
    Red,
}

impl Colour {
    pub const ALL: [Self; 3] = [Self::Green, Self::Yellow, Self::Red];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// How the two buckets make a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 2697: what runs over from the committed bucket fills the excess bucket. The excess rate means
    /// nothing.
    SingleRate,
    /// RFC 2698: the second bucket is the peak; what is above is red, committed or not.
    TwoRate,
    /// RFC 4115: the second bucket is the excess on top of what is committed.
    Differentiated,
}

/// The two limits of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    pub committed: Limit,
    /// Peak (RFC 2698) or excess. `None`: what does not conform is red, and what conforms is as green as
    /// the other unit says.
    pub second: Option<Limit>,
}

impl Tiers {
    /// One limit only: green or red.
    pub const fn plain(limit: Limit) -> Self {
        Self { committed: limit, second: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterSettings {
    pub algorithm: Algorithm,
    pub bits: Option<Tiers>,
    pub packets: Option<Tiers>,
}

/// The tokens of one unit.
#[derive(Clone, Copy, Debug)]
struct Pair {
    committed: Bucket,
    second: Bucket,
}

impl Pair {
    fn full(tiers: Tiers, now: Now) -> Self {
        let second = tiers.second.map_or(Bucket::empty(now), |l| Bucket::full(l, now));
        Self { committed: Bucket::full(tiers.committed, now), second }
    }

    #[inline]
    fn advance(&mut self, algorithm: Algorithm, tiers: Tiers, now: Now) {
        let over = self.committed.advance(tiers.committed, now);
        match (tiers.second, algorithm) {
            (None, _) => {}
            (Some(second), Algorithm::SingleRate) => self.second.pour(over, second.burst),
            (Some(second), _) => drop(self.second.advance(second, now)),
        }
    }

    /// What green costs.
    #[inline]
    fn pay(&mut self, algorithm: Algorithm, tiers: Tiers, n: u64) {
        self.committed.take(n);
        if algorithm == Algorithm::TwoRate && tiers.second.is_some() {
            self.second.take(n);
        }
    }

    /// The second bucket, or what stands for it.
    #[inline]
    fn second(&mut self, tiers: Tiers) -> (&mut Bucket, Limit) {
        match tiers.second {
            Some(second) => (&mut self.second, second),
            None => (&mut self.committed, tiers.committed),
        }
    }
}

/// The tokens. What it is told of the frames' limits with each call may change while they stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    bits: Option<Pair>,
    packets: Option<Pair>,
}

/// One unit of one frame: its tokens, its limits, and how much the frame has of it.
type Part<'a> = (&'a mut Pair, Tiers, u64);

impl Meter {
    /// The colour of a frame that came with the colour `was` (green if the meter is colour-blind). The tokens
    /// of a unit that is limited for the first time begin full.
    #[inline]
    pub fn colour(&mut self, settings: &MeterSettings, size: Size, was: Colour, now: Now) -> Colour {
        let bits = part(&mut self.bits, settings.bits, size.bits(), settings.algorithm, now);
        let packets = part(&mut self.packets, settings.packets, size.packets.into(), settings.algorithm, now);
        let mut parts = [bits, packets];
        let committed = |parts: &[Option<Part<'_>>; 2]| {
            parts.iter().flatten().all(|(pair, tiers, n)| pair.committed.allows(tiers.committed, *n))
        };
        let second = parts.iter_mut().flatten().all(|(pair, tiers, n)| {
            let (bucket, limit) = pair.second(*tiers);
            bucket.allows(limit, *n)
        });
        let two_rate = settings.algorithm == Algorithm::TwoRate;
        let colour = match was {
            Colour::Red => Colour::Red,
            _ if two_rate && !second => Colour::Red,
            Colour::Green if committed(&parts) => Colour::Green,
            _ if second => Colour::Yellow,
            _ => Colour::Red,
        };
        for (pair, tiers, n) in parts.iter_mut().flatten() {
            match colour {
                Colour::Green => pair.pay(settings.algorithm, *tiers, *n),
                Colour::Yellow => pair.second(*tiers).0.take(*n),
                Colour::Red => {}
            }
        }
        colour
    }

    /// Takes tokens for a frame that passed without being asked about, as if it had been green.
    pub fn charge(&mut self, settings: &MeterSettings, size: Size) {
        let bits = (&mut self.bits, settings.bits, size.bits());
        for (pair, tiers, n) in [bits, (&mut self.packets, settings.packets, size.packets.into())] {
            if let (Some(pair), Some(tiers)) = (pair, tiers) {
                pair.pay(settings.algorithm, tiers, n);
            }
        }
    }
}

#[inline]
fn part(
    pair: &mut Option<Pair>,
    tiers: Option<Tiers>,
    n: u64,
    algorithm: Algorithm,
    now: Now,
) -> Option<Part<'_>> {
    let Some(tiers) = tiers else {
        *pair = None;
        return None;
    };
    let pair = pair.get_or_insert_with(|| Pair::full(tiers, now));
    pair.advance(algorithm, tiers, now);
    Some((pair, tiers, n))
}
