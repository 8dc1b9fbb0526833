//! The request for giving memory back: whoever frees memory, or sees that a step of the decay is due, asks;
//! the thread that gives memory back carries it out, or, where there is none, the program's own next calls
//! (`background`).

use crate::sync::{AtomicU32, Ordering};

// Relaxed, throughout: flags that decide when something is done, not what. A request that is seen a moment
// late is carried out a moment late, and one that is lost is made again by the next step that is due.

/// Somebody asked.
static REQUESTED: AtomicU32 = AtomicU32::new(0);
/// A thread is awake that looks by itself.
static SERVED: AtomicU32 = AtomicU32::new(0);

/// Asks for memory to be given back.
#[inline]
pub fn request() {
    // Looked at first: where many threads ask, the flag's line is not written to by each of them.
    if REQUESTED.load(Ordering::Relaxed) == 0 {
        REQUESTED.store(1, Ordering::Relaxed);
    }
}

/// Whether somebody asked.
#[inline]
pub fn is_pending() -> bool {
    REQUESTED.load(Ordering::Relaxed) != 0
}

/// Whether somebody asked and no thread will look by itself.
#[inline]
pub fn needs_attention() -> bool {
    is_pending() && SERVED.load(Ordering::Relaxed) == 0
}

/// Calls of `note_free`.
static FREES: AtomicU32 = AtomicU32::new(0);
/// One of so many of them asks.
const FREES_TO_ASK: u32 = 16;

/// The heap has a size from which its memory goes back by itself.
static WORTH_IT: AtomicU32 = AtomicU32::new(0);

/// Notes that the heap has grown to a size from which its memory goes back by itself.
pub fn note_size() {
    WORTH_IT.store(1, Ordering::Relaxed);
}

/// Notes that a thread came to a slow path because it frees much: now and then that is a request. For processes with
/// one thread; others have one that looks.
#[inline]
pub fn note_free() {
    if WORTH_IT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let frees = FREES.load(Ordering::Relaxed).wrapping_add(1);
    FREES.store(frees, Ordering::Relaxed);
    if frees.is_multiple_of(FREES_TO_ASK) {
        request();
    }
}

/// Takes the request back. To be called before looking, so that a request that comes later is not lost.
pub fn withdraw() {
    REQUESTED.store(0, Ordering::Relaxed);
}

/// Says whether a thread is awake that looks by itself.
pub fn set_served(served: bool) {
    SERVED.store(u32::from(served), Ordering::Relaxed);
}
