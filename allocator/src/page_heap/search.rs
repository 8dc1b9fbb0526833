//! The search for free pages: first the partly used huge pages, then the free ranges, then growth.
//!
//! Guarded by the page heap's lock. `marks` marks what is found.

use super::density::Use;
use super::heap::Inner;
use super::huge_page::HugePage;
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE, VOLUME_MAX_BLOCK};
use crate::os::Os;
use crate::page::units::PageId;

/// Alignments, in pages, from which on spans count as lying apart: 64 KiB. Smaller ones are mostly
/// those of size classes, whose spans fill each other's holes.
const LEAST_SPARSE_ALIGN: usize = 8;

/// Whether spans of `pages` pages at multiples of `align` pages leave a quarter of the memory free
/// between them.
const fn leaves_holes(pages: usize, align: usize) -> bool {
    if align < LEAST_SPARSE_ALIGN {
        return false;
    }
    let whole = pages.next_multiple_of(align);
    (whole - pages) * 4 >= whole
}

impl Inner {
    /// Finds `pages` free pages and marks them used. Returns the first and whether all read as
    /// zero. `is_small` says whether they are a span of small objects (`Use::is_small`).
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) fn take_pages<O: Os>(
        &mut self,
        os: &O,
        pages: usize,
        align: usize,
        is_small: bool,
    ) -> Option<(PageId, bool)> {
        if pages * PAGE_SIZE <= VOLUME_MAX_BLOCK {
            return self.take_few(os, pages, align, is_small);
        }
        let free = self.free_resident;
        let found = if pages > PAGES_PER_HUGE {
            self.take_huge(os, pages)
        } else {
            self.take_few(os, pages, align, is_small)
        };
        if found.is_some() {
            self.decay.note_missed((self.free_resident + pages).saturating_sub(free));
        }
        found
    }

    /// Finds them in one huge page.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn take_few<O: Os>(
        &mut self,
        os: &O,
        pages: usize,
        align: usize,
        is_small: bool,
    ) -> Option<(PageId, bool)> {
        let found = self.fillers.iter().find_map(|filler| filler.find(pages, align));
        let (huge, index) = match found {
            Some(place) => place,
            None => match self.take_range(os, 1) {
                Some(huge) => {
                    // Where there are many borders, holes are not worth another one.
                    if !leaves_holes(pages, align) || self.has_many_borders() {
                        self.back(os, huge, 1, Use::of(pages, is_small));
                    }
                    (huge, 0)
                }
                None => self.grow_partly(os, pages, align)?,
            },
        };
        if leaves_holes(pages, align) {
            self.expect_holes(os, huge);
        }
        let fresh = self.take_in(huge, index, pages);
        // SAFETY: records are never freed.
        Some((unsafe { (*huge).page(index) }, fresh))
    }

    /// Takes whole huge pages for `pages` pages; what the last one has left over stays free.
    fn take_huge<O: Os>(&mut self, os: &O, pages: usize) -> Option<(PageId, bool)> {
        let count = pages.div_ceil(PAGES_PER_HUGE);
        let first = self.take_range(os, count)?;
        self.back(os, first, count, Use::Blocks);
        // SAFETY: records are never freed.
        let start = PageId::containing(unsafe { (*first).addr });
        Some((start, self.take_run(start, pages)))
    }

    /// Takes `count` contiguous free huge pages out of the ranges, growing the heap if need be.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) fn take_range<O: Os>(&mut self, os: &O, count: usize) -> Option<*mut HugePage> {
        match self.ranges.take(count) {
            Some(first) => Some(first),
            None => {
                let grown = self.grow(os, count).is_some();
                if grown { self.ranges.take(count) } else { self.ranges.take_any(count) }
            }
        }
    }
}
