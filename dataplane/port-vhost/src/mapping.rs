//! The front of a file that the other side shares, mapped for reading and writing.
//!
//! What is there is the other side's, and changes at any moment: nobody makes a reference to it but to atomics.
//!
//! Thread-safety: an address range that does not change. It ends when dropped; whoever keeps an address of it keeps the
//! mapping.

use std::os::fd::OwnedFd;
use std::ptr::NonNull;

/// See the module.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: an address range; whoever reads or writes there does so by raw copies or atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The first `len` bytes of the file.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new(file: &OwnedFd, len: usize) -> Result<Self, String> {
        // SAFETY: a fresh mapping aliases nothing of ours.
        let p = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                file,
                0,
            )
        };
        let p = p.map_err(|e| e.to_string())?;
        Ok(Self { base: NonNull::new(p.cast()).ok_or("the zero page")?, len })
    }

    /// Where the byte at this offset is.
    ///
    /// # Panics
    /// Behind the end.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "in the mapping");
        // SAFETY: inside the mapping.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has an address of it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
