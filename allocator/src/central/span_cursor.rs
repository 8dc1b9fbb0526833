//! Objects that return to their spans: which span each lies in, and which of its objects it is.
//!
//! [`SpanCursor`] remembers the span of the last object, so that neighbours are not looked up
//! again. [`RecordPrefetch`] and [`cut_off`] bring what the lookup reads into the processor's
//! caches before the lock is taken: where blocks die in no order, each lies in a span of its own,
//! whose record nobody looked at lately. Read one after the other, under the lock, these records
//! were most of what a free costs.
//!
//! A cursor belongs to one call and lies on its stack. [`SpanCursor::at`] reads records that the
//! lock of the class guards; the rest needs no lock.

use super::chain::{Chain, FreeObject};
use crate::base::hint::prefetch;
use crate::config::PAGE_SHIFT;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::{ClassInfo, SizeClass};
use crate::page::span::Span;
use core::ptr;

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
            prefetch(PAGE_MAP.span(addr));
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

/// The span that objects return to, with what each of them is compared with.
pub struct SpanCursor {
    /// Null if no span of the class is where the last object was said to lie.
    pub span: *mut Span,
    /// First address of the span.
    pub addr: usize,
    /// Bytes in the span; 0 if there is none.
    pub bytes: usize,
    /// Objects that returned and are not accounted for yet.
    pub count: usize,
    info: ClassInfo,
}

impl SpanCursor {
    /// No span.
    pub const NOWHERE: Self = Self {
        span: ptr::null_mut(),
        addr: 0,
        bytes: 0,
        count: 0,
        info: ClassInfo {
            size: 0,
            pages: 0,
            objects: 0,
            reciprocal: 0,
            eighths: 0,
            most_budget: 0,
        },
    };

    /// The span of `class` in which `addr` lies. The caller holds the lock of the class.
    pub fn at(class: SizeClass, addr: usize) -> Self {
        let span = PAGE_MAP.span(addr);
        // SAFETY: the page map holds null or a record, and records are never unmapped. An object of
        // `class` that is not free keeps its span in this class, and the caller's lock guards the
        // records of those. (After an invalid free the record may be another owner's: the free is
        // reported, or the program has no claim.)
        let Some(record) = (unsafe { span.as_ref() }).filter(|record| record.class == class) else {
            return Self::NOWHERE;
        };
        Self { span, addr: record.addr(), bytes: record.bytes(), count: 0, info: *class.info() }
    }

    /// The number of the object that begins at `addr`, which lies in the span; `None` if none does.
    #[inline(always)]
    pub fn index_of(&self, addr: usize) -> Option<usize> {
        self.info.object_at(addr - self.addr)
    }
}
