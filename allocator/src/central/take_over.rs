//! Taking objects from spans of other shards than the thread's own: in which order, and how much
//! must lie idle before threads share cache lines.
//!
//! A span that objects were taken of belongs to the shard that got them. The steps are those of
//! `docs/decisions/019-owned-lines-and-shared-pages.md`. As in `span_alloc`, which comes here when
//! the own shard has nothing, all functions run under the lock of the class.

use super::os_pages::OS_PAGE;
use super::picks::Picks;
use super::shards::{Fetcher, ShardSet, splits_lines};
use super::span_alloc::{Choice, Reach, TakeOutcome};
use super::span_lists::SpanLists;
use super::spans_by_shard::RELEASED;
use crate::page::owner::{SHARDS, Shard};
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use core::ptr;

/// Spans of a list that are looked at for one to be taken over.
const LOOKS: usize = 4;

/// The groups of spans of which less than a quarter lives, and that have something resident.
const NEARLY_EMPTY: [usize; 2] = [1, 2];
/// The group of those whose free objects all lie on released pages.
const NOT_RESIDENT: [usize; 1] = [0];

/// How much of a class may lie idle while spans have owners: one part of what its spans have that
/// is resident, and so many bytes besides.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    part: usize,
    bytes: usize,
    /// For each shard that has free objects.
    bytes_per_shard: usize,
}

/// From this bound on a fetch takes whole free lines of any span.
pub(super) const WHOLE_LINES: Bound = Bound { part: 16, bytes: 4 << 10, bytes_per_shard: 2 << 10 };
/// From this bound on it takes anything.
pub(super) const ANYTHING: Bound = Bound { part: 4, bytes: 16 << 10, bytes_per_shard: 8 << 10 };

impl SpanLists {
    /// As `pick`, where the thread's own shard has nothing that is resident: the order in which it
    /// gets what is others'. The steps are those of
    /// `docs/decisions/019-owned-lines-and-shared-pages.md`, and the first that yields anything is
    /// the last. The transfer cache (`tier`) and the own spans come before them, shared pages in
    /// between (`tier`), and a fresh span after them (`free_list`).
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn pick_of_others(
        &mut self,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
        choice: Choice,
        out: &mut Picks,
    ) -> bool {
        let shard = self.by_shard.admit(fetcher.shard);
        let others = self.by_shard.used().without(ShardSet::of(shard));
        let splits = splits_lines(class);
        let asleep = if splits { others.without(fetcher.awake) } else { others };
        // Resident objects of shards whose threads are asleep or gone, of the fullest spans first.
        let mut own = self.take_of_asleep(class, asleep, shard, request, RELEASED, out);
        let is_nothing = out.count() == 0;
        let is_near = choice.reach == Reach::Near;
        let is_much_idle = is_nothing && splits && self.is_much_idle(class, WHOLE_LINES);
        // Whole free lines of nearly empty spans of other threads, which are taken over. Where much
        // lies idle, before shared pages are asked, which cost more; and then of any spans of a few
        // other shards.
        if is_nothing && splits && (is_much_idle || !is_near) {
            self.take_lines(class, others, shard, &NEARLY_EMPTY, request, out);
        }
        if is_much_idle && out.count() == 0 {
            let above = others.without(ShardSet::up_to(shard));
            let from = if above.is_empty() { others } else { above };
            self.take_apart_of(class, from, LOOKS, request, out);
        }
        if out.count() > 0 || is_near {
            return own == TakeOutcome::NotesFull;
        }
        // Of any spans, for the first objects of a class and where much lies idle.
        if splits && (choice.apart || is_much_idle) {
            self.take_apart_of(class, others, SHARDS, request, out);
        }
        // Any span, where very much lies idle.
        let is_free_for_all = choice.last_resort || !splits || self.is_much_idle(class, ANYTHING);
        if out.count() == 0 && is_free_for_all && self.take_over_emptiest(others, shard) {
            own = self.take_own_cold(class, shard, request, RELEASED, out);
        }
        if out.count() > 0 {
            return own == TakeOutcome::NotesFull;
        }
        // What lies on released pages: of the own spans, of those asleep, and whole lines of
        // others.
        own = self.take_of_asleep(class, asleep, shard, request, 0, out);
        if out.count() == 0 && splits {
            self.take_lines(class, others, shard, &NOT_RESIDENT, request, out);
        }
        own == TakeOutcome::NotesFull
    }

    /// Takes objects of the spans of `shard`, and of those of the shards `asleep`, which it takes
    /// over. Those of `hidden` groups stay.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn take_of_asleep(
        &mut self,
        class: SizeClass,
        asleep: ShardSet,
        shard: Shard,
        request: usize,
        hidden: u16,
        out: &mut Picks,
    ) -> TakeOutcome {
        loop {
            let own = self.take_own_cold(class, shard, request, hidden, out);
            if own != TakeOutcome::NoFreeObject || !self.take_over_fullest(asleep, shard, hidden) {
                return own;
            }
        }
    }

    /// As `take_apart`, of the first of these shards that has any. Looks at so many of them.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn take_apart_of(
        &mut self,
        class: SizeClass,
        shards: ShardSet,
        looks: usize,
        request: usize,
        out: &mut Picks,
    ) {
        for shard in shards.iter().take(looks) {
            if out.count() == 0 {
                self.take_apart(class, shard, request, out);
            }
        }
    }

    /// Makes the fullest span of `shards` that is of no `hidden` group one of `shard`. Returns
    /// whether there was one.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn take_over_fullest(&mut self, shards: ShardSet, shard: Shard, hidden: u16) -> bool {
        let from = self.by_shard.with_fullest(shards, hidden);
        let span = from.map_or(ptr::null_mut(), |from| self.by_shard.of(from).fullest(hidden));
        self.take_over_listed(span, shard)
    }

    /// Makes the emptiest span of the first of `shards` that has any one of `shard`. Returns
    /// whether there was one.
    #[cold]
    #[inline(never)]
    fn take_over_emptiest(&mut self, shards: ShardSet, shard: Shard) -> bool {
        let from = shards.and(self.by_shard.used()).first();
        let span = from.map_or(ptr::null_mut(), |from| self.by_shard.of(from).emptiest());
        self.take_over_listed(span, shard)
    }

    fn take_over_listed(&mut self, span: *mut Span, shard: Shard) -> bool {
        if !span.is_null() {
            // SAFETY: the first span of a list, hence in that of its owner and its group; the shard
            // was admitted by `pick_of_others`.
            unsafe { self.take_over(span, shard) };
        }
        !span.is_null()
    }

    /// Takes objects of cache lines on which nothing lives from a span of `shards` that is of one
    /// of these groups, and makes it one of `shard`. Passes over spans that changed hands in this
    /// step of the decay: two threads would take them from each other by turns.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn take_lines(
        &mut self,
        class: SizeClass,
        shards: ShardSet,
        shard: Shard,
        groups: &[usize],
        request: usize,
        out: &mut Picks,
    ) {
        for from in shards.iter() {
            for &group in groups {
                let mut span = self.by_shard.list(group, from).first();
                for _ in 0..LOOKS {
                    if span.is_null() {
                        break;
                    }
                    // SAFETY: a node of the list, hence live; the lock guards its record.
                    let (next, again) = unsafe {
                        let owner = &raw const (*span).owner;
                        (self.by_shard.next(span), (*owner).was_taken_over_in(self.step))
                    };
                    if !again && self.take_lines_from(class, span, shard, request, out) {
                        return;
                    }
                    span = next;
                }
            }
        }
    }

    /// Takes objects of whole free lines of `span`, a node of a list, and makes it one of `shard`
    /// if there are any. Returns whether there were.
    fn take_lines_from(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        shard: Shard,
        request: usize,
        out: &mut Picks,
    ) -> bool {
        self.take_whole_lines(class, span, request, out);
        if out.count() == 0 {
            return false;
        }
        // SAFETY: a live span of this class, which the lock guards. `take` has left it in the list
        // of its group, or in none.
        unsafe {
            if (*span).group == Span::UNLISTED {
                (*span).owner.take_over(shard, self.step);
            } else {
                self.take_over(span, shard);
            }
        }
        true
    }

    /// Bytes of free objects of which the memory is resident.
    pub fn idle_bytes(&self, class: SizeClass) -> usize {
        let touched = (self.free - self.untouched) * class.size();
        touched.saturating_sub(self.released * OS_PAGE)
    }

    /// Whether more lies idle than `part` of all and what this says of each shard: from then on
    /// memory comes before owners.
    pub fn is_much_idle(&self, class: SizeClass, bound: Bound) -> bool {
        let objects = self.spans * class.info().objects as usize - self.untouched;
        let all = (objects * class.size()).saturating_sub(self.released * OS_PAGE);
        let shards = self.by_shard.used().count();
        self.idle_bytes(class) > all / bound.part + bound.bytes + shards * bound.bytes_per_shard
    }
}
