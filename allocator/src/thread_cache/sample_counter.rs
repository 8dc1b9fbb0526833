//! Counting what a thread allocates (options `sample_interval` and `guard_sample`), with the hot paths of a thread that
//! does not count.
//!
//! A `pop` adds to `free_slots` of its class and a `push` takes from `budgets` (`push_target` says how), so that `free_slots` is what was
//! popped since the slow path last looked. And the slow path sees to it that it looks again in time. What a
//! thread can pop until then is what its magazine holds and what it may push: both together are never more than the blocks
//! that may be allocated before the next *sample point*. So the allocation that a sample falls on finds the
//! magazine empty. That costs a look for every magazine's worth of frees, and a few more where a sample is near:
//! of what is left until then, half may be in the magazine and half may be pushed, and so on, until nothing is left.
//!
//! Each class counts its own bytes, as does everything large under the number of no class: distances drawn from the
//! exponential distribution have no memory, so that many counts are as good as one.
//!
//! A sampled block has a span of its own and no class in the page map, so that `free` takes the slow path. Where the caller
//! says the size, the map is not looked at: the fourth word of the slot of a thread that counts names for these frees a
//! cache that is always full, and the slow path looks.

use crate::config::CLASS_COUNT;
use crate::page::metadata::{Kind, METADATA, Record};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, Ordering};
use core::mem::transmute;
use core::ptr;

/// Kinds of sample points: for the profile, and for blocks that are guarded.
pub const KINDS: usize = 2;

/// Draws the bytes from one sample of a kind to the next, with a generator whose state is the argument.
pub type Draw = fn(&mut u64) -> isize;

/// The [`Draw`] of each kind, which stand above this tier. Relaxed: stored before anything counts.
static DRAWS: [AtomicUsize; KINDS] = [const { AtomicUsize::new(0) }; KINDS];

/// Says how distances are drawn. Called before anything counts.
pub(super) fn set_draws(draws: [Draw; KINDS]) {
    for (place, draw) in DRAWS.iter().zip(draws) {
        place.store(draw as usize, Ordering::Relaxed);
    }
}

/// How far a thread is from the next samples. Read and written by that thread, or by who empties its cache when it has
/// ended; all accesses are relaxed.
pub struct SampleCounter {
    /// Bytes of each class until the next sample of each kind, from the end of what was counted: the
    /// sample falls on the block that has the last of them. 0: not drawn yet.
    left: [[AtomicUsize; KINDS]; CLASS_COUNT],
    /// State of the generator that draws distances; 0 before the first.
    random: AtomicUsize,
}

impl Record for SampleCounter {
    const KIND: Kind = Kind::ThreadCaches;
}

/// For threads for which there is no memory for another: no sample ever comes. What several threads count here at the same
/// time may be lost, and does not matter.
static NEVER: SampleCounter = SampleCounter::new::<{ usize::MAX / 2 }>(0);

impl SampleCounter {
    /// One that nobody uses.
    pub fn obtain() -> *mut Self {
        let Some(fresh) = METADATA.allocate::<Self>() else {
            return (&raw const NEVER).cast_mut();
        };
        // SAFETY: memory for one that nobody uses.
        unsafe { fresh.write(Self::new::<0>(0)) };
        fresh.as_ptr()
    }

    /// One that is `LEFT` bytes from every sample, and whose generator has the state `random`.
    pub(super) const fn new<const LEFT: usize>(random: usize) -> Self {
        Self {
            left: [const { [const { AtomicUsize::new(LEFT) }; KINDS] }; CLASS_COUNT],
            random: AtomicUsize::new(random),
        }
    }

    #[inline(always)]
    fn left(&self, class: SizeClass) -> &[AtomicUsize; KINDS] {
        // SAFETY: a class's number is below CLASS_COUNT.
        unsafe { self.left.get_unchecked(class.index()) }
    }

    /// Bytes until the next sample, whatever kind it is of: at least one.
    #[inline(always)]
    pub(super) fn least_left(&self, class: SizeClass) -> usize {
        let [first, second] = self.left(class);
        let least = first.load(Ordering::Relaxed).min(second.load(Ordering::Relaxed));
        if least > 0 { least } else { self.draw_first(class) }
    }

    /// As `least_left`, for a class of which nothing is drawn yet.
    #[cold]
    #[inline(never)]
    fn draw_first(&self, class: SizeClass) -> usize {
        self.draw(class, [true; KINDS]);
        self.least_left(class)
    }

    /// Draws new distances of `kinds`.
    fn draw(&self, class: SizeClass, kinds: [bool; KINDS]) {
        let mut random = self.random.load(Ordering::Relaxed) as u64;
        if random == 0 {
            random = seed(ptr::from_ref(self) as u64);
        }
        for ((left, place), _) in
            self.left(class).iter().zip(&DRAWS).zip(kinds).filter(|(_, is)| *is)
        {
            let draw = place.load(Ordering::Relaxed);
            debug_assert!(draw != 0, "nothing counts before somebody draws");
            // SAFETY: stored by `set_draws`, and nothing else is.
            let draw = unsafe { transmute::<usize, Draw>(draw) };
            left.store(draw(&mut random).max(1) as usize, Ordering::Relaxed);
        }
        self.random.store(random as usize, Ordering::Relaxed);
    }

    /// Whether a sample is due with the next block if that has `size` bytes: then `restart` is to be called.
    #[inline(always)]
    pub fn is_due(&self, class: SizeClass, size: usize) -> bool {
        // A block of no bytes counts as one of one.
        self.least_left(class) <= size.max(1)
    }

    /// How many blocks of `class` may be allocated before one that a sample is due with, as far as it matters to who
    /// has use for `wanted`.
    #[inline(always)]
    pub(super) fn most(&self, class: SizeClass, wanted: usize) -> usize {
        let left = self.least_left(class);
        // The division is seldom made.
        if wanted * class.size() < left { wanted } else { (left - 1) / class.size() }
    }

    /// Counts `count` blocks of `class`, which are no more than there are before the next sample.
    #[inline(always)]
    pub(super) fn took(&self, class: SizeClass, count: usize) {
        self.count(class, count * class.size());
    }

    /// Counts `bytes`, after which no sample is due yet.
    #[inline(always)]
    pub fn count(&self, class: SizeClass, bytes: usize) {
        for left in self.left(class) {
            let before = left.load(Ordering::Relaxed);
            debug_assert!(
                bytes == 0 || before > bytes,
                "{bytes} bytes of {class:?}, {before} left"
            );
            left.store(before - bytes, Ordering::Relaxed);
        }
    }

    /// Takes back that a block of `size` bytes was counted.
    pub fn uncount(&self, class: SizeClass, size: usize) {
        for left in self.left(class) {
            left.store(left.load(Ordering::Relaxed) + size.max(1), Ordering::Relaxed);
        }
    }

    /// Counts a block of `size` bytes that a sample is due with. Says which kinds are due, for each of which the
    /// next distance is drawn, from the end of the block.
    pub fn restart(&self, class: SizeClass, size: usize) -> [bool; KINDS] {
        let size = size.max(1);
        let due = self.left(class).each_ref().map(|left| left.load(Ordering::Relaxed) <= size);
        for (left, _) in self.left(class).iter().zip(due).filter(|(_, due)| !due) {
            left.store(left.load(Ordering::Relaxed) - size, Ordering::Relaxed);
        }
        self.draw(class, due);
        due
    }
}

/// Something that differs between threads and between processes; not 0.
fn seed(addr: u64) -> u64 {
    let time = crate::os::vdso::now(libc::CLOCK_MONOTONIC);
    let mixed = (addr ^ (time.tv_nsec as u64) << 32 ^ time.tv_sec as u64)
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 31 | 1
}
