//! Resizing: changing the length of a large block in place, and finding places where that will
//! work.
//!
//! A block ends somewhere inside a huge page. Behind it there may be free pages in the same huge
//! page, in whole huge pages, and at the start of the next one. The block grows over all of these.
//! A block that cannot grow and moves will most likely grow again, so it gets a place with as much
//! free space behind it, if there is one. That is an order of search and no reservation: it costs
//! no memory, and other blocks may take the space. All of this runs under the page heap's lock.

use super::density::Use;
use super::heap::{Allocated, Inner, PageHeap};
use super::huge_page::HugeState;
use super::huge_ranges::record;
use crate::config::PAGES_PER_HUGE;
use crate::os::Os;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::{Length, PageId};
use core::ptr::NonNull;

impl<O: Os> PageHeap<O> {
    /// Changes the length of a large span in place. Returns whether it could. What is cut off is
    /// free at once, and resident until it is used again or decays: a block that shrinks and grows
    /// by turns pays no page faults.
    ///
    /// # Safety
    /// `span` is a large span of this heap and belongs to the caller, as does the content cut off.
    pub unsafe fn resize(&self, span: NonNull<Span>, pages: Length) -> bool {
        let mut inner = self.lock();
        // SAFETY: the caller owns the live span and its record.
        let record = unsafe { &mut *span.as_ptr() };
        let old = record.pages;
        if pages < old {
            let cut = old.0 - pages.0;
            // SAFETY: the caller owns the span and needs nothing of what is cut off.
            unsafe { inner.give_pages(record.start.plus(pages.0), cut, 0) };
        } else if pages > old
            && !(inner.admits(Length(pages.0 - old.0).bytes())
                && inner.take_behind(&self.os, record.start.plus(old.0), pages.0 - old.0))
        {
            return false;
        }
        inner.note_large(record.state, old.bytes(), pages.bytes());
        record.pages = pages;
        record.fresh = false;
        let at_once = inner.note_decay(&self.os);
        let excess = if pages > old { inner.excess(&self.os) } else { 0 };
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
        true
    }

    /// As `allocate`, for a large block that takes the place of a shorter one: in a place with as
    /// much room behind it, if there is one.
    pub fn allocate_growing(&self, pages: Length, align: Length) -> Option<Allocated> {
        self.allocate_by(pages, SizeClass::NONE, |inner| {
            inner
                .take_with_room(&self.os, pages.0, align.0)
                .or_else(|| inner.take_pages(&self.os, pages.0, align.0, false))
        })
    }
}

impl Inner {
    /// Takes the `pages` pages from `start` on, right behind a block's, if all of them are free.
    fn take_behind<O: Os>(&mut self, os: &O, start: PageId, pages: usize) -> bool {
        let here = match start.in_huge() {
            0 => 0,
            index => pages.min(PAGES_PER_HUGE - index),
        };
        if here > 0 && !is_free_behind(start, here) {
            return false;
        }
        let border = start.plus(here);
        let (whole, rest) = ((pages - here) / PAGES_PER_HUGE, (pages - here) % PAGES_PER_HUGE);
        let head = record(border.addr());
        // SAFETY: null or a record; they are never freed. The huge page before is the block's, so
        // that a free one here is the first of its range.
        let free = match unsafe { head.as_ref() } {
            Some(huge) if huge.state == HugeState::Free => huge.range_len,
            _ => 0,
        };
        if free < whole {
            return false;
        }
        let is_partly_used = rest > 0 && free == whole;
        if is_partly_used && !is_free_behind(border.plus(whole * PAGES_PER_HUGE), rest) {
            return false;
        }
        let wanted = whole + usize::from(rest > 0 && !is_partly_used);
        if wanted > 0 {
            // SAFETY: `head` is the first record of a free range with at least this many huge
            // pages.
            unsafe { self.ranges.take_front(head, wanted) };
            self.back(os, head, wanted, Use::LongerBlock);
        }
        self.take_run(start, pages);
        true
    }

    /// Takes `pages` pages at a multiple of `align` with as many free ones behind them, as far as
    /// the huge page goes if they are in one. The first, and whether all read as zero; `None` where
    /// there is no such place.
    fn take_with_room<O: Os>(
        &mut self,
        os: &O,
        pages: usize,
        align: usize,
    ) -> Option<(PageId, bool)> {
        let is_part = pages < PAGES_PER_HUGE;
        let found = if is_part {
            let request = (2 * pages).min(PAGES_PER_HUGE);
            self.fillers.iter().find_map(|filler| filler.find(request, align))
        } else {
            None
        };
        let (huge, index) = match found {
            Some(place) => place,
            None => {
                let count = pages.div_ceil(PAGES_PER_HUGE);
                let ranges = &mut self.ranges;
                let found = if is_part { ranges.take(1) } else { ranges.take_with_room(count) };
                let first = found?;
                self.back(os, first, count, Use::LongerBlock);
                (first, 0)
            }
        };
        // SAFETY: records are never freed.
        let start = unsafe { (*huge).page(index) };
        Some((start, self.take_run(start, pages)))
    }
}

/// Whether the `pages` pages from `start` on are free, in a huge page that others use too. One
/// without any used page is in a range, or is being released.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn is_free_behind(start: PageId, pages: usize) -> bool {
    // SAFETY: null or a record; they are never freed.
    unsafe { record(start.addr()).as_ref() }.is_some_and(|huge| {
        huge.state == HugeState::Used
            && huge.used.count() > 0
            && huge.used.count_range(start.in_huge(), pages) == 0
    })
}
