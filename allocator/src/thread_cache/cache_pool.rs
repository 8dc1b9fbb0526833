//! A pool of caches that ended threads left as they were, magazines and limits and all, for threads
//! that begin next.
//!
//! Where threads live for one small job, filling a cache and flushing it is most of what they cost.
//! The background thread empties caches that no thread has taken within a second or two. The
//! registry's lock guards the pool; nothing is flushed under it. The hardened build has no pool.
//!
//! The bound is one on the bytes of all caches in the pool, as that of the transfer caches is: a
//! thread that ends and one that begins exchange a cache whatever its size, and many small caches
//! fit as well. It grows with the most threads that there lately were, as waves of threads end
//! together before the next wave begins.

use super::cache::ThreadCache;
use super::{registry, sizing};
use crate::base::steps;
use crate::central::chain::{Chain, Search};
use crate::central::{CentralTier, SharedTier};
use crate::config::{PART_CLASSES, PART_MAGAZINES};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::sync::Ordering;
use core::ptr;

/// Most caches in the pool.
const MOST: usize = 16;
/// The share of what may wait in the transfer caches of one thread that may lie in the pool: half a
/// megabyte by default.
const SHARE: usize = 4;
/// The share that each thread adds to it: half of what it adds there. With as much as there, 64
/// threads of brief lives took a twentieth more memory (`docs/decisions/`, 023).
const SHARE_PER_THREAD: usize = 128;

/// Most bytes in the caches of the pool, where there were `threads` threads lately.
pub(super) fn most_bytes(threads: usize) -> usize {
    let of_one = parameters::get(Id::TransferCacheBytes);
    (of_one / SHARE).saturating_add((of_one / SHARE_PER_THREAD).saturating_mul(threads))
}

/// Puts `cache`, whose thread has ended, into the pool, with all it holds. Returns whether it did.
pub(super) fn put(cache: &ThreadCache) -> bool {
    // The hardened build checks every freed block, and does so soon. While caches wind down, what
    // they hold is to go home.
    if HARDENED || SharedTier.is_winding_down() {
        return false;
    }
    let bytes = cache.held_bytes();
    let registry = &mut *registry::lock();
    let pool = &mut registry.pool;
    if pool.count >= MOST || pool.bytes + bytes > most_bytes(pool.threads) {
        return false;
    }
    registry.births += 1;
    // Relaxed, both: the lock orders.
    cache.birth.store(registry.births, Ordering::Relaxed);
    cache.pooled.store(bytes, Ordering::Relaxed);
    // SAFETY: the caller's cache is in no list any more, and records are never freed.
    unsafe { pool.list.push_front(ptr::from_ref(cache).cast_mut()) };
    pool.count += 1;
    pool.bytes += bytes;
    pool.emptied = 1;
    true
}

/// Whether the object of the search is in a cache of the pool, as far as the search may go. For the
/// check for double frees.
pub fn contains(class: SizeClass, search: &mut Search) -> bool {
    let list = &registry::lock().pool.list;
    let mut node = list.first();
    while !node.is_null() {
        // SAFETY: a node of the list, which the lock keeps there. Nobody uses a cache in the pool.
        unsafe {
            if (*node).loaded(class).contains(search) || (*node).spare(class).contains(search) {
                return true;
            }
            node = list.next(node);
        }
    }
    false
}

/// Whether there is no cache in the pool.
pub fn is_empty() -> bool {
    registry::lock().pool.count == 0
}

/// Empties the caches in the pool: all, or those that no thread took since the last call
/// (`unneeded`). Returns how many those were.
pub fn empty(unneeded: bool) -> usize {
    let mut left = if unneeded { unneeded_count() } else { MOST };
    let mut done = 0;
    while left > 0 {
        match empty_a_part() {
            Part::Some => {}
            Part::Last => {
                left -= 1;
                done += 1;
            }
            Part::None => break,
        }
    }
    done
}

/// How many of the caches no thread needed since the last call.
pub fn unneeded_count() -> usize {
    let registry = &mut *registry::lock();
    let pool = &mut registry.pool;
    pool.threads = registry.live_count;
    core::mem::replace(&mut pool.low, pool.count)
}

/// What a part of `empty` did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It flushed some of a cache.
    Some,
    /// It flushed the last of a cache, which left the pool.
    Last,
    /// There was no cache.
    None,
}

/// Flushes some of the cache that a thread would take next, or recycles it if it is empty.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn empty_a_part() -> Part {
    let mut chains = [(SizeClass::NONE, Chain::EMPTY); PART_MAGAZINES];
    let mut count = 0;
    let mut part = Part::Some;
    {
        let mut registry = registry::lock();
        let pool = &mut registry.pool;
        // SAFETY: null or a node of the list, which the lock keeps there; records are never freed.
        let Some(cache) = (unsafe { pool.list.first().as_ref() }) else { return Part::None };
        for _ in 0..PART_CLASSES {
            steps::add(1);
            let Some(class) = SizeClass::from_index(pool.emptied) else {
                let cache = pool.take();
                // SAFETY: the record was taken out of its list, so nobody else uses it: its thread
                // has ended.
                unsafe { registry.recycle(cache) };
                part = Part::Last;
                break;
            };
            pool.emptied += 1;
            for chain in [cache.take_loaded(class, 0), cache.take_spare(class)] {
                if !chain.is_empty() {
                    chains[count] = (class, chain);
                    count += 1;
                }
            }
            if cache.limit(class) > 0 {
                sizing::shrink(cache, class, 0);
            }
            if count + 2 > PART_MAGAZINES {
                break;
            }
        }
    }
    for (class, chain) in chains.into_iter().take(count) {
        // SAFETY: a magazine's objects are of its class, free and linked. It was taken out of a
        // cache in the pool, which nobody uses.
        unsafe { SharedTier.flush_to_spans(class, chain) };
    }
    part
}
