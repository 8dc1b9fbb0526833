//! The twin of a cache whose thread counts what it allocates (option `sample_interval`).
//!
//! Such a thread takes objects from the twin and puts them into its own cache. So nothing that it frees makes
//! up for what it takes: what a magazine of the twin gets, the thread takes one by one, and when the magazine
//! is empty all of it was allocated. The slow path counts it then, or rather before: it gives the magazine only
//! as many objects as there are until the next event is due, such as a sample, so that the allocation
//! that the event falls on takes the slow path. A loop that allocates and frees moves its magazine back and
//! forth at each turn, and the hot paths are those of a thread that does not count.
//!
//! Each class counts its own bytes, as does everything large under the number of no class: distances drawn from the
//! exponential distribution have no memory, so that many counts are as good as one. For the same reason, what
//! leaves the twin otherwise need not be counted back: new distances are drawn.
//!
//! A sampled block has no class in the page map, so that `free` takes the slow path. Where the caller says
//! the size, the map is not looked at, and the block goes into a magazine; `sift` finds it there. Not where blocks are
//! guarded, which must be looked at when they are freed: the slot of a thread then names for these frees a cache that
//! is always full, and the slow path looks. The same where memory for a twin is short.

use super::cache::{Kind, ThreadCache};
use super::registry;
use crate::central::chain::Chain;
use crate::config::CLASS_COUNT;
use crate::page::metadata::METADATA;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{self, NonNull};

/// Kinds of events: samples for the profile, and blocks that are guarded.
pub const KINDS: usize = 2;

/// A twin. Read and written by its thread, but for the magazines as in `ThreadCache`; all accesses are relaxed.
#[repr(C)]
pub struct CountedCache {
    face: ThreadCache,
    own: AtomicPtr<ThreadCache>,
    /// Bytes of each class until the next event of each kind, from the end of what the magazine holds: the
    /// event falls on the block that has the last of them. 0: not drawn yet.
    left: [[AtomicUsize; KINDS]; CLASS_COUNT],
    /// State of the generator that draws distances; 0 before the first.
    random: AtomicUsize,
}

impl ThreadCache {
    /// The twin that this is, if it is one.
    #[inline(always)]
    pub fn as_counted(&self) -> Option<&CountedCache> {
        // SAFETY: only the first field of a `CountedCache` has this kind, and records are never unmapped.
        (self.kind == Kind::Counted).then(|| unsafe { &*ptr::from_ref(self).cast() })
    }

    /// The twin of this cache, if its thread counts. For the owner, or under the registry's lock.
    #[inline]
    pub(super) fn twin(&self) -> Option<&CountedCache> {
        // Relaxed: the lock orders, or the owner has stored it.
        let named = self.named.load(Ordering::Relaxed);
        // SAFETY: null or a record; records are never unmapped.
        unsafe { named.as_ref() }.and_then(Self::as_counted)
    }
}

impl CountedCache {
    /// The thread's own cache.
    #[inline(always)]
    pub fn own(&self) -> &'static ThreadCache {
        // SAFETY: set when the twin was made; caches are never unmapped.
        unsafe { &*self.own.load(Ordering::Relaxed) }
    }

    /// The magazines that the thread takes from.
    #[inline(always)]
    pub(super) fn face(&self) -> &ThreadCache {
        &self.face
    }

    #[inline(always)]
    fn left(&self, class: SizeClass) -> &[AtomicUsize; KINDS] {
        // SAFETY: a class's number is below CLASS_COUNT.
        unsafe { self.left.get_unchecked(class.index()) }
    }

    /// Bytes until the next event, whatever kind it is of.
    #[inline(always)]
    fn least_left(&self, class: SizeClass) -> usize {
        let [first, second] = self.left(class);
        first.load(Ordering::Relaxed).min(second.load(Ordering::Relaxed))
    }

    /// Whether an event is due with the next block if that has `size` bytes, or nothing is drawn yet: then `restart`
    /// is to be called.
    #[inline(always)]
    pub fn is_due(&self, class: SizeClass, size: usize) -> bool {
        // A block of no bytes counts as one of one.
        self.least_left(class) <= size.max(1)
    }

    /// How many of `count` blocks of `class` may be taken before an event is due; at least one, as it is not due yet.
    #[inline(always)]
    pub(super) fn most_of(&self, class: SizeClass, count: usize) -> usize {
        let left = self.least_left(class);
        // The division is seldom made.
        if count * class.size() < left {
            count
        } else {
            (left.saturating_sub(1) / class.size()).max(1)
        }
    }

    /// Counts `count` blocks of `class`, which are no more than there are before the next event.
    #[inline(always)]
    pub(super) fn took(&self, class: SizeClass, count: usize) {
        self.count(class, count * class.size());
    }

    /// Counts `bytes`, after which no event is due yet.
    #[inline(always)]
    pub fn count(&self, class: SizeClass, bytes: usize) {
        for left in self.left(class) {
            let before = left.load(Ordering::Relaxed);
            debug_assert!(before > bytes);
            left.store(before - bytes, Ordering::Relaxed);
        }
    }

    /// What the magazine of `class` holds, for good: it will not be allocated from there.
    pub(super) fn take_unused(&self, class: SizeClass) -> Chain {
        let chain = self.face.take_loaded(class, 0);
        if !chain.is_empty() {
            self.forget_distances(class);
        }
        chain
    }

    /// What was drawn for `class` is no longer true, as objects were taken out.
    pub(super) fn forget_distances(&self, class: SizeClass) {
        for left in self.left(class) {
            left.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a block of `size` bytes that an event may be due with, unless there was no distance yet: then it
    /// draws those, and the answer is `None`; it is to be seen anew whether an event is due. Otherwise which kinds are
    /// due, for each of which the next distance is drawn. `draws` make distances from the generator's state.
    pub fn restart(
        &self,
        class: SizeClass,
        size: usize,
        draws: [fn(&mut u64) -> isize; KINDS],
    ) -> Option<[bool; KINDS]> {
        let mut random = self.random.load(Ordering::Relaxed) as u64;
        if random == 0 {
            random = seed(ptr::from_ref(self) as u64);
        }
        let mut due = [false; KINDS];
        let mut fresh = false;
        for ((left, draw), due) in self.left(class).iter().zip(draws).zip(&mut due) {
            let before = left.load(Ordering::Relaxed);
            fresh |= before == 0;
            *due = before <= size.max(1);
            if *due {
                left.store(draw(&mut random).max(1) as usize, Ordering::Relaxed);
            } else {
                left.store(before - size, Ordering::Relaxed);
            }
        }
        self.random.store(random as usize, Ordering::Relaxed);
        (!fresh).then_some(due)
    }
}

/// Something that differs between threads and between processes; not 0.
fn seed(addr: u64) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid target.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let mixed = (addr ^ (time.tv_nsec as u64) << 32 ^ time.tv_sec as u64)
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 31 | 1
}

/// Makes the calling thread, whose cache is `own`, take from a twin. Without memory for one the
/// thread does not count.
pub fn install(own: &ThreadCache) {
    let used = registry::take_twin().map(NonNull::cast);
    let Some(twin) = used.or_else(|| METADATA.allocate::<CountedCache>()) else {
        // No twin; but others do count, and the slot is to say so.
        return registry::name(own, ptr::from_ref(own).cast_mut());
    };
    // SAFETY: memory for one record that nobody uses.
    unsafe {
        twin.write(CountedCache {
            face: ThreadCache::new(Kind::Counted),
            own: AtomicPtr::new(ptr::from_ref(own).cast_mut()),
            left: [const { [const { AtomicUsize::new(0) }; KINDS] }; CLASS_COUNT],
            random: AtomicUsize::new(0),
        });
    }
    registry::name(own, twin.as_ptr().cast());
}
