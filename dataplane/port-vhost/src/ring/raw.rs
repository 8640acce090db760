//! Reads and writes of memory that a guest writes too.
//!
//! Single words are atomic; what is larger is read once into registers, torn or not, and whatever comes of that
//! is checked like any other lie. Everything here is unsafe for one reason: the address must be mapped.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32};

/// Bytes of a descriptor, both layouts.
pub(crate) const DESC: usize = 16;

/// A descriptor. Split (virtio 1.2, 2.7.5): `x` is flags, `y` is next. Packed (2.8.13): id, then flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desc {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    /// Split: the next descriptor. Packed: with `flags` in its place, see [`packed_desc`].
    pub(crate) next: u16,
}

/// A descriptor of a split ring, or of an indirect table of one.
///
/// # Safety
/// 16 bytes are mapped there.
#[inline]
pub(crate) unsafe fn desc(at: NonNull<u8>) -> Desc {
    // SAFETY: the caller's; no alignment is needed.
    let [addr, rest] = unsafe { at.cast::<[u64; 2]>().as_ptr().read_unaligned() };
    let (addr, rest) = (u64::from_le(addr), u64::from_le(rest));
    Desc { addr, len: rest as u32, flags: (rest >> 32) as u16, next: (rest >> 48) as u16 }
}

/// A descriptor of a packed ring, or of an indirect table of one; `next` is its id.
///
/// # Safety
/// 16 bytes are mapped there.
#[inline]
pub(crate) unsafe fn packed_desc(at: NonNull<u8>) -> Desc {
    // SAFETY: the caller's.
    let d = unsafe { desc(at) };
    Desc { flags: d.next, next: d.flags, ..d }
}

/// A word of shared memory.
///
/// # Safety
/// It is mapped as long as the reference is used, and aligned to two bytes.
#[inline]
pub(crate) unsafe fn word<'a>(at: NonNull<u8>, offset: usize) -> &'a AtomicU16 {
    // SAFETY: the caller's; an atomic may be shared with whoever writes there.
    unsafe { at.add(offset).cast().as_ref() }
}

/// Two words of shared memory.
///
/// # Safety
/// As [`word`], aligned to four bytes.
#[inline]
pub(crate) unsafe fn double<'a>(at: NonNull<u8>, offset: usize) -> &'a AtomicU32 {
    // SAFETY: as above.
    unsafe { at.add(offset).cast().as_ref() }
}

/// Has a line brought near.
#[inline]
pub(crate) fn prefetch(at: NonNull<u8>) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address does nothing but fetch.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.as_ptr().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
