//! Caches that are kept as their threads left them, magazines and limits and all, for the threads that are born next.
//! Where threads live for one small job, filling a cache and sending it home is most of what they cost. What nobody takes
//! within a second or two is sent home by the background thread.

use super::cache::ThreadCache;
use super::{registry, sizing};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, Search};
use crate::page::size_class::SizeClass;
use core::ptr;

/// Most caches that are kept, and most bytes in each: half a megabyte in all.
const MOST: usize = 4;
const MOST_BYTES: usize = 128 * 1024;

/// Keeps `cache`, whose thread has ended, with all it holds. Returns whether it did.
pub(super) fn put(cache: &ThreadCache) -> bool {
    // Hardened builds look at every freed block, and that soon.
    if cfg!(feature = "hardened") || cache.held_bytes() > MOST_BYTES {
        return false;
    }
    let pool = &mut registry::lock().pool;
    if pool.count >= MOST {
        return false;
    }
    // SAFETY: the record is in no list, and records are never freed.
    unsafe { pool.list.push_front(ptr::from_ref(cache).cast_mut()) };
    pool.count += 1;
    pool.emptied = 1;
    true
}

/// Whether the object that is looked for lies in one of them, as far as the search comes: for the double-free check only.
pub fn contains(class: SizeClass, search: &mut Search) -> bool {
    let list = &registry::lock().pool.list;
    let mut node = list.first();
    while !node.is_null() {
        // SAFETY: nodes of the list are live, and the lock keeps them there; nobody uses them meanwhile.
        unsafe {
            if (*node).loaded(class).contains(search) || (*node).spare(class).contains(search) {
                return true;
            }
            node = list.next(node);
        }
    }
    false
}

/// Sends home what is in them: of all, or of those that no thread took since the last call (`unneeded`). Returns how many
/// caches that were.
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

/// How many of them no thread needed since the last call.
pub fn unneeded_count() -> usize {
    let pool = &mut registry::lock().pool;
    core::mem::replace(&mut pool.low, pool.count)
}

/// What a part did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Sent home some of a cache.
    Some,
    /// The last of one.
    Last,
    /// There was none.
    None,
}

/// Classes that are looked at in a part, and magazines that it sends home.
const PART_LOOKS: usize = 32;
/// See `PART_LOOKS`.
const PART_CHAINS: usize = 2;

/// Sends home some of what is in the cache that a thread would take next, or strikes it off when that was all.
pub fn empty_a_part() -> Part {
    let mut chains = [(SizeClass::NONE, Chain::EMPTY); PART_CHAINS];
    let mut count = 0;
    let mut part = Part::Some;
    {
        let mut registry = registry::lock();
        let pool = &mut registry.pool;
        // SAFETY: a node of the list, which the lock keeps there.
        let Some(cache) = (unsafe { pool.list.first().as_ref() }) else { return Part::None };
        for _ in 0..PART_LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index(pool.emptied) else {
                let cache = pool.take();
                // SAFETY: out of the list, so nobody else's; the thread that had it is gone.
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
            if count + 2 > PART_CHAINS {
                break;
            }
        }
    }
    for (class, chain) in chains.into_iter().take(count) {
        // SAFETY: the magazine was the cache's, which nobody used, and now is ours.
        unsafe { CENTRAL.flush_to_spans(class, chain) };
    }
    part
}
