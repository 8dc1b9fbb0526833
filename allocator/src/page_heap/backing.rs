//! Which huge pages the kernel is asked to make one page of, and what that costs.
//!
//! Before a part of a huge page goes back, the kernel is told not to make one page of it any more (`break_up`). Neighbours
//! of which different things were asked are different mappings to the kernel, and a process may have some 65,000 of them
//! (`vm.max_map_count`): at that number nobody gets a mapping any more, and no thread can be started. So the borders
//! between such neighbours are counted (`Inner::borders`), and they are limited to a share of that number: beyond it huge pages are
//! broken up together with their neighbours up to the next border, or [`NEIGHBOURHOOD`] of them to either side. That
//! takes a border away for each that it makes, or makes two for so many huge pages. The neighbours lose little: the
//! kernel does not take a huge page apart for that, only does not make a new one.
//!
//! A range of free huge pages that goes back is whole again (`repair`): as it holds no memory, nothing of it is
//! in the way of a huge page at its next use.

use super::heap::{Inner, PageHeap};
use super::huge_page::{HugePage, HugeState};
use super::huge_ranges::record;
use crate::config::HUGE_SIZE;
use crate::os::Os;
use crate::parameters::{self, HugePages};

/// Borders that are no matter, however many mappings there may be. Below this nobody asks how many that are.
const FEW: usize = if cfg!(test) { 16 } else { 1024 };
/// The share of all mappings that borders may take: one in so many.
const SHARE: usize = 4;
/// Huge pages to either side that are broken up together with one, where there are many borders: 512 MiB.
const NEIGHBOURHOOD: usize = if cfg!(test) { 8 } else { 256 };

/// Whether the two huge pages that meet at `addr` are ones of which different things were asked. What is not the heap's
/// does not count.
pub(super) fn is_border(addr: usize) -> bool {
    // SAFETY: null, or records, which are never freed and which the lock guards that the caller holds.
    let asked = |at| unsafe { record(at).as_ref() }.map(|huge| (huge.huge_backed, huge.broken_up));
    match (asked(addr - HUGE_SIZE), asked(addr)) {
        (Some(before), Some(after)) => before != after,
        _ => false,
    }
}

/// The borders at either end of the `len` huge pages from `addr` on. For the holder of the page heap's lock.
fn borders_around(addr: usize, len: usize) -> usize {
    usize::from(is_border(addr)) + usize::from(is_border(addr + len * HUGE_SIZE))
}

impl Inner {
    /// Notes what is asked of the `len` huge pages from `addr` on, of which one thing was asked so far.
    pub fn note_asked(&mut self, addr: usize, len: usize, huge_backed: bool) {
        self.borders -= borders_around(addr, len);
        for at in (addr..addr + len * HUGE_SIZE).step_by(HUGE_SIZE) {
            // SAFETY: records, which are never freed and which the lock guards.
            unsafe {
                (*record(at)).huge_backed = huge_backed;
                (*record(at)).broken_up = !huge_backed;
            }
        }
        self.borders += borders_around(addr, len);
    }

    /// Lets `change` edit the record of the huge page at `addr`, or make one there, and counts the borders anew that it has with
    /// its neighbours.
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

    /// Notes that pages of the huge page at `addr` are not the heap's any more: nothing is asked of it from now on.
    pub(super) fn note_absent(&mut self, addr: usize) {
        self.change_asked(addr, |_| {
            // SAFETY: a record, which is never freed and which the lock guards.
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
    // SAFETY: null, or a record, which is never freed and which the lock guards that the caller holds.
    unsafe { record(addr).as_ref() }.is_some_and(|huge| {
        // A free one that is in no range is being given back, and may be made whole at this moment.
        huge.huge_backed && (huge.state == HugeState::Free || huge.used.count() > 0)
    })
}

impl<O: Os> PageHeap<O> {
    /// Has the kernel not make one page of the huge page around `addr` any more, of which parts are about to be given
    /// back: it would find the rest of it wanted as one, and take back the memory, all of it, at some time.
    pub fn break_up(&self, addr: usize) {
        let huge = record(addr);
        if huge.is_null() {
            return;
        }
        let mut inner = self.lock();
        // SAFETY: a record; they are never freed, and the lock guards it.
        if !unsafe { (*huge).huge_backed } {
            return;
        }
        let borders = inner.borders;
        drop(inner);
        // A file may be read for that, so not under the lock.
        let many_borders = borders >= FEW && borders >= self.os.most_mappings() / SHARE;
        inner = self.lock();
        // SAFETY: as above.
        if !unsafe { (*huge).huge_backed } {
            return;
        }
        // SAFETY: as above.
        let (start, len) = inner.neighbourhood(unsafe { (*huge).addr }, many_borders);
        inner.note_asked(start, len, false);
        drop(inner);
        // SAFETY: huge pages of this heap.
        unsafe { self.os.advise_huge(start, len * HUGE_SIZE, false) };
    }

    /// Asks for huge pages again where the `len` huge pages from `first` on were broken up.
    ///
    /// # Safety
    /// They are in the caller's hand, and hold no memory.
    pub(super) unsafe fn repair(&self, first: *mut HugePage, len: usize) {
        if parameters::huge_pages() == HugePages::Never {
            return;
        }
        // SAFETY: a record; they are never freed.
        let addr = unsafe { (*first).addr };
        // SAFETY: records of the range, of which only the caller changes what is asked of them.
        let is_broken = |index| unsafe { (*record(addr + index * HUGE_SIZE)).broken_up };
        let mut at = 0;
        while let Some(start) = (at..len).find(|&index| is_broken(index)) {
            let end = (start..len).find(|&index| !is_broken(index)).unwrap_or(len);
            let (from, count) = (addr + start * HUGE_SIZE, end - start);
            // Before the kernel is asked: what is taken for a huge page and is none does no harm, in a forked child, too.
            self.lock().note_asked(from, count, true);
            // SAFETY: huge pages of this heap.
            unsafe { self.os.advise_huge(from, count * HUGE_SIZE, true) };
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PAGE_SIZE, PAGES_PER_HUGE};
    use crate::page_heap::tests::model::Model;

    /// Huge pages of which every second one has lost a part.
    fn with_parts_given_back(huge_pages: usize, most_mappings: usize) -> Model {
        let mut model = Model::new();
        model.os().set_most_mappings(most_mappings);
        for _ in 0..huge_pages {
            assert!(model.allocate(PAGES_PER_HUGE / 2, 1) && model.allocate(PAGES_PER_HUGE / 2, 1));
        }
        for index in (0..model.blocks.len()).rev().step_by(4) {
            model.free(index);
        }
        model.release(usize::MAX / PAGE_SIZE);
        model.check();
        assert_eq!(model.heap.free_resident_bytes(), 0, "all that is free went back");
        model
    }

    /// However many huge pages lose a part, the mappings stay within the share.
    #[test]
    fn broken_up_huge_pages_take_no_more_than_their_share_of_the_mappings() {
        const HUGE: usize = 400;
        let unlimited = with_parts_given_back(HUGE, usize::MAX);
        assert!(unlimited.os().borders() > HUGE * 3 / 4, "{}", unlimited.os().borders());
        let limited = with_parts_given_back(HUGE, 256);
        let borders = limited.os().borders();
        assert!(borders > FEW && borders <= 256 / SHARE + 2, "{borders}");
        for mut model in [unlimited, limited] {
            assert_eq!(model.heap.lock().borders, model.os().borders(), "as the system has it");
            while !model.blocks.is_empty() {
                model.free(0);
            }
            // Held by nothing any more. What goes back is whole then; a huge page without memory that was broken up with
            // its neighbours is left as it is.
            model.release(usize::MAX / PAGE_SIZE);
            model.check();
            assert!(model.os().borders() <= FEW / 2, "{} are left", model.os().borders());
            assert_eq!(model.heap.lock().borders, model.os().borders());
            model.drain();
        }
    }
}
