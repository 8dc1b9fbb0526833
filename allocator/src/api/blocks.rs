//! Questions about one block, or about one that might be.
//!
//! They are answered by reading the page map and the records of spans, at any time and in any
//! thread; nothing is changed. `usable_size` ends the process for what is no block; the others only
//! answer.

use crate::config::MIN_ALIGN;
use crate::front;
use crate::stats;

/// Bytes that may be used behind `block`: at least what was asked for; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator (anything else ends the process).
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let block = Box::new([0_u8; 100]);
/// // SAFETY: a live block of the global allocator, which is this one.
/// let usable = unsafe { stratalloc::usable_size(block.as_ptr()) };
/// assert_eq!(usable, 112);
/// ```
pub unsafe fn usable_size(block: *const u8) -> usize {
    // SAFETY: the caller vouches that it is null or a live block of ours.
    unsafe { front::usable_size(block.cast_mut()) }
}

/// Bytes that an allocation of `size` bytes would really get; 0 if it cannot be served. Allocates
/// nothing.
///
/// ```
/// assert_eq!(stratalloc::good_size(100), 112);
/// assert_eq!(stratalloc::good_size(usize::MAX), 0);
/// ```
pub fn good_size(size: usize) -> usize {
    front::good_size(size, MIN_ALIGN)
}

/// Whether `pointer` names memory of this allocator. Exact for pointers to the start of live blocks
/// and for memory that was never this allocator's. A pointer into a small block is recognised
/// wherever it points, one into a large block only if it points to its start. The memory is not
/// touched.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let block = Box::new(1_u64);
/// let local = 1_u64;
/// assert!(stratalloc::owns((&raw const *block).cast()));
/// assert!(!stratalloc::owns((&raw const local).cast()));
/// ```
pub fn owns(pointer: *const u8) -> bool {
    stats::is_owned(pointer as usize)
}

/// Whether a block starts at `block` that is not known to be free. One that lies free in another
/// thread's cache is not found out.
///
/// # Safety
/// `block` is a pointer that came from this allocator, freed or not, or never did; memory that this
/// allocator holds is read.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let block = Box::new(1_u64);
/// let address: *const u8 = (&raw const *block).cast();
/// // SAFETY: a block of this allocator, live and then freed; nobody else frees or writes it.
/// unsafe {
///     assert!(stratalloc::is_live(address));
///     drop(block);
///     assert!(!stratalloc::is_live(address));
/// }
/// ```
pub unsafe fn is_live(block: *const u8) -> bool {
    stats::block_is_live(block as usize)
}
