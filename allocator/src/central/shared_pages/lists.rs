//! The shared pages, filed by what fits into their longest hole: what the lock guards.
//!
//! There is a list for each size class, of the pages whose longest run of free granules has room
//! for a block of that class and for none of the next. So a block comes from the fullest hole that
//! will do, as far as that can be told without a search: best fit, page by page. A page without a
//! free granule is in no list. One that has no other leaves at once, into a list of the caller's
//! (`emptied`), who gives it back to the page heap after the lock.
//!
//! Blocks lie at multiples of the largest power of two that divides their size, as in spans: a
//! request for an alignment relies on that (`SizeClass::of_aligned`). A hole may be long enough and
//! not lie so; then its page is filed one class lower until it changes.
//!
//! Equations, at any time under the lock: `free` is the sum of the free granules of all pages,
//! `blocks[class]` the number of blocks of that class on them; bit `class` of `occupied` is set if
//! that list is not empty.

use super::granules::GRANULES;
use super::record::{SharedPage, granule_of, prefetch_record};
use crate::base::fatal::fatal;
use crate::base::hint::unlikely;
use crate::base::list::List;
use crate::base::steps;
use crate::central::picks::Picks;
use crate::central::shards::ShardSet;
use crate::config::{MIN_ALIGN, PAGE_SIZE, SHARED_CLASS};
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use core::ptr;

/// Objects in a note of [`Picks`], at most.
const NOTE: usize = 64;

/// The pages, and what is known of them together.
pub struct Lists {
    lists: [List<Span>; SHARED_CLASS],
    occupied: u128,
    /// Free granules.
    pub free: usize,
    /// Pages, those without a free granule included.
    pub pages: usize,
    /// Blocks by size class.
    pub blocks: [u32; SHARED_CLASS],
    /// Records that are not in use.
    pub unused: List<Span>,
}

// SAFETY: the raw pointers name records that are never unmapped, and the holder of the lock around
// this value alone uses them, whichever thread that is.
unsafe impl Send for Lists {}

/// Granules whose multiples a block of so many granules lies at.
fn alignment(len: usize) -> usize {
    1 << len.trailing_zeros()
}

/// The class of a block of so many granules, which is one of sizes.
fn class_of(len: usize) -> SizeClass {
    SizeClass::at_most(len * MIN_ALIGN)
}

impl Lists {
    /// No pages.
    pub const fn new() -> Self {
        Self {
            lists: [const { List::new() }; SHARED_CLASS],
            occupied: 0,
            free: 0,
            pages: 0,
            blocks: [0; SHARED_CLASS],
            unused: List::new(),
        }
    }

    /// The number of the largest class for which there is a page; 0 if there is none.
    pub fn largest(&self) -> usize {
        (self.occupied | 1).ilog2() as usize
    }

    /// A page of the list that is just enough for `class`, or null: the first one that is of none
    /// of the shards in `other_awake`, or the first of all if as many as `looks` says have been
    /// passed over.
    fn fitting(&self, class: SizeClass, other_awake: ShardSet, looks: &mut usize) -> *mut Span {
        let fitting = self.occupied >> class.index() << class.index();
        if fitting == 0 {
            return ptr::null_mut();
        }
        let list = &self.lists[fitting.trailing_zeros() as usize];
        let mut node = list.first();
        while *looks > 0 && !other_awake.is_empty() {
            // SAFETY: null or a node of the list, hence the record of a shared page.
            let Some(page) = (unsafe { SharedPage::of(node) }) else { break };
            if !other_awake.contains(page.owner().shard()) {
                return node;
            }
            steps::add(1);
            *looks -= 1;
            // SAFETY: the node is in this list.
            node = unsafe { list.next(node) };
        }
        list.first()
    }

    /// Takes blocks of `class` from one page, until `out` has `request` or is full, for a thread of
    /// `shard`. Lets pages of the shards in `other_awake` be, as far as `looks` allows. Returns
    /// whether there was a page to look at.
    pub fn take(
        &mut self,
        class: SizeClass,
        shard: Shard,
        other_awake: ShardSet,
        looks: &mut usize,
        request: usize,
        out: &mut Picks,
    ) -> bool {
        let found = self.fitting(class, other_awake, looks);
        if found.is_null() {
            return false;
        }
        // SAFETY: the page is in a list, so it is a shared one.
        unsafe {
            prefetch_record(self.lists[usize::from((*found).group)].next(found));
            self.take_from(found, class, shard, request, out);
        }
        true
    }

    /// Takes blocks of `class` from an entirely free page that is in no list, as `take` does, and
    /// files it.
    ///
    /// # Safety
    /// `page` is the record of a shared page that is entirely free and in no list.
    pub unsafe fn take_of_new(
        &mut self,
        page: *mut Span,
        class: SizeClass,
        shard: Shard,
        request: usize,
        out: &mut Picks,
    ) {
        self.pages += 1;
        self.free += GRANULES;
        // SAFETY: the caller says that this is the record of a shared page in no list. A block of
        // any class fits on a free page, so something lives on it from here on, as on all pages of
        // these lists.
        unsafe { self.take_from(page, class, shard, request, out) };
    }

    /// Takes blocks of `class` from this page, as `take` does.
    ///
    /// # Safety
    /// `found` is the record of a shared page that is in one of these lists or in none.
    #[inline(always)]
    unsafe fn take_from(
        &mut self,
        found: *mut Span,
        class: SizeClass,
        shard: Shard,
        request: usize,
        out: &mut Picks,
    ) {
        // SAFETY: the caller says that this is the record of a shared page; the lock guards it.
        let Some(page) = (unsafe { SharedPage::of(found) }) else { return };
        let len = class.size() / MIN_ALIGN;
        let align = alignment(len);
        let free = page.free().snapshot();
        let (mut taken, mut longest) = (0, 0);
        free.for_each_set_run(|run| {
            if run.len < len {
                longest = longest.max(run.len);
                return;
            }
            let (first, end) = ((run.start + align - 1) & !(align - 1), run.start + run.len);
            let mut start = first;
            while start + len <= end && out.count() < request && !out.is_full() {
                let count = ((end - start) / len).min(request - out.count()).min(NOTE);
                page.allocate(start, count, len);
                let bits = u64::MAX >> (NOTE - count);
                out.add(page.addr() + start * MIN_ALIGN, bits, count, class.size());
                start += count * len;
                taken += count;
            }
            // What is left of the run: all of it, or what lies in front of the blocks and behind
            // them.
            let left = if start == first { run.len } else { (first - run.start).max(end - start) };
            longest = longest.max(left);
        });
        if taken > 0 {
            page.owner().set(shard);
        }
        self.blocks[class.index()] += taken as u32;
        self.free -= taken * len;
        let fits = if taken > 0 {
            class_of(longest).index()
        } else {
            // Long enough, but no hole lies so that a block of the class fits.
            class.index() - 1
        };
        // SAFETY: a page of these lists, whose record the lock guards.
        unsafe {
            (*found).allocated += (taken * len) as u16;
            self.file(found, longest, fits as u8);
        }
    }

    /// Marks the block at `addr` as free: one of `class`, or of any if that is `SHARED`. A page on
    /// which nothing lives any more goes to `emptied`. Aborts if there is no such block, if
    /// `strict`; passes over it otherwise.
    pub fn put(&mut self, addr: usize, class: SizeClass, strict: bool, emptied: &mut List<Span>) {
        match SharedPage::of_object(addr) {
            Some(page) => self.put_on(page, addr, class, strict, emptied),
            None if strict => not_a_block(addr, class, 0),
            None => {}
        }
    }

    /// The same for an address on `page`.
    #[inline(always)]
    pub fn put_on(
        &mut self,
        page: &SharedPage,
        addr: usize,
        class: SizeClass,
        strict: bool,
        emptied: &mut List<Span>,
    ) {
        let size = page.size_at(addr);
        if unlikely(size == 0 || (class != SizeClass::SHARED && class.size() != size)) {
            if strict {
                not_a_block(addr, class, size);
            }
            return;
        }
        let len = size / MIN_ALIGN;
        self.blocks[class_of(len).index()] -= 1;
        self.free += len;
        let at = granule_of(addr);
        let here = len.min(GRANULES - at);
        page.release(at, here);
        // SAFETY: the page's record; the lock guards it.
        unsafe { self.note_freed(page, at, here, len > here, emptied) };
        if unlikely(len > here) {
            self.put_rest(addr + here * MIN_ALIGN, len - here, emptied);
        }
    }

    /// Marks the granules of a block as free that do not lie on its first page.
    #[cold]
    #[inline(never)]
    fn put_rest(&mut self, addr: usize, len: usize, emptied: &mut List<Span>) {
        let (mut page_addr, mut left) = (addr, len);
        while left > 0 {
            let here = left.min(GRANULES);
            let Some(page) = SharedPage::at(page_addr) else { return };
            page.release(0, here);
            // SAFETY: the page's record; the lock guards it.
            unsafe { self.note_freed(page, 0, here, left > here, emptied) };
            left -= here;
            page_addr += PAGE_SIZE;
        }
    }

    /// Files a page on which the granules from `at` on, `len` of them, became free. `continued`: of
    /// a block that goes on to the next page.
    ///
    /// # Safety
    /// The page is one of these lists, or full.
    unsafe fn note_freed(
        &mut self,
        page: &SharedPage,
        at: usize,
        len: usize,
        continued: bool,
        emptied: &mut List<Span>,
    ) {
        let record = ptr::from_ref(page).cast_mut().cast::<Span>();
        let free = page.free();
        // SAFETY: a shared page, whose record the lock guards.
        unsafe {
            if continued {
                (*record).searched = false;
            }
            (*record).allocated -= len as u16;
            if (*record).allocated == 0 {
                self.unfile(record);
                self.pages -= 1;
                self.free -= GRANULES;
                emptied.push_front(record);
                return;
            }
            // The run that these are part of now. What is not free in front of it is in use.
            let end = free.next_without(at + len);
            let start = free.last_without(at).map_or(0, |before| before + 1);
            if end - start > usize::from((*record).carved) {
                self.file(record, end - start, class_of(end - start).index() as u8);
            }
        }
    }

    /// Files a page of which it is not known what is free on it.
    ///
    /// # Safety
    /// `record` is of a shared page that is in one of these lists or in none.
    pub unsafe fn file_anew(&mut self, record: *mut Span) {
        // SAFETY: the caller says that this is the record of a shared page, in one list or in none,
        // as `file` asks for.
        unsafe {
            let Some(page) = SharedPage::of(record) else { return };
            let longest = page.free().snapshot().longest_set_run();
            self.file(record, longest, class_of(longest).index() as u8);
        }
    }

    /// Files a page whose longest run of free granules has length `longest` in the list `group`; in
    /// none if that is 0.
    ///
    /// # Safety
    /// `record` is of a shared page that is in one of these lists or in none.
    unsafe fn file(&mut self, record: *mut Span, longest: usize, group: u8) {
        // SAFETY: the caller says that this is a live record, and the lock guards it. `group` says
        // which list it is in; it is in none when it is pushed.
        unsafe {
            (*record).carved = longest as u16;
            if (*record).group == group {
                return;
            }
            self.unfile(record);
            if group > 0 {
                self.lists[usize::from(group)].push_front(record);
                self.occupied |= 1 << group;
                (*record).group = group;
            }
        }
    }

    /// Takes a page out of the list that it is in, if it is in one.
    ///
    /// # Safety
    /// `record` is of a shared page that is in one of these lists or in none.
    pub unsafe fn unfile(&mut self, record: *mut Span) {
        // SAFETY: the caller says that this is a live record, and the lock guards it. `group` says
        // which list it is in.
        unsafe {
            let group = (*record).group;
            if group != Span::UNLISTED {
                self.lists[usize::from(group)].remove(record);
                if self.lists[usize::from(group)].is_empty() {
                    self.occupied &= !(1 << group);
                }
                (*record).group = Span::UNLISTED;
            }
        }
    }

    /// Whether the invariants hold: of each page that is filed, that its sets agree with its count,
    /// with the length of its longest hole, and with the list that it is in.
    pub fn is_sound(&self) -> bool {
        let mut free = 0;
        for (group, list) in self.lists.iter().enumerate() {
            if list.is_empty() != (self.occupied >> group & 1 == 0) {
                return false;
            }
            let mut node = list.first();
            // SAFETY: a node of the list is the record of a shared page, which the lock guards.
            while let Some(page) = unsafe { SharedPage::of(node) } {
                let of_page = page.free().snapshot();
                let mut outside = of_page;
                outside.subtract(&page.boundaries().snapshot());
                // SAFETY: the node is in this list, hence the record of a page, which the lock
                // guards.
                let (span, next) = unsafe { (&*node, list.next(node)) };
                let is_filed = usize::from(span.group) == group
                    && usize::from(span.carved) == of_page.longest_set_run()
                    && class_of(usize::from(span.carved)).index() >= group;
                let is_counted = usize::from(span.allocated) + of_page.count() == GRANULES;
                if !is_filed || !is_counted || span.allocated == 0 || outside.count() > 0 {
                    return false;
                }
                free += of_page.count();
                node = next;
            }
        }
        free == self.free
    }
}

#[cold]
fn not_a_block(addr: usize, class: SizeClass, size: usize) -> ! {
    if size == 0 && SharedPage::at(addr).is_some_and(|page| page.free().has(granule_of(addr))) {
        fatal(format_args!("double free: {addr:#x}, in memory that was freed already"));
    }
    if class == SizeClass::SHARED {
        fatal(format_args!("invalid free: {addr:#x} does not point to the start of a block"));
    }
    fatal(format_args!(
        "invalid free: {addr:#x} does not point to the start of a block of {} bytes",
        class.size()
    ))
}
