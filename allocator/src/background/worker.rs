//! The background thread: when it is started, what it does, and when it ends.
//!
//! It takes the steps of the decay, looks which threads sleep, and watches the container's limits.
//! It is started once the heap has some size and a step is due. While much is in use and nothing is
//! left to release, it sleeps without a time limit until somebody asks (`os::release_request`). It
//! ends when next to nothing is in use, or when the program has one thread left or none
//! (`one_left`), or when the program has put it under a filter of system calls: then it makes no
//! further one. It holds no lock between two steps, and allocates nothing.

use super::calls::{self, Call};
use super::container::{Found, Watch};
use super::container_response::ContainerResponse;
use super::one_left;
use super::reclaim_pass::{self, Goal, Pass};
use super::schedule::{
    LEAST_AWAKE, LEAST_IN_USE, LEAST_PARKED, LEAST_STEP, LEAST_SURPLUS, LOOK_MS, LOOKS_QUIET,
    SHARING_MS, step_ms,
};
use crate::central::low_water::Consumer;
use crate::central::{CENTRAL, cow_state};
use crate::config::{BACKGROUND_MIN_HUGE, DECAY_MS, PAGES_PER_HUGE, STEP_SHARE};
use crate::os::linux::barrier_everywhere;
use crate::os::own_thread::{self, OwnThread};
use crate::os::release_request::Service;
use crate::os::{Linux, Os, caller, filter, libc_calls, release_request};
use crate::page_heap::{PAGE_HEAP, guard_pages, limits};
use crate::parameters::{self, Background, Id, NEVER};
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, Ordering};
use crate::thread_cache::{EXITED, cache_pool, park, registry};
use core::ffi::c_void;
use core::ptr;

/// The background thread.
static WORKER: OwnThread = OwnThread::new();

/// Wakes or starts the background thread, or takes part in a step, if a request to release memory
/// is pending; starts another thread of the allocator's own that waits for such a place
/// (`own_thread`). For the ends of slow paths; the caller holds no lock.
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
#[unsafe(link_section = ".text.hot.stratalloc")]
fn attend_slow(call: Call) {
    if call == Call::Allocate {
        own_thread::start_what_waits();
    }
    if !release_request::is_unserved() {
        return;
    }
    if parameters::get(Id::DecayMs) == NEVER {
        release_request::withdraw();
    } else if WORKER.exists() {
        // The background thread may be asleep until somebody asks.
        WORKER.wake();
    } else if !start(call) {
        calls::take_part(call);
    }
}

/// Starts the background thread if it may exist and if this call is a safe place for that. Returns
/// whether it exists.
///
/// A thread of the program's that is known to be in a sandbox (`os::filter`) does not look further:
/// it may be busy, and others are to have their turn at `may_look_again`. Of any other that is
/// asked before it makes another system call that a filter may end the process for.
///
/// Any call that asks for memory is safe: the C library holds none of the locks then that it takes
/// to make a thread. It does hold one in some calls of `free`, when it unmaps the stacks of threads
/// that have ended; the blocks that it frees there are small. So a call that frees a small block
/// must not come from the C library itself. Where the allocator is no C library, only Rust code
/// calls it.
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
        && !filter::is_known_to_have_come()
        && may_look_again()
        && registry::caches()
        && PAGE_HEAP.huge_pages() >= BACKGROUND_MIN_HUGE
        && has_much()
        && !filter::came_later()
        && (parameters::background() == Background::On || !one_left::is_found())
        && WORKER.start(run)
}

/// Whether the coarse clock has moved since a call last looked whether to start the background
/// thread. Looking takes the locks of all classes, and in a small heap every slow path would look.
fn may_look_again() -> bool {
    let now = Linux.now_ms() as u32;
    // Relaxed: a hint. A thread that sees an old time looks once more, which does no harm.
    LOOKED.load(Ordering::Relaxed) != now && LOOKED.swap(now, Ordering::Relaxed) != now
}

/// When a call looked last whether to start the background thread, in milliseconds of the coarse
/// clock.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// Whether there is, or soon may be, more to release than a few calls of the program can.
fn has_much() -> bool {
    PAGE_HEAP.held_bytes() >= LEAST_IN_USE
        || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS
        || CENTRAL.free_bytes() >= LEAST_SURPLUS
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    own_thread::settle_in(&WORKER, c"stratalloc", (&raw const EXITED).cast_mut().cast());
    release_request::set_served(Service::Awake);
    serve();
    release_request::set_served(Service::None);
    // Nobody reads the container's limit from now on, and the last figure does not hold for long.
    limits::lift_container_limit();
    WORKER.end();
    ptr::null_mut()
}

/// Sleeps until the next step is due, unless the background thread is woken. In between, looks
/// whether a forked child still shares the process's pages, if one may. Returns the milliseconds.
fn sleep_for_a_step(watch: &mut Watch) -> u64 {
    let step_ms = step_ms();
    let mut left = step_ms;
    while left > 0 {
        // Read before the background thread looks, so that it does not sleep over what it was woken
        // for.
        let seen = WORKER.wakes();
        if registry::last_has_ended() {
            break;
        }
        let may_open = || !filter::came_later() && watch.may_open();
        let turn = if cow_state::look(may_open) { left.min(SHARING_MS) } else { left };
        WORKER.sleep(Some(turn), seen);
        left -= turn;
    }
    step_ms
}

/// What the background thread does until there is nothing left to do.
fn serve() {
    let mut quiet = 0;
    let mut since_look = 0;
    let (mut watch, mut response) = (Watch::new(), ContainerResponse::new());
    let mut one_left = one_left::Watch::new();
    while parameters::background() != Background::Off && !registry::last_has_ended() {
        // A thread that ends is gone a moment after it said so: this one stays awake to see that.
        if release_request::take_one_left() {
            quiet = 0;
        }
        since_look += sleep_for_a_step(&mut watch);
        let seen = WORKER.wakes();
        if filter::came_later() {
            leave_the_rest_to_calls();
            return;
        }
        if one_left.look(Linux.now_ms()) && is_needless(&mut watch) {
            give_back_what_is_idle();
            leave_the_rest_to_calls();
            return;
        }
        // Withdrawn before the background thread looks, so that a request that comes later is not
        // lost.
        release_request::withdraw();
        own_thread::keep_no_more_rights_than_the_process();
        if parameters::get(Id::Container) == 0 {
            response.act(Found::NOTHING);
        } else if let Some(found) = watch.look_if_due(Linux.now_ms()) {
            response.act(found);
        }
        while reclaim_pass::take_part(0) {}
        give_back_due_pages();
        let mut busy = CENTRAL.decay_step(STEP_SHARE) >= LEAST_STEP
            || cow_state::since() != 0
            || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS;
        if since_look >= LOOK_MS {
            since_look = 0;
            CENTRAL.drain_idle(Consumer::Decay);
            cache_pool::empty(true);
            let look = park::park_sleepers(response.looks_asleep());
            busy |= look.parked >= LEAST_PARKED || look.awake >= LEAST_AWAKE;
            if HARDENED {
                busy |= decay_of_guard_pages() >= guard_pages::KEPT_BYTES_QUIETLY;
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

/// Whether the thread is to end in a program that has one thread left, or none: it stays if it is
/// wanted in any case, but never as the last one.
fn is_needless(watch: &mut Watch) -> bool {
    parameters::background() != Background::On || watch.may_open() && own_thread::is_alone()
}

/// Gives back at a stretch what was idle since the last step, of which the steps release a share
/// each: the program may be about to fall silent. Whoever set a longer decay time wants memory to
/// stay.
fn give_back_what_is_idle() {
    if parameters::get(Id::DecayMs) <= DECAY_MS as usize {
        while HARDENED && guard_pages::give_one_back() {}
        Pass::new(Goal::NothingIdle).run();
        cache_pool::empty(true);
        give_back_due_pages();
    }
}

/// Makes a request, for the program's own calls: the thread does not look whether anything is left.
fn leave_the_rest_to_calls() {
    release_request::request();
}

/// Takes a step of the page heap's decay, if one is due, and releases all pages that are due.
pub fn give_back_due_pages() {
    PAGE_HEAP.decay_step();
    while PAGE_HEAP.release_owed(4 * PAGES_PER_HUGE, usize::MAX) {}
}

/// Releases the cached spans with guard pages that were there at the last look already. Returns the
/// bytes of those that stay.
fn decay_of_guard_pages() -> usize {
    loop {
        if let Some(bytes) = guard_pages::decay_one() {
            return bytes;
        }
    }
}

/// Sleeps until somebody asks. `seen` was read before the background thread last looked, so that it
/// does not sleep through a request.
///
/// A thread that asks writes the request and then reads whether it is served, as one does that ends
/// and leaves one; this one does the same the other way round. Neither order is the processor's, so
/// every thread is made to pass a barrier in between (`release_request::needs_attention` has the
/// other half). Where the kernel refuses that, a request of this very moment waits for the next
/// slow path of any thread.
fn sleep_until_asked(seen: u32) {
    limits::lift_container_limit();
    release_request::set_served(Service::Asleep);
    barrier_everywhere();
    if !release_request::is_pending() && !release_request::is_one_left() {
        WORKER.sleep(None, seen);
    }
    release_request::set_served(Service::Awake);
}

/// In a forked child, which does not have the background thread.
pub fn reset_in_child() {
    WORKER.reset_in_child();
    release_request::set_served(Service::None);
    calls::reset_in_child();
    reclaim_pass::reset_in_child();
}
