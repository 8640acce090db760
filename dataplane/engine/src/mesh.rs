//! Frames between workers: a one-writer, one-reader ring for each ordered pair.
//!
//! A frame whose egress port has no queue here goes to the worker that has one, and one that has to wait before
//! it comes in goes to the home of its port; both in batches. What two workers both write to is written once a
//! batch: the ring's indices, and the reader's list of those who rang. A worker reads only the rings on its list,
//! so that a pass costs nothing for workers that are silent, however many there are; a sleeping worker is woken
//! once a batch.
//!
//! Order: the writer fills the ring, then puts itself on the list, then looks whether the reader sleeps; the
//! reader takes the list, then reads the rings. Whoever is put on the list after that is there the next time.

use crate::thread::Doorbell;
use arrayvec::ArrayVec;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vsw_mem::{BATCH, Frame};
use vsw_types::{Direction, PortIdx};

/// Frames that wait between two workers at most.
const DEPTH: usize = 1024;

/// A frame, and what it is to do there.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) frame: Frame,
    pub(crate) port: PortIdx,
    /// `Tx`: it leaves by the port. `Rx`: it came by it, and waits to come in.
    pub(crate) direction: Direction,
}

/// Who has put something into a ring since it was last read: a bit for each worker.
type Rung = Arc<[AtomicU64]>;

const BITS: usize = u64::BITS as usize;

/// One worker's ends of the mesh.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// One's own bit in others' lists.
    me: usize,
    /// By worker; `None` for oneself.
    to: Vec<Option<Line>>,
    /// Lines with something pending.
    waiting: Vec<u16>,
    /// By worker; `None` for oneself.
    from: Vec<Option<Consumer<Parcel>>>,
    rung: Rung,
    /// Those who rang and are not read to the end: as `rung`.
    unread: Vec<u64>,
}

/// The way to one other worker.
#[derive(Debug)]
struct Line {
    ring: Producer<Parcel>,
    /// Not in the ring yet.
    pending: ArrayVec<Parcel, BATCH>,
    rung: Rung,
    bell: Arc<Doorbell>,
}

impl Mesh {
    /// The ends of a full mesh, one for each doorbell.
    pub(crate) fn between(bells: &[Arc<Doorbell>]) -> Vec<Self> {
        let words = bells.len().div_ceil(BITS);
        let new = |me| Self {
            me,
            to: Vec::new(),
            waiting: Vec::with_capacity(bells.len()),
            from: Vec::new(),
            rung: (0..words).map(|_| AtomicU64::new(0)).collect(),
            unread: vec![0; words],
        };
        let mut all: Vec<Self> = (0..bells.len()).map(new).collect();
        for writer in 0..bells.len() {
            for (reader, bell) in bells.iter().enumerate() {
                let (mut line, mut end) = (None, None);
                if writer != reader {
                    let (ring, from) = RingBuffer::new(DEPTH);
                    let rung = all[reader].rung.clone();
                    line = Some(Line { ring, pending: ArrayVec::new(), rung, bell: bell.clone() });
                    end = Some(from);
                }
                all[writer].to.push(line);
                all[reader].from.push(end);
            }
        }
        all
    }

    pub(crate) fn me(&self) -> usize {
        self.me
    }

    /// All, oneself included.
    pub(crate) fn workers(&self) -> usize {
        self.to.len()
    }

    /// Hands a frame over: with the next [`Mesh::flush`], or at once if a batch is full.
    ///
    /// # Errors
    /// Gives it back when there is no such worker, or it is behind.
    #[inline]
    pub(crate) fn push(&mut self, worker: usize, parcel: Parcel) -> Result<(), Parcel> {
        let Some(Some(line)) = self.to.get_mut(worker) else { return Err(parcel) };
        if line.pending.is_empty() {
            self.waiting.push(worker as u16);
        }
        if line.pending.is_full() {
            line.send();
        }
        line.pending.try_push(parcel).map_err(|full| full.element())
    }

    /// Sends what is pending, and wakes those who sleep and got something. What does not fit into a ring goes
    /// to `refuse`.
    #[inline]
    pub(crate) fn flush(&mut self, mut refuse: impl FnMut(Parcel)) {
        while let Some(worker) = self.waiting.pop() {
            let Some(Some(line)) = self.to.get_mut(worker as usize) else { continue };
            line.send();
            line.rung[self.me / BITS].fetch_or(1 << (self.me % BITS), Ordering::Release);
            line.bell.ring_if_asleep();
            line.pending.drain(..).for_each(&mut refuse);
        }
    }

    /// Takes frames that other workers handed over until `into` holds `most`; the rest comes the next time.
    pub(crate) fn receive(&mut self, most: usize, into: &mut Vec<Parcel>) {
        for (word, unread) in self.unread.iter_mut().enumerate() {
            // Looked at first: to write it costs the line, also when nobody rang.
            if self.rung[word].load(Ordering::Relaxed) != 0 {
                *unread |= self.rung[word].swap(0, Ordering::Acquire);
            }
            let mut left = *unread;
            while left != 0 && into.len() < most {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(Some(ring)) = self.from.get_mut(word * BITS + bit) else { continue };
                let there = ring.slots();
                let n = there.min(most - into.len());
                if let Ok(chunk) = ring.read_chunk(n) {
                    into.extend(chunk);
                }
                if n == there {
                    *unread &= !(1 << bit);
                }
            }
        }
    }

    /// Whether nobody handed anything over.
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.iter().all(|w| *w == 0) && self.rung.iter().all(|w| w.load(Ordering::Relaxed) == 0)
    }
}

impl Line {
    /// Puts as much into the ring as fits.
    fn send(&mut self) {
        let n = self.pending.len().min(self.ring.slots());
        if let Ok(chunk) = self.ring.write_chunk_uninit(n) {
            chunk.fill_from_iter(self.pending.drain(..n));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_mem::{FrameCache, FramePool, PoolSize};

    fn mesh(workers: usize) -> (Vec<Mesh>, FrameCache) {
        let bells: Vec<_> = (0..workers).map(|_| Arc::new(Doorbell::new().unwrap())).collect();
        let pool = FramePool::leak(PoolSize { small: 4096, large: 1 }).unwrap();
        (Mesh::between(&bells), FrameCache::new(pool))
    }

    fn parcel(port: u16, frames: &mut FrameCache) -> Parcel {
        Parcel { frame: frames.take().unwrap(), port: PortIdx(port), direction: Direction::Tx }
    }

    #[test]
    fn frames_arrive_in_order_and_by_batch() {
        let (mut ends, mut frames) = mesh(3);
        for i in 0..40 {
            ends[0].push(2, parcel(i, &mut frames)).unwrap();
        }
        assert!(ends[2].is_empty(), "nobody rang yet");
        ends[0].flush(|_| panic!("there is room"));
        assert!(!ends[2].is_empty() && ends[1].is_empty());
        let mut got = Vec::new();
        ends[2].receive(30, &mut got);
        assert!(!ends[2].is_empty(), "ten are left");
        ends[2].receive(60, &mut got);
        assert!(ends[2].is_empty());
        assert!(got.iter().map(|p| p.port.0).eq(0..40));
    }

    #[test]
    fn one_who_is_behind_gets_no_more() {
        let (mut ends, mut frames) = mesh(2);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..40 {
            for _ in 0..BATCH {
                match ends[0].push(1, parcel(0, &mut frames)) {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
            ends[0].flush(|_| {
                taken -= 1;
                refused += 1;
            });
        }
        assert_eq!((taken, refused), (DEPTH, 40 * BATCH - DEPTH));
        let mut got = Vec::new();
        ends[1].receive(usize::MAX, &mut got);
        assert_eq!(got.len(), DEPTH);
        assert!(ends[0].push(0, parcel(0, &mut frames)).is_err(), "not to oneself");
    }

    #[test]
    fn more_workers_than_bits_in_a_word() {
        let (mut ends, mut frames) = mesh(70);
        for from in [0, 5, 64, 69] {
            ends[from].push(66, parcel(from as u16, &mut frames)).unwrap();
            ends[from].flush(|_| panic!("there is room"));
        }
        let mut got = Vec::new();
        ends[66].receive(usize::MAX, &mut got);
        assert!(got.iter().map(|p| p.port.0).eq([0, 5, 64, 69]));
    }
}
