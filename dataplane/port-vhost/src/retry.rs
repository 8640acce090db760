//! When to try again: soon after something good went, ever later while nothing comes of it.
//!
//! Plain data.

use std::time::{Duration, Instant};

/// Between two tries: at first, and at most.
const FIRST: Duration = Duration::from_millis(25);
const LAST: Duration = Duration::from_secs(1);
/// A connection that held for so long was a good one.
const GOOD: Duration = Duration::from_secs(1);
/// After something that somebody has to change; so often times that, at most.
const PENALTY: Duration = Duration::from_secs(1);
const MOST_PENALTIES: u32 = 16;
/// A connection that held for so long pays for old sins.
const FORGIVEN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Retry {
    pause: Duration,
    penalties: u32,
    /// Not sooner.
    barred: Instant,
    /// When; `None`: there is no need.
    pub(crate) due: Option<Instant>,
}

impl Retry {
    /// At once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { pause: FIRST, penalties: 0, barred: now, due: Some(now) }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// There is hope: what was missing may have come.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if self.due.is_some() {
            (self.pause, self.due) = (FIRST, Some(now.max(self.barred)));
        }
    }

    /// It worked.
    pub(crate) fn rest(&mut self) {
        self.due = None;
    }

    /// It did not work.
    pub(crate) fn later(&mut self, now: Instant) {
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LAST);
    }

    /// A connection that held for so long is over. `worked`: a guest used it.
    pub(crate) fn ended(&mut self, now: Instant, held: Duration, worked: bool) {
        if worked || held >= GOOD {
            self.pause = FIRST;
        }
        if held >= FORGIVEN {
            self.penalties = 0;
        }
        self.later(now);
    }

    /// It is over for what the other side did.
    pub(crate) fn failed(&mut self, now: Instant, held: Duration) {
        self.ended(now, held, false);
        self.penalties = (self.penalties + 1).min(MOST_PENALTIES);
        self.barred = now + PENALTY * self.penalties;
        self.due = Some(self.barred);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rare_and_good_connections_make_up_for_it() {
        let now = Instant::now();
        let mut retry = Retry::new(now);
        let wait = |r: &Retry| r.due.unwrap() - now;
        let waits: Vec<_> = (0..8)
            .map(|_| {
                retry.later(now);
                wait(&retry).as_millis()
            })
            .collect();
        assert_eq!(waits, [25, 50, 100, 200, 400, 800, 1000, 1000]);
        retry.hurry(now);
        assert_eq!(wait(&retry), Duration::ZERO);
        retry.later(now);
        // Somebody who closes at once is not hurried after.
        retry.ended(now, Duration::ZERO, false);
        assert_eq!(wait(&retry), FIRST * 2);
        retry.ended(now, GOOD, false);
        retry.later(now);
        assert_eq!(wait(&retry), FIRST * 2);
        retry.ended(now, Duration::ZERO, true);
        assert_eq!(wait(&retry), FIRST);
        for n in 1..=20 {
            retry.failed(now, Duration::ZERO);
            assert_eq!(wait(&retry), PENALTY * n.min(16));
        }
        retry.hurry(now);
        assert_eq!(wait(&retry), PENALTY * 16);
        retry.failed(now, FORGIVEN);
        assert_eq!(wait(&retry), PENALTY);
        retry.rest();
        assert!(!retry.is_due(now + LAST));
    }
}
