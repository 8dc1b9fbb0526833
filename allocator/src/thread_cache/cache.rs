//! The record of a thread's cache, and the operations of the hot paths on it.
//!
//! Invariant of every class: `free_slots + budgets + (length of the chain at heads) = capacities`.
//! Class 0, which no object has, has capacity 0: it is empty and full at once, as is every class of
//! the placeholder caches. So "not a small object" and "thread not set up" need no tests of their
//! own on the hot paths: they end in the slow path, as an empty or a full magazine does.
//!
//! `budgets` is 0 but in threads that sample (`sampling`). There `free_slots` is the number of
//! objects popped since the slow path last looked, and `budgets` the number that may be pushed
//! until it looks again. `push_target` leads a `push` to the one or the other.
//!
//! Writers: the owning thread, and the thread that parks the cache while the owner sleeps (`park`).
//! Readers: the owner, and for statistics anyone (`free_slots`, `capacities`, the spares' counts),
//! who may see values that are a moment old. That is why the fields are atomics. All accesses are
//! relaxed and compile to plain moves, with one exception that matters to `fork` and to parking
//! ([`PushTarget::push`]).
//!
//! [`PushTarget::push`]: super::push_target::PushTarget::push

use super::quarantine::CacheQuarantine;
use crate::base::list::{Links, Node};
use crate::central::chain::FreeObject;
use crate::central::shards::Member;
use crate::config::CLASS_COUNT;
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use core::ptr;

/// Chains of one class that a cache has: two magazines, and in the hardened build two generations
/// in quarantine.
pub(super) const CHAINS_PER_CLASS: usize = if HARDENED { 4 } else { 2 };

/// Kinds of sample points: those of the heap profile, and those of blocks that get guard pages.
pub const KINDS: usize = 2;

/// How far a thread is from its next samples. `sampling` has the operations. The thread alone reads
/// and writes it, or the thread that empties its cache when it has ended, so all accesses are
/// relaxed.
pub struct SampleCounter {
    /// Bytes of each class until the next sample of each kind, from the end of what was counted:
    /// the sample falls on the block that has the last of them. 0: not drawn yet.
    pub(super) left: [[AtomicUsize; KINDS]; CLASS_COUNT],
    /// State of the generator that draws distances; 0 before the first.
    pub(super) random: AtomicUsize,
    /// Pages of the owner's stack that were found to be readable, by the low bits of their numbers.
    pub(super) stack_pages: [AtomicUsize; STACK_PAGES],
    /// The number of the owner's name, and for how many samples it was used (`profile::labels`).
    pub(super) thread_label: AtomicUsize,
}

/// Pages of its stack that a thread remembers: a power of two.
pub const STACK_PAGES: usize = 8;

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

/// A thread's cache. The hot arrays are separate arrays, not an array of magazines, so that an
/// index needs no multiplication beyond what the processor's addressing does. The first five lie
/// where `push_target` needs them.
#[repr(C, align(64))]
pub struct ThreadCache {
    /// First object of each class's loaded magazine.
    pub(super) heads: [AtomicPtr<FreeObject>; CLASS_COUNT],
    /// Objects that may still be pushed by class aliases (head of this file).
    pub(super) budgets: [AtomicU32; CLASS_COUNT],
    /// Objects that a magazine of each class may grow to now (`sizing`).
    pub(super) limits: [AtomicU32; CLASS_COUNT],
    /// Objects that each loaded magazine still has room for.
    pub(super) free_slots: [AtomicU32; CLASS_COUNT],
    /// Objects that each loaded magazine holds when full.
    pub(super) capacities: [AtomicU32; CLASS_COUNT],
    /// First object of each class's spare magazine.
    pub(super) spare_heads: [AtomicPtr<FreeObject>; CLASS_COUNT],
    /// Objects in each spare magazine.
    pub(super) spare_counts: [AtomicU32; CLASS_COUNT],
    /// Refills and flushes until the next scavenge (`sizing`).
    pub(super) countdown: AtomicU32,
    /// Classes whose slow path ran since the last scavenge, 32 to a word.
    pub(super) active: [AtomicU32; 4],
    /// Whether the owner is on a slow path, where it may change everything here.
    pub(super) busy: AtomicU32,
    /// How far the cache is parked (`parked_state`).
    pub(super) parked: AtomicU32,
    /// While it is parked: the number of the first class that was not taken yet. Under the
    /// registry's lock; the owner reads it only while it cannot change.
    pub(super) emptied: AtomicU32,
    /// The number of the last time that the owner's slot was made to name the placeholder, counted
    /// over all caches. Under the registry's lock.
    pub(super) naming: AtomicUsize,
    /// When the owner last looked how often it comes (`sizing`), in nanoseconds of `os::vdso`'s
    /// clock; 0: not lately.
    pub(super) tick_ns: AtomicUsize,
    /// 1 if it came rarely then.
    pub(super) is_rare: AtomicU32,
    /// While caches wind down: the number of the next class that the owner empties.
    pub(super) wind_down_class: AtomicU32,
    /// What `countdown` was when `park` last looked.
    pub(super) seen: AtomicU32,
    /// Looks in a row at which the owner had hardly called the central tier.
    pub(super) rounds_asleep: AtomicU32,
    /// Number of the `fork` since which the owner avoids writes to shared pages, or 0 (`cow`).
    pub(super) cow_fork: AtomicU32,
    /// Frees that may still save nothing before the owner gives that up.
    pub(super) cow_budget: AtomicU32,
    /// Number of the `fork` for which the owner gave it up.
    pub(super) cow_declined: AtomicU32,
    /// The number of the cache among all that came to live in this process, or to the pool; 0 while
    /// it is in neither. Under the registry's lock.
    pub(super) birth: AtomicUsize,
    /// Bytes that it went to the pool with. Under the registry's lock.
    pub(super) pooled: AtomicUsize,
    /// Its place among the shards. Changed under the registry's lock.
    pub(super) member: Member,
    /// The owner's number.
    pub(super) thread: AtomicU32,
    /// Where the owner's thread-local words are.
    pub(super) slot: AtomicPtr<usize>,
    /// How far the owner is from the next sample; null if it does not sample.
    pub(super) counter: AtomicPtr<SampleCounter>,
    /// What this is.
    pub kind: Kind,
    links: Links<ThreadCache>,
    /// What the owner freed last, in the hardened build.
    pub quarantine: CacheQuarantine,
}

// SAFETY: returns the address of the field.
unsafe impl Node for ThreadCache {
    unsafe fn links(node: *mut Self) -> *mut Links<Self> {
        // SAFETY: the caller says that `node` is live.
        unsafe { &raw mut (*node).links }
    }
}

// SAFETY: all fields are atomics but `links`, which the registry's lock guards, and `kind`, which
// does not change while the cache is shared.
unsafe impl Sync for ThreadCache {}

/// Named by the slot of every new thread (see `os::thread_slot`). Never written to.
#[unsafe(export_name = "stratalloc_empty_cache_0_1")]
#[unsafe(link_section = ".data.stratalloc_constant")]
static EMPTY: ThreadCache = ThreadCache::new(Kind::Empty);

/// Named by the slot of threads whose cache was taken down. Never written to.
#[unsafe(link_section = ".data.stratalloc_constant")]
pub static EXITED: ThreadCache = ThreadCache::new(Kind::Exited);

/// Named by the slot of threads whose cache is parked. Never written to.
#[unsafe(link_section = ".data.stratalloc_constant")]
pub static PARKED: ThreadCache = ThreadCache::new(Kind::Parked);

/// A cache that is always full. The fourth word of a thread's slot names it in threads that sample,
/// where a block is looked up though the caller says its size. The third and fourth words name it
/// in threads that avoid writes to shared pages (`publish::publish_cache`). Never written to;
/// nobody asks for its kind.
#[unsafe(link_section = ".data.stratalloc_constant")]
pub static FULL: ThreadCache = ThreadCache::new(Kind::Exited);

/// The calling thread's cache, or a placeholder. Whatever takes longer than one `pop` goes through
/// `enter::enter`.
#[inline(always)]
pub fn current() -> &'static ThreadCache {
    // SAFETY: the slot names a placeholder or a cache of the registry. Neither is ever unmapped,
    // and the fields that others may write at the same time are atomics.
    unsafe { &*thread_slot::get().cast() }
}

/// The quarantine that the calling thread's slot names for what it frees.
#[allow(dead_code, reason = "the hardened build alone calls this")]
#[inline(always)]
pub fn quarantine() -> &'static CacheQuarantine {
    // SAFETY: in the hardened build the word for frees names a placeholder or a cache. Neither is
    // ever unmapped, and its fields are atomics.
    unsafe { &(*thread_slot::get_to_push().cast::<ThreadCache>()).quarantine }
}

/// What the calling thread's slot names, to take an object of `class` from by `pop`. Announces the
/// class first: the thread that parks the cache relies on that.
#[inline(always)]
pub fn cache_for_alloc(class: SizeClass) -> &'static ThreadCache {
    // SAFETY: the slot names a placeholder or a cache. Neither is ever unmapped, and the fields
    // that others may write at the same time are atomics.
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
            tick_ns: AtomicUsize::new(0),
            is_rare: AtomicU32::new(0),
            wind_down_class: AtomicU32::new(0),
            rounds_asleep: AtomicU32::new(0),
            cow_fork: AtomicU32::new(0),
            cow_budget: AtomicU32::new(0),
            cow_declined: AtomicU32::new(0),
            birth: AtomicUsize::new(0),
            pooled: AtomicUsize::new(0),
            member: Member::new(),
            thread: AtomicU32::new(0),
            slot: AtomicPtr::new(ptr::null_mut()),
            counter: AtomicPtr::new(ptr::null_mut()),
            kind,
            links: Links::new(),
            quarantine: CacheQuarantine::new(),
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

    /// The head of the loaded magazine.
    pub(super) fn head(&self, class: SizeClass) -> *mut FreeObject {
        // Relaxed: the owner's own value; anybody else only compares it.
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

    /// How far the owner is from the next sample, if it samples.
    #[inline(always)]
    pub fn counter(&self) -> Option<&'static SampleCounter> {
        // SAFETY: null or a counter, which is never unmapped. Relaxed: the owner's own, or the
        // caller holds the registry's lock, which orders.
        unsafe { self.counter.load(Ordering::Relaxed).as_ref() }
    }

    /// Whether the owner avoids writes to shared pages (`cow`), and so pushes on slow paths only.
    #[inline]
    pub(super) fn avoids_cow(&self) -> bool {
        // Relaxed: the owner's own.
        self.cow_fork.load(Ordering::Relaxed) != 0
    }
}
