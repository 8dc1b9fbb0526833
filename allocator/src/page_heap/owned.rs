//! Which addresses are the heap's, for whoever searches the process's memory for pointers: what
//! lies in the heap and in no live block is no pointer of the program's.

use super::heap::PageHeap;
use super::huge_page::HugePage;
use crate::os::Os;
use crate::page::page_map::PAGE_MAP;

impl<O: Os> PageHeap<O> {
    /// Calls `visit` with the address of each huge page all of which is the heap's, without the
    /// lock. Those that it owns in part are left out (`partial`).
    pub fn for_each_owned(&self, mut visit: impl FnMut(usize)) {
        PAGE_MAP.for_each_huge(|record| {
            let (addr, is_whole) = {
                let _heap = self.lock();
                let huge = record.cast::<HugePage>();
                // SAFETY: the page heap entered it; records are never freed, and this thread holds
                // the lock that guards them.
                unsafe { ((*huge).addr, !(*huge).has_absent) }
            };
            if is_whole {
                visit(addr);
            }
        });
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
