//! What the slot of a thread names: its cache, a placeholder, or the address that its frees go by.
//!
//! All changes are made under the registry's lock, by the owner or by the thread that parks the cache.

use super::cache::{FULL, PARKED, ThreadCache};
use super::drain;
use super::parked_state::{EMPTIED, INTACT, NOT};
use super::push_target::PushTarget;
use super::registry::{self, Registry};
use super::sample_counter::SampleCounter;
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use core::ptr;

/// Lets the calling thread's slot name what belongs there while `cache`, its own, is not parked. Under the lock.
pub(super) fn publish_cache(cache: &ThreadCache) {
    let counts = registry::counts();
    if counts && cache.counter().is_none() {
        // It came into being before it was decided that threads count.
        // SAFETY: the calling thread's own, which is on a slow path.
        unsafe { drain::flush(cache) };
        cache.counter.store(SampleCounter::obtain(), Ordering::Relaxed);
    }
    let own = ptr::from_ref(cache).cast_mut().cast();
    let full = PushTarget::of(&FULL).as_word();
    // Hardened builds push into the quarantine, which has no free slots, and do not believe sizes.
    let (push, sized) = match (cache.avoids_cow(), counts && !cfg!(feature = "hardened")) {
        (true, _) => (full, full),
        (false, true) => (PushTarget::of_counted(cache).as_word(), full),
        (false, false) => (own, own),
    };
    thread_slot::set(own, push, sized);
}

/// As `publish_cache`, after what decides about it was changed. For the owner of `cache`.
pub(super) fn republish_cache(cache: &ThreadCache) {
    let _registry = registry::lock();
    repair(cache);
    publish_cache(cache);
}

/// The thread-local words of the cache's owner.
pub(super) fn slot_of(cache: &ThreadCache) -> *mut usize {
    cache.slot.load(Ordering::Relaxed)
}

/// Lets the calling thread's next allocation take a slow path, wherever it goes. Frees go on as before, so that what
/// was diverted stays so while a program frees much in a row.
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

/// Notes that the slot of the owner of `cache` is made to name the placeholder, in part or in all.
fn note_naming(registry: &mut Registry, cache: &ThreadCache) {
    registry.namings += 1;
    // Relaxed: the lock orders.
    cache.naming.store(registry.namings, Ordering::Relaxed);
    cache.parked.store(INTACT, Ordering::Relaxed);
}

/// Lets the slot of the owner of `cache`, which is not parked, name `PARKED`.
///
/// # Safety
/// The thread exists and is listed, and the registry's lock is held: the thread has not taken its cache down,
/// which it would do under that lock; its thread-local words are there.
pub(super) unsafe fn publish_parked(registry: &mut Registry, cache: &ThreadCache) {
    note_naming(registry, cache);
    let parked = (&raw const PARKED).cast_mut().cast();
    // SAFETY: by the caller's word.
    unsafe { thread_slot::write(slot_of(cache), parked, parked, parked) };
}

/// Brings the magazines in order that were taken. For the owner, with no operation under way, when nobody
/// can be parking the cache.
pub fn repair(cache: &ThreadCache) {
    if cache.parked.load(Ordering::Relaxed) >= EMPTIED {
        for class in SizeClass::cached().filter(|&class| cache.is_emptied(class)) {
            cache.finish_steal(class);
        }
        #[cfg(feature = "hardened")]
        for class in SizeClass::all().filter(|&class| cache.is_quarantine_emptied(class)) {
            cache.quarantine.settle(class);
        }
    }
    cache.parked.store(NOT, Ordering::Relaxed);
}
