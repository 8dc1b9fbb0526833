//! The filler: huge pages that are partly used, ordered by their longest free run.
//!
//! Allocation takes the huge page whose longest run is the smallest that suffices, and among those
//! the fullest of the first few: big runs stay whole for large requests, and the emptiest huge
//! pages drain until they can be released. Guarded by the page heap's lock. It does not mark pages.

use super::huge_page::{HugePage, PageBits};
use crate::base::list::List;
use crate::base::steps;
use crate::config::PAGES_PER_HUGE;

/// Huge pages compared for fullness within one list. More cost time under the lock and win little.
const LOOK: usize = 8;
/// Lists looked at for an aligned run before that one whose every run is long enough for it.
const LISTS_LOOKED_AT: usize = 8;

/// The partly used huge pages. Guarded by the page heap's lock.
pub struct Filler {
    /// Index: longest free run, less one.
    lists: [List<HugePage>; PAGES_PER_HUGE],
    /// Bit per list: not empty.
    occupied: PageBits,
    count: usize,
}

impl Filler {
    pub const fn new() -> Self {
        Self { lists: [const { List::new() }; PAGES_PER_HUGE], occupied: PageBits::new(), count: 0 }
    }

    /// Files `huge` under its longest run; one without a free page is not kept.
    ///
    /// # Safety
    /// `huge` is live and in no list.
    pub unsafe fn insert(&mut self, huge: *mut HugePage) {
        // SAFETY: the caller says that the record is live and in no list.
        unsafe {
            let longest = (*huge).longest as usize;
            if longest > 0 {
                self.lists[longest - 1].push_front(huge);
                self.occupied.set(longest - 1);
                self.count += 1;
            }
        }
    }

    /// Undoes `insert`; `longest` is the value it was filed under.
    ///
    /// # Safety
    /// `huge` was filed under `longest` and is here since.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub unsafe fn remove(&mut self, huge: *mut HugePage, longest: u16) {
        if longest == 0 {
            return;
        }
        self.count -= 1;
        let list = longest as usize - 1;
        // SAFETY: the caller says that it was filed under `longest`, which is this list.
        unsafe { self.lists[list].remove(huge) };
        if self.lists[list].is_empty() {
            self.occupied.clear_range(list, 1);
        }
    }

    /// Finds a huge page with room for `pages` pages at a multiple of `align` pages; returns it and
    /// the first page. With an alignment it may miss a run that would do.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn find(&self, pages: usize, align: usize) -> Option<(*mut HugePage, usize)> {
        let mut list = self.occupied.next_set(pages - 1);
        for _ in 0..LISTS_LOOKED_AT {
            if list == PageBits::BITS {
                return None;
            }
            if let Some(found) = self.find_in(list, pages, align) {
                return Some(found);
            }
            list = self.occupied.next_set(list + 1);
        }
        let sure = self.occupied.next_set(list.max(pages + align - 2));
        if sure == PageBits::BITS { None } else { self.find_in(sure, pages, align) }
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn find_in(&self, list: usize, pages: usize, align: usize) -> Option<(*mut HugePage, usize)> {
        let mut best: Option<(*mut HugePage, usize)> = None;
        let mut best_used = 0;
        let mut node = self.lists[list].first();
        for _ in 0..LOOK {
            if node.is_null() {
                break;
            }
            steps::add(1);
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

    /// Finds a page that is free and resident in a huge page without a run of `pages` pages.
    /// Returns the huge page and the page. For the filler of huge pages that have such pages.
    pub fn find_leftover(&self, pages: usize) -> Option<(*mut HugePage, usize)> {
        let list = self.occupied.next_set(0);
        if list + 1 >= pages {
            return None;
        }
        let huge = self.lists[list].first();
        // SAFETY: nodes of the list are live.
        let index = unsafe { (*huge).first_free_resident() }?;
        Some((huge, index))
    }

    /// A huge page with the longest run here.
    pub fn first(&self) -> Option<*mut HugePage> {
        self.occupied.last_set().map(|list| self.lists[list].first())
    }

    /// Number of huge pages here.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `visit` for every huge page here until it returns false, those with the longest runs
    /// first.
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

    /// Panics unless every huge page is filed under its longest run and `belongs` says that it is
    /// in the right filler. Returns how many there are.
    #[cfg(test)]
    pub fn check_invariants(&self, mut belongs: impl FnMut(&HugePage) -> bool) -> usize {
        let mut count = 0;
        for (index, list) in self.lists.iter().enumerate() {
            assert_eq!(list.is_empty(), !self.occupied.get(index));
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
        assert_eq!(count, self.count);
        count
    }
}
