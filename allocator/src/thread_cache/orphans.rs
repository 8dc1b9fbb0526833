//! Caches of threads that did not survive a `fork`.
//!
//! The child has one thread, but the registry lists the caches of the parent's others. They become
//! *orphans*, and are emptied bit by bit as the child needs memory, so that a child that only calls
//! `exec` pays nothing. The registry's lock guards the list of them; nothing is flushed under it.

use super::cache::{CHAINS_PER_CLASS, ThreadCache};
use super::{clear, registry};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::config::{MAGAZINE_MAX_COUNT, PART_CLASSES};
use crate::os::linux::thread_number;
use crate::os::thread_slot;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Ordering};
use core::ptr;

/// Number of orphans, read without the lock on slow paths: 0 unless this is a forked child.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// In a forked child: makes an orphan of every cache but the calling thread's.
///
/// # Safety
/// The calling thread holds the registry's lock through `registry::fork_lock`, and no other thread
/// exists.
pub unsafe fn orphan_others() {
    // SAFETY: the caller holds the lock, and has no other reference to the registry.
    let registry = unsafe { registry::of_lock_holder() };
    let own = thread_slot::own().cast();
    let mut node = registry.live.first();
    let mut orphans = 0;
    while !node.is_null() {
        steps::add(1);
        // SAFETY: a node of the list, which the lock keeps there. Its thread does not exist in this
        // process, unless it is the calling one.
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
    // The threads that are gone are no reason for anybody to cache less.
    registry.note_survivors();
}

/// Number of orphans.
#[cfg(all(test, not(loom)))]
pub(super) fn count() -> usize {
    // Relaxed: a test asks in a child with one thread.
    COUNT.load(Ordering::Relaxed)
}

/// Empties a part of an orphan, if there is any.
pub(super) fn adopt_a_part() {
    // Relaxed: only a hint; `adopt` looks at the list under the lock.
    if COUNT.load(Ordering::Relaxed) != 0 {
        adopt();
    }
}

/// Empties a part of an orphan. Cold: only forked children have any.
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
            // SAFETY: a node of the list, which the lock keeps there. Its thread does not exist, so
            // nobody uses the record, and it is in no list once it was removed.
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
        // SAFETY: nobody else has what `take_some` took out of the orphan: the first object of a
        // chain of `class`. In the hardened build a link that was not written whole ends the
        // process when it is followed.
        unsafe {
            if HARDENED {
                clear::check_all(class, Chain { head, count: most });
            }
            salvage(class, head, most);
        }
    }
}

/// The first object of a magazine or of a chain in quarantine, and the most objects that follow,
/// itself included.
#[derive(Clone, Copy)]
struct Found {
    class: SizeClass,
    head: *mut FreeObject,
    most: usize,
}

impl Found {
    const NOTHING: Self = Self { class: SizeClass::NONE, head: ptr::null_mut(), most: 0 };
}

/// Most chains that a part takes: those of one class.
const MOST: usize = CHAINS_PER_CLASS;

/// Takes some of what is left in an orphan, from the class with the number `next` on. Returns how
/// many chains, and whether these were the last. The caller holds the registry's lock.
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
    for _ in 0..PART_CLASSES {
        steps::add(1);
        let Some(class) = SizeClass::from_index(*next) else {
            while let Some((class, head)) = cache.quarantine.take_big() {
                if note(class, head, 1) == MOST {
                    return (MOST, false);
                }
            }
            return (note(SizeClass::NONE, ptr::null_mut(), 0), true);
        };
        *next += 1;
        let [loaded, spare] = cache.take_heads(class);
        // If the cache was parked, one object is left at most, and its link leads to memory of
        // others.
        note(class, loaded, if cache.is_emptied(class) { 1 } else { MAGAZINE_MAX_COUNT });
        note(class, spare, MAGAZINE_MAX_COUNT);
        cache.quarantine.steal(class, |class, head| {
            let emptied = cache.is_quarantine_emptied(class);
            note(class, head, if emptied { 1 } else { MAGAZINE_MAX_COUNT });
        });
        let count = note(class, ptr::null_mut(), 0);
        if count + CHAINS_PER_CLASS > MOST {
            return (count, false);
        }
    }
    (note(SizeClass::NONE, ptr::null_mut(), 0), false)
}

/// Returns the objects that can be reached from `head` to their spans, `most` at most. It counts
/// them anew, because their thread may have stopped between two stores.
///
/// # Safety
/// `head` is null, or was the head of a magazine of `class` when its thread ceased to exist.
unsafe fn salvage(class: SizeClass, head: *mut FreeObject, most: usize) {
    let mut count = 0;
    let mut object = head;
    // Longer than any magazine means a link that was never one.
    while count < most {
        let addr = object as usize;
        if object.is_null() || addr >> 48 != 0 {
            break;
        }
        let found = PAGE_MAP.class(addr);
        if found != class && found != SizeClass::SHARED {
            break;
        }
        count += 1;
        // SAFETY: the page map says that this is memory of a span of `class`, which has two words
        // to read.
        object = unsafe { FreeObject::next(object) };
    }
    if count > 0 {
        // SAFETY: `count` linked objects of `class`, which no thread of this process uses.
        unsafe { CENTRAL.flush_salvaged(class, Chain { head, count }) };
    }
}
