//! The token bucket: a rate over any time, and a burst on top.
//!
//! Tokens are billionths of what is counted, so that a rate per second times nanoseconds is a whole number
//! of them: nothing is rounded, and nothing drifts in a year. 128 bits hold 2^64 per second for 2^63
//! nanoseconds.

use vsw_types::Now;

const NANO: i128 = 1_000_000_000;

/// Something per second, and how much of it at once: bits or packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub rate: u64,
    pub burst: u64,
}

impl Limit {
    /// What has to be in the bucket for `n` to pass: all of it or, for what is larger than the burst, a full
    /// bucket.
    #[inline]
    pub fn need(self, n: u64) -> u64 {
        n.min(self.burst)
    }

    /// How long `n` takes at this rate: nanoseconds.
    pub fn nanos(self, n: u64) -> u64 {
        (u128::from(n) * NANO as u128).checked_div(self.rate.into()).map_or(u64::MAX, saturate)
    }
}

fn saturate(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A bucket. Its [`Limit`] is given with every call, so that it can change while the tokens stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Below 0: a debt.
    tokens: i128,
    /// When they were counted.
    at: Now,
}

impl Bucket {
    pub fn full(limit: Limit, now: Now) -> Self {
        Self { tokens: i128::from(limit.burst) * NANO, at: now }
    }

    pub fn empty(now: Now) -> Self {
        Self { tokens: 0, at: now }
    }

    /// Fills it up to `now`. A time before the last one adds nothing: workers read the clock apart. Returns
    /// what ran over, in billionths.
    #[inline]
    pub fn advance(&mut self, limit: Limit, now: Now) -> i128 {
        let most = i128::from(limit.burst) * NANO;
        let gained = u128::from(now.0.saturating_sub(self.at.0)) * u128::from(limit.rate);
        let sum = self.tokens.saturating_add(i128::try_from(gained).unwrap_or(i128::MAX));
        self.at = self.at.max(now);
        self.tokens = sum.min(most);
        sum - self.tokens
    }

    /// Adds what ran over from another bucket.
    #[inline]
    pub(crate) fn pour(&mut self, billionths: i128, burst: u64) {
        self.tokens = self.tokens.saturating_add(billionths).min(i128::from(burst) * NANO);
    }

    /// Whether `n` may pass.
    #[inline]
    pub fn allows(&self, limit: Limit, n: u64) -> bool {
        self.tokens >= i128::from(limit.need(n)) * NANO
    }

    #[inline]
    pub fn take(&mut self, n: u64) {
        self.tokens -= i128::from(n) * NANO;
    }

    /// Takes what is there of `n`.
    #[inline]
    pub(crate) fn take_most(&mut self, n: u64) {
        self.tokens = (self.tokens - i128::from(n) * NANO).max(self.tokens.min(0));
    }

    /// The first moment at which `n` may pass, if nothing else does before.
    pub fn ready(&self, limit: Limit, n: u64) -> Now {
        let missing = i128::from(limit.need(n)) * NANO - self.tokens;
        if missing <= 0 {
            return self.at;
        }
        let wait = (missing as u128).checked_div(limit.rate.into()).map_or(u64::MAX, saturate);
        let exact = limit.rate != 0 && (missing as u128).is_multiple_of(limit.rate.into());
        Now(self.at.0.saturating_add(wait).saturating_add(u64::from(!exact)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 86_400 * 1_000_000_000;

    #[test]
    fn is_ready_when_it_says_and_not_before() {
        for rate in [1, 7, 64_000, 999_999_937, 400_000_000_000] {
            let limit = Limit { rate, burst: 12_000 };
            let mut bucket = Bucket::full(limit, Now(5));
            bucket.take(12_000);
            bucket.take(1);
            let ready = bucket.ready(limit, 480);
            let mut before = bucket;
            before.advance(limit, Now(ready.0 - 1));
            assert!(!before.allows(limit, 480), "{rate}");
            bucket.advance(limit, ready);
            assert!(bucket.allows(limit, 480), "{rate}");
        }
    }

    #[test]
    fn a_year_at_400_gigabits_does_not_wrap_or_drift() {
        let limit = Limit { rate: 400_000_000_000, burst: 1 << 40 };
        let mut bucket = Bucket::empty(Now(0));
        assert_eq!(
            bucket.advance(limit, Now(YEAR)) / NANO,
            i128::from(YEAR / 1_000_000_000 * limit.rate - limit.burst)
        );
        // In steps that divide nothing, never letting it run over: exactly the rate.
        let limit = Limit { rate: 64_000, burst: 1 << 40 };
        let (mut bucket, mut taken, mut at) = (Bucket::empty(Now(0)), 0u128, 0);
        while at < YEAR {
            at += 3_600_000_000_007;
            assert_eq!(bucket.advance(limit, Now(at)), 0);
            while bucket.allows(limit, 12_112) {
                bucket.take(12_112);
                taken += 12_112;
            }
        }
        let due = u128::from(at) * 64_000 / NANO as u128;
        assert!(taken <= due && due - taken < 12_112, "{taken} of {due}");
    }

    #[test]
    fn what_is_larger_than_the_burst_passes_and_is_paid_later() {
        let limit = Limit { rate: 1_000, burst: 100 };
        let mut bucket = Bucket::full(limit, Now(0));
        assert!(bucket.allows(limit, 500));
        bucket.take(500);
        assert_eq!(bucket.ready(limit, 500), Now(500_000_000));
    }

    #[test]
    fn time_that_runs_backwards_gives_nothing() {
        let limit = Limit { rate: 1_000_000_000, burst: 1_000 };
        let mut bucket = Bucket::empty(Now(1_000));
        bucket.advance(limit, Now(900));
        bucket.advance(limit, Now(1_000));
        assert!(!bucket.allows(limit, 1));
        bucket.take_most(5);
        bucket.advance(limit, Now(1_001));
        assert!(bucket.allows(limit, 1), "nothing was owed");
    }
}
