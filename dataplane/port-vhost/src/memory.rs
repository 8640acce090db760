//! A guest's memory, as it is mapped here.
//!
//! A front end hands over files, and says which piece of each is at which guest address, and at which address
//! of its own. Rings are told by the front end's addresses, buffers in descriptors by the guest's. Tables are
//! immutable: a changed one is a new one that shares the mappings that stay.
//!
//! What is in the memory is the guest's, and changes at any moment: nothing here makes a reference to it, only
//! addresses whose range was checked. Files are measured when they are mapped; a front end that truncates one
//! afterwards ends this process with SIGBUS (docs/adr/0007-vhost-user-of-our-own.md).
//!
//! Thread-safety: immutable, shared by `Arc`. Mappings end with the last table (or loan) that has them.

use crate::fault::Fault;
use crate::mapping::Mapping;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

/// Most regions: `VHOST_USER_MAX_RAM_SLOTS` of QEMU.
pub(crate) const MAX_REGIONS: usize = 512;

/// A piece of guest memory, as a message describes it. Vhost-user protocol, "Memory region description".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegionSpec {
    /// Guest address.
    pub(crate) guest: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// The front end's address.
    pub(crate) user: u64,
    /// Where in the file it begins, in bytes.
    pub(crate) offset: u64,
}

#[derive(Clone, Debug)]
struct Region {
    spec: RegionSpec,
    /// Where its first byte is here.
    at: NonNull<u8>,
    _mapping: Arc<Mapping>,
}

// SAFETY: as for `Mapping`.
unsafe impl Send for Region {}
// SAFETY: as for `Mapping`.
unsafe impl Sync for Region {}

/// All of a guest's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// By guest address.
    regions: Vec<Region>,
}

impl Memory {
    /// A table of these regions and files.
    ///
    /// # Errors
    /// What is wrong with the first bad region.
    pub(crate) fn new(regions: impl IntoIterator<Item = (RegionSpec, OwnedFd)>) -> Result<Self, Fault> {
        regions.into_iter().try_fold(Self::default(), |table, (spec, file)| table.with(spec, file))
    }

    /// This table and one region more.
    ///
    /// # Errors
    /// When the region is empty, overlaps another, or cannot be mapped.
    pub(crate) fn with(&self, spec: RegionSpec, file: OwnedFd) -> Result<Self, Fault> {
        if self.regions.len() >= MAX_REGIONS {
            return Err(Fault::TooManyRegions(MAX_REGIONS));
        }
        let fits = |base: u64| base.checked_add(spec.size).is_some();
        if spec.size == 0 || !fits(spec.guest) || !fits(spec.user) || !fits(spec.offset) {
            return Err(Fault::RegionBounds(spec.guest, spec.size));
        }
        let apart = |a: u64, b: u64, other: u64| a + spec.size <= b || b + other <= a;
        for r in &self.regions {
            if !apart(spec.guest, r.spec.guest, r.spec.size) {
                return Err(Fault::RegionOverlap(spec.guest));
            }
            if !apart(spec.user, r.spec.user, r.spec.size) {
                return Err(Fault::RegionOverlap(spec.user));
            }
        }
        let region = map(spec, &file)?;
        let mut regions = self.regions.clone();
        let at = regions.partition_point(|r| r.spec.guest < spec.guest);
        regions.insert(at, region);
        Ok(Self { regions })
    }

    /// This table without a region.
    ///
    /// # Errors
    /// When there is none like it. The offset does not count: it is the file's, and there is none.
    pub(crate) fn without(&self, spec: RegionSpec) -> Result<Self, Fault> {
        let same =
            |r: &Region| (r.spec.guest, r.spec.size, r.spec.user) == (spec.guest, spec.size, spec.user);
        if !self.regions.iter().any(same) {
            return Err(Fault::NoRegion(spec.guest, spec.size));
        }
        Ok(Self { regions: self.regions.iter().filter(|r| !same(r)).cloned().collect() })
    }

    /// Where `len` bytes at a guest address are, if they are in one region.
    #[inline]
    pub(crate) fn guest(&self, addr: u64, len: u64) -> Option<NonNull<u8>> {
        // Few, and the usual guest's buffers are in the first or second: a search is a comparison or two.
        self.regions.iter().find_map(|r| r.at(addr.wrapping_sub(r.spec.guest), len))
    }

    /// Where the first of `len` bytes (not 0) at a guest address are, and how many of them lie in one piece.
    #[inline]
    pub(crate) fn piece(&self, addr: u64, len: u32) -> Option<(NonNull<u8>, u32)> {
        let r = self.regions.iter().find(|r| addr.wrapping_sub(r.spec.guest) < r.spec.size)?;
        let offset = addr - r.spec.guest;
        let len = (r.spec.size - offset).min(len.into()) as u32;
        Some((r.at(offset, len.into())?, len))
    }

    /// Where `len` bytes at an address of the front end are, if they are in one region.
    pub(crate) fn user(&self, addr: u64, len: u64) -> Option<NonNull<u8>> {
        self.regions.iter().find_map(|r| r.at(addr.wrapping_sub(r.spec.user), len))
    }
}

impl Region {
    /// `offset` wraps around for addresses in front of the region.
    #[inline]
    fn at(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        let inside = offset < self.spec.size && len <= self.spec.size - offset;
        // SAFETY: within the region, all of which is mapped.
        inside.then(|| unsafe { self.at.add(offset as usize) })
    }
}

fn map(spec: RegionSpec, file: &OwnedFd) -> Result<Region, Fault> {
    let len = spec.offset + spec.size;
    let stat = rustix::fs::fstat(file.as_fd()).map_err(|e| Fault::RegionMap(spec.guest, e.to_string()))?;
    if (stat.st_size as u64) < len {
        return Err(Fault::RegionFile(spec.guest, stat.st_size as u64));
    }
    // From the file's beginning: offsets need not be multiples of a huge page, and mappings must be.
    let page = stat.st_blksize.max(4096) as u64;
    let len = len.checked_next_multiple_of(page).ok_or(Fault::RegionBounds(spec.guest, spec.size))? as usize;
    let mapping = Mapping::new(file, len).map_err(|e| Fault::RegionMap(spec.guest, e))?;
    let at = mapping.at(spec.offset as usize);
    Ok(Region { spec, at, _mapping: Arc::new(mapping) })
}
