//! The packed layout: one ring of descriptors, in which the driver makes available and the device marks used,
//! each going round with a bit that flips. Virtio 1.2, 2.8.
//!
//! The driver looks at used descriptors in order. So of what becomes used in one batch all is written but the
//! flags of the first; these, written last, show everything.

use super::{Chain, Chains, F_INDIRECT_DESC, INDIRECT, NEXT, WRITE, crossed, raw};
use crate::fault::Fault;
use crate::inflight::Note;
use crate::log::UsedLog;
use crate::memory::Memory;
use crate::shared::RingSetup;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

/// Flags of a descriptor. Virtio 1.2, 2.8.1.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;
/// Event suppression: an index, then what it means. Virtio 1.2, 2.8.14.
const EVENT_FLAGS: usize = 2;
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const AT_INDEX: u16 = 2;

/// A place in the ring, and the bit of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: u16,
    wrap: bool,
}

impl Place {
    /// 15 bits of index, then the bit of the round.
    fn from_word(word: u16) -> Self {
        Self { index: word & 0x7fff, wrap: word >> 15 != 0 }
    }

    fn word(self) -> u16 {
        self.index | u16::from(self.wrap) << 15
    }

    fn pair(self) -> (u16, bool) {
        (self.index, self.wrap)
    }

    #[inline]
    fn forward(&mut self, n: u16, size: u16) {
        self.index += n;
        if self.index >= size {
            self.index -= size;
            self.wrap = !self.wrap;
        }
    }

    fn back(&mut self, n: u16, size: u16) {
        if self.index < n {
            self.index += size;
            self.wrap = !self.wrap;
        }
        self.index -= n;
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Packed {
    desc: NonNull<u8>,
    /// What the driver wants to be told, and what we want.
    driver: NonNull<u8>,
    device: NonNull<u8>,
    size: u16,
    next: Place,
    used: Place,
    /// The first used one that the driver does not know of yet: its place and flags.
    hidden: Option<(Place, u16)>,
    indirect: bool,
    log: UsedLog,
    note: Note,
}

// SAFETY: addresses in a guest's memory, which is the same for all threads; one user at a time.
unsafe impl Send for Packed {}

impl Packed {
    pub(super) fn new(
        setup: RingSetup,
        features: u64,
        memory: &Memory,
        log: UsedLog,
        note: Note,
    ) -> Result<Self, Fault> {
        if setup.size == 0 || setup.size > 1 << 15 {
            return Err(Fault::RingSize(setup.size));
        }
        let [desc, driver, device] = areas(setup, memory)?;
        let (next, used) = (Place::from_word(setup.base as u16), Place::from_word((setup.base >> 16) as u16));
        let size = setup.size as u16;
        if next.index >= size || used.index >= size {
            return Err(Fault::NoSuchDescriptor(next.index.max(used.index).into(), setup.size));
        }
        let indirect = features & F_INDIRECT_DESC != 0;
        let mut ring = Self { desc, driver, device, size, next, used, hidden: None, indirect, log, note };
        ring.succeed();
        ring.note.set(ring.used.pair(), ring.used.pair());
        Ok(ring)
    }

    /// Goes on where a predecessor was killed, if there was one: what it took and did not show is taken again.
    fn succeed(&mut self) {
        let Some(places) = self.note.places() else { return };
        let [before, after] = places.map(|(index, wrap)| Place { index, wrap });
        if before.index >= self.size || after.index >= self.size {
            return;
        }
        let flags = self.flags(before.index).load(Acquire);
        let shown = (flags & AVAIL != 0) == before.wrap && (flags & USED != 0) == before.wrap;
        self.used = if before != after && shown { after } else { before };
        self.next = self.used;
    }

    pub(super) fn relocate(&mut self, setup: RingSetup, memory: &Memory) -> Result<(), Fault> {
        [self.desc, self.driver, self.device] = areas(setup, memory)?;
        Ok(())
    }

    pub(super) fn set_log(&mut self, log: UsedLog) {
        self.log = log;
    }

    fn at(&self, index: u16) -> NonNull<u8> {
        // SAFETY: every caller's index is less than the size.
        unsafe { self.desc.add(raw::DESC * usize::from(index)) }
    }

    /// The flags of a descriptor: what the two sides synchronise by.
    #[inline]
    fn flags(&self, index: u16) -> &std::sync::atomic::AtomicU16 {
        // SAFETY: the descriptor is mapped and aligned; its flags are its last two bytes.
        unsafe { raw::word(self.at(index), 14) }
    }

    #[inline]
    fn is_available(&self, place: Place) -> bool {
        let flags = self.flags(place.index).load(Acquire);
        (flags & AVAIL != 0) == place.wrap && (flags & USED != 0) != place.wrap
    }

    #[inline]
    pub(super) fn take(&mut self, most: usize, memory: &Memory, chains: &mut Chains) -> Result<(), Fault> {
        while chains.len() < most && chains.has_room() && self.is_available(self.next) {
            self.walk(memory, chains)?;
        }
        Ok(())
    }

    #[inline]
    fn walk(&mut self, memory: &Memory, chains: &mut Chains) -> Result<(), Fault> {
        let mut chain = chains.begin();
        let mut place = self.next;
        for n in 1..=self.size {
            // SAFETY: a descriptor of the ring.
            let d = unsafe { raw::packed_desc(self.at(place.index)) };
            place.forward(1, self.size);
            if d.flags & INDIRECT != 0 {
                if !self.indirect || n > 1 || d.flags & NEXT != 0 {
                    return Err(Fault::Indirect(d.len));
                }
                self.table(&mut chain, memory, d, chains)?;
            } else {
                chains.add(&mut chain, memory, d)?;
            }
            if d.flags & NEXT == 0 {
                // The id of a chain is in its last descriptor (2.8.6).
                (chain.id, chain.descs) = (d.next, n);
                self.next = place;
                chains.end(chain);
                return Ok(());
            }
        }
        Err(Fault::LongChain)
    }

    /// Entries of an indirect table are in order, all of them, and of their flags only WRITE counts (2.8.7).
    fn table(
        &self,
        chain: &mut Chain,
        memory: &Memory,
        d: raw::Desc,
        chains: &mut Chains,
    ) -> Result<(), Fault> {
        let entries = (d.len / raw::DESC as u32) as usize;
        if !d.len.is_multiple_of(raw::DESC as u32) || entries == 0 {
            return Err(Fault::Indirect(d.len));
        }
        let at = memory.guest(d.addr, d.len.into()).ok_or(Fault::OutOfMemory(d.addr, d.len))?;
        for i in 0..entries {
            // SAFETY: an entry of a table that is mapped as a whole. `add` bounds their number.
            let entry = unsafe { raw::packed_desc(at.add(i * raw::DESC)) };
            chains.add(chain, memory, raw::Desc { flags: entry.flags & WRITE, ..entry })?;
        }
        Ok(())
    }

    pub(super) fn put_back(&mut self, chains: &[Chain]) {
        for chain in chains {
            self.next.back(chain.descs, self.size);
        }
    }

    #[inline]
    pub(super) fn used(&mut self, id: u16, descs: u16, written: u32) {
        let place = self.used;
        let mut flags = if place.wrap { AVAIL | USED } else { 0 };
        if written > 0 {
            flags |= WRITE;
        }
        // SAFETY: a descriptor of the ring, aligned to 16: its length, then its id.
        unsafe {
            raw::double(self.at(place.index), 8).store(written.to_le(), Relaxed);
            raw::word(self.at(place.index), 12).store(id.to_le(), Relaxed);
        }
        if self.hidden.is_none() {
            self.hidden = Some((place, flags));
        } else {
            self.flags(place.index).store(flags, Release);
        }
        self.log.mark(raw::DESC * usize::from(place.index), raw::DESC);
        self.used.forward(descs, self.size);
    }

    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let Some((old, flags)) = self.hidden.take() else { return false };
        self.note.set(self.used.pair(), old.pair());
        self.flags(old.index).store(flags, Release);
        self.note.set(self.used.pair(), self.used.pair());
        // The driver writes what it wants and looks at flags; we write flags and look at what it wants.
        fence(SeqCst);
        // SAFETY: the driver's area is mapped and aligned.
        let (event, wants) = unsafe { (raw::word(self.driver, 0), raw::word(self.driver, EVENT_FLAGS)) };
        match wants.load(Acquire) {
            ENABLE => true,
            DISABLE => false,
            AT_INDEX => {
                let event = Place::from_word(event.load(Relaxed));
                // Counted from the round in which we are now.
                let past = |place: Place| match place.wrap == self.used.wrap {
                    true => place.index,
                    false => place.index.wrapping_sub(self.size),
                };
                crossed(past(event), self.used.index, past(old))
            }
            // Reserved: to be on the safe side.
            _ => true,
        }
    }

    pub(super) fn notify_me(&mut self, on: bool) -> bool {
        // SAFETY: the device's area is mapped and aligned.
        unsafe { raw::word(self.device, EVENT_FLAGS) }.store(if on { ENABLE } else { DISABLE }, Relaxed);
        fence(SeqCst);
        self.is_available(self.next)
    }

    pub(super) fn base(&self) -> u32 {
        u32::from(self.next.word()) | u32::from(self.used.word()) << 16
    }
}

/// Where the ring and the two event areas are. Virtio 1.2, 2.8.
fn areas(setup: RingSetup, memory: &Memory) -> Result<[NonNull<u8>; 3], Fault> {
    let area = |what, addr, len, align| super::area(memory, what, addr, len, align);
    Ok([
        area("descriptor ring", setup.desc, 16 * u64::from(setup.size), 16)?,
        area("driver event area", setup.avail, 4, 4)?,
        area("device event area", setup.used, 4, 4)?,
    ])
}
