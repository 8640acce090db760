//! Virtqueues, as a device sees them: virtio 1.2, 2.6 to 2.8.
//!
//! A [`Ring`] takes chains of buffers that the driver made available, in order, and marks them used, in the same
//! order. Both happen in batches: [`Ring::take`] reads up to so many at once, which is what hides the time that
//! lines written by another processor take to come; [`Ring::publish`] shows all that was used with one store.
//!
//! The driver is a stranger, and its memory changes while it is read. Each index, address and length is read
//! once, into a register, and checked; whatever is not right is a [`Fault`], after which the ring is not served
//! any more. What a chain says goes into [`Chains`], whose memory is as large as a ring's longest batch, so that
//! workers never allocate.
//!
//! - `split`: the older layout, three areas. `packed`: one area. `raw`: reads and writes of shared memory.
//!
//! Thread-safety: a ring has one user at a time; `crate::shared` sees to it.

mod packed;
pub(crate) mod raw;
mod split;

use crate::fault::Fault;
use crate::inflight::Note;
use crate::log::UsedLog;
use crate::memory::Memory;
use crate::shared::RingSetup;
use packed::Packed;
use split::Split;
use std::ptr::NonNull;

// Feature bits: virtio 1.2, 6.
pub(crate) const F_INDIRECT_DESC: u64 = 1 << 28;
pub(crate) const F_EVENT_IDX: u64 = 1 << 29;
pub(crate) const F_RING_PACKED: u64 = 1 << 34;

/// Chains in one batch, at most.
pub(crate) const MOST: usize = 64;
/// Pieces of one chain, at most: a ring's size, or this if it is smaller. Linux makes 19, DPDK up to 255.
const MOST_PIECES: usize = 1024;

// Descriptor flags: virtio 1.2, 2.7.5 and 2.8.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// A piece of guest memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) at: NonNull<u8>,
    /// The guest's address of the same.
    pub(crate) guest: u64,
    pub(crate) len: u32,
}

/// A chain that was taken: to be used, or to be put back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    /// Its name in the used ring.
    pub(crate) id: u16,
    /// Descriptors of the ring that it takes up.
    pub(crate) descs: u16,
    /// Which of the pieces are its.
    first: u32,
    end: u32,
    /// Bytes.
    pub(crate) len: u64,
}

/// Chains of one batch.
#[derive(Debug)]
pub(crate) struct Chains {
    chains: Vec<Chain>,
    pieces: Vec<Piece>,
    /// Pieces are for the device to write.
    writable: bool,
    /// Of one chain, in a ring of that size.
    most_pieces: usize,
}

// SAFETY: addresses in a guest's memory, which is the same for all threads; they are used under a lock only.
unsafe impl Send for Chains {}

impl Chains {
    /// For a ring of so many descriptors, whose buffers are all to be read, or all to be written.
    pub(crate) fn new(size: u16, writable: bool) -> Self {
        let most_pieces = usize::from(size).min(MOST_PIECES);
        // A batch of short chains, and one more of any length, find room.
        let pieces = Vec::with_capacity(MOST * 4 + 2 * most_pieces);
        Self { chains: Vec::with_capacity(MOST), pieces, writable, most_pieces }
    }

    fn clear(&mut self) {
        self.chains.clear();
        self.pieces.clear();
    }

    /// Whether one chain more finds room without allocation, whatever its length.
    fn has_room(&self) -> bool {
        self.pieces.capacity() - self.pieces.len() > self.most_pieces
    }

    pub(crate) fn len(&self) -> usize {
        self.chains.len()
    }

    #[inline]
    pub(crate) fn at(&self, i: usize) -> (&Chain, &[Piece]) {
        let chain = &self.chains[i];
        (chain, &self.pieces[chain.first as usize..chain.end as usize])
    }

    fn begin(&self) -> Chain {
        Chain { first: self.pieces.len() as u32, ..Chain::default() }
    }

    /// One descriptor more of the chain that is being read.
    #[inline]
    fn add(&mut self, chain: &mut Chain, memory: &Memory, d: raw::Desc) -> Result<(), Fault> {
        // One to be read may be marked as one to be written: DPDK leaves that in its indirect tables.
        if self.writable && d.flags & WRITE == 0 {
            return Err(Fault::Direction);
        }
        let (mut addr, mut left) = (d.addr, d.len);
        while left > 0 {
            // A buffer may lie across two regions; usually it does not.
            let (at, len) = memory.piece(addr, left).ok_or(Fault::OutOfMemory(d.addr, d.len))?;
            if self.pieces.len() - chain.first as usize >= self.most_pieces {
                return Err(Fault::LongChain);
            }
            self.pieces.push(Piece { at, guest: addr, len });
            left -= len;
            addr = addr.wrapping_add(len.into());
        }
        chain.len += u64::from(d.len);
        Ok(())
    }

    /// All descriptors of an indirect table. Virtio 1.2, 2.7.5.3 and 2.8.7.
    #[inline(never)]
    fn add_table(
        &mut self,
        chain: &mut Chain,
        memory: &Memory,
        table: raw::Desc,
        next: impl Fn(usize, &raw::Desc) -> Option<usize>,
    ) -> Result<(), Fault> {
        let entries = (table.len / raw::DESC as u32) as usize;
        if !table.len.is_multiple_of(raw::DESC as u32) || entries == 0 || entries > 1 << 15 {
            return Err(Fault::Indirect(table.len));
        }
        let at =
            memory.guest(table.addr, table.len.into()).ok_or(Fault::OutOfMemory(table.addr, table.len))?;
        let mut i = 0;
        for _ in 0..entries {
            // SAFETY: entry `i` of a table that is mapped as a whole.
            let d = unsafe { raw::desc(at.add(i * raw::DESC)) };
            if d.flags & INDIRECT != 0 {
                return Err(Fault::Indirect(table.len));
            }
            self.add(chain, memory, d)?;
            match next(i, &d) {
                None => return Ok(()),
                Some(n) if n < entries => i = n,
                Some(n) => return Err(Fault::NoSuchDescriptor(n as u32, entries as u32)),
            }
        }
        Err(Fault::LongChain)
    }

    fn end(&mut self, mut chain: Chain) {
        chain.end = self.pieces.len() as u32;
        self.chains.push(chain);
    }
}

/// Either layout.
#[derive(Debug)]
pub(crate) enum Ring {
    Split(Split),
    Packed(Packed),
}

macro_rules! either {
    ($self:expr, $ring:ident => $what:expr) => {
        match $self {
            Ring::Split($ring) => $what,
            Ring::Packed($ring) => $what,
        }
    };
}

impl Ring {
    /// The ring that the front end describes.
    ///
    /// # Errors
    /// When it is not in the guest's memory, or no ring could be like that.
    pub(crate) fn new(
        setup: RingSetup,
        features: u64,
        memory: &Memory,
        log: UsedLog,
        note: Note,
    ) -> Result<Self, Fault> {
        match features & F_RING_PACKED {
            0 => Split::new(setup, features, memory, log).map(Self::Split),
            _ => Packed::new(setup, features, memory, log, note).map(Self::Packed),
        }
    }

    /// The same ring in another table of memory.
    ///
    /// # Errors
    /// When it is not there; it must not be used any more then.
    pub(crate) fn relocate(&mut self, setup: RingSetup, memory: &Memory) -> Result<(), Fault> {
        either!(self, ring => ring.relocate(setup, memory))
    }

    pub(crate) fn set_log(&mut self, log: UsedLog) {
        either!(self, ring => ring.set_log(log));
    }

    /// Replaces what is in `chains` by up to `most` chains ([`MOST`] at most).
    ///
    /// # Errors
    /// When the driver did what no driver does.
    #[inline]
    pub(crate) fn take(&mut self, most: usize, memory: &Memory, chains: &mut Chains) -> Result<(), Fault> {
        chains.clear();
        either!(self, ring => ring.take(most.min(MOST), memory, chains))
    }

    /// Puts the chains from `from` on, of the last batch, back.
    pub(crate) fn put_back(&mut self, chains: &Chains, from: usize) {
        let back = &chains.chains[from.min(chains.len())..];
        either!(self, ring => ring.put_back(back));
    }

    /// Marks a chain as used: `written` bytes are in it. The driver sees it after [`Ring::publish`]. Chains are
    /// used in the order in which they were taken.
    #[inline]
    pub(crate) fn used(&mut self, id: u16, descs: u16, written: u32) {
        match self {
            Self::Split(ring) => ring.used(id, written),
            Self::Packed(ring) => ring.used(id, descs, written),
        }
    }

    /// Shows the driver what was used. `true`: it wants to be notified.
    #[inline]
    pub(crate) fn publish(&mut self) -> bool {
        either!(self, ring => ring.publish())
    }

    /// Whether the driver is to notify when it makes something available. Returns whether there is something.
    pub(crate) fn notify_me(&mut self, on: bool) -> bool {
        either!(self, ring => ring.notify_me(on))
    }

    /// Where it would go on, as SET_VRING_BASE wants it.
    pub(crate) fn base(&self) -> u32 {
        either!(self, ring => ring.base())
    }
}

/// Where one of a ring's areas is, told by the front end's address.
fn area(memory: &Memory, what: &'static str, addr: u64, len: u64, align: u64) -> Result<NonNull<u8>, Fault> {
    let at = memory.user(addr, len).filter(|at| (at.as_ptr().addr() as u64).is_multiple_of(align));
    at.ok_or(Fault::RingAddress(what, addr))
}

/// Virtio 1.2, 2.7.10 (`vring_need_event`): whether `event` is among what became used since `old`.
fn crossed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}
