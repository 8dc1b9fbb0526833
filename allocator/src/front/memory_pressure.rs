//! What the slow paths do when memory is short: under a limit, and before a request fails.
//!
//! `background` decides what is done and does the work; this file is where an allocation joins in.
//! It holds no state and no lock, and no lock of the allocator may be held by its callers. It does
//! not decide whether a request fails: [`super::alloc`] and [`super::large`] do, when no step is
//! left.

use crate::background::{self, LastResort};
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::central::CENTRAL;
use crate::os::linux::take_lock_refusal;
use crate::page::unlock;
use crate::page_heap::sampled_pages;
use crate::profile;
use core::ptr;

/// Takes part in getting memory back while a limit is exceeded that the page heap's free pages
/// could not meet. The calling request took `own` bytes from the page heap itself. Slow paths call
/// this, and hold no lock.
#[inline]
pub fn release_under_pressure(own: usize) {
    if unlikely(background::is_wanted()) {
        release_under_pressure_slow(own);
    }
}

#[cold]
#[inline(never)]
fn release_under_pressure_slow(own: usize) {
    background::take_part(own);
}

/// Unlocks the tables of this library that no one has used yet, in a process that may lock no more
/// memory.
#[cold]
fn unlock_tables() {
    unlock::unlock_untouched();
    unlock::unlock_zeros(ptr::from_ref(&CENTRAL) as usize, size_of_val(&CENTRAL));
    profile::for_each_table(unlock::unlock_zeros);
}

/// Takes the step `resort` towards getting memory back from the threads and the shared tiers,
/// before a request fails. Returns the next step if the request is to be tried again.
#[cold]
#[inline(never)]
pub fn last_resort(resort: LastResort) -> Option<LastResort> {
    if take_lock_refusal() {
        unlock_tables();
    }
    resort.go_on()
}

/// Returns what the threads and the shared tiers cache to the page heap, so that whole spans and
/// huge pages become free: the first step of a trim.
#[cold]
pub fn reclaim() {
    probe!("reclaim", 0, 0);
    sampled_pages::release_all();
    background::empty_caches();
}
