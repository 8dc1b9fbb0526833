//! Holding pages while they are released: out of the free ranges and runs, and back into them.
//!
//! The system calls are made without the page heap's lock, so pages are held back from allocation
//! meanwhile. A held page counts as free and is marked as used. [`PendingRelease`] notes what is
//! held and by which thread, for a forked child: there, the pages that other threads held are free
//! again.
//!
//! [`PendingRelease`]: super::pending_release::PendingRelease

use super::heap::{Inner, PageHeap};
use super::huge_page::HugePage;
use super::huge_ranges::{Held, record};
use super::pending_release::{PARTS, Part};
use crate::base::steps;
use crate::config::{HUGE_SIZE, PAGES_PER_HUGE};
use crate::os::{Linux, Os};
use crate::sync::Futex;

impl Inner {
    /// Takes up to `most` resident free huge pages out of the ranges.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn hold_range(&mut self, most: usize) -> Held {
        let held = self.ranges.take_held(most);
        if let Held::Taken(first, len) = held {
            // SAFETY: the range was just taken out of the list that it was in.
            unsafe {
                (*first).range_len = len;
                (*first).held_by = Linux::thread();
                self.pending.ranges.push_front(first);
            }
        }
        held
    }

    /// Ends `hold_range` for the range that begins at `first`. If `released`, its pages are not
    /// resident any more; returns how many of them were.
    ///
    /// # Safety
    /// `hold_range` returned `first`, and the range is held since.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) unsafe fn unhold_range(&mut self, first: *mut HugePage, released: bool) -> usize {
        // SAFETY: `hold_range` put the range into that list, and into no other. Records are never
        // freed.
        unsafe {
            self.pending.ranges.remove(first);
            let len = (*first).range_len;
            let mut freed = 0;
            for index in 0..if released { len } else { 0 } {
                steps::add(1);
                let huge = &mut *record((*first).addr + index * HUGE_SIZE);
                freed += huge.resident_free();
                huge.released.set_range(0, PAGES_PER_HUGE);
            }
            self.free_resident -= freed;
            self.decay.note_free(self.free_resident);
            self.ranges.insert(first, len);
            freed
        }
    }

    /// Takes up to `runs` runs of resident free pages of one partly used huge page. Returns the
    /// place where they are noted. `None` if no huge page has any, or if as many threads as can are
    /// releasing pages.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn hold_part(&mut self, runs: usize) -> Option<usize> {
        let place = self.pending.parts.iter().position(|part| part.huge.is_null())?;
        let huge = self.fillers[0].first()?;
        // SAFETY: a record of the filler; records are never freed.
        let pages = unsafe { (*huge).resident_runs(runs, self.granule) };
        self.refile(huge, |huge, _| huge.hold(&pages));
        self.pending.parts[place] = Part { huge, pages, held_by: Linux::thread() };
        Some(place)
    }

    /// Ends `hold_part` for the pages noted at `place`, which are not resident any more if
    /// `released`.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn unhold_part(&mut self, place: usize, released: bool) {
        let Part { huge, pages, .. } =
            core::mem::replace(&mut self.pending.parts[place], Part::NONE);
        self.refile(huge, |huge, free_resident| {
            *free_resident -= huge.resident_free();
            huge.unhold(&pages, released);
            *free_resident += huge.resident_free();
        });
        let free = self.free_resident;
        self.decay.note_free(free);
    }

    /// In a forked child, for its thread `own`: frees the pages that other threads were releasing.
    /// The kernel may have released them or not; they count as resident, and will be released
    /// again. What the forking thread itself holds stays held: a signal handler may fork, and the
    /// call that it interrupted goes on.
    fn take_back_pending(&mut self, own: u32) {
        let mut next = self.pending.ranges.first();
        while let Some(first) = core::ptr::NonNull::new(next) {
            let first = first.as_ptr();
            // SAFETY: the range is in that list and in no other, and all of its pages are free.
            unsafe {
                next = self.pending.ranges.next(first);
                if (*first).held_by != own {
                    self.pending.ranges.remove(first);
                    self.ranges.insert(first, (*first).range_len);
                }
            }
        }
        for place in 0..PARTS {
            let Part { huge, held_by, .. } = self.pending.parts[place];
            if !huge.is_null() && held_by != own {
                self.unhold_part(place, false);
            }
        }
    }
}

impl<O: Os> PageHeap<O> {
    /// In a forked child, for its thread `own`: frees the pages that other threads were releasing.
    ///
    /// # Safety
    /// The calling thread holds the lock by `ForkLock`, no other thread exists, and nobody has
    /// another reference to what it guards.
    pub unsafe fn reset_in_child(&self, own: u32) {
        // SAFETY: the caller holds the lock, no other thread exists, and there is no other
        // reference to the data.
        unsafe { (*self.inner.data_ptr()).take_back_pending(own) };
    }
}
