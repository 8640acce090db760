//! Frames between workers: a one-writer, one-reader ring for each ordered pair.
//!
//! A frame whose egress port has no queue here goes to the worker that has one, in batches: the ring's
//! indices move once a flush, and a sleeping worker is woken once a flush.

use crate::thread::Doorbell;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use vsw_mem::Frame;
use vsw_types::PortIdx;

/// Frames that wait between two workers at most.
const DEPTH: usize = 1024;

type Parcel = (PortIdx, Frame);

/// One worker's ends of the mesh.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    /// By worker; `None` for oneself.
    to: Vec<Option<Line>>,
    from: Vec<Consumer<Parcel>>,
}

/// The way to one other worker.
#[derive(Debug)]
struct Line {
    ring: Producer<Parcel>,
    bell: Arc<Doorbell>,
    /// Something was put there since it was last woken.
    fresh: bool,
}

impl Mesh {
    /// The ends of a full mesh, one for each doorbell.
    pub(crate) fn between(bells: &[Arc<Doorbell>]) -> Vec<Self> {
        let mut all: Vec<Self> = bells.iter().map(|_| Self::default()).collect();
        for writer in 0..bells.len() {
            for (reader, bell) in bells.iter().enumerate() {
                if writer == reader {
                    all[writer].to.push(None);
                    continue;
                }
                let (to, from) = RingBuffer::new(DEPTH);
                all[writer].to.push(Some(Line { ring: to, bell: bell.clone(), fresh: false }));
                all[reader].from.push(from);
            }
        }
        all
    }

    /// Hands a frame over.
    ///
    /// # Errors
    /// Gives it back when the other worker is behind.
    #[inline]
    pub(crate) fn push(&mut self, worker: usize, port: PortIdx, frame: Frame) -> Result<(), Frame> {
        let Some(Some(line)) = self.to.get_mut(worker) else { return Err(frame) };
        match line.ring.push((port, frame)) {
            Ok(()) => {
                line.fresh = true;
                Ok(())
            }
            Err(rtrb::PushError::Full((_, frame))) => Err(frame),
        }
    }

    /// Wakes those who sleep and got something.
    pub(crate) fn flush(&mut self) {
        for line in self.to.iter_mut().flatten() {
            if std::mem::take(&mut line.fresh) {
                line.bell.ring_if_asleep();
            }
        }
    }

    /// One frame that another worker handed over.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Parcel> {
        self.from.iter_mut().find_map(|ring| ring.pop().ok())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from.iter().all(Consumer::is_empty)
    }
}
