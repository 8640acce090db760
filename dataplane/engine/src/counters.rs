//! Counting without sharing: a worker adds to plain numbers that it owns, and publishes them at the edge
//! of a pass.
//!
//! What must add up, whenever no frame is inside the switch but those that wait in queues of quality of
//! service (a test holds it):
//!
//! * for each port: `rx_packets + rx_segmented == forwarded + rx_queued + the sum of its rx drops`
//! * over all ports: `forwarded + copies + segmented == tx_packets + queued + the sum of tx drops`

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vsw_types::{Direction, DropReason, MAX_PORTS, PortIdx};

const REASONS: usize = DropReason::COUNT;
const FIELDS: usize = 13 + 2 * REASONS;

/// What is counted besides drops. Names as in [`PortCounters`]' methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Field {
    RxPackets,
    RxBytes,
    TxPackets,
    TxBytes,
    Forwarded,
    Copies,
    Segmented,
    Queued,
    RxSegmented,
    RxQueued,
    MacsMoved,
    MacsEvicted,
    MacsRefused,
}

/// One port's counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortCounters([u64; FIELDS]);

impl Default for PortCounters {
    fn default() -> Self {
        Self([0; FIELDS])
    }
}

impl PortCounters {
    /// Frames that the attached side sent, dropped ones included.
    pub fn rx_packets(&self) -> u64 {
        self.0[Field::RxPackets as usize]
    }
    pub fn rx_bytes(&self) -> u64 {
        self.0[Field::RxBytes as usize]
    }
    /// Frames handed to the attached side.
    pub fn tx_packets(&self) -> u64 {
        self.0[Field::TxPackets as usize]
    }
    pub fn tx_bytes(&self) -> u64 {
        self.0[Field::TxBytes as usize]
    }
    /// Received frames for which at least one port to leave by was found.
    pub fn forwarded(&self) -> u64 {
        self.0[Field::Forwarded as usize]
    }
    /// Copies made of frames received here, to flood them: one less than the ports they were to leave by.
    pub fn copies(&self) -> u64 {
        self.0[Field::Copies as usize]
    }
    /// Frames that came of cutting larger ones in software, less the larger ones.
    pub fn segmented(&self) -> u64 {
        self.0[Field::Segmented as usize]
    }
    /// Frames that wait in the queues of a shaped port now.
    pub fn queued(&self) -> u64 {
        self.0[Field::Queued as usize]
    }
    /// Frames that came of cutting received ones before they waited to come in, less the larger ones.
    pub fn rx_segmented(&self) -> u64 {
        self.0[Field::RxSegmented as usize]
    }
    /// Received frames that wait to come in now.
    pub fn rx_queued(&self) -> u64 {
        self.0[Field::RxQueued as usize]
    }
    /// Stations that moved to this port.
    pub fn macs_moved(&self) -> u64 {
        self.0[Field::MacsMoved as usize]
    }
    /// Stations of this port that gave way to others in a full table.
    pub fn macs_evicted(&self) -> u64 {
        self.0[Field::MacsEvicted as usize]
    }
    /// Frames whose source could not be learned: a limit was reached.
    pub fn macs_refused(&self) -> u64 {
        self.0[Field::MacsRefused as usize]
    }
    pub fn drops(&self, direction: Direction, reason: DropReason) -> u64 {
        self.0[drop_field(direction, reason)]
    }
    /// All drops of one direction.
    pub fn dropped(&self, direction: Direction) -> u64 {
        DropReason::ALL.iter().map(|r| self.drops(direction, *r)).sum()
    }
    /// Adds frames that came in and went out without a worker: frames and bytes.
    pub fn add_passed(&mut self, rx: (u64, u64), tx: (u64, u64)) {
        self.0[Field::RxPackets as usize] += rx.0;
        self.0[Field::RxBytes as usize] += rx.1;
        self.0[Field::Forwarded as usize] += rx.0;
        self.0[Field::TxPackets as usize] += tx.0;
        self.0[Field::TxBytes as usize] += tx.1;
    }
    /// Adds another worker's counts.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}

#[inline]
fn drop_field(direction: Direction, reason: DropReason) -> usize {
    FIELDS - 2 * REASONS + direction as usize * REASONS + reason as usize
}

/// One worker's counts of all ports, private to it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ports: Vec<PortCounters>,
    is_dirty: Vec<bool>,
    dirty: Vec<PortIdx>,
}

impl Counters {
    /// Makes room for a port and sets its counts to zero. Never called on the packet path.
    pub(crate) fn reset(&mut self, port: PortIdx) {
        let n = (port.0 as usize + 1).max(self.ports.len());
        self.ports.resize_with(n, PortCounters::default);
        self.is_dirty.resize(n, false);
        self.dirty.reserve(n);
        self.ports[port.0 as usize] = PortCounters::default();
        self.touch(port);
    }

    #[inline]
    fn touch(&mut self, port: PortIdx) -> Option<&mut PortCounters> {
        let i = port.0 as usize;
        let counters = self.ports.get_mut(i)?;
        if !std::mem::replace(&mut self.is_dirty[i], true) {
            self.dirty.push(port);
        }
        Some(counters)
    }

    #[inline]
    pub(crate) fn add(&mut self, port: PortIdx, field: Field, n: u64) {
        if let Some(c) = self.touch(port) {
            c.0[field as usize] += n;
        }
    }

    /// For a number that also goes down.
    pub(crate) fn set(&mut self, port: PortIdx, field: Field, n: u64) {
        if let Some(c) = self.touch(port) {
            c.0[field as usize] = n;
        }
    }

    #[inline]
    pub(crate) fn drops(&mut self, port: PortIdx, direction: Direction, reason: DropReason, n: u64) {
        if let Some(c) = self.touch(port) {
            c.0[drop_field(direction, reason)] += n;
        }
    }

    /// Adds what a driver counted, and returns how many frames that were.
    pub(crate) fn tally(&mut self, port: PortIdx, direction: Direction, tally: &[u32; REASONS]) -> u64 {
        let mut all = 0;
        for reason in DropReason::ALL {
            let n = u64::from(tally[*reason as usize]);
            if n > 0 {
                self.drops(port, direction, *reason, n);
                all += n;
            }
        }
        all
    }

    /// Lets others see the counts of the ports that changed.
    pub(crate) fn publish(&mut self, bank: &CounterBank) {
        for port in self.dirty.drain(..) {
            self.is_dirty[port.0 as usize] = false;
            bank.store(port, &self.ports[port.0 as usize]);
        }
    }
}

/// Ports whose published counts share an allocation.
const PAGE: usize = 64;

type Page = Box<[[AtomicU64; FIELDS]; PAGE]>;

/// Where one worker's counts can be read by others: copies, at most a few passes old. One writer.
#[derive(Debug)]
pub struct CounterBank {
    pages: Box<[OnceLock<Page>]>,
}

impl Default for CounterBank {
    fn default() -> Self {
        Self { pages: (0..MAX_PORTS / PAGE).map(|_| OnceLock::new()).collect() }
    }
}

impl CounterBank {
    fn store(&self, port: PortIdx, counters: &PortCounters) {
        let Some(page) = self.pages.get(port.0 as usize / PAGE) else { return };
        // The first publication of a port allocates; attaching it publishes, so that no packet waits for it.
        let page = page
            .get_or_init(|| Box::new(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)))));
        for (to, from) in page[port.0 as usize % PAGE].iter().zip(counters.0) {
            to.store(from, Relaxed);
        }
    }

    /// What was last published of a port.
    pub fn read(&self, port: PortIdx) -> PortCounters {
        match self.pages.get(port.0 as usize / PAGE).and_then(OnceLock::get) {
            Some(page) => {
                PortCounters(std::array::from_fn(|i| page[port.0 as usize % PAGE][i].load(Relaxed)))
            }
            None => PortCounters::default(),
        }
    }
}
