//! One cache per thread: for every size class a magazine to take from and put into without any
//! synchronisation, and a spare one.
//!
//! The hot paths of `front` use the magazines; everything else here is for slow paths, and sees the
//! tier below through `CentralTier`. A cache belongs to its thread. The registry's lock guards the
//! lists of caches, and lets one thread take what another one that sleeps has cached.
//!
//! In this order, in which a file uses only the files above it:
//!
//! * `clear`, `quarantine`: in the hardened build, freed blocks wait, and must not be written to
//!   meanwhile.
//! * `cache`: the record, the placeholders, and `pop`.
//! * `parked_state`: how far a cache is parked.
//! * `magazine`: the loaded and the spare magazine of each class.
//! * `sampling`: what threads do that sample: counters, budgets, and what waits for a sample.
//! * `loaded`: replacing the loaded magazine.
//! * `push_target`: where objects are put, on the hot paths.
//! * `sizing`: how many objects a magazine may hold, and when it shrinks.
//! * `drain`: flushing what a whole cache holds.
//! * `registry`: all caches, under one lock. `walk`: walks through them, for statistics and `fork`.
//! * `cache_use`: what each thread has cached, for reports.
//! * `publish`: what the slot of a thread names.
//! * `park_batch`: a few caches that are about to be parked.
//! * `park`: taking what the threads that sleep have cached.
//! * `cow`: what a thread does while a forked child shares the pages.
//! * `cache_pool`: caches of ended threads, for the next ones.
//! * `birth`: the birth and the death of a cache.
//! * `enter`: entering the calling thread's cache for a slow path.
//! * `orphans`: caches of threads that a `fork` left behind.
//! * `shared_blocks`: what a thread does with the blocks of shared pages that it has freed.
//! * `refill`: what `malloc` does when a magazine is empty.
//! * `flush`: what `free` does when a magazine is full.
//! * `verify`: checking the calling thread's cache, object by object.

// In the order in which they use each other, and apart, so that the formatter does not sort them.
pub mod clear;

mod quarantine;

mod cache;

mod parked_state;

mod magazine;

mod sampling;

mod loaded;

mod push_target;

mod sizing;

mod drain;

pub mod registry;

pub mod walk;

pub mod cache_use;

pub mod publish;

mod park_batch;

pub mod park;

mod cow;

pub mod cache_pool;

pub mod birth;

pub mod enter;

pub mod orphans;

pub mod shared_blocks;

pub mod refill;

pub mod flush;

mod verify;

#[cfg(test)]
mod scripted_tier;

#[cfg(test)]
mod scripted_thread;

#[cfg(test)]
mod tier_tests;

#[cfg(test)]
mod bounds_tests;

#[cfg(test)]
mod sampling_tests;

#[cfg(test)]
pub mod sleepers;

#[cfg(test)]
mod walk_tests;

#[cfg(test)]
mod orphan_tests;
#[cfg(test)]
mod pool_tests;

pub use cache::{EXITED, SampleCounter, cache_for_alloc, quarantine};
pub use push_target::{push_target, push_target_sized};
pub use quarantine::CacheQuarantine;
pub use sampling::{is_due_without_counter, own_counter, reset_in_child, shared_random};
pub use verify::own_is_sound;
