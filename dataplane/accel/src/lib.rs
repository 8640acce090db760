//! Fills the kernel's shortcut from snapshot and FDB, and tells the FDB whom the shortcut heard.
//!
//! The FDB is the truth, the shortcut's stations a copy of a part of it: those behind ports with a seat. The
//! copy is corrected as a whole ([`Accel::reconcile`]), once a second and whenever the FDB changed; nothing
//! depends on having seen each change. What must not be late does not depend on the copy: a port's rule is one
//! word, taken away at once; a station that speaks at another seat is forgotten by the program that hears it.
//!
//! With every snapshot each bridge's VLAN gets a new number, by which nothing is known yet ([`Accel::off`],
//! [`Accel::on`]): what was known under an older snapshot can never be found under a newer one.
//!
//! Thread-safety: used by one thread, the one that publishes snapshots.
#![forbid(unsafe_code)]

mod plan;

pub use plan::Plan;

use plan::Member;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vsw_port_os::shortcut::{Board, BoardCell, Counts, Domain, Rule, Station, key};
use vsw_switch::{Fdb, FdbKey};
use vsw_types::{MacAddr, Now, PortIdx};

/// Bytes in front of the L3 payload.
const HEADER: u32 = 14;
/// Part of the time that may go into correcting the copy, as a divisor.
const DUTY: u32 = 10;
/// Between two corrections, at least.
const PAUSE: Duration = Duration::from_millis(2);

/// An open port with a seat, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub port: PortIdx,
    pub seat: u32,
    /// Whether frames may be redirected to it.
    pub takes: bool,
    pub up: bool,
    /// Bytes of L3 payload.
    pub mtu: u32,
}

/// The shortcut, as this process uses it.
#[derive(Debug, Default)]
pub struct Accel {
    /// Empty as long as no port has a seat.
    board: BoardCell,
    plan: Plan,
    /// Those that are on, by port.
    candidates: Vec<Candidate>,
    /// Their ports by seat.
    seated: HashMap<u32, PortIdx>,
    last_domain: u16,
    /// Whether the copy may have stations.
    filled: bool,
    /// When the copy is to be corrected, if it is, and not before when.
    due: Option<Instant>,
    earliest: Option<Instant>,
}

impl Accel {
    pub fn new(board: BoardCell) -> Self {
        Self { board, ..Self::default() }
    }

    fn board(&self) -> Option<Arc<Board>> {
        self.board.get().cloned()
    }

    /// Ends the shortcut, until [`Accel::on`]. When it returns no frame is on its way under the old rules.
    ///
    /// # Errors
    /// When the kernel does not say that it has ended; then there must be no other snapshot.
    pub fn off(&mut self) -> io::Result<()> {
        let Some(board) = self.board() else { return Ok(()) };
        let was_on = !self.candidates.is_empty();
        self.candidates.iter().for_each(|c| board.set_rule(c.seat, None));
        self.candidates.clear();
        self.seated.clear();
        self.plan = Plan::default();
        if was_on { board.wait() } else { Ok(()) }
    }

    /// Begins by a plan that was made of the snapshot which is now in force.
    pub fn on(&mut self, plan: Plan, candidates: Vec<Candidate>) -> io::Result<()> {
        let Some(board) = self.board() else { return Ok(()) };
        self.plan = plan;
        if self.last_domain.checked_add(self.plan.domains()).is_none() {
            // All numbers were used. Nothing must be known by those that are used again.
            board.stations()?.iter().for_each(|s| board.remove(s.key));
            self.last_domain = 0;
        }
        self.last_domain = self.plan.number(self.last_domain);
        self.look(candidates);
        self.news();
        Ok(())
    }

    /// Takes note of how ports are now.
    pub fn look(&mut self, mut candidates: Vec<Candidate>) {
        let Some(board) = self.board() else { return };
        candidates.retain(|c| c.up && self.plan.member(c.port).is_some());
        candidates.sort_unstable_by_key(|c| c.port);
        if candidates == self.candidates {
            return;
        }
        for gone in self.candidates.iter().filter(|old| candidates.iter().all(|c| c.seat != old.seat)) {
            board.set_rule(gone.seat, None);
        }
        for c in &candidates {
            let longest = if c.takes { c.mtu + HEADER } else { 0 };
            let domain = self.plan.member(c.port).and_then(|m| m.domain);
            board.set_rule(c.seat, domain.map(|domain| Rule { domain, longest }));
        }
        self.seated = candidates.iter().map(|c| (c.seat, c.port)).collect();
        self.candidates = candidates;
        self.news();
    }

    /// The FDB changed: the copy is to be corrected soon.
    pub fn news(&mut self) {
        if self.due.is_none() && self.board.get().is_some() {
            let now = Instant::now();
            self.due = Some(self.earliest.map_or(now, |e| e.max(now)));
        }
    }

    /// When [`Accel::reconcile`] wants to be called, if it does.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Makes stations young in the FDB that the shortcut heard since the last [`Accel::tick`], and the stations
    /// of the shortcut those of the FDB.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reconcile(&mut self, now: Now) -> io::Result<()> {
        self.due = None;
        let Some(board) = self.board().filter(|_| self.filled || self.is_on()) else { return Ok(()) };
        let began = Instant::now();
        let clock = board.clock();
        let mut known = HashSet::new();
        for station in board.stations()? {
            if self.holds(&station, clock, now) {
                known.insert(station.key);
            } else {
                board.remove(station.key);
            }
        }
        // Where no port takes frames there is nothing to know.
        self.filled = self.is_on() || !known.is_empty();
        if self.is_on() {
            self.fill(&board, &known, now);
        }
        let ended = Instant::now();
        self.earliest = Some(ended + ((ended - began) * DUTY).max(PAUSE));
        Ok(())
    }

    /// Whether the FDB has the station at its seat too. If it was heard, the FDB is told.
    fn holds(&self, station: &Station, clock: u32, now: Now) -> bool {
        let Some((port, member)) = self.at(station.seat) else { return false };
        if member.domain.is_none_or(|d| station.key >> 48 != u64::from(d.get())) {
            return false;
        }
        let name = FdbKey::new(member.vlan, MacAddr::from_u48(station.key));
        if station.heard == clock {
            member.fdb.refresh(name, port, now)
        } else {
            member.fdb.lookup(name) == Some(port)
        }
    }

    fn at(&self, seat: u32) -> Option<(PortIdx, &Member)> {
        let port = *self.seated.get(&seat)?;
        Some((port, self.plan.member(port)?))
    }

    /// Has the shortcut know what it does not.
    fn fill(&self, board: &Board, known: &HashSet<u64>, now: Now) {
        for fdb in self.plan.tables() {
            for e in fdb.entries(now) {
                let Some((c, domain)) = self.place(fdb, &e) else { continue };
                let name = key(domain, e.mac.to_u48());
                if known.contains(&name) {
                    continue;
                }
                if board.insert(name, c.seat).is_err() {
                    return; // full: the others go through the workers
                }
                // It may have moved meanwhile, before it was there to be found.
                if fdb.lookup(FdbKey::new(e.vlan, e.mac)) != Some(e.port) {
                    board.remove(name);
                }
            }
        }
    }

    fn place(&self, fdb: &Arc<Fdb>, e: &vsw_switch::fdb::Entry) -> Option<(&Candidate, Domain)> {
        let member = self.plan.member(e.port).filter(|m| m.vlan == e.vlan && Arc::ptr_eq(&m.fdb, fdb))?;
        Some((self.candidate(e.port)?, member.domain?))
    }

    fn candidate(&self, port: PortIdx) -> Option<&Candidate> {
        let at = self.candidates.binary_search_by_key(&port, |c| c.port).ok()?;
        self.candidates.get(at)
    }

    /// A second is over: who is heard from now on is heard in the next one.
    pub fn tick(&self) {
        if let Some(board) = self.board.get() {
            board.tick();
        }
    }

    /// Whether some port is on, so that it pays to know when the FDB changes.
    pub fn is_on(&self) -> bool {
        self.candidates.iter().any(|c| c.takes)
    }

    /// Whether the kernel may hand on frames of this port.
    pub fn has(&self, port: PortIdx) -> bool {
        self.candidate(port).is_some()
    }

    /// What it did for a seat.
    pub fn counts(&self, seat: u32) -> Counts {
        self.board.get().and_then(|b| b.counts(seat).ok()).unwrap_or_default()
    }
}
