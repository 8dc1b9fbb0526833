//! Releasing what lies idle in the shared tier without being asked, bit by bit as time goes by.
//! (When the process grows elsewhere: `growth`.)
//!
//! The background thread, or a call of the program's, does a step at a time. Idle magazines return
//! to their spans, and idle pages inside spans go back to the system. Empty spans are the page
//! heap's.

use super::all_classes::Central;
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use super::release_budget::Budget;
use crate::base::steps;
use crate::config::{CLASS_COUNT, PART_CLASSES, PART_MAGAZINES, STEP_LEAST_BYTES, STEP_MOST_CALLS};
use crate::page::size_class::SizeClass;

impl Central {
    /// A step of the decay: releases one `part`-th of what lay idle since the last step. Returns
    /// the bytes.
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

    /// OS pages of `class` that a step of the decay should release: one `part`-th of what lay idle
    /// since the last step.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn decay_share(&self, class: SizeClass, part: usize) -> usize {
        let idle = self.lists[class.index()].take_idle(class, Consumer::Decay);
        (idle / part).max(idle.min(STEP_LEAST_BYTES)) / OS_PAGE
    }

    /// Releases some of `pages` idle pages of `class` (or a few more, for the last span): the part
    /// of one call. Returns how many that were, and whether there are no others.
    pub fn release_share(&self, class: SizeClass, pages: usize) -> (usize, bool) {
        let mut budget = Budget::for_one_call(pages);
        let bytes = self.release_idle(class, &mut budget);
        (bytes / OS_PAGE, budget.is_over)
    }

    /// Releases idle pages of a class, unless a search found none a moment ago. Returns the bytes.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn release_idle(&self, class: SizeClass, budget: &mut Budget) -> usize {
        let list = &self.lists[class.index()];
        if budget.is_spent() {
            return 0;
        }
        if !list.may_search() {
            budget.is_over = true;
            return 0;
        }
        let bytes = self.release_within(class, budget);
        if bytes > 0 || budget.is_over {
            list.note_search(bytes > 0);
        }
        bytes
    }

    /// Returns to their spans the magazines of the transfer caches that lay idle since `consumer`
    /// last asked.
    #[inline(never)]
    pub fn drain_idle(&self, consumer: Consumer) {
        let mut classes = SizeClass::all();
        let mut class = SizeClass::NONE;
        let mut left = 0;
        self.release_magazines(|| {
            while left == 0 {
                class = classes.next()?;
                left = self.transfer[class.index()].take_idle(consumer);
            }
            left -= 1;
            let cache = &self.transfer[class.index()];
            Some((class, cache.pop_oldest(class, &self.transfer_budget, 0)))
        });
    }
}

/// A walk through the classes that returns idle magazines to their spans, some with each call.
pub struct Drain {
    /// The class that the walk is at.
    class: usize,
    /// Magazines of that class which are to go.
    magazines: usize,
}

impl Drain {
    /// A walk that has not begun.
    pub const fn new() -> Self {
        Self { class: 0, magazines: 0 }
    }

    /// A walk that is over.
    pub const fn over() -> Self {
        Self { class: CLASS_COUNT, magazines: 0 }
    }

    /// Whether the walk is over.
    pub const fn is_over(&self) -> bool {
        self.class == CLASS_COUNT
    }

    /// Returns some of the magazines to their spans that lay in the transfer caches since
    /// `consumer` last went through them.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn take_part(&mut self, central: &Central, consumer: Consumer) {
        for _ in 0..PART_CLASSES {
            steps::add(1);
            if self.magazines == 0 {
                self.class = (self.class + 1).min(CLASS_COUNT);
                let Some(class) = SizeClass::from_index(self.class) else { return };
                self.magazines = central.transfer[class.index()].take_idle(consumer);
            }
            let count = self.magazines.min(PART_MAGAZINES);
            if let Some(class) = SizeClass::from_index(self.class)
                && count > 0
            {
                // Threads may have taken magazines meanwhile: then fewer go.
                let _ = (0..count).all(|_| central.release_oldest(class));
                self.magazines -= count;
                return;
            }
        }
    }
}
