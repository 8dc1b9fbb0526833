//! Runs of pages inside 2 MiB huge pages, and blocks with mappings of their own.
//!
//! One lock guards everything here. It may be held while the kernel maps memory (rank table in
//! `docs/synchronization.md`), because two threads that both find the heap empty must not both grow it;
//! memory is given back without it.
//!
//! * `huge_page`: the record of one huge page - which pages are used, which are not resident.
//! * `huge_ranges`: huge pages that are entirely free, in coalesced ranges.
//! * `filler`: huge pages that are partly used, ordered by their longest free run.
//! * `heap`: allocation, freeing, growth.
//! * `partial`: growth by less than a huge page, where a limit leaves no more.
//! * `release`: giving memory back, at once or with the decay.
//! * `backing`: which huge pages the kernel is asked to make one page of, and what that costs in mappings.
//! * `direct`: blocks with mappings of their own.
//! * `resize`: changing a block's length where it is, and places with room to grow.
//! * `relocate`: moving a block by its page tables, within the heap and out of it.
//! * `large_sizes`: how many large blocks there are of which size.
//! * `limits`: the soft and the hard limit on what is held.
//! * `guard_pages`: in hardened builds, pages round large blocks that nobody may touch.
//! * `verify`: checking the records of the huge pages.
//!
//! Equation, in pages, at any time under the lock:
//! `huge pages * 256 = used + free_resident + free_released`.

mod backing;
mod direct;
mod filler;
pub mod guard_pages;
mod heap;
mod huge_page;
mod huge_ranges;
mod large_sizes;
pub mod limits;
mod partial;
mod release;
mod relocate;
mod resize;
#[cfg(test)]
mod tests;
mod verify;

pub use heap::PageHeap;

/// The page heap of the process.
pub static PAGE_HEAP: PageHeap<crate::os::Linux> = PageHeap::new(crate::os::Linux);
