//! The kernel's shortcut: what XDP programs know of stations, to hand a frame from one interface to another
//! without waking anybody.
//!
//! Each interface that takes part has a [`Seat`], whose [`Seat::prologue`] is the front of its program. All
//! seats share a [`Board`]: the stations behind them, the interfaces, what each seat may do, and what it did.
//! A rule names a *domain*, the number of a bridge's VLAN: frames are handed on only between two seats of the
//! same. Whoever fills the board sees to it that a number does not get another meaning while stations are
//! known by it.
//!
//! All words that decide are single and aligned: a program sees an old one or a new one, never a half. After
//! [`Board::wait`] no program runs that has seen an old one.
//!
//! Thread-safety: all of it may be shared.

mod program;

use crate::bpf::maps::{DevMap, Grace, HashMap, PerCpu, Shared};
use std::io;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Interfaces that can take part.
pub const SEATS: u32 = 1024;
/// Stations that can be known. An entry takes memory when it comes; this many, 23 MB.
const STATIONS: u32 = 1 << 18;

/// The shared cells: the clock, then a rule for each seat.
const CLOCK: usize = 0;
const RULES: usize = 1;

/// The board of a process, made when the first interface wants a seat.
pub type BoardCell = Arc<OnceLock<Arc<Board>>>;

/// A VLAN of a bridge, as a number.
pub type Domain = std::num::NonZeroU16;

/// What all seats share.
#[derive(Debug)]
pub struct Board {
    /// Domain and address -> seat, and when it was heard.
    stations: HashMap,
    ways: DevMap,
    counts: PerCpu<4>,
    shared: Shared,
    grace: Grace,
    taken: Mutex<[bool; SEATS as usize]>,
}

/// What a seat may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where its untagged frames belong.
    pub domain: Domain,
    /// The longest frame that may be redirected to it, in bytes; 0: none may.
    pub longest: u32,
}

/// A station, as programs know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Domain (16 bits), address (48 bits).
    pub key: u64,
    pub seat: u32,
    /// The time of the board's clock when it was last heard, 0 for never.
    pub heard: u32,
}

/// What programs did, in frames and bytes without FCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
}

/// The name of a station in a domain.
pub fn key(domain: Domain, mac: u64) -> u64 {
    u64::from(domain.get()) << 48 | mac
}

impl Board {
    /// An empty one.
    ///
    /// # Errors
    /// EPERM without CAP_BPF; what an older kernel says to maps that it does not know.
    pub fn new() -> io::Result<Self> {
        let shared = Shared::new(RULES + SEATS as usize)?;
        shared.cells()[CLOCK].store(1, Relaxed);
        Ok(Self {
            stations: HashMap::new(STATIONS)?,
            ways: DevMap::new(SEATS)?,
            counts: PerCpu::new(SEATS)?,
            shared,
            grace: Grace::new()?,
            taken: Mutex::new([false; SEATS as usize]),
        })
    }

    /// A seat for an interface of the calling thread's network namespace, without a rule.
    ///
    /// # Errors
    /// ENOSPC when all are taken; else what the kernel says.
    pub fn seat(self: &Arc<Self>, ifindex: u32) -> io::Result<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = taken.iter().position(|t| !t);
        let number = free.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))? as u32;
        self.counts.clear(number)?;
        self.ways.set(number, ifindex)?;
        taken[number as usize] = true;
        Ok(Seat { board: self.clone(), number })
    }

    /// What a seat may do from now on; `None`: nothing.
    pub fn set_rule(&self, seat: u32, rule: Option<Rule>) {
        let word = rule.map_or(0, |r| u64::from(r.domain.get()) << 48 | u64::from(r.longest));
        if let Some(cell) = self.shared.cells()[RULES..].get(seat as usize) {
            cell.store(word, SeqCst);
        }
    }

    /// Waits until no program runs any more that began before: milliseconds.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self) -> io::Result<()> {
        self.grace.wait()
    }

    /// Has programs know a station, not heard yet.
    ///
    /// # Errors
    /// E2BIG when there are as many as there can be.
    pub fn insert(&self, key: u64, seat: u32) -> io::Result<()> {
        self.stations.insert(key, join(seat, 0))
    }

    pub fn remove(&self, key: u64) {
        self.stations.remove(key);
    }

    /// All stations, each as it was at some moment.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stations(&self) -> io::Result<Vec<Station>> {
        let split = |(key, value): (u64, u64)| {
            let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
            let (seat, heard) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
            Station { key, seat, heard }
        };
        Ok(self.stations.entries()?.into_iter().map(split).collect())
    }

    /// The time by which stations are stamped.
    pub fn clock(&self) -> u32 {
        self.shared.cells()[CLOCK].load(Relaxed) as u32
    }

    /// A new moment begins. It is never 0.
    pub fn tick(&self) {
        let next = self.clock().wrapping_add(1).max(1);
        self.shared.cells()[CLOCK].store(next.into(), Relaxed);
    }

    /// What was redirected from and to a seat since it was taken.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn counts(&self, seat: u32) -> io::Result<Counts> {
        let [rx_packets, rx_bytes, tx_packets, tx_bytes] = self.counts.sum(seat)?;
        Ok(Counts { rx_packets, rx_bytes, tx_packets, tx_bytes })
    }
}

/// The value of a station: seat, then when it was heard, as they lie in memory.
fn join(seat: u32, heard: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (seat.to_ne_bytes(), heard.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// An interface's place on the board, given back when dropped. Its program must be gone by then, and
/// stations that are still known by its number must be of domains that no rule names any more when it is
/// taken again.
#[derive(Debug)]
pub struct Seat {
    board: Arc<Board>,
    number: u32,
}

impl Seat {
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.board.set_rule(self.number, None);
        self.board.ways.remove(self.number);
        self.board.taken.lock().unwrap_or_else(PoisonError::into_inner)[self.number as usize] = false;
    }
}
