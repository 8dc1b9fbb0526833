//! What happens when a magazine is empty or full: exchange it with the spare, or with the central tier.

use super::cache::{Kind, ThreadCache, current};
#[cfg(feature = "hardened")]
use super::clear;
#[cfg(feature = "hardened")]
use super::sampling_refill::put_chain_aside;
use super::sampling_refill::{make_room_before_sample, put_aside, split};
use super::{cow_cache, orphans, park, registry, sizing};
use crate::base::hint::unlikely;
use crate::base::steps;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject, Search};
#[cfg(feature = "hardened")]
use crate::config::MAGAZINE_MAX_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::{Ordering, compiler_fence};
use core::ops::Deref;
use core::ptr;

/// The calling thread's cache while it is on a slow path: nobody parks it meanwhile.
pub struct Entered {
    cache: &'static ThreadCache,
    before: u32,
}

impl Deref for Entered {
    type Target = ThreadCache;

    fn deref(&self) -> &ThreadCache {
        self.cache
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Release: who parks the cache and finds it not busy sees it as it is now.
        self.cache.busy.store(self.before, Ordering::Release);
    }
}

/// The calling thread's cache for a slow path, made now if it has none; `None` after it was taken down, or
/// without memory for one.
pub fn enter() -> Option<Entered> {
    loop {
        if let Some(entered) = enter_if_live() {
            return Some(entered);
        }
        if current().kind == Kind::Exited || !registry::register() {
            return None;
        }
    }
}

/// The calling thread's cache, if it has one. Where the slot names the placeholder of parked ones, it names the
/// cache again afterwards.
pub fn enter_if_live() -> Option<Entered> {
    loop {
        let cache = current();
        match cache.kind {
            Kind::Live => {}
            Kind::Parked => {
                park::resume();
                continue;
            }
            Kind::Empty | Kind::Exited => return None,
        }
        // Relaxed: only this thread writes. Then the slot once more, in this order: who parks the cache writes
        // the slot, makes this thread pass a barrier, and reads the flag. Either it sees the flag, or this
        // thread sees the slot.
        let entered = Entered { cache, before: cache.busy.load(Ordering::Relaxed) };
        cache.busy.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        if ptr::eq(current(), cache) {
            return Some(entered);
        }
    }
}

/// An object of `class` for a request of `size` bytes by a thread whose loaded magazine is empty; null without memory.
#[cold]
#[inline(never)]
pub fn pop_slow(class: SizeClass, size: usize) -> *mut u8 {
    // Before the cache is entered: it sends magazines home.
    orphans::adopt_a_part();
    let Some(cache) = enter() else {
        return pop_uncached(class, size);
    };
    let cache = &*cache;
    if !cache.head(class).is_null() {
        // The cache came into being a moment ago, and registering it used and filled it.
        let object = cache.pop(class);
        if !object.is_null() {
            return object;
        }
    }
    let mut chain = cache.take_spare(class);
    if chain.is_empty() {
        let first = !sizing::is_active(cache, class);
        sizing::note_exchange(cache, class);
        let limit = cache.limit(class);
        // Its first ones from lines of its own: what it frees later, it gets again.
        chain = CENTRAL.fetch(class, size, sizing::fetch_size(cache, class, first), first);
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
        let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
        FreeObject::hand_out(object, class);
        load(cache, class, rest);
    }
    object.cast()
}

/// Makes `chain` the loaded magazine, what went before it to the caller. Where the thread counts, no more than may be
/// allocated before the next sample; the rest becomes the spare magazine, which is empty.
#[inline]
pub(super) fn load(cache: &ThreadCache, class: SizeClass, mut chain: Chain) {
    let capacity = chain.count.max(cache.limit(class));
    let Some(counter) = cache.counter() else {
        return cache.set_loaded(class, chain, capacity);
    };
    counter.took(class, cache.popped(class) + 1);
    let most = counter.most(class, capacity);
    if most < chain.count {
        let (few, rest) = split(chain, most / 2);
        cache.set_spare(class, rest);
        chain = few;
    }
    cache.set_loaded_counted(class, chain, most - chain.count);
}

/// An object of `class` without a cache; null without memory.
fn pop_uncached(class: SizeClass, size: usize) -> *mut u8 {
    let chain = CENTRAL.fetch(class, size, 1, false);
    if chain.is_empty() {
        return core::ptr::null_mut();
    }
    let object = chain.head;
    // SAFETY: the chain is ours and has an object; the rest goes back where it came from.
    unsafe {
        if chain.count > 1 {
            let rest = Chain { head: FreeObject::next(object), count: chain.count - 1 };
            CENTRAL.give_home(class, rest);
        }
        FreeObject::hand_out(object, class);
    }
    object.cast()
}

/// Puts an object back for a thread whose loaded magazine has no room for it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub unsafe fn push_slow(class: SizeClass, object: *mut u8) {
    // SAFETY, for the whole function: `object` is a small object and belongs to us.
    let Some(cache) = enter() else {
        // SAFETY: as above.
        unsafe { CENTRAL.give_home(class, Chain::single(object.cast())) };
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
        unsafe { CENTRAL.give_home(class, Chain::single(object.cast())) };
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
        unsafe { CENTRAL.give_home(class, Chain::single(object.cast())) };
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
/// As `Central::give`, unless the chain is empty.
unsafe fn give_away(cache: &ThreadCache, class: SizeClass, chain: Chain) -> bool {
    if chain.is_empty() {
        return false;
    }
    sizing::note_exchange(cache, class);
    // SAFETY: handed through.
    unsafe { CENTRAL.give(class, chain) };
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

/// Offers everything in `cache` to the threads that go on: whole magazines to the transfer caches. The
/// limits stay, so that the next burst of this thread begins with magazines of full size.
///
/// # Safety
/// The calling thread owns the cache.
unsafe fn hand_over(cache: &ThreadCache) {
    #[cfg(feature = "hardened")]
    release_quarantined(cache);
    for class in SizeClass::all() {
        let limit = cache.limit(class);
        if limit == 0 && cache.loaded_count(class) == 0 {
            continue;
        }
        let loaded = cache.take_loaded(class, limit);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.give(class, chain) };
            }
        }
    }
}

/// Sends everything that the calling thread has cached to the central tier.
pub fn flush_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own.
        unsafe { flush(&cache) };
    }
}

/// Sends home some of what the calling thread has cached: from the class with the number `next` on, which goes on to the
/// next one. Returns whether anything may be left.
pub fn flush_a_part_of_own(next: &mut usize) -> bool {
    let Some(cache) = enter_if_live() else { return false };
    #[cfg(feature = "hardened")]
    if *next == 0 {
        release_quarantined(&cache);
    }
    // SAFETY: the calling thread's own.
    unsafe { flush_a_part(&cache, next) }
}

/// Offers everything that the calling thread has cached to the threads that go on.
pub fn hand_over_own() {
    if let Some(cache) = enter_if_live() {
        // SAFETY: the calling thread's own.
        unsafe { hand_over(&cache) };
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

/// Sends everything in `cache` to the central tier.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn flush(cache: &ThreadCache) {
    #[cfg(feature = "hardened")]
    release_quarantined(cache);
    let mut next = 0;
    // SAFETY: handed through.
    while unsafe { flush_a_part(cache, &mut next) } {}
}

/// Magazines that are sent home in a part, and classes that are looked at for them.
const PART_CHAINS: usize = 2;
/// See `PART_CHAINS`.
const PART_LOOKS: usize = 32;

/// Sends home some of what the magazines of `cache` hold, from the class with the number `next` on. Returns whether
/// anything may be left.
///
/// # Safety
/// The calling thread owns the cache.
unsafe fn flush_a_part(cache: &ThreadCache, next: &mut usize) -> bool {
    let mut given = 0;
    for _ in 0..PART_LOOKS {
        steps::add(1);
        let Some(class) = SizeClass::from_index((*next).max(1)) else { return false };
        *next = class.index() + 1;
        let loaded = cache.take_loaded(class, 0);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.give_home(class, chain) };
                given += 1;
            }
        }
        let limit = cache.limit(class);
        if limit > 0 {
            sizing::shrink(cache, class, 0);
        }
        if given + 2 > PART_CHAINS {
            return true;
        }
    }
    true
}

/// Puts a whole chain back, whose last object is `tail`, for a thread that has it from its quarantine.
///
/// # Safety
/// The chain is one of objects of `class` that the caller gives up.
#[cfg(feature = "hardened")]
pub unsafe fn push_chain(class: SizeClass, chain: Chain, tail: *mut FreeObject) {
    let Some(cache) = enter() else {
        // SAFETY: handed through.
        return unsafe { CENTRAL.give_home(class, chain) };
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

/// Sends home what waits to be used again.
#[cfg(feature = "hardened")]
pub(super) fn release_quarantined(cache: &ThreadCache) {
    while let Some((class, head)) = cache.quarantine.take() {
        // SAFETY: freed objects, which the cache had, and now are ours.
        unsafe {
            let count = clear::check_all(class, Chain { head, count: MAGAZINE_MAX_COUNT });
            CENTRAL.give_home(class, Chain { head, count });
        }
    }
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
