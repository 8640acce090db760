//! A hierarchical timing wheel: when each of many has something to do next.
//!
//! Four levels of 64 places; a place of the lowest is [`GRAIN`] long, one of each further level as long as
//! the whole level below. To set, to take back and to find the next one costs a few steps whatever the
//! number (Varghese and Lauck, 1987). Nothing fires early, and nothing later than a place of its level; a
//! moment beyond the highest level fires when that level has turned, to be set again.

use vsw_types::Now;

/// Nanoseconds of a place: 2^14 = 16 us. A frame of 1,500 bytes takes that at 750 Mbit/s.
const GRAIN: u32 = 14;
const BITS: u32 = 6;
const PLACES: usize = 1 << BITS;
const LEVELS: usize = 4;
const NONE: u16 = u16::MAX;

/// Members are numbers from 0.
#[derive(Debug)]
pub struct Wheel {
    /// The place that is not over yet, in grains.
    tick: u64,
    /// Which places of each level hold somebody.
    taken: [u64; LEVELS],
    heads: [[u16; PLACES]; LEVELS],
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// In grains, rounded up.
    due: u64,
    level: u8,
    place: u8,
    is_set: bool,
    previous: u16,
    next: u16,
}

const IDLE: Member = Member { due: 0, level: 0, place: 0, is_set: false, previous: NONE, next: NONE };

impl Default for Wheel {
    fn default() -> Self {
        Self { tick: 0, taken: [0; LEVELS], heads: [[NONE; PLACES]; LEVELS], members: Vec::new() }
    }
}

impl Wheel {
    /// Makes room for members below `count`. The only thing that allocates.
    pub fn reserve(&mut self, count: usize) {
        if self.members.len() < count {
            self.members.resize(count.min(NONE as usize), IDLE);
        }
    }

    pub fn is_set(&self, member: u16) -> bool {
        self.members.get(member as usize).is_some_and(|m| m.is_set)
    }

    /// Sets a member's next moment, in place of an earlier one.
    pub fn set(&mut self, member: u16, due: Now) {
        self.unset(member);
        let grains = (due.0 >> GRAIN) + u64::from(due.0 & ((1 << GRAIN) - 1) != 0);
        if let Some(m) = self.members.get_mut(member as usize) {
            m.due = grains;
            self.link(member);
        }
    }

    /// Takes it back.
    pub fn unset(&mut self, member: u16) {
        let Some(m) = self.members.get_mut(member as usize).filter(|m| m.is_set) else { return };
        m.is_set = false;
        let Member { level, place, previous, next, .. } = *m;
        let (level, place) = (level as usize, place as usize);
        match previous {
            NONE => self.heads[level][place] = next,
            p => self.members[p as usize].next = next,
        }
        if next != NONE {
            self.members[next as usize].previous = previous;
        }
        if self.heads[level][place] == NONE {
            self.taken[level] &= !(1 << place);
        }
    }

    fn link(&mut self, member: u16) {
        let due = self.members[member as usize].due.max(self.tick);
        // The level at which it is within one turn.
        let span = |level: u32| 1u64 << (BITS * (level + 1));
        let ahead = |level: u32| (due >> (BITS * level)) - (self.tick >> (BITS * level));
        let level = (0..LEVELS as u32).find(|l| ahead(*l) < PLACES as u64).unwrap_or(LEVELS as u32 - 1);
        // Beyond the last: where that level is just before it has turned.
        let due = due.min(self.tick + span(level) - (span(level) >> BITS));
        let place = (due >> (BITS * level)) as usize % PLACES;
        let level = level as usize;
        let next = std::mem::replace(&mut self.heads[level][place], member);
        if next != NONE {
            self.members[next as usize].previous = member;
        }
        let m = &mut self.members[member as usize];
        (m.level, m.place, m.is_set, m.previous, m.next) = (level as u8, place as u8, true, NONE, next);
        self.taken[level] |= 1 << place;
    }

    /// The first place of a level, from now on, that holds somebody: when it begins, in grains.
    fn first(&self, level: usize) -> Option<u64> {
        let shift = BITS * level as u32;
        let here = self.tick >> shift;
        let turned = self.taken[level].rotate_right((here % PLACES as u64) as u32);
        (turned != 0).then(|| (here + u64::from(turned.trailing_zeros())) << shift)
    }

    /// When [`Wheel::pop`] has something next, at the earliest. `None`: nobody is set.
    pub fn next(&self) -> Option<Now> {
        let first = (0..LEVELS).filter_map(|level| self.first(level)).min()?;
        Some(Now(first.max(self.tick) << GRAIN))
    }

    /// Takes out one whose moment has come.
    pub fn pop(&mut self, now: Now) -> Option<u16> {
        let end = now.0 >> GRAIN;
        loop {
            let (at, level) = (0..LEVELS).filter_map(|l| Some((self.first(l)?, l))).min()?;
            if at > end {
                // Nothing between: the wheel may turn up to here.
                self.tick = self.tick.max(end);
                return None;
            }
            self.tick = self.tick.max(at);
            let place = (at >> (BITS * level as u32)) as usize % PLACES;
            let member = self.heads[level][place];
            self.unset(member);
            if self.members[member as usize].due <= end {
                return Some(member);
            }
            self.link(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_time_and_never_early() {
        let mut wheel = Wheel::default();
        wheel.reserve(100);
        // From a microsecond to a minute, in an order like chance.
        let due = |m: u16| 1_000u64 << (u64::from(m) * 37 % 26);
        (0..100).for_each(|m| wheel.set(m, Now(due(m))));
        let (mut now, mut fired) = (0, 0);
        while let Some(next) = wheel.next() {
            assert!(next.0 >= now, "time goes on");
            now = next.0.max(now + 1);
            while let Some(m) = wheel.pop(Now(now)) {
                assert!(now >= due(m) && now - due(m) < 2 << GRAIN, "{m}: due {} fired {now}", due(m));
                fired += 1;
            }
        }
        assert_eq!(fired, 100);
    }

    #[test]
    fn one_that_is_set_anew_fires_once() {
        let mut wheel = Wheel::default();
        wheel.reserve(3);
        wheel.set(1, Now(10_000_000));
        wheel.set(1, Now(1_000_000));
        wheel.set(2, Now(1_000_000));
        wheel.unset(2);
        assert_eq!(wheel.pop(Now(999_999)), None);
        assert_eq!(wheel.pop(Now(1_100_000)), Some(1));
        assert_eq!((wheel.pop(Now(u64::MAX >> 1)), wheel.next()), (None, None));
        wheel.set(0, Now(5));
        assert_eq!(wheel.pop(Now(u64::MAX >> 1)), Some(0), "what is long over fires at once");
    }
}
