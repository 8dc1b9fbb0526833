//! Birth, death and recycling of thread caches.
//!
//! A cache is born at a thread's first slow path and dies in a `pthread_key` destructor. Destructors that
//! run later (other keys, C++ thread-locals of late libraries) may still allocate: the slot then names
//! the placeholder `EXITED`, and they use the central tier directly.
//!
//! A few caches are *kept* as their threads leave them, magazines and limits and all, for the threads that
//! are born next: where threads live for one small job, filling a cache and sending it home is most of what
//! they cost. What nobody takes within a second or two is sent home by the background thread.
//!
//! After a `fork` the child has one thread, but the registry still lists the caches of the parent's
//! others. They become *orphans* and are emptied one by one as the child needs memory, so that a child
//! that only calls `exec` pays nothing.
//!
//! A thread keeps the address of its cache in a thread-local word of its own, whatever its slot names: the
//! slot may name a placeholder while the cache is parked (see `park`).

use super::cache::{EXITED, FULL, Kind, ThreadCache};
use super::{counted, exchange, park, sift, sparing};
use crate::base::list::{List, Node};
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::config::MAGAZINE_MAX_COUNT;
use crate::os::linux::thread_number;
use crate::os::{Guard, Lock, pthread, thread_slot};
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, AtomicUsize, Ordering, Rank};
use core::ffi::c_void;
use core::ptr::{self, NonNull};

pub(super) struct Registry {
    pub(super) live: List<ThreadCache>,
    recycled: List<ThreadCache>,
    /// Caches whose threads have ended, with what these had cached.
    kept: List<ThreadCache>,
    kept_count: usize,
    /// Fewest of them since the background thread last looked: so many nobody needed.
    kept_low: usize,
    orphans: List<ThreadCache>,
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
        kept: List::new(),
        kept_count: 0,
        kept_low: 0,
        orphans: List::new(),
        twins: List::new(),
        live_count: 0,
    },
);

/// Number of orphans: read without the lock on slow paths, 0 unless this is a forked child.
static ORPHANS: AtomicUsize = AtomicUsize::new(0);

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
        let mut cache = registry.take_kept();
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

/// Most caches that are kept, and most bytes in each: half a megabyte in all.
const KEPT_MOST: usize = 4;
const KEPT_BYTES: usize = 128 * 1024;

impl Registry {
    /// Takes in a cache that nobody uses and that is in no list, and its twin if it has one.
    ///
    /// # Safety
    /// Such a cache of this tier.
    unsafe fn recycle(&mut self, cache: *mut ThreadCache) {
        // SAFETY: by the caller's word; a twin is in no list while it has a cache. Relaxed: the lock orders.
        unsafe {
            let named = (*cache).named.load(Ordering::Relaxed);
            self.recycled.push_front(cache);
            if !ptr::eq(named, cache) {
                self.twins.push_front(named);
            }
        }
    }

    /// A cache that was kept, or null.
    fn take_kept(&mut self) -> *mut ThreadCache {
        let cache = self.kept.pop_front();
        if !cache.is_null() {
            self.kept_count -= 1;
            self.kept_low = self.kept_low.min(self.kept_count);
        }
        cache
    }
}

/// Keeps `cache`, whose thread has ended, with all it holds. Returns whether it did.
fn keep(cache: &ThreadCache) -> bool {
    // Hardened builds look at every freed block, and that soon.
    if cfg!(feature = "hardened") || cache.held_bytes() > KEPT_BYTES {
        return false;
    }
    let mut registry = REGISTRY.lock();
    if registry.kept_count >= KEPT_MOST {
        return false;
    }
    // SAFETY: the record is in no list, and records are never freed.
    unsafe { registry.kept.push_front(ptr::from_ref(cache).cast_mut()) };
    registry.kept_count += 1;
    true
}

/// Whether the object at `addr` lies in a cache that is kept: for the double-free check only.
pub fn kept_hold(class: SizeClass, addr: usize) -> bool {
    let registry = REGISTRY.lock();
    let mut node = registry.kept.first();
    while !node.is_null() {
        // SAFETY: nodes of the list are live, and the lock keeps them there; nobody uses them meanwhile.
        unsafe {
            let holds = |chain: Chain| chain.contains(addr);
            if holds((*node).loaded(class))
                || holds((*node).spare(class))
                || (*node).twin().is_some_and(|twin| holds(twin.face().loaded(class)))
            {
                return true;
            }
            node = registry.kept.next(node);
        }
    }
    false
}

/// Sends home what is in the caches that are kept: of all, or of those that no thread took since the last
/// call (`unneeded`). Returns how many caches that were.
pub fn empty_kept(unneeded: bool) -> usize {
    let mut left = {
        let mut registry = REGISTRY.lock();
        let count = registry.kept_count;
        let low = core::mem::replace(&mut registry.kept_low, count);
        if unneeded { low } else { count }
    };
    let mut done = 0;
    while left > 0 {
        left -= 1;
        let cache = REGISTRY.lock().take_kept();
        if cache.is_null() {
            break;
        }
        done += 1;
        // SAFETY: out of the list, so nobody else's; the thread that had it is gone.
        unsafe {
            exchange::flush(&*cache);
            REGISTRY.lock().recycle(cache);
        }
    }
    done
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
        if fate == Fate::Emptied || !keep(&*cache) {
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
    for list in [&registry.live, &registry.kept, &registry.orphans] {
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
    // SAFETY: the lock is held by the caller.
    unsafe { park::stop_all(&*REGISTRY.data_ptr()) }
}

/// In a forked child, with the registry's lock held: every cache but the calling thread's becomes an
/// orphan.
///
/// # Safety
/// The calling thread holds the registry's lock through `fork_lock`, and no other thread exists.
pub unsafe fn orphan_others() {
    // SAFETY: the lock is held by the caller.
    let registry = unsafe { &mut *REGISTRY.data_ptr() };
    let mut node = registry.live.first();
    let mut orphans = 0;
    while !node.is_null() {
        // SAFETY: nodes of the list are live.
        unsafe {
            let next = registry.live.next(node);
            if ptr::eq(node, thread_slot::own().cast()) {
                (*node).thread.store(thread_number(), Ordering::Relaxed);
            } else {
                registry.live.remove(node);
                registry.live_count -= 1;
                registry.orphans.push_front(node);
                orphans += 1;
            }
            node = next;
        }
    }
    // Relaxed: there is no other thread.
    ORPHANS.fetch_add(orphans, Ordering::Relaxed);
}

/// Empties one cache whose thread did not survive the `fork` of this process, if there is any.
pub fn adopt_one_orphan() {
    // Relaxed: only a hint; the list is looked at under the lock.
    if ORPHANS.load(Ordering::Relaxed) == 0 {
        return;
    }
    let cache = REGISTRY.lock().orphans.pop_front();
    if cache.is_null() {
        return;
    }
    ORPHANS.fetch_sub(1, Ordering::Relaxed);
    #[cfg(feature = "hardened")]
    // SAFETY: nobody else has the cache, and records are never freed.
    while let Some((class, head)) = unsafe { (*cache).quarantine.take() } {
        // SAFETY: as the magazines below.
        unsafe {
            let most = if (*cache).was_emptied() { 1 } else { MAGAZINE_MAX_COUNT };
            salvage(class, head, most);
        }
    }
    for class in SizeClass::all() {
        // SAFETY: nobody else has the cache; its thread may have stopped anywhere in an operation, so
        // only links that lead to free objects of the class are followed.
        unsafe {
            // Where a cache was parked, what is left is one object, whose link leads to others' memory.
            let most = if (*cache).is_emptied(class) { 1 } else { MAGAZINE_MAX_COUNT };
            salvage(class, (*cache).head(class), most);
            salvage(class, (*cache).spare(class).head, MAGAZINE_MAX_COUNT);
            if let Some(twin) = (*cache).twin() {
                salvage(class, twin.face().head(class), most);
            }
        }
    }
    // SAFETY: the record is in no list.
    unsafe { REGISTRY.lock().recycle(cache) };
}

/// Sends home what can be reached from `head`, looking at `most` objects at most, counting anew: the thread may have
/// been between two stores. Sampled blocks among them go where they belong.
///
/// # Safety
/// `head` is null or was the head of a magazine of `class` when its thread vanished.
unsafe fn salvage(class: SizeClass, mut head: *mut FreeObject, most: usize) {
    let mut count = 0;
    let mut before = ptr::null_mut();
    let mut object = head;
    // Longer than any magazine means a link that was never one.
    for _ in 0..most {
        let addr = object as usize;
        if object.is_null() || addr >> 48 != 0 {
            break;
        }
        // SAFETY: any address may be looked up that is below the map's range.
        let known = unsafe { PAGE_MAP.class_unchecked(addr) } == class;
        if !known && !sift::is_sampled(class, addr) {
            break;
        }
        // SAFETY: the page map says that this is memory of a small span, or a sampled block.
        let next = unsafe { FreeObject::next(object) };
        if known {
            count += 1;
            before = object;
        } else {
            if before.is_null() {
                head = next;
            } else {
                // SAFETY: an object of the chain, as above.
                unsafe { FreeObject::link(before, next) };
            }
            sift::take_back(class, object);
        }
        object = next;
    }
    if count > 0 {
        // SAFETY: `count` linked objects of `class` that no thread of this process uses.
        unsafe { CENTRAL.give_home_salvaged(class, Chain { head, count }) };
    }
}

const CACHE_BYTES_MOST: usize = if cfg!(feature = "hardened") { 8192 } else { 4096 };
const _: () = assert!(size_of::<ThreadCache>() <= CACHE_BYTES_MOST, "one OS page, or two");
const _: fn() = || {
    fn node<T: Node>() {}
    node::<ThreadCache>();
};
