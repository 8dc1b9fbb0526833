//! Properties of the central free list, over a scripted source of spans, and of the transfer cache.

use super::chain::{Chain, FreeObject};
use super::free_list::CentralFreeList;
use super::picks::LINE;
use super::shards::{Fetcher, ShardSet};
use super::span_alloc::{Choice, Reach};
use super::span_source::SpanSource;
use crate::config::PAGE_SIZE;
use crate::page::link_encoding;
use crate::page::owner::Shard;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, Span, SpanState};
use crate::page::units::{Length, PageId};
use proptest::prelude::*;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{HashMap, HashSet};
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// A source that counts, refuses when told to, and checks what it gets back.
pub(super) struct Source {
    class: SizeClass,
    /// Addresses of the spans handed out, and their records.
    pub live: Mutex<HashMap<usize, NonNull<Span>>>,
    /// Spans that it still hands out.
    left: AtomicUsize,
    /// What it says of a child that shares pages.
    pub since: AtomicU32,
}

// SAFETY: records are used by the list under its lock, and by the source while it owns them.
unsafe impl Sync for Source {}

impl Source {
    fn new(class: SizeClass) -> Self {
        let live = Mutex::new(HashMap::new());
        Self { class, live, left: AtomicUsize::new(usize::MAX), since: AtomicU32::new(0) }
    }

    fn layout(&self) -> Layout {
        let bytes = self.class.info().pages as usize * PAGE_SIZE;
        Layout::from_size_align(bytes, PAGE_SIZE).unwrap()
    }

    pub fn spans(&self) -> usize {
        self.live.lock().unwrap().len()
    }

    /// No more spans.
    pub fn refuse(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    /// Whether `addr` lies in a span that is there.
    pub fn has(&self, addr: usize) -> bool {
        let bytes = self.layout().size();
        self.live.lock().unwrap().keys().any(|&start| (start..start + bytes).contains(&addr))
    }

    /// Address of the span that holds `addr`.
    pub fn span_of(&self, addr: usize) -> usize {
        let live = self.live.lock().unwrap();
        let bytes = self.layout().size();
        *live.keys().find(|&&start| (start..start + bytes).contains(&addr)).expect("foreign object")
    }
}

impl SpanSource for Source {
    fn allocate(&self, class: SizeClass) -> Option<NonNull<Span>> {
        assert_eq!(class, self.class);
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        // SAFETY: the layout is not of size zero.
        let addr = unsafe { alloc_zeroed(self.layout()) } as usize;
        let (start, pages) = (PageId::containing(addr), Length(class.info().pages as usize));
        // Records are type-stable in production too: this one is never freed.
        let record = Box::leak(Box::new(Span::new(start, pages, SpanState::Small, class)));
        record.fresh = true;
        assert!(PAGE_MAP.ensure(addr, pages.bytes()));
        PAGE_MAP.insert(record, start, pages, class);
        let span = NonNull::from(record);
        self.live.lock().unwrap().insert(addr, span);
        Some(span)
    }

    fn cow_since(&self) -> u32 {
        self.since.load(Ordering::Relaxed)
    }

    unsafe fn free_span(&self, span: NonNull<Span>) {
        // SAFETY: the list gives the span up.
        let record = unsafe { &mut *span.as_ptr() };
        assert_eq!(self.live.lock().unwrap().remove(&record.addr()), Some(span));
        record.check_invariants();
        assert_eq!((record.allocated, record.group), (0, Span::UNLISTED));
        let untouched = record.touched_bytes()..record.bytes();
        for addr in untouched.map(|offset| record.addr() + offset) {
            // SAFETY: inside the span's memory.
            assert_eq!(unsafe { (addr as *const u8).read() }, 0, "touched behind `carved`");
        }
        PAGE_MAP.remove(record.start, record.pages, self.class);
        record.state = SpanState::Free;
        // SAFETY: allocated with the same layout, and not used any more.
        unsafe { dealloc(record.addr() as *mut u8, self.layout()) };
    }
}

/// The one thread there is.
pub(super) const ONE_THREAD: Fetcher =
    Fetcher { shard: Shard::FIRST, awake: ShardSet::of(Shard::FIRST) };

/// A thread of the shard with this number, while all shards have threads that are awake.
pub(super) fn awake(shard: usize) -> Fetcher {
    Fetcher { shard: Shard::new(shard), awake: ShardSet::ALL }
}

/// A list, its source, and the objects that are out.
pub(super) struct Model {
    pub class: SizeClass,
    pub source: Source,
    pub list: CentralFreeList,
    pub held: Vec<usize>,
}

/// The addresses of a chain's objects; panics unless they are linked and marked.
pub(super) fn objects(chain: Chain) -> Vec<usize> {
    let mut out = Vec::new();
    let mut object = chain.head;
    for _ in 0..chain.count {
        // SAFETY: the chain is the test's and owns `count` linked objects.
        unsafe {
            assert!(FreeObject::is_marked(object));
            out.push(object as usize);
            object = FreeObject::next(object);
        }
    }
    assert!(object.is_null(), "chain longer than its count");
    out
}

/// A chain of the objects at `addrs`.
pub(super) fn chain(addrs: &[usize]) -> Chain {
    link_encoding::ensure();
    let mut head = ptr::null_mut();
    for &addr in addrs {
        let object = addr as *mut FreeObject;
        // SAFETY: the test owns the object, which has room for two words.
        unsafe {
            FreeObject::link(object, head);
            FreeObject::mark(object);
        }
        head = object;
    }
    Chain { head, count: addrs.len() }
}

impl Model {
    pub fn new(size: usize) -> Self {
        let class = SizeClass::of(size).unwrap();
        Self { class, source: Source::new(class), list: CentralFreeList::new(), held: Vec::new() }
    }

    pub fn fetch(&mut self, request: usize) -> Vec<usize> {
        self.fetch_for(ONE_THREAD, request, false)
    }

    /// As a refill does it: at once, or, where shared pages may come between (here with every other
    /// request), from near to far.
    pub fn fetch_for(&mut self, fetcher: Fetcher, request: usize, apart: bool) -> Vec<usize> {
        let reaches = [Reach::Near, Reach::All];
        let mut chain = Chain::EMPTY;
        for &reach in &reaches[request % 2..] {
            if chain.is_empty() {
                let (source, nothing) = (&self.source, || Chain::EMPTY);
                let choice = Choice::new(apart, reach);
                chain = self.list.fetch(source, self.class, &fetcher, request, choice, nothing);
            }
        }
        let got = objects(chain);
        for &addr in &got {
            // All of it may be written to.
            // SAFETY: the object was handed to the test.
            unsafe { ptr::write_bytes(addr as *mut u8, 0xA5, self.class.size()) };
        }
        self.held.extend(&got);
        got
    }

    /// Gives the objects at these places of `held` back.
    pub fn release(&mut self, addrs: &[usize]) {
        let gone: HashSet<usize> = addrs.iter().copied().collect();
        self.held.retain(|addr| !gone.contains(addr));
        // SAFETY: the model holds the objects and gives them up.
        unsafe { self.list.release(&self.source, self.class, chain(addrs)) };
    }

    /// Everything that must hold between two calls.
    pub fn check(&self) {
        assert!(self.list.is_sound(), "bitmaps, groups and counts of the spans agree");
        let size = self.class.size();
        let mut sorted = self.held.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0] + size <= pair[1]), "given twice");
        let mut spans = HashSet::new();
        for &addr in &sorted {
            let start = self.source.span_of(addr);
            // SAFETY: records are never freed.
            let place = unsafe { self.source.live.lock().unwrap()[&start].as_ref() }.place_of(addr);
            assert!(matches!(place, Place::Object(_)), "not an object");
            assert!(addr.is_multiple_of(16));
            spans.insert(start);
        }
        // A span none of whose objects is out goes back at once.
        assert_eq!(self.source.spans(), spans.len());
        let all = spans.len() * self.class.info().objects as usize;
        let stats = self.list.stats();
        assert_eq!((stats.free, stats.spans), (all - self.held.len(), spans.len()));
    }
}

pub(super) const SIZES: [usize; 9] = [16, 32, 48, 64, 112, 240, 1024, 5120, 32 * 1024];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever order objects come and go in: none is given to two, all belong to spans, the list's
    /// sums are right, and spans go back as soon as they are empty: otherwise their memory could
    /// not (`docs/contract.md`, C1.1).
    #[test]
    fn no_object_is_given_twice_and_empty_spans_go_back(
        size in prop::sample::select(&SIZES[..]),
        calls in prop::collection::vec((any::<bool>(), 1usize..200, any::<u64>()), 1..40),
    ) {
        let mut model = Model::new(size);
        for (fetch, count, order) in calls {
            if fetch || model.held.is_empty() {
                let got = model.fetch(count).len();
                // A cache line is not split between two fetches.
                prop_assert!(got >= 1 && got < count + LINE / 16, "{} for {}", got, count);
            } else {
                // A different mix of old and new ones every time.
                let len = model.held.len();
                let (start, step) = (order as usize % len, (order >> 32) as usize % len + 1);
                let places: HashSet<usize> =
                    (0..count).map(|i| (start + i * step) % len).collect();
                let addrs: Vec<usize> = places.into_iter().map(|i| model.held[i]).collect();
                model.release(&addrs);
            }
            model.check();
        }
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
        prop_assert_eq!(model.source.spans(), 0);
    }

    /// In whatever order they come: what is in use returns, and what is free already, or in the
    /// middle of an object, counts for nothing.
    #[test]
    fn what_is_free_or_no_object_counts_for_nothing(
        size in prop::sample::select(&[48, 64, 112, 240, 1024][..]),
        kinds in prop::collection::vec(0..3, 1..120),
        order: u64,
    ) {
        let mut model = Model::new(size);
        let got = model.fetch(kinds.len());
        let mut kinds = kinds;
        kinds.resize(got.len(), 0);
        let of = |kind| got.iter().zip(&kinds).filter(move |&(_, &found)| found == kind);
        let free: Vec<usize> = of(1).map(|(&addr, _)| addr).collect();
        let kept: Vec<usize> = of(2).map(|(&addr, _)| addr).collect();
        model.release(&free);
        let mut addrs: Vec<usize> = got
            .iter()
            .filter(|&&addr| model.source.has(addr))
            .map(|addr| if kept.contains(addr) { addr + 16 } else { *addr })
            .collect();
        let len = addrs.len().max(1);
        addrs.rotate_left(order as usize % len);
        addrs.sort_by_key(|addr| addr.wrapping_mul(order as usize | 1) >> 60);
        // SAFETY: all are objects of spans that live, or lie in `kept` ones, and the test uses none
        // of them any more; odd links overwrite the content of `kept`.
        unsafe { model.list.salvage(&model.source, model.class, chain(&addrs)) };
        model.held = kept;
        model.check();
    }

    /// Two threads that write to their own blocks must not fight for a cache line: what is carved
    /// out of fresh memory goes to one thread line by line.
    #[test]
    fn a_fresh_cache_line_is_never_split_between_two_fetches(
        size in prop::sample::select(&[16usize, 32, 48, 80, 96, 112, 144, 160, 208, 352][..]),
        requests in prop::collection::vec(1usize..70, 2..60),
    ) {
        let mut model = Model::new(size);
        let mut owner: HashMap<usize, usize> = HashMap::new();
        for (number, request) in requests.into_iter().enumerate() {
            for addr in model.fetch(request) {
                for line in addr / 64..=(addr + model.class.size() - 1) / 64 {
                    let first = *owner.entry(line).or_insert(number);
                    prop_assert_eq!(first, number, "object {:#x} shares line {:#x}", addr, line);
                }
            }
        }
        let rest = model.held.clone();
        model.release(&rest);
    }
}

/// Memory that nobody asked for is not touched: a fetch for many objects carves one OS page of a
/// fresh span at a time.
#[test]
fn fresh_memory_is_carved_a_page_at_a_time() {
    let mut model = Model::new(64);
    assert_eq!(model.fetch(128).len(), 4096 / 64);
    assert_eq!(model.fetch(128).len(), 4096 / 64);
    assert_eq!(model.source.spans(), 1);
    let rest = model.held.clone();
    model.release(&rest);
}

/// The fullest span serves, so that the emptiest can drain and go back.
#[test]
fn objects_come_from_the_fullest_span() {
    let mut model = Model::new(1024);
    let per_span = model.class.info().objects as usize;
    while model.held.len() < 3 * per_span {
        model.fetch(1);
    }
    assert_eq!(model.source.spans(), 3);
    let mut by_span: HashMap<usize, Vec<usize>> = HashMap::new();
    for &addr in &model.held {
        by_span.entry(model.source.span_of(addr)).or_default().push(addr);
    }
    // Free a quarter, a half, and all but one object of the three.
    let mut fullest_first = Vec::new();
    for (free, (span, addrs)) in [per_span / 4, per_span / 2, per_span - 1].into_iter().zip(by_span)
    {
        model.release(&addrs[..free]);
        fullest_first.push((span, free));
    }
    for (span, free) in fullest_first {
        for _ in 0..free {
            let got = model.fetch(1);
            assert_eq!(model.source.span_of(got[0]), span);
        }
    }
    let rest = model.held.clone();
    model.release(&rest);
    model.check();
}

/// Without memory the answer is "none", and nothing is lost: objects that return are served again.
#[test]
fn without_memory_a_fetch_is_empty_and_later_ones_work() {
    let mut model = Model::new(5120);
    model.source.left.store(1, Ordering::Relaxed);
    while !model.fetch(2).is_empty() {
        model.check();
    }
    let per_span = model.class.info().objects as usize;
    assert_eq!(model.held.len(), per_span);
    let back = model.held[..2].to_vec();
    model.release(&back);
    assert_eq!(model.fetch(9).len(), 2);
    assert!(model.fetch(1).is_empty());
    model.source.left.store(1, Ordering::Relaxed);
    assert!(!model.fetch(1).is_empty());
    let rest = model.held.clone();
    model.release(&rest);
    model.check();
}

/// A forked child returns what threads had cached that do not exist in it. Objects that had
/// returned already, and links that point into the middle of something, must not count twice or
/// abort.
#[test]
fn salvage_passes_over_what_is_free_already() {
    let mut model = Model::new(48);
    let got = model.fetch(40);
    let keep = got[0];
    let gone: Vec<usize> = got[1..].to_vec();
    model.release(&gone[..10]);
    let mut strange = gone.clone();
    strange.push(keep + 16);
    // SAFETY: all are objects of spans that live, and the test uses none of them any more but
    // `keep`, whose content the odd link overwrites.
    unsafe { model.list.salvage(&model.source, model.class, chain(&strange)) };
    model.held.retain(|&addr| addr == keep);
    model.check();
    model.release(&[keep]);
    model.check();
}

/// A chain of which only the most is known that it can have ends at a null link.
#[test]
fn a_chain_ends_at_a_null_link() {
    let mut model = Model::new(48);
    for count in [1, 5, 40] {
        let got = model.fetch(count);
        model.held.retain(|addr| !got.contains(addr));
        let chain = Chain { count: crate::config::MAGAZINE_MAX_COUNT, ..chain(&got) };
        // SAFETY: the model held the objects and gives them up.
        unsafe { model.list.release(&model.source, model.class, chain) };
        model.check();
    }
}

/// The hardened build looks at every object before it goes home, the last one of a chain as well,
/// whose link leads nowhere: its spans do not notice what the program writes to it. (A process that
/// is to end tries each.)
#[cfg(feature = "hardened")]
#[test]
fn no_object_goes_home_that_was_written_to() {
    for (size, request) in [(16, 40), (48, 1), (48, 2), (48, 5), (1024, 8), (32 * 1024, 1)] {
        let mut model = Model::new(size);
        let got = model.fetch(request);
        let whole = chain(&got);
        for (object, word) in got.iter().flat_map(|&object| [(object, 0), (object, 1)]) {
            let mut status = 0;
            // SAFETY: the child changes a word of its copy of an object, all of which the test
            // holds, and gives them up. If that does not end it, it ends itself.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::close(libc::STDERR_FILENO);
                    *(object as *mut usize).add(word) ^= 1 << 20;
                    model.list.release(&model.source, model.class, whole);
                    libc::_exit(0);
                }
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            }
            let place = got.iter().position(|&other| other == object);
            let is_found = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT;
            assert!(is_found, "{size} bytes, {place:?} of {}, word {word}: {status}", got.len());
        }
        model.release(&got);
        model.check();
    }
}

/// The locks hold under contention, and no object is ever with two threads.
#[test]
fn threads_that_share_a_list_never_share_an_object() {
    let model = Model::new(32);
    let (list, source, class) = (&model.list, &model.source, model.class);
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            scope.spawn(move || {
                for round in 0..2_000usize {
                    let shard = Shard::new(thread);
                    // Some of them seem to be asleep now and then.
                    let fetcher = Fetcher { shard, awake: ShardSet::from_word(round / 8 % 16) };
                    let request = 1 + (round * 7 + thread) % 50;
                    let choice = Choice::new(round % 3 == 0, Reach::All);
                    let nothing = || Chain::EMPTY;
                    let got = list.fetch(source, class, &fetcher, request, choice, nothing);
                    let got = objects(got);
                    for &addr in &got {
                        let words = addr as *mut [usize; 4];
                        // SAFETY: the object belongs to this thread.
                        unsafe { words.write([thread, round, addr, thread ^ round]) };
                    }
                    for &addr in &got {
                        let words = addr as *const [usize; 4];
                        // SAFETY: the object still belongs to this thread.
                        let found = unsafe { words.read() };
                        assert_eq!(found, [thread, round, addr, thread ^ round]);
                    }
                    // SAFETY: the objects belong to this thread, which gives them up.
                    unsafe { list.release(source, class, chain(&got)) };
                }
            });
        }
    });
    model.check();
}
