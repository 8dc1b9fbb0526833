//! Giving back OS pages inside partly used spans: those on which no object lives.
//!
//! A span with one live object out of hundreds cannot go back to the page heap, but most of its memory
//! can go back to the kernel. The objects on such pages are free in the bitmap; they are taken out of it
//! while the kernel is called without the lock, and put back afterwards. Their content is not needed:
//! nothing in a free object is, as the bitmap lies outside. The pages are faulted in again when an object
//! on them is handed out.
//!
//! A page given back is noted in the span's record, so that it is not given back again before it was used.
//!
//! The spans are walked from a position that the list keeps, some at a time under its lock. While pages of a
//! span are given back, the span is noted with that thread's number, where a forked child finds it: the thread that had
//! it in hand is not there any more.

use super::SpanSource;
use super::free_list::{CentralFreeList, GROUPS, Inner, give_back};
use crate::base::list::List;
use crate::base::steps;
use crate::config::MAX_SPAN_OS_PAGES;
use crate::os::Os;
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, OsPages, Span};
use crate::page_heap::limits;
use core::ops::Range;
use core::ptr;

/// Bytes in a page as the record counts them: the smallest page of the kernel.
pub const OS_PAGE: usize = 4096;
/// Spans looked at per turn under the lock.
const LOOKS: usize = 64;

/// How much may be given back; reduced by what is.
pub struct Budget {
    /// OS pages. (The last span may exceed it.)
    pub pages: usize,
    /// System calls.
    pub calls: usize,
    /// Spans that are looked at.
    pub looks: usize,
    /// Whether the walk came to its end.
    pub is_over: bool,
}

impl Budget {
    /// So many pages, by so many calls.
    pub const fn new(pages: usize, calls: usize) -> Self {
        Self { pages, calls, looks: usize::MAX, is_over: false }
    }

    /// All there is.
    pub const fn unbounded() -> Self {
        Self::new(usize::MAX, usize::MAX)
    }

    /// What one call of the program's does of others' work, if so many pages are to go.
    pub const fn for_one_call(pages: usize) -> Self {
        let pages = if pages < PART_PAGES { pages } else { PART_PAGES };
        Self { looks: PART_LOOKS, ..Self::new(pages, PART_CALLS) }
    }

    /// Accounts for `pages` given back one run at a time.
    fn spend(&mut self, pages: OsPages) {
        let runs = (pages & !(pages << 1)).count_ones();
        self.pages = self.pages.saturating_sub(pages.count_ones() as usize);
        self.calls = self.calls.saturating_sub(runs as usize);
    }

    fn is_unbounded(&self) -> bool {
        self.pages == usize::MAX
    }

    pub fn is_spent(&self) -> bool {
        self.pages == 0 || self.calls == 0 || self.looks == 0
    }
}

/// OS pages that a call of the program's gives back inside spans, at most but for those of the last span.
const PART_PAGES: usize = 128;
/// System calls that it makes for them. Each is for a few pages and takes a microsecond.
const PART_CALLS: usize = 8;
/// Spans that it looks at.
const PART_LOOKS: usize = 48;

/// Where the walk over a list's spans is: the next one to look at, and its group.
pub(super) struct Position {
    group: usize,
    next: *mut Span,
}

impl Position {
    /// Before a walk.
    pub const fn new() -> Self {
        Self { group: GROUPS, next: ptr::null_mut() }
    }
}

/// Threads that may give back pages of spans of one class at the same time.
pub(super) const HOLDERS: usize = 4;

/// A span whose pages are being given back.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// Null: none.
    pub span: *mut Span,
    /// The thread that does it, as locks know it.
    pub by: u32,
}

impl Held {
    pub const NOTHING: Self = Self { span: ptr::null_mut(), by: 0 };
}

/// What a turn of the walk found.
enum Turn {
    /// A span with pages to be given back, noted at that place of `held`.
    Found(usize),
    /// Nothing yet.
    More,
    /// Nothing in all that was left, or as many threads as can are at it.
    End,
}

impl CentralFreeList {
    /// Gives back OS pages of the class's spans on which no object lives, as many as `budget` allows, those
    /// of the emptiest spans first. Returns the bytes. Goes on where the last call stopped for its budget, unless
    /// all there is may go back.
    pub fn release_pages<S: SpanSource, O: Os>(
        &self,
        source: &S,
        os: &O,
        class: SizeClass,
        budget: &mut Budget,
    ) -> usize {
        if os.page_size() > OS_PAGE {
            budget.is_over = true;
            return 0;
        }
        let mut bytes = 0;
        // Others may use pages as fast as they are given back: no more spans than there are.
        let mut left = {
            let mut inner = self.inner.lock();
            if inner.position.group >= GROUPS || budget.is_unbounded() {
                inner.position.group = 0;
                inner.position.next = inner.groups[0].first();
            }
            inner.spans() + 1
        };
        while !budget.is_spent() && left > 0 {
            let mut inner = self.inner.lock();
            let place = match inner.look_further(budget) {
                Turn::Found(place) => place,
                Turn::More => continue,
                Turn::End => {
                    budget.is_over = true;
                    break;
                }
            };
            let span = inner.held[place].span;
            drop(inner);
            left -= 1;
            // SAFETY: a span with held pages has live objects or held ones, so its record stays; the fields
            // read here change under a hold only, which is ours.
            let (addr, pages) = unsafe { ((*span).addr(), (*span).held) };
            source.break_up(addr);
            // SAFETY: no object on the held pages is in use, and none is handed out.
            let done = unsafe { release_runs(os, addr, pages) };
            let mut emptied = List::new();
            self.inner.lock().unhold_pages(class, place, done, &mut emptied);
            give_back(source, emptied);
            if !done {
                // What the kernel refused is asked for again by the next walk.
                self.restart_release();
                budget.is_over = true;
                break;
            }
            bytes += pages.count_ones() as usize * OS_PAGE;
        }
        budget.is_over |= left == 0;
        bytes
    }

    /// Lets the next call of `release_pages` begin with the first span.
    pub fn restart_release(&self) {
        self.inner.lock().position = Position::new();
    }

    /// In a forked child, of the thread `own`, with the lock held: spans whose pages another thread was giving back are
    /// as all others again. Those that the forking thread has in hand stay there: a signal handler forks, and the call that
    /// it interrupted goes on.
    ///
    /// # Safety
    /// The calling thread holds the lock by `ForkLock`, no other thread exists, and nobody has another
    /// reference to what it guards.
    pub unsafe fn reset_in_child(&self, class: SizeClass, own: u32) -> List<Span> {
        // SAFETY: by the caller's word.
        let inner = unsafe { &mut *self.inner.data_ptr() };
        let mut emptied = List::new();
        for place in 0..HOLDERS {
            let Held { span, by } = inner.held[place];
            if !span.is_null() && by != own {
                // The kernel may have done it or not: what is said to be resident is given back once more.
                inner.unhold_pages(class, place, false, &mut emptied);
            }
        }
        emptied
    }
}

/// Drops the content of the set `pages` of the span at `addr`. Returns whether the kernel did it.
///
/// # Safety
/// Nobody needs the content.
unsafe fn release_runs<O: Os>(os: &O, addr: usize, pages: OsPages) -> bool {
    let mut left = u64::from(pages);
    let mut all = true;
    while left != 0 {
        let start = left.trailing_zeros() as usize;
        let len = (left >> start).trailing_ones() as usize;
        // SAFETY: handed through.
        all &= unsafe { os.release(addr + start * OS_PAGE, len * OS_PAGE) };
        left &= !(((1 << len) - 1) << start);
    }
    all
}

/// The objects that touch OS page `page` of `span`: first, and number.
pub(super) fn objects_on(span: &Span, page: usize) -> Range<usize> {
    let info = span.class.info();
    let number = |offset: usize| ((offset as u64 * info.reciprocal) >> 40) as usize;
    let end = number((page + 1) * OS_PAGE - 1) + 1;
    number(page * OS_PAGE)..end.min(info.objects as usize)
}

/// The free objects of `span` that need no page that was given back.
pub(super) fn resident_objects(span: &Span) -> Objects {
    let mut objects = span.free;
    for page in (0..MAX_SPAN_OS_PAGES).filter(|page| span.released >> page & 1 != 0) {
        let on_page = objects_on(span, page);
        objects.clear_range(on_page.start, on_page.len());
    }
    objects
}

/// The free objects of `span` to be handed out first: those on resident pages; if there are none, those of
/// one page that was given back.
pub(super) fn offer(span: &Span) -> Objects {
    let resident = resident_objects(span);
    if resident.count() > 0 {
        return resident;
    }
    let mut objects = Objects::new();
    for page in (0..MAX_SPAN_OS_PAGES).filter(|page| span.released >> page & 1 != 0) {
        let on_page = objects_on(span, page);
        objects.set_range(on_page.start, on_page.len());
        objects.intersect(&span.free);
        if objects.count() > 0 {
            break;
        }
    }
    objects
}

/// The OS pages of `span` on which no object lives, those that were never touched included.
pub(super) fn vacant(span: &Span) -> OsPages {
    let free = |page: &usize| {
        let objects = objects_on(span, *page);
        !objects.is_empty() && span.free.count_range(objects.start, objects.len()) == objects.len()
    };
    (0..span.bytes() / OS_PAGE).filter(free).fold(0, |pages, page| pages | 1 << page)
}

/// The OS pages of `span` on which no object lives and that hold memory, as far as is known.
fn releasable(span: &Span) -> OsPages {
    let free = (span.class.info().objects - span.allocated) as usize;
    // Not enough for one page, wherever they lie.
    if free * span.class.size() < OS_PAGE {
        return 0;
    }
    let mut pages = 0;
    for page in 0..span.bytes() / OS_PAGE {
        let objects = objects_on(span, page);
        // From `carved` on nothing was ever touched.
        if objects.start >= objects.end || objects.start >= span.carved as usize {
            break;
        }
        if span.free.count_range(objects.start, objects.len()) == objects.len() {
            pages |= 1 << page;
        }
    }
    pages & !span.released
}

impl Inner {
    /// Looks at the next spans of the walk, up to the first with pages to be given back, which it holds:
    /// their objects count as allocated meanwhile. Never inlined, as `unhold_pages`: the stack frame of
    /// `release_pages` lies below that of either, but not of both.
    #[inline(never)]
    fn look_further(&mut self, budget: &mut Budget) -> Turn {
        let Some(place) = self.held.iter().position(|held| held.span.is_null()) else {
            return Turn::End;
        };
        for _ in 0..LOOKS.min(budget.looks) {
            steps::add(1);
            budget.looks -= 1;
            let span = self.position.next;
            if span.is_null() {
                self.position.group += 1;
                let Some(group) = self.groups.get(self.position.group) else {
                    return Turn::End;
                };
                self.position.next = group.first();
                continue;
            }
            // SAFETY: a node of that list, which `unlist` keeps the position in; guarded by the lock.
            unsafe {
                self.position.next = self.groups[self.position.group].next(span);
                let record = &mut *span;
                let searched = core::mem::replace(&mut record.searched, true);
                let pages = if searched { 0 } else { releasable(record) };
                if pages != 0 {
                    record.held = pages;
                    budget.spend(pages);
                    self.take_objects(record);
                    self.hold(place, span);
                    return Turn::Found(place);
                }
            }
        }
        Turn::More
    }

    /// Notes that the walk must not stop at `span`, which leaves the list of `group`.
    #[inline]
    pub(super) fn step_over(&mut self, group: usize, span: *mut Span) {
        if self.position.next == span {
            // SAFETY: `span` is in that list still.
            self.position.next = unsafe { self.groups[group].next(span) };
        }
    }

    /// Marks every object on the held pages as allocated.
    fn take_objects(&mut self, span: &mut Span) {
        let before = span.free.count();
        for page in (0..MAX_SPAN_OS_PAGES).filter(|page| span.held >> page & 1 != 0) {
            let objects = objects_on(span, page);
            span.free.clear_range(objects.start, objects.len());
        }
        let taken = before - span.free.count();
        span.allocated += taken as u16;
        self.free -= taken;
    }

    /// Ends the hold of the span at `place` of `held`, whose pages were released if `released`.
    #[inline(never)]
    fn unhold_pages(
        &mut self,
        class: SizeClass,
        place: usize,
        released: bool,
        emptied: &mut List<Span>,
    ) {
        let span = core::mem::replace(&mut self.held[place], Held::NOTHING).span;
        // SAFETY: a span of this class with held objects, hence live, guarded by the lock.
        let record = unsafe { &mut *span };
        record.group = Span::UNLISTED;
        let pages = core::mem::take(&mut record.held);
        let before = record.free.count();
        for page in (0..MAX_SPAN_OS_PAGES).filter(|page| pages >> page & 1 != 0) {
            let objects = objects_on(record, page);
            record.free.set_range(objects.start, objects.len());
        }
        let given = record.free.count() - before;
        record.allocated -= given as u16;
        self.free += given;
        // Unless objects came home meanwhile: they may have emptied other pages of the span.
        record.searched &= released;
        if released {
            record.released |= pages;
            self.released += pages.count_ones() as usize;
            limits::note_inside_spans(pages.count_ones() as usize * OS_PAGE);
        }
        self.settle(class, span, emptied);
    }

    /// Notes that objects of `span` between `first` and `last`, no longer marked free, are about to be used. Pages
    /// between them on which everything is free stay given back.
    pub(super) fn note_use(&mut self, span: &mut Span, first: usize, last: usize) {
        let start = (first - span.addr()) / OS_PAGE;
        let end = (last - span.addr()) / OS_PAGE;
        let mut used = 0;
        for page in (start..=end).filter(|page| span.released >> page & 1 != 0) {
            let objects = objects_on(span, page);
            if span.free.count_range(objects.start, objects.len()) != objects.len() {
                used |= 1 << page;
            }
        }
        span.released &= !used;
        self.released -= used.count_ones() as usize;
        limits::forget_inside_spans(used.count_ones() as usize * OS_PAGE);
        self.refaulted += used.count_ones() as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::central::tests::{Model, SIZES};
    use crate::os::Linux;
    use crate::sync::Futex;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A child forked while another thread gave pages back has the spans of that thread as all others:
        /// every count is right, every object can be had, and every empty span goes back.
        #[test]
        fn a_child_takes_back_the_spans_that_were_in_hand(
            size in prop::sample::select(SIZES.to_vec()),
            keep in 2usize..30,
            holds in 1usize..=HOLDERS,
            free_all: bool,
        ) {
            let mut model = Model::new(size);
            for _ in 0..40 {
                model.fetch(50);
            }
            let places = model.held.iter().copied().enumerate();
            let gone: Vec<usize> =
                places.filter(|(place, _)| place % keep != 0).map(|(_, addr)| addr).collect();
            model.release(&gone);
            let mut held = 0;
            {
                let mut inner = model.list.inner.lock();
                inner.position = Position { group: 0, next: inner.groups[0].first() };
                while held < holds {
                    match inner.look_further(&mut Budget::unbounded()) {
                        Turn::Found(_) => held += 1,
                        Turn::More => {}
                        Turn::End => break,
                    }
                }
            }
            prop_assert!(model.list.is_sound(), "while spans are held");
            if free_all {
                // Spans of which nothing but the held pages' objects is out go home in the child only.
                let rest = core::mem::take(&mut model.held);
                for addr in rest {
                    model.held = vec![addr];
                    model.release(&[addr]);
                }
            }
            let lock = model.list.fork_lock();
            lock.acquire_for_fork(false);
            // SAFETY: the lock was taken the way it says, and this thread alone uses the list.
            let emptied = unsafe { model.list.reset_in_child(model.class, Linux::thread()) };
            prop_assert!(emptied.is_empty(), "spans in the thread's own hand stay there");
            // SAFETY: as the lock says.
            let emptied = unsafe { model.list.reset_in_child(model.class, 0) };
            // SAFETY: as above.
            unsafe { lock.reset_in_child() };
            prop_assert!(model.list.inner.lock().held.iter().all(|held| held.span.is_null()));
            give_back(&model.source, emptied);
            model.check();
            model.fetch(300);
            model.check();
            let rest = model.held.clone();
            model.release(&rest);
            model.check();
            prop_assert_eq!(model.source.spans(), 0);
        }
    }
}
