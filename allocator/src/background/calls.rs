//! Steps of the decay that the program's own calls take, where there is no background thread.
//!
//! A call on a slow path does a part of a step: a few dozen steps of the walks, or one system call
//! for a bounded number of bytes. If the program was silent for long before, the call goes on with
//! further parts for less than a millisecond. While memory is left to release, the calling thread
//! is diverted (`publish::divert_own`): its next allocation takes a slow path, too, although its
//! magazine could serve it. So even a program that calls twice a second releases its memory.
//!
//! A busy program must not notice. Between two ticks of the coarse clock, which are milliseconds
//! apart, no more than `CALLS` allocations are diverted. Those that take slow paths anyway look at
//! the clock now and then, and go on. But a thread that frees so much that it comes to a slow path
//! is diverted in any case: it may be about to fall silent, and frees do not undo that.
//!
//! One thread at a time has the state (`Turns`); others go on without it.

use super::container::{Found, Watch};
use super::container_response::ContainerResponse;
use super::reclaim_pass;
use super::schedule::{LEAST_STEP, LEAST_SURPLUS, LOOK_MS, LOOKS_QUIET, step_ms};
use crate::central::low_water::Consumer;
use crate::central::{CENTRAL, Drain, OS_PAGE, cow_state};
use crate::config::{CLASS_COUNT, PAGE_SIZE, PAGES_PER_HUGE, STEP_SHARE};
use crate::os::cgroup::Scratch;
use crate::os::{Linux, Os, libc_calls, own_thread, release_request};
use crate::page::size_class::SizeClass;
use crate::page_heap::{PAGE_HEAP, guard_pages};
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, Ordering, Turns, UnsafeCell};
use crate::thread_cache::{cache_pool, flush, publish};

/// What led to a slow path: it says whether the background thread may be started there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Memory was asked for.
    Allocate,
    /// Memory was given back, by the code at that address (`os::caller`).
    Free(usize),
    /// Memory was given back: a block so large that the C library has none like it.
    FreeLarge,
}

/// Diverted allocations per tick of the coarse clock: each costs about a tenth of a microsecond.
const CALLS: u32 = 32;
/// The least number of them that are left after a free.
const CALLS_AFTER_FREE: u32 = 8;
/// How often per tick a free may add some.
const FREES: u32 = 8;
/// Most microseconds of the processor's time for which one call goes on from part to part: in a
/// program that calls once a second, nobody else releases what it freed.
const MOST_WORK_US: u64 = 700;
/// These microseconds for each second since the last call: a two-hundredth of the time. In a
/// program that calls hundreds of times a second, a call does one part.
const WORK_US_PER_S: u64 = 5_000;
/// Most system calls between two looks at the clock, if one does not release 2 MiB.
const PART_CALLS: usize = 8;

/// Where the steps are.
struct State {
    /// The tick of the coarse clock, in milliseconds, at which a call last took part.
    tick_ms: u64,
    /// Allocations that may be diverted before the next tick.
    calls: u32,
    /// How often a free may add some before the next tick.
    frees: u32,
    /// When the last step began, in milliseconds of the coarse clock.
    begun_ms: u64,
    /// When files are looked at next.
    files_ms: u64,
    /// When idle magazines are looked at next.
    look_ms: u64,
    /// Whether a step is under way. However long it takes, there is no other meanwhile.
    is_begun: bool,
    /// What the step has left to do: the size class that it is at (`CLASS_COUNT`: none is left),
    /// and how many OS pages of that are to go back.
    class: usize,
    pages: usize,
    /// The part of what lies idle that this step gives back.
    part: usize,
    /// Bytes that this step gave back inside spans.
    released: usize,
    /// Whether the step also looks at what lies idle in magazines.
    includes_look: bool,
    /// Whether a look at idle magazines is running.
    look_is_running: bool,
    /// How far the transfer caches were drained.
    drain: Drain,
    /// Pooled caches that are still to be emptied.
    pool_left: usize,
    /// Whether the look found more than next to nothing.
    found: bool,
    /// Looks in a row, of steps that have ended, at which there was next to nothing.
    quiet: u32,
    watch: Watch,
    response: ContainerResponse,
}

static STATE: Turns<State, Linux> = Turns::new(State::new());
/// Memory for looks at the container, for the thread that has `STATE`. It is not on the stack, of
/// which a call may take 2 KiB. It is not part of the state, so that it is all zero and takes no
/// memory before the first look.
#[unsafe(link_section = ".bss.stratalloc_large")]
static SCRATCH: Room = Room(UnsafeCell::new(Scratch::new()));

/// See [`SCRATCH`].
struct Room(UnsafeCell<Scratch>);

// SAFETY: `State::look_at_files` alone uses it, and so one thread at a time: the one that has
// `STATE`.
unsafe impl Sync for Room {}

/// Milliseconds without a call after which an allocation on a slow path counts as one of a program
/// that rarely calls.
const SILENT_MS: u64 = 50;

/// 1 if the thread that took part last was diverted, and no allocation has come since. Relaxed,
/// here and below: hints that decide when something is done.
static DIVERTED: AtomicU32 = AtomicU32::new(0);
/// Allocations that came to slow paths without being diverted.
static LOOKS: AtomicU32 = AtomicU32::new(0);
/// One of so many of them looks at the clock.
const LOOKS_PER_CLOCK: u32 = 8;

/// Lets a call of the program take part in the step that is due, if any. The caller holds no lock.
pub fn take_part(call: Call) {
    if call == Call::Allocate && DIVERTED.load(Ordering::Relaxed) == 0 {
        let looks = LOOKS.load(Ordering::Relaxed).wrapping_add(1);
        LOOKS.store(looks, Ordering::Relaxed);
        if !looks.is_multiple_of(LOOKS_PER_CLOCK) {
            return;
        }
    }
    let goes_on = STATE.try_use(|state| state.take_part(call)).unwrap_or(false);
    if goes_on {
        DIVERTED.store(1, Ordering::Relaxed);
        publish::divert_own();
    }
}

/// In a forked child, which does not have the thread that used the state, if any did.
pub fn reset_in_child() {
    DIVERTED.store(0, Ordering::Relaxed);
    STATE.reset_in_child(State::new());
}

impl State {
    const fn new() -> Self {
        Self {
            tick_ms: 0,
            calls: 0,
            frees: 0,
            begun_ms: 0,
            files_ms: 0,
            look_ms: 0,
            is_begun: false,
            class: CLASS_COUNT,
            pages: 0,
            part: STEP_SHARE,
            released: 0,
            includes_look: false,
            look_is_running: false,
            drain: Drain::over(),
            pool_left: 0,
            found: false,
            quiet: 0,
            watch: Watch::in_program(),
            response: ContainerResponse::new(),
        }
    }

    /// Takes part. Returns whether the calling thread is to be diverted.
    fn take_part(&mut self, call: Call) -> bool {
        let was_diverted = call == Call::Allocate && DIVERTED.swap(0, Ordering::Relaxed) != 0;
        let now_ms = Linux.now_ms();
        let silent_ms = now_ms - self.tick_ms.min(now_ms);
        if silent_ms > 0 {
            self.tick_ms = now_ms;
            (self.calls, self.frees) = (CALLS, FREES);
            self.take_step(now_ms, silent_ms);
            if self.quiet >= LOOKS_QUIET {
                // A thread that sees that there is something to release asks again.
                release_request::withdraw();
                // Nobody looks at the container until then.
                self.response.act(Found::NOTHING);
                self.quiet = 0;
                return false;
            }
        }
        match call {
            Call::Free(_) | Call::FreeLarge => self.divert_after_free(),
            Call::Allocate if was_diverted || silent_ms >= SILENT_MS => self.divert_again(),
            Call::Allocate => false,
        }
    }

    /// Whether the calling thread, which frees, is to be diverted: always, unless it allocates as
    /// much as it frees.
    fn divert_after_free(&mut self) -> bool {
        if DIVERTED.load(Ordering::Relaxed) == 0 {
            if self.frees == 0 {
                return false;
            }
            self.frees -= 1;
            self.calls = self.calls.max(CALLS_AFTER_FREE);
        }
        true
    }

    /// Whether the calling thread, which allocates, is to be diverted again.
    fn divert_again(&mut self) -> bool {
        let again = self.calls > 0;
        self.calls = self.calls.saturating_sub(1);
        again
    }

    /// Goes on with the step that is under way, or begins one that is due.
    fn take_step(&mut self, now_ms: u64, silent_ms: u64) {
        if now_ms >= self.files_ms {
            self.files_ms = now_ms + step_ms();
            self.look_at_files(now_ms);
        }
        if !self.is_begun && now_ms >= self.begun_ms + step_ms() {
            self.begin(now_ms);
        }
        if self.is_begun || PAGE_HEAP.owes() || reclaim_pass::is_wanted() {
            self.work(silent_ms);
            if self.is_begun
                && self.class == CLASS_COUNT
                && !self.look_is_running
                && !PAGE_HEAP.owes()
            {
                self.finish();
            }
        }
    }

    /// Begins a step.
    fn begin(&mut self, now_ms: u64) {
        let decay_ms = parameters::get(Id::DecayMs) as u64;
        self.part = if now_ms - self.begun_ms >= decay_ms { 1 } else { STEP_SHARE };
        (self.begun_ms, self.is_begun) = (now_ms, true);
        (self.class, self.pages, self.released) = (0, 0, 0);
        PAGE_HEAP.decay_step();
        self.includes_look = now_ms >= self.look_ms;
        if self.includes_look {
            self.look_ms = now_ms + LOOK_MS;
            (self.look_is_running, self.found) = (true, false);
            self.drain = Drain::new();
            self.pool_left = cache_pool::unneeded_count();
        }
    }

    /// Looks whether a forked child still shares the process's pages, and at the container's
    /// limits. For both, files are opened for a moment: only in a process with one thread, where
    /// nobody can be in the way.
    fn look_at_files(&mut self, now_ms: u64) {
        // Where there is one thread left, a second one that does not allocate is not noticed.
        let alone = !libc_calls::has_threads()
            && if libc_calls::has_one_left() {
                own_thread::thread_count() == Some(1)
            } else {
                libc_calls::is_single_threaded().is_some()
            };
        if alone {
            cow_state::look(|| true);
        }
        if !alone || parameters::get(Id::Container) == 0 {
            self.response.act(Found::NOTHING);
            return;
        }
        // SAFETY: whoever calls this has the state, and with it this room. Nothing else uses it.
        let scratch = unsafe { &mut *SCRATCH.0.get() };
        if let Some(found) = self.watch.look_if_due_in(scratch, now_ms) {
            self.response.act(found);
        }
    }

    /// Goes on with the step for as long as this call may, after so many milliseconds of silence.
    fn work(&mut self, silent_ms: u64) {
        let begin_us = Linux.own_us();
        let work_us = (silent_ms * WORK_US_PER_S / 1_000).min(MOST_WORK_US);
        while self.work_a_part() && Linux.own_us() - begin_us < work_us {}
    }

    /// Does a part: a few dozen steps, or a bounded system call. Returns whether anything is left.
    fn work_a_part(&mut self) -> bool {
        if reclaim_pass::take_part(0) || PAGE_HEAP.release_owed(PAGES_PER_HUGE, PART_CALLS) {
            return true;
        }
        if self.pages > 0
            && let Some(class) = SizeClass::from_index(self.class)
        {
            let (done, is_over) = CENTRAL.release_share(class, self.pages);
            self.released += done * OS_PAGE;
            self.pages = if is_over { 0 } else { self.pages.saturating_sub(done) };
            return true;
        }
        self.class = (self.class + 1).min(CLASS_COUNT);
        if let Some(class) = SizeClass::from_index(self.class) {
            self.pages = CENTRAL.decay_share(class, self.part);
            return true;
        }
        self.look_is_running && self.look_a_part()
    }

    /// Does a part of the look at idle magazines. Returns whether anything is left.
    fn look_a_part(&mut self) -> bool {
        if !self.drain.is_over() {
            self.drain.take_part(&CENTRAL, Consumer::Decay);
            return true;
        }
        if self.pool_left > 0 {
            match cache_pool::empty_a_part() {
                cache_pool::Part::Some => {}
                cache_pool::Part::Last => self.pool_left -= 1,
                cache_pool::Part::None => self.pool_left = 0,
            }
            return true;
        }
        if HARDENED {
            match guard_pages::decay_one() {
                None => return true,
                Some(kept) if kept >= guard_pages::KEPT_BYTES_QUIETLY => self.found = true,
                Some(_) => {}
            }
        }
        flush::give_up_idle();
        self.look_is_running = false;
        false
    }

    /// Ends the step. Only now is known what it found: one that has much to do may take as long as
    /// many looks in a program that rarely calls.
    fn finish(&mut self) {
        self.is_begun = false;
        let left = self.released >= LEAST_STEP
            || cow_state::since() != 0
            || PAGE_HEAP.free_resident_bytes() >= LEAST_SURPLUS.min(16 * PAGE_SIZE);
        if left || self.includes_look && self.found {
            self.quiet = 0;
        } else if self.includes_look {
            self.quiet += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls come so rarely that a step takes as long as many looks: what it has not come to yet
    /// does not count as nothing.
    #[test]
    fn only_a_step_that_has_ended_counts_as_quiet() {
        let mut state = State::new();
        let (mut now_ms, mut ended) = (Linux.now_ms(), 0);
        while ended < LOOKS_QUIET {
            let (was_begun, begun_ms, quiet) = (state.is_begun, state.begun_ms, state.quiet);
            now_ms += 2 * LOOK_MS;
            state.take_step(now_ms, 0);
            assert!(
                !was_begun || state.begun_ms == begun_ms,
                "a step was begun before another ended"
            );
            if state.is_begun {
                assert_eq!(state.quiet, quiet, "after {ended} steps");
            } else {
                assert!(state.quiet <= quiet + 1);
                ended += 1;
            }
        }
    }
}
