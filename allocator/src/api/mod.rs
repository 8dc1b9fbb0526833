//! What Rust programs see: the global allocator, its options, its figures and its controls. (C and
//! C++ programs see the crate `stratalloc-capi`.)
//!
//! * `error`: the one error type.
//! * `builder`: options that are compiled into a program.
//! * `allocator`: the global allocator.
//! * `options`: the options at run time, a public module of functions.
//! * `heap`: functions on the heap as a whole; `blocks`: questions about one block.
//! * `heaps`: heaps with lifetimes; `heap_blocks`, `heap_allocator`, `heap_allocator_core`: as
//!   allocators of collections.
//! * `profile`: heap profiles and metrics.
//! * `tag`: what the program says its allocations are for.
//! * `property`, `malloc_extension`: the same by gperftools' names.
//!
//! A file uses only the files above it. `docs/api.txt` lists all of it; a test compares the list
//! with the code, so that the interface does not change by accident.

mod error;

mod builder;

mod allocator;

pub mod options;

mod blocks;
mod heap;
mod heaps;
mod profile;
mod property;
mod tag;

mod heap_blocks;

#[cfg(feature = "allocator-api2")]
mod heap_allocator;

#[cfg(feature = "nightly")]
mod heap_allocator_core;

mod malloc_extension;

#[cfg(test)]
mod heaps_tests;

pub use crate::profile::export::{ProfileFormat, ProfileKind};
pub use crate::stats::{BlockHistogram, ClassUsage, Stats};
pub use allocator::{Configured, Stratalloc};
pub use blocks::{good_size, is_live, owns, usable_size};
pub use builder::Options;
pub use error::Error;
pub use heap::{
    block_histogram, flush_thread_cache, for_each_size_class, is_sound, release_due_pages,
    release_free_memory, release_pages, stats, thread_cache_bytes, trim,
};
pub use heaps::{Heap, HeapStats};
pub use malloc_extension::{MallocExtension, MemoryLimit, Ownership, PropertyKey};
pub use profile::{
    mark_profile_base, write_heap_profile, write_metrics, write_profile, write_profile_fd,
    write_profile_file,
};
pub use property::Property;
pub use tag::{Tag, TagGuard, TagUsage, Tagged, for_each_tag, tag};
