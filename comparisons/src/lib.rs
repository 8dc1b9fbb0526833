//! The allocators that are set side by side.
//!
//! Each has a small program of its own, `run-NAME` (`src/bin`), whose global allocator it is and
//! whose `main` hands over to `bench_harness::child`. The programs hold what is special to their
//! allocator; here is what they share: the [`registry`] of names and the view of the [`system`]'s
//! own allocator. Allocators that are compiled from C or C++ have packages of their own (`peers`),
//! which `ci/bench` builds one by one, so that one that does not build costs its column only.

mod mimalloc;
pub mod ours;
pub mod registry;
pub mod system;
