//! Properties of releasing OS pages inside spans: over an OS that overwrites what it is given.

use super::chain::Chain;
use super::free_list::CentralFreeList;
use super::hold::Look;
use super::os_pages::vacant;
use super::release_budget::Budget;
use super::span_alloc::{Choice, Reach};
use super::span_lists::HOLDERS;
use super::span_source::free_spans;
use super::tests::{Model, SIZES, Source, awake, chain, objects};
use crate::os::{Linux, Os};
use crate::page::size_class::SizeClass;
use crate::sync::Futex;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// Overwrites the pages, as dropping them would.
struct Overwriting {
    released: RefCell<Vec<(usize, usize)>>,
    refuse: Cell<bool>,
}

impl Release for Overwriting {
    fn release(&self, addr: usize, bytes: usize) -> bool {
        if self.refuse.get() {
            return false;
        }
        // SAFETY: the list says that nobody needs the content, which is what the test finds out.
        unsafe { std::ptr::write_bytes(addr as *mut u8, 0, bytes) };
        self.released.borrow_mut().push((addr, bytes));
        true
    }
}

/// What an OS does when it is told to release pages.
trait Release {
    fn release(&self, addr: usize, bytes: usize) -> bool;
}

/// An OS whose only working call is `release`.
struct OnlyReleases<R> {
    inner: R,
    page: usize,
}

impl<R> OnlyReleases<R> {
    /// With pages of the smallest size.
    fn new(inner: R) -> Self {
        Self { inner, page: 4096 }
    }
}

impl<R: Release> Os for OnlyReleases<R> {
    fn map(&self, _: usize, _: usize) -> Option<usize> {
        None
    }
    fn map_at(&self, _: usize, _: usize) -> bool {
        false
    }
    unsafe fn unmap(&self, _: usize, _: usize) {}
    unsafe fn release(&self, addr: usize, bytes: usize) -> bool {
        assert!(addr.is_multiple_of(self.page) && bytes.is_multiple_of(self.page) && bytes > 0);
        self.inner.release(addr, bytes)
    }
    unsafe fn advise_huge(&self, _: usize, _: usize, _: bool) {}
    fn residency(&self, _: usize, _: &mut [u8]) -> bool {
        false
    }
    unsafe fn resize(&self, _: usize, _: usize, _: usize) -> bool {
        false
    }
    unsafe fn relocate(&self, _: usize, _: usize, _: usize, _: usize) -> bool {
        false
    }
    fn page_size(&self) -> usize {
        self.page
    }
    fn most_mappings(&self) -> usize {
        usize::MAX
    }
    fn now_ms(&self) -> u64 {
        0
    }
}

/// Releases all there is. Returns the bytes.
fn release_all(model: &Model, os: &impl Os) -> usize {
    model.list.release_pages(&model.source, os, model.class, &mut Budget::unbounded())
}

/// Panics unless every object that is out still holds what `fetch` wrote.
fn check_contents(model: &Model) {
    for &addr in &model.held {
        // SAFETY: the object is out, and the model's.
        let bytes = unsafe { std::slice::from_raw_parts(addr as *const u8, model.class.size()) };
        assert!(bytes.iter().all(|&byte| byte == 0xA5), "a live object lost its content");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever lives keeps its content, sums stay right, a page is not released twice without use
    /// in between, and every page of the kernel that no live object touches is released.
    #[test]
    fn only_pages_without_a_live_object_go_back_and_all_of_those(
        size in prop::sample::select(SIZES.to_vec()),
        keep in 1usize..40,
        rounds in 1usize..4,
        refuse: bool,
        page in prop::sample::select(vec![4096_usize, 16 << 10, 64 << 10]),
    ) {
        let mut model = Model::new(size);
        let os = Overwriting { released: RefCell::default(), refuse: Cell::new(refuse) };
        let os = OnlyReleases { inner: os, page };
        for round in 0..rounds {
            for thread in 0..40 {
                model.fetch_for(awake(thread % 5), 50, false);
            }
            let gone: Vec<usize> =
                model.held.iter().copied().enumerate().filter(|(i, _)| (i + round) % keep != 0)
                    .map(|(_, addr)| addr).collect();
            model.release(&gone);
            model.check();
            if os.inner.refuse.get() {
                prop_assert_eq!(release_all(&model, &os), 0);
                model.check();
                os.inner.refuse.set(false);
            }
            let bytes = release_all(&model, &os);
            let seen: usize = os.inner.released.borrow().iter().map(|run| run.1).sum();
            prop_assert_eq!(bytes, seen);
            model.check();
            check_contents(&model);
            let spans: Vec<_> = model.source.live.lock().unwrap().values().copied().collect();
            for span in spans {
                // SAFETY: records are never freed.
                let span = unsafe { span.as_ref() };
                let touched = span.carved as usize * size;
                let is_released = |at: usize| span.released >> ((at - span.addr()) / 4096) & 1 != 0;
                // Whole pages of the kernel; nothing else is released.
                let first = span.addr().next_multiple_of(page);
                let end = (span.addr() + touched / 4096 * 4096) / page * page;
                for at in (first..end).step_by(page) {
                    let touches = |addr: usize| addr < at + page && addr + size > at;
                    let lives = model.held.iter().any(|&addr| touches(addr));
                    for part in (at..at + page).step_by(4096) {
                        let released = is_released(part);
                        prop_assert!(lives != released, "page {:#x}: live {}", part, lives);
                    }
                }
                let outside = (span.addr()..first.min(span.addr() + span.bytes())).step_by(4096);
                prop_assert!(!outside.clone().any(is_released));
            }
            os.inner.released.borrow_mut().clear();
            // Nothing is left to release.
            prop_assert_eq!(release_all(&model, &os), 0);
        }
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
    }
}

/// Uses the list meanwhile, as another thread would: objects return and
/// others are taken, so that spans leave the lists, enter them and change their group while the
/// walk stands somewhere.
struct Interfering<'a> {
    list: &'a CentralFreeList,
    source: &'a Source,
    class: SizeClass,
    /// What returns, a batch a time, and how many objects are taken then.
    batches: RefCell<Vec<(Vec<usize>, usize)>>,
    taken: RefCell<Vec<usize>>,
}

impl Release for Interfering<'_> {
    fn release(&self, addr: usize, bytes: usize) -> bool {
        // SAFETY: the list says that nobody needs the content, which is what the test finds out.
        unsafe { std::ptr::write_bytes(addr as *mut u8, 0, bytes) };
        let Some((batch, count)) = self.batches.borrow_mut().pop() else { return true };
        let size = self.class.size();
        if !batch.is_empty() {
            // SAFETY: the batch's objects are out, and the test gives them up here.
            unsafe { self.list.release(self.source, self.class, chain(&batch)) };
        }
        let fetcher = awake(count % 7);
        let nothing = || Chain::EMPTY;
        let choice = Choice::new(false, Reach::All);
        let got = self.list.fetch(self.source, self.class, &fetcher, count, choice, nothing);
        for object in objects(got) {
            let apart = object + size <= addr || object >= addr + bytes;
            assert!(apart, "an object on a page that is being released was handed out");
            // SAFETY: the object was handed to the test.
            unsafe { std::ptr::write_bytes(object as *mut u8, 0xA5, size) };
            self.taken.borrow_mut().push(object);
        }
        assert!(self.list.is_sound(), "while pages are released");
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the walk stands, spans may come and go: nothing that lives is lost, and the next
    /// walk over all finds every page that is left.
    #[test]
    fn the_walk_survives_spans_that_leave_and_enter_and_the_next_one_finds_the_rest(
        size in prop::sample::select(SIZES.to_vec()),
        keep in 2usize..30,
        pages in 1usize..20,
        counts in prop::collection::vec(1usize..120, 1..30),
    ) {
        let mut model = Model::new(size);
        for thread in 0..60 {
            model.fetch_for(awake(thread % 5), 50, false);
        }
        let places = model.held.iter().copied().enumerate();
        let gone: Vec<usize> =
            places.filter(|(place, _)| place % keep != 0).map(|(_, addr)| addr).collect();
        model.release(&gone);
        let mut batches = Vec::new();
        for count in counts {
            let len = model.held.len().min(1 + count / 4);
            batches.push((model.held.drain(..len).collect(), count));
        }
        let os = OnlyReleases::new(Interfering {
            list: &model.list,
            source: &model.source,
            class: model.class,
            batches: RefCell::new(batches),
            taken: RefCell::default(),
        });
        // Small budgets: the walk stops and goes on, at a position that it kept.
        for _ in 0..20 {
            model.list.release_pages(&model.source, &os, model.class, &mut Budget::new(pages, 5));
        }
        let left: Vec<usize> =
            os.inner.batches.take().into_iter().flat_map(|(batch, _)| batch).collect();
        let taken = os.inner.taken.take();
        model.held.extend(left);
        model.held.extend(taken);
        model.check();
        check_contents(&model);
        let os = Overwriting { released: RefCell::default(), refuse: Cell::new(false) };
        let os = OnlyReleases::new(os);
        release_all(&model, &os);
        model.check();
        check_contents(&model);
        for span in model.source.live.lock().unwrap().values() {
            // SAFETY: records are never freed.
            let span = unsafe { span.as_ref() };
            // Touched to their end.
            let touched = span.carved as usize * size / 4096;
            let left = vacant(span) & !span.released & ((1u64 << touched) - 1) as u32;
            prop_assert_eq!(left, 0, "pages {:#b} of {:#x} were not found", left, span.addr());
        }
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In a child that was forked while another thread released pages, the spans of that thread are
    /// as all others: every count is right, every object can be had, and every empty span goes
    /// back.
    #[test]
    fn a_child_ends_the_holds_of_other_threads(
        size in prop::sample::select(SIZES.to_vec()),
        keep in 2usize..30,
        holds in 1usize..=HOLDERS,
        free_all: bool,
    ) {
        let mut model = Model::new(size);
        for thread in 0..40 {
            model.fetch_for(awake(thread % 5), 50, false);
        }
        let places = model.held.iter().copied().enumerate();
        let gone: Vec<usize> =
            places.filter(|(place, _)| place % keep != 0).map(|(_, addr)| addr).collect();
        model.release(&gone);
        let mut held = 0;
        {
            let mut lists = model.list.lists.lock();
            lists.begin_walk();
            while held < holds {
                match lists.look_further(&mut Budget::unbounded()) {
                    Look::Found(_) => held += 1,
                    Look::More => {}
                    Look::End => break,
                }
            }
        }
        prop_assert!(model.list.is_sound(), "while spans are held");
        if free_all {
            // Spans of which nothing but the objects on held pages is out go back in the child
            // only.
            let rest = core::mem::take(&mut model.held);
            for addr in rest {
                model.held = vec![addr];
                model.release(&[addr]);
            }
        }
        let lock = model.list.fork_lock();
        lock.acquire_for_fork(false);
        // SAFETY: the lock was taken by `acquire_for_fork`, and this thread alone uses the list.
        let emptied = unsafe { model.list.reset_in_child(model.class, Linux::thread()) };
        prop_assert!(emptied.is_empty(), "holds of the thread itself stay");
        // SAFETY: the lock was taken by `acquire_for_fork`, and this thread alone uses the list.
        let emptied = unsafe { model.list.reset_in_child(model.class, 0) };
        // SAFETY: `acquire_for_fork` was called above, and no reference to the lists is left.
        unsafe { lock.reset_in_child() };
        prop_assert!(model.list.lists.lock().held.iter().all(|held| held.span.is_null()));
        free_spans(&model.source, emptied);
        model.check();
        model.fetch(300);
        model.check();
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
        prop_assert_eq!(model.source.spans(), 0);
    }
}

/// Threads that release pages of one class share a walk. Whoever comes to its end, the others find
/// that it is over.
#[test]
fn a_walk_is_over_for_all_who_share_it() {
    let model = Model::new(64);
    let mut lists = model.list.lists.lock();
    lists.begin_walk();
    for _ in 0..3 {
        let mut budget = Budget::unbounded();
        let look = core::iter::repeat_with(|| lists.look_further(&mut budget));
        assert!(look.take(64).any(|look| matches!(look, Look::End)));
    }
}
