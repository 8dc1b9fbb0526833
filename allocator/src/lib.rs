//! stratalloc is a memory allocator for Linux programs that run many threads. Every thread has
//! caches of its own, threads exchange memory through shared lists in whole magazines, and pages
//! come from a heap of 2 MiB huge pages that gives them back to the system when they are no longer
//! needed.
//!
//! # Use it
//!
//! Make [`Stratalloc`] the global allocator:
//!
//! ```
//! use stratalloc::Stratalloc;
//!
//! #[global_allocator]
//! static GLOBAL: Stratalloc = Stratalloc;
//!
//! let squares: Vec<u64> = (0..1_000).map(|n| n * n).collect();
//! assert_eq!(squares[10], 100);
//! ```
//!
//! With [`Options`] of the program's own, checked when it is compiled:
//!
//! ```
//! use stratalloc::{Configured, Options, Stratalloc};
//!
//! #[global_allocator]
//! static GLOBAL: Configured =
//!     Stratalloc::with_options(Options::new().decay_ms(500).soft_limit(1 << 30));
//! ```
//!
//! Who runs the program has the last word: `STRATALLOC_OPTIONS=decay_ms=100` outweighs what is
//! compiled in, and `STRATALLOC_OPTIONS=help` prints every option. At run time the functions of
//! [`options`] read and set them.
//!
//! # Ask it
//!
//! [`stats()`] tells where every byte is, as numbers and as text. [`release_free_memory`] gives
//! back what is free; nobody needs to call it, since free pages go back by themselves within
//! seconds.
//!
//! ```
//! # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
//! let held = vec![0_u8; 1 << 20];
//! let now = stratalloc::stats();
//! assert!(now.in_use >= held.len());
//! println!("{now}");
//!
//! drop(held);
//! println!("{} bytes went back to the system", stratalloc::release_free_memory());
//! ```
//!
//! [`write_profile`] tells who holds memory, by the stack that allocated it, as pprof and others
//! read it; [`write_metrics`]
//! gives OpenMetrics text. [`MallocExtension`] has the same by gperftools' names. The folder
//! `examples` has a program for each of these.
//!
//! # Heaps with lifetimes
//!
//! A [`Heap`] is a heap of its own, for what ends together: blocks borrow it, and dropping it gives
//! back all of its memory at once.
//!
//! ```
//! let heap = stratalloc::Heap::with_limit(1 << 20)?;
//! let request = heap.alloc([0_u8; 500]).expect("less than the limit");
//! request[0] = 1;
//! # Ok::<(), stratalloc::Error>(())
//! ```
//!
//! # What it catches
//!
//! Freeing a block twice, or something that is no block, ends the process with a line that says so.
//! What is read or written after it was freed is not noticed, unless the feature `hardened` is on
//! or the option `guard_sample` is set.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it does |
//! |---|---|
//! | `allocator-api2` | [`Heap`] implements that crate's `Allocator`, which `hashbrown` knows |
//! | `nightly` | [`Heap`] implements the standard library's `Allocator`; for nightly compilers |
//! | `serde` | [`Stats`], [`ClassUsage`] implement `Serialize` and `Deserialize`; without `std` |
//! | `hardened` | finds more misuse, and makes it harder to exploit, at a cost in time and memory |
//! | `valgrind` | tells valgrind's memcheck of every block; for tests of programs, as it is slow |
//! | `counts`, `faults` | for tests of this crate alone |
//!
//! # Where it runs
//!
//! On Linux, on x86-64; on aarch64 from source, tested under emulators alone. The crate is `no_std`
//! and takes its memory from the system by `mmap`; it needs the C library that Rust's `std` is
//! linked with. C and C++ programs use the library that the crate `stratalloc-capi` builds.
// The modules are the tiers, lowest first; a module uses only what stands above it in this list.
// `docs/architecture.md` follows one `malloc(16)` all the way down.
#![cfg_attr(not(any(test, loom)), no_std)]
#![cfg_attr(feature = "nightly", feature(allocator_api))]
#![cfg_attr(
    feature = "valgrind",
    allow(dead_code, reason = "blocks do not change their size in place")
)]
#![warn(missing_docs)]

#[cfg(all(test, not(loom)))]
extern crate std;

// Functions that most programs run have the attribute `link_section = ".text.hot.stratalloc"`, and
// those that nearly every program or a shell runs `".text.hot.stratalloc_small"`: they lie next to
// each other, so that little of the code is resident (docs/performance.md, "Start-up").
// Statics that are large or never written to have sections of their own, too, so that the others
// lie on few pages.
//
// In layer order, and apart, so that the formatter does not sort them.
mod config;

mod policy;

mod base;

mod sync;

#[cfg(not(loom))]
mod os;

#[cfg(not(loom))]
mod parameters;

#[cfg(not(loom))]
mod page;

#[cfg(not(loom))]
mod page_heap;

#[cfg(not(loom))]
mod central;

#[cfg(not(loom))]
mod thread_cache;

#[cfg(not(loom))]
mod background;

#[cfg(not(loom))]
mod profile;

#[cfg(not(loom))]
mod guard;

#[cfg(not(loom))]
mod trace;

#[cfg(not(loom))]
mod front;

#[cfg(not(loom))]
mod heaps;

#[cfg(not(loom))]
mod stats;

#[cfg(not(loom))]
mod api;

#[cfg(not(loom))]
mod control;

#[cfg(not(loom))]
#[doc(hidden)]
pub mod internal;

/// The examples of the crate's README are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(not(loom))]
pub use api::{
    BlockHistogram, ClassUsage, Configured, Error, Heap, HeapStats, MallocExtension, MemoryLimit,
    Options, Ownership, ProfileFormat, ProfileKind, Property, PropertyKey, Stats, Stratalloc, Tag,
    TagGuard, TagUsage, Tagged, block_histogram, flush_thread_cache, for_each_size_class,
    for_each_tag, good_size, is_live, is_sound, mark_profile_base, options, owns,
    release_due_pages, release_free_memory, release_pages, stats, tag, thread_cache_bytes, trim,
    usable_size, write_heap_profile, write_metrics, write_profile, write_profile_fd,
    write_profile_file,
};
