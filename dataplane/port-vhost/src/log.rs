//! The dirty-page log: which of the guest's pages we wrote, for live migration. One bit for a page of 4 KiB, in
//! memory that the front end reads and clears while we write. Vhost-user protocol, "Migration".
//!
//! Thread-safety: bits are set by atomic operations; shared by all rings of a port.

use crate::fault::Fault;
use crate::mapping::Mapping;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Bytes for which a bit stands: `VHOST_LOG_PAGE`.
const PAGE: u64 = 4096;

/// The log, mapped.
#[derive(Debug)]
pub(crate) struct DirtyLog {
    mapping: Mapping,
    /// Where bits begin, and their number of bytes.
    offset: usize,
    len: usize,
}

impl DirtyLog {
    /// `len` bytes at `offset` of the file.
    ///
    /// # Errors
    /// When it cannot be mapped, or the file is shorter.
    pub(crate) fn new(file: &OwnedFd, offset: u64, len: u64) -> Result<Self, Fault> {
        let fault = |why: String| Fault::Log(len, why);
        let end = offset.checked_add(len).filter(|_| len > 0).ok_or_else(|| fault("bounds".into()))?;
        let stat = rustix::fs::fstat(file).map_err(|e| fault(e.to_string()))?;
        if (stat.st_size as u64) < end {
            return Err(fault(format!("its file has {} bytes", stat.st_size)));
        }
        let mapping = Mapping::new(file, end as usize).map_err(fault)?;
        Ok(Self { mapping, offset: offset as usize, len: len as usize })
    }

    /// The guest's memory from `addr` on was written. What lies behind the log's end is not noted: the front end
    /// made it as long as the guest's memory.
    pub(crate) fn mark(&self, addr: u64, len: u64) {
        if len == 0 {
            return;
        }
        let last = addr.saturating_add(len - 1) / PAGE;
        for page in addr / PAGE..=last {
            let Ok(byte) = usize::try_from(page / 8) else { return };
            if byte >= self.len {
                return;
            }
            // SAFETY: in the mapping, in which only atomic operations are done.
            let bits = unsafe { self.mapping.at(self.offset + byte).cast::<AtomicU8>().as_ref() };
            let bit = 1 << (page % 8);
            // Also if it is set: the front end may be taking it just now, and the page with it. Release: what was
            // written to the page is there before the bit.
            bits.fetch_or(bit, Ordering::Release);
        }
    }
}

/// The log, for what is written to one ring's used area. Usually there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct UsedLog(Option<(Arc<DirtyLog>, u64)>);

impl UsedLog {
    /// `guest`: the guest's address of the area.
    pub(crate) fn new(log: Option<Arc<DirtyLog>>, guest: Option<u64>) -> Self {
        Self(log.zip(guest))
    }

    #[inline]
    pub(crate) fn mark(&self, offset: usize, len: usize) {
        if let Some((log, guest)) = &self.0 {
            log.mark(guest.wrapping_add(offset as u64), len as u64);
        }
    }
}
