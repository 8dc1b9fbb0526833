//! What every interface of the allocator calls: entry points that are safe to call at any time in
//! the life of a process or thread.
//!
//! * `fork`, `load`: `fork`, and what is done when the code is loaded.
//! * `memory_pressure`: what a request does under a limit and before it fails.
//! * `alloc_hooks`: what the slow paths record for leak reports, heap profiles and traces.
//! * `misuse`: finding out what is wrong with a pointer, and the line that says so.
//! * `lookup`: the class and the size of a block by its address.
//! * `hardened`, `plain`: what `free` does with a block, in hardened builds and in all others.
//! * `init`: the first call of a process.
//! * `layout_check`: comparing what a caller says of a block that it gives back.
//! * `large`: blocks beyond the size classes.
//! * `heap_spans`: spans for heaps with lifetimes, as the slow paths of the program's blocks get
//!   them.
//! * `alloc`, `free_slow`, `free`: the hot paths and their slow continuations.
//! * `realloc`: changing a block's size.
//! * `at_exit`: what is checked and reported when the process ends.
//! * `memcheck`: what stands before all of these with the feature `valgrind`.
//!
//! Sizes and alignments are in bytes. Failure is a null pointer. Nothing here changes `errno`: the
//! C library sets it, and `free` must not. No lock is taken here; the tiers below take their own.
//!
//! This is the one file of the folder that names the features `hardened` and `valgrind`.

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod fork;

mod load;

mod memory_pressure;

mod alloc_hooks;

mod misuse;

mod lookup;

#[allow(dead_code, reason = "one of the two twins is not in use")]
mod hardened;

#[allow(dead_code, reason = "one of the two twins is not in use")]
mod plain;

mod init;

mod layout_check;

mod large;

pub mod heap_spans;

mod alloc;

mod free_slow;

mod free;

mod realloc;

mod at_exit;

mod memcheck;

#[cfg(test)]
mod tests;

#[cfg(all(test, not(feature = "hardened")))]
mod mark_tests;

pub use at_exit::{report_at_exit, verify_at_exit, verify_own_cache};
pub use memory_pressure::reclaim;
pub use realloc::{known_size, known_size_on_shared_page, reallocate_known, stays};

// The twin of this build.
#[cfg(feature = "hardened")]
use hardened as caching;
#[cfg(not(feature = "hardened"))]
use plain as caching;

// The entry points of this build.
#[cfg(feature = "valgrind")]
pub use memcheck::{
    allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
    allocate_hot, allocate_zeroed, deallocate, deallocate_layout,
    deallocate_layout as deallocate_layout_sampled, deallocate_sized, deallocate_sized_aligned,
    deallocate_told, good_size, reallocate, reallocate_aligned, reallocate_same_layout,
    resize_in_place, usable_size,
};
#[cfg(not(feature = "valgrind"))]
pub use {
    alloc::{
        allocate, allocate_after_hot, allocate_aligned, allocate_aligned_zeroed, allocate_class,
        allocate_hot, allocate_zeroed, good_size,
    },
    free::{
        deallocate, deallocate_layout, deallocate_layout_sampled, deallocate_sized,
        deallocate_sized_aligned, deallocate_told,
    },
    lookup::usable_size,
    realloc::{reallocate, reallocate_aligned, reallocate_same_layout, resize_in_place},
};
