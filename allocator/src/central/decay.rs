//! Giving back what lies idle in the shared tier without being asked: bit by bit as time goes by, and at
//! once when the process grows elsewhere.
//!
//! Time alone is not enough. A program whose sizes change runs through a phase in a second, and would hold
//! what every one of them needed at its peak (C1.6). But when its memory grows, it pays a page fault for
//! each page; giving back an idle page for it costs about half of that, and keeps the sum level. A program
//! that has what it needs, and only moves it about, never gets here.

use super::flush_batch::FlushBatch;
use super::low_water::Consumer;
use super::release::{Budget, OS_PAGE};
use super::{Central, Pages};
use crate::config::{
    CLASS_COUNT, GROWTH_MOST, GROWTH_PRICE, GROWTH_STEP, GROWTH_STEPS_TO_DRAIN, GROWTH_TOLERATED,
    GROWTH_TOLERATED_SHARE, STEP_LEAST_BYTES, STEP_MOST_CALLS,
};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicUsize, Ordering};

/// Bytes that came into use without having been resident, since idle ones were last given back for them.
static GROWTH: AtomicUsize = AtomicUsize::new(0);
/// Times that this was done.
static STEPS: AtomicUsize = AtomicUsize::new(0);

impl Central {
    /// A step of the decay: gives back one `part`-th of what lay idle since the last one. Returns the bytes.
    pub fn decay_step(&self, part: usize) -> usize {
        let mut bytes = 0;
        let mut calls = STEP_MOST_CALLS;
        for class in SizeClass::all() {
            let mut budget = Budget { pages: self.decay_share(class, part), calls };
            bytes += self.release_idle(class, &mut budget);
            calls = budget.calls;
        }
        bytes
    }

    /// OS pages of `class` that a step of the decay should give back: one `part`-th of what lay idle since the
    /// last step.
    pub fn decay_share(&self, class: SizeClass, part: usize) -> usize {
        let idle = self.lists[class.index()].take_idle(class, Consumer::Decay);
        (idle / part).max(idle.min(STEP_LEAST_BYTES)) / OS_PAGE
    }

    /// Gives back up to `pages` idle pages of `class`, by `calls` system calls at most (a few more of either for
    /// the last span). Returns how many that were.
    pub fn release_share(&self, class: SizeClass, pages: usize, calls: usize) -> usize {
        self.release_idle(class, &mut Budget { pages, calls }) / OS_PAGE
    }

    /// Gives back idle pages of a class, unless a search found none a moment ago. Returns the bytes.
    fn release_idle(&self, class: SizeClass, budget: &mut Budget) -> usize {
        let list = &self.lists[class.index()];
        if budget.is_spent() || !list.may_search() {
            return 0;
        }
        let bytes = list.release_pages(&Pages::new(), &Linux, class, budget);
        list.note_search(bytes > 0);
        bytes
    }

    /// Sends home the magazines that lay in the transfer caches since `asker` last called.
    #[inline(never)]
    pub fn drain_idle(&self, asker: Consumer) {
        let mut batch = FlushBatch::new();
        for class in SizeClass::all() {
            let cache = &self.transfer[class.index()];
            for _ in 0..cache.take_idle(asker) {
                let chain = cache.pop_oldest(class, &self.transfer_budget, 0);
                // SAFETY: the chain came from the transfer cache of its class, and is ours now.
                unsafe { self.send_home(&mut batch, class, chain) };
            }
        }
        // SAFETY: as above.
        unsafe { self.give_all_home(&mut batch) };
    }

    /// Notes that the process came to use `bytes` of memory that were not resident. For every so many of
    /// them, idle memory is given back, if there is much of it.
    pub fn note_growth(&self, bytes: usize) {
        // Relaxed: sums that decide when to do something, not what.
        if GROWTH.fetch_add(bytes, Ordering::Relaxed) + bytes < GROWTH_STEP {
            return;
        }
        self.pay_for_growth();
    }

    /// Gives back idle memory for what the process has grown by. Cold: once per `GROWTH_STEP`.
    #[cold]
    #[inline(never)]
    fn pay_for_growth(&self) {
        let grown = GROWTH.swap(0, Ordering::Relaxed).min(GROWTH_MOST);
        if STEPS.fetch_add(1, Ordering::Relaxed).is_multiple_of(GROWTH_STEPS_TO_DRAIN) {
            self.drain_idle(Consumer::Growth);
        }
        self.release_for_growth(grown);
    }

    /// Gives back idle pages for `grown` bytes. Never inlined: its table must not be part of a refill's stack frame, nor
    /// lie below that of `drain_idle`.
    #[inline(never)]
    fn release_for_growth(&self, grown: usize) {
        // In OS pages, so that four bytes hold what a class can have.
        let mut idle = [0_u32; CLASS_COUNT];
        let mut bytes = 0;
        for class in SizeClass::all() {
            let of_class = self.lists[class.index()].take_idle(class, Consumer::Growth);
            idle[class.index()] = u32::try_from(of_class / OS_PAGE).unwrap_or(u32::MAX);
            bytes += of_class;
        }
        if bytes < GROWTH_TOLERATED.max(PAGE_HEAP.used_bytes() / GROWTH_TOLERATED_SHARE) {
            return;
        }
        let mut budget = Budget { pages: GROWTH_PRICE * grown / OS_PAGE, calls: usize::MAX };
        while !budget.is_spent() {
            let most = SizeClass::all().max_by_key(|class| idle[class.index()]);
            let Some(class) = most.filter(|class| idle[class.index()] > 0) else {
                return;
            };
            idle[class.index()] = 0;
            self.release_idle(class, &mut budget);
        }
    }
}
