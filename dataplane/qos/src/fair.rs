//! Queues by flow (RFC 8290): each flow its turn, flows that just came first, CoDel in each.
//!
//! Flows share queues by their hash. With one queue it is a plain queue with CoDel or without.

use crate::codel::Codel;
use crate::slab::{Entry, Fifo, Slab};
use crate::{ClassSettings, ClassStats, Item};
use vsw_types::{DropReason, Now};

const NONE: u16 = u16::MAX;

/// Most items that one overflow drops (as `fq_codel` does): so that not every arrival looks for the fattest
/// flow.
const DROP_BATCH: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Flow {
    fifo: Fifo,
    /// Bytes that it may still send in this round.
    deficit: i64,
    codel: Codel,
    /// Behind it in its ring.
    next: u16,
    /// Whether it is in a ring.
    waits: bool,
}

const IDLE: Flow = Flow { fifo: Fifo::EMPTY, deficit: 0, codel: Codel::NEW, next: NONE, waits: false };

/// Flows that take turns.
#[derive(Clone, Copy, Debug)]
struct Ring {
    head: u16,
    tail: u16,
}

const EMPTY: Ring = Ring { head: NONE, tail: NONE };

impl Ring {
    fn push(&mut self, flows: &mut [Flow], at: u16) {
        flows[at as usize].next = NONE;
        match self.tail {
            NONE => self.head = at,
            tail => flows[tail as usize].next = at,
        }
        self.tail = at;
    }

    fn pop(&mut self, flows: &[Flow]) {
        if self.head != NONE {
            self.head = flows[self.head as usize].next;
        }
        if self.head == NONE {
            self.tail = NONE;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Fair {
    flows: Box<[Flow]>,
    new: Ring,
    old: Ring,
}

impl Fair {
    pub(crate) fn new(flows: u16) -> Self {
        Self { flows: vec![IDLE; flows.clamp(1, NONE - 1) as usize].into(), new: EMPTY, old: EMPTY }
    }

    pub(crate) fn flow_count(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn push<T>(&mut self, slab: &mut Slab<T>, hash: u32, entry: Entry<T>, quantum: u32) {
        // The upper half of the product: as even as the hash, without a division.
        let at = ((u64::from(hash) * self.flows.len() as u64) >> 32) as u16;
        let flow = &mut self.flows[at as usize];
        slab.push(&mut flow.fifo, entry);
        if !std::mem::replace(&mut flow.waits, true) {
            flow.deficit = quantum.into();
            self.new.push(&mut self.flows, at);
        }
    }

    /// The next one to leave. `backlog`: bytes of all flows; counts what it drops.
    pub(crate) fn pop<T: Item>(
        &mut self,
        slab: &mut Slab<T>,
        settings: &ClassSettings,
        stats: &mut ClassStats,
        now: Now,
        drop: &mut impl FnMut(T, DropReason),
    ) -> Option<Entry<T>> {
        loop {
            let is_new = self.new.head != NONE;
            let ring = if is_new { &mut self.new } else { &mut self.old };
            let at = ring.head;
            let flow = self.flows.get_mut(at as usize)?;
            if flow.deficit <= 0 {
                flow.deficit += i64::from(settings.quantum.max(1));
                ring.pop(&self.flows);
                self.old.push(&mut self.flows, at);
            } else if let Some(entry) = judge(flow, slab, settings, stats, now, drop) {
                flow.deficit -= i64::from(entry.size.bytes);
                return Some(entry);
            } else {
                ring.pop(&self.flows);
                // A flow that is new again and again must not starve the old ones (RFC 8290, 4.2).
                if is_new && self.old.head != NONE {
                    self.old.push(&mut self.flows, at);
                } else {
                    self.flows[at as usize].waits = false;
                }
            }
        }
    }

    /// Makes room by dropping from the head of the flow that holds most bytes: half of them and as many as
    /// it takes for all flows together to hold `bytes` at most, but no more than a batch.
    pub(crate) fn shed<T>(
        &mut self,
        slab: &mut Slab<T>,
        bytes: u32,
        stats: &mut ClassStats,
        drop: &mut impl FnMut(T, DropReason),
    ) {
        let Some(flow) = self.flows.iter_mut().max_by_key(|f| f.fifo.bytes) else { return };
        let half = flow.fifo.bytes / 2;
        for _ in 0..DROP_BATCH {
            let Some(entry) = slab.pop(&mut flow.fifo) else { return };
            stats.drop(entry, DropReason::ClassFull, drop);
            if flow.fifo.bytes <= half && stats.queue_bytes <= bytes.into() {
                return;
            }
        }
    }

    /// Takes everything out, flow by flow.
    pub(crate) fn drain<T>(&mut self, slab: &mut Slab<T>, mut each: impl FnMut(&mut Slab<T>, Entry<T>)) {
        for flow in &mut self.flows {
            while let Some(entry) = slab.pop(&mut flow.fifo) {
                each(slab, entry);
            }
            *flow = IDLE;
        }
        (self.new, self.old) = (EMPTY, EMPTY);
    }
}

/// The first of a flow that neither waited for too long nor is dropped by CoDel.
fn judge<T: Item>(
    flow: &mut Flow,
    slab: &mut Slab<T>,
    settings: &ClassSettings,
    stats: &mut ClassStats,
    now: Now,
    drop: &mut impl FnMut(T, DropReason),
) -> Option<Entry<T>> {
    loop {
        let mut entry = slab.pop(&mut flow.fifo)?;
        let sojourn = now.0.saturating_sub(entry.at.0);
        if sojourn > settings.queue.time {
            stats.drop(entry, DropReason::ClassFull, drop);
            continue;
        }
        let backlog = stats.queue_bytes.min(u32::MAX.into()) as u32;
        if let Some(codel) = &settings.codel
            && flow.codel.signals(codel, sojourn, backlog, now)
        {
            if !codel.ecn || !entry.item.mark() {
                stats.drop(entry, DropReason::ClassDelay, drop);
                continue;
            }
            stats.marked += u64::from(entry.size.packets);
        }
        return Some(entry);
    }
}
