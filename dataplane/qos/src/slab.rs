//! Where queued items are: one store for all queues of a port, and lists through it.
//!
//! The store is as large as it may become from the beginning, so that queueing never allocates; places are
//! used again last in first out, so that only as much memory is touched as was ever needed at once.

use crate::Size;
use vsw_types::Now;

const NONE: u32 = u32::MAX;

/// One that waits.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) item: T,
    pub(crate) size: Size,
    /// Since when.
    pub(crate) at: Now,
}

#[derive(Debug)]
struct Node<T> {
    entry: Option<Entry<T>>,
    next: u32,
}

/// A first-in first-out list through a [`Slab`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    head: u32,
    tail: u32,
    pub(crate) bytes: u32,
}

impl Fifo {
    pub(crate) const EMPTY: Self = Self { head: NONE, tail: NONE, bytes: 0 };
}

#[derive(Debug)]
pub(crate) struct Slab<T> {
    nodes: Vec<Node<T>>,
    /// The first free one.
    free: u32,
    used: u32,
    most: u32,
}

impl<T> Slab<T> {
    pub(crate) fn new(most: u32) -> Self {
        Self { nodes: Vec::with_capacity(most as usize), free: NONE, used: 0, most }
    }

    /// Makes it so large; never smaller than what it holds.
    pub(crate) fn resize(&mut self, most: u32) {
        self.most = most;
        self.nodes.reserve_exact((most as usize).saturating_sub(self.nodes.len()));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used >= self.most
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Appends to a list. There must be room: see [`Slab::is_full`].
    pub(crate) fn push(&mut self, list: &mut Fifo, entry: Entry<T>) {
        debug_assert!(!self.is_full());
        list.bytes += entry.size.bytes;
        self.used += 1;
        let node = Node { entry: Some(entry), next: NONE };
        let at = match self.free {
            NONE => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
            at => {
                self.free = self.nodes[at as usize].next;
                self.nodes[at as usize] = node;
                at
            }
        };
        match list.tail {
            NONE => list.head = at,
            tail => self.nodes[tail as usize].next = at,
        }
        list.tail = at;
    }

    pub(crate) fn pop(&mut self, list: &mut Fifo) -> Option<Entry<T>> {
        let at = list.head;
        let node = self.nodes.get_mut(at as usize)?;
        let entry = node.entry.take()?;
        list.head = std::mem::replace(&mut node.next, self.free);
        if list.head == NONE {
            list.tail = NONE;
        }
        self.free = at;
        self.used -= 1;
        list.bytes -= entry.size.bytes;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_and_share_the_places() {
        let mut slab = Slab::new(4);
        let (mut a, mut b) = (Fifo::EMPTY, Fifo::EMPTY);
        let entry = |item: u32| Entry { item, size: Size::one(100), at: Now(0) };
        for round in 0..10 {
            slab.push(&mut a, entry(round));
            slab.push(&mut b, entry(100 + round));
            slab.push(&mut a, entry(50 + round));
            assert_eq!((a.bytes, b.bytes, slab.is_full()), (200, 100, false));
            slab.push(&mut b, entry(7));
            assert!(slab.is_full());
            let mut pop = |list: &mut Fifo| slab.pop(list).map(|e| e.item);
            assert_eq!([pop(&mut a), pop(&mut a), pop(&mut a)], [Some(round), Some(50 + round), None]);
            assert_eq!([pop(&mut b), pop(&mut b), pop(&mut b)], [Some(100 + round), Some(7), None]);
            assert!(a.bytes + b.bytes == 0 && slab.used() == 0);
        }
        assert_eq!(slab.nodes.len(), 4);
    }
}
