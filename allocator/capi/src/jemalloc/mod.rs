//! jemalloc's names beyond the C library's. A program that was linked with libjemalloc gets all of
//! them from here, or it would hand blocks of one allocator to the other.
//!
//! * `flags`: what the `flags` of the calls below say.
//! * `numbers`: numbers given out, as those of arenas and of explicit thread caches are.
//! * `arenas`: the arenas that a program creates: numbers for the one heap there is.
//! * `calls`: `mallocx`, `rallocx`, `xallocx`, `sallocx`, `dallocx`, `sdallocx`, `nallocx`.
//! * `mallctl`: `mallctl`, `mallctlnametomib`, `mallctlbymib`.
//!   - `arguments`: what the caller gives and wants, and jemalloc's rules for it.
//!   - `settings`, `actions`: names that can be written; `figures`: values that can only be read.
//!   - `tree`: every name as a line of one table; `path`: finding a line.
//! * `message`, `stats_print`, `emitter`: `malloc_message` and `malloc_stats_print`.
//!
//! Types, error numbers and effects are those of jemalloc 5.3, with which `tests/tests/jemalloc.rs`
//! compares them. What this allocator cannot tell or do gives an error number that jemalloc gives
//! too, never a number that was made up.

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod flags;

mod numbers;

mod arenas;

mod calls;

mod arguments;

mod settings;

mod figures;

mod actions;

mod tree;

mod path;

mod mallctl;

mod message;

mod emitter;

mod stats_print;
