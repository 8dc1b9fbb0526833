//! Caches of threads that did not survive a `fork`.
//!
//! The child has one thread, but the registry lists the caches of the parent's others. They become *orphans* and are
//! emptied one by one as the child needs memory, so that a child that only calls `exec` pays nothing.

use super::registry;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::config::MAGAZINE_MAX_COUNT;
use crate::os::linux::thread_number;
use crate::os::thread_slot;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, Ordering};
use core::ptr;

/// Number of orphans: read without the lock on slow paths, 0 unless this is a forked child.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// In a forked child, with the registry's lock held: every cache but the calling thread's becomes an
/// orphan.
///
/// # Safety
/// The calling thread holds the registry's lock through `registry::fork_lock`, and no other thread exists.
pub unsafe fn orphan_others() {
    // SAFETY: the lock is held by the caller.
    let registry = unsafe { registry::of_lock_holder() };
    let own = thread_slot::own().cast();
    let mut node = registry.live.first();
    let mut orphans = 0;
    while !node.is_null() {
        // SAFETY: nodes of the list are live.
        unsafe {
            let next = registry.live.next(node);
            if ptr::eq(node, own) {
                // Relaxed: there is no other thread.
                (*node).thread.store(thread_number(), Ordering::Relaxed);
            } else {
                registry.orphan(node);
                orphans += 1;
            }
            node = next;
        }
    }
    // Relaxed: there is no other thread.
    COUNT.fetch_add(orphans, Ordering::Relaxed);
    // Nor are the threads that are gone a reason for anybody to cache less.
    registry.note_survivors();
}

/// Empties one orphan, if there is any.
pub(super) fn adopt_one() {
    // Relaxed: only a hint; the list is looked at under the lock.
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let cache = registry::lock().orphans.pop_front();
    if cache.is_null() {
        return;
    }
    COUNT.fetch_sub(1, Ordering::Relaxed);
    #[cfg(feature = "hardened")]
    // SAFETY: nobody else has the cache, and records are never freed.
    while let Some((class, head)) = unsafe { (*cache).quarantine.take() } {
        // SAFETY: as the magazines below.
        unsafe {
            let most = if (*cache).was_emptied() { 1 } else { MAGAZINE_MAX_COUNT };
            super::clear::check_all(class, Chain { head, count: most });
            salvage(class, head, most);
        }
    }
    for class in SizeClass::all() {
        // SAFETY: nobody else has the cache; its thread may have stopped anywhere in an operation, so
        // only links that lead to free objects of the class are followed.
        unsafe {
            // Where a cache was parked, what is left is one object, whose link leads to others' memory.
            let most = if (*cache).is_emptied(class) { 1 } else { MAGAZINE_MAX_COUNT };
            salvage(class, (*cache).head(class), most);
            salvage(class, (*cache).spare(class).head, MAGAZINE_MAX_COUNT);
        }
    }
    // SAFETY: the record is in no list.
    unsafe { registry::lock().recycle(cache) };
}

/// Sends home what can be reached from `head`, looking at `most` objects at most, counting anew: the thread may have
/// been between two stores.
///
/// # Safety
/// `head` is null or was the head of a magazine of `class` when its thread vanished.
unsafe fn salvage(class: SizeClass, head: *mut FreeObject, most: usize) {
    let mut count = 0;
    let mut object = head;
    // Longer than any magazine means a link that was never one.
    while count < most {
        let addr = object as usize;
        if object.is_null() || addr >> 48 != 0 || PAGE_MAP.class(addr) != class {
            break;
        }
        count += 1;
        // SAFETY: the page map says that this is memory of a small span.
        object = unsafe { FreeObject::next(object) };
    }
    if count > 0 {
        // SAFETY: `count` linked objects of `class` that no thread of this process uses.
        unsafe { CENTRAL.give_home_salvaged(class, Chain { head, count }) };
    }
}
