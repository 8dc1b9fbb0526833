//! One cache per thread: for every size class a magazine to take from and put into without any
//! synchronisation, and a spare one.
//!
//! * `before_event`: what a thread that counts does where a sample is near.
//! * `cache`: the record, and the operations of the hot paths.
//! * `counted`: counting what a thread allocates.
//! * `exchange`: what happens when a magazine is empty or full.
//! * `intake`: where objects are put, on the hot paths.
//! * `kept`: caches of ended threads, for the next ones.
//! * `orphans`: caches of threads that a `fork` left behind.
//! * `park`: taking what the threads that sleep have cached.
//! * `sizing`: how many objects a magazine may hold, and when it shrinks.
//! * `sparing`: what a thread does while a forked child shares the pages.
//! * `registry`: birth, death and recycling of caches; all of them, for statistics and `fork`.
//! * `clear` (hardened): what leaves the quarantine was not written to.
//! * `verify`: checking a cache of the calling thread, object by object.

pub mod before_event;
mod cache;
#[cfg(feature = "hardened")]
pub mod clear;
mod counted;
#[cfg(all(test, not(feature = "hardened")))]
mod counted_tests;
pub mod exchange;
mod intake;
pub mod kept;
pub mod orphans;
pub mod park;
#[cfg(feature = "hardened")]
mod quarantine;
pub mod registry;
mod sizing;
mod sparing;
mod verify;
#[cfg(test)]
mod walk_tests;

#[cfg(feature = "hardened")]
pub use cache::quarantine;
pub use cache::{EXITED, in_slot_to_pop};
pub use counted::Counter;
#[cfg(not(feature = "hardened"))]
pub use intake::{intake, intake_sized};
#[cfg(feature = "hardened")]
pub use quarantine::Quarantine;
pub use verify::own_is_sound;
