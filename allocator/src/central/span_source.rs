//! Where the central free lists get their spans: the tier below, as they see it.
//!
//! [`SpanSource`] is that view. In the process [`PageHeapSource`] is behind it; tests have a
//! scripted one. A list calls its source without holding its own lock.

use super::cow::state;
use crate::base::hint::unlikely;
use crate::base::list::List;
use crate::base::memcheck;
use crate::config::PAGE_SIZE;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use core::cell::Cell;
use core::ptr::NonNull;

/// The tier below: where spans come from.
pub trait SpanSource {
    /// A fresh span for objects of `class`, which belongs to the caller; `None` if memory is
    /// exhausted.
    fn allocate(&self, class: SizeClass) -> Option<NonNull<Span>>;

    /// Takes a span back.
    ///
    /// # Safety
    /// `span` came from `allocate`, all of its objects are free, and the caller gives it up.
    unsafe fn free_span(&self, span: NonNull<Span>);

    /// Told that pages of the span at `addr` are about to be released.
    fn break_up(&self, addr: usize) {
        let _ = addr;
    }

    /// Told that `bytes` of released pages inside spans come into use again.
    fn refaulted(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Told now and then that `bytes` were handed out.
    fn handed_out(&self, _bytes: usize) {}

    /// Number of the `fork` whose child may share our pages; 0: none does.
    #[inline]
    fn cow_since(&self) -> u32 {
        0
    }
}

/// The page heap of the process, for one call of a list.
pub(super) struct PageHeapSource {
    /// Bytes that came into use during the call and were not resident.
    grown: Cell<usize>,
    /// Bytes of spans that were taken during the call.
    taken: Cell<usize>,
    /// Bytes handed out, as far as they were reported during the call.
    volume: Cell<usize>,
}

impl PageHeapSource {
    /// A source that has handed out nothing.
    pub const fn new() -> Self {
        Self { grown: Cell::new(0), taken: Cell::new(0), volume: Cell::new(0) }
    }

    /// Whether any of the three below is not 0.
    pub fn has_news(&self) -> bool {
        self.grown.get() | self.taken.get() | self.volume.get() != 0
    }

    /// Bytes handed out, as far as they were reported.
    pub fn volume(&self) -> usize {
        self.volume.get()
    }

    /// Bytes of spans that were taken.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Notes that `bytes` of pages came into use on which nothing lived, though resident. That is
    /// growth: the idle bytes of other classes would stay otherwise, as nothing else grows.
    pub fn grown_by_leftovers(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes);
        self.grown.set(self.grown.get() + bytes);
    }

    /// Bytes that came into use and were not resident.
    pub fn grown(&self) -> usize {
        self.grown.get()
    }
}

impl SpanSource for PageHeapSource {
    fn allocate(&self, class: SizeClass) -> Option<NonNull<Span>> {
        let span =
            PAGE_HEAP.allocate(Length(class.info().pages as usize), class.span_align(), class)?;
        if unlikely(self.cow_since() != 0) {
            state::note_taken(class.info().pages as usize * PAGE_SIZE);
        }
        // SAFETY: the page heap has just handed the span out, so its record is live and nobody
        // else changes it.
        let record = unsafe { span.as_ref() };
        self.taken.set(self.taken.get() + record.bytes());
        if record.fresh {
            self.grown.set(self.grown.get() + record.bytes());
        }
        memcheck::close(record.addr(), record.bytes());
        Some(span)
    }

    unsafe fn free_span(&self, span: NonNull<Span>) {
        // SAFETY: the caller says that the span came from `allocate`, hence from the page heap, and
        // that nothing in it is in use.
        unsafe { PAGE_HEAP.free_span(span) }
    }

    fn break_up(&self, addr: usize) {
        PAGE_HEAP.break_up(addr);
    }

    fn refaulted(&self, bytes: usize) {
        self.grown.set(self.grown.get() + bytes);
    }

    fn handed_out(&self, bytes: usize) {
        self.volume.set(self.volume.get() + bytes);
    }

    #[inline]
    fn cow_since(&self) -> u32 {
        state::since()
    }
}

/// Gives spans without live objects back to their source. The caller has given up the lock.
pub(super) fn free_spans<S: SpanSource>(source: &S, mut emptied: List<Span>) {
    while let Some(span) = NonNull::new(emptied.pop_front()) {
        // SAFETY: the list of the class has put the span into `emptied` and into no other list,
        // when the last of its objects became free. So the span is the caller's.
        unsafe { source.free_span(span) };
    }
}
