//! Releasing OS pages inside partly used spans: those on which no object lives.
//!
//! A span with one live object out of hundreds cannot go back to the page heap, but most of its
//! memory can go back to the kernel. The pages are faulted in again when an object on them is
//! handed out. The span's record says which pages were released, so that no page is released again
//! before it was used. Where the kernel's pages are larger than those of the records, only whole
//! ones of the kernel's are released, and come into use as a whole.
//!
//! The pages are held meanwhile (`hold`), and the kernel is called without the lock. Who calls
//! this, and for how many pages, is decided by `decay` and `growth`.

use super::free_list::CentralFreeList;
use super::hold::Look;
use super::os_pages::OS_PAGE;
use super::release_budget::Budget;
use super::span_source::SpanSource;
use super::spans_by_shard::GROUPS;
use crate::os::Os;
use crate::page::size_class::SizeClass;
use crate::page::span::OsPages;
use crate::page::units::Granule;

impl CentralFreeList {
    /// Releases OS pages of the class's spans on which no object lives, as many as `budget` allows,
    /// those of the emptiest spans first. Returns the bytes. Goes on where the last call stopped
    /// for its budget, unless all there is may be released.
    pub fn release_pages<S: SpanSource, O: Os>(
        &self,
        source: &S,
        os: &O,
        class: SizeClass,
        budget: &mut Budget,
    ) -> usize {
        let mut bytes = 0;
        // Others may use pages as fast as they are released: no more spans than there are.
        let mut left = {
            let mut lists = self.lists.lock();
            lists.granule = Granule::of(os.page_size(), OS_PAGE);
            if lists.position.group >= GROUPS || budget.is_unbounded() {
                lists.begin_walk();
            }
            lists.spans + 1
        };
        while !budget.is_spent() && left > 0 {
            let mut lists = self.lists.lock();
            let place = match lists.look_further(budget) {
                Look::Found(place) => place,
                Look::More => continue,
                Look::End => {
                    budget.is_over = true;
                    break;
                }
            };
            let span = lists.held[place].span;
            drop(lists);
            left -= 1;
            // SAFETY: a held span has objects that count as allocated, so its record stays what it
            // is. Its address never changes, and its held pages change when the hold ends only,
            // which is this call's to end.
            let (addr, pages) = unsafe { ((*span).addr(), (*span).held) };
            source.break_up(addr);
            // SAFETY: no object on the held pages is in use, and none is handed out before the hold
            // ends.
            let done = unsafe { release_runs(os, addr, pages) };
            self.change(source, |lists, emptied| lists.end_hold(class, place, done, emptied));
            if !done {
                // The next walk asks again for what the kernel refused.
                self.restart_release();
                budget.is_over = true;
                break;
            }
            bytes += pages.count_ones() as usize * OS_PAGE;
        }
        budget.is_over |= left == 0;
        bytes
    }
}

/// Drops the content of the set `pages` of the span at `addr`. Returns whether the kernel did it.
///
/// # Safety
/// Nobody needs the content, and nobody uses the pages meanwhile.
unsafe fn release_runs<O: Os>(os: &O, addr: usize, pages: OsPages) -> bool {
    let mut left = u64::from(pages);
    let mut all = true;
    while left != 0 {
        let start = left.trailing_zeros() as usize;
        let len = (left >> start).trailing_ones() as usize;
        // SAFETY: the run is part of `pages`, whose content nobody needs (caller). The pages are
        // pages of a span, hence mapped, and `releasable` chose whole pages of the kernel.
        all &= unsafe { os.release(addr + start * OS_PAGE, len * OS_PAGE) };
        left &= !(((1 << len) - 1) << start);
    }
    all
}
