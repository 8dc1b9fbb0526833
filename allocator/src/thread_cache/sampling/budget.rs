//! The budget of a class in a thread that samples: how many objects may be pushed before the slow
//! path looks again.
//!
//! What the magazine holds and what may still be pushed are together never more than the blocks
//! that may be allocated before the next sample. So the sample finds the magazine empty. These
//! functions keep `free_slots`, `budgets` and `capacities` of a class so, together. For the owner
//! of the cache, on its slow paths; no lock.

use super::super::cache::{SampleCounter, ThreadCache};
use crate::central::chain::Chain;
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;

impl ThreadCache {
    /// Objects that may be pushed before the thread looks again.
    #[inline(always)]
    pub(in super::super) fn budget(&self, class: SizeClass) -> usize {
        // Relaxed, here and below: only the owner writes.
        Self::at(&self.budgets, class).load(Ordering::Relaxed) as usize
    }

    /// Objects that were popped and are not counted yet.
    #[inline(always)]
    pub(in super::super) fn popped(&self, class: SizeClass) -> usize {
        Self::at(&self.free_slots, class).load(Ordering::Relaxed) as usize
    }

    /// Counts the objects that were popped.
    #[inline]
    pub(in super::super) fn count_popped(&self, counter: &SampleCounter, class: SizeClass) {
        let popped = self.popped(class);
        counter.took(class, popped);
        let capacities = Self::at(&self.capacities, class);
        capacities.store(capacities.load(Ordering::Relaxed) - popped as u32, Ordering::Relaxed);
        Self::at(&self.free_slots, class).store(0, Ordering::Relaxed);
    }

    /// Counts the objects that were popped, and notes that the loaded magazine has `count` objects:
    /// no more than may be allocated before the next sample. The budget is what brings it to
    /// `capacity`, or less if the sample is near.
    pub(in super::super) fn set_budget(
        &self,
        counter: &SampleCounter,
        class: SizeClass,
        count: usize,
        capacity: usize,
    ) {
        let popped = self.popped(class);
        if popped > 0 {
            counter.took(class, popped);
        }
        // A class that is not used has no distances drawn for it.
        let most = if capacity == 0 { 0 } else { counter.most(class, capacity) };
        debug_assert!(
            count <= most,
            "{count} objects of {class:?} loaded, {most} before the next sample"
        );
        self.store_budget(class, count, most.saturating_sub(count));
    }

    /// Makes `chain` the loaded magazine, with a budget of `budget` objects. The objects that were
    /// popped are counted already.
    pub(in super::super) fn set_loaded_with_budget(
        &self,
        class: SizeClass,
        chain: Chain,
        budget: usize,
    ) {
        self.store_head(class, chain.head);
        self.store_budget(class, chain.count, budget);
    }

    fn store_budget(&self, class: SizeClass, count: usize, budget: usize) {
        Self::at(&self.free_slots, class).store(0, Ordering::Relaxed);
        Self::at(&self.budgets, class).store(budget as u32, Ordering::Relaxed);
        Self::at(&self.capacities, class).store((count + budget) as u32, Ordering::Relaxed);
    }

    /// Counts the objects that were popped, and renews the budget, which is used up. Returns
    /// whether it did: not if the magazine is full, or if it has all that may be allocated before
    /// the next sample.
    ///
    /// A thread that allocates about as much as it frees may push more than the limit leaves room
    /// for: eight times what it popped since the last look, or half of the limit. So it soon looks
    /// seldom, though its magazines are small. They hold no more for that, unless the thread
    /// changes its ways, and then by no more than a magazine's worth.
    #[allow(dead_code, reason = "the hardened build pushes into the quarantine")]
    #[inline]
    pub(in super::super) fn renew_budget(&self, counter: &SampleCounter, class: SizeClass) -> bool {
        let (limit, info) = (self.limit(class), class.info());
        let popped = self.popped(class);
        let capacity = Self::at(&self.capacities, class).load(Ordering::Relaxed) as usize;
        let count = capacity - popped;
        if count >= limit {
            return false;
        }
        // A thread that only frees gets what the limit leaves.
        let least = if popped > 0 { limit / 2 } else { 0 };
        let mut budget = (8 * popped).min(info.most_budget as usize).max(least).max(limit - count);
        let (size, left) = (info.size as usize, counter.least_left(class));
        if (popped + count + budget) * size >= left {
            // The sample is near: up to it, unless it would be a look for a few pushes.
            let before = (left - 1) / size - popped - count;
            if before <= count / 4 {
                return false;
            }
            budget = before;
        }
        counter.took(class, popped);
        self.store_budget(class, count, budget);
        true
    }
}
