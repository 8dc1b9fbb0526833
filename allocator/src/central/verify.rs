//! Checking chains of free objects. Nothing is trusted: a link is followed only after the page map
//! has said that it leads to an object of the class, so a damaged chain is found and not fallen
//! for.

use super::chain::{Chain, FreeObject};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, SpanState};

/// Whether `chain`, which belongs to the caller or is guarded by a lock that it holds, consists of
/// exactly its count of free objects of `class`.
pub fn chain_is_sound(class: SizeClass, chain: Chain) -> bool {
    let mut object = chain.head;
    for _ in 0..chain.count {
        if !is_object(class, object as usize) {
            return false;
        }
        // SAFETY: the page map says that this is an object of `class`, which has room for two
        // words.
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
    // SAFETY: what the page map holds is a record; records are never unmapped. The span of an
    // object that somebody holds does not change.
    match unsafe { PAGE_MAP.span(addr).as_ref() } {
        Some(span) if span.state == SpanState::Small && span.class == class => {
            matches!(span.place_of(addr), Place::Object(_))
        }
        _ => false,
    }
}
