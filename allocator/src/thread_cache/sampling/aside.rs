//! Keeping objects out of the loaded magazine while a sample is near: what the magazine must not
//! hold before the sample goes to the spare magazine.
//!
//! For the owner of the cache, on its slow paths; no lock. What no longer fits into the spare
//! magazine is handed back to the caller, who flushes it.

use super::super::cache::{SampleCounter, ThreadCache};
use crate::central::chain::{Chain, FreeObject};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use core::ptr;

/// The first `count` objects of `chain`, which has more, and the others.
pub fn split(chain: Chain, count: usize) -> (Chain, Chain) {
    if count == 0 {
        return (Chain::EMPTY, chain);
    }
    let last = nth(chain, count);
    // SAFETY: an object of the chain, which the caller owns, and not its last one.
    let head = unsafe {
        let head = FreeObject::next(last);
        FreeObject::link(last, ptr::null_mut());
        head
    };
    (Chain { head: chain.head, count }, Chain { head, count: chain.count - count })
}

/// The object with the number `count`, from 1, of `chain`, which has as many.
fn nth(chain: Chain, count: usize) -> *mut FreeObject {
    let mut object = chain.head;
    for _ in 1..count {
        // SAFETY: an object of the chain, hence linked, and not its last one.
        object = unsafe { FreeObject::next(object) };
    }
    object
}

/// Whether a sample is due with the next block of `class` that the owner of `cache` allocates.
/// These are the owner's own numbers, so it need not enter the cache to look. Objects that were
/// popped stay uncounted.
pub fn is_due(cache: &ThreadCache, counter: &SampleCounter, class: SizeClass) -> bool {
    counter.is_due(class, (cache.popped(class) + 1) * class.size())
}

/// The calling thread's counter, if it samples.
pub fn own_counter() -> Option<&'static SampleCounter> {
    let own = thread_slot::own().cast::<ThreadCache>();
    // SAFETY: null, or the calling thread's cache; caches are never unmapped.
    unsafe { own.as_ref() }.and_then(ThreadCache::counter)
}

/// Makes room in a loaded magazine that has about as many objects as may be allocated before the
/// next sample, so that hardly any may be pushed: most of them move to the spare magazine. A thread
/// that frees is likely to go on as it did, so that it takes what it gives; so a quarter of what
/// may be allocated is left in the magazine, and the others may be pushed. Returns what
/// `put_chain_aside` returns; `None` if the magazine is empty.
#[cold]
pub fn make_room_before_sample(
    cache: &ThreadCache,
    counter: &SampleCounter,
    class: SizeClass,
) -> Option<Chain> {
    cache.count_popped(counter, class);
    let loaded = cache.loaded(class);
    if loaded.is_empty() {
        return None;
    }
    let most = counter.most(class, loaded.count.max(cache.limit(class)));
    let few = (most / 4).min(loaded.count / 2);
    let (few, rest) = split(loaded, few);
    cache.set_loaded_with_budget(class, few, most - few.count);
    // SAFETY: the rest was the magazine's, whose owner calls this, and is in none now.
    Some(unsafe { put_chain_aside(cache, class, rest, nth(rest, rest.count)) })
}

/// `make_room_before_sample`, if the magazine is neither full nor empty, and nothing has to leave
/// the spare magazine for it. Returns whether it did.
#[allow(dead_code, reason = "the hardened build pushes into the quarantine")]
#[cold]
pub fn make_room_aside(cache: &ThreadCache, counter: &SampleCounter, class: SizeClass) -> bool {
    let (limit, count) = (cache.limit(class), cache.loaded_count(class));
    if count == 0 || count >= limit || count + cache.spare_count(class) > 2 * limit {
        return false;
    }
    let over = make_room_before_sample(cache, counter, class);
    debug_assert!(over.is_some_and(|over| over.is_empty()), "there was room for it");
    true
}

/// Puts an object into the spare magazine. Returns what `put_chain_aside` returns.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub unsafe fn put_aside(cache: &ThreadCache, class: SizeClass, object: *mut FreeObject) -> Chain {
    // SAFETY: the caller gives up the object: it may be linked and marked, and is in no chain.
    unsafe {
        FreeObject::mark(object);
        put_chain_aside(cache, class, Chain::single(object), object)
    }
}

/// Adds `chain`, whose last object is `tail`, to the spare magazine. If that would hold too much
/// then, returns what the spare magazine held before; it is the caller's.
///
/// # Safety
/// The chain's objects are of `class`, free and linked, and the caller gives them up.
pub unsafe fn put_chain_aside(
    cache: &ThreadCache,
    class: SizeClass,
    chain: Chain,
    tail: *mut FreeObject,
) -> Chain {
    let spare = cache.take_spare(class);
    let count = chain.count + spare.count;
    let (below, over) =
        if count > 2 * cache.limit(class) { (Chain::EMPTY, spare) } else { (spare, Chain::EMPTY) };
    // SAFETY: the last object of a chain that the caller gives up, hence linked and marked.
    unsafe { FreeObject::relink(tail, below.head) };
    cache.set_spare(class, Chain { head: chain.head, count: chain.count + below.count });
    over
}
