//! What the thread of the allocator's own does (`os::worker`): steps of the decay while the program takes
//! none, and a look at which threads sleep (C1.1, C2.2).
//!
//! It is started from slow paths, once the heap has some size and a step of the decay is due, or much is
//! free; and it ends when all is given back that the decay gives back and no thread that is awake caches
//! anything. A small program never has one, nor has a process that is quiet for long.

use crate::central::CENTRAL;
use crate::central::idle::Asker;
use crate::config::DECAY_STEPS;
use crate::os::worker;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id, NEVER};
use crate::thread_cache::{EXITED, park};

/// Milliseconds between two steps, at least and at most.
const STEP_MS: core::ops::RangeInclusive<u64> = 20..=1_000;
/// Milliseconds between two looks at the caches of threads and at the transfer caches.
const LOOK_MS: u64 = 1_000;
/// Looks at which a thread's cache must have been the same for the thread to count as asleep.
const LOOKS_ASLEEP: u32 = 2;
/// Looks in a row without anything to do after which the thread ends.
const LOOKS_QUIET: u32 = 3;

/// Starts the thread if there is work for it and it does not exist. For slow paths, without any lock.
#[inline]
pub fn start_if_wanted() {
    if worker::wanted() {
        start();
    }
}

#[cold]
fn start() {
    let allowed = parameters::get(Id::Background) != 0 && parameters::get(Id::DecayMs) != NEVER;
    if !allowed || !worker::start(run, (&raw const EXITED).cast_mut().cast()) {
        // The next step of the decay wishes again.
        worker::unwant();
    }
}

extern "C" fn run() {
    worker::settle_in();
    let mut quiet = 0;
    let mut since_look = 0;
    while parameters::get(Id::Background) != 0 {
        let decay_ms = parameters::get(Id::DecayMs) as u64;
        let step_ms = (decay_ms / DECAY_STEPS).clamp(*STEP_MS.start(), *STEP_MS.end());
        worker::sleep_ms(step_ms);
        since_look += step_ms;
        // Taken back before looking: a wish that comes later is not lost.
        worker::unwant();
        PAGE_HEAP.tick();
        let mut busy = CENTRAL.decay_step() | PAGE_HEAP.has_surplus();
        if since_look >= LOOK_MS {
            since_look = 0;
            CENTRAL.drain_idle(Asker::Decay);
            let (parked, later) = park::park_sleepers(LOOKS_ASLEEP);
            busy |= parked > 0 || later > 0;
            quiet += 1;
        }
        if busy {
            quiet = 0;
        } else if quiet >= LOOKS_QUIET {
            return;
        }
    }
}
