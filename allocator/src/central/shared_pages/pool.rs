//! All shared pages of the process: fetching blocks, returning them, and taking spans in.
//!
//! One lock guards the lists and the records of the pages. It comes after the locks of the classes
//! and before that of the page heap, because a span is taken in under the lock of its class, and
//! entered in the page map meanwhile. The memory of a block is not touched under it.

use super::granules::GRANULES;
use super::lists::Lists;
use super::record::{SharedPage, granule_of, size_at};
use crate::base::list::List;
use crate::base::steps;
use crate::central::chain::Chain;
use crate::central::chain_builder::BuildChain;
use crate::central::picks::{ChainBuilder, Picks};
use crate::central::shards::ShardSet;
use crate::config::{CLASS_COUNT, MAX_SPAN_OS_PAGES, MIN_ALIGN, OS_PAGE, PAGE_SIZE};
use crate::os::Lock;
use crate::page::metadata::METADATA;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::iter;
use core::ptr::{self, NonNull};

/// Pages that a fetch looks at, at most.
const LOOKS: usize = 32;
/// Pages of other shards that it passes over, at most. Each is a cache miss under the lock.
const PASSED_OVER_MOST: usize = 8;
/// Pages of the page heap that a fetch makes shared ones, at most.
const LEFTOVERS: usize = 16;
/// Pages of a span of small objects, at most.
const MOST: usize = MAX_SPAN_OS_PAGES * OS_PAGE / PAGE_SIZE;

/// The shared pages. Thread-safe. One instance exists, [`SHARED_PAGES`]; tests make others.
pub struct SharedPages {
    /// The number of the largest class that fits somewhere. Relaxed, as everywhere here: it decides
    /// whether the lock is taken, and whoever sees an old value takes it in vain, or does not.
    largest: AtomicUsize,
    lists: Lock<Lists>,
}

/// The one instance.
pub static SHARED_PAGES: SharedPages = SharedPages::new();

/// A block, and the shared page that it lies on.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    pub page: &'a SharedPage,
    pub addr: usize,
}

/// Figures of the shared pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedStats {
    /// Bytes of the pages.
    pub bytes: usize,
    /// Bytes of free granules on them.
    pub free: usize,
    /// Blocks on them.
    pub blocks: usize,
}

impl SharedPages {
    /// No pages.
    pub const fn new() -> Self {
        Self { largest: AtomicUsize::new(0), lists: Lock::new(Rank::SharedPages, Lists::new()) }
    }

    /// Whether there is a hole for `class`, as far as is known without the lock.
    #[inline]
    pub fn may_have(&self, class: SizeClass) -> bool {
        self.largest.load(Ordering::Relaxed) >= class.index()
    }

    fn note_largest(&self, lists: &Lists) {
        let largest = lists.largest();
        if self.largest.load(Ordering::Relaxed) != largest {
            self.largest.store(largest, Ordering::Relaxed);
        }
    }

    /// Up to `request` blocks of `class`, linked, for a thread of `shard`. Empty if there is no
    /// hole for one. Pages of the shards in `other_awake` come last, as far as a few looks tell.
    #[inline(never)]
    pub fn fetch(
        &self,
        class: SizeClass,
        shard: Shard,
        other_awake: ShardSet,
        request: usize,
    ) -> Chain {
        let mut builder = ChainBuilder::new();
        let mut picks = Picks::new();
        let (mut looks, mut passed_over) = (LOOKS, PASSED_OVER_MOST);
        let mut has_more = true;
        while has_more && looks > 0 && picks.count() < request {
            let mut lists = self.lists.lock();
            while has_more && looks > 0 && picks.count() < request && !picks.is_full() {
                steps::add(1);
                has_more =
                    lists.take(class, shard, other_awake, &mut passed_over, request, &mut picks);
                looks -= 1;
            }
            self.note_largest(&lists);
            drop(lists);
            // SAFETY: the blocks were free, and are marked as in use now. So they are this call's.
            unsafe { picks.build(class.size(), &mut builder) };
        }
        if picks.count() == 0 { Chain::EMPTY } else { builder.finish() }
    }

    /// Up to `request` blocks of `class`, linked, for a thread of `shard`, on pages that lie free
    /// and resident between used ones, where a span of the class finds no room. They become shared
    /// pages. Returns the blocks, and how many pages those are.
    #[cold]
    #[inline(never)]
    pub fn fetch_of_leftovers(
        &self,
        class: SizeClass,
        shard: Shard,
        request: usize,
    ) -> (Chain, Length) {
        let span = Length(class.info().pages as usize);
        let mut picks = Picks::new();
        let mut pages = Length(0);
        let mut lists = self.lists.lock();
        while pages.0 < LEFTOVERS && picks.count() < request && !picks.is_full() {
            steps::add(1);
            let Some(record) = lists.new_record() else { break };
            let record = record.as_ptr();
            let Some(start) = PAGE_HEAP.take_leftover(span) else {
                // SAFETY: the record is this call's since a moment ago, and in no list.
                unsafe { lists.unused.push_front(record.cast()) };
                break;
            };
            // SAFETY: a record that is not in use, for a page that is this call's. The lock guards
            // both from the moment on at which the page map has them.
            unsafe {
                record.write(SharedPage::of_no_span(start));
                PAGE_HEAP.enter_shared(iter::once(record.cast()));
                lists.take_of_new(record.cast(), class, shard, request, &mut picks);
            }
            pages.0 += 1;
        }
        self.note_largest(&lists);
        drop(lists);
        if picks.count() == 0 {
            return (Chain::EMPTY, pages);
        }
        let mut builder = ChainBuilder::new();
        // SAFETY: the blocks were free, and are marked as in use now. So they are this call's.
        unsafe { picks.build(class.size(), &mut builder) };
        (builder.finish(), pages)
    }

    /// Returns the blocks at these addresses, of `class`, or of any if that is `SHARED`. What is no
    /// such block, or free already, ends the process if `strict`, and is passed over otherwise. The
    /// caller gives the blocks up.
    pub fn release(&self, blocks: impl Iterator<Item = usize>, class: SizeClass, strict: bool) {
        self.return_blocks(|lists, emptied| {
            for addr in blocks {
                steps::add_objects(1);
                lists.put(addr, class, strict, emptied);
            }
        });
    }

    /// Returns blocks of any class whose pages are known. What is no block, or free already, ends
    /// the process. The caller gives the blocks up.
    pub fn release_found<'a>(&self, blocks: impl Iterator<Item = Found<'a>>) {
        self.return_blocks(|lists, emptied| {
            for found in blocks {
                steps::add_objects(1);
                lists.put_on(found.page, found.addr, SizeClass::SHARED, true, emptied);
            }
        });
    }

    /// Calls `put` under the lock; then gives back the pages that it emptied.
    #[inline(always)]
    fn return_blocks(&self, put: impl FnOnce(&mut Lists, &mut List<Span>)) {
        let mut emptied = List::new();
        let mut lists = self.lists.lock();
        put(&mut lists, &mut emptied);
        self.note_largest(&lists);
        drop(lists);
        self.free_pages(emptied);
    }

    /// Takes the pages of `span`, whose blocks may be in use, and whose first `touched` bytes were
    /// touched. Returns those on which nothing lives, for `free_pages`; `None` without memory for
    /// the records, and then nothing has changed.
    ///
    /// # Safety
    /// `span` is a small span in no list, with nothing held, and the caller holds the lock of its
    /// class.
    #[inline(never)]
    pub unsafe fn take_in(&self, span: NonNull<Span>, touched: usize) -> Option<List<Span>> {
        // SAFETY: the caller's, who holds the lock that guards the record.
        let donor = unsafe { &mut *span.as_ptr() };
        let count = donor.pages.0;
        let mut lists = self.lists.lock();
        let records = lists.new_records(count)?;
        for (index, record) in records[..count].iter().enumerate() {
            // SAFETY: a record that is not in use.
            unsafe { record.write(SharedPage::of_span(donor.start.plus(index), span)) };
        }
        let (size, objects) = (donor.class.size(), donor.class.info().objects as usize);
        let (mut blocks, mut next) = (0, 0);
        while let Some(run) = donor.free.clear_run(next).filter(|run| run.start < objects) {
            next = run.start + run.len;
            let end = next.min(objects);
            // SAFETY: this call wrote the records, and the page map does not have them yet.
            unsafe { enter_blocks(&records, run.start * size, end * size, size) };
            blocks += end - run.start;
        }
        lists.blocks[donor.class.index()] += blocks as u32;
        // From here on the record says how many of its pages are left.
        donor.allocated = count as u16;
        PAGE_HEAP.enter_shared(records[..count].iter().map(|record| record.cast::<Span>()));
        let mut emptied = List::new();
        for (index, record) in records[..count].iter().enumerate() {
            // SAFETY: a record that this call entered a moment ago, and that is in no list. The
            // lock is held.
            unsafe {
                let span = (**record).as_span();
                let resident = !donor.released >> (index * PAGES_OF_OS) & MASK_OF_OS;
                (*span).fresh = index * PAGE_SIZE >= touched || resident == 0;
                lists.add(span, &mut emptied);
            }
        }
        self.note_largest(&lists);
        Some(emptied)
    }

    /// Gives pages without live blocks back to the page heap. The caller holds no lock.
    pub fn free_pages(&self, mut emptied: List<Span>) {
        while let Some(record) = NonNull::new(emptied.pop_front()) {
            // SAFETY: a page that left the lists when its last block did. Nothing refers to it: it
            // is in no list, and nobody has a block on it.
            unsafe {
                if let Some(page) = SharedPage::of(record.as_ptr()) {
                    PAGE_HEAP.free_shared(record, page.donor());
                }
                self.lists.lock().unused.push_front(record.as_ptr());
            }
        }
    }

    /// Whether no block starts at `addr`, which lies on a shared page.
    pub fn is_free(&self, addr: usize) -> bool {
        let _lists = self.lists.lock();
        size_at(addr) == 0
    }

    /// Bytes of free granules.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn free_bytes(&self) -> usize {
        self.lists.lock().free * MIN_ALIGN
    }

    /// Figures at this moment.
    ///
    /// Never inlined: the deepest calls for figures have no room for it.
    #[inline(never)]
    pub fn stats(&self) -> SharedStats {
        let lists = self.lists.lock();
        SharedStats {
            bytes: lists.pages * PAGE_SIZE,
            free: lists.free * MIN_ALIGN,
            blocks: lists.blocks.iter().map(|&count| count as usize).sum(),
        }
    }

    /// Blocks of `class`.
    pub fn blocks(&self, class: SizeClass) -> usize {
        self.lists.lock().blocks.get(class.index()).map_or(0, |&count| count as usize)
    }

    /// Whether the invariants hold.
    pub fn is_sound(&self) -> bool {
        self.lists.lock().is_sound()
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.lists
    }
}

/// Enters the blocks of `size` bytes that lie side by side between two offsets from the start of
/// the span whose pages `records` are.
///
/// # Safety
/// The records of these pages are complete, nobody else uses them, and nothing is entered there.
unsafe fn enter_blocks(records: &[*mut SharedPage; MOST], start: usize, end: usize, size: usize) {
    let mut at = start;
    while at < end {
        let here = end.min((at / PAGE_SIZE + 1) * PAGE_SIZE);
        // SAFETY: the caller says that the record is complete and that nobody else uses it.
        let page = unsafe { &mut *records[at / PAGE_SIZE] };
        let continues = here < end && !here.is_multiple_of(size);
        page.enter(granule_of(at), (here - at) / MIN_ALIGN, continues);
        at = here;
    }
    let mut block = start;
    while block < end {
        // SAFETY: `block` lies within the pages of `records`, whose records the caller has to
        // itself.
        unsafe { (*records[block / PAGE_SIZE]).begin_block(granule_of(block)) };
        block += size;
    }
}

/// OS pages in a page.
const PAGES_OF_OS: usize = PAGE_SIZE / OS_PAGE;
const MASK_OF_OS: u32 = (1 << PAGES_OF_OS) - 1;

const _: () = assert!(CLASS_COUNT <= 128 && GRANULES <= u16::MAX as usize);

impl Lists {
    /// A record that is not in use; `None` without memory.
    fn new_record(&mut self) -> Option<NonNull<SharedPage>> {
        match NonNull::new(self.unused.pop_front()) {
            Some(record) => Some(record.cast()),
            None => METADATA.allocate::<SharedPage>(),
        }
    }

    /// As many records that are not in use; `None` without memory.
    fn new_records(&mut self, count: usize) -> Option<[*mut SharedPage; MOST]> {
        let mut records: [*mut SharedPage; MOST] = [ptr::null_mut(); MOST];
        for index in 0..count {
            let Some(record) = self.new_record() else {
                for &record in &records[..index] {
                    // SAFETY: not in use. Fresh memory is all zero, which is a record in no list.
                    unsafe { self.unused.push_front(record.cast()) };
                }
                return None;
            };
            records[index] = record.as_ptr();
        }
        Some(records)
    }

    /// Adds a page: to its list, or to `emptied` if nothing lives on it.
    ///
    /// # Safety
    /// `span` is the record of a shared page that is in no list.
    unsafe fn add(&mut self, span: *mut Span, emptied: &mut List<Span>) {
        // SAFETY: the caller says that this is the record of a shared page, and that it is in no
        // list, so that it may enter one; the lock guards it.
        unsafe {
            if (*span).allocated == 0 {
                return emptied.push_front(span);
            }
            self.pages += 1;
            self.free += GRANULES - usize::from((*span).allocated);
            self.file_anew(span);
        }
    }
}
