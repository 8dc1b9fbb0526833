//! The record of a thread's cache and the operations of the hot paths.
//!
//! Invariant for every class: `free_slots + budgets + (length of the chain at heads) = capacities`. Class 0, which no
//! object has, has capacity 0: empty and full at once, as is every class of the placeholder caches.
//! So "not a small object" and "thread not set up" need no tests of their own on the hot paths: they end
//! in the slow path like an empty or a full magazine.
//!
//! `budgets` is 0 but in threads that count what they allocate (`sample_counter`): there `free_slots` is what was popped since
//! the slow path last looked, and `budgets` is what may be pushed until it looks again. `push_target` is how a `push` is led to
//! the one or the other.
//!
//! Writers: the owning thread only, but for who parks the cache of a sleeping thread, see `park`. Readers:
//! the owner, and for statistics anyone (`free_slots`, `capacities`, the spares' counts), who may see values
//! that are a moment old. That is why the fields are atomics; all accesses are relaxed and compile to
//! plain moves, with one exception that matters to `fork` and to parking, see [`PushTarget::push`].

use super::push_target::PushTarget;
use super::sample_counter::SampleCounter;
use crate::base::list::{Links, Node};
use crate::central::chain::{Chain, FreeObject};
use crate::config::{CLASS_COUNT, MAGAZINE_MAX_COUNT};
use crate::os::thread_slot;
use crate::page::size_class::{MappedClass, SizeClass};
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use core::ptr;

/// What kind of cache a thread's slot names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The placeholder of threads that have not allocated yet.
    Empty,
    /// The placeholder of threads whose cache was taken down: they use the central tier directly.
    Exited,
    /// The placeholder of threads that have a cache, which was parked while they slept.
    Parked,
    /// A thread's own cache.
    Live,
}

/// A thread's cache. The hot arrays are separate arrays, not an array of magazines, so that an index needs no
/// multiplication beyond what the processor's addressing does. The first five have their places for `push_target`.
#[repr(C, align(64))]
pub struct ThreadCache {
    /// First object of each class's loaded magazine.
    pub(super) heads: [AtomicPtr<FreeObject>; CLASS_COUNT],
    /// Objects that may still be pushed by class aliases; see the module's comment.
    pub(super) budgets: [AtomicU32; CLASS_COUNT],
    /// Objects that a magazine of each class may grow to now; see `sizing`.
    pub(super) limits: [AtomicU32; CLASS_COUNT],
    /// Objects that each loaded magazine still has room for.
    pub(super) free_slots: [AtomicU32; CLASS_COUNT],
    /// Objects that each loaded magazine holds when full.
    pub(super) capacities: [AtomicU32; CLASS_COUNT],
    /// First object of each class's spare magazine.
    pub(super) spare_heads: [AtomicPtr<FreeObject>; CLASS_COUNT],
    /// Objects in each spare magazine.
    spare_counts: [AtomicU32; CLASS_COUNT],
    /// Slow-path samples until the next scavenge.
    pub(super) countdown: AtomicU32,
    /// Classes whose slow path ran since the last scavenge, 32 to a word.
    pub(super) active: [AtomicU32; 4],
    /// Whether the owner is on a slow path, where it may change everything here.
    pub(super) busy: AtomicU32,
    /// How far the cache is parked, see `park`.
    pub(super) parked: AtomicU32,
    /// While it is parked and being emptied: the number of the first class that was not yet. Under the registry's lock, but
    /// for the owner, who reads it only while it cannot change.
    pub(super) emptied: AtomicU32,
    /// Which one it is of all the times that some owner's slot was made to name the placeholder. Under the registry's lock.
    pub(super) naming: AtomicUsize,
    /// What `countdown` was when `park` last looked.
    pub(super) seen: AtomicU32,
    /// Looks in a row at which next to nothing had happened.
    pub(super) rounds_asleep: AtomicU32,
    /// Number of the `fork` since which the owner spares shared pages, or 0; see `cow_cache`.
    pub(super) cow_fork: AtomicU32,
    /// Calls that may still save nothing.
    pub(super) cow_budget: AtomicU32,
    /// Number of the `fork` for which the owner gave that up, as it saved nothing.
    pub(super) cow_declined: AtomicU32,
    /// Which one of the caches that came to live in this process it is; 0 while it does not. Under the registry's lock.
    pub(super) birth: AtomicUsize,
    /// The owner's number, and where its thread-local words are.
    pub(super) thread: AtomicU32,
    /// See `thread`.
    pub(super) slot: AtomicPtr<usize>,
    /// What counts what the owner allocates; null where nothing does.
    pub(super) counter: AtomicPtr<SampleCounter>,
    /// What this is.
    pub kind: Kind,
    links: Links<ThreadCache>,
    /// What the owner freed last.
    #[cfg(feature = "hardened")]
    pub quarantine: super::quarantine::Quarantine,
}

// SAFETY: returns the address of the field.
unsafe impl Node for ThreadCache {
    unsafe fn links(node: *mut Self) -> *mut Links<Self> {
        // SAFETY: the caller says that `node` is live.
        unsafe { &raw mut (*node).links }
    }
}

// SAFETY: all shared fields are atomics, but `links`, which the registry's lock guards, and `kind`, which
// does not change while the cache is shared.
unsafe impl Sync for ThreadCache {}

/// Named by the slot of every new thread (see `os::thread_slot`). Never written to.
#[unsafe(export_name = "stratalloc_empty_cache_0_1")]
static EMPTY: ThreadCache = ThreadCache::new(Kind::Empty);

/// Named by the slot of threads whose cache was taken down. Never written to.
pub static EXITED: ThreadCache = ThreadCache::new(Kind::Exited);

/// Named by the slot of threads whose cache is parked. Never written to.
pub static PARKED: ThreadCache = ThreadCache::new(Kind::Parked);

/// Named by the fourth word of threads that count, where blocks whose size the caller says are looked up nevertheless,
/// and by the third and fourth of threads that spare shared pages: full (`registry::publish_cache`). Never written to;
/// what kind it is nobody asks.
pub static FULL: ThreadCache = ThreadCache::new(Kind::Exited);

/// The calling thread's cache, or a placeholder. What takes longer than one `pop` goes through `exchange::enter`.
#[inline(always)]
pub fn current() -> &'static ThreadCache {
    // SAFETY: the slot names a placeholder or a cache of the registry; neither is ever unmapped, and the
    // fields that others may write at the same time are atomics.
    unsafe { &*thread_slot::get().cast() }
}

/// The quarantine that the calling thread's slot names for what it frees.
#[cfg(feature = "hardened")]
#[inline(always)]
pub fn quarantine() -> &'static super::quarantine::Quarantine {
    // SAFETY: as in `current`.
    unsafe { &(*thread_slot::get_to_push().cast::<ThreadCache>()).quarantine }
}

/// What the calling thread's slot names, to take an object of `class` from by `pop`. Announces the class
/// first, which whoever parks the cache relies on.
#[inline(always)]
pub fn cache_for_alloc(class: SizeClass) -> &'static ThreadCache {
    // SAFETY: as in `current`.
    unsafe { &*thread_slot::announce_and_get(class.index() as u8).cast() }
}

impl ThreadCache {
    /// A cache without capacity.
    pub const fn new(kind: Kind) -> Self {
        Self {
            heads: [const { AtomicPtr::new(ptr::null_mut()) }; CLASS_COUNT],
            budgets: [const { AtomicU32::new(0) }; CLASS_COUNT],
            limits: [const { AtomicU32::new(0) }; CLASS_COUNT],
            free_slots: [const { AtomicU32::new(0) }; CLASS_COUNT],
            capacities: [const { AtomicU32::new(0) }; CLASS_COUNT],
            spare_heads: [const { AtomicPtr::new(ptr::null_mut()) }; CLASS_COUNT],
            spare_counts: [const { AtomicU32::new(0) }; CLASS_COUNT],
            countdown: AtomicU32::new(crate::config::SCAVENGE_INTERVAL),
            active: [const { AtomicU32::new(0) }; 4],
            busy: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            emptied: AtomicU32::new(0),
            naming: AtomicUsize::new(0),
            seen: AtomicU32::new(0),
            rounds_asleep: AtomicU32::new(0),
            cow_fork: AtomicU32::new(0),
            cow_budget: AtomicU32::new(0),
            cow_declined: AtomicU32::new(0),
            birth: AtomicUsize::new(0),
            thread: AtomicU32::new(0),
            slot: AtomicPtr::new(ptr::null_mut()),
            counter: AtomicPtr::new(ptr::null_mut()),
            kind,
            links: Links::new(),
            #[cfg(feature = "hardened")]
            quarantine: super::quarantine::Quarantine::new(),
        }
    }

    /// The array element for `class`.
    #[inline(always)]
    pub(super) fn at<T>(array: &[T; CLASS_COUNT], class: SizeClass) -> &T {
        // SAFETY: a class's index is below CLASS_COUNT by construction.
        unsafe { array.get_unchecked(class.index()) }
    }

    /// Takes an object from the loaded magazine; null if it is empty.
    #[inline(always)]
    pub fn pop(&self, class: SizeClass) -> *mut u8 {
        let head = Self::at(&self.heads, class);
        // Relaxed, here and below: only the owner writes.
        let object = head.load(Ordering::Relaxed);
        if !object.is_null() {
            // SAFETY: objects of a magazine are free memory of this cache, with room for two words.
            unsafe {
                head.store(FreeObject::next(object), Ordering::Relaxed);
                FreeObject::hand_out(object, class);
            }
            let room = Self::at(&self.free_slots, class);
            room.store(room.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        object.cast()
    }

    /// Puts an object into the loaded magazine as `PushTarget::push` does. For slow paths of the owner.
    ///
    /// # Safety
    /// `object` is an object of `class` that the caller gives up.
    #[inline]
    pub unsafe fn push(&self, class: SizeClass, object: *mut u8) -> bool {
        // SAFETY: addresses of this cache, for numbers of these kinds; the rest is handed through.
        unsafe {
            match self.counter() {
                None => PushTarget::of(self).push(MappedClass::first(class), object),
                Some(_) => PushTarget::of_counted(self).push_alias(class.index(), object),
            }
        }
    }

    /// The length of the loaded magazine. Exact for the owner, a moment old for others.
    pub fn loaded_count(&self, class: SizeClass) -> usize {
        if self.is_emptied(class) {
            return 0;
        }
        // Relaxed: see the module's comment.
        let capacity = Self::at(&self.capacities, class).load(Ordering::Relaxed);
        let room = Self::at(&self.free_slots, class).load(Ordering::Relaxed);
        let budget = Self::at(&self.budgets, class).load(Ordering::Relaxed);
        // Loads that are not one moment may cross.
        capacity.saturating_sub(room.saturating_add(budget)) as usize
    }

    /// Objects that may be pushed by a thread that counts before it looks again. For the owner.
    #[inline(always)]
    pub(super) fn budget(&self, class: SizeClass) -> usize {
        // Relaxed: only the owner writes.
        Self::at(&self.budgets, class).load(Ordering::Relaxed) as usize
    }

    /// The length of the spare magazine. Exact for the owner, a moment old for others.
    pub fn spare_count(&self, class: SizeClass) -> usize {
        // Relaxed: see the module's comment.
        Self::at(&self.spare_counts, class).load(Ordering::Relaxed) as usize
    }

    /// The loaded magazine, left in place. For the owner.
    pub fn loaded(&self, class: SizeClass) -> Chain {
        // Relaxed: only the owner writes.
        let head = Self::at(&self.heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.loaded_count(class) }
    }

    /// The spare magazine, left in place. For the owner.
    pub fn spare(&self, class: SizeClass) -> Chain {
        // Relaxed: only the owner writes.
        let head = Self::at(&self.spare_heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.spare_count(class) }
    }

    /// Makes `chain` the loaded magazine, with room for `capacity` objects in all. For the owner; the
    /// magazine loaded before is empty or was copied elsewhere.
    pub fn set_loaded(&self, class: SizeClass, chain: Chain, capacity: usize) {
        debug_assert!(capacity >= chain.count);
        // Relaxed: only the owner writes. Head first when it becomes null, so that what a forked child
        // finds is never in two places; `take_*` relies on it.
        Self::at(&self.heads, class).store(chain.head, Ordering::Release);
        self.set_room(class, chain.count, capacity);
    }

    /// Notes that the loaded magazine has `count` objects, with room for `capacity` in all.
    #[inline]
    fn set_room(&self, class: SizeClass, count: usize, capacity: usize) {
        match self.counter() {
            None => {
                // Relaxed: only the owner writes.
                Self::at(&self.capacities, class).store(capacity as u32, Ordering::Relaxed);
                Self::at(&self.free_slots, class)
                    .store((capacity - count) as u32, Ordering::Relaxed);
            }
            Some(counter) => self.set_budget(counter, class, count, capacity),
        }
    }

    /// Takes the loaded magazine out, leaving an empty one with room for `capacity`.
    pub fn take_loaded(&self, class: SizeClass, capacity: usize) -> Chain {
        let chain = self.loaded(class);
        self.set_loaded(class, Chain::EMPTY, capacity);
        chain
    }

    /// How many objects the loaded magazine holds when full. For the owner.
    pub fn capacity(&self, class: SizeClass) -> usize {
        // Relaxed: only the owner writes.
        Self::at(&self.capacities, class).load(Ordering::Relaxed) as usize
    }

    /// Gives the loaded magazine room for `capacity` objects in all.
    pub fn set_capacity(&self, class: SizeClass, capacity: usize) {
        let count = self.loaded_count(class);
        debug_assert!(capacity >= count);
        self.set_room(class, count, capacity);
    }

    /// Makes `chain` the spare magazine; the one before is empty or was copied elsewhere.
    pub fn set_spare(&self, class: SizeClass, chain: Chain) {
        // Release: as in `push`.
        Self::at(&self.spare_heads, class).store(chain.head, Ordering::Release);
        Self::at(&self.spare_counts, class).store(chain.count as u32, Ordering::Relaxed);
    }

    /// Takes the spare magazine out.
    pub fn take_spare(&self, class: SizeClass) -> Chain {
        let chain = self.spare(class);
        self.set_spare(class, Chain::EMPTY);
        chain
    }

    /// Takes what the loaded magazine holds from under its owner, who may be about to put one object in
    /// (see `park`). The chain's count is an upper bound.
    pub(super) fn steal_loaded(&self, class: SizeClass) -> Chain {
        // Acquire: pairs with the Release of `push`, so that the links are there. An exchange, so that the
        // owner's store is either part of what is taken or comes after it.
        let head = Self::at(&self.heads, class).swap(ptr::null_mut(), Ordering::Acquire);
        Chain { head, count: MAGAZINE_MAX_COUNT }
    }

    /// Makes a class that `steal_loaded` was applied to whole again: what is there now, if anything, is one
    /// object, whose link leads to what was taken.
    pub(super) fn finish_steal(&self, class: SizeClass) {
        // Relaxed: the owner's own store, if any.
        let object = Self::at(&self.heads, class).load(Ordering::Relaxed);
        if object.is_null() {
            self.set_loaded(class, Chain::EMPTY, 0);
        } else {
            // SAFETY: an object that this thread has put here.
            unsafe { FreeObject::relink(object, ptr::null_mut()) };
            self.set_loaded(class, Chain { head: object, count: 1 }, 1);
        }
    }

    /// Takes what both magazines of a class may hold from a cache whose owner is gone, and may have stopped anywhere in an
    /// operation: their first objects, or null.
    pub(super) fn take_heads(&self, class: SizeClass) -> [*mut FreeObject; 2] {
        // Relaxed, here and below: nobody else has the cache.
        let loaded = Self::at(&self.heads, class).swap(ptr::null_mut(), Ordering::Relaxed);
        for count in [&self.free_slots, &self.budgets, &self.capacities] {
            Self::at(count, class).store(0, Ordering::Relaxed);
        }
        [loaded, self.take_spare(class).head]
    }

    /// The head of the loaded magazine.
    pub(super) fn head(&self, class: SizeClass) -> *mut FreeObject {
        // Relaxed: for who knows that the value is settled, or only compares it.
        Self::at(&self.heads, class).load(Ordering::Relaxed)
    }

    /// The limit of `class`.
    pub fn limit(&self, class: SizeClass) -> usize {
        // Relaxed: only the owner writes.
        Self::at(&self.limits, class).load(Ordering::Relaxed) as usize
    }

    /// Sets the limit of `class`.
    pub fn set_limit(&self, class: SizeClass, limit: usize) {
        // Relaxed: only the owner writes.
        Self::at(&self.limits, class).store(limit as u32, Ordering::Relaxed);
    }

    /// Panics unless every magazine holds what its counts say.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        for class in SizeClass::all() {
            for chain in [self.loaded(class), self.spare(class)] {
                let mut object = chain.head;
                for _ in 0..chain.count {
                    assert!(!object.is_null(), "chain shorter than its count");
                    // SAFETY: an object of the magazine.
                    unsafe {
                        assert!(FreeObject::is_marked(object));
                        object = FreeObject::next(object);
                    }
                }
                assert!(object.is_null(), "chain longer than its count");
            }
        }
    }
}
