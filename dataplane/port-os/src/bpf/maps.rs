//! Maps that programs and we use together.
//!
//! Thread-safety: all may be shared by threads; the kernel and atomics see to that. Errors are what the
//! kernel says.

use super::{Attr, Insn, MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MapType, bpf, owned, pair};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

const MAP_DELETE_ELEM: i32 = 3;
const MAP_LOOKUP_BATCH: i32 = 24;
// BPF_F_*
const NO_PREALLOC: u32 = 1;
const MMAPABLE: u32 = 1 << 10;

/// Entries that are read by one system call.
const BATCH: usize = 4096;

/// A map of `entries` entries; key and value sizes in bytes. `inner`: what a map of maps holds is like this.
fn create(
    kind: MapType,
    [key, value, entries]: [u32; 3],
    flags: u32,
    inner: Option<&OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut attr = [0; 18];
    attr[0] = pair(kind as u32, key);
    attr[1] = pair(value, entries);
    attr[2] = pair(flags, inner.map_or(0, |fd| fd.as_raw_fd() as u32));
    bpf(MAP_CREATE, &mut attr).map(owned)
}

fn element<K, V>(map: &OwnedFd, key: &K, value: *const V) -> Attr {
    let mut attr = [0; 18];
    attr[0] = map.as_raw_fd() as u64;
    attr[1] = std::ptr::from_ref(key).expose_provenance() as u64;
    attr[2] = value.expose_provenance() as u64;
    attr
}

/// Number -> number.
#[derive(Debug)]
pub struct HashMap(OwnedFd);

impl HashMap {
    /// For so many entries, memory for which is taken as they come.
    ///
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new(entries: u32) -> io::Result<Self> {
        create(MapType::Hash, [8, 8, entries], NO_PREALLOC, None).map(Self)
    }

    /// Adds an entry or replaces it.
    ///
    /// # Errors
    /// E2BIG when the map is full.
    pub fn insert(&self, key: u64, value: u64) -> io::Result<()> {
        bpf(MAP_UPDATE_ELEM, &mut element(&self.0, &key, &raw const value)).map(drop)
    }

    /// Takes an entry out; one that is not there is none.
    pub fn remove(&self, key: u64) {
        let _ = bpf(MAP_DELETE_ELEM, &mut element(&self.0, &key, std::ptr::null::<u64>()));
    }

    /// All entries, each as it was at some moment. Linux 5.6.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn entries(&self) -> io::Result<Vec<(u64, u64)>> {
        let (mut keys, mut values) = (vec![0_u64; BATCH], vec![0_u64; BATCH]);
        let (mut position, mut begun, mut all) = (0_u32, false, Vec::new());
        loop {
            let mut attr = [0; 18];
            if begun {
                attr[0] = (&raw const position).expose_provenance() as u64;
            }
            attr[1] = (&raw mut position).expose_provenance() as u64;
            attr[2] = keys.as_mut_ptr().expose_provenance() as u64;
            attr[3] = values.as_mut_ptr().expose_provenance() as u64;
            attr[4] = pair(BATCH as u32, self.0.as_raw_fd() as u32);
            let read = bpf(MAP_LOOKUP_BATCH, &mut attr);
            if let Err(e) = &read
                && e.raw_os_error() != Some(libc::ENOENT)
            {
                return Err(read.unwrap_err());
            }
            let count = attr[4] as u32 as usize;
            all.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
            if read.is_err() {
                return Ok(all); // ENOENT: that was the last
            }
            begun = true;
        }
    }
}

/// Rows of `N` counters, a row for each CPU.
#[derive(Debug)]
pub struct PerCpu<const N: usize> {
    map: OwnedFd,
    cpus: usize,
}

impl<const N: usize> PerCpu<N> {
    /// So many rows.
    ///
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new(rows: u32) -> io::Result<Self> {
        let map = create(MapType::PerCpuArray, [4, 8 * N as u32, rows], 0, None)?;
        Ok(Self { map, cpus: possible_cpus()? })
    }

    /// A row, summed over the CPUs.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sum(&self, row: u32) -> io::Result<[u64; N]> {
        let mut each = vec![[0_u64; N]; self.cpus];
        bpf(MAP_LOOKUP_ELEM, &mut element(&self.map, &row, each.as_mut_ptr()))?;
        Ok(std::array::from_fn(|i| each.iter().map(|row| row[i]).sum()))
    }

    /// Sets a row to zero.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn clear(&self, row: u32) -> io::Result<()> {
        let zero = vec![[0_u64; N]; self.cpus];
        bpf(MAP_UPDATE_ELEM, &mut element(&self.map, &row, zero.as_ptr())).map(drop)
    }
}

/// CPUs that the kernel has room for: per-CPU values have one for each.
fn possible_cpus() -> io::Result<usize> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = list.trim().rsplit([',', '-']).next().and_then(|n| n.parse::<usize>().ok());
    last.map(|n| n + 1).ok_or_else(|| io::Error::other("the kernel's list of CPUs makes no sense"))
}

/// Number -> interface to redirect to.
#[derive(Debug)]
pub struct DevMap(OwnedFd);

impl DevMap {
    /// Numbers below `entries`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new(entries: u32) -> io::Result<Self> {
        create(MapType::DevMap, [4, 4, entries], 0, None).map(Self)
    }

    /// # Errors
    /// EINVAL when the calling thread's network namespace has no such interface.
    pub fn set(&self, number: u32, ifindex: u32) -> io::Result<()> {
        bpf(MAP_UPDATE_ELEM, &mut element(&self.0, &number, &raw const ifindex)).map(drop)
    }

    pub fn remove(&self, number: u32) {
        let _ = bpf(MAP_DELETE_ELEM, &mut element(&self.0, &number, std::ptr::null::<u32>()));
    }
}

/// Queue number -> AF_XDP socket.
#[derive(Debug)]
pub struct XskMap(OwnedFd);

impl XskMap {
    /// For so many queues.
    ///
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new(queues: u32) -> io::Result<Self> {
        create(MapType::XskMap, [4, 4, queues], 0, None).map(Self)
    }

    /// # Errors
    /// What the kernel says, e.g. E2BIG for a queue behind the map's end.
    pub fn set(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        let socket = socket.as_raw_fd();
        bpf(MAP_UPDATE_ELEM, &mut element(&self.0, &queue, &raw const socket)).map(drop)
    }
}

/// Numbers that we and programs read and write in the same memory (Linux 5.5).
#[derive(Debug)]
pub struct Shared {
    map: OwnedFd,
    memory: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: what is behind the pointer are atomics, mapped until this is dropped.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// So many, all 0.
    ///
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new(len: usize) -> io::Result<Self> {
        let map = create(MapType::Array, [4, 8 * len as u32, 1], MMAPABLE, None)?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping somewhere; the map is as large, rounded up to pages.
        let memory = unsafe { mmap(std::ptr::null_mut(), 8 * len, rights, MapFlags::SHARED, &map, 0)? };
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { map, memory, len })
    }

    pub fn cells(&self) -> &[AtomicU64] {
        // SAFETY: mapped with this length until drop; zero is a value of atomics, and the kernel's
        // programs write whole aligned words.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }

    /// `dst = &cells`, in two slots.
    pub(super) fn address(&self, dst: u8) -> [Insn; 2] {
        const PSEUDO_MAP_VALUE: u8 = 2;
        [Insn::new(0x18, dst, PSEUDO_MAP_VALUE, 0, self.map.as_raw_fd()), Insn::new(0, 0, 0, 0, 0)]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; `cells` borrows from self.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), 8 * self.len) };
    }
}

/// Waits until no program runs any more that began before.
#[derive(Debug)]
pub struct Grace {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Grace {
    /// # Errors
    /// EPERM without CAP_BPF (or CAP_SYS_ADMIN).
    pub fn new() -> io::Result<Self> {
        let inner = create(MapType::Array, [4, 8, 1], 0, None)?;
        Ok(Self { outer: create(MapType::ArrayOfMaps, [4, 4, 1], 0, Some(&inner))?, inner })
    }

    /// Writing into a map of maps ends with `synchronize_rcu` (`kernel/bpf/syscall.c`,
    /// `maybe_wait_bpf_programs`; since Linux 4.19): milliseconds.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self) -> io::Result<()> {
        let inner = self.inner.as_raw_fd();
        bpf(MAP_UPDATE_ELEM, &mut element(&self.outer, &0_u32, &raw const inner)).map(drop)
    }
}

/// A map that a program's instructions can name.
pub trait Named {
    /// `dst = map`, in two slots.
    fn reference(&self, dst: u8) -> [Insn; 2];
}

fn reference(map: i32, dst: u8) -> [Insn; 2] {
    const PSEUDO_MAP_FD: u8 = 1;
    [Insn::new(0x18, dst, PSEUDO_MAP_FD, 0, map), Insn::new(0, 0, 0, 0, 0)]
}

impl Named for HashMap {
    fn reference(&self, dst: u8) -> [Insn; 2] {
        reference(self.0.as_raw_fd(), dst)
    }
}
impl<const N: usize> Named for PerCpu<N> {
    fn reference(&self, dst: u8) -> [Insn; 2] {
        reference(self.map.as_raw_fd(), dst)
    }
}
impl Named for DevMap {
    fn reference(&self, dst: u8) -> [Insn; 2] {
        reference(self.0.as_raw_fd(), dst)
    }
}
impl Named for XskMap {
    fn reference(&self, dst: u8) -> [Insn; 2] {
        reference(self.0.as_raw_fd(), dst)
    }
}
