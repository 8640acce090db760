//! Policing and storm control of one port: the settings, which belong to a snapshot, and the tokens, which
//! outlive it.
//!
//! Tokens are shared by all workers that receive for the port, and by all snapshots that name it: a change
//! of the settings takes effect with the next frame and keeps them ([`Guard::inherit`]).
//!
//! One meter for the port, not one for each worker, because a limit that is divided is wrong as soon as
//! one queue has more to do than another. It is behind a lock that nobody waits for: who finds it taken
//! lets the frame pass and leaves what it counts as a debt, which the next one pays. So a worker never
//! waits for another one, and nothing passes that is not counted; at most the frames that came while
//! somebody counted one pass early.
//!
//! Thread-safety: as said. Reading the numbers takes the lock too, for a copy.

use super::{POLICED, STORM, bits, packets};
use crate::Effects;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use vsw_config::qos::{ColourAction, Policer, PortQos, Second, Storm};
use vsw_qos::{Algorithm, Bucket, Colour, Limit, Meter, MeterSettings, Size, Tiers};
use vsw_types::{Count, DropReason, Now, PolicerStats, Rate, StormStats};

/// What a port's attached side may send.
#[derive(Debug)]
pub struct Guard {
    police: Option<Police>,
    storm: [Option<StormLimit>; 3],
    state: Arc<State>,
}

#[derive(Debug)]
struct Police {
    meter: MeterSettings,
    /// By colour.
    actions: [ColourAction; 3],
}

#[derive(Clone, Copy, Debug)]
struct StormLimit {
    limit: Limit,
    /// Packets; else bits.
    packets: bool,
}

/// What is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormKind {
    Broadcast,
    Multicast,
    Unknown,
}

impl StormKind {
    pub(crate) const fn reason(self) -> DropReason {
        match self {
            Self::Broadcast => DropReason::StormBroadcast,
            Self::Multicast => DropReason::StormMulticast,
            Self::Unknown => DropReason::StormUnknown,
        }
    }
}

/// What is done to a frame because of its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    Pass,
    /// Its DSCP gets this drop precedence, if it has one (RFC 2597): 2 or 3.
    Remark(u8),
    Drop,
}

#[derive(Debug, Default)]
struct State {
    tokens: Mutex<Tokens>,
    owed: Owed,
    storm_owed: [Owed; 3],
    remarked: AtomicU64,
}

/// Tokens and what they did.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    meter: Meter,
    colours: [Count; 3],
    dropped: Count,
    storm: [Option<Bucket>; 3],
    storm_stats: [StormStats; 3],
}

/// What passed unasked.
#[derive(Debug, Default)]
struct Owed {
    bytes: AtomicU64,
    packets: AtomicU64,
}

impl Owed {
    #[cold]
    fn note(&self, size: Size) {
        self.bytes.fetch_add(size.bytes.into(), Relaxed);
        self.packets.fetch_add(size.packets.into(), Relaxed);
    }

    #[inline]
    fn settle(&self) -> Option<Size> {
        if self.packets.load(Relaxed) == 0 {
            return None;
        }
        let (bytes, packets) = (self.bytes.swap(0, Relaxed), self.packets.swap(0, Relaxed));
        Some(Size { bytes: bytes.min(u32::MAX.into()) as u32, packets: packets.min(u32::MAX.into()) as u32 })
    }
}

fn count(to: &mut Count, size: Size) {
    to.packets += u64::from(size.packets);
    to.bytes += u64::from(size.bytes);
}

impl State {
    #[inline]
    fn tokens(&self) -> Option<MutexGuard<'_, Tokens>> {
        match self.tokens.try_lock() {
            Ok(tokens) => Some(tokens),
            Err(TryLockError::Poisoned(p)) => Some(p.into_inner()), // plain numbers are never half-done
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Guard {
    /// `None`: everything may pass.
    pub(crate) fn of(qos: &PortQos) -> Option<Box<Self>> {
        let police = qos.sent_by().filter(|p| !p.waits()).map(Police::of);
        if police.is_none() && qos.storm.is_none() {
            return None;
        }
        let Storm { broadcast, multicast, unknown } = qos.storm;
        let storm = [broadcast, multicast, unknown].map(|rate| rate.map(StormLimit::of));
        Some(Box::new(Self { police, storm, state: Arc::default() }))
    }

    /// Goes on with the tokens and numbers of the same port in an older snapshot.
    pub(crate) fn inherit(&mut self, old: &Self) {
        self.state = old.state.clone();
    }

    /// What becomes of a frame because of the rate.
    #[inline]
    pub(crate) fn police(&self, size: Size, now: Now, effects: Effects) -> Treatment {
        let Some(police) = &self.police else { return Treatment::Pass };
        let Some(mut tokens) = self.state.tokens() else {
            if effects == Effects::Allow {
                self.state.owed.note(size);
            }
            return Treatment::Pass;
        };
        if effects == Effects::Deny {
            return police.treat(tokens.meter.clone().colour(&police.meter, size, Colour::Green, now));
        }
        if let Some(owed) = self.state.owed.settle() {
            tokens.meter.charge(&police.meter, owed);
            count(&mut tokens.colours[0], owed);
        }
        let colour = tokens.meter.colour(&police.meter, size, Colour::Green, now);
        count(&mut tokens.colours[colour as usize], size);
        let treatment = police.treat(colour);
        if treatment == Treatment::Drop {
            count(&mut tokens.dropped, size);
        }
        treatment
    }

    /// Whether a frame that is to be flooded may be.
    #[inline]
    pub(crate) fn storm(&self, kind: StormKind, size: Size, now: Now, effects: Effects) -> bool {
        let kind = kind as usize;
        let Some(StormLimit { limit, packets }) = self.storm[kind] else { return true };
        let amount = |size: Size| if packets { size.packets.into() } else { size.bits() };
        let Some(mut tokens) = self.state.tokens() else {
            if effects == Effects::Allow {
                self.state.storm_owed[kind].note(size);
            }
            return true;
        };
        let mut bucket = tokens.storm[kind].unwrap_or_else(|| Bucket::full(limit, now));
        bucket.advance(limit, now);
        if effects == Effects::Deny {
            return bucket.allows(limit, amount(size));
        }
        let Tokens { storm, storm_stats, .. } = &mut *tokens;
        if let Some(owed) = self.state.storm_owed[kind].settle() {
            bucket.take(amount(owed));
            count(&mut storm_stats[kind].passed, owed);
        }
        let passes = bucket.allows(limit, amount(size));
        if passes {
            bucket.take(amount(size));
            count(&mut storm_stats[kind].passed, size);
        } else {
            count(&mut storm_stats[kind].dropped, size);
        }
        storm[kind] = Some(bucket);
        passes
    }

    /// A frame's drop precedence was changed.
    pub fn note_remarked(&self, packets: u32) {
        self.state.remarked.fetch_add(packets.into(), Relaxed);
    }

    /// What policing and storm control did.
    pub(crate) fn stats(&self) -> (Option<PolicerStats>, [StormStats; 3]) {
        // A worker holds it for one frame.
        let tokens = loop {
            match self.state.tokens() {
                Some(tokens) => break *tokens,
                None => std::hint::spin_loop(),
            }
        };
        let [green, yellow, red] = tokens.colours;
        let remarked = self.state.remarked.load(Relaxed);
        let police = PolicerStats { green, yellow, red, dropped: tokens.dropped, remarked };
        (self.police.is_some().then_some(police), tokens.storm_stats)
    }
}

impl Police {
    fn of(policer: &Policer) -> Self {
        let mut algorithm = Algorithm::SingleRate;
        let bits = policer.bits.map(|m| {
            let second = match m.second {
                Second::None => None,
                Second::SingleRate { excess_burst } => {
                    Some(Limit { rate: 0, burst: excess_burst.saturating_mul(8) })
                }
                Second::TwoRate { peak, peak_burst } => {
                    algorithm = Algorithm::TwoRate;
                    Some(bits(peak, peak_burst, POLICED))
                }
                Second::Differentiated { excess, excess_burst } => {
                    algorithm = Algorithm::Differentiated;
                    Some(bits(excess, excess_burst, POLICED))
                }
            };
            Tiers { committed: bits(m.committed, m.burst, POLICED), second }
        });
        let packets = policer.packets.map(|m| Tiers::plain(packets(m.rate, m.burst, POLICED)));
        let meter = MeterSettings { algorithm, bits, packets };
        Self { meter, actions: [ColourAction::Pass, policer.yellow, policer.red] }
    }

    fn treat(&self, colour: Colour) -> Treatment {
        match self.actions[colour as usize] {
            // What has waited is not red any more: nobody asks.
            ColourAction::Pass | ColourAction::Wait => Treatment::Pass,
            // Green 1, yellow 2, red 3 (RFC 2597, 2).
            ColourAction::Remark => Treatment::Remark(colour as u8 + 1),
            ColourAction::Drop => Treatment::Drop,
        }
    }
}

impl StormLimit {
    fn of(rate: Rate) -> Self {
        match rate {
            Rate::Bits(rate) => Self { limit: bits(rate, Default::default(), STORM), packets: false },
            Rate::Packets(rate) => Self { limit: packets(rate, None, STORM), packets: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_types::PacketRate;

    fn guard(pps: u64) -> Guard {
        let rate = PacketRate::new(pps).unwrap();
        let storm = Storm { broadcast: Some(Rate::Packets(rate)), ..Default::default() };
        *Guard::of(&PortQos { storm, ..Default::default() }).unwrap()
    }

    #[test]
    fn who_finds_the_tokens_taken_does_not_wait_and_pays_later() {
        let guard = guard(100); // ten at once
        let now = Now::from_secs(1);
        let busy = guard.state.tokens().unwrap();
        let passed = |n| {
            let one = |_: &i32| guard.storm(StormKind::Broadcast, Size::one(60), now, Effects::Allow);
            (0..n).filter(one).count()
        };
        assert_eq!(passed(7), 7);
        drop(busy);
        assert_eq!(passed(7), 3, "seven of the ten were owed");
        let (_, [stats, ..]) = guard.stats();
        assert_eq!((stats.passed.packets, stats.dropped.packets), (10, 4));
    }

    #[test]
    fn a_question_takes_nothing() {
        let guard = guard(100);
        for effects in [Effects::Deny, Effects::Allow] {
            let one = |_: &i32| guard.storm(StormKind::Broadcast, Size::one(60), Now(5), effects);
            assert_eq!((0..20).filter(one).count(), if effects == Effects::Deny { 20 } else { 10 });
        }
    }

    /// 8 kbit/s, 2,000 bytes at once.
    fn policer() -> Guard {
        use vsw_config::{Config, Draft, DraftBridge, DraftPolicer, DraftPort, DraftProfile};
        let sent_by = Some(DraftPolicer { rate: Some(8_000), burst: Some(2_000), ..Default::default() });
        let mut port = DraftPort { name: "a".into(), ..Default::default() };
        port.qos.own = Some(DraftProfile { sent_by, ..Default::default() });
        let bridges = vec![DraftBridge { name: "br0".into(), ports: vec![port], ..Default::default() }];
        let config = Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).unwrap();
        *Guard::of(&config.port("a").unwrap().1.qos).unwrap()
    }

    fn passed(guard: &Guard, n: usize, now: Now, effects: Effects) -> usize {
        (0..n).filter(|_| guard.police(Size::one(100), now, effects) == Treatment::Pass).count()
    }

    #[test]
    fn what_was_not_policed_in_passing_is_paid_later() {
        let guard = policer();
        assert_eq!(passed(&guard, 1, Now(0), Effects::Allow), 1);
        let busy = guard.state.tokens().unwrap();
        assert_eq!(passed(&guard, 15, Now(0), Effects::Allow), 15);
        assert_eq!(passed(&guard, 100, Now(0), Effects::Deny), 100, "a question owes nothing");
        drop(busy);
        assert_eq!(passed(&guard, 20, Now(0), Effects::Allow), 4, "sixteen of the twenty were gone");
        let (stats, _) = guard.stats();
        let stats = stats.unwrap();
        assert_eq!((stats.green.packets, stats.green.bytes, stats.dropped.packets), (20, 2_000, 16));
    }

    #[test]
    fn a_question_about_the_rate_takes_nothing() {
        let guard = policer();
        assert_eq!(passed(&guard, 50, Now(0), Effects::Deny), 50);
        assert_eq!(guard.stats().0.unwrap(), PolicerStats::default());
        assert_eq!(passed(&guard, 50, Now(0), Effects::Allow), 20);
        assert_eq!(passed(&guard, 50, Now(0), Effects::Deny), 0);
    }
}
