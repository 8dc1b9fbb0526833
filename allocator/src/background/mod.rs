//! What the thread of the allocator's own does (`os::worker`): steps of the decay while the program takes
//! none, and a look at which threads sleep (C1.1, C2.2).
//!
//! * `container`: what the container's limits and the pressure for memory are now.
//! * `relief`: giving back more than the decay does, on account of these and for requests.
//!
//! It is started from slow paths, once the heap has some size and a step of the decay is due, or much is
//! free; and it ends when all is given back that the decay gives back and no thread that is awake caches
//! anything. A small program never has one, nor has a process that is quiet for long.

mod container;
mod relief;

pub use relief::{empty_caches, relieve};

use crate::central::idle::Asker;
use crate::central::{CENTRAL, sharing};
use crate::config::{DECAY_STEPS, STEP_SHARE};
use crate::os::{Linux, Os, worker};
use crate::page_heap::PAGE_HEAP;
#[cfg(feature = "hardened")]
use crate::page_heap::fences;
use crate::page_heap::limits;
use crate::parameters::{self, Id, NEVER};
use crate::thread_cache::{EXITED, kept, park};
use container::{Found, Watch};
use relief::Relief;

/// Milliseconds between two steps, at least and at most.
const STEP_MS: core::ops::RangeInclusive<u64> = 20..=1_000;
/// Milliseconds between two looks at the caches of threads and at the transfer caches, and at the container.
const LOOK_MS: u64 = 1_000;
/// Milliseconds between two looks whether a forked child shares our pages: it may run another program at once.
const SHARING_MS: u64 = 25;
/// Looks at which a thread's cache must have been the same for the thread to count as asleep.
const LOOKS_ASLEEP: u32 = 2;
/// Bytes given back inside spans by a step, and free resident bytes of the page heap, from which on the
/// thread goes on. What is less may come from the little that a quiet program still does.
const LEAST_STEP: usize = 64 * 1024;
/// See `LEAST_STEP`.
const LEAST_SURPLUS: usize = 1 << 20;
/// Bytes in caches that were parked, and in caches of threads that are awake, from which the thread goes on.
const LEAST_PARKED: usize = 64 * 1024;
/// See `LEAST_PARKED`.
const LEAST_AWAKE: usize = 256 * 1024;
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
    serve();
    // What was read last does not hold for long.
    limits::lift_container_limit();
}

/// Sleeps for `ms` milliseconds, and looks in between whether a forked child still shares our pages, if one may.
fn sleep(ms: u64, watch: &mut Watch) {
    let mut left = ms;
    while left > 0 {
        let turn = if sharing::look(|| watch.may_open()) { left.min(SHARING_MS) } else { left };
        worker::sleep_ms(turn);
        left -= turn;
    }
}

/// What the thread does until there is nothing left to do.
fn serve() {
    let mut quiet = 0;
    let mut since_look = 0;
    let (mut watch, mut relief) = (Watch::new(), Relief::new());
    while parameters::get(Id::Background) != 0 {
        let decay_ms = parameters::get(Id::DecayMs) as u64;
        let step_ms = (decay_ms / DECAY_STEPS).clamp(*STEP_MS.start(), *STEP_MS.end());
        sleep(step_ms, &mut watch);
        since_look += step_ms;
        // Taken back before looking: a wish that comes later is not lost.
        worker::unwant();
        if parameters::get(Id::Container) == 0 {
            relief.act(Found::NOTHING);
        } else if let Some(found) = watch.look_if_due(Linux.now_ms()) {
            relief.act(found);
        }
        PAGE_HEAP.tick();
        let mut busy = CENTRAL.decay_step(STEP_SHARE) >= LEAST_STEP
            || sharing::since() != 0
            || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS;
        if since_look >= LOOK_MS {
            since_look = 0;
            CENTRAL.drain_idle(Asker::Decay);
            kept::empty(true);
            let look = park::park_sleepers(relief.looks_asleep());
            busy |= look.parked >= LEAST_PARKED || look.awake >= LEAST_AWAKE;
            #[cfg(feature = "hardened")]
            {
                busy |= fences::decay() >= fences::KEPT_BYTES_QUIETLY;
            }
            quiet += 1;
        }
        if busy {
            quiet = 0;
        } else if quiet >= LOOKS_QUIET {
            return;
        }
    }
}
