//! Blocks of a [`Heap`] as allocators of collections hand them out: what `heap_allocator` and
//! `heap_allocator_core` have in common.
//!
//! [`Heap`]: super::heaps::Heap

#![allow(dead_code, reason = "without either feature nobody calls this")]

use super::heaps::Heap;
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// A block of exactly the layout's size, as what is freed with another size could be of another
/// size class.
#[inline(always)]
pub fn slice(block: Option<NonNull<u8>>, layout: Layout) -> Option<NonNull<[u8]>> {
    block.map(|block| NonNull::slice_from_raw_parts(block, layout.size()))
}

/// A block of the layout `new` with the content up to the smaller size; `None` without memory, and
/// then the old block is as it was.
///
/// # Safety
/// `block` is a live block of the heap with the layout `old`; the result takes its place.
#[inline]
pub unsafe fn change(
    heap: &Heap,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    if old.align() == new.align() {
        // SAFETY: the caller has a live block with this layout, and `new` is a layout.
        return slice(unsafe { heap.realloc(block, old, new.size()) }, new);
    }
    let moved = heap.alloc_layout(new)?;
    // SAFETY: both blocks are live and have at least the smaller size, so they do not overlap; the
    // old one has the layout that the caller says, and is given up.
    unsafe {
        ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr(), old.size().min(new.size()));
        heap.dealloc(block, old);
    }
    slice(Some(moved), new)
}

/// As [`change`], and the block's new bytes are zeros.
///
/// # Safety
/// As [`change`]; `new` is no smaller than `old`.
#[inline]
pub unsafe fn grow_zeroed(
    heap: &Heap,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    // SAFETY: the caller has a live block with the layout `old`. The result has `new.size()` bytes,
    // of which the first `old.size()` are its content.
    unsafe {
        let grown = change(heap, block, old, new)?;
        grown.cast::<u8>().add(old.size()).write_bytes(0, new.size() - old.size());
        Some(grown)
    }
}
