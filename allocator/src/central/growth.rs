//! Releasing what lies idle in the shared tier, and in the page heap, when a program is at work.
//!
//! Time alone is not enough. A program whose sizes change runs through a phase in a second, and
//! would hold what every phase needed at its peak (`docs/contract.md`, C1.6). So there are two
//! other occasions:
//!
//! * **Growth.** When a program's memory grows, it takes a page fault for each page. To release an
//!   idle page for each of them costs about half of that, and keeps the sum level. A program that
//!   has what it needs, and only moves it about, never gets here.
//! * **Volume.** For every so many bytes that were handed out, a part of what was idle all the
//!   while is released: free pages of the page heap, and pages inside spans. Not what a wave is
//!   about to take again, in which a program frees and allocates: the page heap sees that by what
//!   earlier waves took (`page_heap::decay`), a class by its requests (`CentralFreeList::take_idle`).
//!
//! What is to be released goes in parts, one with each of the calls that come by next: none of them
//! does more than a few dozen steps of it. The calls take turns at one state for each occasion
//! ([`Turns`]); nobody waits for it.

use super::all_classes::Central;
use super::decay::Drain;
use super::idle_look::IdleLook;
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use super::release_budget::Budget;
use super::tolerance;
use crate::config::{
    GROWTH_FACTOR, GROWTH_MOST, GROWTH_STEP, GROWTH_STEPS_TO_DRAIN, GROWTH_TOLERATED,
    GROWTH_TOLERATED_SHARE, PAGES_PER_HUGE, TOLERANCE_FROM, VOLUME_MAX_BLOCK,
    VOLUME_RELEASED_SHARE, VOLUME_SHARE, VOLUME_STEP, VOLUME_TOLERATED, VOLUME_TOLERATED_SHARE,
};
use crate::os::Linux;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id, NEVER};
use crate::sync::{AtomicUsize, Ordering, Turns};

/// Bytes that came into use, were not resident before, and were not made up for yet.
///
/// Relaxed, here and below: the sums decide when something is done, and nothing is reached by them.
static GROWTH: AtomicUsize = AtomicUsize::new(0);
/// Bytes handed out since the last release by volume began.
static VOLUME: AtomicUsize = AtomicUsize::new(0);
/// Bytes to be handed out before the next one begins.
static DISTANCE: AtomicUsize = AtomicUsize::new(VOLUME_STEP);

static BY_GROWTH: Turns<IdleRelease, Linux> = Turns::new(IdleRelease::new(Consumer::Growth));
static BY_VOLUME: Turns<IdleRelease, Linux> = Turns::new(IdleRelease::new(Consumer::Volume));

/// A release of idle memory, and how far it is.
struct IdleRelease {
    consumer: Consumer,
    /// Releases that were begun.
    count: usize,
    /// Bytes that this one is for.
    bytes: usize,
    /// OS pages that are still to go; 0: none is going on.
    pages: usize,
    /// Idle bytes in spans that stay in any case.
    tolerated: usize,
    /// Whether pages of the page heap are to go.
    is_heap_due: bool,
    /// Idle magazines return to their spans before.
    drain: Drain,
    /// What lies idle, and whether that is known.
    idle: IdleLook,
    is_known: bool,
}

/// In a forked child: nothing is to be released, whatever the parent was at.
pub(super) fn reset_in_child() {
    BY_GROWTH.reset_in_child(IdleRelease::new(Consumer::Growth));
    BY_VOLUME.reset_in_child(IdleRelease::new(Consumer::Volume));
    // Relaxed: there is no other thread.
    GROWTH.store(0, Ordering::Relaxed);
    VOLUME.store(0, Ordering::Relaxed);
}

impl Central {
    /// Notes that the process came to use `bytes` of memory that were not resident. For every so
    /// many of them, idle memory is released, if there is much of it.
    pub fn note_growth(&self, bytes: usize) {
        // Relaxed: see `GROWTH`.
        if GROWTH.fetch_add(bytes, Ordering::Relaxed) + bytes < GROWTH_STEP {
            return;
        }
        self.release_for_growth();
    }

    /// Releases a part of the idle memory that is to go for what the process has grown by.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn release_for_growth(&self) {
        BY_GROWTH.try_use(|release| {
            // Relaxed, for both: see `GROWTH`.
            if !release.is_going_on() {
                release.begin_for_growth(GROWTH.load(Ordering::Relaxed));
            }
            release.do_a_part(self);
            if !release.is_going_on() {
                GROWTH.fetch_sub(release.bytes, Ordering::Relaxed);
            }
        });
    }

    /// Notes that a block of `bytes` was handed out that no class has.
    pub fn note_large(&self, bytes: usize) {
        if bytes <= VOLUME_MAX_BLOCK {
            self.note_volume(bytes);
        }
    }

    /// Notes that `bytes` were handed out. For every so many of them, a part of what was idle all
    /// the while is released.
    pub fn note_volume(&self, bytes: usize) {
        // Relaxed, for both: see `GROWTH`.
        let volume = VOLUME.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if volume >= DISTANCE.load(Ordering::Relaxed) {
            self.release_for_volume();
        }
    }

    /// Releases a part of what is to go for the bytes that were handed out.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn release_for_volume(&self) {
        BY_VOLUME.try_use(|release| {
            if !release.is_going_on() {
                release.begin_for_volume();
                self.cache_limits.note_volume();
            }
            if release.is_going_on() {
                release.do_a_part(self);
            }
            // Relaxed, for both: see `GROWTH`. While it goes on, every report comes by.
            let distance = if release.is_going_on() { 0 } else { next_distance() };
            DISTANCE.store(distance, Ordering::Relaxed);
        });
    }
}

/// Bytes to be handed out before the next release by volume.
fn next_distance() -> usize {
    let held = PAGE_HEAP.resident_bytes();
    let least = if held < TOLERANCE_FROM { VOLUME_STEP } else { 0 };
    least.max(held / VOLUME_SHARE)
}

impl IdleRelease {
    const fn new(consumer: Consumer) -> Self {
        Self {
            consumer,
            count: 0,
            bytes: 0,
            pages: 0,
            tolerated: 0,
            is_heap_due: false,
            drain: Drain::over(),
            idle: IdleLook::new(consumer, usize::MAX, 0),
            is_known: false,
        }
    }

    fn is_going_on(&self) -> bool {
        self.pages > 0 || self.is_heap_due
    }

    fn begin_for_growth(&mut self, grown: usize) {
        self.bytes = grown;
        self.pages = GROWTH_FACTOR * grown.min(GROWTH_MOST) / OS_PAGE;
        self.is_known = false;
        let used = PAGE_HEAP.used_bytes();
        self.tolerated =
            tolerance::tolerated(used, &GROWTH_TOLERATED).max(used / GROWTH_TOLERATED_SHARE);
        let drains = self.count.is_multiple_of(GROWTH_STEPS_TO_DRAIN);
        self.drain = if drains { Drain::new() } else { Drain::over() };
        self.count = self.count.wrapping_add(1);
    }

    /// Begins a release by volume: of the page heap, and of what lies in spans.
    fn begin_for_volume(&mut self) {
        // Relaxed: see `GROWTH`.
        let volume = VOLUME.swap(0, Ordering::Relaxed);
        if parameters::get(Id::DecayMs) == NEVER {
            return;
        }
        let held = PAGE_HEAP.resident_bytes();
        self.tolerated =
            tolerance::tolerated(held, &VOLUME_TOLERATED).max(held / VOLUME_TOLERATED_SHARE);
        self.is_heap_due = PAGE_HEAP.owe_idle(volume / VOLUME_RELEASED_SHARE, self.tolerated) > 0;
        self.pages = volume / VOLUME_RELEASED_SHARE / OS_PAGE;
        self.is_known = false;
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn do_a_part(&mut self, central: &Central) {
        if self.is_heap_due {
            self.is_heap_due = PAGE_HEAP.release_owed(PAGES_PER_HUGE, PART_CALLS);
        } else if !self.drain.is_over() {
            self.drain.take_part(central, self.consumer);
        } else if !self.is_known {
            self.look(central);
        } else {
            self.release_a_part(central);
        }
    }

    /// Finds out what lies idle, some classes at a time. If that is little, nothing is released.
    fn look(&mut self, central: &Central) {
        self.is_known = self.idle.take_part(central);
        if self.is_known && self.idle.bytes < self.tolerated {
            self.pages = 0;
        }
    }

    /// Releases some idle pages of the class that has most.
    fn release_a_part(&mut self, central: &Central) {
        let Some(class) = self.idle.found.most(|_| true) else {
            self.pages = 0;
            return;
        };
        let mut budget = Budget::for_one_call(self.pages);
        let bytes = central.release_idle(class, &mut budget);
        self.pages = self.pages.saturating_sub(bytes / OS_PAGE);
        if budget.is_over {
            self.idle.found.clear(class);
        }
    }
}

/// System calls for pages of the page heap in one part, at most.
const PART_CALLS: usize = 8;
