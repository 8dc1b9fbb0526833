//! Partly owned huge pages: how the heap grows where it cannot get a whole one.
//!
//! A process under `RLIMIT_AS`, `RLIMIT_DATA` or `RLIMIT_MEMLOCK` may have room for a megabyte, but
//! not for two at a multiple of two. glibc can still grow there by `brk`; this heap maps what is
//! left. Such a mapping lies in one or two huge pages whose other pages the heap does not own.
//! Their records mark those pages as used, so they are never allocated or released, and the huge
//! page never counts as free. A later mapping may add more of the pages. Runs under the page heap's
//! lock.
//!
//! `Inner::absent` counts the pages that are marked for that; figures leave them out.

use super::heap::Inner;
use super::huge_page::HugePage;
use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::Os;
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::units::{Granule, Length, PageId};

/// Pages that are tried for, the most first: 1 MiB, 256 and 64 KiB. Fewer than are needed are not.
const TRIED: [usize; 3] = [128, 32, 8];

impl Inner {
    /// Maps as much as there is room for, until there are `pages` pages in a row at a multiple of
    /// `align`. Returns their huge page and the first page.
    #[cold]
    #[inline(never)]
    pub(super) fn grow_partly<O: Os>(
        &mut self,
        os: &O,
        pages: usize,
        align: usize,
    ) -> Option<(*mut HugePage, usize)> {
        // A mapping begins at an OS page, which may be half a page of ours.
        let least = pages + align;
        for request in TRIED.into_iter().filter(|request| *request > least).chain([least]) {
            if request > PAGES_PER_HUGE || !self.map_part(os, Length(request).bytes()) {
                continue;
            }
            // None, if the border of a huge page cuts the mapping in two. It stays, for other
            // requests.
            if let Some(place) = self.fillers.iter().find_map(|filler| filler.find(pages, align)) {
                return Some(place);
            }
        }
        None
    }

    /// Maps `bytes` bytes anywhere, and adds the pages in there. Returns whether there are any.
    fn map_part<O: Os>(&mut self, os: &O, bytes: usize) -> bool {
        self.granule = Granule::of(os.page_size(), PAGE_SIZE);
        let bytes = bytes.next_multiple_of(os.page_size());
        let Some(addr) = os.map(bytes, 0) else { return false };
        let (start, end) = (addr.next_multiple_of(PAGE_SIZE), (addr + bytes) & !(PAGE_SIZE - 1));
        let border = (start & !(HUGE_SIZE - 1)) + HUGE_SIZE;
        let first = self.add_part(start, border.min(end));
        let second = border < end && self.add_part(border, end);
        if border < end && !second {
            // SAFETY: a part of the new mapping that nothing refers to.
            unsafe { os.unmap(border, addr + bytes - border) };
        }
        if !first {
            // SAFETY: a part of the new mapping that nothing refers to.
            unsafe { os.unmap(addr, border.min(addr + bytes) - addr) };
        }
        first || second
    }

    /// Adds the pages of `[start, end)`, which lies in one huge page. Returns whether there was
    /// memory for the records.
    fn add_part(&mut self, start: usize, end: usize) -> bool {
        if !PAGE_MAP.ensure(start & !(HUGE_SIZE - 1), HUGE_SIZE) {
            return false;
        }
        let huge = self.part_record(start);
        if huge.is_null() {
            return false;
        }
        let (index, pages) = (PageId::containing(start).in_huge(), (end - start) / PAGE_SIZE);
        let granule = self.granule;
        self.refile(huge, |huge, _| huge.give(index, pages, pages, granule));
        self.used -= pages;
        self.absent -= pages;
        true
    }

    /// The record of the huge page of `addr`, for which the page map has room. Makes one without
    /// any page of the heap if there is none. Null without memory.
    ///
    /// Not inlined: what a record takes on the stack must not add up with what mapping takes.
    #[cold]
    #[inline(never)]
    fn part_record(&mut self, addr: usize) -> *mut HugePage {
        let start = addr & !(HUGE_SIZE - 1);
        let known = record(start);
        if !known.is_null() {
            return known;
        }
        let Some(huge) = METADATA.allocate::<HugePage>() else { return core::ptr::null_mut() };
        self.change_asked(start, |_| {
            // SAFETY: fresh memory for one record, which nothing refers to.
            unsafe { huge.write(HugePage::absent(start)) };
            PAGE_MAP.set_huge(start, huge.as_ptr().cast());
        });
        self.huge_pages += 1;
        self.used += PAGES_PER_HUGE;
        self.absent += PAGES_PER_HUGE;
        huge.as_ptr()
    }
}
