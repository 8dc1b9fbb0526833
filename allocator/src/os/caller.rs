//! Whether code that calls `free` may hold a lock of the C library.
//!
//! The C library frees small blocks while it holds the lock of the stacks of ended threads.
//! Starting a thread takes that lock. So a call of `free` may start the background thread only if
//! the C library did not make the call, which the return address tells ([`may_hold_locks`]).
//!
//! The ranges of code that count as the C library's are found once, when this code is loaded: those
//! of the objects that have the C library, the functions of threads (a library of its own before
//! glibc 2.34), and the dynamic linker. This object counts as well, as its own address stands in
//! where the caller's is not known. Where a range cannot be found (static programs, other C
//! libraries than glibc) every caller may hold a lock.

use super::own_libc::{self, EXTENTS};
use crate::sync::{AtomicUsize, Ordering};

/// Start and end of each range; an end of 0 says that it was not found. Relaxed: written when this
/// code is loaded, before the process has a second thread.
static RANGES: [[AtomicUsize; 2]; EXTENTS] =
    [const { [const { AtomicUsize::new(0) }; 2] }; EXTENTS];

/// A caller of which nothing is known: an address that no object has.
pub const UNKNOWN: usize = 0;

/// Finds the ranges. `of_threads` is the address of a function of the C library that starts
/// threads, 0 if there is none. Called when this code is loaded.
pub fn find(of_threads: usize) {
    let Some(extents) = own_libc::extents(of_threads) else { return };
    for (range, extent) in RANGES.iter().zip(extents) {
        range[0].store(extent.start, Ordering::Relaxed);
        range[1].store(extent.end, Ordering::Relaxed);
    }
}

/// Whether the code at `caller`, which called `free`, may hold a lock of the C library.
pub fn may_hold_locks(caller: usize) -> bool {
    caller == UNKNOWN
        || RANGES.iter().any(|range| {
            let (start, end) = (range[0].load(Ordering::Relaxed), range[1].load(Ordering::Relaxed));
            end == 0 || (start..end).contains(&caller)
        })
}
