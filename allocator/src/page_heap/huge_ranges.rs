//! Ranges of entirely free huge pages, coalesced with their neighbours.
//!
//! Ranges are in lists by length, resident ones apart from others, the most recently freed first.
//! The first record of a range knows its length, the last one the first.
//!
//! The first record also bounds the resident huge pages of the range (`HugePage::held`). So a
//! release neither tries ranges that are not resident nor starts again in one that it has been in.
//! The bounds are not exact: what is taken from the front may leave huge pages that are not
//! resident between them. `take_held` passes over each of these once. They come between the bounds
//! again only when ranges join on either side of them. Ranges are taken from the front, so what
//! joins them was taken after them, and was in use meanwhile. So the cost of all releases is linear
//! in what was freed.
//!
//! Fit: a list for each length below 64 huge pages, hence best fit; above, four lists for each
//! doubling, the best of the first `LOOK` in the request's own list, then the first of the next one
//! that is not empty. Between two lists of one length the resident one comes first, as it need not
//! be faulted in again. Guarded by the page heap's lock.

use super::huge_page::{Bounds, HugePage, HugeState};
use crate::base::bitmap::Bitmap;
use crate::base::list::List;
use crate::base::steps;
use crate::config::{HUGE_SHIFT, HUGE_SIZE};
use crate::page::page_map::PAGE_MAP;

/// Ranges of fewer huge pages have a list for each length.
const EXACT: usize = 64;
/// Number of lists: up to 2^27 huge pages, which are 256 TiB.
const LISTS: usize = EXACT - 1 + 4 * 21;
/// Words of a bitmap of the lists.
const WORDS: usize = LISTS.div_ceil(64);
/// Ranges compared for the best fit within one list, where it has several lengths.
const LOOK: usize = 8;
/// Most records that one search for resident memory reads under the lock.
const STEPS: usize = 64;

/// Ranges by length.
struct Lists {
    lists: [List<HugePage>; LISTS],
    /// Bit per list: not empty.
    occupied: Bitmap<WORDS>,
}

impl Lists {
    const fn new() -> Self {
        Self { lists: [const { List::new() }; LISTS], occupied: Bitmap::new() }
    }
}

/// The free ranges. Guarded by the page heap's lock.
pub struct HugeRanges {
    /// Ranges that may be resident, and those that are not.
    sets: [Lists; 2],
    count: usize,
}

/// What `take_held` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The first record of huge pages that were taken, and their number.
    Taken(*mut HugePage, usize),
    /// Nothing so far; there is more to search, after the lock was free for a moment.
    Unfinished,
    /// No range is resident.
    Nothing,
}

impl HugeRanges {
    pub const fn new() -> Self {
        Self { sets: [const { Lists::new() }; 2], count: 0 }
    }

    const fn list_of(len: usize) -> usize {
        if len < EXACT {
            return len - 1;
        }
        let log2 = len.ilog2();
        let quarter = len >> (log2 - 2) & 3;
        let list = EXACT - 1 + 4 * (log2 - EXACT.ilog2()) as usize + quarter;
        if list < LISTS { list } else { LISTS - 1 }
    }

    /// Adds the range of `len` huge pages from `first` on, joined with free neighbours.
    ///
    /// # Safety
    /// The records are live, in no list, and all their pages are free.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub unsafe fn insert(&mut self, first: *mut HugePage, len: usize) {
        let mut first = first;
        let mut len = len;
        // SAFETY: records are never freed, and the page map holds records only; those in state
        // `Free` and not part of the new range are in a range here. `offset` stays inside the new
        // range.
        unsafe {
            let mut held = self.mark_free(first, len);
            let after = record((*first).addr + len * HUGE_SIZE);
            if !after.is_null() && (*after).state == HugeState::Free {
                held = held.join((*after).held);
                let after_len = (*after).range_len;
                self.unlink(after);
                len += after_len;
            }
            let before = record((*first).addr - HUGE_SIZE);
            if !before.is_null() && (*before).state == HugeState::Free {
                let before_first = (*before).range_first;
                held = held.join((*before_first).held);
                len += (*before_first).range_len;
                self.unlink(before_first);
                first = before_first;
            }
            (*first).held = held;
            self.link(first, len);
        }
    }

    /// Marks `len` records as free. Returns between which of them memory lies.
    ///
    /// # Safety
    /// The `len` records from `first` on are live, in no list, and all their pages are free.
    unsafe fn mark_free(&mut self, first: *mut HugePage, len: usize) -> Bounds {
        steps::add(len);
        let mut held = Bounds::NONE;
        // SAFETY: the caller says that the records are live; they are in a row.
        unsafe {
            let from = number((*first).addr);
            for number in from..from + len as u32 {
                let huge = numbered(number);
                (*huge).state = HugeState::Free;
                if (*huge).resident_free() > 0 {
                    held = held.join(Bounds { from: number, to: number + 1 });
                }
            }
        }
        held
    }

    /// Files the range of `len` records, whose first one knows its bounds.
    ///
    /// # Safety
    /// The records of the range are live and in no list.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    unsafe fn link(&mut self, first: *mut HugePage, len: usize) {
        steps::add(1);
        let list = Self::list_of(len);
        // SAFETY: the caller says that the records are live and in no list; the last one is `len -
        // 1` huge pages further on.
        unsafe {
            (*first).range_len = len;
            (*record((*first).addr + (len - 1) * HUGE_SIZE)).range_first = first;
            let set = &mut self.sets[usize::from((*first).held.is_empty())];
            set.lists[list].push_front(first);
            set.occupied.set(list);
        }
        self.count += 1;
    }

    /// Undoes `link`; the first record keeps the length and the bounds.
    ///
    /// # Safety
    /// `first` is the first record of a range here.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    unsafe fn unlink(&mut self, first: *mut HugePage) {
        steps::add(1);
        // SAFETY: the caller says that it heads a range here, so `link` put it into the list of its
        // length, in the set that its bounds say.
        unsafe {
            let list = Self::list_of((*first).range_len);
            let set = &mut self.sets[usize::from((*first).held.is_empty())];
            set.lists[list].remove(first);
            if set.lists[list].is_empty() {
                set.occupied.clear_range(list, 1);
            }
        }
        self.count -= 1;
    }

    /// Takes `len` contiguous huge pages from the front of a range that fits (the module says
    /// which). Returns the first record.
    pub fn take(&mut self, len: usize) -> Option<*mut HugePage> {
        self.take_looking_at(len, LOOK)
    }

    /// The same, but tries every range that might be long enough, when the heap cannot grow.
    pub fn take_any(&mut self, len: usize) -> Option<*mut HugePage> {
        self.take_looking_at(len, usize::MAX)
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn take_looking_at(&mut self, len: usize, look: usize) -> Option<*mut HugePage> {
        let list = Self::list_of(len);
        let best = self.best_in(list, len, look).or_else(|| self.first_after(list))?;
        // SAFETY: `best` heads a range of at least `len`; the rest, if any, begins `len` further
        // on.
        unsafe {
            let have = (*best).range_len;
            self.unlink(best);
            self.leave(best, have, len);
        }
        Some(best)
    }

    /// The shortest range of at least `len` among the first `look` of `list`, with memory and
    /// without.
    fn best_in(&self, list: usize, len: usize, look: usize) -> Option<*mut HugePage> {
        let mut best = None;
        let mut best_len = usize::MAX;
        for set in &self.sets {
            let mut node = set.lists[list].first();
            for _ in 0..look {
                if node.is_null() || best_len == len {
                    break;
                }
                steps::add(1);
                // SAFETY: nodes of the list are live.
                unsafe {
                    let have = (*node).range_len;
                    if have >= len && have < best_len {
                        (best, best_len) = (Some(node), have);
                    }
                    node = set.lists[list].next(node);
                }
            }
        }
        best
    }

    /// A range of the first list after `list` that is not empty: longer than all in there.
    fn first_after(&self, list: usize) -> Option<*mut HugePage> {
        let next = |set: &Lists| set.occupied.next_set(list + 1);
        let lists = [next(&self.sets[0]), next(&self.sets[1])];
        let (list, set) = if lists[0] <= lists[1] { (lists[0], 0) } else { (lists[1], 1) };
        (list < LISTS).then(|| self.sets[set].lists[list].first())
    }

    /// Takes up to `most` resident huge pages in a row: the last ones of one of the longest ranges,
    /// as the first ones are allocated next. Reads a bounded number of records.
    pub fn take_held(&mut self, most: usize) -> Held {
        let set = &self.sets[0];
        let Some(list) = set.occupied.last_set() else { return Held::Nothing };
        let first = set.lists[list].first();
        // SAFETY: the list is not empty, so `first` heads a range. All numbers are of records of
        // that range.
        unsafe {
            let len = (*first).range_len;
            let Bounds { from, to } = (*first).held;
            let least = from.max(to.saturating_sub(STEPS as u32));
            let holds = |number| {
                steps::add(1);
                (*numbered(number)).resident_free() > 0
            };
            let mut end = to;
            while end > least && !holds(end - 1) {
                end -= 1;
            }
            let mut start = end;
            while start > least && ((end - start) as usize) < most && holds(start - 1) {
                start -= 1;
            }
            self.unlink(first);
            (*first).held = Bounds { from, to: start };
            let taken = (end - start) as usize;
            if taken == 0 {
                self.link(first, len);
                return Held::Unfinished;
            }
            let skip = (start - number((*first).addr)) as usize;
            if skip > 0 {
                self.link(first, skip);
            }
            let part = numbered(start);
            (*part).held = Bounds::NONE;
            self.leave(part, len - skip, taken);
            Held::Taken(part, taken)
        }
    }

    /// Takes the first `len` huge pages of the range that `first` heads, or fewer if it is shorter.
    /// Returns how many.
    ///
    /// # Safety
    /// `first` is the first record of a range here.
    pub unsafe fn take_front(&mut self, first: *mut HugePage, len: usize) -> usize {
        // SAFETY: the caller says that `first` heads a range here, so its records are live.
        unsafe {
            let have = (*first).range_len;
            self.unlink(first);
            self.leave(first, have, len.min(have));
            len.min(have)
        }
    }

    /// Takes `len` contiguous huge pages, with as many free ones behind them if that can be had.
    pub fn take_with_room(&mut self, len: usize) -> Option<*mut HugePage> {
        let Some(first) = self.take(2 * len) else { return self.take(len) };
        // SAFETY: the second half was just taken, and nobody uses it.
        unsafe { self.insert(record((*first).addr + len * HUGE_SIZE), len) };
        Some(first)
    }

    /// Marks the first `len` of `have` free records as used and links the rest again, with what is
    /// left of the bounds.
    ///
    /// # Safety
    /// `first` is the first of `have` contiguous records of a range that was just unlinked; `len <=
    /// have`.
    unsafe fn leave(&mut self, first: *mut HugePage, have: usize, len: usize) {
        steps::add(len);
        // SAFETY: all records of the range are live and belong to the caller.
        unsafe {
            for index in 0..len {
                (*record((*first).addr + index * HUGE_SIZE)).state = HugeState::Used;
            }
            if have > len {
                let rest = record((*first).addr + len * HUGE_SIZE);
                (*rest).held = (*first).held.at_or_after(number((*rest).addr));
                self.link(rest, have - len);
            }
        }
    }

    /// Number of ranges.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Panics unless every range is filed under its length and by whether it may hold memory, knows
    /// its ends and bounds, consists of free huge pages, and is maximal. Returns how many huge
    /// pages there are.
    #[cfg(test)]
    pub fn check_invariants(&self) -> usize {
        let (mut total, mut count) = (0, 0);
        let free =
            // SAFETY: records are never freed, and the caller holds the lock.
            |addr| unsafe { record(addr).as_ref() }.is_some_and(|r| r.state == HugeState::Free);
        for (index, list, bare) in self.sets.iter().enumerate().flat_map(|(bare, set)| {
            let lists = set.lists.iter().enumerate();
            lists.map(move |(index, list)| {
                assert_eq!(list.is_empty(), !set.occupied.get(index));
                (index, list, bare == 1)
            })
        }) {
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live and head ranges of live records.
                unsafe {
                    let (addr, len) = ((*node).addr, (*node).range_len);
                    assert_eq!(Self::list_of(len), index);
                    assert!((0..len).all(|i| free(addr + i * HUGE_SIZE)));
                    assert_eq!((*record(addr + (len - 1) * HUGE_SIZE)).range_first, node);
                    assert!(!free(addr - HUGE_SIZE) && !free(addr + len * HUGE_SIZE), "not joined");
                    let (held, from) = ((*node).held, number(addr));
                    assert_eq!(held.is_empty(), bare, "in the other set");
                    assert!(bare || from <= held.from && held.to <= from + len as u32);
                    for number in from..from + len as u32 {
                        let inside = (held.from..held.to).contains(&number);
                        assert!(
                            inside || (*numbered(number)).resident_free() == 0,
                            "out of bounds"
                        );
                    }
                    total += len;
                    count += 1;
                    node = list.next(node);
                }
            }
        }
        assert_eq!(count, self.count);
        total
    }
}

/// The number of the huge page at `addr`.
const fn number(addr: usize) -> u32 {
    (addr >> HUGE_SHIFT) as u32
}

/// The record of the huge page with a number, or null.
fn numbered(number: u32) -> *mut HugePage {
    record((number as usize) << HUGE_SHIFT)
}

/// The record of the huge page at `addr`, or null.
pub fn record(addr: usize) -> *mut HugePage {
    PAGE_MAP.huge(addr).cast()
}
