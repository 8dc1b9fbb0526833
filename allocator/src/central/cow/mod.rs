//! Copy-on-write after `fork`: while a forked child may share the pages of this process, small
//! blocks are freed and handed out with regard for that (`docs/contract.md`, C5.3).
//!
//! The kernel copies a shared page when one of the two processes writes to it. A magazine writes to
//! every object that it takes in. It also hands out what lies scattered over old pages, which the
//! program then writes to. So while pages are shared:
//!
//! * an object on a shared page returns to the bitmap of its span at once, and is not written to;
//! * what is handed out lies on *unshared* pages: pages of spans that were taken since the `fork`,
//!   and pages on which nothing lived when they were looked at. All new blocks then fill a few
//!   pages.
//!
//! `probe_page` asks the kernel whether a child shares pages. `state` knows whether pages may be
//! shared, since which `fork`, and for how long. `pages` knows which pages of a span are unshared.
//! The free list asks these; `thread_cache` has the part of the threads. Nothing here takes a lock.
//!
//! It costs calls (frees take the slow path) and memory (free objects on shared pages wait), so
//! `state` bounds both.

mod probe_page;

pub mod state;

mod pages;

pub use pages::FlushOutcome;
pub(super) use pages::{
    find_vacant, has_unshared_objects, is_unshared, objects_of_one_page, outcome_of,
};
