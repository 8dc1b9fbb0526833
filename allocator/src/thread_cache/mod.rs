//! One cache per thread: for every size class a magazine to take from and put into without any
//! synchronisation, and a spare one.
//!
//! * `sampling_refill`: what a thread that counts does where a sample is near.
//! * `cache`: the record, and the operations of the hot paths.
//! * `sample_counter`: counting what a thread allocates.
//! * `exchange`: what happens when a magazine is empty or full.
//! * `push_target`: where objects are put, on the hot paths.
//! * `cache_pool`: caches of ended threads, for the next ones.
//! * `orphans`: caches of threads that a `fork` left behind.
//! * `park`: taking what the threads that sleep have cached.
//! * `sizing`: how many objects a magazine may hold, and when it shrinks.
//! * `cow_cache`: what a thread does while a forked child shares the pages.
//! * `registry`: birth, death and recycling of caches; all of them, for statistics and `fork`.
//! * `clear` (hardened): what leaves the quarantine was not written to.
//! * `verify`: checking a cache of the calling thread, object by object.

mod cache;
pub mod cache_pool;
#[cfg(feature = "hardened")]
pub mod clear;
mod cow_cache;
pub mod exchange;
pub mod orphans;
pub mod park;
mod push_target;
#[cfg(feature = "hardened")]
mod quarantine;
pub mod registry;
mod sample_counter;
#[cfg(all(test, not(feature = "hardened")))]
mod sample_counter_tests;
pub mod sampling_refill;
mod sizing;
#[cfg(test)]
pub mod sleepers;
mod verify;
#[cfg(test)]
mod walk_tests;

#[cfg(feature = "hardened")]
pub use cache::quarantine;
pub use cache::{EXITED, cache_for_alloc};
#[cfg(not(feature = "hardened"))]
pub use push_target::{push_target, push_target_sized};
#[cfg(feature = "hardened")]
pub use quarantine::Quarantine;
pub use sample_counter::SampleCounter;
pub use verify::own_is_sound;
