//! Limits on the memory that the process holds through the allocator: a soft one, beyond which free memory
//! goes back at once, and a hard one, at which requests fail after that was tried.
//!
//! What is counted, in bytes: pages in spans without the OS pages inside them that were given back, free
//! pages that hold memory, blocks with mappings of their own, and the arena of records. It is an upper
//! bound of what is resident: pages of blocks that the program never touched count.
//!
//! Limits are looked at when pages are taken from the page heap, under its lock. Its own free pages go back
//! from here. Caches and the insides of spans belong to the tiers above, which see by `take_wish` that they
//! should give up what they hold.

use super::heap::{Inner, PageHeap};
use crate::os::Os;
use crate::page::metadata::METADATA;
use crate::page::units::Length;
use crate::parameters::{self, Id, NEVER};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Milliseconds between two times that caches are emptied for a limit, unless this much more is held, or a
/// request would fail.
const WISH_MS: u64 = 50;
/// See `WISH_MS`.
const WISH_BYTES: usize = 2 << 20;

/// Bytes of OS pages inside spans that were given back. Relaxed, here and below: sums that order nothing.
static INSIDE_SPANS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static SOFT_HITS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static HARD_HITS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static RELEASED: AtomicUsize = AtomicUsize::new(0);
/// The tiers above should give up what they hold.
static WISH: AtomicU32 = AtomicU32::new(0);
/// Bytes held after the tiers above last gave up what they held, or were asked to.
static LAST_HELD: AtomicUsize = AtomicUsize::new(0);
/// Milliseconds of the clock at the last wish. Written under the page heap's lock.
static LAST_WISH: AtomicUsize = AtomicUsize::new(0);

/// What the limits did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitStats {
    /// Times that pages were taken beyond the soft limit.
    pub soft_hits: usize,
    /// Times that pages were refused at the hard limit; a request that fails was refused twice.
    pub hard_hits: usize,
    /// Bytes given back for either.
    pub released: usize,
}

/// The figures of this moment.
pub fn limit_stats() -> LimitStats {
    LimitStats {
        soft_hits: SOFT_HITS.load(Ordering::Relaxed),
        hard_hits: HARD_HITS.load(Ordering::Relaxed),
        released: RELEASED.load(Ordering::Relaxed),
    }
}

/// Counts bytes that a tier above gave back for a limit.
pub fn note_released(bytes: usize) {
    RELEASED.fetch_add(bytes, Ordering::Relaxed);
}

/// Counts OS pages inside spans that were given back.
pub fn note_inside_spans(bytes: usize) {
    INSIDE_SPANS.fetch_add(bytes, Ordering::Relaxed);
}

/// Takes back what `note_inside_spans` counted: the pages are used again, or their span is gone.
pub fn forget_inside_spans(bytes: usize) {
    INSIDE_SPANS.fetch_sub(bytes, Ordering::Relaxed);
}

/// Whether the tiers above should give up what they hold; asked for by slow paths without any lock.
#[inline]
pub fn take_wish() -> bool {
    WISH.load(Ordering::Relaxed) != 0 && WISH.swap(0, Ordering::Relaxed) != 0
}

/// Whether there is a hard limit.
pub fn is_hard() -> bool {
    parameters::get(Id::HardLimit) != NEVER
}

impl Inner {
    /// Bytes that cannot go back while the program holds what it holds.
    fn held(&self) -> usize {
        let inside = INSIDE_SPANS.load(Ordering::Relaxed);
        (Length(self.used).bytes() + self.direct.bytes + METADATA.records()).saturating_sub(inside)
    }

    /// Whether `bytes` more may be held. If not, the hard limit was hit.
    pub fn admits(&self, bytes: usize) -> bool {
        let hard = parameters::get(Id::HardLimit);
        if hard == NEVER || self.held().saturating_add(bytes) <= hard {
            return true;
        }
        HARD_HITS.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// The free pages that should go back now because the lower limit is exceeded; 0 almost always. Asks
    /// the tiers above for help where that is not enough.
    pub fn excess<O: Os>(&self, os: &O) -> usize {
        let soft = parameters::get(Id::SoftLimit);
        let limit = soft.min(parameters::get(Id::HardLimit));
        if limit == NEVER {
            return 0;
        }
        let held = self.held();
        let resident = held + Length(self.free_resident).bytes();
        if resident <= limit {
            return 0;
        }
        if resident > soft {
            SOFT_HITS.fetch_add(1, Ordering::Relaxed);
        }
        let now = os.now_ms() as usize;
        let last = LAST_WISH.load(Ordering::Relaxed);
        let grown = held.saturating_sub(LAST_HELD.load(Ordering::Relaxed)) >= WISH_BYTES;
        if held > limit && (grown || now.wrapping_sub(last) >= WISH_MS as usize) {
            LAST_HELD.store(held, Ordering::Relaxed);
            LAST_WISH.store(now, Ordering::Relaxed);
            WISH.store(1, Ordering::Relaxed);
        }
        Length::for_bytes(resident - limit).0.min(self.free_resident)
    }
}

impl<O: Os> PageHeap<O> {
    /// Gives back the free pages that exceed the lower limit. Returns the bytes.
    pub fn relieve(&self) -> usize {
        let inner = self.lock();
        LAST_HELD.store(inner.held(), Ordering::Relaxed);
        let excess = inner.excess(&self.os);
        drop(inner);
        Length(if excess > 0 { self.release(excess) } else { 0 }).bytes()
    }

    /// Gives back what `excess` found.
    pub(super) fn run_excess(&self, pages: usize) {
        if pages > 0 {
            note_released(Length(self.release(pages)).bytes());
        }
    }
}
