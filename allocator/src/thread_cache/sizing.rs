//! How many objects a magazine may hold.
//!
//! A class that a thread uses for the first time has no capacity at all. Its first `free` takes the
//! slow path, which checks the pointer thoroughly and opens a small magazine. Every flush to the
//! central tier doubles the limit, as does a refill, up to a number that depends on the object
//! size. The limits of all threads together are bounded: beyond the bound each stays as it is, so a
//! thousand threads do not hold a thousand full caches. Where there are many threads, those that
//! come rarely keep the magazines that they have, and no spare one of large objects: more would
//! save them little, and hold memory while they sleep. A scavenge, every so many refills and
//! flushes, takes magazines from classes that had none since the last one, and halves their limits.
//!
//! The owner of a cache calls this on slow paths. The total is the only thing that threads share.

use super::cache::ThreadCache;
use crate::central::CentralTier;
use crate::config::{
    MAGAZINE_MAX_OBJECTS, MAGAZINE_START_BYTES, RARE_NS, RARE_WAITS, SCAVENGE_INTERVAL,
};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::sync::{AtomicUsize, Ordering};

/// Bytes that the limits of all threads' magazines add up to now. Written when a limit changes,
/// which is rare.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// The limit that a class starts with.
pub fn start_limit(class: SizeClass) -> usize {
    (MAGAZINE_START_BYTES / class.size()).clamp(1, MAGAZINE_MAX_OBJECTS)
}

/// How many objects of `class` a refill asks for. If the thread never freed any, so that the class
/// has no limit, these are twice as many as the last time, unless this is the `first` time: the
/// thread may be building something. They count for no bound, and need not: the thread uses what it
/// takes.
pub fn refill_size(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    first: bool,
) -> usize {
    let least = start_limit(class);
    match cache.limit(class) {
        0 if first => least,
        // The capacity leaves out the object that the thread got at once.
        0 => ((cache.capacity(class) + 1) * 2)
            .min(tier.magazine_bytes() / class.size())
            .clamp(least, MAGAZINE_MAX_OBJECTS),
        limit => limit.max(least),
    }
}

/// The limit that a class grows to at most.
pub fn max_limit(tier: impl CentralTier, class: SizeClass) -> usize {
    (tier.magazine_bytes() / class.size()).clamp(1, MAGAZINE_MAX_OBJECTS)
}

/// Doubles the limit of `class`, if the class's maximum and the bound on all threads allow it.
/// Where the maximum is lower than the limit by now, the limit becomes that.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn grow(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) {
    let old = cache.limit(class);
    let new = (old * 2).max(start_limit(class)).min(max_limit(tier, class));
    if new <= old {
        if new < old {
            shrink(cache, class, new);
        }
        return;
    }
    // Relaxed: only the owner uses it.
    if old > 0 && cache.is_rare.load(Ordering::Relaxed) != 0 {
        return;
    }
    let more = (new - old) * class.size();
    // Relaxed: a sum that decides nothing but sizes; no other memory depends on it. It is read
    // before it is written: where many threads are at the bound, each of their flushes comes here,
    // in vain.
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
    // Relaxed: a sum that decides nothing but sizes.
    TOTAL.fetch_sub(less, Ordering::Relaxed);
    cache.set_limit(class, new);
}

/// Bytes that the limits of `cache` add up to.
pub fn limits_of(cache: &ThreadCache) -> usize {
    SizeClass::cached().map(|class| cache.limit(class) * class.size()).sum()
}

/// In a forked child: the limits of all caches that are or will be used add up to `bytes`.
pub fn reset_total(bytes: usize) {
    // Relaxed: there is no other thread.
    TOTAL.store(bytes, Ordering::Relaxed);
}

/// Refills and flushes of a thread between two looks at the decay's clock: a program that only uses
/// small objects may never reach the page heap otherwise.
pub(super) const TICK_INTERVAL: u32 = 64;

const _: () =
    assert!(SCAVENGE_INTERVAL.is_multiple_of(TICK_INTERVAL), "a scavenge comes with a tick");

/// Notes that objects of `class` are in use, so that the next scavenge leaves its magazines alone.
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

/// Notes a refill or a flush of `class`, and scavenges when it is time.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn note_central_call(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) {
    note_use(cache, class);
    // Relaxed, here and below: only the owner uses these.
    let left = cache.countdown.load(Ordering::Relaxed) - 1;
    cache.countdown.store(left, Ordering::Relaxed);
    if left.is_multiple_of(TICK_INTERVAL) {
        tier.tick();
        note_rate(tier, cache);
        // One compare for both in most calls: 0 is a multiple, too.
        if left == 0 {
            cache.countdown.store(SCAVENGE_INTERVAL, Ordering::Relaxed);
            scavenge(tier, cache);
        }
    }
}

/// Notes whether the thread comes rarely: whether its last [`TICK_INTERVAL`] refills and flushes
/// took longer than [`RARE_NS`], or were its first. One of few threads does not, whatever it does,
/// nor one whose calls take so long because they wait for locks: larger magazines are what helps it.
/// Time asleep counts, and time without a processor: of a thread that is interrupted now and then,
/// few intervals are so long, and in the others its limits grow.
fn note_rate(tier: impl CentralTier, cache: &ThreadCache) {
    let now = tier.clock_of_many().unwrap_or(0);
    // Relaxed, for all: only the owner uses these.
    let before = cache.tick_ns.load(Ordering::Relaxed);
    cache.tick_ns.store(now, Ordering::Relaxed);
    let waits = tier.take_waits();
    let is_rare = now.saturating_sub(before) > RARE_NS && waits < RARE_WAITS;
    cache.is_rare.store(is_rare.into(), Ordering::Relaxed);
}

/// Flushes a magazine of each class that was neither refilled nor flushed since the last scavenge:
/// first the spare one, the next time the loaded one.
#[cold]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn scavenge(tier: impl CentralTier, cache: &ThreadCache) {
    for class in SizeClass::cached() {
        let limit = cache.limit(class);
        if is_active(cache, class) || limit == 0 {
            continue;
        }
        let spare = cache.take_spare(class);
        let unused = if spare.is_empty() { cache.take_loaded(class, 0) } else { spare };
        if !unused.is_empty() {
            // SAFETY: a magazine's objects are of its class, free and linked; it was taken out of
            // the cache, whose owner calls this.
            unsafe { tier.flush(class, unused) };
        }
        shrink(cache, class, limit / 2);
    }
    for word in &cache.active {
        word.store(0, Ordering::Relaxed);
    }
}
