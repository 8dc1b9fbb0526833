//! The twin of a cache whose thread counts what it allocates (option `sample_interval`).
//!
//! The slot of such a thread names the twin, whose every magazine is empty and full at once. So each call
//! takes the slow path, which finds the twin by its kind, counts, and goes on with the thread's own cache.
//! Threads that do not count have no twin, and their hot paths do not know of it.

use super::cache::{Kind, ThreadCache};
use super::registry;
use crate::page::metadata::METADATA;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{self, NonNull};

/// Kinds of events: samples for the profile, and blocks that are guarded.
pub const KINDS: usize = 2;

/// A twin. Read and written by its thread only; all accesses are relaxed.
#[repr(C)]
pub struct CountedCache {
    face: ThreadCache,
    own: AtomicPtr<ThreadCache>,
    /// Bytes until the next event, as a signed number.
    countdown: AtomicUsize,
    /// Bytes from there to the next event of each kind; 0 for the one that it is.
    beyond: [AtomicUsize; KINDS],
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
}

impl CountedCache {
    /// The thread's own cache.
    #[inline(always)]
    pub fn own(&self) -> &'static ThreadCache {
        // SAFETY: set when the twin was made; caches are never unmapped.
        unsafe { &*self.own.load(Ordering::Relaxed) }
    }

    /// Counts `size` bytes. Whether an event is due.
    #[inline(always)]
    pub fn count(&self, size: usize) -> bool {
        let left = (self.countdown.load(Ordering::Relaxed) as isize).wrapping_sub(size as isize);
        self.countdown.store(left as usize, Ordering::Relaxed);
        left < 0
    }

    /// After an event was due: which kinds are. Sets the distance to the next of those, which `draws` make
    /// from the state of the generator. The first distances are only drawn when the first event is due.
    pub fn restart(&self, draws: [fn(&mut u64) -> isize; KINDS]) -> [bool; KINDS] {
        let mut random = self.random.load(Ordering::Relaxed) as u64;
        let first = random == 0;
        if first {
            random = seed(ptr::from_ref(self) as u64);
        }
        let passed = self.countdown.load(Ordering::Relaxed) as isize;
        let mut due = [false; KINDS];
        let mut left = [0; KINDS];
        for ((draw, beyond), (due, left)) in
            draws.iter().zip(&self.beyond).zip(due.iter_mut().zip(&mut left))
        {
            // What was allocated since the count began counts against the first distance too.
            let from =
                if first { draw(&mut random) } else { beyond.load(Ordering::Relaxed) as isize };
            *left = from.saturating_add(passed);
            *due = *left < 0;
            if *due {
                *left = draw(&mut random);
            }
        }
        let nearest = left.into_iter().min().unwrap_or(0);
        for (beyond, left) in self.beyond.iter().zip(left) {
            beyond.store((left - nearest) as usize, Ordering::Relaxed);
        }
        self.countdown.store(nearest as usize, Ordering::Relaxed);
        self.random.store(random as usize, Ordering::Relaxed);
        due
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

/// Makes the slot of the calling thread, whose cache is `own`, name a twin. Without memory for one the
/// thread does not count.
pub fn install(own: &ThreadCache) {
    let used = registry::take_twin().map(NonNull::cast);
    let Some(twin) = used.or_else(|| METADATA.allocate::<CountedCache>()) else { return };
    // SAFETY: memory for one record that nobody uses.
    unsafe {
        twin.write(CountedCache {
            face: ThreadCache::new(Kind::Counted),
            own: AtomicPtr::new(ptr::from_ref(own).cast_mut()),
            countdown: AtomicUsize::new(0),
            beyond: [const { AtomicUsize::new(0) }; KINDS],
            random: AtomicUsize::new(0),
        });
    }
    registry::name(own, twin.as_ptr().cast());
}
