//! Huge pages that are partly used, ordered by their longest free run.
//!
//! Allocation takes the huge page whose longest run is the smallest that suffices, and among those the
//! fullest of the first few: big runs stay whole for those who need them, and the emptiest huge pages
//! drain until they can go back.

use super::huge_page::HugePage;
use crate::base::list::List;
use crate::config::PAGES_PER_HUGE;

/// Huge pages compared for fullness within one list. More cost time under the lock and win little.
const LOOK: usize = 8;
const WORDS: usize = PAGES_PER_HUGE / 64;

/// The partly used huge pages. Guarded by the page heap's lock.
pub struct Filler {
    /// Index: longest free run, less one.
    lists: [List<HugePage>; PAGES_PER_HUGE],
    occupied: [u64; WORDS],
}

impl Filler {
    pub const fn new() -> Self {
        Self { lists: [const { List::new() }; PAGES_PER_HUGE], occupied: [0; WORDS] }
    }

    /// Files `huge` under its longest run; one without a free page is not kept.
    ///
    /// # Safety
    /// `huge` is live and in no list.
    pub unsafe fn insert(&mut self, huge: *mut HugePage) {
        // SAFETY: live by the caller's word.
        unsafe {
            let longest = (*huge).longest as usize;
            if longest > 0 {
                self.lists[longest - 1].push_front(huge);
                self.occupied[(longest - 1) / 64] |= 1 << ((longest - 1) % 64);
            }
        }
    }

    /// Undoes `insert`; `longest` is the value it was filed under.
    ///
    /// # Safety
    /// `huge` was filed under `longest` and is here since.
    pub unsafe fn remove(&mut self, huge: *mut HugePage, longest: u16) {
        if longest == 0 {
            return;
        }
        let list = longest as usize - 1;
        // SAFETY: in that list by the caller's word.
        unsafe { self.lists[list].remove(huge) };
        if self.lists[list].is_empty() {
            self.occupied[list / 64] &= !(1 << (list % 64));
        }
    }

    /// The first list at or after `list` that is not empty.
    fn next_occupied(&self, list: usize) -> Option<usize> {
        let mut word = list / 64;
        let mut bits = self.occupied.get(word)? & (u64::MAX << (list % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// A huge page with room for `pages` pages at a multiple of `align` pages, and the place.
    pub fn find(&self, pages: usize, align: usize) -> Option<(*mut HugePage, usize)> {
        let mut list = self.next_occupied(pages - 1)?;
        loop {
            if let Some(found) = self.find_in(list, pages, align) {
                return Some(found);
            }
            // Only an alignment can make a run that is long enough unfit.
            list = self.next_occupied(list + 1)?;
        }
    }

    fn find_in(&self, list: usize, pages: usize, align: usize) -> Option<(*mut HugePage, usize)> {
        let mut best: Option<(*mut HugePage, usize)> = None;
        let mut best_used = 0;
        let mut node = self.lists[list].first();
        for _ in 0..LOOK {
            if node.is_null() {
                break;
            }
            // SAFETY: nodes of the list are live.
            unsafe {
                let used = (*node).used_pages;
                if (best.is_none() || used > best_used)
                    && let Some(start) = (*node).best_run(pages, align)
                {
                    best = Some((node, start));
                    best_used = used;
                }
                node = self.lists[list].next(node);
            }
        }
        best
    }

    /// Calls `visit` for every huge page here until it returns false, those with the longest runs first.
    pub fn for_each(&self, mut visit: impl FnMut(*mut HugePage) -> bool) {
        for list in self.lists.iter().rev() {
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live; `visit` gets no access to the list itself.
                let next = unsafe { list.next(node) };
                if !visit(node) {
                    return;
                }
                node = next;
            }
        }
    }

    /// Panics unless every huge page is filed under its longest run and `belongs` says that it is in the
    /// right filler. Returns how many there are.
    #[cfg(test)]
    pub fn check_invariants(&self, mut belongs: impl FnMut(&HugePage) -> bool) -> usize {
        let mut count = 0;
        for (index, list) in self.lists.iter().enumerate() {
            assert_eq!(list.is_empty(), self.occupied[index / 64] >> (index % 64) & 1 == 0);
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live, and the caller holds the lock.
                unsafe {
                    assert_eq!((*node).longest as usize, index + 1);
                    assert!(belongs(&*node), "in the other filler's list");
                    node = list.next(node);
                }
                count += 1;
            }
        }
        count
    }
}
