//! Rust's global allocator.

use crate::base::hint::unlikely;
use crate::front;
use crate::page::size_class::SizeClass;
use core::alloc::{GlobalAlloc, Layout};

/// The allocator, as Rust's global one:
///
/// ```
/// #[global_allocator]
/// static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
///
/// assert_eq!(vec![1, 2, 3].len(), 3);
/// ```
///
/// A `Layout` that is known at compile time has its size class folded to a constant, on `dealloc` too: the
/// page map is not read. Zero-sized values are never asked of an allocator; all alignments are served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stratalloc;

// SAFETY: blocks do not overlap, have the size and alignment asked for, and stay until given back; no
// call unwinds.
unsafe impl GlobalAlloc for Stratalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match SizeClass::of_aligned(layout.size(), layout.align()) {
            Some(class) => front::allocate_class(class, layout.size(), layout.align()),
            None => front::allocate_aligned(layout.size(), layout.align()),
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block from `alloc` with the same layout, which the caller gives up.
        unsafe { front::deallocate_layout(block, layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        front::allocate_aligned_zeroed(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if unlikely(new_size == 0) {
            // The contract of `GlobalAlloc` excludes it; nothing would be a sensible answer.
            return core::ptr::null_mut();
        }
        // SAFETY: `block` came from `alloc` with `layout`.
        unsafe { front::reallocate_same_layout(block, layout.size(), new_size, layout.align()) }
    }
}
