//! Whether a forked child may share the pages of this process, and since which `fork`.
//!
//! The forking thread begins the state, with all locks held. Any thread may end it. It ends
//!
//! * when no process shares our pages any more: the child has ended, or runs another program. The
//!   background thread asks the kernel by the probe page;
//! * when spans that were taken since exceed a share of the heap, or when memory is short;
//! * after some time, which is shorter where the kernel does not tell.
//!
//! No lock: a few numbers that decide where objects come from and where they return to. Every
//! choice is correct; a stale number makes the kernel copy a page, or leaves one untouched in vain.

use super::super::os_pages::OS_PAGE;
use super::probe_page;
use crate::config::{COW_LEAST_BYTES, COW_MOST_MS, COW_ROOM_SHARE, COW_UNKNOWN_MOST_MS};
use crate::os::{Linux, Os, release_request};
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Number of the last `fork` while its child may share our pages; 0: none does.
///
/// Relaxed, as all numbers of this file: nobody reaches memory by them, and a stale one does no
/// harm (see above).
static SINCE: AtomicU32 = AtomicU32::new(0);
/// Number of the last `fork` that the state began for. Only forking threads use it.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// When that was, in milliseconds of the clock.
static START_MS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that may still be taken for spans.
static BUDGET: AtomicUsize = AtomicUsize::new(0);

/// The number of the last `fork` if its child may still share our pages, else 0. For slow paths.
#[inline(always)]
pub fn since() -> u32 {
    // Relaxed: a stale number does no harm (head of this file).
    SINCE.load(Ordering::Relaxed)
}

/// Bytes of spans that may be taken after the next `fork`, so that shared pages are not written to.
/// `free_bytes` counts the free objects in all spans. 0 where the state is not to begin: there is
/// little to copy, or much would have to wait already.
///
/// Called before a `fork`, without locks.
pub fn budget(free_bytes: impl FnOnce() -> usize) -> usize {
    if HARDENED || parameters::get(Id::SpareSharedPages) == 0 {
        return 0;
    }
    let used = PAGE_HEAP.used_bytes();
    if used < COW_LEAST_BYTES || Linux.page_size() != OS_PAGE {
        return 0;
    }
    (used / COW_ROOM_SHARE).saturating_sub(free_bytes())
}

/// Writes to the probe page, by the thread that holds all locks for a `fork`, before it.
pub fn write_probe_page() {
    probe_page::write();
}

/// Begins the state, in the parent after the `fork`, by the thread that holds all locks for it. Up
/// to `budget` bytes may be taken for spans.
pub fn begin(budget: usize) {
    // Relaxed, for all of them: a stale number does no harm (head of this file).
    START_MS.store(Linux.now_ms() as usize, Ordering::Relaxed);
    BUDGET.store(budget, Ordering::Relaxed);
    let number = FORKS.load(Ordering::Relaxed).wrapping_add(1).max(1);
    FORKS.store(number, Ordering::Relaxed);
    SINCE.store(number, Ordering::Relaxed);
    release_request::request();
}

/// Ends the state in the child: the parent avoids writes to the pages that the two share, and the
/// child has no children.
pub fn end_in_child() {
    end();
    probe_page::reset_in_child();
}

/// Ends the state.
pub fn end() {
    if since() != 0 {
        // Relaxed: a stale number does no harm (head of this file).
        SINCE.store(0, Ordering::Relaxed);
    }
}

/// Notes that a span of `bytes` was taken so that shared pages are not written to.
pub fn note_taken(bytes: usize) {
    // Relaxed: a stale number does no harm (head of this file). Below 0 the budget wraps round; the
    // state has ended then, and the next `fork` sets the budget anew.
    if BUDGET.fetch_sub(bytes, Ordering::Relaxed) < bytes {
        end();
    }
}

/// Looks whether pages are still shared, and ends the state otherwise. `may_open` says whether the
/// calling thread may open files. Returns whether the state goes on.
pub fn look(may_open: impl FnOnce() -> bool) -> bool {
    if since() == 0 {
        return false;
    }
    let most = match may_open().then(probe_page::is_shared).flatten() {
        Some(false) => 0,
        Some(true) => COW_MOST_MS,
        None => COW_UNKNOWN_MOST_MS,
    };
    // Relaxed: a stale number does no harm (head of this file).
    let passed = (Linux.now_ms() as usize).saturating_sub(START_MS.load(Ordering::Relaxed));
    if passed >= most {
        end();
    }
    passed < most
}
