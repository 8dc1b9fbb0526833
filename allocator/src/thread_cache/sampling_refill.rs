//! What a thread that counts does where a sample is due or near (`sample_counter`): it looks whether one is, and puts aside what its
//! loaded magazine must not have before.

use super::cache::{ThreadCache, current};
use super::enter::enter;
use super::registry;
use super::sample_counter::SampleCounter;
use crate::central::chain::{Chain, FreeObject};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use core::ptr;

/// The first `count` objects of `chain`, which has more, and the others.
pub(super) fn split(chain: Chain, count: usize) -> (Chain, Chain) {
    if count == 0 {
        return (Chain::EMPTY, chain);
    }
    let mut last = chain.head;
    for _ in 1..count {
        // SAFETY: an object of the chain, and not its last; here and below.
        last = unsafe { FreeObject::next(last) };
    }
    // SAFETY: as above; both parts are the caller's.
    let head = unsafe {
        let head = FreeObject::next(last);
        FreeObject::link(last, ptr::null_mut());
        head
    };
    (Chain { head: chain.head, count }, Chain { head, count: chain.count - count })
}

/// Whether a sample is due with the next block of `class` that the calling thread allocates, which has nothing in its
/// magazine then.
#[inline]
pub fn is_due(class: SizeClass) -> bool {
    registry::counts() && is_due_counted(class)
}

/// Once per magazine. What was popped is counted only if a sample is due: how much there was says how much to fetch.
#[inline]
fn is_due_counted(class: SizeClass) -> bool {
    let due = |cache: &ThreadCache, counter: &SampleCounter| {
        counter.is_due(class, (cache.popped(class) + 1) * class.size())
    };
    // To look needs no entering: these are the thread's own numbers. Placeholders have no counter.
    let cache = current();
    if cache.counter().is_some_and(|counter| !due(cache, counter)) {
        return false;
    }
    let Some(cache) = enter() else { return false };
    cache.counter().is_some_and(|counter| {
        let due = due(&cache, counter);
        if due {
            cache.count_popped(counter, class);
        }
        due
    })
}

/// What counts what the calling thread allocates, if anything does.
pub fn own_counter() -> Option<&'static SampleCounter> {
    let own = thread_slot::own().cast::<ThreadCache>();
    // SAFETY: null or a cache; caches are never unmapped.
    unsafe { own.as_ref() }.and_then(ThreadCache::counter)
}

/// For a thread whose loaded magazine has as many objects as may be allocated before the next sample, so that it may push
/// none: lets it have half of them, so that it may push as many again. Returns what was in the way then, as
/// `put_chain_aside`; `None` if it had no object.
#[cold]
pub(super) fn make_room_before_sample(
    cache: &ThreadCache,
    counter: &SampleCounter,
    class: SizeClass,
) -> Option<Chain> {
    let loaded = cache.loaded(class);
    debug_assert!(counter.most(class, loaded.count) == loaded.count);
    if loaded.is_empty() {
        return None;
    }
    let (few, rest) = split(loaded, loaded.count / 2);
    let mut tail = rest.head;
    for _ in 1..rest.count {
        // SAFETY: an object of the chain, and not its last.
        tail = unsafe { FreeObject::next(tail) };
    }
    cache.set_loaded(class, few, loaded.count.max(cache.limit(class)));
    // SAFETY: the rest was the magazine's, and now is ours.
    Some(unsafe { put_chain_aside(cache, class, rest, tail) })
}

/// Puts an object into the spare magazine. Returns what was in the way, as `put_chain_aside`.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
pub(super) unsafe fn put_aside(
    cache: &ThreadCache,
    class: SizeClass,
    object: *mut FreeObject,
) -> Chain {
    // SAFETY: by the caller's word; its mark is ours to write.
    unsafe {
        FreeObject::mark(object);
        put_chain_aside(cache, class, Chain::single(object), object)
    }
}

/// Adds `chain`, whose last object is `tail`, to the spare magazine. Where that would be too much, what is there is in
/// the way, and is the caller's now.
///
/// # Safety
/// The chain is one of objects of `class` that the caller gives up.
pub(super) unsafe fn put_chain_aside(
    cache: &ThreadCache,
    class: SizeClass,
    chain: Chain,
    tail: *mut FreeObject,
) -> Chain {
    let spare = cache.take_spare(class);
    let count = chain.count + spare.count;
    let (below, over) =
        if count > 2 * cache.limit(class) { (Chain::EMPTY, spare) } else { (spare, Chain::EMPTY) };
    // SAFETY: the last object of the caller's chain, which has its mark.
    unsafe { FreeObject::relink(tail, below.head) };
    cache.set_spare(class, Chain { head: chain.head, count: chain.count + below.count });
    over
}
