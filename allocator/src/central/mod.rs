//! What all threads share, per size class: a transfer cache of whole magazines in front of a
//! central free list of spans.
//!
//! Thread caches refill from here and flush to here; the spans come from the page heap. Both parts
//! have a lock per class. Most exchanges touch the transfer cache alone and cost one lock and a few
//! words, however many objects move. Nothing here knows of threads' caches, sampling or the
//! program's calls.
//!
//! In this order, in which a file uses only the files above it:
//!
//! * `internal_fragmentation`: how much requests are rounded up, an estimate.
//! * `low_water`: how long memory lies idle.
//! * `free_object`: the first two words of a free object; `chain`: free objects, linked.
//! * `chain_builder`, `random_chain_builder`: linking the objects of a fetch; `picks`: noting them
//!   under the lock.
//! * `shards`: which threads share memory freely, and which are awake.
//! * `shared_pages`: pages that several size classes share. `verify`: checking chains.
//! * `places`, `transfer_budget`, `transfer_cache`: whole magazines on their way between threads.
//! * `span_cursor`: the spans that objects return to; `flush_batch`: walking several chains at
//!   once.
//! * `os_pages`: the OS pages of a span.
//! * `cow`: pages that a forked child shares.
//! * `span_source`: the tier below.
//! * `spans_by_shard`, `span_lists`: the spans of a class; `span_alloc`: taking objects from them;
//!   `take_over`: from those of other shards.
//! * `release_budget`, `hold`: how much is released, and holding pages meanwhile.
//! * `free_list`: the central free list of a class; `release`: releasing pages inside its spans.
//! * `cache_limits`: how much may lie in caches.
//! * `all_classes`: the tier of the process.
//! * `idle_look`: looking at what lies idle, some classes at a time. `tolerance`: how much may.
//! * `decay`: releasing what lies idle, as time goes by; `growth`: when the process grows
//!   elsewhere.
//! * `convert`: making spans into shared pages; `fetch_shared`: fetching from those.
//! * `wind_down`: emptying caches where a program frees nearly all it had.
//! * `fork`: what a forked child undoes.
//! * `tier`: refill and flush, as the thread caches see them.

// In the order in which they use each other, and apart, so that the formatter does not sort them.
mod internal_fragmentation;
pub mod low_water;

mod free_object;

pub mod chain;

mod chain_builder;
mod random_chain_builder;

mod picks;

pub mod shards;

pub mod shared_pages;

pub mod verify;

mod places;
mod transfer_budget;
mod transfer_cache;

mod span_cursor;

mod flush_batch;
mod os_pages;

mod cow;

mod span_source;

mod spans_by_shard;

mod span_lists;

mod span_alloc;
mod take_over;

mod release_budget;

mod hold;

mod free_list;
mod release;

mod cache_limits;

mod all_classes;

mod idle_look;
mod tolerance;

mod decay;
mod growth;

mod convert;
mod fetch_shared;
mod wind_down;

mod fork;
mod tier;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cow_tests;
#[cfg(test)]
mod release_tests;
#[cfg(test)]
mod shard_tests;
#[cfg(test)]
mod shared_pages_tests;
#[cfg(test)]
mod transfer_cache_tests;
#[cfg(test)]
mod wave_tests;

pub use all_classes::CENTRAL;
pub use cow::FlushOutcome;
pub use decay::Drain;
pub use os_pages::OS_PAGE;
pub use tier::{CentralTier, SharedTier};

/// Copy-on-write after `fork`: what other tiers ask of `cow::state`.
pub mod cow_state {
    pub use super::cow::state::{begin, end, end_in_child, look, since, write_probe_page};

    /// Bytes of spans that may be taken after the next `fork` to avoid writes to shared pages; 0:
    /// do not begin. Called before a `fork`, without locks.
    pub fn room() -> usize {
        super::CENTRAL.cow_budget()
    }
}
