//! Checking the calling thread's cache: does every magazine hold as many free objects of its class
//! as its counts say? Reads only; other threads' caches cannot be read, as their owners change
//! them.

use super::cache::ThreadCache;
use crate::central::verify::chain_is_sound;
use crate::page::size_class::SizeClass;

/// Whether every magazine of `cache` is what its counts say. For the owner.
pub fn is_sound(cache: &ThreadCache) -> bool {
    SizeClass::all().all(|class| {
        chain_is_sound(class, cache.loaded(class)) && chain_is_sound(class, cache.spare(class))
    })
}
