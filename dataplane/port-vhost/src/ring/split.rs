//! The split layout: descriptor table, available ring (the driver writes), used ring (the device writes).
//! Virtio 1.2, 2.7.
//!
//! Chains are used in the order in which they came. So the used index alone tells where a ring goes on, also
//! after this process was killed in the middle: what was taken and not used is taken again.

use super::{Chains, F_EVENT_IDX, F_INDIRECT_DESC, INDIRECT, MOST, NEXT, crossed, raw};
use crate::fault::Fault;
use crate::log::UsedLog;
use crate::memory::Memory;
use crate::shared::RingSetup;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

/// `VRING_AVAIL_F_NO_INTERRUPT`, `VRING_USED_F_NO_NOTIFY`.
const QUIET: u16 = 1;
/// In either ring: flags, then the index, then the entries.
const FLAGS: usize = 0;
const INDEX: usize = 2;
const ENTRIES: usize = 4;
/// Bytes of an entry of the used ring: id and length.
const USED: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Split {
    desc: NonNull<u8>,
    avail: NonNull<u8>,
    used: NonNull<u8>,
    size: u16,
    /// Next entry of the available ring.
    next: u16,
    /// Next entry of the used ring, and how far the driver knows.
    used_next: u16,
    published: u16,
    event_idx: bool,
    indirect: bool,
    log: UsedLog,
}

// SAFETY: addresses in a guest's memory, which is the same for all threads; one user at a time.
unsafe impl Send for Split {}

impl Split {
    pub(super) fn new(setup: RingSetup, features: u64, memory: &Memory, log: UsedLog) -> Result<Self, Fault> {
        if !setup.size.is_power_of_two() || setup.size > 1 << 15 {
            return Err(Fault::RingSize(setup.size));
        }
        let [desc, avail, used] = areas(setup, memory)?;
        // SAFETY: the used ring is mapped and aligned.
        let at = unsafe { raw::word(used, INDEX) }.load(Acquire);
        Ok(Self {
            desc,
            avail,
            used,
            size: setup.size as u16,
            next: at,
            used_next: at,
            published: at,
            event_idx: features & F_EVENT_IDX != 0,
            indirect: features & F_INDIRECT_DESC != 0,
            log,
        })
    }

    pub(super) fn relocate(&mut self, setup: RingSetup, memory: &Memory) -> Result<(), Fault> {
        [self.desc, self.avail, self.used] = areas(setup, memory)?;
        Ok(())
    }

    pub(super) fn set_log(&mut self, log: UsedLog) {
        self.log = log;
    }

    #[inline]
    pub(super) fn take(&mut self, most: usize, memory: &Memory, chains: &mut Chains) -> Result<(), Fault> {
        // SAFETY: the available ring is mapped and aligned.
        let avail = unsafe { raw::word(self.avail, INDEX) }.load(Acquire);
        let waiting = avail.wrapping_sub(self.next);
        if waiting == 0 {
            return Ok(());
        }
        if waiting > self.size {
            return Err(Fault::TooManyAvailable(waiting, self.size));
        }
        let n = usize::from(waiting).min(most);
        let mut heads = [0; MOST];
        for (i, head) in heads[..n].iter_mut().enumerate() {
            let slot = usize::from(self.next.wrapping_add(i as u16) & (self.size - 1));
            // SAFETY: an entry of the available ring.
            *head = unsafe { raw::word(self.avail, ENTRIES + 2 * slot) }.load(Relaxed);
            if *head >= self.size {
                return Err(Fault::NoSuchDescriptor((*head).into(), self.size.into()));
            }
            // SAFETY: inside the descriptor table.
            raw::prefetch(unsafe { self.desc.add(raw::DESC * usize::from(*head)) });
        }
        for &head in &heads[..n] {
            if !chains.has_room() {
                break;
            }
            self.walk(head, memory, chains)?;
            self.next = self.next.wrapping_add(1);
        }
        Ok(())
    }

    #[inline]
    fn walk(&self, head: u16, memory: &Memory, chains: &mut Chains) -> Result<(), Fault> {
        let mut chain = chains.begin();
        (chain.id, chain.descs) = (head, 1);
        let mut i = head;
        for _ in 0..self.size {
            // SAFETY: `i` is less than the size: a descriptor of the table.
            let d = unsafe { raw::desc(self.desc.add(raw::DESC * usize::from(i))) };
            if d.flags & INDIRECT != 0 {
                if !self.indirect || d.flags & NEXT != 0 {
                    return Err(Fault::Indirect(d.len));
                }
                let next = |_: usize, d: &raw::Desc| (d.flags & NEXT != 0).then_some(usize::from(d.next));
                chains.add_table(&mut chain, memory, d, next)?;
                chains.end(chain);
                return Ok(());
            }
            chains.add(&mut chain, memory, d)?;
            if d.flags & NEXT == 0 {
                chains.end(chain);
                return Ok(());
            }
            i = d.next;
            if i >= self.size {
                return Err(Fault::NoSuchDescriptor(i.into(), self.size.into()));
            }
        }
        Err(Fault::LongChain)
    }

    pub(super) fn put_back(&mut self, chains: &[super::Chain]) {
        self.next = self.next.wrapping_sub(chains.len() as u16);
    }

    #[inline]
    pub(super) fn used(&mut self, id: u16, written: u32) {
        let offset = ENTRIES + USED * usize::from(self.used_next & (self.size - 1));
        // SAFETY: an entry of the used ring, aligned to four bytes.
        unsafe {
            raw::double(self.used, offset).store(u32::from(id).to_le(), Relaxed);
            raw::double(self.used, offset + 4).store(written.to_le(), Relaxed);
        }
        self.log.mark(offset, USED);
        self.used_next = self.used_next.wrapping_add(1);
    }

    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        if self.used_next == self.published {
            return false;
        }
        let old = std::mem::replace(&mut self.published, self.used_next);
        // SAFETY: both rings are mapped and aligned.
        let (index, flags) = unsafe { (raw::word(self.used, INDEX), raw::word(self.avail, FLAGS)) };
        index.store(self.used_next, Release);
        self.log.mark(INDEX, 2);
        // The driver writes what it wants and looks at the index; we write the index and look at what it wants.
        fence(SeqCst);
        if !self.event_idx {
            return flags.load(Relaxed) & QUIET == 0;
        }
        // SAFETY: `used_event` is behind the entries of the available ring.
        let event = unsafe { raw::word(self.avail, ENTRIES + 2 * usize::from(self.size)) }.load(Relaxed);
        crossed(event, self.used_next, old)
    }

    pub(super) fn notify_me(&mut self, on: bool) -> bool {
        // SAFETY: both rings are mapped and aligned; `avail_event` is behind the entries of the used ring.
        let (flags, event, index) = unsafe {
            (
                raw::word(self.used, FLAGS),
                raw::word(self.used, ENTRIES + USED * usize::from(self.size)),
                raw::word(self.avail, INDEX),
            )
        };
        match (self.event_idx, on) {
            (false, _) => flags.store(if on { 0 } else { QUIET }, Relaxed),
            (true, true) => event.store(self.next, Relaxed),
            // An index that was passed is not passed again soon.
            (true, false) => {}
        }
        fence(SeqCst);
        index.load(Acquire) != self.next
    }

    pub(super) fn base(&self) -> u32 {
        self.next.into()
    }
}

/// Where the three areas are. Virtio 1.2, 2.7.
fn areas(setup: RingSetup, memory: &Memory) -> Result<[NonNull<u8>; 3], Fault> {
    let n = u64::from(setup.size);
    let area = |what, addr, len, align| super::area(memory, what, addr, len, align);
    Ok([
        area("descriptor table", setup.desc, 16 * n, 16)?,
        area("available ring", setup.avail, 6 + 2 * n, 2)?,
        area("used ring", setup.used, 6 + 8 * n, 4)?,
    ])
}
