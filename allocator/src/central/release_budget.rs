//! How much a call may release inside spans, and how far it may look for that.
//!
//! A call of the program's does a bounded part of such work; the background thread's steps and an
//! explicit request do more. A budget belongs to one call.

use super::os_pages::runs;
use crate::page::span::OsPages;

/// OS pages that a call of the program's releases inside spans, at most but for those of the last
/// span.
const PART_PAGES: usize = 128;
/// System calls that it makes for them. Each is for a few pages and takes a microsecond.
const PART_CALLS: usize = 8;
/// Spans that it looks at.
const PART_LOOKS: usize = 48;

/// How much may be released; reduced by what is.
pub struct Budget {
    /// OS pages. (The last span may exceed it.)
    pub pages: usize,
    /// System calls.
    pub calls: usize,
    /// Spans that are looked at.
    pub looks: usize,
    /// Whether the walk over the spans came to its end.
    pub is_over: bool,
}

impl Budget {
    /// So many pages, by so many calls.
    pub const fn new(pages: usize, calls: usize) -> Self {
        Self { pages, calls, looks: usize::MAX, is_over: false }
    }

    /// All there is.
    pub const fn unbounded() -> Self {
        Self::new(usize::MAX, usize::MAX)
    }

    /// The part that one call of the program's does, if so many pages are to go.
    pub const fn for_one_call(pages: usize) -> Self {
        let pages = if pages < PART_PAGES { pages } else { PART_PAGES };
        Self { looks: PART_LOOKS, ..Self::new(pages, PART_CALLS) }
    }

    /// Accounts for `pages`, each run of which is released by one system call.
    pub(super) fn spend(&mut self, pages: OsPages) {
        self.pages = self.pages.saturating_sub(pages.count_ones() as usize);
        self.calls = self.calls.saturating_sub(runs(pages));
    }

    /// Whether pages are not counted.
    pub(super) fn is_unbounded(&self) -> bool {
        self.pages == usize::MAX
    }

    /// Whether nothing more may be done.
    pub fn is_spent(&self) -> bool {
        self.pages == 0 || self.calls == 0 || self.looks == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call costs what its system calls cost, and neighbours go back by one call.
    #[test]
    fn a_run_of_pages_costs_one_call() {
        let mut budget = Budget::new(10, 3);
        budget.spend(0b1110);
        assert_eq!((budget.pages, budget.calls, budget.is_spent()), (7, 2, false));
        budget.spend(0b1_0101);
        assert_eq!((budget.pages, budget.calls, budget.is_spent()), (4, 0, true));
    }

    /// However much is to go, one call of the program's does a bounded part.
    #[test]
    fn the_part_of_one_call_is_bounded() {
        let budget = Budget::for_one_call(usize::MAX);
        let bounds = (budget.pages, budget.calls, budget.looks);
        assert_eq!(bounds, (PART_PAGES, PART_CALLS, PART_LOOKS));
        assert!(!budget.is_unbounded());
        assert_eq!(Budget::for_one_call(5).pages, 5);
    }
}
