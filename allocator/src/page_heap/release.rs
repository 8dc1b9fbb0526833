//! Releasing free pages to the OS, as many as the caller says.
//!
//! Whole huge pages go first. The calls into the kernel are made without the lock; `hold` keeps the
//! pages from allocation meanwhile. The cost is linear in what is released: nothing is searched
//! from the start again, neither among the ranges (`huge_ranges`) nor among the partly used huge
//! pages, of which those with free memory have a filler of their own. The lock is held for a
//! bounded number of steps each time, and a system call is for a bounded number of bytes.
//!
//! When and how much to release is decided by `decay_steps`, by `limits`, and by the program.

use super::heap::PageHeap;
use super::huge_ranges::Held;
use crate::config::{HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::Os;
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::units::Length;
use crate::policy::HARDENED;

/// Most huge pages that one system call releases: the kernel takes about a millisecond for 16 MiB.
pub(super) const AT_ONCE: usize = 8;
/// The same in a call of the program for something else.
pub(super) const AT_ONCE_IN_CALL: usize = 2;
/// Most pages that such a call releases of what others left.
pub(super) const OF_OTHERS: usize = AT_ONCE_IN_CALL * PAGES_PER_HUGE;
/// Most system calls that it makes for that, and one more for so many pages: runs of free pages in
/// partly used huge pages are short.
const CALLS_FOR_OTHERS: usize = 4;
const PAGES_FOR_A_CALL: usize = 64;
/// Runs of pages in one huge page that are released between two acquisitions of the lock.
pub(super) const RUNS: usize = 16;

/// The bounds of one release.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Huge pages in one system call.
    pub at_once: usize,
    /// System calls and searches without result.
    pub calls: usize,
}

/// For a release that the program asked for, or that the background thread makes.
const ALL: Effort = Effort { at_once: AT_ONCE, calls: usize::MAX };

/// For a part of it in a call of the program. (Partly used huge pages have small runs, so a part
/// may take a few system calls.)
const PART: Effort = Effort { at_once: 1, calls: 4 };
/// Pages of a part, or a few more.
const OF_A_PART: usize = PAGES_PER_HUGE;

/// The result of a release.
pub(super) struct Outcome {
    /// Pages released.
    pub pages: usize,
    /// Whether nothing more can be released.
    pub is_end: bool,
}

impl<O: Os> PageHeap<O> {
    /// Releases at least `pages` free pages, or all there are; partly used huge pages too. Returns
    /// the number of pages released.
    pub fn release(&self, pages: usize) -> usize {
        self.release_by(pages, ALL).pages
    }

    /// `release` within the bounds of `effort`.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn release_by(&self, pages: usize, effort: Effort) -> Outcome {
        let mut done = 0;
        let mut calls = effort.calls;
        while done < pages && calls > 0 {
            let most = (pages - done).div_ceil(PAGES_PER_HUGE).min(effort.at_once);
            let Some(more) = self.release_range(most) else { break };
            done += more;
            calls -= 1;
        }
        while done < pages && calls > 0 {
            let (more, made) = self.release_partly_used(calls.min(RUNS));
            if more == 0 {
                return Outcome { pages: done, is_end: true };
            }
            done += more;
            calls = calls.saturating_sub(made);
        }
        Outcome { pages: done, is_end: false }
    }

    /// `release` in bytes.
    pub fn release_bytes(&self, bytes: usize) -> usize {
        Length(self.release(bytes.div_ceil(PAGE_SIZE))).bytes()
    }

    /// Releases up to `pages` pages, by one system call, or a few for small runs. Returns how many,
    /// and whether nothing more can be released.
    pub(super) fn release_a_part(&self, pages: usize) -> (usize, bool) {
        let outcome = self.release_by(pages.min(OF_A_PART), PART);
        (outcome.pages, outcome.is_end)
    }

    /// Releases as many pages as `note_decay` returned. Returns how many were released.
    pub(super) fn release_now(&self, pages: usize) -> usize {
        if pages == 0 {
            return 0;
        }
        let calls = CALLS_FOR_OTHERS + pages.div_ceil(PAGES_FOR_A_CALL);
        self.release_by(pages, Effort { at_once: AT_ONCE_IN_CALL, calls }).pages
    }

    /// Releases up to `most` free huge pages in a row. Returns the number of pages that were
    /// resident; 0 if none was found yet. `None` if there is none, or if the kernel refuses.
    fn release_range(&self, most: usize) -> Option<usize> {
        let held = self.lock().hold_range(most);
        let (first, len) = match held {
            Held::Taken(first, len) => (first, len),
            Held::Unfinished => return Some(0),
            Held::Nothing => return None,
        };
        // SAFETY: `hold_range` took the range out of the free ones, so this thread owns it, and the
        // content of free pages is not needed.
        let ok = unsafe { self.os.release((*first).addr, len * HUGE_SIZE) };
        if ok {
            // SAFETY: this thread holds the range, which is not resident any more. All of it is
            // free, so the bytes of the allocation bitmap for it are 0 and stay so.
            unsafe {
                self.repair(first, len);
                if HARDENED {
                    ALLOCATION_BITMAP.release((*first).addr, len * HUGE_SIZE);
                }
            }
        }
        // SAFETY: `hold_range` returned `first`, and the range is held since.
        let freed = unsafe { self.lock().unhold_range(first, ok) };
        ok.then_some(freed)
    }

    /// Releases up to `runs` runs of free pages of one partly used huge page. Returns how many
    /// pages that were, 0 if no huge page has any, and the number of system calls.
    fn release_partly_used(&self, runs: usize) -> (usize, usize) {
        let mut inner = self.lock();
        let Some(place) = inner.hold_part(runs) else { return (0, 0) };
        let (huge, pages) = inner.pending.part(place);
        drop(inner);

        // SAFETY: records are never freed.
        let addr = unsafe { (*huge).addr };
        self.break_up(addr);
        let (mut ok, mut calls) = (true, 0);
        pages.for_each_set_run(|run| {
            // SAFETY: this thread holds the pages, and the content of free pages is not needed.
            ok &= unsafe { self.os.release(addr + run.start * PAGE_SIZE, run.len * PAGE_SIZE) };
            calls += 1;
        });
        self.lock().unhold_part(place, ok);
        (if ok { pages.count() } else { 0 }, calls)
    }
}
