//! Memory goes back without being asked (C1.1, C2.2): who does it, and when.
//!
//! In a process with threads a thread of our own takes the steps of the decay, looks which threads sleep, and
//! watches the container's limits. It is an ordinary thread (`os::own_thread`). It is started once the heap has
//! some size and a step is due; while much is in use and nothing is left to give back it sleeps without a time
//! limit until somebody asks (`os::release_request`); and it ends when next to nothing is in use, or when no
//! other thread is left.
//!
//! A process that never made a thread keeps exactly one. There, as wherever there is no such thread, the
//! program's own calls take the steps, a small part each (`calls`). A process that makes no call keeps what it has.
//!
//! * `container`: what the container's limits and the pressure for memory are now.
//! * `memory_pressure`: what is done about these.
//! * `pressure`: giving back more than the decay does, part by part.
//! * `calls`: steps that the program's own calls take.

mod calls;
mod container;
mod memory_pressure;
mod pressure;
#[cfg(test)]
mod pressure_tests;

pub use pressure::{LastResort, empty_caches, is_wanted, take_part};

use crate::central::low_water::Consumer;
use crate::central::{CENTRAL, cow_state};
use crate::config::{BACKGROUND_MIN_HUGE, DECAY_STEPS, HUGE_SIZE, PAGES_PER_HUGE, STEP_SHARE};
use crate::os::own_thread::{self, OwnThread};
use crate::os::{Linux, Os, caller, libc_calls, release_request};
use crate::page_heap::PAGE_HEAP;
#[cfg(feature = "hardened")]
use crate::page_heap::guard_pages;
use crate::page_heap::limits;
use crate::parameters::{self, Background, Id, NEVER};
use crate::sync::{AtomicU32, Ordering};
use crate::thread_cache::{EXITED, cache_pool, park, registry};
use container::{Found, Watch};
use core::ffi::c_void;
use core::ptr;
use memory_pressure::MemoryPressure;

/// Milliseconds between two steps, at least and at most.
const STEP_MS: core::ops::RangeInclusive<u64> = 20..=1_000;
/// Milliseconds between two looks at the caches of threads and at the transfer caches, and at the container.
const LOOK_MS: u64 = 1_000;
/// Milliseconds between two looks whether a forked child shares our pages: it may run another program at once.
const SHARING_MS: u64 = 25;
/// Looks at which a thread's cache must have been the same for the thread to count as asleep.
const LOOKS_ASLEEP: u32 = 2;
/// Bytes given back inside spans by a step, and free resident bytes of the page heap, from which on the
/// steps go on. What is less may come from the little that a quiet program still does.
const LEAST_STEP: usize = 64 * 1024;
/// See `LEAST_STEP`.
const LEAST_SURPLUS: usize = 1 << 20;
/// Bytes in caches that were parked, and in caches of threads that are awake, from which the thread goes on.
const LEAST_PARKED: usize = 64 * 1024;
/// See `LEAST_PARKED`.
const LEAST_AWAKE: usize = 256 * 1024;
/// Looks in a row without anything to do after which the steps end.
const LOOKS_QUIET: u32 = 3;
/// Bytes in use from which the thread stays, asleep: a program may free them by calls that must not start one.
const LEAST_IN_USE: usize = 4 * HUGE_SIZE;

/// The thread that gives memory back.
static WORKER: OwnThread = OwnThread::new();

/// What led to a slow path, as far as starting a thread goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Memory was asked for.
    Allocate,
    /// Memory was given back, by the code at that address (`os::caller`).
    Free(usize),
    /// The same, by so large a block that it is none of the C library's.
    FreeLarge,
}

/// Sees to it that memory goes back, if somebody asked: for the ends of slow paths, without any lock.
#[inline]
pub fn attend(call: Call) {
    if release_request::needs_attention() {
        attend_slow(call);
    } else if call != Call::Allocate && !libc_calls::had_threads() {
        release_request::note_free();
    }
}

#[cold]
#[inline(never)]
fn attend_slow(call: Call) {
    if parameters::get(Id::DecayMs) == NEVER {
        release_request::withdraw();
    } else if WORKER.exists() {
        // It sleeps until somebody asks.
        WORKER.wake();
    } else if !start(call) {
        calls::take_part(call);
    }
}

/// Starts the thread if there may be one, from a place where that is safe. Returns whether it exists.
///
/// Safe is any call that asks for memory: the C library holds none of the locks then that making a thread
/// takes. Of its calls that give memory back some do, when it unmaps the stacks of threads that have ended; the blocks
/// that it frees there are small. So a call that frees a small block must not come from the C library itself.
/// Rust programs without the C library's face are only called by Rust code.
fn start(call: Call) -> bool {
    let allowed = match parameters::background() {
        Background::Off => false,
        Background::On => true,
        Background::Auto => libc_calls::has_threads(),
    };
    let is_safe = match call {
        Call::Allocate | Call::FreeLarge => true,
        Call::Free(caller) => !libc_calls::is_in_c_library() || !caller::may_hold_locks(caller),
    };
    allowed
        && is_safe
        && may_look_again()
        && registry::caches()
        && PAGE_HEAP.huge_pages() >= BACKGROUND_MIN_HUGE
        && has_much()
        && WORKER.start(run)
}

/// Whether the coarse clock shows another time than when a call looked last whether to start the thread: looking takes
/// the locks of all classes, and in a small heap every slow path would.
fn may_look_again() -> bool {
    let now = Linux.now_ms() as u32;
    // Relaxed: a hint. Who sees an old time looks once more, which does no harm.
    LOOKED.load(Ordering::Relaxed) != now && LOOKED.swap(now, Ordering::Relaxed) != now
}

/// When a call looked last whether to start the thread, in milliseconds of the coarse clock.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// Whether there is or soon may be more to give back than a few calls do.
fn has_much() -> bool {
    PAGE_HEAP.held_bytes() >= LEAST_IN_USE
        || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS
        || CENTRAL.free_bytes() >= LEAST_SURPLUS
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    own_thread::settle_in(&WORKER, c"stratalloc", (&raw const EXITED).cast_mut().cast());
    release_request::set_served(true);
    serve();
    release_request::set_served(false);
    // What was read last does not hold for long.
    limits::lift_container_limit();
    WORKER.end();
    ptr::null_mut()
}

/// Milliseconds between two steps of the decay.
fn step_ms() -> u64 {
    let decay_ms = parameters::get(Id::DecayMs) as u64;
    (decay_ms / DECAY_STEPS).clamp(*STEP_MS.start(), *STEP_MS.end())
}

/// Sleeps for a step, unless it is woken, and looks in between whether a forked child still shares our pages, if
/// one may. Returns the milliseconds.
fn sleep_for_a_step(watch: &mut Watch) -> u64 {
    let step_ms = step_ms();
    let mut left = step_ms;
    while left > 0 && !registry::last_has_ended() {
        let turn = if cow_state::look(|| watch.may_open()) { left.min(SHARING_MS) } else { left };
        WORKER.sleep(Some(turn), WORKER.wakes());
        left -= turn;
    }
    step_ms
}

/// What the thread does until there is nothing left to do.
fn serve() {
    let mut quiet = 0;
    let mut since_look = 0;
    let (mut watch, mut pressure) = (Watch::new(), MemoryPressure::new());
    while parameters::background() != Background::Off && !registry::last_has_ended() {
        since_look += sleep_for_a_step(&mut watch);
        let seen = WORKER.wakes();
        // Taken back before looking: a request that comes later is not lost.
        release_request::withdraw();
        own_thread::keep_no_more_rights_than_the_process();
        if parameters::get(Id::Container) == 0 {
            pressure.act(Found::NOTHING);
        } else if let Some(found) = watch.look_if_due(Linux.now_ms()) {
            pressure.act(found);
        }
        while pressure::take_part(0) {}
        give_back_due_pages();
        let mut busy = CENTRAL.decay_step(STEP_SHARE) >= LEAST_STEP
            || cow_state::since() != 0
            || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS;
        if since_look >= LOOK_MS {
            since_look = 0;
            CENTRAL.drain_idle(Consumer::Decay);
            cache_pool::empty(true);
            let look = park::park_sleepers(pressure.looks_asleep());
            busy |= look.parked >= LEAST_PARKED || look.awake >= LEAST_AWAKE;
            #[cfg(feature = "hardened")]
            {
                busy |= decay_of_fences() >= guard_pages::KEPT_BYTES_QUIETLY;
            }
            quiet += 1;
        }
        if busy {
            quiet = 0;
        } else if quiet >= LOOKS_QUIET {
            if PAGE_HEAP.held_bytes() < LEAST_IN_USE {
                return;
            }
            sleep_until_asked(seen);
            quiet = 0;
        }
    }
}

/// Takes a step of the page heap's decay, if one is due, and gives back all that is owed.
pub fn give_back_due_pages() {
    PAGE_HEAP.decay_step();
    while PAGE_HEAP.release_owed(4 * PAGES_PER_HUGE, usize::MAX) {}
}

/// Gives back the fenced spans that were kept at the last look already. Returns the bytes that are kept still.
#[cfg(feature = "hardened")]
fn decay_of_fences() -> usize {
    loop {
        if let Some(bytes) = guard_pages::decay_one() {
            return bytes;
        }
    }
}

/// Sleeps without a limit. `seen` is from before the thread looked last, so that no request is slept through.
fn sleep_until_asked(seen: u32) {
    limits::lift_container_limit();
    release_request::set_served(false);
    if !release_request::is_pending() {
        WORKER.sleep(None, seen);
    }
    release_request::set_served(true);
}

/// In a forked child, which has no such thread.
pub fn reset_in_child() {
    WORKER.reset_in_child();
    release_request::set_served(false);
    calls::reset_in_child();
    pressure::reset_in_child();
}
