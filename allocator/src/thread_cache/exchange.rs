//! What happens when a magazine is empty or full: exchange it with the spare, or with the central tier.

use super::cache::{Kind, ThreadCache, current};
use super::{registry, sizing};
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::page::size_class::SizeClass;

/// The calling thread's cache, made now if it has none; `None` after it was taken down, or without
/// memory for one.
fn own_cache() -> Option<&'static ThreadCache> {
    let cache = current();
    match cache.kind {
        Kind::Live => Some(cache),
        Kind::Empty => registry::register(),
        Kind::Exited | Kind::Counted => None,
    }
}

/// An object of `class` for a thread whose loaded magazine is empty; null without memory.
#[cold]
#[inline(never)]
pub fn pop_slow(class: SizeClass) -> *mut u8 {
    let Some(cache) = own_cache() else {
        return pop_uncached(class);
    };
    let object = cache.pop(class);
    if !object.is_null() {
        // The cache came into being a moment ago, and registering it used and filled it.
        return object;
    }
    let mut chain = cache.take_spare(class);
    if chain.is_empty() {
        registry::adopt_one_orphan();
        sizing::note_exchange(cache, class);
        let limit = cache.limit(class);
        chain = CENTRAL.fetch(class, limit.max(sizing::start_limit(class)));
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
        let rest = Chain { head: (*object).next, count: chain.count - 1 };
        (*object).mark = 0;
        cache.set_loaded(class, rest, rest.count.max(cache.limit(class)));
    }
    object.cast()
}

/// An object of `class` without a cache; null without memory.
fn pop_uncached(class: SizeClass) -> *mut u8 {
    let chain = CENTRAL.fetch(class, 1);
    if chain.is_empty() {
        return core::ptr::null_mut();
    }
    let object = chain.head;
    // SAFETY: the chain is ours and has an object; the rest goes back where it came from.
    unsafe {
        if chain.count > 1 {
            let rest = Chain { head: (*object).next, count: chain.count - 1 };
            CENTRAL.give_home(class, rest);
        }
        (*object).mark = 0;
    }
    object.cast()
}

/// Puts an object back for a thread whose loaded magazine has no room for it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub unsafe fn push_slow(class: SizeClass, object: *mut u8) {
    // SAFETY, for the whole function: `object` is a small object and belongs to us.
    let Some(cache) = own_cache() else {
        // SAFETY: as above.
        unsafe { CENTRAL.give_home(class, Chain::single(object.cast())) };
        return;
    };
    if cache.loaded_count(class) >= cache.limit(class) {
        make_room(cache, class);
    } else {
        cache.set_capacity(class, cache.limit(class));
    }
    // SAFETY: as above. The mark may be a coincidence or was checked: it must not stop the push.
    let pushed = unsafe {
        (*object.cast::<FreeObject>()).mark = 0;
        cache.push(class, object)
    };
    debug_assert!(pushed, "made room, and no mark");
    if !pushed {
        // SAFETY: as above.
        unsafe { CENTRAL.give_home(class, Chain::single(object.cast())) };
    }
}

/// Empties the loaded magazine or makes it larger.
fn make_room(cache: &ThreadCache, class: SizeClass) {
    if cache.limit(class) == 0 {
        sizing::grow(cache, class);
        cache.set_capacity(class, cache.limit(class).max(cache.loaded_count(class) + 1));
        return;
    }
    let spare = cache.take_spare(class);
    if !spare.is_empty() {
        sizing::note_exchange(cache, class);
        // SAFETY: the spare magazine was this cache's, and now is ours.
        unsafe { CENTRAL.give(class, spare) };
        sizing::grow(cache, class);
    }
    let loaded = cache.take_loaded(class, cache.limit(class).max(1));
    cache.set_spare(class, loaded);
}

/// Whether `object` lies in a magazine of the calling thread: for the double-free check only.
pub fn holds(class: SizeClass, object: *mut u8) -> bool {
    let cache = current();
    let addr = object as usize;
    cache.loaded(class).contains(addr) || cache.spare(class).contains(addr)
}

/// Offers everything in `cache` to the threads that go on: whole magazines to the transfer caches. The
/// limits stay, so that the next burst of this thread begins with magazines of full size.
///
/// # Safety
/// The calling thread owns the cache.
pub unsafe fn hand_over(cache: &ThreadCache) {
    for class in SizeClass::all() {
        // A placeholder's limits are all 0, and it is never written to.
        let limit = cache.limit(class);
        if limit == 0 && cache.loaded_count(class) == 0 {
            continue;
        }
        for chain in [cache.take_loaded(class, limit), cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.give(class, chain) };
            }
        }
    }
}

/// Sends everything in `cache` to the central tier.
///
/// # Safety
/// The calling thread owns the cache.
pub unsafe fn flush(cache: &ThreadCache) {
    if cache.kind != Kind::Live {
        return;
    }
    for class in SizeClass::all() {
        for chain in [cache.take_loaded(class, 0), cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.give_home(class, chain) };
            }
        }
        let limit = cache.limit(class);
        if limit > 0 {
            sizing::shrink(cache, class, 0);
        }
    }
}
