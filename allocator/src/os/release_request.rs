//! The request to release memory.
//!
//! A thread that frees memory, or that sees that a step of the decay is due, makes the request. The
//! background thread serves it, or, where there is none, the program's own next calls do
//! (`background`). It is a few flags without a lock; how much is released is decided elsewhere.

use crate::sync::{AtomicU32, Ordering, compiler_fence};

// Relaxed, throughout: flags that decide when something is done, not what. A request that is seen a
// moment late is carried out a moment late, and one that is lost is made again by the next step
// that is due.

/// What is wanted of the next calls: bits.
static REQUESTED: AtomicU32 = AtomicU32::new(0);
/// Memory is to be released.
const RELEASE: u32 = 1;
/// A thread of the allocator's own waits for a safe place to be started (`own_thread`).
const START: u32 = 2;
/// What the background thread does: a [`Service`].
static SERVED: AtomicU32 = AtomicU32::new(Service::None as u32);
/// 1 from when a thread of the program's ended and left one at most until the background thread
/// sees that.
static ONE_LEFT: AtomicU32 = AtomicU32::new(0);

/// What the background thread does for those who make requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It does not exist, or begins or ends.
    None,
    /// It is awake, and checks by itself.
    Awake,
    /// It sleeps until it is woken.
    Asleep,
}

/// Requests that memory is released.
#[inline]
pub fn request() {
    // Loaded first, so that not each of many threads writes to the flag's cache line.
    if !is_pending() {
        REQUESTED.fetch_or(RELEASE, Ordering::Relaxed);
    }
}

/// Notes whether a thread of the allocator's own waits to be started by a call that allocates.
pub fn set_start_waits(waits: bool) {
    if waits {
        REQUESTED.fetch_or(START, Ordering::Relaxed);
    } else {
        REQUESTED.fetch_and(!START, Ordering::Relaxed);
    }
}

/// Whether there is a request.
#[inline]
pub fn is_pending() -> bool {
    REQUESTED.load(Ordering::Relaxed) & RELEASE != 0
}

/// Whether the next calls have something to do: memory is to be released and the background thread
/// will not see it by itself, or a thread waits to be started.
#[inline]
pub fn needs_attention() -> bool {
    // As in `is_unserved`.
    compiler_fence(Ordering::SeqCst);
    let requested = REQUESTED.load(Ordering::Relaxed);
    requested != 0 && (requested & START != 0 || !is_awake())
}

/// Whether there is a request that the background thread will not see by itself. To be asked after
/// a request: the fence keeps that order in the code, and the thread that goes to sleep makes every
/// other one pass a barrier between the same two flags (`background::worker`).
pub fn is_unserved() -> bool {
    compiler_fence(Ordering::SeqCst);
    is_pending() && !is_awake()
}

/// Whether the background thread is awake.
#[inline]
fn is_awake() -> bool {
    SERVED.load(Ordering::Relaxed) == Service::Awake as u32
}

/// Calls of `note_free`.
static FREES: AtomicU32 = AtomicU32::new(0);
/// One of so many of them makes a request.
const FREES_TO_ASK: u32 = 16;

/// 1 once the heap has a size from which its memory is released by itself.
static WORTH_IT: AtomicU32 = AtomicU32::new(0);

/// Notes that the heap has grown to a size from which its memory is released by itself.
pub fn note_size() {
    WORTH_IT.store(1, Ordering::Relaxed);
}

/// Notes that a thread came to a slow path because it frees much. Every sixteenth call makes a
/// request. For processes with one thread; others have the background thread.
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

/// Withdraws the request. Called before memory is searched, so that a later request is not lost.
pub fn withdraw() {
    REQUESTED.fetch_and(!RELEASE, Ordering::Relaxed);
}

/// Notes what the background thread does.
pub fn set_served(service: Service) {
    SERVED.store(service as u32, Ordering::Relaxed);
}

/// Notes that a thread of the program's ends, and that one at most is left that has a cache.
/// Returns whether the background thread sleeps and has to be woken for that: by the same order as
/// in `is_unserved` it does not go to sleep over it.
pub fn note_one_left() -> bool {
    ONE_LEFT.store(1, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    SERVED.load(Ordering::Relaxed) == Service::Asleep as u32
}

/// Whether `note_one_left` was called since `take_one_left`.
pub fn is_one_left() -> bool {
    ONE_LEFT.load(Ordering::Relaxed) != 0
}

/// Whether `note_one_left` was called since the last call. For the background thread, before it
/// looks.
pub fn take_one_left() -> bool {
    is_one_left() && ONE_LEFT.swap(0, Ordering::Relaxed) != 0
}
