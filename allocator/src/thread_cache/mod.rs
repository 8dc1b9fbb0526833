//! One cache per thread: for every size class a magazine to take from and put into without any
//! synchronisation, and a spare one.
//!
//! From the bottom up; a file uses only what stands above it in this list.
//!
//! * `clear`, `quarantine` (hardened): blocks that were freed wait, and must not be written to meanwhile.
//! * `sample_counter`: how far a thread is from the next allocation that is sampled.
//! * `cache`: the record, the placeholders, and `pop`.
//! * `parked_state`: how far a cache is parked.
//! * `magazine`: the loaded and the spare magazine of each class.
//! * `push_target`: where objects are put, on the hot paths.
//! * `sizing`: how many objects a magazine may hold, and when it shrinks.
//! * `drain`: sending home what a whole cache holds.
//! * `registry`: all caches, under one lock; walks through them, for statistics and `fork`.
//! * `publish`: what the slot of a thread names.
//! * `park`: taking what the threads that sleep have cached.
//! * `cow_cache`: what a thread does while a forked child shares the pages.
//! * `cache_pool`: caches of ended threads, for the next ones.
//! * `birth`: the birth and the death of a cache.
//! * `enter`: entering the calling thread's cache for a slow path.
//! * `orphans`: caches of threads that a `fork` left behind.
//! * `sampling_refill`: what a thread that counts does where a sample is near.
//! * `shared_blocks`: what a thread does with the blocks of shared pages that it has freed.
//! * `refill`: what `malloc` does when a magazine is empty.
//! * `flush`: what `free` does when a magazine is full.
//! * `verify`: checking a cache of the calling thread, object by object.

// In the order in which they use each other, and apart, so that the formatter does not sort them.
#[cfg(feature = "hardened")]
pub mod clear;

#[cfg(feature = "hardened")]
mod quarantine;

mod sample_counter;

mod cache;

mod parked_state;

mod magazine;

mod push_target;

mod sizing;

mod drain;

pub mod registry;

pub mod publish;

pub mod park;

mod cow_cache;

pub mod cache_pool;

pub mod birth;

pub mod enter;

pub mod orphans;

pub mod sampling_refill;

pub mod shared_blocks;

pub mod refill;

pub mod flush;

mod verify;

#[cfg(all(test, not(feature = "hardened")))]
mod sample_counter_tests;

#[cfg(test)]
pub mod sleepers;

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
