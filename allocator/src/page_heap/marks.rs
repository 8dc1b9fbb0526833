//! Marking pages of huge pages as used and as free, and filing the huge page where it belongs then.
//!
//! Every change of a huge page's bits goes through `refile`, which keeps the filler's order and the
//! count of free resident pages right. Guarded by the page heap's lock. Which pages are taken is
//! decided by `search`.

use super::heap::Inner;
use super::huge_page::{HugePage, HugeState};
use super::huge_ranges::record;
use crate::base::steps;
use crate::config::PAGES_PER_HUGE;
use crate::page::units::PageId;

impl Inner {
    /// Marks the `pages` pages from `start` on, which are free and in no range, as used. Returns
    /// whether all of them read as zero.
    pub(super) fn take_run(&mut self, start: PageId, pages: usize) -> bool {
        let mut fresh = true;
        let (mut at, mut left) = (start, pages);
        while left > 0 {
            let here = left.min(PAGES_PER_HUGE - at.in_huge());
            fresh &= self.take_in(record(at.addr()), at.in_huge(), here);
            left -= here;
            at = at.plus(here);
        }
        fresh
    }

    /// Marks free pages of `huge` as used. Returns whether all of them read as zero.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) fn take_in(&mut self, huge: *mut HugePage, index: usize, pages: usize) -> bool {
        let (mut released, mut faulted) = (0, 0);
        let granule = self.granule;
        self.refile(huge, |huge, free_resident| {
            *free_resident -= huge.resident_free();
            released = huge.take(index, pages);
            huge.touch(index, pages, granule);
            faulted = released;
            if huge.huge_backed && released > 0 {
                faulted += huge.released.count();
                huge.assume_resident();
            }
            *free_resident += huge.resident_free();
        });
        self.used += pages;
        self.teardown.note_taken(faulted);
        self.decay.note_free(self.free_resident);
        released == pages
    }

    /// Marks `pages` pages from `start` on as free; the last `untouched` of them are not resident.
    ///
    /// # Safety
    /// The pages are used, the caller owns them, and their content is not needed.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) unsafe fn give_pages(&mut self, start: PageId, pages: usize, untouched: usize) {
        let mut at = start;
        let mut left = pages;
        let granule = self.granule;
        self.used -= pages;
        self.decay.note_freed(pages);
        while left > 0 {
            let index = at.in_huge();
            let here = left.min(PAGES_PER_HUGE - index);
            let bare = (untouched + here).saturating_sub(left).min(here);
            self.refile(record(at.addr()), |huge, free_resident| {
                *free_resident -= huge.resident_free();
                huge.give(index, here, if huge.huge_backed { 0 } else { bare }, granule);
                *free_resident += huge.resident_free();
            });
            at = at.plus(here);
            left -= here;
        }
        self.decay.note_high(self.free_resident);
    }

    /// Lets `change` edit the record of a huge page that is in the filler or in no list, and files
    /// it where it belongs afterwards. `change` also gets the count of free resident pages.
    pub fn refile(&mut self, huge: *mut HugePage, change: impl FnOnce(&mut HugePage, &mut usize)) {
        // SAFETY: the record is live, as records are never freed. It is in state `Used`: a huge
        // page leaves the ranges before pages in it are taken. A record that holds neither a used
        // nor a held page was just taken from the ranges and is in no filler.
        unsafe {
            debug_assert_eq!((*huge).state, HugeState::Used);
            steps::add(1);
            if (*huge).used.count() > 0 {
                let filed = usize::from(!(*huge).has_releasable(self.granule));
                self.fillers[filed].remove(huge, (*huge).longest);
            }
            change(&mut *huge, &mut self.free_resident);
            if (*huge).used.count() == 0 {
                self.ranges.insert(huge, 1);
            } else {
                let filed = usize::from(!(*huge).has_releasable(self.granule));
                self.fillers[filed].insert(huge);
            }
        }
    }
}
