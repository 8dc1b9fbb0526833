//! Checking chains of free objects.
//!
//! Nothing is trusted: a link is followed only after the page map has said that it leads to an
//! object of the class. So a damaged chain is found, and does no harm.

use super::chain::{Chain, FreeObject};
use super::shared_pages::size_at;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, SpanState};

/// Whether `chain` has exactly its count of free objects of `class`. The chain is the caller's, or
/// guarded by a lock that the caller holds.
pub fn chain_is_sound(class: SizeClass, chain: Chain) -> bool {
    let mut object = chain.head;
    for _ in 0..chain.count {
        if !is_object(class, object as usize) {
            return false;
        }
        // SAFETY: the page map says that this is an object of `class`, so its two words are mapped,
        // and nobody else changes those of a free object in the chain.
        unsafe {
            if !FreeObject::is_marked(object) {
                return false;
            }
            object = FreeObject::next(object);
        }
    }
    object.is_null()
}

/// Whether an object of `class` starts at `addr`, free or not.
pub fn is_object(class: SizeClass, addr: usize) -> bool {
    // SAFETY: the page map holds null or a record, and records are never unmapped. The state, the
    // class and the place of a span do not change while one of its objects is not free.
    match unsafe { PAGE_MAP.span(addr).as_ref() } {
        Some(span) if span.state == SpanState::Small && span.class == class => {
            matches!(span.place_of(addr), Place::Object(_))
        }
        Some(span) if span.state == SpanState::Shared => {
            let size = size_at(addr);
            size > 0 && (class == SizeClass::SHARED || class.size() == size)
        }
        _ => false,
    }
}
