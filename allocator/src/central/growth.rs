//! Releasing what lies idle in the shared tier when the process grows elsewhere.
//!
//! Time alone is not enough. A program whose sizes change runs through a phase in a second, and
//! would hold what every phase needed at its peak (`docs/contract.md`, C1.6). But when its memory
//! grows, it takes a page fault for each page. To release an idle page for each of them costs about
//! half of that, and keeps the sum level. A program that has what it needs, and only moves it
//! about, never gets here.
//!
//! What is to be released for a megabyte of growth goes in parts, one with each of the calls that
//! make the process grow next: none of them does more than a few dozen steps of it. The calls take
//! turns at one state ([`Turns`]); nobody waits for it.

use super::all_classes::{Central, PART_LOOKS};
use super::decay::Drain;
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use super::release_budget::Budget;
use crate::base::steps;
use crate::config::{
    CLASS_COUNT, GROWTH_MOST, GROWTH_PRICE, GROWTH_STEP, GROWTH_STEPS_TO_DRAIN, GROWTH_TOLERATED,
    GROWTH_TOLERATED_SHARE,
};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicUsize, Ordering, Turns};

/// Bytes that came into use, were not resident before, and were not made up for yet.
///
/// Relaxed, here and below: the sum decides when something is done, and nothing is reached by it.
static GROWTH: AtomicUsize = AtomicUsize::new(0);

/// The release for some megabytes of growth, and how far it is.
struct GrowthRelease {
    /// Releases that were begun.
    count: usize,
    /// Bytes that this one is for.
    grown: usize,
    /// OS pages that are still to go; 0: none is going on.
    pages: usize,
    /// Idle magazines return to their spans before.
    drain: Drain,
    /// Whether it is known what lies idle.
    is_known: bool,
    /// The class that was looked at last for that.
    looked_at: usize,
    /// The sum so far.
    idle_bytes: usize,
    /// OS pages that lie idle, per class. Four bytes hold what a class can have.
    idle: [u32; CLASS_COUNT],
}

static RELEASE: Turns<GrowthRelease, Linux> = Turns::new(GrowthRelease::new());

/// In a forked child: nothing is to be released, whatever the parent was at.
pub(super) fn reset_in_child() {
    RELEASE.reset_in_child(GrowthRelease::new());
    // Relaxed: there is no other thread.
    GROWTH.store(0, Ordering::Relaxed);
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
    fn release_for_growth(&self) {
        RELEASE.try_use(|release| {
            // Relaxed, for both: see `GROWTH`.
            if !release.is_going_on() {
                release.begin(GROWTH.load(Ordering::Relaxed));
            }
            release.do_a_part(self);
            if !release.is_going_on() {
                GROWTH.fetch_sub(release.grown, Ordering::Relaxed);
            }
        });
    }
}

impl GrowthRelease {
    const fn new() -> Self {
        Self {
            count: 0,
            grown: 0,
            pages: 0,
            drain: Drain::over(),
            is_known: false,
            looked_at: 0,
            idle_bytes: 0,
            idle: [0; CLASS_COUNT],
        }
    }

    fn is_going_on(&self) -> bool {
        self.pages > 0
    }

    fn begin(&mut self, grown: usize) {
        self.grown = grown;
        self.pages = GROWTH_PRICE * grown.min(GROWTH_MOST) / OS_PAGE;
        (self.is_known, self.looked_at, self.idle_bytes) = (false, 0, 0);
        let drains = self.count.is_multiple_of(GROWTH_STEPS_TO_DRAIN);
        self.drain = if drains { Drain::new() } else { Drain::over() };
        self.count = self.count.wrapping_add(1);
    }

    fn do_a_part(&mut self, central: &Central) {
        if !self.drain.is_over() {
            self.drain.take_part(central, Consumer::Growth);
        } else if !self.is_known {
            self.look(central);
        } else {
            self.release_a_part(central);
        }
    }

    /// Finds out what lies idle, some classes at a time. If that is little, nothing is released.
    fn look(&mut self, central: &Central) {
        for _ in 0..PART_LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index(self.looked_at + 1) else {
                let least = GROWTH_TOLERATED.max(PAGE_HEAP.used_bytes() / GROWTH_TOLERATED_SHARE);
                if self.idle_bytes < least {
                    self.pages = 0;
                }
                self.is_known = true;
                return;
            };
            self.looked_at = class.index();
            let bytes = central.lists[class.index()].take_idle(class, Consumer::Growth);
            self.idle[class.index()] = u32::try_from(bytes / OS_PAGE).unwrap_or(u32::MAX);
            self.idle_bytes += bytes;
        }
    }

    /// Releases some idle pages of the class that has most.
    fn release_a_part(&mut self, central: &Central) {
        let most = SizeClass::all().max_by_key(|class| self.idle[class.index()]);
        let Some(class) = most.filter(|class| self.idle[class.index()] > 0) else {
            self.pages = 0;
            return;
        };
        let mut budget = Budget::for_one_call(self.pages);
        let bytes = central.release_idle(class, &mut budget);
        self.pages = self.pages.saturating_sub(bytes / OS_PAGE);
        if budget.is_over {
            self.idle[class.index()] = 0;
        }
    }
}
