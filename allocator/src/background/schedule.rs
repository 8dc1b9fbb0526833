//! When steps are due, and from how much on they are worth it. Both the background thread
//! (`worker`) and the program's own calls (`calls`) go by these figures.

use crate::config::{DECAY_STEPS, HUGE_SIZE};
use crate::parameters::{self, Id};

/// Milliseconds between two steps, at least and at most.
const STEP_MS: core::ops::RangeInclusive<u64> = 20..=1_000;
/// Milliseconds between two looks at the caches of threads and at the transfer caches, and at the
/// container.
pub(super) const LOOK_MS: u64 = 1_000;
/// Milliseconds between two looks whether a forked child shares the process's pages: it may run
/// another program soon.
pub(super) const SHARING_MS: u64 = 25;
/// Looks at which a thread's cache must have been the same for the thread to count as asleep.
pub(super) const LOOKS_ASLEEP: u32 = 2;
/// Bytes released inside spans by a step from which on the steps go on. Less may come from the
/// little that a quiet program still does.
pub(super) const LEAST_STEP: usize = 64 * 1024;
/// Free resident bytes of the page heap from which on the steps go on.
pub(super) const LEAST_SURPLUS: usize = 1 << 20;
/// Bytes in caches that were just parked from which on the background thread goes on.
pub(super) const LEAST_PARKED: usize = 64 * 1024;
/// Bytes in caches of threads that are awake from which on the background thread goes on.
pub(super) const LEAST_AWAKE: usize = 256 * 1024;
/// Looks in a row that find nothing to do, after which the steps end.
pub(super) const LOOKS_QUIET: u32 = 3;
/// Bytes in use from which on the background thread sleeps rather than ends: a program may free
/// them by calls that must not start a thread.
pub(super) const LEAST_IN_USE: usize = 4 * HUGE_SIZE;

/// Milliseconds between two steps of the decay.
pub(super) fn step_ms() -> u64 {
    let decay_ms = parameters::get(Id::DecayMs) as u64;
    (decay_ms / DECAY_STEPS).clamp(*STEP_MS.start(), *STEP_MS.end())
}
