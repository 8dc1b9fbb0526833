//! Caches that are kept as their threads left them, magazines and limits and all, for the threads that are born next.
//! Where threads live for one small job, filling a cache and sending it home is most of what they cost. What nobody takes
//! within a second or two is sent home by the background thread.

use super::cache::ThreadCache;
use super::{exchange, registry};
use crate::base::list::List;
use crate::central::chain::Search;
use crate::page::size_class::SizeClass;
use core::ptr;

/// Most caches that are kept, and most bytes in each: half a megabyte in all.
const MOST: usize = 4;
const MOST_BYTES: usize = 128 * 1024;

/// The caches that are kept: a part of the registry, under its lock.
pub(super) struct CachePool {
    pub(super) list: List<ThreadCache>,
    count: usize,
    /// Fewest of them since the background thread last looked: so many nobody needed.
    low: usize,
}

impl CachePool {
    pub(super) const fn new() -> Self {
        Self { list: List::new(), count: 0, low: 0 }
    }

    /// One of them, or null.
    pub(super) fn take(&mut self) -> *mut ThreadCache {
        let cache = self.list.pop_front();
        if !cache.is_null() {
            self.count -= 1;
            self.low = self.low.min(self.count);
        }
        cache
    }
}

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
    let mut left = {
        let pool = &mut registry::lock().pool;
        let low = core::mem::replace(&mut pool.low, pool.count);
        if unneeded { low } else { pool.count }
    };
    let mut done = 0;
    while left > 0 {
        left -= 1;
        let cache = registry::lock().pool.take();
        if cache.is_null() {
            break;
        }
        done += 1;
        // SAFETY: out of the list, so nobody else's; the thread that had it is gone.
        unsafe {
            exchange::flush(&*cache);
            registry::lock().recycle(cache);
        }
    }
    done
}
