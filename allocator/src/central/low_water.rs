//! What lies idle in a central free list: free objects that nobody has wanted for a while.
//!
//! The measure is a low-water mark: as many objects as were free at every moment since the last look. Two
//! look, at moments of their own: the decay, by the clock, and growth elsewhere, by bytes.
//!
//! Idle objects need not fill whole OS pages. A search that found none is not repeated at once.

use super::free_list::CentralFreeList;
use super::release::OS_PAGE;
use crate::page::size_class::SizeClass;

/// Who looks.
#[derive(Clone, Copy)]
pub enum Consumer {
    /// The decay.
    Decay = 0,
    /// Growth elsewhere.
    Growth = 1,
}

/// After how many calls a search is worth while: twice as many after each that found little.
pub(super) struct SearchBackoff {
    wait: u16,
    /// How often the wait was doubled.
    doublings: u16,
}

/// Most doublings: 32 calls passed over between two searches.
const MOST_DOUBLINGS: u16 = 5;

impl SearchBackoff {
    pub const fn new() -> Self {
        Self { wait: 0, doublings: 0 }
    }
}

impl CentralFreeList {
    /// Bytes of memory, resident as far as is known, in objects that were free ever since `asker` asked
    /// last.
    pub fn take_idle(&self, class: SizeClass, asker: Consumer) -> usize {
        let mut inner = self.inner.lock();
        let free = inner.free;
        let low = core::mem::replace(&mut inner.low[asker as usize], free);
        (low * class.size()).saturating_sub(inner.released * OS_PAGE)
    }

    /// Whether to search for idle pages now. To be followed by `note_search` if so.
    pub fn may_search(&self) -> bool {
        let patience = &mut self.inner.lock().patience;
        let now = patience.wait == 0;
        patience.wait = patience.wait.saturating_sub(1);
        now
    }

    /// Notes whether a search found any idle page.
    pub fn note_search(&self, found: bool) {
        let patience = &mut self.inner.lock().patience;
        if found {
            *patience = SearchBackoff::new();
        } else {
            patience.wait = 1 << patience.doublings;
            patience.doublings = (patience.doublings + 1).min(MOST_DOUBLINGS);
        }
    }
}
