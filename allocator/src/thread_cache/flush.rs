//! What `free` does when the loaded magazine has no room: it makes it the spare one, and gives the
//! old spare one to the central tier. And what a thread does with all that it has cached, when it
//! is asked to.
//!
//! The functions that do the work see the tier below through `CentralTier`, so that tests can use a
//! scripted one (`tier_tests`). No lock is held here.

use super::cache::{ThreadCache, current};
use super::enter::{enter, enter_if_live};
use super::sampling::{make_room_aside, make_room_before_sample, put_aside, put_chain_aside};
use super::{clear, cow, drain, shared_blocks, sizing};
use crate::base::hint::unlikely;
use crate::base::probe::timed;
use crate::central::chain::{Chain, FreeObject, Search};
use crate::central::{CentralTier, SharedTier};
use crate::config::{MAGAZINE_MAX_COUNT, RARE_SINGLE_BYTES};
use crate::os::vdso;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::Ordering;
use core::ptr;

/// Takes an object back from a thread whose loaded magazine has no room for it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub unsafe fn push_slow(class: SizeClass, object: *mut u8) {
    // SAFETY: the caller gives up `object`, which is one of `class`.
    unsafe {
        match enter() {
            Some(cache) => push_or_flush(SharedTier, &cache, class, object),
            None => SharedTier.flush_to_spans(class, Chain::single(object.cast())),
        }
    }
}

/// Takes an object back into `cache`, or returns it to its span. For the owner of `cache`, who has
/// entered it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
#[inline(always)]
pub(super) unsafe fn push_or_flush(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    object: *mut u8,
) {
    // SAFETY: the caller gives up `object`, one of `class`; it is still the caller's if this says
    // no.
    if unlikely(cache.avoids_cow()) && unsafe { cow::flush_if_cow(tier, cache, class, object) } {
        return;
    }
    if cache.limit(class) == 0 && !sizing::is_active(cache, class) {
        // A thread that frees before it has allocated frees what others have made, perhaps beside
        // objects that others still use. If it were handed out here again, two threads would write
        // to one cache line.
        open(tier, cache, class);
        // SAFETY: the caller gives up `object`, which is one of `class`.
        unsafe { tier.flush_to_spans(class, Chain::single(object.cast())) };
        return;
    }
    if cache.limit(class) == 0 {
        open(tier, cache, class);
    } else if cache.loaded_count(class) >= cache.limit(class) {
        make_room(tier, cache, class);
    } else {
        cache.set_capacity(class, cache.limit(class));
    }
    if let Some(counter) = cache.counter()
        && cache.budget(class) == 0
    {
        let made = make_room_before_sample(cache, counter, class);
        // SAFETY: the caller gives up `object`, one of `class`. What had to leave the spare
        // magazine is a chain of free objects of the class, which is in no magazine any more.
        unsafe {
            let over = match made {
                Some(over) => over,
                None => put_aside(cache, class, object.cast()),
            };
            flush_magazine(tier, cache, class, over);
        }
        if made.is_none() {
            return;
        }
    }
    // SAFETY: the caller gives up `object`, one of `class`. Its mark may be a coincidence, or was
    // checked: it must not stop the push.
    let pushed = unsafe {
        if !HARDENED {
            FreeObject::hand_out(object.cast(), class);
        }
        cache.push(class, object)
    };
    debug_assert!(pushed, "made room, and no mark");
    if !pushed {
        // SAFETY: the caller gives up `object`, one of `class`, and no magazine took it.
        unsafe { tier.flush_to_spans(class, Chain::single(object.cast())) };
    }
}

/// Gives a class that had no limit its first.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn open(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) {
    sizing::grow(tier, cache, class);
    cache.set_capacity(class, cache.limit(class).max(cache.loaded_count(class) + 1));
}

/// Empties the loaded magazine: it becomes the spare one, and the spare one goes to the central
/// tier. In a thread that comes rarely (`sizing`) both go there if the objects are large.
fn make_room(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) {
    if HARDENED {
        // It shares no pages, and its caches do not wind down.
        return exchange(tier, cache, class);
    }
    if class == SizeClass::SHARED {
        sizing::note_central_call(tier, cache, class);
        sizing::grow(tier, cache, class);
        shared_blocks::distribute(tier, cache);
    } else {
        exchange(tier, cache, class);
    }
    // Relaxed, here and below: only the owner uses it.
    let wind_down_class = cache.wind_down_class.load(Ordering::Relaxed);
    if unlikely(tier.is_winding_down()) {
        wind_down(tier, cache, class, wind_down_class as usize);
    } else if unlikely(wind_down_class != 0) {
        cache.wind_down_class.store(0, Ordering::Relaxed);
    }
}

/// `make_room` for a class whose magazines are exchanged with the central tier.
#[inline(always)]
fn exchange(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) {
    let spare = cache.take_spare(class);
    // SAFETY: a magazine's objects are of its class, free and linked; it was taken out of the
    // cache, whose owner calls this.
    if unsafe { flush_magazine(tier, cache, class, spare) } {
        sizing::grow(tier, cache, class);
    }
    let loaded = cache.take_loaded(class, cache.limit(class).max(1));
    // Relaxed: only the owner uses it. In the hardened build every chain out of the quarantine
    // comes by here, and most of what a thread holds is there.
    let is_rare = !HARDENED && cache.is_rare.load(Ordering::Relaxed) != 0;
    if unlikely(is_rare) && class.size() >= RARE_SINGLE_BYTES {
        // SAFETY: a magazine's objects are of its class, free and linked; it was taken out of the
        // cache, whose owner calls this.
        unsafe { flush_magazine(tier, cache, class, loaded) };
    } else {
        cache.set_spare(class, loaded);
    }
}

/// Empties some magazines, from the class with the number `next` on: next to nothing is in use any
/// more, and each object keeps a span. There is room for one of `class` afterwards, too.
#[cold]
#[inline(never)]
fn wind_down(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass, mut next: usize) {
    // SAFETY: the calling thread owns the cache.
    let is_left = unsafe { drain::flush_a_part(tier, cache, &mut next) };
    if cache.limit(class) == 0 {
        open(tier, cache, class);
    }
    // Relaxed: only the owner uses it.
    cache.wind_down_class.store(if is_left { next as u32 } else { 1 }, Ordering::Relaxed);
}

/// Gives a chain to the central tier, unless it is empty. Returns whether there was anything to
/// give.
///
/// # Safety
/// The chain's objects are of `class`, free and linked, and the caller gives them up.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn flush_magazine(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    chain: Chain,
) -> bool {
    if chain.is_empty() {
        return false;
    }
    sizing::note_central_call(tier, cache, class);
    timed!("flushed", vdso::now_ns, class.index(), chain.count * class.size(), {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        unsafe { tier.flush(class, chain) }
    });
    true
}

/// As `push_slow`, for a thread that samples and has pushed as much as it was to before it looks
/// again. Returns whether that was the only obstacle; then `object` is in the magazine. Otherwise
/// nothing has changed.
///
/// # Safety
/// As `push_slow`.
#[allow(dead_code, reason = "the hardened build pushes into the quarantine")]
#[inline]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe fn push_sampling(class: SizeClass, object: *mut u8) -> bool {
    let Some(cache) = enter_if_live() else { return false };
    let Some(counter) = cache.counter() else { return false };
    let limit = cache.limit(class);
    // A class without a limit takes the whole slow path, and so does a full magazine.
    let is_full = cache.loaded_count(class) >= limit;
    if is_full || cache.avoids_cow() || cache.budget(class) > 0 {
        return false;
    }
    if cache.popped(class) >= limit {
        // A thread that does not sample would have refilled or flushed by now, and its limit grown.
        sizing::grow(SharedTier, &cache, class);
    }
    // SAFETY: the caller gives up `object`, which is one of `class`.
    (cache.renew_budget(counter, class) || make_room_aside(&cache, counter, class))
        && unsafe { cache.push(class, object) }
}

/// Takes back a whole chain, whose last object is `tail`, from the calling thread's quarantine.
///
/// # Safety
/// The chain's objects are of `class`, free and linked, and the caller gives them up.
#[allow(dead_code, reason = "the hardened build alone has a quarantine")]
pub unsafe fn push_chain(class: SizeClass, chain: Chain, tail: *mut FreeObject) {
    let Some(cache) = enter() else {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        return unsafe { SharedTier.flush_to_spans(class, chain) };
    };
    if cache.loaded_count(class) + chain.count > cache.limit(class) {
        make_room(SharedTier, &cache, class);
    }
    let loaded = cache.loaded(class);
    let count = loaded.count + chain.count;
    if let Some(counter) = cache.counter() {
        cache.count_popped(counter, class);
        if counter.most(class, count) < count {
            // A sample is near.
            // SAFETY: the caller gives up the chain's objects, which are of `class`, free and
            // linked. What had to leave the spare magazine is such a chain, too, and is in no
            // magazine.
            return unsafe {
                let over = put_chain_aside(&cache, class, chain, tail);
                flush_magazine(SharedTier, &cache, class, over);
            };
        }
    }
    // SAFETY: the last object of a chain that the caller gives up, hence linked. The loaded
    // magazine is the calling thread's.
    unsafe { FreeObject::relink(tail, loaded.head) };
    let chain = Chain { head: chain.head, count };
    cache.set_loaded(class, chain, count.max(cache.limit(class)));
}

/// Whether the object of the search is in a magazine of the calling thread, as far as the search
/// may go. For the check for double frees.
pub fn contains(class: SizeClass, search: &mut Search) -> bool {
    enter_if_live().is_some_and(|cache| {
        cache.loaded(class).contains(search) || cache.spare(class).contains(search)
    })
}

/// Whether `object` is the one that the calling thread would get next.
#[allow(dead_code, reason = "the hardened build has no marks that could be forged")]
pub fn is_first(class: SizeClass, object: *mut u8) -> bool {
    ptr::eq(current().head(class), object.cast())
}

/// Aborts if a block in the calling thread's quarantine was written to since it was freed. All
/// blocks stay there.
#[allow(dead_code, reason = "the hardened build alone has a quarantine")]
pub fn check_quarantined() {
    if let Some(cache) = enter_if_live() {
        cache.quarantine.for_each(|class, head| {
            // SAFETY: blocks in quarantine are of their class, free and linked. The calling thread
            // owns the cache that they are in.
            unsafe { clear::check_all(class, Chain { head, count: MAGAZINE_MAX_COUNT }) };
        });
    }
}

/// Returns everything that the calling thread has cached to the spans.
pub fn flush_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own cache.
        unsafe { drain::flush(SharedTier, &cache) };
    }
}

/// Returns some of what the calling thread has cached to the spans, from the class with the number
/// `next` on, and moves `next`. Returns whether anything may be left.
pub fn flush_a_part_of_own(next: &mut usize) -> bool {
    let Some(cache) = enter_if_live() else { return false };
    if *next == 0 {
        drain::release_quarantined(SharedTier, &cache);
    }
    // SAFETY: the calling thread's own cache.
    unsafe { drain::flush_a_part(SharedTier, &cache, next) }
}

/// Offers everything that the calling thread has cached to the threads that go on.
pub fn hand_over_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own cache.
        unsafe { drain::hand_over(SharedTier, &cache) };
    }
}

/// Flushes a magazine of each class that the calling thread did not use since the last scavenge.
pub fn give_up_idle() {
    if let Some(cache) = enter_if_live() {
        sizing::scavenge(SharedTier, &cache);
    }
}

/// Bytes that the calling thread has cached.
pub fn own_bytes() -> usize {
    enter_if_live().map_or(0, |cache| cache.held_bytes())
}
