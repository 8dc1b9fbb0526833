//! Huge-page backing: which huge pages the kernel is asked to back with one page, and what that
//! costs.
//!
//! Whether it is to is decided when a huge page comes into use (`back`), by how densely memory is
//! touched (`density`), unless the option decides it.
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

use super::density::{Use, between};
use super::heap::{Inner, PageHeap};
use super::huge_page::{HugePage, HugeState, PageBits};
use super::huge_ranges::record;
use crate::config::{
    GROWTH_FRACTION, HUGE_SIZE, PAGES_PER_HUGE, THP_MIN_HUGE_LARGE, THP_MIN_HUGE_LONGER,
    THP_MIN_HUGE_SMALL,
};
use crate::os::Os;
use crate::page::units::Length;
use crate::parameters::{self, HugePages, Id};

/// A number of borders that is always allowed. Below it the limit on mappings is not read.
pub(super) const FEW: usize = if cfg!(test) { 16 } else { 1024 };
/// The share of all mappings that borders may take: one in so many.
pub(super) const SHARE: usize = 4;
/// Huge pages to either side that are broken up together with one, where there are many borders:
/// 512 MiB.
const NEIGHBOURHOOD: usize = if cfg!(test) { 8 } else { 256 };

/// The share of the heap in large blocks beyond which no huge page counts as taken for small
/// objects alone.
const LARGE_SHARE: usize = 4;

/// What the kernel was asked for at the huge page at `addr`, if the heap has it. The caller holds
/// the page heap's lock.
fn asked_at(addr: usize) -> Option<(bool, bool)> {
    // SAFETY: null, or a record, which is never freed; the caller holds the lock that guards it.
    unsafe { record(addr).as_ref() }.map(HugePage::asked)
}

/// Whether the two huge pages that meet at `addr` have different advice. Only the heap's count.
pub(super) fn is_border(addr: usize) -> bool {
    match (asked_at(addr - HUGE_SIZE), asked_at(addr)) {
        (Some(before), Some(after)) => before != after,
        _ => false,
    }
}

/// The borders at either end of the huge page at `addr`. The caller holds the page heap's lock.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn borders_around(addr: usize) -> usize {
    usize::from(is_border(addr)) + usize::from(is_border(addr + HUGE_SIZE))
}

impl Inner {
    /// Whether memory is touched densely, for all that is known: not if one kind of use is known to
    /// be sparse.
    fn is_dense(&self) -> Option<bool> {
        let [small, long] = &self.densities;
        match (small.is_dense(), long.is_dense()) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        }
    }

    /// Whether it is better to make no more borders: new advice can make two.
    pub(super) fn has_many_borders(&self) -> bool {
        self.borders + 2 > FEW
    }

    /// Asks for huge pages, or for none, where the `count` huge pages from `first` on are not
    /// resident. They were just taken out of the ranges, for `purpose`, and nothing in them is
    /// touched yet.
    #[inline]
    pub(super) fn back<O: Os>(&mut self, os: &O, first: *mut HugePage, count: usize, purpose: Use) {
        let least = match purpose {
            Use::Small | Use::Long => THP_MIN_HUGE_SMALL,
            Use::Blocks | Use::LongerBlock => THP_MIN_HUGE_LARGE,
        };
        let grows_by = count.max(self.huge_pages / GROWTH_FRACTION);
        if self.huge_pages >= least
            && (purpose != Use::LongerBlock || grows_by >= THP_MIN_HUGE_LONGER)
        {
            self.back_by_density(os, first, count, purpose);
        }
    }

    #[cold]
    #[inline(never)]
    fn back_by_density<O: Os>(&mut self, os: &O, first: *mut HugePage, count: usize, purpose: Use) {
        // Without a decay time memory is released page by page at once, which would break huge
        // pages up as soon as they are made.
        if parameters::huge_pages() != HugePages::Auto || parameters::get(Id::DecayMs) == 0 {
            return;
        }
        // SAFETY: records are never freed, and the address does not change.
        let start = unsafe { (*first).addr };
        // SAFETY: records of huge pages that were just taken, which are never freed.
        let huge = |index: usize| unsafe { &*record(start + index * HUGE_SIZE) };
        let is_bare = |index| huge(index).released.next_clear(0) == PageBits::BITS;
        let bare = (0..count).filter(|&index| is_bare(index)).count();
        if bare == 0 {
            return;
        }
        let is_bare = |index| bare == count || is_bare(index);
        // What is left of a huge page that a span takes is for blocks, too.
        let has_many_blocks = self.large_bytes * LARGE_SHARE > Length(self.in_spans()).bytes();
        let is_small = purpose == Use::Small && !has_many_blocks;
        let kind = usize::from(!is_small);
        let between = between(is_small, self.huge_pages);
        let backed = self.densities[kind].huge_of(os, bare, between, !self.has_many_borders());
        // The probe is the beginning, which is touched first.
        let is_wanted = |seen: usize| seen >= bare - backed;
        let (mut seen, mut index) = (0, 0);
        while let Some(from) = (index..count).find(|&index| is_bare(index)) {
            let (wanted, asked) = (is_wanted(seen), huge(from).asked());
            let is_alike = |&len: &usize| {
                is_bare(from + len)
                    && is_wanted(seen + len) == wanted
                    && huge(from + len).asked() == asked
            };
            let addr = start + from * HUGE_SIZE;
            let len = 1 + (1..count - from).take_while(is_alike).count();
            if wanted != asked.0 {
                self.ask(os, addr, len, wanted);
            }
            if !wanted && seen == 0 {
                self.densities[kind].note_probe(addr);
            }
            (seen, index) = (seen + len, from + len);
        }
    }

    /// Notes new advice for the `len` huge pages from `addr` on, which had the same advice so far.
    pub fn note_asked(&mut self, addr: usize, len: usize, huge_backed: bool) {
        let new = (huge_backed, !huge_backed);
        // SAFETY: records are never freed, and `&mut self` says that the lock is held.
        let old = unsafe { (*record(addr)).asked() };
        for neighbour in [addr - HUGE_SIZE, addr + len * HUGE_SIZE] {
            if let Some(asked) = asked_at(neighbour) {
                let made = usize::from(asked != new);
                self.borders = self.borders + made - usize::from(asked != old);
            }
        }
        for at in (addr..addr + len * HUGE_SIZE).step_by(HUGE_SIZE) {
            // SAFETY: as above.
            let huge = unsafe { &mut *record(at) };
            (huge.huge_backed, huge.broken_up) = new;
        }
    }

    /// Lets `change` edit the record of the huge page at `addr`, or make one there, and counts its
    /// borders again.
    pub(super) fn change_asked<T>(
        &mut self,
        addr: usize,
        change: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = borders_around(addr);
        let result = change(self);
        self.borders = self.borders + borders_around(addr) - before;
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
        self.ask(os, huge.addr, 1, false);
    }

    /// Gives the kernel new advice for the `len` huge pages from `addr` on, which had the same
    /// advice so far, and of which nothing is resident. That they are not to be backed is not worth
    /// another border where there are many.
    fn ask<O: Os>(&mut self, os: &O, addr: usize, len: usize, huge_backed: bool) {
        if !huge_backed && self.has_many_borders() {
            return;
        }
        self.note_asked(addr, len, huge_backed);
        // SAFETY: huge pages that this heap has mapped.
        unsafe { os.advise_huge(addr, len * HUGE_SIZE, huge_backed) };
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
            unsafe { (*record(addr + index * HUGE_SIZE)).asked() }
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
