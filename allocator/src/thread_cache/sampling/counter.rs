//! The counter of a thread that samples: the bytes until its next samples.
//!
//! It has a distance for each class and each kind of sample, and draws the next one when a sample
//! falls on a block. How it draws is said from above ([`set_draws`]), once, before any thread
//! samples. The thread that owns the counter alone uses it, without a lock, or the thread that
//! empties its cache when it has ended; a counter goes on to the next owner of the cache. Threads
//! that got no memory for one share [`NEVER`]. What becomes of a sampled block is decided
//! elsewhere.

use super::super::cache::{KINDS, STACK_PAGES, SampleCounter};
use crate::config::CLASS_COUNT;
use crate::page::metadata::{Kind, METADATA, Record};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, Ordering};
use core::mem::transmute;
use core::ptr;

/// Draws the bytes from one sample of a kind to the next, with a generator whose state is the
/// argument.
pub type Draw = fn(&mut u64) -> isize;

/// The [`Draw`] of each kind: functions of tiers above this one. Relaxed: stored before any thread
/// samples.
static DRAWS: [AtomicUsize; KINDS] = [const { AtomicUsize::new(0) }; KINDS];

/// Says how distances are drawn. Called before any thread samples.
pub fn set_draws(draws: [Draw; KINDS]) {
    for (place, draw) in DRAWS.iter().zip(draws) {
        place.store(draw as usize, Ordering::Relaxed);
    }
}

impl Record for SampleCounter {
    const KIND: Kind = Kind::ThreadCaches;
}

/// The counter of threads that got no memory for one of their own: no sample ever comes. What
/// several threads count here at the same time may be lost, and does not matter.
#[unsafe(link_section = ".data.stratalloc_constant")]
static NEVER: SampleCounter = SampleCounter::new::<{ usize::MAX / 2 }>(0);

impl SampleCounter {
    /// A counter that nobody else uses, or [`NEVER`] without memory.
    pub fn obtain() -> *mut Self {
        let Some(fresh) = METADATA.allocate::<Self>() else {
            return (&raw const NEVER).cast_mut();
        };
        // SAFETY: `allocate` returned memory for a counter, which nobody else knows of.
        unsafe { fresh.write(Self::new::<0>(0)) };
        fresh.as_ptr()
    }

    /// A counter that is `LEFT` bytes from every sample, whose generator has the state `random`.
    pub const fn new<const LEFT: usize>(random: usize) -> Self {
        Self {
            left: [const { [const { AtomicUsize::new(LEFT) }; KINDS] }; CLASS_COUNT],
            random: AtomicUsize::new(random),
            stack_pages: [const { AtomicUsize::new(0) }; STACK_PAGES],
            thread_label: AtomicUsize::new(0),
        }
    }

    /// Whether the page with the number `page` was found to be a readable one of the owner's stack.
    pub fn knows_page(&self, page: usize) -> bool {
        self.stack_pages[page % STACK_PAGES].load(Ordering::Relaxed) == page
    }

    /// Notes that the page with the number `page` is a readable one of the owner's stack.
    pub fn note_page(&self, page: usize) {
        self.stack_pages[page % STACK_PAGES].store(page, Ordering::Relaxed);
    }

    /// The number of the owner's name, and for how many samples it was used.
    pub fn thread_label(&self) -> (u16, usize) {
        let word = self.thread_label.load(Ordering::Relaxed);
        (word as u16, word >> 16)
    }

    /// Notes the number of the owner's name, and for how many samples it was used.
    pub fn set_thread_label(&self, label: u16, uses: usize) {
        self.thread_label.store(label as usize | uses << 16, Ordering::Relaxed);
    }

    /// Forgets what is known of the owner: the counter gets another one.
    pub fn forget_owner(&self) {
        self.stack_pages.iter().for_each(|page| page.store(0, Ordering::Relaxed));
        self.thread_label.store(0, Ordering::Relaxed);
    }

    /// Bytes of `class` until the next sample of each kind.
    #[inline(always)]
    fn left(&self, class: SizeClass) -> &[AtomicUsize; KINDS] {
        // SAFETY: a class's number is below CLASS_COUNT.
        unsafe { self.left.get_unchecked(class.index()) }
    }

    /// Bytes until the next sample, whatever kind it is of: at least one.
    #[inline(always)]
    pub fn least_left(&self, class: SizeClass) -> usize {
        let [first, second] = self.left(class);
        let least = first.load(Ordering::Relaxed).min(second.load(Ordering::Relaxed));
        if least > 0 { least } else { self.draw_first(class) }
    }

    /// As `least_left`, for a class that has no distances yet.
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
            debug_assert!(draw != 0, "no thread samples before somebody draws");
            // SAFETY: only `set_draws` stores here, and it stores a `Draw`.
            let draw = unsafe { transmute::<usize, Draw>(draw) };
            left.store(draw(&mut random).max(1) as usize, Ordering::Relaxed);
        }
        self.random.store(random as usize, Ordering::Relaxed);
    }

    /// Whether a sample is due with the next block if that has `size` bytes. If so, the caller
    /// calls `restart`.
    #[inline(always)]
    pub fn is_due(&self, class: SizeClass, size: usize) -> bool {
        // A block of no bytes counts as one of one.
        self.least_left(class) <= size.max(1)
    }

    /// How many blocks of `class` may be allocated before one that a sample is due with, up to
    /// `wanted`.
    #[inline(always)]
    pub fn most(&self, class: SizeClass, wanted: usize) -> usize {
        let left = self.least_left(class);
        // Most calls get by without the division.
        if wanted * class.size() < left { wanted } else { (left - 1) / class.size() }
    }

    /// Counts `count` blocks of `class`; the next sample is due with none of them.
    #[inline(always)]
    pub fn took(&self, class: SizeClass, count: usize) {
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

    /// Undoes the count of a block of `size` bytes.
    pub fn uncount(&self, class: SizeClass, size: usize) {
        for left in self.left(class) {
            left.store(left.load(Ordering::Relaxed) + size.max(1), Ordering::Relaxed);
        }
    }

    /// Counts a block of `size` bytes that a sample is due with. Returns which kinds are due, and
    /// draws the next distance of each of those, from the end of the block.
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

/// State of the generator for those who have no counter. Relaxed: each call gets another state, and
/// nothing else depends on it.
static SHARED_RANDOM: AtomicUsize = AtomicUsize::new(0);

/// A random number for those who have no counter, and for what is rare.
pub fn shared_random() -> usize {
    const STEP: usize = 0x9E37_79B9_7F4A_7C15;
    let mut state = SHARED_RANDOM.fetch_add(STEP, Ordering::Relaxed);
    if state == 0 {
        state = seed(&raw const SHARED_RANDOM as u64) as usize;
        SHARED_RANDOM.fetch_add(state, Ordering::Relaxed);
    }
    // The steps of SplitMix64, whose states follow each other at this distance.
    state = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ state >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (state ^ state >> 31) | 1
}

/// Makes a forked child draw other numbers than its parent and its siblings do: the errors of their
/// profiles must not add up. The distances that are drawn already stay, as magazines go by them.
pub fn reset_in_child(own: Option<&SampleCounter>) {
    SHARED_RANDOM.store(0, Ordering::Relaxed);
    if let Some(counter) = own {
        counter.random.store(0, Ordering::Relaxed);
    }
}

/// Whether a sample of the heap profile falls on `bytes` bytes that a thread without a counter
/// allocates. Distances between samples have no memory, so to draw one for each block is as good as
/// to count.
pub fn is_due_without_counter(bytes: usize) -> bool {
    let draw = DRAWS[0].load(Ordering::Relaxed);
    if draw == 0 {
        return false;
    }
    // SAFETY: only `set_draws` stores here, and it stores a `Draw`.
    let draw = unsafe { transmute::<usize, Draw>(draw) };
    draw(&mut (shared_random() as u64)) as usize <= bytes.max(1)
}

/// A number that differs between threads and between processes; not 0.
fn seed(addr: u64) -> u64 {
    let time = crate::os::vdso::now(libc::CLOCK_MONOTONIC);
    let mixed = (addr ^ (time.tv_nsec as u64) << 32 ^ time.tv_sec as u64)
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 31 | 1
}
