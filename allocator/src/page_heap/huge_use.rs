//! How full each huge page is, for whoever draws a map of the heap: the control socket's request
//! `huge_pages`.
//!
//! A walk by address. The lock is held for one record at a time and never while the caller's code
//! runs, so the map is no single moment: pages that move meanwhile may be missed or come twice.

use super::heap::PageHeap;
use super::huge_page::HugeState;
use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, PAGES_PER_HUGE};
use crate::os::Os;
use crate::page::page_map::PAGE_MAP;

/// One huge page at one moment. The three numbers of pages add up to those that are the heap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugeUse {
    /// Address of the first byte.
    pub addr: usize,
    /// Pages of ours (8 KiB) in spans and large blocks.
    pub used: usize,
    /// Free pages that hold memory.
    pub free: usize,
    /// Free pages that hold none: never touched, or given back.
    pub released: usize,
    /// Whether the kernel was asked to back it with one huge page.
    pub is_huge_backed: bool,
    /// Whether some of its pages are not the heap's; they count as used.
    pub has_absent: bool,
}

impl<O: Os> PageHeap<O> {
    /// Calls `visit` for every huge page of the heap, lowest address first, without a lock held.
    pub fn for_each_huge_page(&self, mut visit: impl FnMut(HugeUse)) {
        let mut from = 0;
        while let Some(addr) = PAGE_MAP.next_table(from) {
            from = addr + HUGE_SIZE;
            if let Some(now) = self.huge_use(addr) {
                visit(now);
            }
        }
    }

    /// Calls `visit` with the address of each huge page all of which is the heap's, without the
    /// lock. Those that it owns in part are left out (`partial`). For whoever searches the
    /// process's memory for pointers: what lies in the heap and in no live block is no pointer of
    /// the program's.
    pub fn for_each_owned(&self, mut visit: impl FnMut(usize)) {
        self.for_each_huge_page(|huge| {
            if !huge.has_absent {
                visit(huge.addr);
            }
        });
    }

    /// The huge page at `addr`, if the heap has one there.
    fn huge_use(&self, addr: usize) -> Option<HugeUse> {
        let _guard = self.lock();
        // SAFETY: null or the record of a huge page: records are never freed, and the lock, which
        // is held to the end of this function, guards them.
        let huge = unsafe { record(addr).as_ref()? };
        let is_free = huge.state == HugeState::Free;
        let used = if is_free { 0 } else { usize::from(huge.used_pages) };
        let released = huge.released.count();
        Some(HugeUse {
            addr,
            used,
            free: PAGES_PER_HUGE.saturating_sub(used + released),
            released,
            is_huge_backed: huge.huge_backed,
            has_absent: huge.has_absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::HUGE_SIZE;
    use crate::page::size_class::SizeClass;
    use crate::page::units::Length;
    use crate::page_heap::PAGE_HEAP;

    #[test]
    fn the_huge_page_of_a_block_is_among_those_of_the_heap() {
        let block = PAGE_HEAP.allocate(Length(3), Length(1), SizeClass::NONE).expect("memory");
        // SAFETY: the span that was just allocated, which nothing else refers to.
        let block = unsafe { block.as_ref() }.start.addr();
        let mut owned = Vec::new();
        PAGE_HEAP.for_each_owned(|addr| owned.push(addr));
        assert!(owned.contains(&(block & !(HUGE_SIZE - 1))), "{block:x}: {owned:x?}");
        assert!(owned.iter().all(|addr| addr.is_multiple_of(HUGE_SIZE)));
    }
}
