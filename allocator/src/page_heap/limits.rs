//! Limits on the memory that the process holds through the allocator: a soft limit, beyond which
//! free memory is released at once, and a hard limit, at which requests fail once that was tried.
//!
//! What counts, in bytes: pages in spans without the OS pages inside them that were released, free
//! resident pages, direct blocks, and the records in the metadata arena. The sum is an upper bound
//! of what is resident, as it includes pages of blocks that the program never touched.
//!
//! The page heap checks limits when pages are allocated, under its lock, and releases its own free
//! pages. Without a limit of its own the process has the container's as its soft limit: while
//! memory is to be released, `background` says every second how much more may be held
//! (`set_container_room`). Caches and the insides of spans belong to the tiers above. They see by
//! `pressure_is_pending` that they should release what they hold; this file does not call them.

use super::heap::{Inner, PageHeap};
use super::release::OF_OTHERS;
use crate::os::Os;
use crate::page::metadata::METADATA;
use crate::page::units::Length;
use crate::parameters::{self, Id, NEVER};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Milliseconds between two times that caches are emptied for a limit, unless `PRESSURE_BYTES` more
/// are held or a request would fail.
const PRESSURE_MS: u64 = 50;
/// Growth in bytes after which caches are emptied without waiting for `PRESSURE_MS`.
const PRESSURE_BYTES: usize = 2 << 20;

/// Bytes of OS pages inside spans that were released. Relaxed, like all atomics of this file:
/// numbers by themselves, which order no other memory. A reader that sees an old one acts as if it
/// had come earlier.
static INSIDE_SPANS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static SOFT_HITS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static HARD_HITS: AtomicUsize = AtomicUsize::new(0);
/// See `LimitStats`.
static RELEASED: AtomicUsize = AtomicUsize::new(0);
/// 1 while the tiers above should release what they hold.
static PRESSURE_PENDING: AtomicU32 = AtomicU32::new(0);
/// Bytes held when the tiers above last released what they held, or were last asked to.
static LAST_HELD: AtomicUsize = AtomicUsize::new(0);
/// Milliseconds of the clock at the last request. Written under the page heap's lock.
static LAST_PRESSURE: AtomicUsize = AtomicUsize::new(0);

/// Bytes that may be held in this container for now, as far as is known; `NEVER` without a limit.
static CONTAINER: AtomicUsize = AtomicUsize::new(NEVER);

/// Least bytes by which the program may grow at the container's limit before caches are emptied for
/// it.
const SLACK: usize = 2 << 20;
/// The same as a share of what is held. It is part of the margin below the limit.
const SLACK_SHARE: usize = 64;

/// What the limits did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitStats {
    /// Times that pages were taken beyond the soft limit.
    pub soft_hits: usize,
    /// Times that pages were refused at the hard limit. A request that fails was refused at least
    /// twice, and once more each time that it was tried again after a release.
    pub hard_hits: usize,
    /// Bytes released for either.
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

/// Counts bytes that a tier above released for a limit.
pub fn note_released(bytes: usize) {
    RELEASED.fetch_add(bytes, Ordering::Relaxed);
}

/// Counts bytes of OS pages inside spans that were released.
pub fn note_inside_spans(bytes: usize) {
    INSIDE_SPANS.fetch_add(bytes, Ordering::Relaxed);
}

/// Subtracts what `note_inside_spans` added: the pages are used again, or their span was freed.
pub fn forget_inside_spans(bytes: usize) {
    INSIDE_SPANS.fetch_sub(bytes, Ordering::Relaxed);
}

/// Whether the tiers above should release what they hold. Slow paths ask this without any lock.
#[inline]
pub fn pressure_is_pending() -> bool {
    PRESSURE_PENDING.load(Ordering::Relaxed) != 0
}

/// Asks the tiers above to release what they hold.
pub fn set_pressure_pending() {
    PRESSURE_PENDING.store(1, Ordering::Relaxed);
}

/// Notes that the tiers above released what they held.
pub fn clear_pressure() {
    PRESSURE_PENDING.store(0, Ordering::Relaxed);
}

/// Whether there is a hard limit.
pub fn is_hard() -> bool {
    parameters::get(Id::HardLimit) != NEVER
}

/// Whether the user set a limit, which overrides the container's.
pub fn is_set() -> bool {
    is_hard() || parameters::get(Id::SoftLimit) != NEVER
}

/// Forgets the container's limit.
pub fn lift_container_limit() {
    CONTAINER.store(NEVER, Ordering::Relaxed);
}

/// The soft limit in force: the one that was set, or the container's if no limit was.
fn soft_limit() -> usize {
    if is_set() { parameters::get(Id::SoftLimit) } else { CONTAINER.load(Ordering::Relaxed) }
}

/// The soft limit, and the lower one of it and the hard one.
fn limits() -> (usize, usize) {
    let soft = soft_limit();
    (soft, soft.min(parameters::get(Id::HardLimit)))
}

impl Inner {
    /// Bytes that cannot be released while the program holds its blocks.
    fn held(&self) -> usize {
        let inside = INSIDE_SPANS.load(Ordering::Relaxed);
        (Length(self.in_spans()).bytes() + self.direct.bytes + METADATA.records())
            .saturating_sub(inside)
    }

    /// Whether `bytes` more may be held. If not, counts that the hard limit was hit.
    pub fn admits(&mut self, bytes: usize) -> bool {
        let hard = parameters::get(Id::HardLimit);
        if hard == NEVER || self.held().saturating_add(bytes) <= hard {
            self.asked = self.asked.max(bytes);
            return true;
        }
        HARD_HITS.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// How many free pages a call that allocated pages should release because the lower limit is
    /// exceeded; 0 almost always. That is as much as the call allocated, and a bounded part of the
    /// rest of the excess, which is left to the background thread and to later calls. If that is
    /// not enough, asks the tiers above to release what they hold.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn excess<O: Os>(&mut self, os: &O) -> usize {
        let own = Length::for_bytes(core::mem::take(&mut self.asked)).0;
        let excess = self.whole_excess(os);
        self.for_one_call(own, excess)
    }

    /// How many free pages a call that freed `own` pages should release because the lower limit is
    /// exceeded, so that a burst of frees does not leave all to the next allocation. A few pages
    /// stay for that one, so that a program at its limit does not release with every free what it
    /// needs next.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn excess_of_freed(&mut self, own: usize) -> usize {
        let (_, limit) = limits();
        if limit == NEVER {
            return 0;
        }
        let resident = self.held() + Length(self.free_resident).bytes();
        let excess = Length::for_bytes(resident.saturating_sub(limit)).0.min(self.free_resident);
        if excess <= OF_OTHERS { 0 } else { self.for_one_call(own, excess - OF_OTHERS) }
    }

    /// All free pages that should be released.
    fn whole_excess<O: Os>(&self, os: &O) -> usize {
        let (soft, limit) = limits();
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
        let last = LAST_PRESSURE.load(Ordering::Relaxed);
        let grown = held.saturating_sub(LAST_HELD.load(Ordering::Relaxed)) >= PRESSURE_BYTES;
        if held > limit && (grown || now.wrapping_sub(last) >= PRESSURE_MS as usize) {
            LAST_HELD.store(held, Ordering::Relaxed);
            LAST_PRESSURE.store(now, Ordering::Relaxed);
            PRESSURE_PENDING.store(1, Ordering::Relaxed);
        }
        Length::for_bytes(resident - limit).0.min(self.free_resident)
    }
}

impl<O: Os> PageHeap<O> {
    /// Releases some of the free pages that exceed the lower limit, by about one system call.
    /// Returns whether there are more, and the bytes.
    pub fn release_a_part_of_excess(&self) -> (bool, usize) {
        let inner = self.lock();
        LAST_HELD.store(inner.held(), Ordering::Relaxed);
        let (_, limit) = limits();
        let resident = inner.held() + Length(inner.free_resident).bytes();
        let excess = Length::for_bytes(resident.saturating_sub(limit)).0.min(inner.free_resident);
        drop(inner);
        let (pages, is_end) = self.release_a_part(excess);
        (!is_end && pages < excess, Length(pages).bytes())
    }

    /// Whether more is held than the lower limit allows, free pages not included.
    pub fn is_beyond_limit(&self) -> bool {
        self.lock().held() > limits().1
    }

    /// Notes how many more bytes the container has room for; negative if too many are held. The
    /// limit never goes below what is in use and some slack, so that a program at the limit does
    /// not have its caches emptied again and again.
    pub fn set_container_room(&self, room: isize) {
        let inner = self.lock();
        let held = inner.held();
        let resident = held + Length(inner.free_resident).bytes();
        let least = held + SLACK.max(held / SLACK_SHARE);
        CONTAINER.store(resident.saturating_add_signed(room).max(least), Ordering::Relaxed);
    }

    /// Releases the pages that `excess` returned.
    pub(super) fn run_excess(&self, pages: usize) {
        note_released(Length(self.release_now(pages)).bytes());
    }
}
