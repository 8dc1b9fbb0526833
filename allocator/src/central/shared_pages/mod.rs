//! Pages that several size classes share: where a heap finds room whose mix of sizes has changed.
//!
//! A page of a span is used by one size class, and one block that lives keeps it. So a program
//! whose sizes shift holds what each size needed at its peak. When spans are taken although much
//! lies idle in those of other classes, the emptiest of these are *converted* (`central::convert`):
//! their pages become shared pages. Blocks that live on them stay where they are. From then on a
//! hole is used by every size that fits, before anything else becomes resident. A page on which
//! nothing lives any more goes back to the page heap, alone: a span of several pages finds no room
//! there. So what lies free between used pages becomes shared pages again, of no span. Programs
//! whose sizes do not shift never get here.
//!
//! The page map has these pages as `SizeClass::SHARED`, of which no block is ever asked for. A
//! `free` puts a block of them into the magazine of that class; when it is full, its blocks go to
//! the magazines of their own sizes or return here (`thread_cache::shared_blocks`).
//!
//! Not in the hardened build, whose checks know one class per span, nor under valgrind.
//!
//! In this order, in which a file uses only the files above it:
//!
//! * `granules`: sets of the 16-byte granules of a page.
//! * `record`: the record of a page, and the size of a block, which is read without a lock.
//! * `lists`: the pages by what fits into their longest hole.
//! * `pool`: fetching, returning, and taking spans in.

mod granules;

mod record;

mod lists;

mod pool;

#[cfg(test)]
pub use pool::SharedPages;

pub use pool::{Found, SHARED_PAGES};
pub use record::{SharedPage, block_around, class_at, prefetch_record_of, size_at};
