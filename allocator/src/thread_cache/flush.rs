//! What `free` does when the loaded magazine has no room: it makes it the spare one, and gives the old spare one to the
//! central tier. And what a thread does with all that it has cached, when it is asked to.

use super::cache::ThreadCache;
#[cfg(not(feature = "hardened"))]
use super::cache::current;
#[cfg(feature = "hardened")]
use super::clear;
use super::enter::{enter, enter_if_live};
#[cfg(feature = "hardened")]
use super::sampling_refill::put_chain_aside;
use super::sampling_refill::{make_room_before_sample, put_aside};
use super::{cow_cache, drain, sizing};
use crate::base::hint::unlikely;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject, Search};
#[cfg(feature = "hardened")]
use crate::config::MAGAZINE_MAX_COUNT;
use crate::page::size_class::SizeClass;
#[cfg(not(feature = "hardened"))]
use core::ptr;

/// Puts an object back for a thread whose loaded magazine has no room for it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub unsafe fn push_slow(class: SizeClass, object: *mut u8) {
    // SAFETY, for the whole function: `object` is a small object and belongs to us.
    let Some(cache) = enter() else {
        // SAFETY: as above.
        unsafe { CENTRAL.flush_to_spans(class, Chain::single(object.cast())) };
        return;
    };
    let cache = &*cache;
    // SAFETY: as above.
    if unlikely(cache.avoids_cow()) && unsafe { cow_cache::take_home(cache, class, object) } {
        return;
    }
    if cache.limit(class) == 0 && !sizing::is_active(cache, class) {
        // A thread that frees before it has allocated frees what others have made, perhaps beside what others still
        // use: were it handed out here again, two threads would write to one line.
        open(cache, class);
        // SAFETY: as above.
        unsafe { CENTRAL.flush_to_spans(class, Chain::single(object.cast())) };
        return;
    }
    if cache.limit(class) == 0 {
        open(cache, class);
    } else if cache.loaded_count(class) >= cache.limit(class) {
        make_room(cache, class);
    } else {
        cache.set_capacity(class, cache.limit(class));
    }
    if let Some(counter) = cache.counter()
        && cache.budget(class) == 0
    {
        let made = make_room_before_sample(cache, counter, class);
        // SAFETY: as above; what was in the way was the cache's, and now is ours.
        unsafe {
            let over = match made {
                Some(over) => over,
                None => put_aside(cache, class, object.cast()),
            };
            give_away(cache, class, over);
        }
        if made.is_none() {
            return;
        }
    }
    // SAFETY: as above. The mark may be a coincidence or was checked: it must not stop the push.
    let pushed = unsafe {
        #[cfg(not(feature = "hardened"))]
        FreeObject::hand_out(object.cast(), class);
        cache.push(class, object)
    };
    debug_assert!(pushed, "made room, and no mark");
    if !pushed {
        // SAFETY: as above.
        unsafe { CENTRAL.flush_to_spans(class, Chain::single(object.cast())) };
    }
}

/// Gives a class that had no limit its first.
fn open(cache: &ThreadCache, class: SizeClass) {
    sizing::grow(cache, class);
    cache.set_capacity(class, cache.limit(class).max(cache.loaded_count(class) + 1));
}

/// Empties the loaded magazine.
fn make_room(cache: &ThreadCache, class: SizeClass) {
    let spare = cache.take_spare(class);
    // SAFETY: the spare magazine was this cache's, and now is ours.
    if unsafe { give_away(cache, class, spare) } {
        sizing::grow(cache, class);
    }
    let loaded = cache.take_loaded(class, cache.limit(class).max(1));
    cache.set_spare(class, loaded);
}

/// Gives a magazine to the central tier, unless it is empty. Returns whether there was anything to give.
///
/// # Safety
/// As `Central::flush`, unless the chain is empty.
unsafe fn give_away(cache: &ThreadCache, class: SizeClass, chain: Chain) -> bool {
    if chain.is_empty() {
        return false;
    }
    sizing::note_exchange(cache, class);
    // SAFETY: handed through.
    unsafe { CENTRAL.flush(class, chain) };
    true
}

/// As `push_slow` for a thread that counts and may only have pushed as much as it was to before it looks
/// again. Returns whether that was all, and `object` is in the magazine; otherwise nothing has changed.
///
/// # Safety
/// As `push_slow`.
#[cfg(not(feature = "hardened"))]
#[inline]
pub unsafe fn push_counted(class: SizeClass, object: *mut u8) -> bool {
    let Some(cache) = enter_if_live() else { return false };
    let Some(counter) = cache.counter() else { return false };
    let limit = cache.limit(class);
    // A class without a limit is looked at in full.
    if limit == 0 || cache.avoids_cow() || cache.budget(class) > 0 {
        return false;
    }
    // SAFETY: handed through.
    cache.renew_budget(counter, class) && unsafe { cache.push(class, object) }
}

/// Whether the object that is looked for lies in a magazine of the calling thread, as far as the search comes: for the
/// double-free check only.
pub fn holds(class: SizeClass, search: &mut Search) -> bool {
    enter_if_live().is_some_and(|cache| {
        cache.loaded(class).contains(search) || cache.spare(class).contains(search)
    })
}

/// Whether `object` is the one that the calling thread would get next.
#[cfg(not(feature = "hardened"))]
pub fn is_first(class: SizeClass, object: *mut u8) -> bool {
    ptr::eq(current().head(class), object.cast())
}

/// Sends everything that the calling thread has cached to the central tier.
pub fn flush_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own.
        unsafe { drain::flush(&cache) };
    }
}

/// Sends home some of what the calling thread has cached: from the class with the number `next` on, which goes on to the
/// next one. Returns whether anything may be left.
pub fn flush_a_part_of_own(next: &mut usize) -> bool {
    let Some(cache) = enter_if_live() else { return false };
    #[cfg(feature = "hardened")]
    if *next == 0 {
        drain::release_quarantined(&cache);
    }
    // SAFETY: the calling thread's own.
    unsafe { drain::flush_a_part(&cache, next) }
}

/// Offers everything that the calling thread has cached to the threads that go on.
pub fn hand_over_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own.
        unsafe { drain::hand_over(&cache) };
    }
}

/// Gives up what the calling thread has cached of classes that it did not use since the last time, half of it if
/// it has two magazines.
pub fn give_up_idle() {
    if let Some(cache) = enter_if_live() {
        sizing::scavenge(&cache);
    }
}

/// Bytes that the calling thread has cached.
pub fn own_bytes() -> usize {
    enter_if_live().map_or(0, |cache| cache.held_bytes())
}

/// Puts a whole chain back, whose last object is `tail`, for a thread that has it from its quarantine.
///
/// # Safety
/// The chain is one of objects of `class` that the caller gives up.
#[cfg(feature = "hardened")]
pub unsafe fn push_chain(class: SizeClass, chain: Chain, tail: *mut FreeObject) {
    let Some(cache) = enter() else {
        // SAFETY: handed through.
        return unsafe { CENTRAL.flush_to_spans(class, chain) };
    };
    if cache.loaded_count(class) + chain.count > cache.limit(class) {
        make_room(&cache, class);
    }
    let loaded = cache.loaded(class);
    let count = loaded.count + chain.count;
    if let Some(counter) = cache.counter() {
        cache.count_popped(counter, class);
        if counter.most(class, count) < count {
            // A sample is near.
            // SAFETY: handed through.
            return unsafe {
                let over = put_chain_aside(&cache, class, chain, tail);
                give_away(&cache, class, over);
            };
        }
    }
    // SAFETY: the last object of the caller's chain; both are ours now.
    unsafe { FreeObject::relink(tail, loaded.head) };
    let chain = Chain { head: chain.head, count };
    cache.set_loaded(class, chain, count.max(cache.limit(class)));
}

/// Aborts if what waits in the calling thread's quarantine was written to since it was freed. All stays there.
#[cfg(feature = "hardened")]
pub fn check_quarantined() {
    if let Some(cache) = enter_if_live() {
        cache.quarantine.for_each(|class, head| {
            // SAFETY: freed objects, which the cache has.
            unsafe { clear::check_all(class, Chain { head, count: MAGAZINE_MAX_COUNT }) };
        });
    }
}
