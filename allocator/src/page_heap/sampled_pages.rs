//! Pages of sampled blocks, kept for the next ones: to take a span from the page heap and to give
//! it back was half of the instructions of a sample.
//!
//! A few spans of one page. While one is kept, its record is that of a free span, so that a second
//! `free` of its block is found out; the page map still leads to it. To the page heap it is a large
//! block, so the statistics take away what is kept ([`kept_pages`]).
//!
//! No lock: each place is an atomic pointer, and who takes the pointer out owns the span.

use super::heap::PAGE_HEAP;
use crate::page::span::{Span, SpanState};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{self, NonNull};

/// Spans that are kept at most: as many as may be sampled in a burst.
const PLACES: usize = 16;

static KEPT: [AtomicPtr<Span>; PLACES] = [const { AtomicPtr::new(ptr::null_mut()) }; PLACES];

/// How many places are taken. Relaxed throughout: a hint where to look, and a figure.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Pages that are kept now.
pub fn kept_pages() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// A span of one page, as the page heap would hand it out for a large block, if one is kept.
pub fn take() -> Option<NonNull<Span>> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    KEPT.iter().find_map(take_from)
}

fn take_from(place: &AtomicPtr<Span>) -> Option<NonNull<Span>> {
    if place.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // Acquire: pairs with the Release in `keep`, so that the record is as it was left there.
    let span = NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire))?;
    COUNT.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: whoever took the pointer out owns the span; records are never unmapped.
    unsafe { (*span.as_ptr()).state = SpanState::Large };
    Some(span)
}

/// Keeps a span for the next sampled block. Returns whether it did; if not, it is still the
/// caller's.
///
/// # Safety
/// `span` is one of the page heap's, of a large block, and the caller gives it up.
pub unsafe fn keep(span: NonNull<Span>) -> bool {
    // SAFETY: the caller owns the span.
    if unsafe { span.as_ref().pages.0 } != 1 {
        return false;
    }
    let Some(place) = KEPT.iter().find(|place| place.load(Ordering::Relaxed).is_null()) else {
        return false;
    };
    // SAFETY: the caller owns the span, and gives it up.
    unsafe {
        (*span.as_ptr()).state = SpanState::Free;
        (*span.as_ptr()).fresh = false;
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    // Release: pairs with the Acquire in `take_from`.
    let kept = place.compare_exchange(
        ptr::null_mut(),
        span.as_ptr(),
        Ordering::Release,
        Ordering::Relaxed,
    );
    if kept.is_err() {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the place was taken meanwhile, so the span is still the caller's.
        unsafe { (*span.as_ptr()).state = SpanState::Large };
    }
    kept.is_ok()
}

/// Gives all that is kept back to the page heap.
pub fn release_all() {
    for place in &KEPT {
        if let Some(span) = take_from(place) {
            // SAFETY: a span of the page heap's that `take_from` made this call's.
            unsafe { PAGE_HEAP.free_span(span) };
        }
    }
}
