//! The record of a heap with a lifetime (`heaps`): for each size class the span that blocks come
//! from, and lists of the other spans.
//!
//! The heap's owner alone uses a record, one thread at a time, without a lock. The page heap has
//! the unused ones, under its lock. Records are never freed and only ever used for heaps: whoever
//! follows an old pointer finds a record.
//!
//! A [`Slot`] points into the bitmap of free objects of its span's record, to one word with some
//! bits set, or to a word that is always zero. So taking a block is: load the word, clear its
//! lowest bit, and multiply that bit's number with the size. Nothing in the block is read or
//! written.

use super::metadata::{Kind, Record};
use super::size_class::SizeClass;
use super::span::Span;
use crate::base::list::{Links, List, Node};
use crate::config::CLASS_COUNT;
use core::ptr;

/// What a slot points to that has no span: a word without free objects. It lies in memory that
/// cannot be written to, and only words that are not zero are.
static NO_OBJECTS: u64 = 0;

/// Where the next block of a class comes from.
#[derive(Clone, Copy)]
pub struct Slot {
    /// A word of the bitmap of `span`'s free objects, or `NO_OBJECTS`.
    word: *mut u64,
    /// Address of the object of that word's lowest bit.
    base: *mut u8,
    /// Bytes in an object.
    size: usize,
    /// The span, which is in no list; null if there is none.
    pub span: *mut Span,
}

impl Slot {
    /// A slot without a span.
    pub const fn empty() -> Self {
        let word = (&raw const NO_OBJECTS).cast_mut();
        Self { word, base: ptr::null_mut(), size: 0, span: ptr::null_mut() }
    }

    /// Points the slot to the word `index` of the bitmap of `span`, whose objects have `size`
    /// bytes.
    ///
    /// # Safety
    /// `span` is live, has objects of `size` bytes, and belongs to the caller's heap until the slot
    /// points elsewhere. The objects of the bits that are or will be set in this word are the
    /// heap's to hand out.
    pub unsafe fn aim(&mut self, span: *mut Span, index: usize, size: usize) {
        // SAFETY: the caller says that the record is live and the heap's.
        unsafe {
            self.word = (&raw mut (*span).free).cast::<u64>().add(index);
            self.base = ((*span).addr() + index * 64 * size) as *mut u8;
        }
        self.size = size;
        self.span = span;
    }

    /// Takes a free object of the word, if there is one.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<*mut u8> {
        // SAFETY: `aim` pointed `word` to a word of the heap's span, which lives as long as the
        // slot points to it; or it is `NO_OBJECTS`, which is read only. `&mut self` is the heap's
        // only user, so nobody else changes the word. A set bit is an object of the span, so its
        // address lies in the span.
        unsafe {
            let bits = *self.word;
            if bits == 0 {
                return None;
            }
            *self.word = bits & (bits - 1);
            Some(self.base.wrapping_add(bits.trailing_zeros() as usize * self.size))
        }
    }
}

/// A heap's record.
#[repr(C, align(64))]
pub struct HeapRecord {
    /// For each class, where its next block comes from.
    pub slots: [Slot; CLASS_COUNT],
    /// Spans with free objects that no slot has.
    pub partial: [List<Span>; CLASS_COUNT],
    /// Spans without free objects that no slot has.
    pub full: List<Span>,
    /// Blocks with spans of their own.
    pub large: List<Span>,
    /// The classes that spans were ever taken for, a bit each.
    pub classes: u128,
    /// Bytes in spans of both kinds.
    pub mapped: usize,
    /// Most bytes that `mapped` may become.
    pub limit: usize,
    /// Spans of both kinds.
    pub spans: usize,
    /// The number that the records of the heap's spans have; never 0, and the same in each life of
    /// the record.
    pub number: u32,
    /// `Span::heap_key` of the number.
    pub key: u64,
    /// Whether the heap was made and not destroyed since.
    pub live: bool,
    links: Links<HeapRecord>,
}

impl Record for HeapRecord {
    const KIND: Kind = Kind::Spans;
}

// SAFETY: returns the address of the field.
unsafe impl Node for HeapRecord {
    unsafe fn links(node: *mut Self) -> *mut Links<Self> {
        // SAFETY: the caller says that `node` is live.
        unsafe { &raw mut (*node).links }
    }
}

impl HeapRecord {
    /// Fills in a record that was just taken from the arena, where it lies.
    ///
    /// # Safety
    /// `this` is zeroed memory for a record, and nobody else uses it.
    pub unsafe fn init(this: *mut Self, number: u32) {
        // SAFETY: the caller owns the memory. All other fields are lists, numbers and flags, for
        // which zero is the empty value.
        unsafe {
            for index in 0..CLASS_COUNT {
                (&raw mut (*this).slots[index]).write(Slot::empty());
            }
            (*this).number = number;
            (*this).key = Span::heap_key(number);
        }
    }

    /// The slot of `class`.
    #[inline(always)]
    pub fn slot(&mut self, class: SizeClass) -> &mut Slot {
        // SAFETY: a class's number is below CLASS_COUNT by construction.
        unsafe { self.slots.get_unchecked_mut(class.index()) }
    }

    /// The classes that spans were ever taken for.
    pub fn used_classes(&self) -> impl Iterator<Item = SizeClass> + use<> {
        let classes = self.classes;
        SizeClass::all().filter(move |class| classes >> class.index() & 1 != 0)
    }
}
