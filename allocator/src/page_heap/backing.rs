//! Huge-page backing: which huge pages the kernel is asked to back with one page, and what that
//! costs.
//!
//! Before a part of a huge page is released, the kernel is advised not to back it with one page any
//! more (`break_up`). Neighbours with different advice are different mappings to the kernel, and a
//! process may have some 65,000 of them (`vm.max_map_count`). At that number no mapping can be made
//! and no thread started. So the borders between such neighbours are counted (`Inner::borders`) and
//! limited to a share of that number. Beyond it a huge page is broken up together with its
//! neighbours up to the next border, or with [`NEIGHBOURHOOD`] of them on either side. That removes
//! a border for each that it makes, or makes two for that many huge pages. The neighbours lose
//! little: the kernel does not split a huge page for that, it only does not make a new one.
//!
//! A huge page in which spans will leave holes for their alignment gets that advice before it is
//! touched (`expect_holes`).
//!
//! A range of free huge pages that is released gets the advice for huge pages (`repair`), unless
//! memory is used sparsely (`density`): it is not resident, so its next use can have a huge page.
//! The page heap's lock guards the records; the system calls are made without it.

use super::heap::{Inner, PageHeap};
use super::huge_page::{HugePage, HugeState};
use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, PAGES_PER_HUGE};
use crate::os::Os;
use crate::parameters::{self, HugePages};

/// A number of borders that is always allowed. Below it the limit on mappings is not read.
pub(super) const FEW: usize = if cfg!(test) { 16 } else { 1024 };
/// The share of all mappings that borders may take: one in so many.
pub(super) const SHARE: usize = 4;
/// Huge pages to either side that are broken up together with one, where there are many borders:
/// 512 MiB.
const NEIGHBOURHOOD: usize = if cfg!(test) { 8 } else { 256 };

/// Whether the two huge pages that meet at `addr` have different advice. Only the heap's count.
pub(super) fn is_border(addr: usize) -> bool {
    // SAFETY: null, or records, which are never freed; the caller holds the lock that guards them.
    let asked = |at| unsafe { record(at).as_ref() }.map(|huge| (huge.huge_backed, huge.broken_up));
    match (asked(addr - HUGE_SIZE), asked(addr)) {
        (Some(before), Some(after)) => before != after,
        _ => false,
    }
}

/// The borders at either end of the `len` huge pages from `addr` on. The caller holds the page
/// heap's lock.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn borders_around(addr: usize, len: usize) -> usize {
    usize::from(is_border(addr)) + usize::from(is_border(addr + len * HUGE_SIZE))
}

impl Inner {
    /// Whether memory is touched densely, for all that is known: not if one kind of use is known to
    /// be sparse.
    fn is_dense(&self) -> Option<bool> {
        let [spans, blocks] = &self.densities;
        match (spans.is_dense(), blocks.is_dense()) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        }
    }

    /// Notes new advice for the `len` huge pages from `addr` on, which had the same advice so far.
    pub fn note_asked(&mut self, addr: usize, len: usize, huge_backed: bool) {
        self.borders -= borders_around(addr, len);
        for at in (addr..addr + len * HUGE_SIZE).step_by(HUGE_SIZE) {
            // SAFETY: records are never freed, and `&mut self` says that the lock is held.
            unsafe {
                (*record(at)).huge_backed = huge_backed;
                (*record(at)).broken_up = !huge_backed;
            }
        }
        self.borders += borders_around(addr, len);
    }

    /// Lets `change` edit the record of the huge page at `addr`, or make one there, and counts its
    /// borders again.
    pub(super) fn change_asked<T>(
        &mut self,
        addr: usize,
        change: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = borders_around(addr, 1);
        let result = change(self);
        self.borders = self.borders + borders_around(addr, 1) - before;
        result
    }

    /// Advises the kernel not to back `huge` with one page if nothing in it was touched yet: spans
    /// that come to lie in it leave holes, which a huge page would make resident. Once it was
    /// touched it is resident, and the advice would not help. Where there are many borders, it is
    /// not worth another one.
    #[cold]
    #[inline(never)]
    pub(super) fn expect_holes<O: Os>(&mut self, os: &O, huge: *mut HugePage) {
        // SAFETY: records are never freed, and `&mut self` says that the lock is held.
        let huge = unsafe { &*huge };
        if !huge.huge_backed || huge.released.count() < PAGES_PER_HUGE {
            return;
        }
        let (addr, before) = (huge.addr, self.borders);
        self.note_asked(addr, 1, false);
        if self.borders > before && self.borders > FEW {
            self.note_asked(addr, 1, true);
            return;
        }
        // SAFETY: a huge page that this heap has mapped.
        unsafe { os.advise_huge(addr, HUGE_SIZE, false) };
    }

    /// Notes that pages of the huge page at `addr` are not the heap's any more: it gets no advice
    /// from now on.
    pub(super) fn note_absent(&mut self, addr: usize) {
        self.change_asked(addr, |_| {
            // SAFETY: records are never freed, and `&mut self` says that the lock is held.
            let huge = unsafe { &mut *record(addr) };
            (huge.huge_backed, huge.broken_up, huge.has_absent) = (false, false, true);
        });
    }

    /// The huge pages that are broken up together with the one at `addr`: start and number.
    fn neighbourhood(&self, addr: usize, many_borders: bool) -> (usize, usize) {
        if !many_borders {
            return (addr, 1);
        }
        let most = NEIGHBOURHOOD * HUGE_SIZE;
        let (mut start, mut end) = (addr, addr + HUGE_SIZE);
        while start > addr - most && may_go_along(start - HUGE_SIZE) {
            start -= HUGE_SIZE;
        }
        while end < addr + most && may_go_along(end) {
            end += HUGE_SIZE;
        }
        (start, (end - start) / HUGE_SIZE)
    }
}

/// Whether the huge page at `addr` can be broken up together with its neighbour.
fn may_go_along(addr: usize) -> bool {
    // SAFETY: null, or a record, which is never freed; the caller holds the lock that guards it.
    unsafe { record(addr).as_ref() }.is_some_and(|huge| {
        // A free one that is in no range is being released, and may get new advice at this moment.
        huge.huge_backed && (huge.state == HugeState::Free || huge.used.count() > 0)
    })
}

impl<O: Os> PageHeap<O> {
    /// Advises the kernel not to back the huge page around `addr` with one page any more, before
    /// parts of it are released. Otherwise the kernel would make all of it resident again at some
    /// time.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn break_up(&self, addr: usize) {
        let huge = record(addr);
        if huge.is_null() {
            return;
        }
        let mut inner = self.lock();
        // SAFETY: records are never freed, and the lock is held.
        if !unsafe { (*huge).huge_backed } {
            return;
        }
        let borders = inner.borders;
        drop(inner);
        // Without the lock, as this may read a file.
        let many_borders = borders >= FEW && borders >= self.os.most_mappings() / SHARE;
        inner = self.lock();
        // SAFETY: records are never freed, and the lock is held again.
        if !unsafe { (*huge).huge_backed } {
            return;
        }
        // SAFETY: records are never freed, and the lock is held again.
        let (start, len) = inner.neighbourhood(unsafe { (*huge).addr }, many_borders);
        inner.note_asked(start, len, false);
        drop(inner);
        // SAFETY: huge pages that this heap has mapped.
        unsafe { self.os.advise_huge(start, len * HUGE_SIZE, false) };
    }

    /// Asks for huge pages where the `len` huge pages from `first` on were broken up, or never had
    /// them, unless what the heap grew by is known to be used sparsely.
    ///
    /// # Safety
    /// The caller holds the range (`hold_range`), and it is not resident.
    pub(super) unsafe fn repair(&self, first: *mut HugePage, len: usize) {
        if parameters::huge_pages() == HugePages::Never {
            return;
        }
        // SAFETY: records are never freed, and the address does not change.
        let addr = unsafe { (*first).addr };
        let is_dense = self.lock().is_dense();
        let asked = |index| {
            // SAFETY: a record of the range, whose advice only the caller changes while it holds
            // the range.
            let huge = unsafe { &*record(addr + index * HUGE_SIZE) };
            (huge.huge_backed, huge.broken_up)
        };
        let is_to_change = |index| match asked(index) {
            (true, _) => false,
            (false, is_broken_up) => is_dense.unwrap_or(is_broken_up),
        };
        let mut at = 0;
        while let Some(start) = (at..len).find(|&index| is_to_change(index)) {
            let end = (start..len).find(|&index| asked(index) != asked(start)).unwrap_or(len);
            let (from, count) = (addr + start * HUGE_SIZE, end - start);
            // Before the kernel is asked: a wrong note that it is a huge page does no harm, not in
            // a child that is forked here either.
            self.lock().note_asked(from, count, true);
            // SAFETY: huge pages that this heap has mapped.
            unsafe { self.os.advise_huge(from, count * HUGE_SIZE, true) };
            at = end;
        }
    }
}
