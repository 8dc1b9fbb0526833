//! Ranges of entirely free huge pages, coalesced with their neighbours.
//!
//! Ranges are in lists by length (the last list holds everything longer), the most recently freed first,
//! as its memory is most likely resident and in the cache. The first record of a range knows its length,
//! the last one the first.

use super::huge_page::{HugePage, HugeState};
use crate::base::list::List;
use crate::config::HUGE_SIZE;
use crate::page::page_map::PAGE_MAP;

/// Number of lists: ranges of 1, 2, ... 63, and 64 or more huge pages.
const LISTS: usize = 64;

/// The free ranges. Guarded by the page heap's lock.
pub struct HugeRanges {
    lists: [List<HugePage>; LISTS],
    /// Bit per list: not empty.
    occupied: u64,
}

impl HugeRanges {
    pub const fn new() -> Self {
        Self { lists: [const { List::new() }; LISTS], occupied: 0 }
    }

    const fn list_of(len: usize) -> usize {
        if len < LISTS { len - 1 } else { LISTS - 1 }
    }

    /// Adds the range of `len` huge pages from `first` on, joined with free neighbours.
    ///
    /// # Safety
    /// The records are live, in no list, and all their pages are free.
    pub unsafe fn insert(&mut self, first: *mut HugePage, len: usize) {
        let mut first = first;
        let mut len = len;
        // SAFETY: records are never freed, and the page map holds records only; those in state `Free`
        // and not part of the new range are in a range here. `offset` stays inside the new range.
        unsafe {
            for index in 0..len {
                (*record((*first).addr + index * HUGE_SIZE)).state = HugeState::Free;
            }
            let after = record((*first).addr + len * HUGE_SIZE);
            if !after.is_null() && (*after).state == HugeState::Free {
                let after_len = (*after).range_len;
                self.unlink(after);
                len += after_len;
            }
            let before = record((*first).addr - HUGE_SIZE);
            if !before.is_null() && (*before).state == HugeState::Free {
                let before_first = (*before).range_first;
                len += (*before_first).range_len;
                self.unlink(before_first);
                first = before_first;
            }
            self.link(first, len);
        }
    }

    /// # Safety
    /// The records of the range are live and in no list.
    unsafe fn link(&mut self, first: *mut HugePage, len: usize) {
        let list = Self::list_of(len);
        // SAFETY: live by the caller's word; the last record is `len - 1` huge pages further on.
        unsafe {
            (*first).range_len = len;
            (*record((*first).addr + (len - 1) * HUGE_SIZE)).range_first = first;
            self.lists[list].push_front(first);
        }
        self.occupied |= 1 << list;
    }

    /// # Safety
    /// `first` is the first record of a range here.
    unsafe fn unlink(&mut self, first: *mut HugePage) {
        // SAFETY: by the caller's word it is in the list of its length.
        let list = unsafe {
            let list = Self::list_of((*first).range_len);
            self.lists[list].remove(first);
            list
        };
        if self.lists[list].is_empty() {
            self.occupied &= !(1 << list);
        }
    }

    /// Takes `len` contiguous huge pages: from the shortest range that has them. Returns the first record.
    pub fn take(&mut self, len: usize) -> Option<*mut HugePage> {
        let from = Self::list_of(len);
        let candidates = self.occupied & (u64::MAX << from);
        if candidates == 0 {
            return None;
        }
        let list = candidates.trailing_zeros() as usize;
        let mut best = self.lists[list].first();
        if list == LISTS - 1 {
            best = core::ptr::null_mut();
            let mut node = self.lists[list].first();
            // SAFETY: nodes of the list are live.
            unsafe {
                while !node.is_null() {
                    let fits = (*node).range_len >= len;
                    if fits && (best.is_null() || (*node).range_len < (*best).range_len) {
                        best = node;
                    }
                    node = self.lists[list].next(node);
                }
            }
            if best.is_null() {
                return None;
            }
        }
        // SAFETY: `best` heads a range of at least `len`; the rest, if any, begins `len` further on.
        unsafe {
            let have = (*best).range_len;
            self.unlink(best);
            self.leave(best, have, len);
        }
        Some(best)
    }

    /// Takes up to `most` huge pages out of the first range in which `start` finds a place to begin (an
    /// index below the range's length), the longest ranges first. Returns the first record and the number
    /// taken.
    pub fn take_where(
        &mut self,
        most: usize,
        mut start: impl FnMut(*mut HugePage, usize) -> Option<usize>,
    ) -> Option<(*mut HugePage, usize)> {
        for list in (0..LISTS).rev().filter(|list| self.occupied >> list & 1 != 0) {
            let mut node = self.lists[list].first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live and head their ranges; `skip` is inside the range.
                unsafe {
                    let have = (*node).range_len;
                    if let Some(skip) = start(node, have) {
                        let len = (have - skip).min(most);
                        self.unlink(node);
                        if skip > 0 {
                            self.link(node, skip);
                        }
                        let first = record((*node).addr + skip * HUGE_SIZE);
                        self.leave(first, have - skip, len);
                        return Some((first, len));
                    }
                    node = self.lists[list].next(node);
                }
            }
        }
        None
    }

    /// Takes the first `len` huge pages of the range that `first` heads, or fewer if it is shorter. Returns how many.
    ///
    /// # Safety
    /// `first` is the first record of a range here.
    pub unsafe fn take_front(&mut self, first: *mut HugePage, len: usize) -> usize {
        // SAFETY: by the caller's word.
        unsafe {
            let have = (*first).range_len;
            self.unlink(first);
            self.leave(first, have, len.min(have));
            len.min(have)
        }
    }

    /// Takes `len` contiguous huge pages, with as many free ones behind them if that can be had.
    pub fn take_with_room(&mut self, len: usize) -> Option<*mut HugePage> {
        let Some(first) = self.take(2 * len) else { return self.take(len) };
        // SAFETY: the second half was just taken, and nobody uses it.
        unsafe { self.insert(record((*first).addr + len * HUGE_SIZE), len) };
        Some(first)
    }

    /// Marks the first `len` of `have` free records as used and links the rest again.
    ///
    /// # Safety
    /// `first` is the first of `have` contiguous records of a range that was just unlinked; `len <= have`.
    unsafe fn leave(&mut self, first: *mut HugePage, have: usize, len: usize) {
        // SAFETY: all records of the range are live and belong to the caller.
        unsafe {
            for index in 0..len {
                (*record((*first).addr + index * HUGE_SIZE)).state = HugeState::Used;
            }
            if have > len {
                self.link(record((*first).addr + len * HUGE_SIZE), have - len);
            }
        }
    }

    /// Number of ranges.
    pub fn count(&self) -> usize {
        let mut count = 0;
        for list in &self.lists {
            let mut node = list.first();
            while !node.is_null() {
                count += 1;
                // SAFETY: `node` is in the list.
                node = unsafe { list.next(node) };
            }
        }
        count
    }

    /// Panics unless every range is filed under its length, knows its ends, consists of free huge pages,
    /// and is maximal. Returns how many huge pages there are.
    #[cfg(test)]
    pub fn check_invariants(&self) -> usize {
        let mut total = 0;
        let free =
            // SAFETY: records are never freed, and the caller holds the lock.
            |addr| unsafe { record(addr).as_ref() }.is_some_and(|r| r.state == HugeState::Free);
        for (index, list) in self.lists.iter().enumerate() {
            assert_eq!(list.is_empty(), self.occupied >> index & 1 == 0);
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live and head ranges of live records.
                unsafe {
                    let (addr, len) = ((*node).addr, (*node).range_len);
                    assert_eq!(Self::list_of(len), index);
                    assert!((0..len).all(|i| free(addr + i * HUGE_SIZE)));
                    assert_eq!((*record(addr + (len - 1) * HUGE_SIZE)).range_first, node);
                    assert!(!free(addr - HUGE_SIZE) && !free(addr + len * HUGE_SIZE), "not joined");
                    total += len;
                    node = list.next(node);
                }
            }
        }
        total
    }
}

/// The record of the huge page at `addr`, or null.
pub fn record(addr: usize) -> *mut HugePage {
    PAGE_MAP.huge(addr).cast()
}
