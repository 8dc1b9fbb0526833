//! How many objects a magazine may hold.
//!
//! A class that a thread uses for the first time has no capacity at all: its first `free` takes the slow
//! path, which checks the pointer thoroughly, and opens a small magazine. Every exchange with the central
//! tier doubles the limit, up to a number that depends on the object size. What all threads' limits add up
//! to is bounded: past the bound limits stay as they are, so a thousand threads do not hold a thousand
//! full caches. A scavenge, every so many exchanges, sends home the magazines of classes that had none
//! since the last one and halves their limits.

use super::cache::ThreadCache;
use crate::central::CENTRAL;
use crate::config::{MAGAZINE_MAX_OBJECTS, MAGAZINE_START_BYTES, SCAVENGE_INTERVAL};
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::sync::{AtomicUsize, Ordering};

/// Bytes that the limits of all threads' magazines add up to now. Touched when a limit changes, which is rare.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// The limit that a class starts with.
pub fn start_limit(class: SizeClass) -> usize {
    (MAGAZINE_START_BYTES / class.size()).clamp(1, MAGAZINE_MAX_OBJECTS)
}

/// How many objects of `class` a thread fetches that has none. Where it never freed any, so that the class has no
/// limit, twice as many as the last time, unless this is the `first` time: it may be building something. That counts for
/// no bound, and need not: what it takes, it uses.
pub fn fetch_size(cache: &ThreadCache, class: SizeClass, first: bool) -> usize {
    let least = start_limit(class);
    match cache.limit(class) {
        0 if first => least,
        // The one that the thread got at once is not part of what it had room for.
        0 => ((cache.capacity(class) + 1) * 2).clamp(least, max_limit(class).max(least)),
        limit => limit.max(least),
    }
}

/// The limit that a class grows to at most.
pub fn max_limit(class: SizeClass) -> usize {
    (parameters::get(Id::MagazineMaxBytes) / class.size()).clamp(1, MAGAZINE_MAX_OBJECTS)
}

/// Doubles the limit of `class`, if the class's maximum and the bound on all threads allow it.
pub fn grow(cache: &ThreadCache, class: SizeClass) {
    let old = cache.limit(class);
    let new = (old * 2).max(start_limit(class)).min(max_limit(class));
    if new <= old {
        return;
    }
    let more = (new - old) * class.size();
    // Relaxed: a statistic that decides nothing but sizes; no other memory depends on it. Looked at before it is
    // written to: where many threads are at the bound, each of their exchanges comes here, in vain.
    let bound = parameters::get(Id::ThreadCacheTotalBytes);
    if TOTAL.load(Ordering::Relaxed) + more > bound && old > 0 {
        return;
    }
    if TOTAL.fetch_add(more, Ordering::Relaxed) + more > bound && old > 0 {
        TOTAL.fetch_sub(more, Ordering::Relaxed);
        return;
    }
    cache.set_limit(class, new);
}

/// Sets the limit of `class` to `new`, which is lower than now.
pub fn shrink(cache: &ThreadCache, class: SizeClass, new: usize) {
    let less = (cache.limit(class) - new) * class.size();
    // Relaxed: as in `grow`.
    TOTAL.fetch_sub(less, Ordering::Relaxed);
    cache.set_limit(class, new);
}

/// Bytes that the limits of `cache` add up to.
pub fn limits_of(cache: &ThreadCache) -> usize {
    SizeClass::all().map(|class| cache.limit(class) * class.size()).sum()
}

/// In a forked child: the limits of all caches that are or will be used add up to `bytes`.
pub fn reset_total(bytes: usize) {
    // Relaxed: there is no other thread.
    TOTAL.store(bytes, Ordering::Relaxed);
}

/// Exchanges of a thread between two looks at the decay's clock: a program that only uses small objects may
/// never reach the page heap otherwise.
const TICK_INTERVAL: u32 = 64;

/// Notes that objects of `class` are in use, so that the next scavenge spares them.
#[inline]
pub fn note_use(cache: &ThreadCache, class: SizeClass) {
    let word = &cache.active[class.index() / 32];
    // Relaxed: only the owner uses it.
    word.store(word.load(Ordering::Relaxed) | 1 << (class.index() % 32), Ordering::Relaxed);
}

/// Whether objects of `class` were in use since the last scavenge.
pub fn is_active(cache: &ThreadCache, class: SizeClass) -> bool {
    // Relaxed: only the owner uses it.
    cache.active[class.index() / 32].load(Ordering::Relaxed) >> (class.index() % 32) & 1 != 0
}

/// Notes an exchange of `class` with the tier above, and scavenges when it is time.
pub fn note_exchange(cache: &ThreadCache, class: SizeClass) {
    note_use(cache, class);
    // Relaxed, here and below: only the owner uses these.
    let left = cache.countdown.load(Ordering::Relaxed) - 1;
    cache.countdown.store(left, Ordering::Relaxed);
    if left.is_multiple_of(TICK_INTERVAL) {
        PAGE_HEAP.tick();
    }
    if left == 0 {
        cache.countdown.store(SCAVENGE_INTERVAL, Ordering::Relaxed);
        scavenge(cache);
    }
}

/// Sends home the magazines of classes without an exchange since the last scavenge: first the spare one,
/// the next time the loaded one.
#[cold]
pub fn scavenge(cache: &ThreadCache) {
    for class in SizeClass::all() {
        let limit = cache.limit(class);
        if is_active(cache, class) || limit == 0 {
            continue;
        }
        let spare = cache.take_spare(class);
        let unused = if spare.is_empty() { cache.take_loaded(class, 0) } else { spare };
        if !unused.is_empty() {
            // SAFETY: the magazine was this cache's, and now is ours.
            unsafe { CENTRAL.flush(class, unused) };
        }
        shrink(cache, class, limit / 2);
    }
    for word in &cache.active {
        word.store(0, Ordering::Relaxed);
    }
}
