//! The record of a span: a run of pages that is one large block or holds the objects of one class.
//!
//! Records live outside of the pages they describe. What is free inside a small span is a bitmap in
//! the record, not links through the objects: overwrites by the program cannot damage it, a forked
//! child copies no pages for it, and an OS page on which nothing lives can be found.
//!
//! Owner of the fields: the page heap while the span is `Free`; the central free list of its class
//! while it is `Small` (under that list's lock); `central::shared_pages` while it is `Shared`, or
//! was a span whose pages are; the thread that allocated it while `Large` or `Direct`; the heap
//! that took it while `OfHeap`, or while it has a heap's number (`heaps`).
//!
//! Invariant of a small span: `free.count() + allocated == objects`, and bits `objects..` are
//! clear. (`heaps` has the one of its spans.)

use super::cow_set::CowSet;
pub use super::units::OsPages;
use crate::base::bitmap::Bitmap;
use crate::base::list::{Links, Node};
use crate::config::{HUGE_SIZE, MAX_SPAN_OBJECTS};
use crate::page::metadata::{Kind, Record};
use crate::page::owner::Owner;
use crate::page::size_class::SizeClass;
use crate::page::units::{Length, PageId};
use crate::policy::Hardened;

/// What a span is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SpanState {
    /// The record is unused.
    Free = 0,
    /// Objects of one size class.
    Small = 1,
    /// One block, from the page heap.
    Large = 2,
    /// One block with a mapping of its own.
    Direct = 3,
    /// A page with objects of several size classes; see `central::shared_pages`.
    Shared = 4,
    /// Objects of one size class that belong to a heap with a lifetime; see `heaps`. The page map
    /// has no class for its pages, so that no `free` takes them for the program's.
    OfHeap = 5,
}

impl SpanState {
    /// Whether its blocks are objects of size classes.
    pub const fn is_small(self) -> bool {
        matches!(self, Self::Small | Self::Shared | Self::OfHeap)
    }
}

/// A set of the objects of a small span.
pub type Objects = Bitmap<{ MAX_SPAN_OBJECTS / 64 }>;

/// The number of guard pages before a large block, in builds that have guard pages.
pub type GuardOffset = Hardened<GuardPages, NoGuardPages>;

/// [`GuardOffset`] in the hardened build.
#[derive(Clone, Copy, Debug)]
pub struct GuardPages(usize);

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl GuardPages {
    /// No guard pages.
    pub const NONE: Self = Self(0);

    /// `pages` guard pages.
    pub const fn new(pages: usize) -> Self {
        Self(pages)
    }

    /// How many there are.
    pub const fn get(self) -> usize {
        self.0
    }
}

/// [`GuardOffset`] in all other builds: always none.
#[derive(Clone, Copy, Debug)]
pub struct NoGuardPages;

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl NoGuardPages {
    /// No guard pages.
    pub const NONE: Self = Self;

    /// Forgets the number.
    pub const fn new(_pages: usize) -> Self {
        Self
    }

    /// None.
    pub const fn get(self) -> usize {
        0
    }
}

/// A span's record.
#[repr(C, align(64))]
pub struct Span {
    links: Links<Span>,
    /// First page.
    pub start: PageId,
    /// Number of pages.
    pub pages: Length,
    /// The class of its objects; `NONE` unless `Small` or `OfHeap`.
    pub class: SizeClass,
    /// What it is used for.
    pub state: SpanState,
    /// Whose a small span is: the one field that threads read without the lock.
    pub owner: Owner,
    /// Which pages of a small span a forked child does not share.
    pub cow: CowSet,
    /// Pages before a large block that belong to its span; see `page_heap::guard_pages`.
    pub guard_offset: GuardOffset,
    /// The class that a small block would have which is `Large` because it was sampled
    /// (`front::alloc_hooks`); `NONE` for all others.
    pub sampled: SizeClass,
    /// Whether its memory was all zero when it left the page heap.
    pub fresh: bool,
    /// Occupancy group of the central free list that holds it, or `UNLISTED`.
    pub group: u8,
    /// Whether `central::release` has searched this small span, and no object was freed to it
    /// since.
    pub searched: bool,
    /// Objects that are not free here: with programs, magazines or transfer caches. In a span of a
    /// heap, how many frees are left until the heap looks at the span (`heaps`).
    pub allocated: u16,
    /// Objects that were ever handed out; from here on the memory was never touched. Of a direct
    /// block: see [`Span::huge_extent`].
    pub carved: u16,
    /// OS pages of a small span that were released and not used since; see `central::release`.
    pub released: OsPages,
    /// OS pages of a small span that are being released. The objects on them count as allocated
    /// until that is done. For all others see `heap`.
    pub held: OsPages,
    /// Free objects.
    pub free: Objects,
}

impl Record for Span {
    const KIND: Kind = Kind::Spans;
}

// SAFETY: returns the address of the field.
unsafe impl Node for Span {
    unsafe fn links(node: *mut Self) -> *mut Links<Self> {
        // SAFETY: the caller says that `node` is live.
        unsafe { &raw mut (*node).links }
    }
}

/// Where a pointer points inside a small span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At the start of the object with this number.
    Object(usize),
    /// Into the middle of an object, or behind the last.
    Inside,
}

impl Span {
    /// `group` of a span that no occupancy list holds.
    pub const UNLISTED: u8 = u8::MAX;
    /// `group` of a span some of whose pages are being released.
    pub const HELD: u8 = u8::MAX - 1;

    /// A record for `pages` pages from `start` on.
    pub const fn new(start: PageId, pages: Length, state: SpanState, class: SizeClass) -> Self {
        Self {
            links: Links::new(),
            start,
            pages,
            class,
            state,
            owner: Owner::new(),
            cow: CowSet::OLD,
            guard_offset: GuardOffset::NONE,
            sampled: SizeClass::NONE,
            fresh: false,
            group: Self::UNLISTED,
            searched: false,
            allocated: 0,
            carved: 0,
            released: 0,
            held: 0,
            free: Bitmap::new(),
        }
    }

    /// Address of the first byte.
    pub const fn addr(&self) -> usize {
        self.start.addr()
    }

    /// Size in bytes.
    pub const fn bytes(&self) -> usize {
        self.pages.bytes()
    }

    /// Whether its block is a large one: neither objects nor a sampled block of a size class.
    pub const fn is_large(&self) -> bool {
        !self.state.is_small() && self.sampled.index() == SizeClass::NONE.index()
    }

    /// The number of the heap with a lifetime that the span belongs to; 0 if it belongs to none.
    pub const fn heap(&self) -> u32 {
        match self.state {
            SpanState::OfHeap | SpanState::Large | SpanState::Direct => self.held,
            _ => 0,
        }
    }

    /// Makes a span that is no small one of the program's the one of the heap `number`, or of none
    /// (0). Those have no use for the sets of pages that lie in the same place: the record is two
    /// full cache lines.
    pub fn set_heap(&mut self, number: u32) {
        debug_assert!(matches!(
            self.state,
            SpanState::OfHeap | SpanState::Large | SpanState::Direct
        ));
        self.held = number;
        if self.state == SpanState::OfHeap {
            self.released = number;
        }
    }

    /// What [`is_of_heap`](Self::is_of_heap) looks for in spans of the heap `number`.
    pub const fn heap_key(number: u32) -> u64 {
        number as u64 | (number as u64) << 32
    }

    /// Whether this is a span of small blocks of the heap with the key `key`: in one comparison, as
    /// no other span has two equal sets but empty ones. (Pages that are being released are none
    /// that were released already.)
    #[inline(always)]
    pub const fn is_of_heap(&self, key: u64) -> bool {
        self.released as u64 | (self.held as u64) << 32 == key
    }

    /// How many bytes this direct block may have with the kernel asked to back it by huge pages; 0
    /// if the kernel was not asked.
    pub fn huge_extent(&self) -> usize {
        match self.state {
            SpanState::Direct => self.carved as usize * HUGE_SIZE,
            _ => 0,
        }
    }

    /// Sets [`Span::huge_extent`] of a direct block, which is 128 GiB at most.
    pub fn set_huge_extent(&mut self, bytes: usize) {
        self.carved = u16::try_from(bytes / HUGE_SIZE).unwrap_or(u16::MAX);
    }

    /// Where `addr`, which lies in this small span, points.
    pub fn place_of(&self, addr: usize) -> Place {
        self.class.info().object_at(addr - self.addr()).map_or(Place::Inside, Place::Object)
    }

    /// Bytes at the start of the span that have been touched, as far as the record knows.
    pub fn touched_bytes(&self) -> usize {
        match self.state {
            SpanState::Small | SpanState::OfHeap if self.fresh => {
                self.carved as usize * self.class.size()
            }
            _ => self.bytes(),
        }
    }

    /// Whether the invariant of a small span holds.
    pub fn is_sound(&self) -> bool {
        let objects = self.class.info().objects as usize;
        self.free.count() + self.allocated as usize == objects
            && self.free.next_set(objects) >= objects
            && self.carved as usize <= objects
    }

    /// Panics unless the invariant of a small span holds.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        assert!(self.is_sound(), "bitmap, count and carved objects of a span agree");
    }
}

const _: () = assert!(size_of::<Span>() == 128, "a span's record is two cache lines");
