//! A guest's driver, slow and obvious: one region of memory, one pair of vrings, split or packed. It keeps no
//! state that it could not read from the rings, and checks what the device must hold to.
#![cfg_attr(fuzzing, allow(dead_code))] // fuzzing needs less of it

use crate::features::Terms;
use crate::mapping::Mapping;
use crate::memory::{Memory, RegionSpec};
use crate::ring::{F_EVENT_IDX, F_RING_PACKED};
use crate::shared::{RingSetup, Shared};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) const BASE: u64 = 0x10_0000;
pub(crate) const USER: u64 = 0x7000_0000;
pub(crate) const SIZE: usize = 4 << 20;
/// Where buffers may be; rings and tables are in front.
pub(crate) const BUFFERS: u64 = BASE + 0x4_0000;

pub(crate) fn memfd(len: u64) -> OwnedFd {
    let fd = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&fd, len).unwrap();
    fd
}

/// One ring of the guest's.
pub(crate) struct Queue {
    memory: *mut u8,
    /// Offsets of its areas in the memory.
    desc: usize,
    avail: usize,
    used: usize,
    pub(crate) size: u16,
    packed: bool,
    event_idx: bool,
    /// Split: indices. Packed: place and round, by place.
    next: u16,
    wrap: bool,
    seen: u16,
    seen_wrap: bool,
    /// Free descriptors (split), or chains by id (packed): how many descriptors.
    free: VecDeque<u16>,
    chains: Vec<Vec<u16>>,
    pub(crate) call: OwnedFd,
    pub(crate) kick: OwnedFd,
}

/// A buffer: guest address, bytes, whether the device writes it.
pub(crate) type Buffer = (u64, u32, bool);

impl Queue {
    fn at<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= SIZE);
        // SAFETY: inside the mapping.
        unsafe { self.memory.add(offset).cast::<T>().read_unaligned() }
    }
    fn put<T>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= SIZE);
        // SAFETY: inside the mapping.
        unsafe { self.memory.add(offset).cast::<T>().write_unaligned(value) }
    }
    fn word(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: inside the mapping, and aligned: offsets are even.
        unsafe { &*self.memory.add(offset).cast::<AtomicU16>() }
    }

    pub(crate) fn setup(&self, base: u32) -> RingSetup {
        let user = |offset: usize| USER + offset as u64;
        RingSetup {
            size: self.size.into(),
            desc: user(self.desc),
            avail: user(self.avail),
            used: user(self.used),
            log: Some(BASE + self.used as u64),
            base,
        }
    }

    fn desc(&self, table: usize, i: u16, (addr, len, write): Buffer, flags: u16, next: u16) {
        let at = table + 16 * usize::from(i);
        let flags = flags | if write { 2 } else { 0 };
        self.put(at, addr);
        self.put(at + 8, len);
        let (a, b) = if self.packed { (next, flags) } else { (flags, next) };
        self.put(at + 12, a);
        self.word(at + 14).store(b, Ordering::Release);
    }

    /// Makes a chain available; the name by which it comes back. `indirect`: in a table there (an offset).
    pub(crate) fn add(&mut self, buffers: &[Buffer], indirect: Option<usize>) -> u16 {
        if let Some(table) = indirect {
            for (i, b) in buffers.iter().enumerate() {
                let last = i + 1 == buffers.len();
                let (flags, next) = if self.packed || last { (0, 0) } else { (1, i as u16 + 1) };
                self.desc(table, i as u16, *b, flags, next);
            }
            return self.publish(&[(BASE + table as u64, 16 * buffers.len() as u32, false)], 4);
        }
        self.publish(buffers, 0)
    }

    /// Makes a chain available that is said to be a table of so many entries, and is not written.
    pub(crate) fn add_indirect(&mut self, table: usize, entries: u32) {
        self.publish(&[(BASE + table as u64, 16 * entries, false)], 4);
    }

    fn publish(&mut self, buffers: &[Buffer], flags: u16) -> u16 {
        let n = buffers.len();
        if self.packed {
            let id = self.free.pop_front().expect("a free id");
            let first = (self.next, self.wrap);
            let mut last_flags = 0;
            for (i, b) in buffers.iter().enumerate().rev() {
                let place = first.0 + i as u16;
                let (index, wrap) =
                    if place >= self.size { (place - self.size, !first.1) } else { (place, first.1) };
                let bits = if wrap { 1 << 7 } else { 1 << 15 };
                let more = u16::from(i + 1 < n);
                last_flags = bits | more | flags;
                self.desc(self.desc, index, *b, last_flags, id);
            }
            let _ = last_flags;
            self.chains[usize::from(id)] = vec![0; n];
            self.next += n as u16;
            if self.next >= self.size {
                (self.next, self.wrap) = (self.next - self.size, !self.wrap);
            }
            return id;
        }
        let ids: Vec<u16> = (0..n).map(|_| self.free.pop_front().expect("a free descriptor")).collect();
        for (i, b) in buffers.iter().enumerate() {
            let next = ids.get(i + 1).copied();
            self.desc(self.desc, ids[i], *b, flags | u16::from(next.is_some()), next.unwrap_or(0));
        }
        self.offer(ids[0]);
        let head = ids[0];
        self.chains[usize::from(head)] = ids;
        head
    }

    /// Split: an entry of the available ring, whatever it says.
    pub(crate) fn offer(&mut self, head: u16) {
        self.put(self.avail + 4 + 2 * usize::from(self.next % self.size), head);
        self.next = self.next.wrapping_add(1);
        self.word(self.avail + 2).store(self.next, Ordering::Release);
    }

    /// Chains that came back: name and bytes written.
    pub(crate) fn used(&mut self) -> Vec<(u16, u32)> {
        let mut all = Vec::new();
        loop {
            let (id, len) = if self.packed {
                let at = self.desc + 16 * usize::from(self.seen);
                let flags = self.word(at + 14).load(Ordering::Acquire);
                let (avail, used) = (flags & 1 << 7 != 0, flags & 1 << 15 != 0);
                if avail != self.seen_wrap || used != self.seen_wrap {
                    break;
                }
                (self.at::<u16>(at + 12), self.at::<u32>(at + 8))
            } else {
                if self.word(self.used + 2).load(Ordering::Acquire) == self.seen {
                    break;
                }
                let at = self.used + 4 + 8 * usize::from(self.seen % self.size);
                (self.at::<u32>(at) as u16, self.at::<u32>(at + 4))
            };
            let chain = std::mem::take(&mut self.chains[usize::from(id)]);
            assert!(!chain.is_empty(), "chain {id} came back, and was not with the device");
            if self.packed {
                self.free.push_back(id);
                self.seen += chain.len() as u16;
                if self.seen >= self.size {
                    (self.seen, self.seen_wrap) = (self.seen - self.size, !self.seen_wrap);
                }
            } else {
                self.free.extend(chain);
                self.seen = self.seen.wrapping_add(1);
            }
            all.push((id, len));
        }
        all
    }

    /// Asks to be notified of the next used chain, or not at all.
    pub(crate) fn want_call(&self, want: bool) {
        if self.packed {
            self.put(self.avail, self.seen | u16::from(self.seen_wrap) << 15);
            self.put::<u16>(self.avail + 2, if want { 2 } else { 1 });
        } else if self.event_idx {
            let event = if want { self.seen } else { self.seen.wrapping_sub(1) };
            self.put(self.avail + 4 + 2 * usize::from(self.size), event);
        } else {
            self.put::<u16>(self.avail, u16::from(!want));
        }
    }

    /// Whether the device wants to be notified of what was just made available.
    pub(crate) fn wants_kick(&self) -> bool {
        if self.packed {
            return self.at::<u16>(self.used + 2) == 0;
        }
        if self.event_idx {
            return self.at::<u16>(self.used + 4 + 8 * usize::from(self.size)) == self.next.wrapping_sub(1);
        }
        self.at::<u16>(self.used) & 1 == 0
    }

    /// How often the guest was called since last asked.
    pub(crate) fn calls(&self) -> u64 {
        let mut count = [0; 8];
        rustix::io::read(&self.call, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
    }
}

/// A guest with one pair of rings.
pub(crate) struct Guest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) file: OwnedFd,
    _mapping: Mapping,
    memory: *mut u8,
    pub(crate) features: u64,
    /// What it receives by, and sends by.
    pub(crate) rx: Queue,
    pub(crate) tx: Queue,
    /// The indirect table that was used last.
    tables: usize,
}

impl Guest {
    /// Connected and running, with rings of `size`.
    pub(crate) fn new(features: u64, size: u16) -> Self {
        let file = memfd(SIZE as u64);
        let mapping = Mapping::new(&file, SIZE).unwrap();
        let memory = mapping.at(0).as_ptr();
        let queue = |at: usize| Queue {
            memory,
            desc: at,
            avail: at + 0x8000,
            used: at + 0xa000,
            size,
            packed: features & F_RING_PACKED != 0,
            event_idx: features & F_EVENT_IDX != 0,
            next: 0,
            wrap: true,
            seen: 0,
            seen_wrap: true,
            free: (0..size).collect(),
            chains: vec![Vec::new(); size.into()],
            call: eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
            kick: eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
        };
        let (rx, tx) = (queue(0x1000), queue(0x2_0000));
        let guest = Self {
            shared: Shared::new(1).unwrap(),
            file,
            _mapping: mapping,
            memory,
            features,
            rx,
            tx,
            tables: 0,
        };
        guest.shared.set_features(features);
        guest.shared.set_memory(guest.table()).unwrap();
        guest.start(Self::fresh(features));
        guest
    }

    /// Where rings begin.
    pub(crate) fn fresh(features: u64) -> u32 {
        if features & F_RING_PACKED != 0 { 0x8000_8000 } else { 0 }
    }

    /// All of its memory, in two regions: buffers across the border are in two pieces.
    pub(crate) fn table(&self) -> Arc<Memory> {
        let half = SIZE as u64 / 2;
        let region = |offset| {
            let spec = RegionSpec { guest: BASE + offset, size: half, user: USER + offset, offset };
            (spec, self.file.try_clone().unwrap())
        };
        Arc::new(Memory::new([region(half), region(0)]).unwrap())
    }

    pub(crate) fn start(&self, base: u32) {
        for (ring, queue) in [(0, &self.rx), (1, &self.tx)] {
            let clone = |fd: &OwnedFd| Some(fd.try_clone().unwrap());
            self.shared.set_call(ring, clone(&queue.call)).unwrap();
            self.shared.start(ring, queue.setup(base), clone(&queue.kick)).unwrap();
            self.shared.enable(ring, true);
            queue.calls();
        }
    }

    pub(crate) fn header_len(&self) -> usize {
        Terms { features: self.features }.header_len()
    }

    pub(crate) fn write(&self, addr: u64, bytes: &[u8]) {
        let offset = (addr - BASE) as usize;
        assert!(offset + bytes.len() <= SIZE);
        // SAFETY: inside the mapping.
        unsafe { bytes.as_ptr().copy_to(self.memory.add(offset), bytes.len()) };
    }

    pub(crate) fn read(&self, addr: u64, len: usize) -> Vec<u8> {
        let offset = (addr - BASE) as usize;
        assert!(offset + len <= SIZE);
        // SAFETY: inside the mapping.
        unsafe { std::slice::from_raw_parts(self.memory.add(offset), len).to_vec() }
    }

    /// Sends a header and a frame, in one piece each of `cut` bytes, from `addr` on. Where they end.
    pub(crate) fn send(&mut self, header: &[u8], frame: &[u8], addr: u64, cut: usize, indirect: bool) -> u64 {
        let whole = [header, frame].concat();
        self.write(addr, &whole);
        let pieces: Vec<Buffer> = (0..whole.len())
            .step_by(cut)
            .map(|at| (addr + at as u64, cut.min(whole.len() - at) as u32, false))
            .collect();
        self.tables = (self.tables + 1) % 16;
        self.tx.add(&pieces, indirect.then_some(0x3_0000 + 0x1000 * self.tables));
        addr + whole.len() as u64
    }
}
