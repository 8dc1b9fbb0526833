//! The pages that are being released at the moment, without the lock.
//!
//! A thread that releases pages takes them out of the free ranges and runs, notes them here, makes
//! the system call without the lock, and puts them back. A forked child does not have the threads
//! that were doing that, and finds here what they were releasing. Guarded by the page heap's lock.
//! `hold` has the operations.

use super::huge_page::{HugePage, PageBits};
use crate::base::list::List;

/// Pages that are being released without the lock, which guards this record of them.
pub(super) struct PendingRelease {
    /// Ranges of free huge pages, by their first, out of the other lists.
    pub ranges: List<HugePage>,
    /// Partly used huge pages, and which of their pages.
    pub parts: [Part; PARTS],
}

/// A partly used huge page some of whose pages are being released; null: none.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub huge: *mut HugePage,
    pub pages: PageBits,
    /// The thread that releases them, by the number that locks use.
    pub held_by: u32,
}

impl Part {
    pub const NONE: Self = Self { huge: core::ptr::null_mut(), pages: PageBits::new(), held_by: 0 };
}

/// Threads that may release parts of huge pages at the same time.
pub(super) const PARTS: usize = 8;

impl PendingRelease {
    pub const fn new() -> Self {
        Self { ranges: List::new(), parts: [Part::NONE; PARTS] }
    }

    /// The huge page noted at `place`, and which of its pages are held.
    pub fn part(&self, place: usize) -> (*mut HugePage, PageBits) {
        (self.parts[place].huge, self.parts[place].pages)
    }
}
