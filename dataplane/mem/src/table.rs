//! Memory for tables that are looked up all over: huge pages, touched beforehand.
//!
//! A table of 32 MiB has 8,192 ordinary pages, more than the processor remembers translations of, so that a
//! lookup pays for a walk through the page tables on top of the fetch. In huge pages the same table has
//! sixteen. Where the kernel gives none, ordinary pages serve.
//!
//! Thread-safety: a [`Table`] is a boxed slice: shared and sent as its elements are.

use core::ops::Deref;
use core::ptr::NonNull;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

/// Bytes of a huge page (x86-64, and arm64 with pages of 4 KiB).
const HUGE: usize = 2 << 20;

/// A slice whose length is chosen once, at an address that suits huge pages if it is that large.
pub struct Table<T> {
    base: NonNull<T>,
    len: usize,
}

// SAFETY: a `Table` owns its elements, as a `Box<[T]>` does.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above; only shared references to elements are given out.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// Makes `len` elements; each page is touched here, and not by the first packet that comes by.
    pub fn from_fn(len: usize, mut element: impl FnMut(usize) -> T) -> Self {
        let mut table = Self { base: NonNull::dangling(), len: 0 };
        let layout = Self::layout(len);
        if layout.size() > 0 {
            // SAFETY: the layout's size is above zero.
            let base = unsafe { alloc(layout) };
            table.base = NonNull::new(base.cast()).unwrap_or_else(|| handle_alloc_error(layout));
            in_huge_pages(base, layout);
        }
        // SAFETY: room for `len` elements, none of which exists yet. A panic in `element` leaks them.
        (0..len).for_each(|i| unsafe { table.base.add(i).write(element(i)) });
        table.len = len;
        table
    }

    fn layout(len: usize) -> Layout {
        let plain = Layout::array::<T>(len).expect("a table that fits the address space");
        let align = if plain.size() >= HUGE { HUGE } else { align_of::<T>() };
        plain.align_to(align).expect("a table that fits the address space")
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements were written at `base`, and live as long as the table.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        // SAFETY: the elements exist, and nobody can reach them after this.
        unsafe { core::ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len).drop_in_place() };
        if layout.size() > 0 {
            // SAFETY: allocated with this very layout.
            unsafe { dealloc(self.base.as_ptr().cast(), layout) };
        }
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Begins to fetch the cache line where a value begins. Has no effect but on time.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: fetching ahead touches nothing a program could see, whatever the address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) value, options(nostack, readonly, preserves_flags));
    }
    let _ = value;
}

/// Asks for huge pages before the first touch (madvise(2), MADV_HUGEPAGE). A kernel that cannot is no error.
fn in_huge_pages(base: *mut u8, layout: Layout) {
    if layout.align() == HUGE && !cfg!(miri) {
        // SAFETY: the range was allocated just now, and advice changes no contents.
        unsafe { libc::madvise(base.cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_table_is_a_slice_that_owns_its_elements() {
        let element = Arc::new(());
        let table = Table::from_fn(1000, |i| (i, element.clone()));
        assert_eq!((table.len(), table[999].0, Arc::strong_count(&element)), (1000, 999, 1001));
        prefetch(&table[17]);
        drop(table);
        assert_eq!(Arc::strong_count(&element), 1);
        assert!(Table::from_fn(0, |_| 1u8).is_empty());
    }

    #[test]
    fn a_large_table_is_at_the_start_of_a_huge_page() {
        #[repr(align(64))]
        struct Line([u64; 8]);
        let table = Table::from_fn(HUGE / 64, |i| Line([i as u64; 8]));
        assert_eq!(table.as_ptr().addr() % HUGE, 0);
        assert!(table.iter().enumerate().all(|(i, line)| line.0 == [i as u64; 8]));
    }
}
