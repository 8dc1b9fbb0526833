//! Checking the calling thread's cache: does every magazine hold as many free objects of its class
//! as its counts say? It only reads. Other threads' caches cannot be read: their owners change
//! them.

use super::cache::ThreadCache;
use super::enter::enter_if_live;
use crate::central::verify::chain_is_sound;
use crate::page::size_class::SizeClass;

/// Whether every magazine of the calling thread is what its counts say.
pub fn own_is_sound() -> bool {
    enter_if_live().is_none_or(|cache| is_sound(&cache))
}

fn is_sound(cache: &ThreadCache) -> bool {
    SizeClass::cached().all(|class| {
        chain_is_sound(class, cache.loaded(class)) && chain_is_sound(class, cache.spare(class))
    })
}
