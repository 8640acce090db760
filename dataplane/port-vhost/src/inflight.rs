//! The region in which a back end notes what is in flight, so that its successor can go on after it was killed.
//! Vhost-user protocol, "Inflight I/O tracking".
//!
//! We use chains in the order in which they were made available. So all that is in flight is what lies between
//! the last used one and the last available one, untouched, and there is one thing to note: how far the driver
//! was shown used chains. A split ring says so itself (`used.idx`). For a packed ring it is here: the place after
//! a batch is noted before the batch is shown, the same as `old` afterwards. Who finds the two different looks at
//! the ring whether the batch was shown.
//!
//! The states of single descriptors, which the protocol has for back ends that use them out of order, stay zero.
//!
//! Thread-safety: each ring's part is written by whoever has the ring.

use crate::fault::Fault;
use crate::mapping::Mapping;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32};

/// `struct QueueRegionPacked` without its descriptors: features (8 bytes), then words.
const VERSION: usize = 8;
const DESC_NUM: usize = 10;
/// `used_idx` and `old_used_idx`, then their wrap counters, a byte each.
const INDICES: usize = 16;
const WRAPS: usize = 20;
const HEADER: usize = 32;
/// `struct DescStatePacked`; that of a split ring is shorter.
const STATE: usize = 32;
/// Most rings of one region, so that its size stays reasonable.
const MOST_RINGS: u16 = 1024;

/// Bytes for one ring of so many descriptors.
fn stride(size: u16) -> usize {
    (HEADER + STATE * usize::from(size)).next_multiple_of(64)
}

/// All rings' parts, mapped.
#[derive(Debug)]
pub(crate) struct InFlight {
    mapping: Mapping,
    offset: usize,
    rings: u16,
    size: u16,
}

impl InFlight {
    /// A fresh region: its file and its bytes.
    ///
    /// # Errors
    /// When the numbers make no sense, or the kernel gives no memory.
    pub(crate) fn create(rings: u16, size: u16) -> Result<(OwnedFd, u64), Fault> {
        let len = Self::len(rings, size)? as u64;
        let file = rustix::fs::memfd_create("vsw-inflight", rustix::fs::MemfdFlags::CLOEXEC);
        let file = file.map_err(|_| Fault::InFlight("the kernel gives no memory"))?;
        rustix::fs::ftruncate(&file, len).map_err(|_| Fault::InFlight("the kernel gives no memory"))?;
        Ok((file, len))
    }

    fn len(rings: u16, size: u16) -> Result<usize, Fault> {
        if rings == 0 || size == 0 || rings > MOST_RINGS || size > 1 << 15 {
            return Err(Fault::InFlight("it is asked for rings that cannot be"));
        }
        Ok(stride(size) * usize::from(rings))
    }

    /// The region at `offset` of the file.
    ///
    /// # Errors
    /// When it is too small, or cannot be mapped.
    pub(crate) fn map(file: &OwnedFd, offset: u64, len: u64, rings: u16, size: u16) -> Result<Self, Fault> {
        let need = Self::len(rings, size)? as u64;
        let end = offset.checked_add(need).filter(|_| offset.is_multiple_of(8) && len >= need);
        let end = end.ok_or(Fault::InFlight("it is too small for its rings"))?;
        let stat = rustix::fs::fstat(file).map_err(|_| Fault::InFlight("its file cannot be looked at"))?;
        if (stat.st_size as u64) < end {
            return Err(Fault::InFlight("its file is too small"));
        }
        let mapping = Mapping::new(file, end as usize);
        let mapping = mapping.map_err(|_| Fault::InFlight("it cannot be mapped"))?;
        Ok(Self { mapping, offset: offset as usize, rings, size })
    }
}

/// One ring's part. None: nobody wants it noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note(Option<(Arc<InFlight>, usize)>);

impl Note {
    /// Of the ring with this number and size.
    pub(crate) fn new(region: Option<&Arc<InFlight>>, ring: usize, size: u32) -> Self {
        let fits = |r: &&Arc<InFlight>| ring < r.rings.into() && size == r.size.into();
        Self(region.filter(fits).map(|r| (r.clone(), r.offset + ring * stride(r.size))))
    }

    fn word<T>(&self, offset: usize) -> Option<&T> {
        let (region, at) = self.0.as_ref()?;
        // SAFETY: in the header of a ring's part, which is mapped, and aligned to 8.
        Some(unsafe { region.mapping.at(at + offset).cast::<T>().as_ref() })
    }

    /// Where a predecessor was: (place before its last batch, place after it), each index and wrap counter.
    /// `None` if there was none.
    pub(crate) fn places(&self) -> Option<[(u16, bool); 2]> {
        if self.word::<AtomicU16>(DESC_NUM)?.load(Relaxed) == 0 {
            return None;
        }
        let indices = self.word::<AtomicU32>(INDICES)?.load(Relaxed);
        let wraps = self.word::<AtomicU16>(WRAPS)?.load(Relaxed);
        let place = |i: usize| ((indices >> (16 * i)) as u16, wraps >> (8 * i) & 1 != 0);
        Some([place(1), place(0)])
    }

    /// Before a batch is shown: where the ring is after it, and where it was before.
    #[inline]
    pub(crate) fn set(&self, after: (u16, bool), before: (u16, bool)) {
        let Some((region, _)) = &self.0 else { return };
        if let (Some(version), Some(number), Some(indices), Some(wraps)) = (
            self.word::<AtomicU16>(VERSION),
            self.word::<AtomicU16>(DESC_NUM),
            self.word::<AtomicU32>(INDICES),
            self.word::<AtomicU16>(WRAPS),
        ) {
            wraps.store(u16::from(after.1) | u16::from(before.1) << 8, Release);
            indices.store(u32::from(after.0) | u32::from(before.0) << 16, Release);
            version.store(1, Relaxed);
            number.store(region.size, Release);
        }
    }
}
