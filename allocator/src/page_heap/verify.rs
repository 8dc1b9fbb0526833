//! Verification: whether the page heap's records agree with each other and with its figures.
//!
//! For the option `verify_at_exit` and for tests. Reads under the page heap's lock, changes
//! nothing, and says only whether all is sound.

use super::heap::PageHeap;
use super::huge_page::{HugePage, HugeState};
use super::large_sizes::LargeSizes;
use crate::config::PAGES_PER_HUGE;
use crate::os::Os;

impl<O: Os> PageHeap<O> {
    /// Whether the figures of the heap agree with each other, and the bitmaps of every partly used
    /// huge page with its counts. Walks all of these under the lock.
    pub fn is_sound(&self) -> bool {
        let inner = self.lock();
        let mut sound = inner.used + inner.free_resident <= inner.huge_pages * PAGES_PER_HUGE;
        let mut resident = 0;
        for filler in &inner.fillers {
            filler.for_each(|huge| {
                // SAFETY: nodes of the filler are live, and the lock guards them.
                let huge = unsafe { &*huge };
                sound &= page_is_sound(huge);
                resident += huge.resident_free();
                sound
            });
        }
        sound && resident <= inner.free_resident
    }

    /// How many large blocks there are of which size.
    pub fn large_sizes(&self) -> LargeSizes {
        self.lock().large_sizes
    }
}

/// Whether the bitmaps of a partly used huge page agree with its counts. Pages that a release in
/// progress holds are marked as used, but not counted.
fn page_is_sound(huge: &HugePage) -> bool {
    let mut longest = 0;
    let mut at = 0;
    while let Some(run) = huge.used.clear_run(at) {
        longest = longest.max(run.len);
        at = run.start + run.len;
    }
    // Pages that are both used and released would be counted twice.
    let (used, released) = (huge.used.count(), huge.released.count());
    let disjoint = huge.used.neither(&huge.released).count() + used + released == PAGES_PER_HUGE;
    huge.state == HugeState::Used
        && disjoint
        && used >= usize::from(huge.used_pages)
        && usize::from(huge.longest) == longest
}
