//! The entry points that every face uses, safe to call at any time in the life of a process or thread.
//!
//! * `alloc`, `free`: the hot paths and their slow continuations.
//! * `large`: blocks beyond the size classes.
//! * `layout_check`: comparing what a caller says of a block that it gives back.
//! * `at_exit`: what is looked at when the process ends.
//! * `realloc`: changing a block's size.
//! * `misuse`: what `free` says before it aborts.
//! * `alloc_hooks`: what is recorded for leak reports and heap profiles, where that is wanted.
//! * `memcheck`: what stands before all of these with the feature `valgrind`.
//! * `load`, `init`, `fork`: when the code is loaded, the first call, and `fork`.
//!
//! Sizes and alignments are in bytes. Failure is a null pointer; `errno` is never touched: setting it is
//! the C face's business, and `free` must not.

mod alloc;
mod alloc_hooks;
mod at_exit;
mod fork;
mod free;
#[cfg(feature = "hardened")]
mod hardened;
mod init;
mod large;
mod layout_check;
mod load;
#[cfg(all(test, not(feature = "hardened")))]
mod mark_tests;
#[cfg(feature = "valgrind")]
mod memcheck;
mod misuse;
mod realloc;
#[cfg(test)]
mod tests;

pub use alloc::reclaim;
#[cfg(not(feature = "valgrind"))]
pub use alloc::{
    allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
    allocate_hot, allocate_zeroed, good_size,
};
pub use at_exit::{verify_at_exit, verify_own_cache};
#[cfg(not(feature = "valgrind"))]
pub use free::{
    deallocate, deallocate_layout, deallocate_sized, deallocate_sized_aligned, deallocate_told,
    usable_size,
};
#[cfg(feature = "valgrind")]
pub use memcheck::{
    allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
    allocate_hot, allocate_zeroed, deallocate, deallocate_layout, deallocate_sized,
    deallocate_sized_aligned, deallocate_told, good_size, reallocate, reallocate_aligned,
    reallocate_same_layout, resize_in_place, usable_size,
};
#[cfg(not(feature = "valgrind"))]
pub use realloc::{reallocate, reallocate_aligned, reallocate_same_layout, resize_in_place};
