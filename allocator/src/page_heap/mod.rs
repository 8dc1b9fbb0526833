//! The page heap: runs of pages inside 2 MiB huge pages, and blocks with mappings of their own.
//!
//! One lock guards everything here. It may be held while the kernel maps memory (rank table in
//! `docs/synchronization.md`), because two threads that both find the heap empty must not both grow
//! it. Memory is released without it. The central tier gets its spans here, and `front::large` its
//! blocks. Nothing here knows about objects, magazines or threads.
//!
//! In this order, in which a file uses only the files above it:
//!
//! * `huge_page`: the record of one huge page: which pages are used, and which are not resident.
//! * `huge_ranges`: huge pages that are entirely free, in coalesced ranges.
//! * `filler`: huge pages that are partly used, ordered by their longest free run.
//! * `large_sizes`: figures of large blocks. `decay`: how much a step of the decay releases.
//! * `density`: whether what the heap grew by is touched densely.
//! * `zeroed_use`: how zeroed large blocks were used, which says how to zero the next.
//! * `teardown`: whether free pages go back at once when next to nothing is left in use.
//! * `pending_release`: what is being released at the moment.
//! * `heap`: the data that the lock guards.
//! * `marks`: marking pages as used and free.
//! * `backing`: which huge pages the kernel is asked to back with one page, and what that costs in
//!   mappings.
//! * `grow`: growth by whole huge pages; `partial`: by less, where a limit leaves no more.
//! * `search`: finding free pages.
//! * `hold`: pages that are held while they are released; `release`: releasing them.
//! * `decay_steps`: when pages are released that nobody asked for.
//! * `limits`: the soft and the hard limit on what is held.
//! * `spans`: allocating and freeing spans.
//! * `heap_spans`: spans and records of heaps with lifetimes.
//! * `relocate`: moving a block by its page tables, within the heap and out of it.
//! * `resize`: changing a block's length where it is, and places with room to grow.
//! * `direct`: blocks with mappings of their own.
//! * `zeroing`: large blocks that are to be zero, by giving their memory back.
//! * `verify`: checking the records of the huge pages. `huge_use`: how full each
//!   is, for a map, and which addresses are the heap's.
//! * `guard_pages`: pages around large blocks that cannot be accessed, in the hardened build.
//! * `sampled_pages`: pages of sampled blocks, kept for the next ones.
//!
//! Equation, in pages, at any time under the lock:
//! `huge pages * 256 = used + free_resident + free_released`.

mod huge_page;
mod huge_ranges;

mod filler;
mod large_sizes;

mod decay;
mod density;
mod pending_release;
pub mod teardown;
mod zeroed_use;

mod heap;

mod marks;

mod backing;
mod grow;
mod partial;
mod search;

mod hold;
mod release;

mod decay_steps;

pub mod limits;
mod spans;

mod heap_spans;

mod relocate;
mod resize;

mod direct;
mod verify;
mod zeroing;

mod huge_use;

pub mod guard_pages;
pub mod sampled_pages;

#[cfg(test)]
mod tests;

pub use heap::PAGE_HEAP;
