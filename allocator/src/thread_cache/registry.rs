//! All thread caches of the process: those of threads that live, those that wait for the next thread, those of threads
//! that a `fork` left behind, and records to be used again. One lock guards the lists and what the records say of being
//! parked.
//!
//! A walk through the caches goes in parts, between which the lock is free (`Walk`).

use super::cache::ThreadCache;
use super::parked_state::EMPTIED;
use super::sizing;
use crate::base::list::{List, Node};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::central::shards::{self, Shards};
use crate::os::{Guard, Lock, libc_calls};
use crate::page::metadata;
use crate::sync::{AtomicU32, AtomicUsize, ForkLock, Ordering, Rank};
use core::iter::successors;
use core::ptr;

pub(super) struct Registry {
    pub(super) live: List<ThreadCache>,
    pub(super) recycled: List<ThreadCache>,
    /// Caches whose threads have ended, with what these had cached.
    pub(super) pool: CachePool,
    pub(super) orphans: List<ThreadCache>,
    pub(super) live_count: usize,
    /// Caches that came to live, or became orphans, so far.
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

/// How threads get their caches. It is decided before a second thread allocates (`profile`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// Each has one.
    Plain,
    /// Each has one, and counts what it takes from it. Blocks whose size the caller says take a slow path, which looks
    /// up those that are not to be trusted.
    Counted,
    /// None has one: each call takes the slow path and uses the central tier.
    Never,
}

/// A [`Caching`].
static CACHING: AtomicU32 = AtomicU32::new(Caching::Plain as u32);

/// Called once, by the first thread that gets a cache, when it has it: the front tier's chance to
/// register its `fork` handlers. Set before by `set_first_thread_hook`, or never.
static FIRST_THREAD: AtomicUsize = AtomicUsize::new(0);

/// 1 while the last thread that had a cache has ended. Relaxed: a flag that says what was, and guards nothing.
static LAST_HAS_ENDED: AtomicU32 = AtomicU32::new(0);

/// Whether no thread is left that has a cache, after there were some.
pub fn last_has_ended() -> bool {
    LAST_HAS_ENDED.load(Ordering::Relaxed) != 0
}

/// The registry, for this tier's other files.
pub(super) fn lock() -> Guard<'static, Registry> {
    REGISTRY.lock()
}

/// The caches that are kept: a part of the registry, under its lock.
pub(super) struct CachePool {
    pub(super) list: List<ThreadCache>,
    pub(super) count: usize,
    /// Fewest of them since the background thread last looked: so many nobody needed.
    pub(super) low: usize,
    /// How far the first of them was emptied: the number of the next class.
    pub(super) emptied: usize,
}

impl CachePool {
    pub(super) const fn new() -> Self {
        Self { list: List::new(), count: 0, low: 0, emptied: 1 }
    }

    /// One of them, or null.
    pub(super) fn take(&mut self) -> *mut ThreadCache {
        let cache = self.list.pop_front();
        if !cache.is_null() {
            self.count -= 1;
            self.emptied = 1;
            self.low = self.low.min(self.count);
        }
        cache
    }
}

impl Registry {
    /// In a forked child, when the caches of the other threads are orphans: counts what is left.
    pub(super) fn note_survivors(&self) {
        let mut limits = 0;
        for list in [&self.live, &self.pool.list] {
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: a node of the list, which nobody changes meanwhile.
                unsafe {
                    limits += sizing::limits_of(&*node);
                    node = list.next(node);
                }
            }
        }
        sizing::reset_total(limits);
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

    /// Takes in a cache that nobody uses and that is in no list, with its counter if it has one.
    ///
    /// # Safety
    /// Such a cache of this tier.
    pub(super) unsafe fn recycle(&mut self, cache: *mut ThreadCache) {
        // SAFETY: by the caller's word.
        unsafe { self.recycled.push_front(cache) }
    }

    /// Makes an orphan of `cache`.
    ///
    /// # Safety
    /// A live cache, whose thread is gone.
    pub(super) unsafe fn orphan(&mut self, cache: *mut ThreadCache) {
        // SAFETY: by the caller's word.
        unsafe {
            self.count_out(&*cache);
            self.live.remove(cache);
            // Walks find orphans by that, too.
            self.births += 1;
            (*cache).birth.store(self.births, Ordering::Relaxed);
        }
        self.live_count -= 1;
        // SAFETY: out of the other list.
        unsafe { self.orphans.push_front(cache) };
        self.adopted = 0;
    }
}

/// Caches that a walk passes by before it lets go of the registry's lock, which threads need to be born and to end.
pub(super) const PART: usize = 24;

/// The same where all classes of each are looked at.
pub(super) const VISITS: usize = 3;

/// A walk through the caches that live, or the orphans, from the youngest to the oldest, in parts between which the lock is
/// free. Each that lives throughout comes once, however many there are and whatever is born or ends meanwhile.
pub(super) struct Walk {
    /// The cache that the walk is at, null before the first, and its birth.
    at: *mut ThreadCache,
    birth: usize,
    /// Younger ones than that, and the one that was born then, have come or need not.
    below: usize,
}

/// A step of a walk.
pub(super) enum Step {
    /// Came to a cache.
    Cache(&'static ThreadCache),
    /// Passed by one that has come already: where the cache that the walk was at has ended since, its place is looked for.
    Passed,
    /// There is none left.
    Over,
}

impl Walk {
    pub(super) const fn new() -> Self {
        Self { at: ptr::null_mut(), birth: usize::MAX, below: usize::MAX }
    }

    /// Goes on by one of the caches that live.
    pub(super) fn step(&mut self, registry: &Registry) -> Step {
        self.step_in(&registry.live)
    }

    /// Goes on by one in a list that is ordered by births.
    fn step_in(&mut self, list: &List<ThreadCache>) -> Step {
        steps::add(1);
        // Relaxed, throughout: the lock orders.
        let birth = |node: *mut ThreadCache| {
            // SAFETY: records are never freed.
            unsafe { (*node).birth.load(Ordering::Relaxed) }
        };
        let node = if !self.at.is_null() && birth(self.at) == self.birth {
            // SAFETY: it was not born anew, nor did it end, so it is in the list.
            unsafe { list.next(self.at) }
        } else {
            list.first()
        };
        if node.is_null() {
            return Step::Over;
        }
        (self.at, self.birth) = (node, birth(node));
        if self.birth >= self.below {
            return Step::Passed;
        }
        self.below = self.birth;
        // SAFETY: records are never freed, and the fields that their owners use meanwhile are atomics.
        Step::Cache(unsafe { &*node })
    }
}

/// Whether threads count what they allocate.
#[inline]
pub fn counts() -> bool {
    caching() == Caching::Counted
}

/// Whether `block` may be taken for what those say of it who free it: where it is neither a sampled nor a guarded one by
/// where it begins, and sizes are believed.
#[cfg(not(feature = "hardened"))]
#[inline(always)]
pub fn is_trusted(block: *mut u8) -> bool {
    // Relaxed: as for `CACHING`. The low half of the address is enough.
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
    // Relaxed: as in `caching`.
    CACHING.store(caching as u32, Ordering::Relaxed);
}

/// Says which bits of its address make a block trusted.
pub(super) fn set_trusted(bits: u32) {
    // Relaxed: as for `CACHING`.
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
        1 => Caching::Counted,
        2 => Caching::Never,
        _ => Caching::Plain,
    }
}

/// Calls `visit` for the cache of every thread that lives throughout, and of those that have ended, under the registry's
/// lock, which is free again after each part of the walk.
pub fn for_each(mut visit: impl FnMut(&ThreadCache)) {
    for_each_live(&mut visit);
    for_each_of(|walk, registry| walk.step_in(&registry.orphans), &mut visit);
    let registry = REGISTRY.lock();
    let kept = &registry.pool.list;
    let mut node = kept.first();
    while !node.is_null() {
        // SAFETY: nodes of the list are live; the lock keeps them there.
        unsafe {
            visit(&*node);
            node = kept.next(node);
        }
    }
}

/// Calls `visit` for the cache of every thread of this process alone that lives throughout, under the registry's lock,
/// which is free again after each part of the walk.
pub(super) fn for_each_live(visit: impl FnMut(&'static ThreadCache)) {
    for_each_of(Walk::step, visit);
}

/// Calls `visit` for the caches that `step` comes to, as `for_each_live`.
fn for_each_of(
    mut step: impl FnMut(&mut Walk, &Registry) -> Step,
    mut visit: impl FnMut(&'static ThreadCache),
) {
    let mut walk = Walk::new();
    loop {
        let registry = REGISTRY.lock();
        let mut visits = 0;
        for _ in 0..PART {
            match step(&mut walk, &registry) {
                Step::Cache(cache) => {
                    visit(cache);
                    visits += 1;
                }
                Step::Passed => {}
                Step::Over => return,
            }
            if visits == VISITS {
                break;
            }
        }
    }
}

/// Whether the threads that are awake are counted in their shards, those and no others. Walks through all caches in one
/// go: for checks alone.
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

/// Number of threads with a cache.
pub fn count() -> usize {
    REGISTRY.lock().live_count
}

/// Whether the calling thread is the first of the process to come here; a hook for the tier below the
/// faces to do what needs a working allocator.
pub fn first_call() -> bool {
    // Relaxed: nothing but the answer depends on it.
    FIRST_THREAD.load(Ordering::Relaxed) == 0 && FIRST_THREAD.swap(1, Ordering::Relaxed) == 0
}

/// Lets the next call of `first_call` be the first again: what it led to could not be done.
pub fn forget_first_call() {
    // Relaxed: as in `first_call`.
    FIRST_THREAD.store(0, Ordering::Relaxed);
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &REGISTRY
}

/// The registry, for who holds its lock otherwise than by a guard.
///
/// # Safety
/// The calling thread holds the lock through `fork_lock`, and has no other reference to the registry.
pub(super) unsafe fn of_lock_holder() -> &'static mut Registry {
    // SAFETY: by the caller's word.
    unsafe { &mut *REGISTRY.data_ptr() }
}

impl metadata::Record for ThreadCache {
    const KIND: metadata::Kind = metadata::Kind::ThreadCaches;
}

const CACHE_BYTES_MOST: usize = if cfg!(feature = "hardened") { 8192 } else { 4096 };

const _: () = assert!(size_of::<ThreadCache>() <= CACHE_BYTES_MOST, "one OS page, or two");

const _: fn() = || {
    fn node<T: Node>() {}
    node::<ThreadCache>();
};
