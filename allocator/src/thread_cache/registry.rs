//! Birth, death and recycling of thread caches.
//!
//! A cache is born at a thread's first slow path and dies in a `pthread_key` destructor. Destructors that
//! run later (other keys, C++ thread-locals of late libraries) may still allocate: the slot then names
//! the placeholder `EXITED`, and they use the central tier directly.
//!
//! A few caches are kept for the threads that are born next (`kept`). After a `fork` the child has one thread, but the
//! registry still lists the caches of the parent's others (`orphans`).
//!
//! A thread keeps the address of its cache in a thread-local word of its own, whatever its slot names: the
//! slot may name a placeholder while the cache is parked (see `park`).

use super::cache::{EXITED, FULL, Kind, ThreadCache};
use super::kept::{self, Kept};
use super::{counted, exchange, park, sift, sparing};
use crate::base::list::{List, Node};
use crate::central::CENTRAL;
use crate::os::linux::thread_number;
use crate::os::{Guard, Lock, pthread, thread_slot};
use crate::page::metadata::METADATA;
use crate::sync::{AtomicU32, AtomicUsize, Ordering, Rank};
use core::ffi::c_void;
use core::ptr::{self, NonNull};

pub(super) struct Registry {
    pub(super) live: List<ThreadCache>,
    recycled: List<ThreadCache>,
    /// Caches whose threads have ended, with what these had cached.
    pub(super) kept: Kept,
    pub(super) orphans: List<ThreadCache>,
    /// Twins (`counted`) that no thread uses.
    twins: List<ThreadCache>,
    live_count: usize,
}

// SAFETY: the records are never freed; their links are used under the lock only.
unsafe impl Send for Registry {}

static REGISTRY: Lock<Registry> = Lock::new(
    Rank::Registry,
    Registry {
        live: List::new(),
        recycled: List::new(),
        kept: Kept::new(),
        orphans: List::new(),
        twins: List::new(),
        live_count: 0,
    },
);

/// The `pthread` key whose destructor takes caches down, plus one; 0: not made yet.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// How threads get their caches. It is decided before a second thread allocates (`profile`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// Each has one.
    Plain,
    /// Each has one, and counts what it takes from it.
    Counted,
    /// As `Counted`, and blocks whose size the caller says are looked up at once, where `Counted` leaves that to
    /// `sift`.
    Checked,
    /// None has one: each call takes the slow path and uses the central tier.
    Never,
}

impl Caching {
    /// Whether threads have a twin.
    fn counts(self) -> bool {
        matches!(self, Self::Counted | Self::Checked)
    }
}

/// A [`Caching`].
static CACHING: AtomicU32 = AtomicU32::new(Caching::Plain as u32);

/// Called once, by the first thread that gets a cache, when it has it: the front tier's chance to
/// register its `fork` handlers. Set before by `set_first_thread_hook`, or never.
static FIRST_THREAD: AtomicUsize = AtomicUsize::new(0);

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
        let mut cache = registry.kept.take();
        if cache.is_null() {
            cache = registry.recycled.pop_front();
            if cache.is_null() {
                let Some(fresh) = METADATA.allocate::<ThreadCache>() else {
                    return false;
                };
                cache = fresh.as_ptr();
            }
            // SAFETY: the record is unused; a recycled one is in no list any more.
            unsafe { cache.write(ThreadCache::new(Kind::Live)) };
        }
        // SAFETY: the record is in no list, and nobody else's.
        unsafe {
            // Relaxed, here and below: the lock orders.
            (*cache).thread.store(thread_number(), Ordering::Relaxed);
            (*cache).slot.store(thread_slot::address(), Ordering::Relaxed);
            // One that was kept may have a twin.
            if (*cache).twin().is_none() {
                (*cache).named.store(cache, Ordering::Relaxed);
            }
            (*cache).sparing.store(0, Ordering::Relaxed);
            thread_slot::set_own(cache.cast());
            name_in_slot(&*cache);
            registry.live.push_front(cache);
        }
        registry.live_count += 1;
        CENTRAL.note_threads(registry.live_count);
        cache
    };
    // By now this thread can allocate, which the calls below may do.
    // SAFETY: records are never freed.
    let own = unsafe { &*cache };
    if caching().counts() && own.twin().is_none() {
        counted::install(own);
    }
    arm_exit(cache);
    sparing::join_if_wanted();
    true
}

/// Makes `thread_exit` run when the calling thread ends.
fn arm_exit(cache: *mut ThreadCache) {
    // Relaxed: the key is a number, and creating it twice is harmless.
    let mut key = EXIT_KEY.load(Ordering::Relaxed);
    if key == 0 {
        let Some(fresh) = pthread::key_create(thread_exit) else {
            return leave_unwatched(cache);
        };
        // Relaxed: as above.
        match EXIT_KEY.compare_exchange(0, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => key = fresh + 1,
            Err(winner) => {
                // SAFETY: the key was made above and is not used.
                unsafe { pthread::key_delete(fresh) };
                key = winner;
            }
        }
    }
    // SAFETY: the key exists, and its destructor takes caches. What it may allocate can be had by now.
    if !unsafe { pthread::key_set(key - 1, cache.cast()) } {
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
    retire(cache, Fate::Kept);
}

/// What becomes of a cache that a thread does not use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is kept for the next thread, if it is small and few are.
    Kept,
    /// Everything in it goes home.
    Emptied,
}

impl Registry {
    /// Takes in a cache that nobody uses and that is in no list, and its twin if it has one.
    ///
    /// # Safety
    /// Such a cache of this tier.
    pub(super) unsafe fn recycle(&mut self, cache: *mut ThreadCache) {
        // SAFETY: by the caller's word; a twin is in no list while it has a cache. Relaxed: the lock orders.
        unsafe {
            let named = (*cache).named.load(Ordering::Relaxed);
            self.recycled.push_front(cache);
            if !ptr::eq(named, cache) {
                self.twins.push_front(named);
            }
        }
    }

    /// Makes an orphan of `cache`.
    ///
    /// # Safety
    /// A live cache, whose thread is gone.
    pub(super) unsafe fn orphan(&mut self, cache: *mut ThreadCache) {
        // SAFETY: by the caller's word.
        unsafe { self.live.remove(cache) };
        self.live_count -= 1;
        // SAFETY: out of the other list.
        unsafe { self.orphans.push_front(cache) };
    }
}

/// Takes the calling thread's cache down: from here on it uses the central tier.
fn retire(cache: *mut ThreadCache, fate: Fate) {
    // Out of the list before anything else, so that nobody parks it any more.
    {
        let mut registry = REGISTRY.lock();
        // SAFETY: the calling thread's own cache, in the list since it was made.
        unsafe { registry.live.remove(cache) };
        registry.live_count -= 1;
        CENTRAL.note_threads(registry.live_count);
        let exited = (&raw const EXITED).cast_mut().cast();
        thread_slot::set(exited, exited, exited);
        thread_slot::set_own(ptr::null_mut());
    }
    // SAFETY: the cache was this thread's, which does not use it any more, and nobody else knows of it.
    unsafe {
        park::make_whole(&*cache);
        // What the thread freed is known from here on, kept or not.
        sift::settle_all(&*cache);
        if fate == Fate::Emptied || !kept::keep(&*cache) {
            exchange::hand_over_twin(&*cache);
            exchange::flush(&*cache);
            REGISTRY.lock().recycle(cache);
        }
    }
}

/// A twin that no thread uses any more.
pub fn take_twin() -> Option<NonNull<ThreadCache>> {
    NonNull::new(REGISTRY.lock().twins.pop_front())
}

/// Lets the calling thread take from `named` instead of its own cache, which is `cache`.
pub(super) fn name(cache: &ThreadCache, named: *mut ThreadCache) {
    // The lock keeps others from parking the cache at the same time.
    let _registry = REGISTRY.lock();
    park::make_whole(cache);
    // Relaxed: the lock orders.
    cache.named.store(named, Ordering::Relaxed);
    name_in_slot(cache);
}

/// Lets the calling thread's slot name what belongs there while `cache`, its own, is not parked. Under the lock.
pub(super) fn name_in_slot(cache: &ThreadCache) {
    let own = ptr::from_ref(cache).cast_mut();
    // Relaxed: the lock orders.
    let named = cache.named.load(Ordering::Relaxed);
    // Only what has a twin is sifted.
    let may_push = match caching() {
        Caching::Plain => true,
        Caching::Counted => !ptr::eq(named, own),
        Caching::Checked | Caching::Never => false,
    };
    let full = (&raw const FULL).cast_mut();
    let sized = if may_push { own } else { full };
    let (push, sized) = if cache.is_sparing() { (full, full) } else { (own, sized) };
    thread_slot::set(named.cast(), push.cast(), sized.cast());
}

/// As `name_in_slot`, after what decides about it was changed. For the owner of `cache`.
pub(super) fn name_anew(cache: &ThreadCache) {
    let _registry = REGISTRY.lock();
    park::make_whole(cache);
    name_in_slot(cache);
}

/// Decides how threads get their caches from now on, the calling one included. Where they count, `taker` takes back
/// the sampled blocks that are found in magazines.
pub fn set_caching(caching: Caching, taker: sift::Taker) {
    sift::set_taker(taker);
    // Relaxed: set before a second thread allocates.
    CACHING.store(caching as u32, Ordering::Relaxed);
    let own = thread_slot::own().cast::<ThreadCache>();
    if own.is_null() {
        return;
    }
    match caching {
        Caching::Plain => {}
        // SAFETY: records are never freed.
        Caching::Counted | Caching::Checked => counted::install(unsafe { &*own }),
        Caching::Never => retire(own, Fate::Emptied),
    }
}

fn caching() -> Caching {
    // Relaxed: see `set_caching`.
    match CACHING.load(Ordering::Relaxed) {
        1 => Caching::Counted,
        2 => Caching::Checked,
        3 => Caching::Never,
        _ => Caching::Plain,
    }
}

/// Calls `visit` for the cache of every thread, those that have ended included, and for its twin if it has one,
/// under the registry's lock.
pub fn for_each(mut visit: impl FnMut(&ThreadCache)) {
    let registry = REGISTRY.lock();
    for list in [&registry.live, &registry.kept.list, &registry.orphans] {
        let mut node = list.first();
        while !node.is_null() {
            // SAFETY: nodes of the list are live; the lock keeps them there.
            unsafe {
                visit(&*node);
                if let Some(twin) = (*node).twin() {
                    visit(twin.face());
                }
                node = list.next(node);
            }
        }
    }
}

/// Calls `visit` for the cache of every thread of this process alone, under the registry's lock.
pub(super) fn for_each_live(mut visit: impl FnMut(&ThreadCache)) {
    let registry = REGISTRY.lock();
    let mut node = registry.live.first();
    while !node.is_null() {
        // SAFETY: as in `for_each`.
        unsafe {
            visit(&*node);
            node = registry.live.next(node);
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
pub fn fork_lock() -> &'static Lock<impl Sized> {
    &REGISTRY
}

/// In the parent after a `fork`, with the registry's lock held: lets every thread's next operation see whether
/// shared pages are to be spared.
///
/// # Safety
/// The calling thread holds the registry's lock through `fork_lock`.
pub unsafe fn stop_all() {
    // SAFETY: handed through, twice.
    unsafe { park::stop_all(of_lock_holder()) }
}

/// The registry, for who holds its lock otherwise than by a guard.
///
/// # Safety
/// The calling thread holds the lock through `fork_lock`, and has no other reference to the registry.
pub(super) unsafe fn of_lock_holder() -> &'static mut Registry {
    // SAFETY: by the caller's word.
    unsafe { &mut *REGISTRY.data_ptr() }
}

const CACHE_BYTES_MOST: usize = if cfg!(feature = "hardened") { 8192 } else { 4096 };
const _: () = assert!(size_of::<ThreadCache>() <= CACHE_BYTES_MOST, "one OS page, or two");
const _: fn() = || {
    fn node<T: Node>() {}
    node::<ThreadCache>();
};
