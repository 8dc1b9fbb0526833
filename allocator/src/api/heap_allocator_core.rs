//! [`Heap`] as an `Allocator` of the standard library, for nightly compilers.
//!
//! [`Heap`]: super::heaps::Heap

use super::heap_blocks::{change, grow_zeroed, slice};
use super::heaps::Heap;
use core::alloc::{AllocError, Allocator, Layout};
use core::ptr::NonNull;

/// A block as the trait has it.
#[inline(always)]
fn answer(block: Option<NonNull<[u8]>>) -> Result<NonNull<[u8]>, AllocError> {
    block.ok_or(AllocError)
}

/// With the feature `nightly`, `std::vec::Vec` and `std::boxed::Box` live in heaps.
///
/// ```
/// #![feature(allocator_api)]
/// use stratalloc::Heap;
///
/// let heap = Heap::new()?;
/// let mut numbers: Vec<i32, &Heap> = Vec::new_in(&heap);
/// numbers.extend([1, 2, 3]);
/// assert_eq!(*Box::new_in(numbers[2], &heap), 3);
/// # Ok::<(), stratalloc::Error>(())
/// ```
// SAFETY: a block stays valid until it is freed, or the heap is dropped or reset. Both need a heap
// that nobody borrows, so not while this reference or a copy of it exists. Moving the reference
// moves nothing of the heap, and all copies lead to the same heap.
unsafe impl Allocator for &Heap {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        answer(slice(self.alloc_layout(layout), layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        answer(slice(self.alloc_layout_zeroed(layout), layout))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller gives up a live block of this allocator, which fits the layout: as
        // blocks are handed out with the layout's size, it is the layout that it was made with.
        unsafe { self.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live block of this allocator with the layout `old`.
        answer(unsafe { change(self, block, old, new) })
    }

    #[inline]
    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live block of this allocator with the layout `old`, which `new` is no less
        // than.
        answer(unsafe { grow_zeroed(self, block, old, new) })
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live block of this allocator with the layout `old`.
        answer(unsafe { change(self, block, old, new) })
    }
}
