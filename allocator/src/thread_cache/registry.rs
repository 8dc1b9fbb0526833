//! All thread caches of the process: those of threads that live, those that wait in the pool for
//! the next thread, those of threads that a `fork` left behind, and records to be used again.
//!
//! One lock guards the lists, and what the records say of being parked. A walk through the caches
//! goes in parts, between which the lock is free (`walk`). What is in the caches is not looked at
//! here: it belongs to their owners.

use super::cache::ThreadCache;
use super::parked_state::EMPTIED;
use super::sizing;
use crate::base::list::List;
use crate::central::CENTRAL;
use crate::central::shards::{self, Shards};
use crate::os::{Guard, Lock, libc_calls};
use crate::page::metadata;
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, AtomicUsize, ForkLock, Ordering, Rank};
use core::iter::successors;
use core::ptr;

/// What the lock guards.
pub(super) struct Registry {
    /// Caches of threads that live.
    pub(super) live: List<ThreadCache>,
    /// Records that are not in use.
    pub(super) recycled: List<ThreadCache>,
    /// Caches whose threads have ended, with what these had cached.
    pub(super) pool: CachePool,
    /// Caches of threads that a `fork` left behind.
    pub(super) orphans: List<ThreadCache>,
    /// The length of `live`.
    pub(super) live_count: usize,
    /// Caches that came to live, became orphans or went to the pool, so far.
    pub(super) births: usize,
    /// How many threads of each shard are awake.
    shards: Shards,
    /// Times that some thread's slot was made to name the placeholder of parked caches.
    pub(super) namings: usize,
    /// How far the first orphan was emptied: the number of a class.
    pub(super) adopted: usize,
}

// SAFETY: the records are never freed; their links are used under the lock only.
unsafe impl Send for Registry {}

static REGISTRY: Lock<Registry> = Lock::new(
    Rank::Registry,
    Registry {
        live: List::new(),
        recycled: List::new(),
        pool: CachePool::new(),
        orphans: List::new(),
        live_count: 0,
        births: 0,
        shards: Shards::new(),
        namings: 0,
        adopted: 0,
    },
);

/// How threads get their caches. Decided before a second thread allocates (`profile`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// Each has one.
    Plain,
    /// Each has one, and counts what it takes from it, for samples. Blocks whose size the caller
    /// says take a slow path, which looks up those that are not to be trusted.
    Sampling,
    /// None has one: each call takes the slow path and uses the central tier.
    Never,
}

/// A [`Caching`].
static CACHING: AtomicU32 = AtomicU32::new(Caching::Plain as u32);

/// 1 once a thread has asked whether it is the first of the process (`first_call`).
static FIRST_CALL: AtomicUsize = AtomicUsize::new(0);

/// 1 while the last thread that had a cache has ended. Relaxed: a flag that guards nothing.
static LAST_HAS_ENDED: AtomicU32 = AtomicU32::new(0);

/// Whether no thread is left that has a cache, after there were some.
pub fn last_has_ended() -> bool {
    LAST_HAS_ENDED.load(Ordering::Relaxed) != 0
}

/// The registry, for the other files of this tier.
pub(super) fn lock() -> Guard<'static, Registry> {
    REGISTRY.lock()
}

/// The caches in the pool (`cache_pool`): a part of the registry, under its lock.
pub(super) struct CachePool {
    pub(super) list: List<ThreadCache>,
    /// The length of `list`.
    pub(super) count: usize,
    /// Bytes that the caches were put here with.
    pub(super) bytes: usize,
    /// The most threads at once since the background thread last looked.
    pub(super) threads: usize,
    /// The fewest caches since the background thread last looked: nobody needed these.
    pub(super) low: usize,
    /// How far the first cache was emptied: the number of the next class.
    pub(super) emptied: usize,
}

impl CachePool {
    pub(super) const fn new() -> Self {
        Self { list: List::new(), count: 0, bytes: 0, threads: 0, low: 0, emptied: 1 }
    }

    /// Takes a cache out; null if there is none.
    pub(super) fn take(&mut self) -> *mut ThreadCache {
        let cache = self.list.pop_front();
        // SAFETY: null or a record, which is never freed.
        if let Some(cache) = unsafe { cache.as_ref() } {
            // Relaxed, both: the lock orders.
            cache.birth.store(0, Ordering::Relaxed);
            self.bytes -= cache.pooled.load(Ordering::Relaxed);
            self.count -= 1;
            self.emptied = 1;
            self.low = self.low.min(self.count);
        }
        cache
    }
}

impl Registry {
    /// In a forked child, when the caches of the other threads are orphans: sums up what is left.
    pub(super) fn note_survivors(&mut self) {
        let mut limits = 0;
        for list in [&self.live, &self.pool.list] {
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: a node of the list, which the caller's lock keeps from changing; records
                // are never freed.
                unsafe {
                    limits += sizing::limits_of(&*node);
                    node = list.next(node);
                }
            }
        }
        sizing::reset_total(limits);
        self.pool.threads = self.live_count;
        libc_calls::note_threads(self.live_count > 1);
        CENTRAL.note_threads(self.live_count);
    }

    /// Counts the thread of `cache` as awake: fetches of other threads spare what is its shard's. A
    /// thread whose end will not be noticed is never counted.
    pub(super) fn count_in(&mut self, cache: &ThreadCache) {
        // Relaxed: the lock orders.
        if cache.thread.load(Ordering::Relaxed) != 0 {
            self.shards.join(&cache.member);
            self.shards.publish();
        }
    }

    /// Counts the thread of `cache` as asleep or gone.
    pub(super) fn count_out(&mut self, cache: &ThreadCache) {
        self.shards.leave(&cache.member);
        self.shards.publish();
    }

    /// Takes in a record that is not in use any more, with its counter if it has one.
    ///
    /// # Safety
    /// `cache` is a record that was made here. Nobody uses it, and it is in no list.
    pub(super) unsafe fn recycle(&mut self, cache: *mut ThreadCache) {
        // SAFETY: the record is in no list, and records are never freed.
        unsafe { self.recycled.push_front(cache) }
    }

    /// Makes an orphan of `cache`.
    ///
    /// # Safety
    /// `cache` is in the list of live caches, and its thread does not exist any more.
    pub(super) unsafe fn orphan(&mut self, cache: *mut ThreadCache) {
        // SAFETY: the cache is in the list of live ones (caller); records are never freed.
        unsafe {
            self.count_out(&*cache);
            self.live.remove(cache);
            // Walks find orphans by their births, too. Relaxed: the lock orders.
            self.births += 1;
            (*cache).birth.store(self.births, Ordering::Relaxed);
        }
        self.live_count -= 1;
        // SAFETY: the cache was taken out of the other list just now.
        unsafe { self.orphans.push_front(cache) };
        self.adopted = 0;
    }
}

/// Whether threads count what they allocate, for samples.
#[inline]
pub fn threads_sample() -> bool {
    caching() == Caching::Sampling
}

/// Whether the size that the program says of `block` may be trusted: its address shows that it is
/// neither sampled nor guarded, and sizes are trusted at all.
#[allow(dead_code, reason = "the hardened build does not trust sizes")]
#[inline(always)]
pub fn is_trusted(block: *mut u8) -> bool {
    // Relaxed: decided before a second thread allocates. The low half of the address is enough.
    block as u32 & TRUSTED.load(Ordering::Relaxed) != 0
}

/// A block is trusted if its address has one of these bits.
static TRUSTED: AtomicU32 = AtomicU32::new(0);

/// Whether threads have caches.
pub fn caches() -> bool {
    caching() != Caching::Never
}

/// Says how threads get their caches. Before a second thread allocates, or under the lock.
pub(super) fn set_caching(caching: Caching) {
    // Relaxed: a thread that gets its cache looks under the lock; to others it is a hint.
    CACHING.store(caching as u32, Ordering::Relaxed);
}

/// Says which bits of its address make a block trusted.
pub(super) fn set_trusted(bits: u32) {
    // Relaxed: decided before a second thread allocates.
    TRUSTED.store(bits, Ordering::Relaxed);
}

/// Notes whether the last thread that had a cache has ended.
pub(super) fn set_last_has_ended(has: bool) {
    LAST_HAS_ENDED.store(u32::from(has), Ordering::Relaxed);
}

#[inline]
fn caching() -> Caching {
    // Relaxed: a thread that gets its cache looks under the lock; to others it is a hint.
    match CACHING.load(Ordering::Relaxed) {
        1 => Caching::Sampling,
        2 => Caching::Never,
        _ => Caching::Plain,
    }
}

/// Whether the threads that are awake are counted in their shards, those and no others. Walks
/// through all caches in one go: for checks alone.
pub fn shards_are_sound() -> bool {
    let registry = REGISTRY.lock();
    let live = || {
        // SAFETY: null or a node of the list, which the lock keeps there.
        let cache = |node: *mut ThreadCache| unsafe { node.as_ref() };
        // SAFETY: a node of the list.
        let next = |at: &&ThreadCache| unsafe { registry.live.next(ptr::from_ref(*at).cast_mut()) };
        successors(cache(registry.live.first()), move |at| cache(next(at)))
    };
    // Relaxed: the lock orders.
    let is_awake = |cache: &ThreadCache| {
        cache.thread.load(Ordering::Relaxed) != 0 && cache.parked.load(Ordering::Relaxed) < EMPTIED
    };
    live().all(|cache| cache.member.is_counted() == is_awake(cache))
        && registry.shards.agree_with(live().map(|cache| &cache.member))
        && registry.shards.awake() == shards::awake()
}

/// A number that changes when a thread gets a cache (and at other times), for `note_one_left`.
pub fn births() -> usize {
    REGISTRY.lock().births
}

/// Notes that the program has one thread left, which the caller found out after `births` returned
/// `births`. Returns whether it did: not if a thread has come since, which counts as a second one.
pub fn note_one_left(births: usize) -> bool {
    let registry = REGISTRY.lock();
    let is_so = registry.births == births;
    if is_so {
        libc_calls::note_one_left();
    }
    is_so
}

/// Number of threads with a cache.
pub fn count() -> usize {
    REGISTRY.lock().live_count
}

/// Whether the calling thread is the first of the process to ask. So the front tier does once what
/// needs a working allocator.
pub fn first_call() -> bool {
    // Relaxed: nothing but the answer depends on it.
    FIRST_CALL.load(Ordering::Relaxed) == 0 && FIRST_CALL.swap(1, Ordering::Relaxed) == 0
}

/// Lets the next call of `first_call` be the first again: what the first one led to could not be
/// done.
pub fn forget_first_call() {
    // Relaxed: nothing but the answer of `first_call` depends on it.
    FIRST_CALL.store(0, Ordering::Relaxed);
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &REGISTRY
}

/// The registry, for a caller that holds its lock without a guard.
///
/// # Safety
/// The calling thread holds the lock through `fork_lock`, and has no other reference to the
/// registry.
pub(super) unsafe fn of_lock_holder() -> &'static mut Registry {
    // SAFETY: the caller holds the lock, and has no other reference.
    unsafe { &mut *REGISTRY.data_ptr() }
}

impl metadata::Record for ThreadCache {
    const KIND: metadata::Kind = metadata::Kind::ThreadCaches;
}

/// Most bytes of a record.
const CACHE_BYTES_MOST: usize = if HARDENED { 8192 } else { 4096 };

const _: () = assert!(size_of::<ThreadCache>() <= CACHE_BYTES_MOST, "one OS page, or two");
