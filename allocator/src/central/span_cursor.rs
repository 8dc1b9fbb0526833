//! Objects that return to their spans: which span each lies in, and which of its objects it is.
//!
//! [`SpanCursor`] takes back as many objects in a row as lie in one span, so that neighbours are
//! not looked up again. [`RecordPrefetch`] and [`cut_off`] bring what the lookup reads into the
//! processor's caches before the lock is taken: where blocks die in no order, each lies in a span
//! of its own, whose record nobody looked at lately. Read one after the other, under the lock,
//! these records were most of what a free costs. [`is_close_together`] tells chains that need none
//! of it.
//!
//! A cursor belongs to one call and lies on its stack. It reads and writes records that the lock of
//! the class guards; the rest needs no lock.

use super::chain::{Chain, FreeObject};
use crate::base::hint::prefetch;
use crate::config::{MAGAZINE_MAX_OBJECTS, PAGE_SHIFT};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::{ClassInfo, SizeClass};
use crate::page::span::{Objects, Span};

/// Prefetches the records of the spans that objects lie in.
#[derive(Clone, Copy)]
pub struct RecordPrefetch {
    /// The low half of the number of the last object's page. Another page with the same low half
    /// is not prefetched, which costs time only.
    page: u32,
}

impl RecordPrefetch {
    /// No object yet.
    pub const fn new() -> Self {
        Self { page: 0 }
    }

    /// Prefetches the record of the span that `addr` lies in, unless it is on the page of the
    /// object before.
    #[inline(always)]
    pub fn of(&mut self, addr: usize) {
        let page = (addr >> PAGE_SHIFT) as u32;
        if page != self.page {
            prefetch(PAGE_MAP.span_in_huge(addr));
        }
        self.page = page;
    }
}

/// Cuts up to `most` objects off the front of `chain`, which keeps the rest. Walks over them, so
/// that their links and the records of their spans are in the processor's caches afterwards. The
/// last object of the result still links to the rest: only `count` says where it ends.
///
/// # Safety
/// The caller owns the objects of the chain, which are linked. The chain ends where its count says,
/// or before that at a null link.
pub unsafe fn cut_off(chain: &mut Chain, most: usize) -> Chain {
    let mut part = Chain { head: chain.head, count: 0 };
    let mut prefetch = RecordPrefetch::new();
    let mut object = chain.head;
    while part.count < most.min(chain.count) && !object.is_null() {
        prefetch.of(object as usize);
        // SAFETY: an object of the chain, hence linked, and the caller owns it.
        object = unsafe { FreeObject::next(object) };
        part.count += 1;
    }
    let left = if object.is_null() { 0 } else { chain.count - part.count };
    *chain = Chain { head: object, count: left };
    part
}

/// Words of the bitmap of a span.
const WORDS: usize = Objects::BITS / 64;

/// Objects that are looked at to find out whether a chain's lie close together.
const LOOKED_AT: usize = 16;
/// How many of them may lie on another page than the one before.
const MOST_JUMPS: usize = 3;

/// Whether a chain is no longer than a magazine, and its objects lie close together as far as the
/// first few tell.
///
/// # Safety
/// The caller owns the objects of the chain, which are linked. The chain ends where its count says,
/// or before that at a null link.
#[inline]
pub unsafe fn is_close_together(chain: Chain) -> bool {
    let mut object = chain.head;
    let mut jumps = 0;
    for _ in 1..chain.count.min(LOOKED_AT) {
        if object.is_null() {
            break;
        }
        // SAFETY: an object of the chain, hence linked, and the caller owns it.
        let next = unsafe { FreeObject::next(object) };
        jumps += usize::from((object as usize ^ next as usize) >> PAGE_SHIFT != 0);
        object = next;
    }
    jumps <= MOST_JUMPS && chain.count <= MAGAZINE_MAX_OBJECTS
}

/// A span that objects return to.
pub struct SpanCursor {
    span: *mut Span,
    /// First address of the span.
    addr: usize,
    /// Bytes of the span at which objects can begin: all but its tail.
    bytes: usize,
    info: &'static ClassInfo,
}

impl SpanCursor {
    /// The span of `class` in which `addr` lies, but not in its tail; `None` if no such span is
    /// there. The caller holds the lock of the class.
    #[inline(always)]
    pub fn at(class: SizeClass, addr: usize) -> Option<Self> {
        let span = PAGE_MAP.span_in_huge(addr);
        // SAFETY: the page map holds null or a record, and records are never unmapped. An object of
        // `class` that is not free keeps its span in this class, and the caller's lock guards the
        // records of those. (After an invalid free the record may be another owner's: the free is
        // reported, or the program has no claim.)
        let record = unsafe { span.as_ref() }.filter(|record| record.class == class)?;
        let info = class.info();
        let bytes = info.objects as usize * info.size as usize;
        let cursor = Self { span, addr: record.addr(), bytes, info };
        // A number that is no address may lead to a span that it does not lie in.
        if cursor.offset(addr) < bytes { Some(cursor) } else { None }
    }

    /// The span.
    pub fn span(&self) -> *mut Span {
        self.span
    }

    #[inline(always)]
    fn offset(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.addr)
    }

    /// Whether an object begins at `addr`, which lies in the span.
    pub fn is_object(&self, addr: usize) -> bool {
        self.info.object_at(self.offset(addr)).is_some()
    }

    /// Marks objects of `chain` as free, from its first one on, which lies in the span, up to one
    /// that is none of the span's or is free already. Returns how many they are, and leaves the
    /// others in `chain`.
    ///
    /// The word of the bitmap that the last object is in is kept in a register: neighbours return
    /// together, and each would wait for what the one before wrote to memory.
    ///
    /// # Safety
    /// The caller gives up the chain's objects, of which all but the last are linked. The caller
    /// holds the lock of the class since before the cursor was made, and nobody has a reference to
    /// the span's record.
    #[inline(always)]
    pub unsafe fn put_run(&self, chain: &mut Chain) -> usize {
        let size = self.info.size as usize;
        // SAFETY: the lock guards the record, and nobody else has a reference to it.
        let free = unsafe { &mut (*self.span).free };
        let first = self.info.object_around(self.offset(chain.head as usize));
        let mut number = first / 64 % WORDS;
        let mut word = free.word(number);
        let before = chain.count;
        loop {
            let offset = self.offset(chain.head as usize);
            let index = self.info.object_around(offset);
            if offset >= self.bytes || index * size != offset {
                break;
            }
            if index / 64 != number {
                free.set_word(number, word);
                number = index / 64 % WORDS;
                word = free.word(number);
            }
            if word >> (index % 64) & 1 != 0 {
                break;
            }
            word |= 1 << (index % 64);
            // SAFETY: the caller gives up the objects, which are linked but for the last. The lock
            // keeps others from taking this one before its link is read.
            unsafe { chain.pop() };
            if chain.is_empty() {
                break;
            }
        }
        free.set_word(number, word);
        before - chain.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Memory for objects.
    #[repr(align(64))]
    #[derive(Clone)]
    struct Place(#[expect(dead_code, reason = "written to by its address")] [usize; 8]);

    /// Neighbours lie close together, whichever way their chain goes, and what lies on another page
    /// each does not.
    #[test]
    fn a_magazine_of_neighbours_lies_close_together() {
        let mut places = vec![Place([0; 8]); 128 * 200];
        let mut linked = |order: Vec<usize>| {
            let mut chain = Chain::EMPTY;
            for place in order {
                let object: *mut FreeObject = (&raw mut places[place]).cast();
                // SAFETY: the place's memory is the test's.
                unsafe { FreeObject::link(object, chain.head) };
                chain = Chain { head: object, count: chain.count + 1 };
            }
            // SAFETY: the chain's objects are the test's, and linked.
            unsafe { is_close_together(chain) }
        };
        assert!(linked((0..MAGAZINE_MAX_OBJECTS).collect()));
        assert!(linked((0..MAGAZINE_MAX_OBJECTS).rev().collect()));
        assert!(linked(vec![0]));
        assert!(!linked((0..MAGAZINE_MAX_OBJECTS).map(|at| at * 200).collect()));
        assert!(!linked((0..MAGAZINE_MAX_OBJECTS + 1).collect()), "longer than a magazine");
    }
}
