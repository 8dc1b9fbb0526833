//! Giving back what lies idle in the shared tier without being asked, bit by bit as time goes by. (When the process grows
//! elsewhere: `growth`.)

use super::flush_batch::FlushBatch;
use super::low_water::Consumer;
use super::release::{Budget, OS_PAGE};
use super::{Central, PART_CHAINS, PART_LOOKS, Pages};
use crate::base::steps;
use crate::config::{CLASS_COUNT, STEP_LEAST_BYTES, STEP_MOST_CALLS};
use crate::os::Linux;
use crate::page::size_class::SizeClass;

impl Central {
    /// A step of the decay: gives back one `part`-th of what lay idle since the last one. Returns the bytes.
    pub fn decay_step(&self, part: usize) -> usize {
        let mut bytes = 0;
        let mut calls = STEP_MOST_CALLS;
        for class in SizeClass::all() {
            let mut budget = Budget::new(self.decay_share(class, part), calls);
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

    /// Gives back some of `pages` idle pages of `class` (or a few more, for the last span): a bounded part. Returns how many
    /// that were, and whether there are no others.
    pub fn release_share(&self, class: SizeClass, pages: usize) -> (usize, bool) {
        let mut budget = Budget::for_one_call(pages);
        let bytes = self.release_idle(class, &mut budget);
        (bytes / OS_PAGE, budget.is_over)
    }

    /// Gives back idle pages of a class, unless a search found none a moment ago. Returns the bytes.
    pub(super) fn release_idle(&self, class: SizeClass, budget: &mut Budget) -> usize {
        let list = &self.lists[class.index()];
        if budget.is_spent() {
            return 0;
        }
        if !list.may_search() {
            budget.is_over = true;
            return 0;
        }
        let bytes = list.release_pages(&Pages::new(), &Linux, class, budget);
        if bytes > 0 || budget.is_over {
            list.note_search(bytes > 0);
        }
        bytes
    }

    /// Sends home up to `count` of the magazines of `class` that have waited longest.
    fn give_oldest_home(&self, class: SizeClass, count: usize) {
        for _ in 0..count {
            let chain = self.transfer[class.index()].pop_oldest(class, &self.transfer_budget, 0);
            if chain.is_empty() {
                return;
            }
            // SAFETY: the chain came from the transfer cache of its class, and is ours now.
            unsafe { self.give_home(class, chain) };
        }
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
}

/// How far sending home idle magazines is.
pub struct Drain {
    /// The class that it is at.
    class: usize,
    /// Magazines of that which are to go.
    magazines: usize,
}

impl Drain {
    /// Before it.
    pub const fn new() -> Self {
        Self { class: 0, magazines: 0 }
    }

    /// After it.
    pub const fn over() -> Self {
        Self { class: CLASS_COUNT, magazines: 0 }
    }

    pub const fn is_over(&self) -> bool {
        self.class == CLASS_COUNT
    }

    /// Sends home some of the magazines that lay in the transfer caches since `asker` last went through them.
    pub fn take_part(&mut self, central: &Central, asker: Consumer) {
        for _ in 0..PART_LOOKS {
            steps::add(1);
            if self.magazines == 0 {
                self.class = (self.class + 1).min(CLASS_COUNT);
                let Some(class) = SizeClass::from_index(self.class) else { return };
                self.magazines = central.transfer[class.index()].take_idle(asker);
            }
            let count = self.magazines.min(PART_CHAINS);
            if let Some(class) = SizeClass::from_index(self.class)
                && count > 0
            {
                central.give_oldest_home(class, count);
                self.magazines -= count;
                return;
            }
        }
    }
}
