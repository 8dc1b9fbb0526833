//! What the slot of a thread names: its cache, a placeholder, or the address that its frees go by.
//!
//! All changes are made under the registry's lock, by the owner or by the thread that parks the
//! cache. A thread reads its own slot without it.

use super::cache::{FULL, PARKED, SampleCounter, ThreadCache};
use super::drain;
use super::parked_state::{EMPTIED, INTACT, NOT};
use super::push_target::PushTarget;
use super::registry::{self, Registry};
use crate::central::SharedTier;
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::Ordering;
use core::ptr;

/// Lets the calling thread's slot name what belongs there while `cache`, its own, is not parked.
/// The caller holds the lock.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub(super) fn publish_cache(cache: &ThreadCache) {
    let samples = registry::threads_sample();
    if samples && cache.counter().is_none() {
        // The cache came into being before it was decided that threads sample.
        // SAFETY: the calling thread's own cache, which is on a slow path.
        unsafe { drain::flush(SharedTier, cache) };
        // Relaxed: the owner's own; the lock orders it for others.
        cache.counter.store(SampleCounter::obtain(), Ordering::Relaxed);
    }
    let own = ptr::from_ref(cache).cast_mut().cast();
    let full = PushTarget::of(&FULL).as_word();
    // The hardened build pushes into the quarantine, for which samples need no budget, and does not
    // trust sizes.
    let (push, sized) = match (cache.avoids_cow(), samples && !HARDENED) {
        (true, _) => (full, full),
        (false, true) => (PushTarget::of_sampling(cache).as_word(), full),
        (false, false) => (own, own),
    };
    thread_slot::set(own, push, sized);
}

/// Lets the calling thread's slot name what belongs there after `cache`, its own, has changed its
/// ways.
pub(super) fn republish_cache(cache: &ThreadCache) {
    let _registry = registry::lock();
    repair(cache);
    publish_cache(cache);
}

/// The thread-local words of the cache's owner.
pub(super) fn slot_of(cache: &ThreadCache) -> *mut usize {
    // Relaxed: the registry's lock, which the caller holds, orders.
    cache.slot.load(Ordering::Relaxed)
}

/// Diverts the calling thread: its next allocation takes a slow path, whatever its size. Frees go
/// on as before, so that the thread stays diverted while it frees much in a row.
pub fn divert_own() {
    let own = thread_slot::own().cast::<ThreadCache>();
    if own.is_null() {
        return;
    }
    let mut registry = registry::lock();
    // SAFETY: the calling thread's own record; records are never freed.
    let cache = unsafe { &*own };
    // Relaxed: the lock orders.
    if cache.parked.load(Ordering::Relaxed) == NOT {
        note_naming(&mut registry, cache);
        thread_slot::set_pop((&raw const PARKED).cast_mut().cast());
    }
}

/// Notes that the slot of the owner of `cache` is made to name the placeholder, in one word or in
/// all.
fn note_naming(registry: &mut Registry, cache: &ThreadCache) {
    registry.namings += 1;
    // Relaxed: the lock orders.
    cache.naming.store(registry.namings, Ordering::Relaxed);
    cache.parked.store(INTACT, Ordering::Relaxed);
}

/// Lets the slot of the owner of `cache`, which is not parked, name `PARKED`.
///
/// # Safety
/// The thread exists, its cache is in the list of live ones, and the caller holds the registry's
/// lock. So the thread has not taken its cache down, which it does under that lock, and its
/// thread-local words are there.
pub(super) unsafe fn publish_parked(registry: &mut Registry, cache: &ThreadCache) {
    note_naming(registry, cache);
    let parked = (&raw const PARKED).cast_mut().cast();
    // SAFETY: the thread exists and has not taken its cache down, so its words are there.
    unsafe { thread_slot::write(slot_of(cache), parked, parked, parked) };
}

/// Repairs the classes of `cache` that were taken, and notes that it is not parked any more. For
/// the owner, with no operation under way, who holds the registry's lock: nobody is parking the
/// cache.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn repair(cache: &ThreadCache) {
    // Relaxed, here and below: the lock orders.
    if cache.parked.load(Ordering::Relaxed) >= EMPTIED {
        for class in SizeClass::cached().filter(|&class| cache.is_emptied(class)) {
            cache.finish_steal(class);
        }
        if HARDENED {
            for class in SizeClass::all().filter(|&class| cache.is_quarantine_emptied(class)) {
                cache.quarantine.finish_steal(class);
            }
        }
    }
    cache.parked.store(NOT, Ordering::Relaxed);
}
