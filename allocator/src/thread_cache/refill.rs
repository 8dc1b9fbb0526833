//! What `malloc` does when the loaded magazine is empty: it takes the spare one, or asks the
//! central tier for objects.
//!
//! [`refill`] sees the tier below through `CentralTier`, so that tests can use a scripted one
//! (`tier_tests`). No lock is held here.

use super::cache::{ThreadCache, current};
use super::enter::enter;
use super::sampling::{self, split};
use super::{orphans, registry, shared_blocks, sizing};
use crate::central::chain::{Chain, FreeObject};
use crate::central::{CentralTier, SharedTier};
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use core::ptr;

/// An object of `class` for a request of `size` bytes by a thread whose loaded magazine is empty;
/// null without memory.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn pop_slow(class: SizeClass, size: usize) -> *mut u8 {
    // Before the cache is entered, because it flushes magazines of other caches.
    orphans::adopt_a_part();
    let Some(cache) = enter() else {
        return pop_uncached(SharedTier, class, size);
    };
    refill(SharedTier, &cache, class, size)
}

/// Takes an object of `class` for a request of `size` bytes, and loads a magazine; null without
/// memory. For the owner of `cache`, who has entered it.
#[inline(always)]
pub(super) fn refill(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    size: usize,
) -> *mut u8 {
    if !cache.head(class).is_null() {
        // The cache came into being a moment ago, and its registration used and filled it.
        let object = cache.pop(class);
        if !object.is_null() {
            return object;
        }
    }
    let mut chain = cache.take_spare(class);
    if chain.is_empty() {
        if shared_blocks::distribute_if_many(tier, cache) {
            let object = cache.pop(class);
            if !object.is_null() {
                return object;
            }
        }
        let first = !sizing::is_active(cache, class);
        sizing::note_central_call(tier, cache, class);
        let limit = cache.limit(class);
        // The first objects come from cache lines of their own: the thread gets again what it
        // frees.
        let request = sizing::refill_size(tier, cache, class, first);
        chain = tier.refill(class, size, request, first, cache.member.shard());
        if chain.is_empty() {
            return ptr::null_mut();
        }
        if limit > 0 {
            sizing::grow(tier, cache, class);
        }
    }
    // The first object goes to the caller, so that a class without a limit yet has no room.
    let object = chain.head;
    // SAFETY: the chain has an object, and belongs to this call: it was the spare magazine of the
    // caller's cache, or came from the central tier.
    unsafe {
        let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
        FreeObject::hand_out(object, class);
        load(cache, class, rest);
    }
    object.cast()
}

/// Makes `chain`, whose first object went to the program, the loaded magazine. In a thread that
/// samples, the magazine gets no more objects than may be allocated before the next sample; the
/// rest becomes the spare magazine, which is empty.
#[inline]
pub(super) fn load(cache: &ThreadCache, class: SizeClass, mut chain: Chain) {
    let capacity = chain.count.max(cache.limit(class));
    let Some(counter) = cache.counter() else {
        return cache.set_loaded(class, chain, capacity);
    };
    // Room to push without a look at once; a class that was never freed has none.
    let limit = cache.limit(class);
    let capacity = if limit > 0 { capacity.max(chain.count + limit / 2) } else { capacity };
    counter.took(class, cache.popped(class) + 1);
    let most = counter.most(class, capacity);
    if most < chain.count {
        let (few, rest) = split(chain, most / 2);
        cache.set_spare(class, rest);
        chain = few;
    }
    cache.set_loaded_with_budget(class, chain, most - chain.count);
}

/// An object of `class` for a thread without a cache; null without memory.
pub(super) fn pop_uncached(tier: impl CentralTier, class: SizeClass, size: usize) -> *mut u8 {
    let chain = tier.refill(class, size, 1, false, Shard::FIRST);
    if chain.is_empty() {
        return ptr::null_mut();
    }
    let object = chain.head;
    // SAFETY: the chain came from the central tier and has an object. The rest goes back there:
    // free objects of `class`, linked.
    unsafe {
        if chain.count > 1 {
            let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
            tier.flush_to_spans(class, rest);
        }
        FreeObject::hand_out(object, class);
    }
    object.cast()
}

/// Whether a sample is due with the next block of `class` that the calling thread allocates. Its
/// magazine is empty then.
#[inline]
pub fn is_sample_due(class: SizeClass) -> bool {
    registry::threads_sample() && is_due_in_own_cache(class)
}

/// Once per magazine. The objects that were popped are counted only if a sample is due: their
/// number also says how many the next refill asks for.
#[inline]
fn is_due_in_own_cache(class: SizeClass) -> bool {
    // Placeholders have no counter.
    let cache = current();
    if cache.counter().is_some_and(|counter| !sampling::is_due(cache, counter, class)) {
        return false;
    }
    // A thread that ends, or that got no memory for a cache.
    let Some(cache) = enter() else { return sampling::is_due_without_counter(class.size()) };
    cache.counter().is_some_and(|counter| {
        let due = sampling::is_due(&cache, counter, class);
        if due {
            cache.count_popped(counter, class);
        }
        due
    })
}
