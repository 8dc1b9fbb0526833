//! Relocation: moving a block by its page tables, to a longer place in this heap or to a mapping of
//! its own.
//!
//! A copy reads and writes every byte and faults in every page of the new place. Instead, the
//! kernel moves the pages (`mremap`), two megabytes at a time if both places have the same offset
//! in their huge pages. So a block keeps its offset. Pages that were never touched stay untouched.
//!
//! After that nothing is mapped at the old place, and it is mapped again, as free pages that are
//! not resident. Between the two calls another mapping of the process may take the place. Then the
//! heap does not own those pages any more (`partial`). The page heap's lock is held meanwhile, so
//! the heap itself does not map anything there.
//!
//! Pages that were moved within the heap lie in a mapping that does not merge with those around it.
//! A process may have some 65,000 mappings, so only [`MOVED_MOST`] huge pages may hold such pages;
//! beyond that blocks are copied. Where the old place is mapped again, mappings merge again.

use super::density::Use;
use super::heap::{Inner, PageHeap};
use super::huge_page::HugePage;
use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, MOVE_LEAST_BYTES, MOVED_MOST, PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::{Os, map_at_offset};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Granule, Length, PageId};
use crate::parameters::{self, HugePages};
use core::ptr::{self, NonNull};

/// Times that the kernel may refuse to move a part of a block before the rest is copied. The end of
/// a mapping within a gigabyte is found in 17; a refusal takes a third of a microsecond.
const REFUSED_MOST: usize = 512;

impl<O: Os> PageHeap<O> {
    /// Changes a large span to `pages` pages, more than it has, in another place of this heap.
    /// Returns whether it could; if not, nothing changed: it may be too short to be worth it, and
    /// where free memory is at hand a copy into that is better than leaving it there and faulting
    /// in other.
    ///
    /// # Safety
    /// `span` is a large span of this heap and belongs to the caller, who does not use it
    /// meanwhile.
    pub unsafe fn move_longer(&self, span: NonNull<Span>, pages: Length) -> bool {
        if !has_tables_to_move(&self.os) {
            return false;
        }
        let mut inner = self.lock();
        // SAFETY: the caller owns the live span and its record.
        let record = unsafe { &mut *span.as_ptr() };
        let (from, old) = (record.start, record.pages);
        if old.bytes() < MOVE_LEAST_BYTES || !inner.admits(Length(pages.0 - old.0).bytes()) {
            return false;
        }
        let Some(to) = inner.take_for_move(&self.os, from.in_huge(), old.0, pages.0) else {
            return false;
        };
        let backing = (Backing::of(from, old.0), Backing::of(to, old.0));
        PAGE_MAP.remove(from, old, SizeClass::NONE);
        // SAFETY: the caller owns the block, and `take_for_move` just took the second place.
        if unsafe { inner.move_out_of(&self.os, from, old.0, to.addr()) } {
            inner.note_large(record.state, old.bytes(), pages.bytes());
            inner.note_moved_to(&self.os, to, old.0, backing);
            (record.start, record.pages, record.fresh) = (to, pages, false);
            PAGE_MAP.insert(span.as_ptr(), to, pages, SizeClass::NONE);
        } else {
            PAGE_MAP.insert(span.as_ptr(), from, old, SizeClass::NONE);
            // SAFETY: `take_for_move` just took these pages, and nothing uses them.
            unsafe { inner.give_pages(to, pages.0, 0) };
        }
        let moved = record.start == to;
        let at_once = inner.note_decay(&self.os);
        let excess = inner.excess(&self.os);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
        moved
    }

    /// Changes a large span to `bytes` bytes, no fewer than it has, in a mapping of its own: it is
    /// a direct block then. Returns whether it could; if not, nothing changed.
    ///
    /// # Safety
    /// `span` is a large span of this heap; the caller owns it and does not use it meanwhile.
    pub unsafe fn move_to_direct(&self, span: NonNull<Span>, bytes: usize) -> bool {
        if !has_tables_to_move(&self.os) {
            return false;
        }
        // SAFETY: the caller owns the live span and its record.
        let record = unsafe { &mut *span.as_ptr() };
        let (from, old) = (record.start, record.pages);
        let Some(bytes) = bytes.checked_next_multiple_of(PAGE_SIZE) else { return false };
        let offset = from.in_huge() * PAGE_SIZE;
        let Some(target) = map_at_offset(&self.os, bytes, HUGE_SIZE, offset) else { return false };
        // SAFETY: the caller owns the live span.
        let was_dense = unsafe { self.is_seen_dense(span) };
        let mut inner = self.lock();
        let mut moved = false;
        if inner.admits(bytes - old.bytes()) && can_enter(target) {
            PAGE_MAP.remove(from, old, SizeClass::NONE);
            // In one call there is one mapping. But what is added is not to be backed by huge pages
            // because the block was: only `advise_longer` says so.
            let in_one = !Backing::of(from, old.0).any
                // SAFETY: the caller owns the block and does not use it. `target` is the mapping of
                // `bytes` bytes that `map_at_offset` has just made; nothing refers to it.
                && unsafe { self.os.relocate(from.addr(), old.bytes(), target, bytes) };
            if in_one {
                inner.map_anew(&self.os, from, old.0);
            }
            // SAFETY: the caller owns the block, and the target is a new mapping and longer than
            // the block.
            moved = in_one || unsafe { inner.move_out_of(&self.os, from, old.0, target) };
            if moved {
                inner.note_large(record.state, old.bytes(), 0);
                inner.note_direct(0, bytes);
                record.state = SpanState::Direct;
                record.set_huge_extent(0);
                record.start = PageId::containing(target);
                record.pages = Length(bytes / PAGE_SIZE);
                record.fresh = false;
            }
            PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
            if !moved {
                // Undoes `ensure_large`.
                PAGE_MAP.remove(PageId::containing(target), Length(1), SizeClass::NONE);
            }
        }
        let (at_once, excess) = (inner.note_decay(&self.os), inner.excess(&self.os));
        drop(inner);
        let policy = parameters::huge_pages();
        // SAFETY: the block, which the caller owns, or the new mapping, which nothing refers to.
        unsafe {
            if !moved {
                self.os.unmap(target, bytes);
            } else if policy != HugePages::Auto {
                self.os.advise_huge(target, bytes, policy == HugePages::Always);
            } else {
                self.advise_longer(span, old.bytes(), was_dense);
            }
        }
        self.release_now(at_once);
        self.run_excess(excess);
        moved
    }
}

/// Makes sure that a direct block at `addr` can be entered in the page map. Returns whether it can.
/// (In the hardened build the block may begin in the huge page behind that of its guard pages; the
/// map has spare nodes for that.)
pub(super) fn can_enter(addr: usize) -> bool {
    PAGE_MAP.ensure_large(addr)
}

/// Whether parts of huge pages can be moved by their page tables. Not where a page of the kernel
/// may hold the end of one block and the beginning of another: there blocks are copied.
fn has_tables_to_move<O: Os>(os: &O) -> bool {
    os.page_size() <= PAGE_SIZE
}

/// Which of some huge pages the kernel was asked to back with one page each.
#[derive(Clone, Copy)]
struct Backing {
    any: bool,
    all: bool,
}

impl Backing {
    /// Of the huge pages that `pages` pages from `start` on lie in.
    fn of(start: PageId, pages: usize) -> Self {
        let mut found = Self { any: false, all: true };
        for huge in huge_pages(start, pages) {
            // SAFETY: records are never freed, and the caller holds the lock.
            let backed = unsafe { (*huge).huge_backed };
            found.any |= backed;
            found.all &= backed;
        }
        found
    }
}

/// The records of the huge pages that `pages` pages from `start` on lie in.
fn huge_pages(start: PageId, pages: usize) -> impl Iterator<Item = *mut HugePage> {
    let first = start.addr() & !(HUGE_SIZE - 1);
    (first..start.plus(pages).addr()).step_by(HUGE_SIZE).map(record)
}

impl Inner {
    /// Takes `pages` pages that begin at page `index` of a huge page, for a block whose `old` pages
    /// are to be moved there: free ones, or new ones of the system's. `None` without memory, and if
    /// it is better not to move it.
    fn take_for_move<O: Os>(
        &mut self,
        os: &O,
        index: usize,
        old: usize,
        pages: usize,
    ) -> Option<PageId> {
        let count = (index + pages).div_ceil(PAGES_PER_HUGE);
        if self.moved + count > MOVED_MOST {
            return None;
        }
        let first = match self.ranges.take_with_room(count) {
            Some(first) => first,
            None => self.take_range(os, count)?,
        };
        // SAFETY: records are never freed.
        let start = unsafe { (*first).page(index) };
        // SAFETY: records are never freed, and the lock is held.
        let resident: usize = huge_pages(start, old).map(|h| unsafe { (*h).resident_free() }).sum();
        if 2 * resident > old {
            // SAFETY: these huge pages were just taken out of the ranges, and all their pages are
            // free.
            unsafe { self.ranges.insert(first, count) };
            return None;
        }
        self.back(os, first, count, Use::LongerBlock);
        self.take_run(start, pages);
        // What is left of the huge pages in front of the block and behind it is filed with it.
        Some(start)
    }

    /// Moves the `pages` pages of a block from `from` to the address `to`. What the kernel does not
    /// move is copied, if it moves anything at all. The old place is free then; returns false if
    /// nothing was done.
    ///
    /// # Safety
    /// The pages belong to the caller, as does as much mapped memory at `to` and a page more, which
    /// nobody uses.
    unsafe fn move_out_of<O: Os>(&mut self, os: &O, from: PageId, pages: usize, to: usize) -> bool {
        // SAFETY: the caller owns the pages, and as much unused memory at `to` and a page more.
        // When `map_anew` runs, nothing is mapped at the old place.
        let moved = unsafe {
            move_tables(os, from, pages, to, |start, pages| self.map_anew(os, start, pages))
        };
        let (rest, left) = (from.plus(moved), pages - moved);
        if moved > 0 && left > 0 {
            // SAFETY: the caller owns the memory at both places, which do not overlap. It does not
            // use the old one any more.
            unsafe {
                let target = (to + Length(moved).bytes()) as *mut u8;
                ptr::copy_nonoverlapping(rest.addr() as *const u8, target, Length(left).bytes());
                self.give_pages(rest, left, 0);
            }
        }
        moved > 0
    }

    /// Maps memory at the `pages` pages from `start` on, which are used and at which nothing is
    /// mapped any more, and frees them.
    fn map_anew<O: Os>(&mut self, os: &O, start: PageId, pages: usize) {
        if !os.map_at(start.addr(), Length(pages).bytes()) {
            // Another mapping took the place, or a limit is reached.
            self.absent += pages;
            for huge in huge_pages(start, pages) {
                // SAFETY: records are never freed, and the lock is held.
                self.note_absent(unsafe { (*huge).addr });
            }
            return;
        }
        advise_as_before(os, start, pages);
        self.used -= pages;
        let (mut at, mut left) = (start, pages);
        while left > 0 {
            let here = left.min(PAGES_PER_HUGE - at.in_huge());
            let whole = here == PAGES_PER_HUGE;
            self.refile(record(at.addr()), |huge, free_resident| {
                *free_resident -= huge.resident_free();
                let bare = if huge.huge_backed && !whole { 0 } else { here };
                // Tables are moved only where a page of the kernel is no larger than one of ours.
                huge.give(at.in_huge(), here, bare, Granule::ONE);
                *free_resident += huge.resident_free();
            });
            // SAFETY: records are never freed, and the lock is held.
            let moved = unsafe { &mut (*record(at.addr())).moved };
            if whole && core::mem::take(moved) {
                self.moved -= 1;
            }
            at = at.plus(here);
            left -= here;
        }
    }

    /// Notes that the `pages` pages from `to` on came from another place. They brought along
    /// whether the kernel is to back them with huge pages (`from` of `backing`); it is to if it was
    /// in either place.
    fn note_moved_to<O: Os>(
        &mut self,
        os: &O,
        to: PageId,
        pages: usize,
        (from, here): (Backing, Backing),
    ) {
        let backed = from.any || here.any;
        if backed && !from.all {
            // SAFETY: pages of the moved block, which this heap has mapped.
            unsafe { os.advise_huge(to.addr(), Length(pages).bytes(), true) };
        }
        for huge in huge_pages(to, pages) {
            // SAFETY: records are never freed, and the lock is held.
            let record = unsafe { &mut *huge };
            self.moved += usize::from(!core::mem::replace(&mut record.moved, true));
            if backed && !record.huge_backed && !record.has_absent {
                self.change_asked(record.addr, |inner| {
                    inner.refile(huge, |huge, free_resident| {
                        *free_resident -= huge.resident_free();
                        (huge.huge_backed, huge.broken_up) = (true, false);
                        huge.assume_resident();
                        *free_resident += huge.resident_free();
                    });
                });
            }
        }
        self.decay.note_free(self.free_resident);
    }
}

/// Asks the kernel for what it was asked for at these pages before they were mapped anew.
fn advise_as_before<O: Os>(os: &O, start: PageId, pages: usize) {
    let never = parameters::huge_pages() == HugePages::Never;
    let (end, mut at) = (start.plus(pages), start);
    // SAFETY: records are never freed, and the caller holds the lock.
    let asked = |at: PageId| unsafe { (*record(at.addr())).asked() };
    while at < end {
        let (backed, broken_up) = asked(at);
        let mut next = at;
        while next < end && asked(next) == (backed, broken_up) {
            next = PageId(next.0 - next.in_huge() + PAGES_PER_HUGE);
        }
        let bytes = Length(next.min(end).0 - at.0).bytes();
        if backed || broken_up || never {
            // SAFETY: free pages that this heap has mapped.
            unsafe { os.advise_huge(at.addr(), bytes, backed) };
        }
        at = next;
    }
}

/// Has the kernel move `pages` pages from `from` to the address `to`, from the first on. `moved` is
/// told of each part when it is gone from its old place. Returns how many were moved: all, unless
/// the kernel refuses.
///
/// It moves what is one mapping to it, and does not say where that ends: the ends are found by
/// halving.
///
/// # Safety
/// The pages belong to the caller, as does as much mapped memory at `to` and a page more, which
/// nobody uses.
pub(super) unsafe fn move_tables<O: Os>(
    os: &O,
    from: PageId,
    pages: usize,
    to: usize,
    mut moved: impl FnMut(PageId, usize),
) -> usize {
    if !has_tables_to_move(os) {
        return 0;
    }
    // What was refused last ended at `end`, if that is not the whole: so does a mapping before it.
    let (mut done, mut end, mut refused) = (0, pages, 0);
    let mut part = pages;
    while done < pages && refused < REFUSED_MOST {
        let (at, bytes) = (from.plus(done), Length(part).bytes());
        // Longer by a page, over which the next part comes to lie: see `Os::relocate`.
        let longer = bytes + PAGE_SIZE;
        // SAFETY: the caller owns the pages and the unused memory at the target, which has a page
        // more than all that is moved.
        if unsafe { os.relocate(at.addr(), bytes, to + Length(done).bytes(), longer) } {
            moved(at, part);
            done += part;
            if done == end {
                (end, part) = (pages, pages - done);
                continue;
            }
        } else {
            refused += 1;
            end = done + part;
            if part == 1 {
                break;
            }
        }
        part = half_of(from.plus(done), end - done);
    }
    done
}

/// Half of `pages` pages from `start` on, at least one: up to the border of a huge page, if there
/// is one, as mappings mostly meet there, and whole tables are moved up to there.
fn half_of(start: PageId, pages: usize) -> usize {
    let middle = start.plus(pages / 2);
    let border = PageId(middle.0 - middle.in_huge());
    let half = if border > start { border } else { middle };
    (half.0 - start.0).max(1)
}
