//! Properties of shared pages, over spans of the process's page heap.

use super::chain::Chain;
use super::shards::ShardSet;
use super::shared_pages::{SharedPage, SharedPages, block_around, size_at};
use super::tests::objects;
use crate::config::{MAX_SMALL, MIN_ALIGN, PAGE_SIZE, PAGES_PER_HUGE, SHARED_MAX_BYTES};
use crate::page::link_encoding;
use crate::page::owner::Shard;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use crate::policy::{HARDENED, MEMCHECK};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::vec::Vec;

/// Shared pages, and the blocks that are in use on them, by address: their sizes, and what they
/// are filled with.
struct Model {
    pages: SharedPages,
    live: BTreeMap<usize, (usize, u8)>,
    next: u8,
}

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    /// A span of that size is taken in; the bits say which of its objects are in use.
    TakeIn(usize, u64),
    /// So many blocks of that size are fetched.
    Fetch(usize, usize),
    /// The same from what lies free between the spans of the page heap.
    FetchOfLeftovers(usize, usize),
    /// Every so many-th block is released, by its class or not.
    Release(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let size = (1..=SHARED_MAX_BYTES / MIN_ALIGN).prop_map(|granules| granules * MIN_ALIGN);
    let small = (1..=20_usize).prop_map(|granules| granules * MIN_ALIGN);
    let size = prop_oneof![size, small];
    // Spans of any class are taken in, whose blocks may be longer than a page.
    let large = (1..=MAX_SMALL / MIN_ALIGN).prop_map(|granules| granules * MIN_ALIGN);
    let taken_in = prop_oneof![2 => size.clone(), 1 => large];
    prop_oneof![
        (taken_in, any::<u64>(), any::<u64>()).prop_map(|(size, a, b)| Step::TakeIn(size, a & b)),
        (size.clone(), 1..100_usize).prop_map(|(size, count)| Step::Fetch(size, count)),
        (size, 1..40_usize).prop_map(|(size, count)| Step::FetchOfLeftovers(size, count)),
        (1..6_usize, any::<bool>()).prop_map(|(every, sized)| Step::Release(every, sized)),
    ]
}

fn fill(addr: usize, size: usize, byte: u8) {
    // SAFETY: the block is the test's.
    unsafe { std::ptr::write_bytes(addr as *mut u8, byte, size) };
}

fn holds(addr: usize, size: usize, byte: u8) -> bool {
    // SAFETY: the block is the test's.
    unsafe { std::slice::from_raw_parts(addr as *const u8, size) }.iter().all(|&at| at == byte)
}

impl Model {
    fn new() -> Self {
        link_encoding::ensure();
        Self { pages: SharedPages::new(), live: BTreeMap::new(), next: 0 }
    }

    fn add(&mut self, addr: usize, size: usize) {
        self.next = self.next.wrapping_add(1);
        fill(addr, size, self.next);
        assert_eq!(self.live.insert(addr, (size, self.next)), None, "given twice");
    }

    /// As `take_in_of`, of the first shard.
    fn take_in(&mut self, class: SizeClass, bits: u64) {
        self.take_in_of(Shard::FIRST, class, bits);
    }

    /// Takes in a span of `class` and `shard` of which the objects are in use that `bits` say, over
    /// and over.
    fn take_in_of(&mut self, shard: Shard, class: SizeClass, bits: u64) {
        let pages = Length(class.info().pages as usize);
        let span = PAGE_HEAP.allocate(pages, class.span_align(), class).unwrap();
        // SAFETY: the span is the test's.
        let record = unsafe { &mut *span.as_ptr() };
        let count = usize::from(class.info().objects);
        for index in 0..count {
            if bits >> (index % 64) & 1 != 0 {
                record.allocated += 1;
                self.add(record.addr() + index * class.size(), class.size());
            } else {
                record.free.set(index);
            }
        }
        record.carved = class.info().objects;
        record.owner.set(shard);
        let start = record.addr();
        // SAFETY: the span is in no list, and nobody else knows it.
        let emptied = unsafe { self.pages.take_in(span, record.bytes()) }.unwrap();
        self.pages.free_pages(emptied);
        if bits & (u64::MAX >> 64_usize.saturating_sub(count)) == 0 {
            assert_eq!(PAGE_MAP.class(start), SizeClass::NONE, "nothing lives: it goes at once");
        }
    }

    fn fetch(&mut self, class: SizeClass, request: usize) -> usize {
        let chain = self.pages.fetch(class, Shard::FIRST, ShardSet::EMPTY, request);
        self.add_all(class, chain, request)
    }

    /// Returns how many blocks, and on how many pages.
    fn fetch_of_leftovers(&mut self, class: SizeClass, request: usize) -> (usize, usize) {
        let (chain, pages) = self.pages.fetch_of_leftovers(class, Shard::FIRST, request);
        (self.add_all(class, chain, request), pages.0)
    }

    fn add_all(&mut self, class: SizeClass, chain: Chain, request: usize) -> usize {
        let got = if chain.is_empty() { Vec::new() } else { objects(chain) };
        assert!(got.len() <= request);
        for &addr in &got {
            let align = 1 << class.size().trailing_zeros();
            assert!(addr.is_multiple_of(align), "{addr:#x}, of {} bytes", class.size());
            self.add(addr, class.size());
        }
        got.len()
    }

    /// A block of `class` for a thread of `shard`.
    fn fetch_of(&mut self, shard: Shard, other_awake: ShardSet, class: SizeClass) -> usize {
        let addr = objects(self.pages.fetch(class, shard, other_awake, 1))[0];
        self.add(addr, class.size());
        addr
    }

    fn release(&mut self, addrs: &[usize], sized: bool) {
        for &addr in addrs {
            let (size, byte) = self.live.remove(&addr).unwrap();
            assert!(holds(addr, size, byte), "a block was written to by another's owner");
            let class = if sized { SizeClass::of(size).unwrap() } else { SizeClass::SHARED };
            self.pages.release(std::iter::once(addr), class, true);
        }
    }

    fn check(&self) {
        assert!(self.pages.is_sound());
        let mut end = 0;
        for (&addr, &(size, byte)) in &self.live {
            assert!(addr >= end, "two blocks overlap");
            end = addr + size;
            assert!(holds(addr, size, byte), "a block was written to by another's owner");
            assert_eq!(size_at(addr), size);
            let inside = addr + size - 1;
            assert_eq!(block_around(inside), Some((addr, size)));
            assert_eq!(size_at(inside & !(MIN_ALIGN - 1)), if size > MIN_ALIGN { 0 } else { size });
            assert!(!self.pages.is_free(addr));
        }
        let live: usize = self.live.values().map(|&(size, _)| size).sum();
        let stats = self.pages.stats();
        assert_eq!((stats.bytes - stats.free, stats.blocks), (live, self.live.len()));
        for class in SizeClass::all() {
            let of_class = self.live.values().filter(|&&(size, _)| size == class.size()).count();
            assert_eq!(self.pages.blocks(class), of_class);
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::TakeIn(size, bits) => self.take_in(SizeClass::of(size).unwrap(), bits),
            Step::Fetch(size, request) => {
                self.fetch(SizeClass::of(size).unwrap(), request);
            }
            Step::FetchOfLeftovers(size, request) => {
                self.fetch_of_leftovers(SizeClass::of(size).unwrap(), request);
            }
            Step::Release(every, sized) => {
                let addrs: Vec<usize> = self.live.keys().copied().step_by(every).collect();
                self.release(&addrs, sized);
            }
        }
    }

    fn end(mut self) {
        let addrs: Vec<usize> = self.live.keys().copied().collect();
        self.release(&addrs, false);
        self.check();
        assert_eq!(self.pages.stats().bytes, 0, "a page without a block goes back");
    }
}

/// Hardened builds and those for valgrind have no shared pages.
const APPLIES: bool = !HARDENED && !MEMCHECK;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is taken in, fetched and released: blocks do not overlap, keep their content, and
    /// are as long as they were; what is free adds up; and an empty page goes back.
    #[test]
    fn blocks_of_any_sizes_share_pages(steps in prop::collection::vec(step(), 1..30)) {
        if APPLIES {
            let mut model = Model::new();
            for step in &steps {
                model.run(step);
                model.check();
            }
            model.end();
        }
    }
}

/// A hole is used by any size that fits, and neighbouring holes are one.
#[test]
fn holes_of_one_size_serve_another() {
    if !APPLIES {
        return;
    }
    let mut model = Model::new();
    let small = SizeClass::of(64).unwrap();
    // Every other object lives: no hole is longer than one of them.
    model.take_in(small, 0x5555_5555_5555_5555);
    let large = SizeClass::of(1024).unwrap();
    assert_eq!(model.fetch(large, 1), 0);
    assert!(model.fetch(SizeClass::of(32).unwrap(), 10) == 10);
    assert!(!model.pages.may_have(large));
    // All go but each sixteenth or so.
    let addrs: Vec<usize> = model.live.keys().copied().filter(|addr| addr % 4096 >= 64).collect();
    model.release(&addrs, true);
    assert!(model.pages.may_have(large));
    assert!(model.fetch(large, 4) == 4);
    model.check();
    model.end();
}

/// Pages on which nothing lives, between spans of one page that are in use.
struct Leftovers(Vec<NonNull<Span>>);

impl Leftovers {
    /// So many at least, unless other tests take them first.
    fn new(count: usize) -> Self {
        let class = SizeClass::of(16).unwrap();
        let one = |_| PAGE_HEAP.allocate(Length(1), Length(1), class).unwrap();
        // Whole huge pages are filled: one with a long run of free pages has no leftovers.
        let spans: Vec<NonNull<Span>> = (0..2 * count.max(PAGES_PER_HUGE)).map(one).collect();
        let (kept, freed): (Vec<_>, Vec<_>) = spans
            .into_iter()
            // SAFETY: the test's.
            .partition(|span| unsafe { span.as_ref() }.start.0.is_multiple_of(2));
        for span in freed {
            // SAFETY: the test's, and nothing is in use in it. It counts as touched.
            unsafe {
                (*span.as_ptr()).carved = class.info().objects;
                PAGE_HEAP.free_span(span);
            }
        }
        Self(kept)
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for span in self.0.drain(..) {
            // SAFETY: the test's, and nothing is in use in it.
            unsafe { PAGE_HEAP.free_span(span) };
        }
    }
}

/// Where shared pages were emptied one by one, no span of several pages finds room. Blocks do, and
/// the pages go back as others.
#[test]
fn what_lies_free_between_spans_is_filled() {
    if !APPLIES {
        return;
    }
    let _leftovers = Leftovers::new(1000);
    let mut model = Model::new();
    let class = SizeClass::of(1024).unwrap();
    let per_page = PAGE_SIZE / class.size();
    let (mut blocks, mut pages) = (0, 0);
    while blocks < 30 * per_page {
        let (more, of_pages) = model.fetch_of_leftovers(class, 20);
        assert!(more > 0, "nothing found after {blocks}");
        blocks += more;
        pages += of_pages;
        // What is left of the last page is a hole as any other.
        if blocks % per_page > 0 {
            blocks += model.fetch(class, per_page - blocks % per_page);
        }
        model.check();
    }
    assert_eq!(blocks, pages * per_page);
    assert_eq!(model.pages.stats().bytes, pages * PAGE_SIZE);
    let addr = *model.live.keys().next().unwrap();
    assert_eq!(SharedPage::at(addr).unwrap().donor(), None);
    model.end();
    assert_eq!(PAGE_MAP.class(addr), SizeClass::NONE);
}

/// A page is the shard's that its span was of, until blocks of it are handed to another one. A
/// thread gets blocks on pages of other shards only if it finds no others.
#[test]
fn pages_have_owners_whose_they_stay_while_others_have_holes() {
    if !APPLIES {
        return;
    }
    let mut model = Model::new();
    let class = SizeClass::of(64).unwrap();
    let [one, two, three] = [1, 2, 3].map(Shard::new);
    let owner = |addr: &usize| SharedPage::at(*addr).unwrap().owner().shard();
    let page = |addr: usize| SharedPage::at(addr).unwrap().addr();
    for shard in [one, two] {
        model.take_in_of(shard, class, 0x5555_5555_5555_5555);
    }
    let owned = |model: &Model, shard| -> BTreeSet<usize> {
        let addrs = model.live.keys().copied();
        addrs.filter(|addr| owner(addr) == shard).map(page).collect()
    };
    let pages = class.info().pages as usize;
    assert_eq!([one, two, three].map(|shard| owned(&model, shard).len()), [pages, pages, 0]);
    for (shard, other) in [(one, two), (two, one), (one, two)] {
        let own = owned(&model, shard);
        let got = model.fetch_of(shard, ShardSet::of(other), class);
        assert!(own.contains(&page(got)), "of its own page");
    }
    // One that has none gets a page of another one, which is its own then.
    let mut other_awake = ShardSet::of(one);
    other_awake.insert(two);
    let got = model.fetch_of(three, other_awake, class);
    assert_eq!(owned(&model, three), BTreeSet::from([page(got)]));
    let next = model.fetch_of(three, other_awake, class);
    assert_eq!(page(next), page(got));
    model.check();
    model.end();
}

/// What comes home to shared pages is looked at as strictly as what comes home to spans.
#[test]
fn what_is_no_block_is_found_out() {
    if !APPLIES {
        return;
    }
    let mut model = Model::new();
    let class = SizeClass::of(96).unwrap();
    model.take_in(class, 0x7777_7777_7777_7777);
    let block = *model.live.keys().next().unwrap();
    for (addr, class) in [
        (block + 16, SizeClass::SHARED),
        (block, SizeClass::of(80).unwrap()),
        (block + 96 * 3, SizeClass::SHARED),
    ] {
        assert!(model.pages.is_free(addr) == (addr != block));
        // Passed over, as from a thread that vanished in a fork.
        model.pages.release(std::iter::once(addr), class, false);
        model.check();
    }
    assert_eq!(size_at(block + 8), 0);
    assert!(SharedPage::at(block).is_some());
    model.end();
}

/// The owner of a block reads its size without a lock, while others use and free what lies around
/// it on the same page.
#[test]
fn sizes_are_read_while_neighbours_come_and_go() {
    if !APPLIES {
        return;
    }
    let mut model = Model::new();
    let class = SizeClass::of(48).unwrap();
    model.take_in(class, 0x1111_1111_1111_1111);
    let kept: Vec<usize> = model.live.keys().copied().collect();
    let is_over = AtomicBool::new(false);
    let pages = &model.pages;
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for size in [16, 48, 32, 144] {
            let is_over = &is_over;
            scope.spawn(move || {
                let class = SizeClass::of(size).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let got = objects(pages.fetch(class, Shard::FIRST, ShardSet::EMPTY, 30));
                    assert!(got.iter().all(|&addr| size_at(addr) == size));
                    pages.release(got.into_iter(), SizeClass::SHARED, true);
                }
            });
        }
        for _ in 0..20_000 {
            if let Some(&addr) = kept.iter().find(|&&addr| size_at(addr) != 48) {
                *failed.lock().unwrap() = Some(addr);
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(*failed.lock().unwrap(), None);
    model.check();
    model.end();
}

/// The record of a span stays as it was until the last of its pages is gone: a thread may have
/// looked a block up by it.
#[test]
fn the_record_of_the_span_outlives_its_pages() {
    if !APPLIES {
        return;
    }
    let mut model = Model::new();
    let class = SizeClass::of(512).unwrap();
    model.take_in(class, u64::MAX);
    let addrs: Vec<usize> = model.live.keys().copied().collect();
    let donor: NonNull<Span> = SharedPage::at(addrs[0]).unwrap().donor().unwrap();
    for &addr in &addrs {
        // SAFETY: records are never unmapped.
        let record = unsafe { donor.as_ref() };
        assert_eq!(record.class, class);
        assert_eq!(record.addr(), addrs[0]);
        model.release(&[addr], true);
    }
    model.end();
}
