//! Converting spans into shared pages: when, which, and how many.
//!
//! A program whose sizes have shifted takes spans of one class while much lies idle in those of
//! others, on pages that blocks still live on. When a class takes spans, the idle bytes of all
//! classes are looked at, every so many bytes; if they are much of what the heap holds, a budget is
//! set, and fetches that find nothing convert the emptiest spans of the class with the most idle
//! bytes within it, before they take another span. A steady program takes no spans, and one that
//! merely grows has nothing idle: neither ever converts.
//!
//! Both the threshold and the distance between two looks follow what the heap holds, so a small
//! heap converts as a large one does. Looks and conversions are parts of a bounded number of steps,
//! one with each call; the calls take turns at one state ([`Turns`]), and nobody waits for it.

use super::all_classes::Central;
use super::cow::state;
use super::free_list::CentralFreeList;
use super::idle_look::{IdleLook, IdlePages};
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use super::shards::ShardSet;
use super::shared_pages::SHARED_PAGES;
use super::span_lists::SpanLists;
use super::spans_by_shard::UNSHARED;
use super::tolerance;
use crate::base::steps;
use crate::config::{
    CONVERT_FACTOR, CONVERT_LEAST, CONVERT_MOST, CONVERT_SHARE, CONVERT_SHORT_STEP_SHARE,
    CONVERT_STEP, CONVERT_STEP_SHARE, MAX_SMALL, SHARED_MAX_BYTES,
};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page_heap::{PAGE_HEAP, limits};
use crate::parameters::{self, Id};
use crate::policy::{HARDENED, MEMCHECK};
use crate::sync::{AtomicUsize, Ordering, Turns};
use core::ptr::NonNull;

/// Bytes of spans that were taken since the last look began.
///
/// Relaxed, here and below: numbers that decide when something is done, and reach nothing.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Bytes between two looks; 0 before the first.
static DISTANCE: AtomicUsize = AtomicUsize::new(0);
/// Whether anything may be converted now: the budget is not 0.
static IS_DUE: AtomicUsize = AtomicUsize::new(0);

static CONVERSION: Turns<Conversion, Linux> = Turns::new(Conversion::new());

/// Spans of a class that are looked at for one without held pages.
const CANDIDATES: usize = 8;
/// Spans of each class, for each shard of threads that are awake and have any, whose idle bytes do
/// not count: a class that is in use has a span or two that are not full.
const SPARE_SPANS: usize = 1;
/// Spans that one call converts, at most.
const SPANS: usize = 4;

/// What lies idle, and how much of it may be converted.
struct Conversion {
    /// The look that is going on, or the next one.
    look: IdleLook,
    /// Bytes of spans that the look is for.
    taken: usize,
    /// What the last look found that came to its end, less what was converted since.
    idle: IdlePages,
    /// Free bytes in spans that may still be converted.
    budget: usize,
}

/// In a forked child: no look is going on, whatever the parent was at.
pub(super) fn reset_in_child() {
    CONVERSION.reset_in_child(Conversion::new());
    // Relaxed: there is no other thread.
    TAKEN.store(0, Ordering::Relaxed);
    IS_DUE.store(0, Ordering::Relaxed);
}

/// Whether objects of `class` may lie on shared pages in this build, and with these options.
#[inline]
pub(super) fn may_share(class: SizeClass) -> bool {
    !HARDENED && !MEMCHECK && class.size() <= SHARED_MAX_BYTES && state::since() == 0
}

/// Whether anything may be converted now.
#[inline]
pub(super) fn is_due() -> bool {
    // Relaxed: see `TAKEN`.
    IS_DUE.load(Ordering::Relaxed) != 0
}

impl Central {
    /// Notes that spans of `bytes` bytes were taken. Every so many of them, a look begins.
    pub(super) fn note_taken(&self, bytes: usize) {
        if HARDENED || MEMCHECK {
            return;
        }
        // Relaxed: see `TAKEN`.
        let taken = TAKEN.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if taken < DISTANCE.load(Ordering::Relaxed).max(CONVERT_STEP.start) {
            return;
        }
        CONVERSION.try_use(|conversion| conversion.look(self));
    }

    /// Converts spans of other classes than `class`, as far as that is due. Those of the shards in
    /// `other_awake` stay while there are others. Returns whether it converted any.
    #[cold]
    #[inline(never)]
    pub(super) fn convert_some(&self, class: SizeClass, other_awake: ShardSet) -> bool {
        let near = ShardSet::ALL.without(other_awake);
        let convert = |conversion: &mut Conversion| {
            conversion.convert_some(self, class, near)
                || !other_awake.is_empty() && conversion.convert_some(self, class, ShardSet::ALL)
        };
        is_due() && CONVERSION.try_use(convert) == Some(true)
    }
}

impl Conversion {
    const fn new() -> Self {
        Self {
            look: IdleLook::new(Consumer::Convert, MAX_SMALL, SPARE_SPANS),
            taken: 0,
            idle: IdlePages::NONE,
            budget: 0,
        }
    }

    /// Goes on with the look, or begins one.
    fn look(&mut self, central: &Central) {
        if !self.look.is_going_on() {
            // Relaxed: see `TAKEN`.
            self.taken = TAKEN.load(Ordering::Relaxed);
        }
        if self.look.take_part(central) {
            self.finish_look(central);
        }
    }

    fn finish_look(&mut self, central: &Central) {
        let used = PAGE_HEAP.used_bytes();
        self.idle = self.look.found;
        let least = tolerance::tolerated(used, &CONVERT_LEAST).max(used / CONVERT_SHARE);
        let is_much = self.look.bytes >= least;
        let wanted = is_much && parameters::get(Id::SharePages) != 0;
        self.budget = if wanted { CONVERT_FACTOR * self.taken.min(CONVERT_MOST) } else { 0 };
        central.cache_limits.note_look(wanted, used);
        // A program that builds has little idle, and looks seldom.
        let is_near = 2 * self.look.bytes >= least;
        let share = if is_near { CONVERT_SHORT_STEP_SHARE } else { CONVERT_STEP_SHARE };
        // Relaxed, for all of them: see `TAKEN`.
        IS_DUE.store(usize::from(self.budget > 0), Ordering::Relaxed);
        let distance = (used / share).clamp(CONVERT_STEP.start, CONVERT_STEP.end);
        DISTANCE.store(distance, Ordering::Relaxed);
        TAKEN.fetch_sub(self.taken, Ordering::Relaxed);
    }

    /// Converts some spans of `shards`, of other classes than `class`. Returns whether it converted
    /// any.
    fn convert_some(&mut self, central: &Central, class: SizeClass, shards: ShardSet) -> bool {
        let mut is_done = false;
        // Classes that have idle bytes, but no span of these shards.
        let mut passed_over = 0_u128;
        for _ in 0..SPANS {
            let donors = |other: SizeClass| other != class && passed_over >> other.index() & 1 == 0;
            let Some(donor) = self.idle.most(donors) else {
                if passed_over == 0 {
                    self.budget = 0;
                }
                break;
            };
            let bytes = central.lists[donor.index()].convert_emptiest(donor, shards);
            if bytes == 0 && shards != ShardSet::ALL {
                passed_over |= 1 << donor.index();
                continue;
            }
            if bytes == 0 {
                self.idle.clear(donor);
            } else {
                self.idle.subtract(donor, bytes);
            }
            self.budget = self.budget.saturating_sub(bytes);
            is_done |= bytes > 0;
            if self.budget == 0 || bytes >= CONVERT_STEP.start {
                break;
            }
        }
        // Relaxed: see `TAKEN`.
        IS_DUE.store(usize::from(self.budget > 0), Ordering::Relaxed);
        is_done
    }
}

impl CentralFreeList {
    /// Converts the emptiest span of the class that is one of `shards`. Returns the bytes that are
    /// free in it; 0 if there is none, or no memory for the records.
    fn convert_emptiest(&self, class: SizeClass, shards: ShardSet) -> usize {
        let mut lists = self.lists.lock();
        let Some(span) = lists.to_be_converted(shards) else { return 0 };
        // SAFETY: a span of the class in the list of its group; the lock guards its record, and no
        // other reference to it exists.
        let (free, untouched, touched, released) = unsafe {
            lists.unlist(span.as_ptr());
            let record = span.as_ref();
            let free = usize::from(class.info().objects - record.allocated);
            let untouched = usize::from(class.info().objects - record.carved);
            (free, untouched, record.touched_bytes(), record.released.count_ones() as usize)
        };
        // SAFETY: the span is in no list and has no held pages, and the lock of its class is held.
        let Some(emptied) = (unsafe { SHARED_PAGES.take_in(span, touched) }) else {
            // SAFETY: a live span of this class.
            unsafe { lists.relist(span.as_ptr()) };
            return 0;
        };
        lists.spans -= 1;
        lists.free -= free;
        lists.untouched -= untouched;
        let left = lists.free;
        lists.low.note(left);
        lists.released -= released;
        limits::forget_inside_spans(released * OS_PAGE);
        drop(lists);
        SHARED_PAGES.free_pages(emptied);
        free * class.size()
    }
}

impl SpanLists {
    /// The emptiest span of `shards` that may become shared pages, if there is one.
    pub(super) fn to_be_converted(&self, shards: ShardSet) -> Option<NonNull<Span>> {
        let mut looks = CANDIDATES;
        // Not of group 0: what is free in those spans takes no memory.
        for group in 1..UNSHARED - 1 {
            for shard in shards.and(self.by_shard.used()).iter() {
                let mut node = self.by_shard.list(group, shard).first();
                while !node.is_null() && looks > 0 {
                    steps::add(1);
                    looks -= 1;
                    // SAFETY: a node of the list is live, and the lock guards its record.
                    if unsafe { (*node).held } == 0 {
                        return NonNull::new(node);
                    }
                    // SAFETY: the node is in this list.
                    node = unsafe { self.by_shard.next(node) };
                }
            }
        }
        None
    }
}
