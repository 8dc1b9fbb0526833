//! The spans of one size class: where objects come from and go home to.
//!
//! Spans with free objects are in lists by how full they are. Allocation takes from the fullest, so that
//! the emptiest can drain and return to the page heap; but memory that was given back inside a span comes
//! last, so that what is resident is used up first. A span that is entirely in use is in no list; one that
//! is entirely free leaves at once.
//!
//! The lock is not held while the page heap is asked. Chains are walked before it is taken, as reading an object's
//! link is often a cache miss, and a second time, from the processor's caches, while it is held: no list of the
//! addresses is kept, which would take a kilobyte of the caller's stack.

use super::chain::{Chain, FreeObject};
use super::chain_builder::BuildChain;
use super::cow_pages::has_unshared_objects;
use super::internal_fragmentation::InternalFragmentation;
use super::low_water::SearchBackoff;
use super::picks::{ChainBuilder, Picks};
use super::release::{HOLDERS, Held, OS_PAGE, Position, resident_objects};
use super::span_cursor::{self, SpanCursor};
use crate::base::fatal::fatal;
use crate::base::hint::unlikely;
use crate::base::list::List;
use crate::base::steps;
use crate::config::MAGAZINE_MAX_OBJECTS;
use crate::os::{Linux, Lock};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{OsPages, Place, Span};
use crate::page_heap::limits;
use crate::sync::{ForkLock, Futex, Rank};
use core::ptr::NonNull;

/// Number of occupancy groups: spans whose free objects all lie on pages that were given back, eight groups
/// of the others, and those with free objects on unshared pages.
pub(super) const GROUPS: usize = 10;
/// The last of them.
pub(super) const UNSHARED: usize = GROUPS - 1;

/// The tier below: where spans come from.
pub trait SpanSource {
    /// A fresh span for objects of `class`.
    fn allocate(&self, class: SizeClass) -> Option<NonNull<Span>>;

    /// Takes a span back.
    ///
    /// # Safety
    /// `span` came from `allocate`, and all of its objects are free.
    unsafe fn free_span(&self, span: NonNull<Span>);

    /// Told that pages of the span at `addr` are about to be given back.
    fn break_up(&self, addr: usize) {
        let _ = addr;
    }

    /// Told that `bytes` of pages inside spans that had been given back come into use again.
    fn refaulted(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Number of the `fork` whose child may share our pages; 0: none does.
    #[inline]
    fn shared_since(&self) -> u32 {
        0
    }
}

/// The central free list of one class. Thread-safe.
pub struct CentralFreeList {
    pub(super) inner: Lock<Inner>,
    /// How much requests are rounded up for which objects are taken from here; beside the lock, which they take.
    pub(super) internal_fragmentation: InternalFragmentation,
}

pub(super) struct Inner {
    pub(super) groups: [List<Span>; GROUPS],
    /// Bit per group: not empty.
    pub(super) occupied: u16,
    /// What `SpanSource::shared_since` said last.
    pub(super) since: u32,
    /// Free objects in all spans.
    pub(super) free: usize,
    /// Spans, the full ones included.
    spans: usize,
    /// OS pages of the spans that were given back and not used since.
    pub(super) released: usize,
    /// OS pages that ceased to count as released since `fetch` last looked.
    pub(super) refaulted: usize,
    /// Fewest free objects since each of the two who ask for it last did, see `low_water`.
    pub(super) low: [usize; 2],
    /// When to search the spans for idle pages again, see `low_water`.
    pub(super) patience: SearchBackoff,
    /// Where the walk is that gives back pages inside spans, see `release`.
    pub(super) position: Position,
    /// Spans whose pages are being given back, in no list meanwhile.
    pub(super) held: [Held; HOLDERS],
}

// SAFETY: the records that the raw pointers name are used by the lock's holder only.
unsafe impl Send for Inner {}

impl CentralFreeList {
    pub const fn new() -> Self {
        let inner = Inner {
            groups: [const { List::new() }; GROUPS],
            occupied: 0,
            since: 0,
            free: 0,
            spans: 0,
            released: 0,
            refaulted: 0,
            low: [0; 2],
            patience: SearchBackoff::new(),
            position: Position::new(),
            held: [Held::NOTHING; HOLDERS],
        };
        Self {
            inner: Lock::new(Rank::Central, inner),
            internal_fragmentation: InternalFragmentation::new(),
        }
    }

    /// Up to `want` objects (a few more where a cache line would be split), at least one unless memory
    /// is exhausted. Fresh memory is carved to the end of one OS page at most. If `apart`, objects of cache lines on
    /// which nothing lives come first, where some are found at the first look.
    ///
    /// Objects are touched without the lock.
    ///
    /// Never inlined: `Central::fetch` may go on to give memory back, and its stack frame must not be that of both.
    #[inline(never)]
    pub fn fetch<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        request: usize,
        apart: bool,
    ) -> Chain {
        let mut builder = ChainBuilder::new();
        let mut picks = Picks::new();
        let mut spare_shared = true;
        loop {
            let mut inner = self.inner.lock();
            inner.since = source.shared_since();
            let may_have_more = inner.pick(class, request, apart, spare_shared, &mut picks);
            let refaulted = core::mem::take(&mut inner.refaulted);
            drop(inner);
            // SAFETY: the spans no longer have them.
            unsafe { picks.build(class.size(), &mut builder) };
            if refaulted > 0 {
                source.refaulted(refaulted * OS_PAGE);
            }
            if may_have_more {
                continue;
            }
            if picks.count() > 0 {
                return builder.finish();
            }
            match source.allocate(class) {
                Some(span) => self.inner.lock().add(class, span),
                // To copy a page is better than to fail.
                None if spare_shared && source.shared_since() != 0 => spare_shared = false,
                None => return Chain::EMPTY,
            }
        }
    }

    /// Takes objects home. Spans that become entirely free go back to `source`.
    ///
    /// # Safety
    /// The objects are of `class`, free, and belong to the caller.
    pub unsafe fn release<S: SpanSource>(&self, source: &S, class: SizeClass, chain: Chain) {
        // SAFETY: handed through.
        unsafe { self.take_home(source, class, chain, true) }
    }

    /// As `release`, passing over what is free already or not an object.
    ///
    /// # Safety
    /// As `release`, but for objects that are free here already.
    pub unsafe fn salvage<S: SpanSource>(&self, source: &S, class: SizeClass, chain: Chain) {
        // SAFETY: handed through.
        unsafe { self.take_home(source, class, chain, false) }
    }

    /// # Safety
    /// As `release`; as `salvage` if not `strict`.
    unsafe fn take_home<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        chain: Chain,
        strict: bool,
    ) {
        let mut left = chain;
        while !left.is_empty() {
            // SAFETY: the chain's objects are linked, and the caller's.
            let part = unsafe { span_cursor::cut_off(&mut left, MAGAZINE_MAX_OBJECTS) };
            // SAFETY: they are of `class`, and free.
            unsafe { self.land(source, class, part, strict) };
        }
    }

    /// As `release`, for a part of a chain that was walked a moment ago: only `count` says where it ends.
    ///
    /// # Safety
    /// As `release`.
    pub unsafe fn release_part<S: SpanSource>(&self, source: &S, class: SizeClass, part: Chain) {
        // SAFETY: by the caller's word.
        unsafe { self.land(source, class, part, true) }
    }

    /// Takes home what was walked a moment ago: reading the links under the lock misses no cache.
    ///
    /// # Safety
    /// As `release`; as `salvage` if not `strict`. Only `count` says where the part ends.
    unsafe fn land<S: SpanSource>(&self, source: &S, class: SizeClass, part: Chain, strict: bool) {
        let mut emptied = List::new();
        let mut inner = self.inner.lock();
        steps::add_objects(part.count);
        let mut cursor = SpanCursor::NOWHERE;
        let mut object = part.head;
        for _ in 0..part.count {
            let addr = object as usize;
            // Before it is put, from when on it is not the caller's any more.
            // SAFETY: the part's objects are linked, and the caller's.
            object = unsafe { FreeObject::next(object) };
            inner.put(class, addr, &mut cursor, &mut emptied, strict);
        }
        inner.settle_cursor(class, &cursor, &mut emptied);
        drop(inner);
        give_back(source, emptied);
    }

    /// Whether the object at `addr`, which lies in a span of this class, is free here.
    pub fn holds(&self, addr: usize) -> bool {
        let _inner = self.inner.lock();
        let span = PAGE_MAP.span(addr);
        // SAFETY: under the lock the span's record does not change, and records are never unmapped.
        match unsafe { span.as_ref() } {
            Some(span) => match span.place_of(addr) {
                Place::Object(index) => span.free.get(index),
                Place::Inside => false,
            },
            None => true,
        }
    }

    /// Free objects, spans, and OS pages of the spans that were given back and not used since.
    pub fn stats(&self) -> (usize, usize, usize) {
        let inner = self.inner.lock();
        (inner.free, inner.spans, inner.released)
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.inner
    }

    /// Whether the list's invariants hold: every listed span's bitmap agrees with its count, it is in the
    /// group that its count says, and the free objects of all add up.
    pub fn is_sound(&self) -> bool {
        let inner = self.inner.lock();
        let mut free = 0;
        for (group, list) in inner.groups.iter().enumerate() {
            if list.is_empty() != (inner.occupied >> group & 1 == 0) {
                return false;
            }
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: nodes of the list are live, and the lock is held.
                let span = unsafe { &*node };
                // Those that were unshared leave their group when they are met.
                let due = group_of(span, inner.since) == Some(group) || group == UNSHARED;
                let filed = usize::from(span.group) == group && due;
                if !filed || !span.is_sound() {
                    return false;
                }
                free += span.free.count();
                // SAFETY: as above.
                node = unsafe { list.next(node) };
            }
        }
        for held in &inner.held {
            // SAFETY: null or a span of this class, which has objects out while it is held; the lock is held.
            let Some(span) = (unsafe { held.span.as_ref() }) else { continue };
            if span.group != Span::HELD || span.held == 0 || !span.is_sound() {
                return false;
            }
            free += span.free.count();
        }
        free == inner.free
    }
}

/// Gives spans back of which nothing is in use. For after the lock.
pub(super) fn give_back<S: SpanSource>(source: &S, mut emptied: List<Span>) {
    while let Some(span) = NonNull::new(emptied.pop_front()) {
        // SAFETY: the span is out of the lists, and all of its objects are free.
        unsafe { source.free_span(span) };
    }
}

/// The group for a span, or `None` if it has no free object. `since` as in [`Inner`].
#[inline(always)]
fn group_of(span: &Span, since: u32) -> Option<usize> {
    let info = span.class.info();
    if span.allocated >= info.objects {
        return None;
    }
    if unlikely(since != 0) && has_unshared_objects(span, since) {
        return Some(UNSHARED);
    }
    if span.released != 0 && resident_objects(span).count() == 0 {
        return Some(0);
    }
    // Rounded down, eighths of less than all objects are at most 7.
    Some(1 + ((u32::from(span.allocated) * info.eighths) >> 16) as usize)
}

impl Inner {
    /// Adds a fresh span.
    fn add(&mut self, class: SizeClass, span: NonNull<Span>) {
        let objects = class.info().objects;
        // SAFETY: the span is fresh from the source and ours.
        unsafe {
            let record = &mut *span.as_ptr();
            record.free.set_range(0, objects as usize);
            record.group = Span::UNLISTED;
            if !record.fresh {
                // Resident already, most of it: nothing is saved by touching it bit by bit.
                record.carved = objects;
            }
            if self.since != 0 {
                record.cow.add_unshared(self.since, OsPages::MAX);
            }
            self.spans += 1;
            self.free += objects as usize;
            self.relist(span.as_ptr());
        }
    }

    /// Spans of the class.
    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    /// Takes `span` out of the list of its group while pages of it are given back. `place` is free in `held`.
    ///
    /// # Safety
    /// `span` is in the list of its `group`, and has held pages.
    pub(super) unsafe fn hold(&mut self, place: usize, span: *mut Span) {
        // SAFETY: live, and guarded by the lock; in no list once it is unlisted.
        unsafe {
            self.unlist(span);
            (*span).group = Span::HELD;
        }
        self.held[place] = Held { span, by: Linux::thread() };
    }

    /// Puts `span` into the list of its group, out of the one it is in, unless pages of it are being given
    /// back: then it stays where it is until that is done.
    ///
    /// # Safety
    /// `span` is a live span of this class.
    #[inline(always)]
    pub(super) unsafe fn relist(&mut self, span: *mut Span) {
        // SAFETY: live, and guarded by the lock.
        unsafe {
            if unlikely((*span).group == Span::HELD) {
                return;
            }
            let new = group_of(&*span, self.since).map_or(Span::UNLISTED, |group| group as u8);
            if new != (*span).group {
                self.move_to(new, span);
            }
        }
    }

    /// # Safety
    /// As `relist`.
    unsafe fn move_to(&mut self, group: u8, span: *mut Span) {
        // SAFETY: live, and guarded by the lock.
        unsafe {
            if (*span).group != Span::UNLISTED {
                self.unlist(span);
            }
            if group != Span::UNLISTED {
                self.groups[group as usize].push_front(span);
                self.occupied |= 1 << group;
            }
            (*span).group = group;
        }
    }

    /// # Safety
    /// `span` is in the list of its `group`.
    unsafe fn unlist(&mut self, span: *mut Span) {
        // SAFETY: by the caller's word.
        unsafe {
            let group = (*span).group as usize;
            self.step_over(group, span);
            self.groups[group].remove(span);
            if self.groups[group].is_empty() {
                self.occupied &= !(1 << group);
            }
            (*span).group = Span::UNLISTED;
        }
    }

    /// Marks the object at `addr` as free in its span. When that is another than the object before went to, the
    /// one before is settled.
    #[inline(always)]
    pub(super) fn put(
        &mut self,
        class: SizeClass,
        addr: usize,
        cursor: &mut SpanCursor,
        emptied: &mut List<Span>,
        strict: bool,
    ) {
        if addr.wrapping_sub(cursor.addr) >= cursor.bytes {
            self.settle_cursor(class, cursor, emptied);
            *cursor = SpanCursor::at(class, addr);
        }
        // SAFETY: null or a live span of this class, guarded by the lock.
        let record = unsafe { cursor.span.as_mut() };
        let index = cursor.index_of(addr);
        let (Some(record), Some(index)) = (record, index) else {
            if strict {
                fatal(format_args!(
                    "invalid free: {addr:#x} does not point to the start of a block of {} bytes",
                    class.size()
                ));
            }
            return;
        };
        if record.free.set(index) {
            if strict {
                fatal(format_args!("double free: {addr:#x}, a block of {} bytes", class.size()));
            }
            return;
        }
        cursor.count += 1;
    }

    /// Accounts for what came home to the span of `cursor`, and settles it.
    pub(super) fn settle_cursor(
        &mut self,
        class: SizeClass,
        cursor: &SpanCursor,
        emptied: &mut List<Span>,
    ) {
        // A span that nothing came home to was settled before, and may be gone.
        if cursor.count == 0 {
            return;
        }
        // SAFETY: a live span of this class, guarded by the lock.
        let record = unsafe { &mut *cursor.span };
        record.allocated -= cursor.count as u16;
        record.searched = false;
        self.free += cursor.count;
        self.settle(class, cursor.span, emptied);
    }

    /// Puts a span that objects came home to where it belongs now: into the list of its group, or, if it
    /// is entirely free, out of this list and into `emptied`. Null is a no-op.
    pub(super) fn settle(&mut self, class: SizeClass, span: *mut Span, emptied: &mut List<Span>) {
        // SAFETY: null or a live span of this class, guarded by the lock; an entirely free one belongs to
        // us alone.
        unsafe {
            let Some(record) = span.as_ref() else { return };
            if record.allocated > 0 {
                return self.relist(span);
            }
            if record.group != Span::UNLISTED {
                self.unlist(span);
            }
            self.spans -= 1;
            self.released -= record.released.count_ones() as usize;
            limits::forget_inside_spans(record.released.count_ones() as usize * OS_PAGE);
            self.free -= class.info().objects as usize;
            self.low = self.low.map(|low| low.min(self.free));
            emptied.push_front(span);
        }
    }
}
