//! CoDel (RFC 8289): drops (or marks) when packets have waited too long for too long.

use vsw_types::Now;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodelSettings {
    /// The wait that is fine: nanoseconds. At least the time that a frame takes (RFC 8289, 4.4).
    pub target: u64,
    /// For how long it must be exceeded: nanoseconds; about the longest usual round trip.
    pub interval: u64,
    /// Marks frames that allow it instead of dropping them.
    pub ecn: bool,
}

impl Default for CodelSettings {
    fn default() -> Self {
        Self { target: 5_000_000, interval: 100_000_000, ecn: true }
    }
}

/// Bytes that are no queue: one frame (RFC 8289, 4.4, MAXPACKET).
const ONE_FRAME: u32 = 1514;

/// State of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codel {
    /// When dropping may begin; 0: the wait is fine.
    first_above: u64,
    drop_next: u64,
    count: u32,
    last_count: u32,
    dropping: bool,
}

impl Codel {
    pub(crate) const NEW: Self =
        Self { first_above: 0, drop_next: 0, count: 0, last_count: 0, dropping: false };

    /// Whether the frame at the head, which has waited for `sojourn`, is to be dropped or marked. Asked
    /// again for the next one when it was dropped. `backlog`: bytes that wait with it.
    #[inline]
    pub(crate) fn signals(&mut self, s: &CodelSettings, sojourn: u64, backlog: u32, now: Now) -> bool {
        let now = now.0;
        if !self.is_above(s, sojourn, backlog, now) {
            self.dropping = false;
            return false;
        }
        if self.dropping {
            if now < self.drop_next {
                return false;
            }
            self.count = self.count.saturating_add(1);
            self.drop_next = control_law(self.drop_next, s.interval, self.count);
            return true;
        }
        self.dropping = true;
        // Dropping was right a moment ago: go on where it ended.
        let delta = self.count - self.last_count;
        let recent = now.saturating_sub(self.drop_next) < 16 * s.interval;
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = control_law(now, s.interval, self.count);
        true
    }

    #[inline]
    fn is_above(&mut self, s: &CodelSettings, sojourn: u64, backlog: u32, now: u64) -> bool {
        if sojourn < s.target || backlog <= ONE_FRAME {
            self.first_above = 0;
            return false;
        }
        if self.first_above == 0 {
            self.first_above = now + s.interval;
            return false;
        }
        now >= self.first_above
    }
}

/// When to drop next: the interval over the square root of the count.
fn control_law(from: u64, interval: u64, count: u32) -> u64 {
    // The root with 16 bits behind the point.
    let root = (u64::from(count) << 32).isqrt();
    from + (u128::from(interval) * 65_536 / u128::from(root)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn drops_ever_faster_while_the_wait_is_too_long() {
        let (s, mut codel) = (CodelSettings::default(), Codel::NEW);
        let mut drops = Vec::new();
        for ms in 1..1_000 {
            if codel.signals(&s, 20 * MS, 100_000, Now(ms * MS)) {
                drops.push(ms);
            }
        }
        // 100 ms of patience, then 100, 100/sqrt 2, 100/sqrt 3 .. milliseconds apart.
        assert_eq!(drops[..5], [101, 201, 272, 330, 380]);
        assert!(!codel.signals(&s, 4 * MS, 100_000, Now(1_000 * MS)));
        assert!(!codel.signals(&s, 20 * MS, 100_000, Now(1_001 * MS)), "patience begins anew");
    }

    #[test]
    fn goes_on_where_it_was_if_that_was_a_moment_ago() {
        let (s, bad) = (CodelSettings::default(), 20 * MS);
        // The first two drops of a bad time that begins after so many milliseconds of a good one.
        let drops_after = |pause: u64| {
            let mut codel = Codel::NEW;
            let dropped =
                (1..1_000).filter(|ms| codel.signals(&s, bad, 100_000, Now(ms * MS))).count() as u32;
            assert!((1_000..1_000 + pause).all(|ms| !codel.signals(&s, MS, 100_000, Now(ms * MS))));
            let again = (1_000 + pause)..(3_000 + pause);
            let drops = again.filter(|ms| codel.signals(&s, bad, 100_000, Now(ms * MS)));
            let found: Vec<u64> = drops.map(|ms| ms - 1_000 - pause).take(2).collect();
            (dropped, found)
        };
        let (dropped, soon) = drops_after(1);
        // The law with as many as there were since the first, 100 ms after the wait became too long again.
        let gap = control_law(0, s.interval, dropped - 1).div_ceil(MS);
        assert!(dropped > 10 && gap < 40, "{dropped} {gap}");
        assert_eq!(soon, [100, 100 + gap]);
        let (_, late) = drops_after(2_000);
        assert_eq!(late, [100, 200], "16 intervals later it is forgotten");
    }

    #[test]
    fn one_frame_alone_is_no_queue() {
        let (s, mut codel) = (CodelSettings::default(), Codel::NEW);
        assert!((1..1_000).all(|ms| !codel.signals(&s, 500 * MS, 1514, Now(ms * MS))));
    }

    #[test]
    fn the_control_law_is_exact_enough() {
        for count in [1u32, 2, 3, 100, 65_537, u32::MAX] {
            let exact = 1e8 / f64::from(count).sqrt();
            assert!((control_law(0, 100 * MS, count) as f64 - exact).abs() < 2.0 + exact / 5e4, "{count}");
        }
    }
}
