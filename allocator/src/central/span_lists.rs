//! The spans of one size class, in lists by how full they are: what the lock of a central free list
//! guards.
//!
//! A span with free objects is in the list of its owner and its group (`spans_by_shard`). A span
//! whose objects are all in use is in no list. A span whose objects are all free leaves at once,
//! into a list of the caller's (`emptied`), who gives it back to the source after the lock. A span
//! some of whose pages are being released is in no list either, but in `held` (see `hold`).
//!
//! Equations, at any time under the lock: `free` is the sum of the free objects of all spans,
//! `untouched` the sum of those behind the last one that was ever handed out, and `released` the
//! sum of the released pages.
//!
//! The lock's holder alone reads and changes the records of the class's spans, but for `free_span`
//! and `allocate` of the source, to which a span belongs outside of these lists. Nothing here
//! touches the memory of an object, or calls another tier.

use super::chain::Chain;
use super::cow;
use super::low_water::{LowWater, SearchBackoff};
use super::os_pages::{OS_PAGE, resident_objects};
use super::shared_pages::SharedPage;
use super::span_cursor::SpanCursor;
use super::spans_by_shard::{SpansByShard, UNSHARED};
use crate::base::fatal::fatal;
use crate::base::hint::unlikely;
use crate::base::list::List;
use crate::os::Linux;
use crate::page::cow_set::CowSet;
use crate::page::owner::{Shard, Step};
use crate::page::size_class::SizeClass;
use crate::page::span::{OsPages, Span};
use crate::page::units::Granule;
use crate::page_heap::limits;
use crate::sync::Futex;
use core::ptr::{self, NonNull};

/// Bytes handed out that a class does not report: the number of all is on a cache line that all
/// threads share.
const VOLUME_REPORT: usize = 64 << 10;

/// Threads that may release pages of spans of one class at the same time.
pub(super) const HOLDERS: usize = 4;

/// The spans of a class, and what is known of them together.
pub(super) struct SpanLists {
    pub by_shard: SpansByShard,
    /// The step of the decay that is under way.
    pub step: Step,
    /// What `SpanSource::cow_since` said last.
    pub since: u32,
    /// Free objects in all spans.
    pub free: usize,
    /// Those of them that were never handed out, so that their memory was never touched.
    pub untouched: usize,
    /// Spans, those without free objects included.
    pub spans: usize,
    /// OS pages of the spans that were released and not used since.
    pub released: usize,
    /// OS pages that ceased to count as released since a fetch last looked.
    pub refaulted: usize,
    /// Objects handed out that were not reported yet.
    pub volume: usize,
    /// Objects handed out since the release by volume last asked, less `volume`, which may be more:
    /// the difference wraps.
    handed_out: usize,
    /// Fewest free objects since each consumer last asked.
    pub low: LowWater,
    /// When to search the spans for idle pages again.
    pub backoff: SearchBackoff,
    /// Where the walk is that releases pages.
    pub position: Position,
    /// Spans whose pages are being released.
    pub held: [Held; HOLDERS],
    /// OS pages in a page of the kernel, from the first release on.
    pub granule: Granule,
}

// SAFETY: the raw pointers name records that are never unmapped, and the holder of the lock around
// this value alone uses them, whichever thread that is.
unsafe impl Send for SpanLists {}

/// Where the walk over the spans is: the next span to look at, and the list that it is in.
pub(super) struct Position {
    pub group: usize,
    pub shard: Shard,
    pub next: *mut Span,
}

impl Position {
    /// At the end of the first list, whose spans have nothing to release. All zeros: otherwise the
    /// lists of all classes, and the transfer caches beside them, would be data that every process
    /// reads from the library's file.
    pub const fn new() -> Self {
        Self { group: 0, shard: Shard::FIRST, next: ptr::null_mut() }
    }
}

/// A span whose pages are being released.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// Null: none.
    pub span: *mut Span,
    /// The thread that releases them, as locks know it.
    pub by: u32,
}

impl Held {
    /// No span.
    pub const NOTHING: Self = Self { span: ptr::null_mut(), by: 0 };
}

/// The group for a span, or `None` if it has no free object. `since` as in [`SpanLists`].
#[inline(always)]
fn group_of(span: &Span, since: u32) -> Option<usize> {
    let info = span.class.info();
    if span.allocated >= info.objects {
        return None;
    }
    if unlikely(since != 0) && cow::has_unshared_objects(span, since) {
        return Some(UNSHARED);
    }
    if span.released != 0 && resident_objects(span).count() == 0 {
        return Some(0);
    }
    Some(info.group(span.allocated))
}

/// Whether `addr`, which is no object in use of a span of `class`, lies on no shared page. If so,
/// aborts if `strict`.
#[cold]
#[inline(never)]
fn is_misplaced(class: SizeClass, addr: usize, strict: bool) -> bool {
    if SharedPage::at(addr).is_some() {
        return false;
    }
    if strict {
        let size = class.size();
        if SpanCursor::at(class, addr).is_some_and(|span| span.is_object(addr)) {
            fatal(format_args!("double free: {addr:#x}, a block of {size} bytes"));
        }
        fatal(format_args!(
            "invalid free: {addr:#x} does not point to the start of a block of {size} bytes"
        ));
    }
    true
}

impl SpanLists {
    /// No spans.
    pub const fn new() -> Self {
        Self {
            by_shard: SpansByShard::new(),
            step: Step::START,
            since: 0,
            free: 0,
            untouched: 0,
            spans: 0,
            released: 0,
            refaulted: 0,
            volume: 0,
            handed_out: 0,
            low: LowWater::new(),
            backoff: SearchBackoff::new(),
            position: Position::new(),
            held: [Held::NOTHING; HOLDERS],
            granule: Granule::ONE,
        }
    }

    /// Bytes handed out that are to be reported: none, until they are many.
    #[inline(always)]
    pub fn volume_to_report(&mut self, class: SizeClass) -> usize {
        let bytes = self.volume * class.size();
        if bytes < VOLUME_REPORT {
            return 0;
        }
        self.handed_out = self.handed_out.wrapping_add(self.volume);
        self.volume = 0;
        bytes
    }

    /// Objects handed out since this was last called.
    pub fn take_handed_out(&mut self) -> usize {
        let handed_out = self.handed_out.wrapping_add(self.volume);
        self.handed_out = self.volume.wrapping_neg();
        handed_out
    }

    /// Adds a fresh span, which is one of `shard`.
    pub fn add(&mut self, class: SizeClass, span: NonNull<Span>, shard: Shard) {
        let objects = class.info().objects;
        // SAFETY: the span is fresh from the source, so its record is live, no other reference to
        // it exists, and it is in no list.
        unsafe {
            let record = &mut *span.as_ptr();
            record.free.set_range(0, objects as usize);
            record.group = Span::UNLISTED;
            record.owner.set(self.by_shard.admit(shard));
            if !record.fresh {
                // Most of it is resident: to touch it bit by bit saves nothing.
                record.carved = objects;
            }
            if self.since != 0 {
                record.cow.add_unshared(self.since, OsPages::MAX);
            }
            self.spans += 1;
            self.free += objects as usize;
            self.untouched += usize::from(objects - record.carved);
            self.relist(span.as_ptr());
        }
    }

    /// Takes `span` out of the list of its group while pages of it are released. `place` is free in
    /// `held`.
    ///
    /// # Safety
    /// `span` is in the list of its `group`, and has held pages.
    pub unsafe fn hold(&mut self, place: usize, span: *mut Span) {
        // SAFETY: the caller says that the span is in the list of its group, hence live; the lock
        // guards it.
        unsafe {
            self.unlist(span);
            (*span).group = Span::HELD;
        }
        self.held[place] = Held { span, by: Linux::thread() };
    }

    /// Moves `span` to the list of the group that it belongs to now. While pages of it are released
    /// it stays in no list.
    ///
    /// # Safety
    /// `span` is a live span of this class.
    #[inline(always)]
    pub unsafe fn relist(&mut self, span: *mut Span) {
        // SAFETY: the caller says that the span is live; the lock guards it. `group` says which
        // list it is in.
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

    /// Moves `span` to the list of `group`, or out of all lists.
    ///
    /// # Safety
    /// `span` is a live span of this class, and not held.
    #[inline(always)]
    unsafe fn move_to(&mut self, group: u8, span: *mut Span) {
        let ordinary = 0..UNSHARED as u8;
        // SAFETY: the caller says that the span is live; the lock guards it. `group` says which
        // list it is in, and it is in none when it is inserted.
        unsafe {
            if ordinary.contains(&group) && ordinary.contains(&(*span).group) {
                self.pass_by(span);
                return self.by_shard.regroup(span, group as usize);
            }
            if (*span).group != Span::UNLISTED {
                self.unlist(span);
            }
            if group != Span::UNLISTED {
                self.by_shard.insert(span, group as usize);
            }
        }
    }

    /// Lets the walk that releases pages go on behind `span` if it is there: it must not stop at a
    /// span that leaves its list.
    ///
    /// # Safety
    /// `span` is in a list.
    #[inline(always)]
    unsafe fn pass_by(&mut self, span: *mut Span) {
        if self.position.next == span {
            // SAFETY: the caller says that the span is in a list.
            self.position.next = unsafe { self.by_shard.next(span) };
        }
    }

    /// Takes `span` out of the list of its group.
    ///
    /// # Safety
    /// `span` is in the list of its `group`.
    #[inline(always)]
    pub unsafe fn unlist(&mut self, span: *mut Span) {
        // SAFETY: the caller says that the span is in the list of its group.
        unsafe {
            self.pass_by(span);
            self.by_shard.remove(span);
        }
    }

    /// Makes `span` one of `shard`, which was admitted.
    ///
    /// # Safety
    /// `span` is in the list of its owner and its `group`.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub unsafe fn take_over(&mut self, span: *mut Span, shard: Shard) {
        // SAFETY: the caller says that the span is in its list, hence live; the lock guards it. It
        // is in none while its owner changes.
        unsafe {
            let group = (*span).group;
            self.unlist(span);
            (*span).owner.take_over(shard, self.step);
            self.move_to(group, span);
        }
    }

    /// Puts the first span of the group of the unshared, none of whose pages is unshared any more,
    /// into its own group. New spans enter that group in front, so that all that are unshared come
    /// before all that were.
    #[cold]
    pub fn demote_one(&mut self) {
        let span = self.by_shard.unshared().first();
        // SAFETY: the group is not empty when this is called, so this is a node of its list, hence
        // live; the lock guards it.
        unsafe {
            (*span).cow = CowSet::OLD;
            self.relist(span);
        }
    }

    /// Marks objects of a chain of `class` as free in their spans, up to the first one that lies on
    /// a shared page: that one and all behind it stay in `chain`. Aborts for what is not an object,
    /// or free already, if `strict`; passes over it otherwise.
    ///
    /// # Safety
    /// The caller gives up the chain's objects, of which all but the last are linked. The chain
    /// ends where its count says, or before that at a null link.
    #[inline(always)]
    pub unsafe fn put(
        &mut self,
        class: SizeClass,
        chain: &mut Chain,
        emptied: &mut List<Span>,
        strict: bool,
    ) {
        while !chain.is_empty() {
            let addr = chain.head as usize;
            if let Some(cursor) = SpanCursor::at(class, addr) {
                // SAFETY: the caller gives up the objects, which are linked but for the last; the
                // lock is held, and no reference to the span's record exists.
                let count = unsafe { cursor.put_run(chain) };
                if count > 0 {
                    self.note_returned(class, cursor.span(), count, emptied);
                    continue;
                }
            }
            if addr == 0 {
                *chain = Chain::EMPTY;
                return;
            }
            if !is_misplaced(class, addr, strict) {
                return;
            }
            // SAFETY: the caller gives up the chain's objects, which are linked but for the last.
            unsafe { chain.pop() };
        }
    }

    /// Accounts for `count` objects, at least one, that returned to `span`.
    #[inline(always)]
    fn note_returned(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        count: usize,
        emptied: &mut List<Span>,
    ) {
        // SAFETY: objects have just returned to the span, so it is a live span of this class; the
        // lock guards its record. No other reference to it exists.
        let record = unsafe { &mut *span };
        record.allocated -= count as u16;
        record.searched = false;
        self.free += count;
        // Most spans stay in their group, as `group_of` would say.
        let is_plain = record.released == 0 && self.since == 0 && record.allocated > 0;
        if !is_plain || usize::from(record.group) != class.info().group(record.allocated) {
            self.refile(class, span, emptied);
        }
    }

    /// Puts a span that objects returned to where it belongs now: into the list of its group, or,
    /// if all of its objects are free, out of these lists and into `emptied`. Null is a no-op.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn refile(&mut self, class: SizeClass, span: *mut Span, emptied: &mut List<Span>) {
        // SAFETY: null or a live span of this class; the lock guards it. Once it is unlisted, it is
        // in no list and may enter another.
        unsafe {
            let Some(record) = span.as_ref() else { return };
            if record.allocated > 0 {
                return self.relist(span);
            }
            if record.group != Span::UNLISTED {
                self.unlist(span);
            }
            let released = record.released.count_ones() as usize;
            self.spans -= 1;
            self.released -= released;
            limits::forget_inside_spans(released * OS_PAGE);
            self.free -= class.info().objects as usize;
            self.untouched -= usize::from(class.info().objects - record.carved);
            self.low.note(self.free);
            emptied.push_front(span);
        }
    }

    /// Whether the invariants hold: each span's bitmap agrees with its count, each span is in the
    /// list that its owner and its count say, and the free objects of all add up.
    pub fn is_sound(&self) -> bool {
        let mut free = 0;
        let listed = self.by_shard.all(|group, shard, list| {
            let mut node = list.first();
            while !node.is_null() {
                // SAFETY: a node of the list is live, and the lock guards its record.
                let span = unsafe { &*node };
                // A span that was unshared leaves the group of the unshared when a fetch meets it.
                let is_due = group_of(span, self.since) == Some(group) || group == UNSHARED;
                let is_owners = shard.is_none_or(|shard| shard == span.owner.shard());
                if usize::from(span.group) != group || !is_due || !is_owners || !span.is_sound() {
                    return false;
                }
                free += span.free.count();
                // SAFETY: the node is in this list.
                node = unsafe { list.next(node) };
            }
            true
        });
        if !listed {
            return false;
        }
        for held in &self.held {
            // SAFETY: null or a span of this class that is held. It has objects that count as
            // allocated, so it is live; the lock guards its record.
            let Some(span) = (unsafe { held.span.as_ref() }) else { continue };
            if span.group != Span::HELD || span.held == 0 || !span.is_sound() {
                return false;
            }
            free += span.free.count();
        }
        free == self.free
    }
}
