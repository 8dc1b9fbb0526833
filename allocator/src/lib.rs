//! stratalloc: a thread-caching memory allocator. Memory moves through strata - thread cache, transfer
//! cache and central free list, page heap, operating system - and comes back the same way.
//!
//! Make it the global allocator of a Rust program with [`Stratalloc`]; ask it how it is doing, or to give
//! memory back, with [`MallocExtension`]. C and C++ programs use the library that the crate
//! `stratalloc-capi` builds; it sits on [`front`].
//!
//! The modules are the tiers, lowest first; a module uses only what stands above it in this list.
//! `docs/design.md` follows one `malloc(16)` all the way down.
#![cfg_attr(not(any(test, loom)), no_std)]
#![cfg_attr(
    feature = "valgrind",
    allow(dead_code, reason = "blocks do not change their size in place")
)]

#[cfg(all(test, not(loom)))]
extern crate std;

// In layer order, and apart, so that the formatter does not sort them.
mod config;

#[cfg(not(loom))]
mod policy;

mod base;

mod sync;

#[cfg(not(loom))]
mod os;

// For the C library, which says and ends as the tiers do.
#[doc(hidden)]
pub use base::fatal::abort;
#[doc(hidden)]
pub use base::syscall;
#[cfg(not(loom))]
#[doc(hidden)]
pub use os::linux::write_stderr;

#[cfg(feature = "faults")]
#[doc(hidden)]
pub use os::faults;

#[cfg(all(feature = "counts", not(loom)))]
#[doc(hidden)]
pub use sync::counts;

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
#[doc(hidden)]
pub mod profile;

#[cfg(not(loom))]
mod guard;

#[cfg(not(loom))]
#[doc(hidden)]
pub mod trace;

#[cfg(not(loom))]
#[doc(hidden)]
pub mod front;

#[cfg(not(loom))]
mod observe;

#[cfg(not(loom))]
mod faces;

#[cfg(not(loom))]
#[doc(hidden)]
pub mod control;

#[cfg(not(loom))]
pub use faces::{HugePages, OutOfRange, Parameter, ParameterKind, ParameterValue, Parameters};
#[cfg(not(loom))]
pub use faces::{
    MallocExtension, MemoryLimit, NotSettable, Ownership, ProfileError, Property, PropertyKey,
    Stratalloc,
};
#[cfg(not(loom))]
pub use observe::{BlockHistogram, ClassUsage, Snapshot};
