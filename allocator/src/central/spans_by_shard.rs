//! The spans of a class that have free objects, by shard (`page::owner`) and by how full they are.
//!
//! The lists of the first shard are in place. Those of the others are in rows, which are made when
//! a first span comes to one of them and are never freed: row `r` has the shards from `2^r` to
//! `2^(r+1) - 1`. As shards are given out from the lowest number on, few threads need few rows, and
//! a process with one thread needs none. Spans with free objects on unshared pages (`cow`) are in
//! one list, whosever they are.
//!
//! Equations, at any time under the lock of the class: bit `g` of `occupied` of a shard is set if
//! the shard's list `g` is not empty; a shard is in `used` if its `occupied` is not 0.
//!
//! The lock of the class guards all of this. The fields `owner` and `group` of a listed span say
//! which list it is in. Which one it belongs to is decided above (`span_lists`).

use super::shards::ShardSet;
use crate::base::list::List;
use crate::page::metadata::{Kind, METADATA, Record};
use crate::page::owner::{SHARDS, Shard};
use crate::page::span::Span;
use core::ptr;

/// Groups by how full spans are: those whose free objects all lie on released pages, and eight of
/// the others.
pub(super) const ORDINARY: usize = 9;
/// The group of the spans with free objects on unshared pages, the last one.
pub(super) const UNSHARED: usize = ORDINARY;
/// As a set of groups: the spans whose free objects all lie on released pages.
pub(super) const RELEASED: u16 = 1;
/// Number of groups.
pub(super) const GROUPS: usize = UNSHARED + 1;

/// The lists of one shard. All zero: empty.
pub(super) struct SpanGroups {
    lists: [List<Span>; ORDINARY],
    occupied: u16,
}

impl SpanGroups {
    const EMPTY: Self = Self { lists: [const { List::new() }; ORDINARY], occupied: 0 };

    /// Bit per group: it is not empty.
    pub fn occupied(&self) -> u16 {
        self.occupied
    }

    /// The spans of a group.
    pub fn list(&self, group: usize) -> &List<Span> {
        &self.lists[group]
    }

    /// The first span of the fullest of those that are not of `hidden` groups, or null.
    #[inline(always)]
    pub fn fullest(&self, hidden: u16) -> *mut Span {
        let wanted = self.occupied & !hidden;
        wanted.checked_ilog2().map_or(ptr::null_mut(), |group| self.first(group))
    }

    /// The first span of the emptiest that have free objects on resident pages, or else of those
    /// that have none, or null.
    pub fn emptiest(&self) -> *mut Span {
        match self.occupied & !RELEASED {
            0 => self.lists[0].first(),
            resident => self.first(resident.trailing_zeros()),
        }
    }

    /// Puts `span` in front of the list of `group`, which becomes its group.
    ///
    /// # Safety
    /// `span` is a live span, in no list.
    #[inline(always)]
    unsafe fn insert(&mut self, span: *mut Span, group: usize) {
        // SAFETY: the caller says that the span is live and in no list; the lock guards its record.
        unsafe {
            self.lists[group].push_front(span);
            (*span).group = group as u8;
        }
        self.occupied |= 1 << group;
    }

    /// Takes `span` out of its list: its `group` means nothing then.
    ///
    /// # Safety
    /// `span` is in the list of its group.
    #[inline(always)]
    unsafe fn take_out(&mut self, span: *mut Span) {
        // SAFETY: the caller says that the span is in the list of its group, hence live; the lock
        // guards its record.
        unsafe {
            let group = (*span).group as usize;
            self.lists[group].remove(span);
            if self.lists[group].is_empty() {
                self.occupied &= !(1 << group);
            }
        }
    }

    fn first(&self, group: u32) -> *mut Span {
        self.lists[group as usize].first()
    }

    fn is_sound(&self) -> bool {
        let agrees = |(group, list): (usize, &List<Span>)| {
            list.is_empty() == (self.occupied >> group & 1 == 0)
        };
        self.lists.iter().enumerate().all(agrees)
    }
}

/// The lists of `N` shards, which are reached by their addresses.
struct Row<const N: usize>([SpanGroups; N]);

impl<const N: usize> Record for Row<N> {
    const KIND: Kind = Kind::Spans;
}

const ROWS: usize = SHARDS.ilog2() as usize;

/// See the head of this file.
pub(super) struct SpansByShard {
    first: SpanGroups,
    /// Null until a span comes to one of the row's shards.
    rows: [*mut SpanGroups; ROWS],
    /// Shards with spans in their lists.
    used: ShardSet,
    unshared: List<Span>,
}

/// The row of a shard that is not the first, and its place there.
fn place_of(shard: Shard) -> (usize, usize) {
    let row = shard.index().ilog2() as usize;
    (row, shard.index() - (1 << row))
}

impl SpansByShard {
    /// No spans.
    pub const fn new() -> Self {
        Self {
            first: SpanGroups::EMPTY,
            rows: [ptr::null_mut(); ROWS],
            used: ShardSet::EMPTY,
            unshared: List::new(),
        }
    }

    /// The shard whose lists are for spans of `shard`: itself, or the first shard if there is no
    /// memory for its row.
    #[inline(always)]
    pub fn admit(&mut self, shard: Shard) -> Shard {
        if shard == Shard::FIRST || self.admit_other(shard) { shard } else { Shard::FIRST }
    }

    /// As `admit`, of a shard that is not the first. Returns whether it has lists.
    fn admit_other(&mut self, shard: Shard) -> bool {
        let (row, _) = place_of(shard);
        if self.rows[row].is_null() {
            self.rows[row] = make_row(row);
        }
        !self.rows[row].is_null()
    }

    /// Shards with spans in their lists.
    #[inline(always)]
    pub fn used(&self) -> ShardSet {
        self.used
    }

    /// Whether other shards than `shard` have spans in their lists.
    #[inline(always)]
    pub fn has_others(&self, shard: Shard) -> bool {
        !self.used.without(ShardSet::of(shard)).is_empty()
    }

    /// The lists of `shard` in their row; null if they are not in one.
    #[inline(always)]
    fn in_row(&self, shard: Shard) -> *mut SpanGroups {
        if shard == Shard::FIRST {
            return ptr::null_mut();
        }
        let (row, place) = place_of(shard);
        if self.rows[row].is_null() { ptr::null_mut() } else { self.rows[row].wrapping_add(place) }
    }

    /// The lists of `shard`; those of the first shard where it has none.
    #[inline(always)]
    pub fn of(&self, shard: Shard) -> &SpanGroups {
        // SAFETY: null, or lists in a row, which has a place for each of its shards and is never
        // freed. They are this value's alone, which is borrowed for as long.
        unsafe { self.in_row(shard).as_ref() }.unwrap_or(&self.first)
    }

    /// As `of`.
    #[inline(always)]
    fn of_mut(&mut self, shard: Shard) -> &mut SpanGroups {
        // SAFETY: null, or lists in a row, which has a place for each of its shards and is never
        // freed. They are this value's alone, which is borrowed mutably for as long.
        unsafe { self.in_row(shard).as_mut() }.unwrap_or(&mut self.first)
    }

    /// Spans with free objects on unshared pages.
    pub fn unshared(&self) -> &List<Span> {
        &self.unshared
    }

    /// All other lists, the emptiest spans first.
    pub fn ordinary(&self) -> impl Iterator<Item = &List<Span>> {
        (0..ORDINARY)
            .flat_map(move |group| self.used.iter().map(move |shard| self.of(shard).list(group)))
    }

    /// The list of `group` and `shard`.
    pub fn list(&self, group: usize, shard: Shard) -> &List<Span> {
        if group == UNSHARED { &self.unshared } else { self.of(shard).list(group) }
    }

    /// Puts `span` in front of the list of its owner and of `group`, which becomes its group.
    ///
    /// # Safety
    /// `span` is a live span of the class, in no list, and its owner was admitted. `group` is below
    /// [`GROUPS`].
    #[inline(always)]
    pub unsafe fn insert(&mut self, span: *mut Span, group: usize) {
        // SAFETY: the caller says that the span is live and in no list; the lock guards its record.
        unsafe {
            let shard = (*span).owner.shard();
            if group == UNSHARED {
                (*span).group = group as u8;
                return self.unshared.push_front(span);
            }
            self.of_mut(shard).insert(span, group);
            self.used.insert(shard);
        }
    }

    /// Takes `span` out of its list: it has no group then.
    ///
    /// # Safety
    /// `insert` put the span into its list.
    #[inline(always)]
    pub unsafe fn remove(&mut self, span: *mut Span) {
        // SAFETY: the caller says that the span is in the list of its owner and its group, hence
        // live; the lock guards its record.
        unsafe {
            let (group, shard) = ((*span).group as usize, (*span).owner.shard());
            if group == UNSHARED {
                (*span).group = Span::UNLISTED;
                return self.unshared.remove(span);
            }
            let groups = self.of_mut(shard);
            groups.take_out(span);
            if groups.occupied == 0 {
                self.used.remove(shard);
            }
            (*span).group = Span::UNLISTED;
        }
    }

    /// Moves `span` from its list to that of another group of the same owner. Neither group is that
    /// of the unshared.
    ///
    /// # Safety
    /// `insert` put the span into its list.
    #[inline(always)]
    pub unsafe fn regroup(&mut self, span: *mut Span, group: usize) {
        // SAFETY: the caller says that the span is in the list of its owner and its group, hence
        // live; the lock guards its record. It is in no list when it is put into the other one.
        unsafe {
            let groups = self.of_mut((*span).owner.shard());
            groups.take_out(span);
            groups.insert(span, group);
        }
    }

    /// The span after `span` in its list, or null.
    ///
    /// # Safety
    /// `span` is in a list.
    pub unsafe fn next(&self, span: *mut Span) -> *mut Span {
        // SAFETY: the caller says that the span is in a list, hence live. Which list it is does not
        // matter to the links.
        unsafe { self.unshared.next(span) }
    }

    /// Of `shards`, the one with the fullest span that is of no `hidden` group; any, or `None`, if
    /// none has such a span.
    pub fn with_fullest(&self, shards: ShardSet, hidden: u16) -> Option<Shard> {
        let fullest = |&shard: &Shard| (self.of(shard).occupied & !hidden).checked_ilog2();
        shards.and(self.used).iter().max_by_key(fullest)
    }

    /// Calls `visit` for every list, with its group and its shard, until that returns `false`.
    /// Returns whether it always returned `true`.
    pub fn all(&self, mut visit: impl FnMut(usize, Option<Shard>, &List<Span>) -> bool) -> bool {
        let mut shards = (0..SHARDS).map(Shard::new);
        visit(UNSHARED, None, &self.unshared)
            && shards.all(|shard| {
                let has_lists = shard == Shard::FIRST || !self.rows[place_of(shard).0].is_null();
                let groups = self.of(shard);
                let is_used = has_lists && groups.occupied != 0;
                let mut lists = groups.lists.iter().enumerate();
                is_used == self.used.contains(shard)
                    && groups.is_sound()
                    && (!has_lists || lists.all(|(group, list)| visit(group, Some(shard), list)))
            })
    }
}

/// Empty lists for the shards of a row; null without memory.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
fn make_row(row: usize) -> *mut SpanGroups {
    fn make<const N: usize>() -> *mut SpanGroups {
        // Zeroed, which are empty lists.
        METADATA.allocate::<Row<N>>().map_or(ptr::null_mut(), |row| row.as_ptr().cast())
    }
    match row {
        0 => make::<1>(),
        1 => make::<2>(),
        2 => make::<4>(),
        3 => make::<8>(),
        4 => make::<16>(),
        _ => make::<32>(),
    }
}

const _: () = assert!(SHARDS == 64, "the rows that `make_row` knows");
