//! The entry points that every face uses, safe to call at any time in the life of a process or thread.
//!
//! * `fork`, `load`, `init`: `fork`, what is done when the code is loaded, and the first call.
//! * `memory_pressure`: what a request does under a limit and before it fails.
//! * `alloc_hooks`: what the slow paths record for leak reports, heap profiles and traces.
//! * `misuse`: finding out what is wrong with a pointer, and the line that says so.
//! * `hardened`: what `free` does in hardened builds.
//! * `lookup`: the class and the size of a block by its address.
//! * `layout_check`: comparing what a caller says of a block that it gives back.
//! * `large`: blocks beyond the size classes.
//! * `alloc`, `free_slow`, `free`: the hot paths and their slow continuations.
//! * `realloc`: changing a block's size.
//! * `at_exit`: what is checked when the process ends.
//! * `memcheck`: what stands before all of these with the feature `valgrind`.
//!
//! Sizes and alignments are in bytes. Failure is a null pointer; `errno` is never touched: setting it is
//! the C face's business, and `free` must not.

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod fork;

mod load;

mod init;

mod memory_pressure;

mod alloc_hooks;

mod misuse;

#[cfg(feature = "hardened")]
mod hardened;

mod lookup;

mod layout_check;

mod large;

mod alloc;

mod free_slow;

mod free;

mod realloc;

mod at_exit;

#[cfg(feature = "valgrind")]
mod memcheck;

#[cfg(test)]
mod tests;

#[cfg(all(test, not(feature = "hardened")))]
mod mark_tests;

#[cfg(not(feature = "valgrind"))]
pub use alloc::{
    allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
    allocate_hot, allocate_zeroed, good_size,
};
pub use at_exit::{verify_at_exit, verify_own_cache};
#[cfg(not(feature = "valgrind"))]
pub use free::{
    deallocate, deallocate_layout, deallocate_sized, deallocate_sized_aligned, deallocate_told,
};
#[cfg(not(feature = "valgrind"))]
pub use lookup::usable_size;
#[cfg(feature = "valgrind")]
pub use memcheck::{
    allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
    allocate_hot, allocate_zeroed, deallocate, deallocate_layout, deallocate_sized,
    deallocate_sized_aligned, deallocate_told, good_size, reallocate, reallocate_aligned,
    reallocate_same_layout, resize_in_place, usable_size,
};
pub use memory_pressure::reclaim;
#[cfg(not(feature = "valgrind"))]
pub use realloc::{reallocate, reallocate_aligned, reallocate_same_layout, resize_in_place};
