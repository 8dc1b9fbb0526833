//! Objects that come home: to which span, and as which of its objects.

use super::chain::{Chain, FreeObject};
use crate::base::hint::prefetch;
use crate::config::PAGE_SHIFT;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::{ClassInfo, SizeClass};
use crate::page::span::Span;
use core::ptr;

/// Asks for the records of the spans that objects lie in. Where blocks die in no order each is in a span of
/// its own, whose record nobody looked at lately: asked for one after the other, under the lock, they were most of
/// what a free costs.
#[derive(Clone, Copy)]
pub struct RecordPrefetch {
    /// The page of the last object: what four bytes hold of its number. A page that is taken for it only is not asked
    /// for.
    page: u32,
}

impl RecordPrefetch {
    pub const fn new() -> Self {
        Self { page: 0 }
    }

    /// Asks for the record of the span that `addr` lies in, unless it is on the same page as the one before.
    #[inline(always)]
    pub fn of(&mut self, addr: usize) {
        let page = (addr >> PAGE_SHIFT) as u32;
        if page != self.page {
            prefetch(PAGE_MAP.span(addr));
        }
        self.page = page;
    }
}

/// Cuts up to `most` objects off the front of `chain`, which keeps the rest, and has the processor's caches ready for
/// who takes them home: their links, and the records of their spans. Of what is cut off only `count` says where it ends.
///
/// # Safety
/// The chain is linked and the caller's; it ends where its count says, or before at a null link.
pub unsafe fn cut_off(chain: &mut Chain, most: usize) -> Chain {
    let mut part = Chain { head: chain.head, count: 0 };
    let mut prefetch = RecordPrefetch::new();
    let mut object = chain.head;
    while part.count < most.min(chain.count) && !object.is_null() {
        prefetch.of(object as usize);
        // SAFETY: by the caller's word.
        object = unsafe { FreeObject::next(object) };
        part.count += 1;
    }
    let left = if object.is_null() { 0 } else { chain.count - part.count };
    *chain = Chain { head: object, count: left };
    part
}

/// The span that objects are coming home to, with what each of them is compared with at hand.
pub struct SpanCursor {
    /// Null if there is none of the class where the last object was said to lie.
    pub span: *mut Span,
    pub addr: usize,
    pub bytes: usize,
    /// Objects that came home and are not accounted for yet.
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

    /// The span of `class` in which `addr` lies. For the holder of the class's lock.
    pub fn at(class: SizeClass, addr: usize) -> Self {
        let span = PAGE_MAP.span(addr);
        // SAFETY: what the page map holds is a record; records are never unmapped, and those of spans of
        // this class are guarded by the lock.
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
