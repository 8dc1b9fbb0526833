//! Birth, death and recycling of thread caches.
//!
//! A cache is born at a thread's first slow path and dies in a `pthread_key` destructor. Destructors that
//! run later (other keys, C++ thread-locals of late libraries) may still allocate: the slot then names
//! the placeholder `EXITED`, and they use the central tier directly.
//!
//! A few caches are kept for the threads that are born next (`cache_pool`). After a `fork` the child has one thread, but the
//! registry still lists the caches of the parent's others (`orphans`).
//!
//! A thread keeps the address of its cache in a thread-local word of its own, whatever its slot names: the
//! slot may name a placeholder while the cache is parked (see `park`).

use super::cache::{EXITED, FULL, Kind, ThreadCache};
use super::cache_pool::{self, CachePool};
use super::push_target::PushTarget;
use super::sample_counter::{self, Draw, KINDS, SampleCounter};
use super::{cow_cache, exchange, park, sizing};
use crate::base::list::{List, Node};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::config::PAGE_SIZE;
use crate::os::linux::{barrier_everywhere, thread_number};
use crate::os::{Guard, Lock, libc_calls, own_thread, pthread, thread_slot};
use crate::page::metadata::{self, METADATA};
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicU32, AtomicUsize, ForkLock, Ordering, Rank};
use core::ffi::c_void;
use core::ptr;

pub(super) struct Registry {
    pub(super) live: List<ThreadCache>,
    recycled: List<ThreadCache>,
    /// Caches whose threads have ended, with what these had cached.
    pub(super) pool: CachePool,
    pub(super) orphans: List<ThreadCache>,
    live_count: usize,
    /// Caches that came to live, or became orphans, so far.
    births: usize,
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
        namings: 0,
        adopted: 0,
    },
);

/// The `pthread` key whose destructor takes caches down, plus one; 0: not made yet.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

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

/// Milliseconds that the last thread to end waits at most for threads of our own to end before it: were one of
/// them the last, the C library would end the process from there.
const SEE_OFF_MS: u64 = 1_000;

/// Whether no thread is left that has a cache, after there were some.
pub fn last_has_ended() -> bool {
    LAST_HAS_ENDED.load(Ordering::Relaxed) != 0
}

/// The registry, for this tier's other files.
pub(super) fn lock() -> Guard<'static, Registry> {
    REGISTRY.lock()
}

/// Gives the calling thread, which has none, a cache. Returns whether there was memory for it, and it is
/// to have one.
pub fn register() -> bool {
    if caching() == Caching::Never {
        return false;
    }
    let cache = {
        let mut registry = REGISTRY.lock();
        steps::add(1);
        let mut cache = registry.pool.take();
        if cache.is_null() {
            let mut counter = ptr::null_mut();
            cache = registry.recycled.pop_front();
            if !cache.is_null() {
                // SAFETY: records are never freed.
                counter = unsafe { (*cache).counter.load(Ordering::Relaxed) };
            } else if let Some(fresh) = METADATA.allocate::<ThreadCache>() {
                cache = fresh.as_ptr();
            } else {
                return false;
            }
            // SAFETY: the record is unused; a recycled one is in no list any more.
            unsafe {
                cache.write(ThreadCache::new(Kind::Live));
                (*cache).counter.store(counter, Ordering::Relaxed);
            }
        }
        // SAFETY: the record is in no list, and nobody else's.
        unsafe {
            // Relaxed, here and below: the lock orders.
            (*cache).thread.store(thread_number(), Ordering::Relaxed);
            (*cache).slot.store(thread_slot::address(), Ordering::Relaxed);
            (*cache).cow_fork.store(0, Ordering::Relaxed);
            (*cache).cow_declined.store(0, Ordering::Relaxed);
            thread_slot::set_own(cache.cast());
            publish_cache(&*cache);
            registry.births += 1;
            (*cache).birth.store(registry.births, Ordering::Relaxed);
            registry.live.push_front(cache);
        }
        registry.live_count += 1;
        CENTRAL.note_threads(registry.live_count);
        if registry.live_count > 1 {
            libc_calls::note_threads(true);
        }
        LAST_HAS_ENDED.store(0, Ordering::Relaxed);
        cache
    };
    // By now this thread can allocate, which the calls below may do.
    arm_exit(cache);
    cow_cache::join_if_wanted();
    true
}

/// The key whose destructor is `thread_exit`, made now if it does not exist; `None` where all keys are taken.
fn exit_key() -> Option<libc::pthread_key_t> {
    // Relaxed: the key is a number, and creating it twice is harmless.
    let key = EXIT_KEY.load(Ordering::Relaxed);
    if key != 0 {
        return Some(key - 1);
    }
    let fresh = pthread::key_create(thread_exit)?;
    // Relaxed: a number by itself.
    match EXIT_KEY.compare_exchange(0, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Some(fresh),
        Err(winner) => {
            // SAFETY: the key was made above and is not used.
            unsafe { pthread::key_delete(fresh) };
            Some(winner - 1)
        }
    }
}

/// Makes the key by which the ends of threads are noticed, before a program can take all there are. If that fails,
/// it is tried again for each thread.
pub fn make_exit_key() {
    exit_key();
}

/// Makes `thread_exit` run when the calling thread ends: by the key, or by the list of destructors that the C
/// library keeps for C++, which runs a little earlier.
fn arm_exit(cache: *mut ThreadCache) {
    // SAFETY: the key exists, and its destructor takes caches, as the function does that is listed. What either
    // may allocate can be had by now.
    let armed = unsafe {
        exit_key().is_some_and(|key| pthread::key_set(key, cache.cast()))
            || pthread::at_thread_exit(thread_exit, cache.cast())
    };
    if !armed {
        leave_unwatched(cache);
    }
}

/// The end of the calling thread will not be noticed: its cache stays listed, and its memory cached. Nobody
/// may park it, as nobody knows how long there is memory at its slot: a later thread can have its number.
fn leave_unwatched(cache: *mut ThreadCache) {
    let _registry = REGISTRY.lock();
    // SAFETY: a record of this thread's; records are never freed. Relaxed: the lock orders.
    unsafe { (*cache).thread.store(0, Ordering::Relaxed) };
}

/// The key's destructor: takes the calling thread's cache down.
unsafe extern "C" fn thread_exit(cache: *mut c_void) {
    let cache = cache.cast::<ThreadCache>();
    if !ptr::eq(thread_slot::own(), cache.cast()) {
        return;
    }
    retire(cache, Fate::Pooled);
    if REGISTRY.lock().live_count == 0 {
        LAST_HAS_ENDED.store(1, Ordering::Relaxed);
        own_thread::see_off_all(SEE_OFF_MS);
    }
}

/// What becomes of a cache that a thread does not use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is kept for the next thread, if it is small and few are.
    Pooled,
    /// Everything in it goes home.
    Emptied,
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

/// Takes the calling thread's cache down: from here on it uses the central tier.
fn retire(cache: *mut ThreadCache, fate: Fate) {
    steps::add(1);
    // Out of the list before anything else, so that nobody parks it any more.
    {
        let mut registry = REGISTRY.lock();
        // SAFETY: the calling thread's own cache, in the list since it was made.
        unsafe {
            registry.live.remove(cache);
            // Relaxed: the lock orders.
            (*cache).birth.store(0, Ordering::Relaxed);
        }
        registry.live_count -= 1;
        CENTRAL.note_threads(registry.live_count);
        let exited = (&raw const EXITED).cast_mut().cast();
        thread_slot::set(exited, exited, exited);
        thread_slot::set_own(ptr::null_mut());
    }
    // SAFETY: the cache was this thread's, which does not use it any more, and nobody else knows of it.
    unsafe {
        park::repair(&*cache);
        if fate == Fate::Emptied || !cache_pool::put(&*cache) {
            exchange::flush(&*cache);
            REGISTRY.lock().recycle(cache);
        }
    }
}

/// Lets the calling thread's slot name what belongs there while `cache`, its own, is not parked. Under the lock.
pub(super) fn publish_cache(cache: &ThreadCache) {
    let counts = counts();
    if counts && cache.counter().is_none() {
        // It came into being before it was decided that threads count.
        // SAFETY: the calling thread's own, which is on a slow path.
        unsafe { exchange::flush(cache) };
        cache.counter.store(SampleCounter::obtain(), Ordering::Relaxed);
    }
    let own = ptr::from_ref(cache).cast_mut().cast();
    let full = PushTarget::of(&FULL).as_word();
    // Hardened builds push into the quarantine, which has no free slots, and do not believe sizes.
    let (push, sized) = match (cache.avoids_cow(), counts && !cfg!(feature = "hardened")) {
        (true, _) => (full, full),
        (false, true) => (PushTarget::of_counted(cache).as_word(), full),
        (false, false) => (own, own),
    };
    thread_slot::set(own, push, sized);
}

/// As `publish_cache`, after what decides about it was changed. For the owner of `cache`.
pub(super) fn republish_cache(cache: &ThreadCache) {
    let _registry = REGISTRY.lock();
    park::repair(cache);
    publish_cache(cache);
}

/// Decides that no thread gets a cache from now on, the calling one included.
pub fn cache_nothing() {
    // Relaxed: set before a second thread allocates.
    CACHING.store(Caching::Never as u32, Ordering::Relaxed);
    let own = thread_slot::own().cast::<ThreadCache>();
    if !own.is_null() {
        retire(own, Fate::Emptied);
    }
}

/// Decides that threads count what they allocate from now on, the calling one included; `draws` say how far the next
/// sample of each kind is. `checked`: what they free is always looked up.
///
/// What there is already is led to the new ways: before the C library has started, options are not known, and there
/// may be a cache and spans. (Were there other threads, they would take a slow path before they push anything again. Only
/// what a signal handler does in the middle of a `free` at this very moment is not thought of.)
pub fn count_allocations(draws: [Draw; KINDS], checked: bool) {
    sample_counter::set_draws(draws);
    let mut registry = REGISTRY.lock();
    // Relaxed: the lock orders.
    CACHING.store(Caching::Counted as u32, Ordering::Relaxed);
    park::stop_all_at_start(&mut registry);
    if registry.live_count > 1 {
        barrier_everywhere();
    }
    if !cfg!(feature = "hardened") {
        PAGE_HEAP.use_class_aliases();
    }
    // Not before: `is_trusted` stands for class aliases. A sampled block begins where a page does.
    TRUSTED.store(if checked { 0 } else { PAGE_SIZE as u32 - 1 }, Ordering::Relaxed);
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
