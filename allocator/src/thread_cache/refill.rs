//! What `malloc` does when the loaded magazine is empty: it takes the spare one, or fetches objects from the central tier.

use super::cache::ThreadCache;
use super::enter::enter;
use super::sampling_refill::split;
use super::{orphans, sizing};
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;

/// An object of `class` for a request of `size` bytes by a thread whose loaded magazine is empty; null without memory.
#[cold]
#[inline(never)]
pub fn pop_slow(class: SizeClass, size: usize) -> *mut u8 {
    // Before the cache is entered: it sends magazines home.
    orphans::adopt_a_part();
    let Some(cache) = enter() else {
        return pop_uncached(class, size);
    };
    let cache = &*cache;
    if !cache.head(class).is_null() {
        // The cache came into being a moment ago, and registering it used and filled it.
        let object = cache.pop(class);
        if !object.is_null() {
            return object;
        }
    }
    let mut chain = cache.take_spare(class);
    if chain.is_empty() {
        let first = !sizing::is_active(cache, class);
        sizing::note_exchange(cache, class);
        let limit = cache.limit(class);
        // Its first ones from lines of its own: what it frees later, it gets again.
        let request = sizing::fetch_size(cache, class, first);
        chain = CENTRAL.fetch(class, size, request, first, cache.member.shard());
        if chain.is_empty() {
            return core::ptr::null_mut();
        }
        if limit > 0 {
            sizing::grow(cache, class);
        }
    }
    // The first object goes to the caller, so that a class without a limit yet has no room.
    let object = chain.head;
    // SAFETY: the chain is ours and has an object.
    unsafe {
        let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
        FreeObject::hand_out(object, class);
        load(cache, class, rest);
    }
    object.cast()
}

/// Makes `chain` the loaded magazine, what went before it to the caller. Where the thread counts, no more than may be
/// allocated before the next sample; the rest becomes the spare magazine, which is empty.
#[inline]
pub(super) fn load(cache: &ThreadCache, class: SizeClass, mut chain: Chain) {
    let capacity = chain.count.max(cache.limit(class));
    let Some(counter) = cache.counter() else {
        return cache.set_loaded(class, chain, capacity);
    };
    counter.took(class, cache.popped(class) + 1);
    let most = counter.most(class, capacity);
    if most < chain.count {
        let (few, rest) = split(chain, most / 2);
        cache.set_spare(class, rest);
        chain = few;
    }
    cache.set_loaded_counted(class, chain, most - chain.count);
}

/// An object of `class` without a cache; null without memory.
fn pop_uncached(class: SizeClass, size: usize) -> *mut u8 {
    let chain = CENTRAL.fetch(class, size, 1, false, Shard::FIRST);
    if chain.is_empty() {
        return core::ptr::null_mut();
    }
    let object = chain.head;
    // SAFETY: the chain is ours and has an object; the rest goes back where it came from.
    unsafe {
        if chain.count > 1 {
            let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
            CENTRAL.give_home(class, rest);
        }
        FreeObject::hand_out(object, class);
    }
    object.cast()
}
