//! [`Heap`] as an `Allocator` of the crate `allocator-api2`. The standard library's, which the
//! feature `nightly` adds, is another trait of the same functions (`heap_allocator_core`).
//!
//! [`Heap`]: super::heaps::Heap

use super::heap_blocks::{change, grow_zeroed, slice};
use super::heaps::Heap;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A block as the trait has it.
#[inline(always)]
fn answer(block: Option<NonNull<[u8]>>) -> Result<NonNull<[u8]>, AllocError> {
    block.ok_or(AllocError)
}

/// A reference to a heap is the allocator, so that what lives in the heap borrows it.
///
/// ```
/// use allocator_api2::{boxed::Box, vec::Vec};
/// use hashbrown::HashMap;
/// use stratalloc::Heap;
///
/// let heap = Heap::new()?;
/// let mut words: Vec<&str, &Heap> = Vec::new_in(&heap);
/// words.extend(["a", "b", "a"]);
/// let mut counts: HashMap<&str, u32, _, &Heap> =
///     HashMap::with_hasher_in(hashbrown::DefaultHashBuilder::default(), &heap);
/// for word in &words {
///     *counts.entry(word).or_insert(0) += 1;
/// }
/// let boxed = Box::new_in(counts["a"], &heap);
/// assert_eq!(*boxed, 2);
/// assert_eq!(heap.stats().live_count, 3);
/// # Ok::<(), stratalloc::Error>(())
/// ```
///
/// What lives in a heap cannot outlive it:
///
/// ```compile_fail,E0505
/// let heap = stratalloc::Heap::new().unwrap();
/// let mut numbers = allocator_api2::vec::Vec::new_in(&heap);
/// drop(heap);
/// numbers.push(1);
/// ```
///
/// And it stays in its thread:
///
/// ```compile_fail,E0277
/// let heap = stratalloc::Heap::new().unwrap();
/// let numbers = allocator_api2::vec::Vec::<i32, _>::new_in(&heap);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(numbers));
/// });
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
