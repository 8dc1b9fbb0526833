//! Caches of threads that did not survive a `fork`.
//!
//! The child has one thread, but the registry lists the caches of the parent's others. They become *orphans* and are
//! emptied bit by bit as the child needs memory, so that a child that only calls `exec` pays nothing.

use super::cache::ThreadCache;
use super::registry;
use crate::base::steps;
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
        steps::add(1);
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

/// Empties a part of an orphan, if there is any.
pub(super) fn adopt_a_part() {
    // Relaxed: only a hint; the list is looked at under the lock.
    if COUNT.load(Ordering::Relaxed) != 0 {
        adopt();
    }
}

/// Cold: in forked children alone.
#[cold]
fn adopt() {
    let mut found = [Found::NOTHING; MOST];
    let count = {
        let mut registry = registry::lock();
        let cache = registry.orphans.first();
        if cache.is_null() {
            return;
        }
        // SAFETY: a node of the list, which the lock keeps there; records are never freed.
        let (count, is_over) = take_some(unsafe { &*cache }, &mut registry.adopted, &mut found);
        if is_over {
            // SAFETY: as above, and nobody else has the cache, which is in no list then.
            unsafe {
                registry.orphans.remove(cache);
                (*cache).birth.store(0, Ordering::Relaxed);
                registry.recycle(cache);
            }
            registry.adopted = 0;
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
        count
    };
    for Found { class, head, most } in found.into_iter().take(count) {
        // SAFETY: what `take_some` found nobody else has; its thread may have stopped anywhere in an operation, so
        // only links that lead to free objects of the class are followed.
        unsafe {
            #[cfg(feature = "hardened")]
            super::clear::check_all(class, Chain { head, count: most });
            salvage(class, head, most);
        }
    }
}

/// What was the first object of a magazine or of a chain in quarantine, and how many objects there are at most.
#[derive(Clone, Copy)]
struct Found {
    class: SizeClass,
    head: *mut FreeObject,
    most: usize,
}

impl Found {
    const NOTHING: Self = Self { class: SizeClass::NONE, head: ptr::null_mut(), most: 0 };
}

/// Chains that are taken in a part, at most, and classes that are looked at.
const MOST: usize = PER_CLASS;
/// See `MOST`.
const LOOKS: usize = 32;

/// Takes some of what is left in an orphan, from the class with the number `next` on. Returns how much, and whether that
/// was all. Under the registry's lock.
fn take_some(cache: &ThreadCache, next: &mut usize, found: &mut [Found; MOST]) -> (usize, bool) {
    let mut count = 0;
    let mut note = |class, head: *mut FreeObject, most| {
        if !head.is_null() {
            found[count] = Found { class, head, most };
            count += 1;
        }
        count
    };
    *next = (*next).max(1);
    for _ in 0..LOOKS {
        steps::add(1);
        let Some(class) = SizeClass::from_index(*next) else {
            #[cfg(feature = "hardened")]
            while let Some((class, head)) = cache.quarantine.take_big() {
                if note(class, head, 1) == MOST {
                    return (MOST, false);
                }
            }
            return (note(SizeClass::NONE, ptr::null_mut(), 0), true);
        };
        *next += 1;
        let [loaded, spare] = cache.take_heads(class);
        // Where a cache was parked, what is left is one object, whose link leads to others' memory.
        note(class, loaded, if cache.is_emptied(class) { 1 } else { MAGAZINE_MAX_COUNT });
        note(class, spare, MAGAZINE_MAX_COUNT);
        #[cfg(feature = "hardened")]
        cache.quarantine.steal(class, |class, head| {
            let emptied = cache.is_quarantine_emptied(class);
            note(class, head, if emptied { 1 } else { MAGAZINE_MAX_COUNT });
        });
        let count = note(class, ptr::null_mut(), 0);
        if count + PER_CLASS > MOST {
            return (count, false);
        }
    }
    (note(SizeClass::NONE, ptr::null_mut(), 0), false)
}

/// Chains of one class.
const PER_CLASS: usize = if cfg!(feature = "hardened") { 4 } else { 2 };

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
        unsafe { CENTRAL.flush_salvaged(class, Chain { head, count }) };
    }
}
