//! One cache per thread: for every size class a magazine to take from and put into without any
//! synchronisation, and a spare one.
//!
//! * `cache`: the record, and the operations of the hot paths.
//! * `counted`: what stands in for the cache of a thread that counts what it allocates.
//! * `exchange`: what happens when a magazine is empty or full.
//! * `kept`: caches of ended threads, for the next ones.
//! * `orphans`: caches of threads that a `fork` left behind.
//! * `park`: taking what the threads that sleep have cached.
//! * `sift`: taking blocks out of magazines that were sampled.
//! * `sizing`: how many objects a magazine may hold, and when it shrinks.
//! * `sparing`: what a thread does while a forked child shares the pages.
//! * `registry`: birth, death and recycling of caches; all of them, for statistics and `fork`.
//! * `verify`: checking a cache of the calling thread, object by object.

mod cache;
mod counted;
pub mod exchange;
pub mod kept;
pub mod orphans;
pub mod park;
#[cfg(feature = "hardened")]
mod quarantine;
pub mod registry;
mod sift;
mod sizing;
mod sparing;
mod verify;

#[cfg(not(feature = "hardened"))]
pub use cache::in_slot_to_push_sized;
pub use cache::{EXITED, in_slot, in_slot_to_pop, in_slot_to_push};
pub use counted::CountedCache;
#[cfg(feature = "hardened")]
pub use quarantine::Quarantine;
pub use sift::{note_gone, note_sampled, settle_own};
pub use verify::own_is_sound;
