//! Giving memory back to the OS: at once when asked, and by a decay when not.
//!
//! The decay works from a low-water mark: the pages that stayed free and resident through a whole step
//! were not needed in it, and a share of them goes back. A program that frees and allocates in waves
//! keeps what its waves need; one that has calmed down loses the surplus within about the decay time.
//! Page-heap operations, and now and then a thread's exchanges with the central tier (`tick`), see by a coarse
//! clock that a step is due, and ask for it (`os::release_request`); `background` has it taken (`decay_step`),
//! part by part (C1.1, C2.2). The decay time is the parameter `decay_ms`; with 0 every operation gives back
//! what it freed.
//!
//! Whole huge pages go first. The calls into the kernel are made without the lock: the pages are held
//! back from allocation meanwhile, and are noted where a forked child finds them (`InHand`), which does not
//! have the thread that was giving them back.
//!
//! What it costs is linear in what is given back: nothing is looked for from the start again, neither among the
//! ranges (`huge_ranges`) nor among the partly used huge pages, of which those with free memory have a filler of their
//! own. The lock is held for a bounded number of steps each time, a call into the kernel is for a bounded number of
//! bytes, and a call of the program's does a bounded part of what others left (`Inner::for_one_call`).

use super::heap::{Inner, PageHeap};
use super::huge_page::HugePage;
use super::huge_page::PageBits;
use super::huge_ranges::{Held, record};
use crate::base::list::List;
use crate::base::steps;
use crate::config::{
    DECAY_MIN_HUGE, DECAY_STEPS, HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE, STEP_SHARE,
};
use crate::os::{Linux, Os, libc_calls, release_request};
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::units::Length;
use crate::parameters::{self, Id, NEVER};
use crate::policy::HARDENED;
use crate::sync::{Futex, Ordering};

/// The decay's memory. Guarded by the page heap's lock.
pub(super) struct Decay {
    /// Fewest free resident pages since the last step.
    pub low: usize,
    /// When the last step was, so that a new decay time counts at once; `None` before the first.
    last_ms: Option<u64>,
    /// Pages that the steps so far should have given back and have not.
    owed: usize,
    /// Pages freed since `note_decay` looked.
    freed: usize,
}

/// Free resident pages from which nobody waits for a step to be due: 16 MiB.
const MUCH: usize = 8 * PAGES_PER_HUGE;
/// Free resident pages below which a program without threads is not bothered: half a megabyte.
const LEAST: usize = PAGES_PER_HUGE / 4;
/// Pages below which a surplus goes back whole, so that the tail of the decay ends.
const STEP_LEAST: usize = PAGES_PER_HUGE;
/// Huge pages that go back by one system call, at most: the kernel takes about a millisecond for 16 MiB.
const AT_ONCE: usize = 8;
/// The same in a call of the program's that asked for something else.
const AT_ONCE_IN_CALL: usize = 2;
/// Pages that such a call gives back of what others left, at most.
pub(super) const OF_OTHERS: usize = AT_ONCE_IN_CALL * PAGES_PER_HUGE;
/// System calls that it makes for that, at most.
const CALLS_FOR_OTHERS: usize = 4;
/// Runs of pages in one huge page that are given back between two holds of the lock.
const RUNS: usize = 16;

/// How much is done to give pages back.
#[derive(Clone, Copy)]
struct Effort {
    /// Huge pages by one system call.
    at_once: usize,
    /// System calls, or looks in vain.
    calls: usize,
}

/// What the caller asked for, or a thread of ours does.
const ALL: Effort = Effort { at_once: AT_ONCE, calls: usize::MAX };

/// What a call of the program's does of it in a part. (Partly used huge pages have small runs: a part may be a few.)
const PART: Effort = Effort { at_once: 1, calls: 4 };
/// Pages of a part, or a few more.
const OF_A_PART: usize = PAGES_PER_HUGE;

/// What came of it.
struct Outcome {
    /// Pages given back.
    pages: usize,
    /// Nothing more can be had.
    is_end: bool,
}

impl Decay {
    pub const fn new() -> Self {
        Self { low: 0, last_ms: None, owed: 0, freed: 0 }
    }

    /// Notes that `free` pages are free and resident.
    pub fn note_free(&mut self, free: usize) {
        self.low = self.low.min(free);
    }

    /// Notes that `pages` pages were freed.
    pub fn note_freed(&mut self, pages: usize) {
        self.freed += pages;
    }

    /// Whether a step is due at `now`. The first time that is asked, the waiting begins.
    fn is_due(&mut self, time_ms: usize, now: u64, free: usize) -> bool {
        let Some(last) = self.last_ms else {
            self.last_ms = Some(now);
            self.low = free;
            return false;
        };
        now >= last + time_ms as u64 / DECAY_STEPS
    }

    /// The pages that a step should give back at `now` with `free` pages free and resident, for a decay time
    /// of `time_ms`, which is neither 0 nor `NEVER`: a share of those that were free since the last one, all
    /// of them if that was a whole decay time ago. `None` if no step is due.
    fn step(&mut self, time_ms: usize, now: u64, free: usize) -> Option<usize> {
        if !self.is_due(time_ms, now, free) {
            return None;
        }
        let passed = now - self.last_ms.replace(now).unwrap_or(now);
        let surplus = core::mem::replace(&mut self.low, free);
        let share = if passed >= time_ms as u64 { surplus } else { surplus / STEP_SHARE };
        Some(share.max(surplus.min(STEP_LEAST)))
    }
}

/// Pages that are being given back, without the lock. Guarded by it.
pub(super) struct InHand {
    /// Ranges of free huge pages, by their first, out of the other lists.
    ranges: List<HugePage>,
    /// Partly used huge pages, and which of their pages.
    parts: [Part; PARTS],
}

/// See `InHand::parts`; null: none.
#[derive(Clone, Copy)]
struct Part {
    huge: *mut HugePage,
    pages: PageBits,
    /// The thread that gives them back, as locks know it.
    held_by: u32,
}

impl Part {
    const NONE: Self = Self { huge: core::ptr::null_mut(), pages: PageBits::new(), held_by: 0 };
}

/// Threads that may give back parts of huge pages at the same time.
const PARTS: usize = 8;

impl InHand {
    pub const fn new() -> Self {
        Self { ranges: List::new(), parts: [Part::NONE; PARTS] }
    }
}

impl Inner {
    /// For operations that take or free pages: the pages to be given back at once, 0 unless `decay_ms` is 0.
    /// Asks for a step if one is due.
    pub fn note_decay<O: Os>(&mut self, os: &O) -> usize {
        let freed = core::mem::take(&mut self.decay.freed);
        match parameters::get(Id::DecayMs) {
            0 => self.for_one_call(freed, self.free_resident),
            NEVER => 0,
            _ if self.huge_pages < DECAY_MIN_HUGE => 0,
            time_ms => {
                if !release_request::is_pending() && self.has_something_to_give() {
                    // A program that has freed so much in less time than the first step waits for.
                    let much = self.free_resident >= MUCH;
                    if much || self.decay.is_due(time_ms, os.now_ms(), self.free_resident) {
                        release_request::request();
                    }
                }
                0
            }
        }
    }

    /// Whether a step may find anything. What lies idle inside spans is not known here; a program without threads
    /// asks for that itself when it frees much (`release_request::note_free`).
    fn has_something_to_give(&self) -> bool {
        self.free_resident >= LEAST || libc_calls::has_threads()
    }

    /// How many of `all` pages that should go back a call gives back that took or freed `own` pages itself: as many, and
    /// a bounded part of what others left. The rest is owed, for the thread or for later calls.
    pub fn for_one_call(&mut self, own: usize, all: usize) -> usize {
        let most = own.saturating_add(OF_OTHERS);
        if all > most {
            self.decay.owed = self.decay.owed.max(all - most);
            release_request::request();
        }
        all.min(most)
    }

    /// Takes up to `most` free huge pages that hold memory out of the ranges.
    fn hold_range(&mut self, most: usize) -> Held {
        let held = self.ranges.take_held(most);
        if let Held::Taken(first, len) = held {
            // SAFETY: the range was just taken out of the list that it was in.
            unsafe {
                (*first).range_len = len;
                (*first).held_by = Linux::thread();
                self.in_hand.ranges.push_front(first);
            }
        }
        held
    }

    /// Ends `hold_range` for the range from `first` on, which holds no memory any more if `released`. Returns how many
    /// of its pages did.
    ///
    /// # Safety
    /// The range is in hand, and the caller holds it.
    unsafe fn unhold_range(&mut self, first: *mut HugePage, released: bool) -> usize {
        // SAFETY: by the caller's word; records are never freed, and these are in no other list.
        unsafe {
            self.in_hand.ranges.remove(first);
            let len = (*first).range_len;
            let mut freed = 0;
            for index in 0..if released { len } else { 0 } {
                steps::add(1);
                let huge = &mut *record((*first).addr + index * HUGE_SIZE);
                freed += huge.resident_free();
                huge.released.set_range(0, PAGES_PER_HUGE);
            }
            self.free_resident -= freed;
            self.decay.note_free(self.free_resident);
            self.ranges.insert(first, len);
            freed
        }
    }

    /// Takes up to `runs` runs of free pages that hold memory of one partly used huge page: the place where they are
    /// noted. `None` when no huge page has any, or as many threads as can are giving such pages back.
    fn hold_part(&mut self, runs: usize) -> Option<usize> {
        let place = self.in_hand.parts.iter().position(|part| part.huge.is_null())?;
        let huge = self.fillers[0].first()?;
        // SAFETY: a record of the filler; records are never freed.
        let pages = unsafe { (*huge).resident_runs(runs) };
        self.refile(huge, |huge, _| huge.hold(&pages));
        self.in_hand.parts[place] = Part { huge, pages, held_by: Linux::thread() };
        Some(place)
    }

    /// Ends `hold_part` for the pages noted at `place`, which hold no memory any more if `released`.
    fn unhold_part(&mut self, place: usize, released: bool) {
        let Part { huge, pages, .. } =
            core::mem::replace(&mut self.in_hand.parts[place], Part::NONE);
        self.refile(huge, |huge, free_resident| {
            *free_resident -= huge.resident_free();
            huge.unhold(&pages, released);
            *free_resident += huge.resident_free();
        });
        let free = self.free_resident;
        self.decay.note_free(free);
    }

    /// In a forked child, of the thread `own`: what other threads were giving back is free as all else. The kernel may
    /// have done it or not; it counts as resident, and goes back once more. What the forking thread has in hand stays
    /// there: a signal handler forks, and the call that it interrupted goes on.
    fn take_back_in_hand(&mut self, own: u32) {
        let mut next = self.in_hand.ranges.first();
        while let Some(first) = core::ptr::NonNull::new(next) {
            let first = first.as_ptr();
            // SAFETY: in that list and in no other; all pages of the range are free.
            unsafe {
                next = self.in_hand.ranges.next(first);
                if (*first).held_by != own {
                    self.in_hand.ranges.remove(first);
                    self.ranges.insert(first, (*first).range_len);
                }
            }
        }
        for place in 0..PARTS {
            let Part { huge, held_by, .. } = self.in_hand.parts[place];
            if !huge.is_null() && held_by != own {
                self.unhold_part(place, false);
            }
        }
    }
}

impl<O: Os> PageHeap<O> {
    /// Gives back at least `pages` free pages, or all there are; partly used huge pages too. Returns the
    /// number of pages given back.
    pub fn release(&self, pages: usize) -> usize {
        self.release_by(pages, ALL).pages
    }

    /// `release` with an effort that ends.
    fn release_by(&self, pages: usize, effort: Effort) -> Outcome {
        let mut done = 0;
        let mut calls = effort.calls;
        while done < pages && calls > 0 {
            let most = (pages - done).div_ceil(PAGES_PER_HUGE).min(effort.at_once);
            let Some(more) = self.release_range(most) else { break };
            done += more;
            calls -= 1;
        }
        while done < pages && calls > 0 {
            let (more, made) = self.release_partly_used(calls.min(RUNS));
            if more == 0 {
                return Outcome { pages: done, is_end: true };
            }
            done += more;
            calls = calls.saturating_sub(made);
        }
        Outcome { pages: done, is_end: false }
    }

    /// `release` in bytes.
    pub fn release_bytes(&self, bytes: usize) -> usize {
        Length(self.release(bytes.div_ceil(PAGE_SIZE))).bytes()
    }

    /// Asks for a step of the decay if one is due: for callers that come by now and then without pages to
    /// allocate or free. All threads together look once for each time that the clock shows: it was most of what the
    /// heap's lock was taken for.
    pub fn tick(&self) {
        let now = self.os.now_ms() as usize;
        // Relaxed: who sees an old time looks once more, which does no harm.
        if release_request::is_pending() || self.looked.load(Ordering::Relaxed) == now {
            return;
        }
        self.looked.store(now, Ordering::Relaxed);
        let at_once = self.lock().note_decay(&self.os);
        self.release_now(at_once);
    }

    /// Takes a step of the decay, if one is due: what it should give back is owed from then on.
    pub fn decay_step(&self) {
        let time_ms = parameters::get(Id::DecayMs);
        let mut inner = self.lock();
        let free = inner.free_resident;
        match time_ms {
            0 => inner.decay.owed = free,
            NEVER => inner.decay.owed = 0,
            _ => {
                if let Some(more) = inner.decay.step(time_ms, self.os.now_ms(), free) {
                    inner.decay.owed = (inner.decay.owed + more).min(free);
                }
            }
        }
    }

    /// Whether a step of the decay left anything to be given back.
    pub fn owes(&self) -> bool {
        self.lock().decay.owed > 0
    }

    /// Gives back pages that are owed, `most` of them or a few more, by about `calls` system calls at most. Returns
    /// whether it should be called again: more may be owed, and can be had.
    pub fn release_owed(&self, most: usize, calls: usize) -> bool {
        let want = self.lock().decay.owed.min(most);
        if want == 0 {
            return false;
        }
        let outcome = self.release_by(want, Effort { at_once: AT_ONCE, calls });
        let mut inner = self.lock();
        let left = inner.decay.owed.saturating_sub(outcome.pages);
        inner.decay.owed = if outcome.is_end { 0 } else { left };
        !outcome.is_end
    }

    /// Owes all that a step of the decay would give back a share of. Returns whether to call it again: never.
    pub fn owe_surplus(&self) -> bool {
        let mut inner = self.lock();
        let free = inner.free_resident;
        let surplus = core::mem::replace(&mut inner.decay.low, free);
        inner.decay.owed = inner.decay.owed.max(surplus).min(free);
        false
    }

    /// Gives back up to `pages` pages, by one system call, or a few for small runs. Returns how many, and whether no more
    /// can be had.
    pub(super) fn release_a_part(&self, pages: usize) -> (usize, bool) {
        let outcome = self.release_by(pages.min(OF_A_PART), PART);
        (outcome.pages, outcome.is_end)
    }

    /// Bytes of free pages that are resident, which steps of the decay will give back.
    pub fn free_resident_bytes(&self) -> usize {
        Length(self.lock().free_resident).bytes()
    }

    /// Gives back what `note_decay` said. Returns the pages.
    pub(super) fn release_now(&self, pages: usize) -> usize {
        if pages == 0 {
            return 0;
        }
        let calls = CALLS_FOR_OTHERS + 2 * pages.div_ceil(AT_ONCE_IN_CALL * PAGES_PER_HUGE);
        self.release_by(pages, Effort { at_once: AT_ONCE_IN_CALL, calls }).pages
    }

    /// Gives back up to `most` free huge pages that lie in a row. Returns the number of pages that held memory; 0 if
    /// none was found yet. `None` when there is none, or the system refuses.
    fn release_range(&self, most: usize) -> Option<usize> {
        let held = self.lock().hold_range(most);
        let (first, len) = match held {
            Held::Taken(first, len) => (first, len),
            Held::Unfinished => return Some(0),
            Held::Nothing => return None,
        };
        // SAFETY: the range is out of the lists of free ones, hence ours; nobody needs the content of free pages.
        let ok = unsafe { self.os.release((*first).addr, len * HUGE_SIZE) };
        if ok {
            // SAFETY: in hand, and it holds no memory.
            unsafe {
                self.repair(first, len);
                if HARDENED {
                    ALLOCATION_BITMAP.release((*first).addr, len * HUGE_SIZE);
                }
            }
        }
        // SAFETY: `hold_range` put it there.
        let freed = unsafe { self.lock().unhold_range(first, ok) };
        ok.then_some(freed)
    }

    /// Gives back up to `runs` runs of the free pages of one partly used huge page. Returns how many pages that were, 0
    /// when none has any, and the number of system calls.
    fn release_partly_used(&self, runs: usize) -> (usize, usize) {
        if self.os.page_size() > PAGE_SIZE {
            // Kernels with pages larger than ours (aarch64 can have 64 KiB) cannot drop one of ours alone.
            return (0, 0);
        }
        let mut inner = self.lock();
        let Some(place) = inner.hold_part(runs) else { return (0, 0) };
        let Part { huge, pages, .. } = inner.in_hand.parts[place];
        drop(inner);

        // SAFETY: records are never freed.
        let addr = unsafe { (*huge).addr };
        self.break_up(addr);
        let (mut ok, mut calls) = (true, 0);
        let mut at = 0;
        while let Some(run) = pages.set_run(at) {
            // SAFETY: the pages are held, and nobody needs the content of free pages.
            ok &= unsafe { self.os.release(addr + run.start * PAGE_SIZE, run.len * PAGE_SIZE) };
            at = run.start + run.len;
            calls += 1;
        }
        self.lock().unhold_part(place, ok);
        (if ok { pages.count() } else { 0 }, calls)
    }

    /// In a forked child, of the thread `own`, with the lock held: see `Inner::take_back_in_hand`.
    ///
    /// # Safety
    /// The calling thread holds the lock by `ForkLock`, no other thread exists, and nobody has another
    /// reference to what it guards.
    pub unsafe fn reset_in_child(&self, own: u32) {
        // SAFETY: by the caller's word.
        unsafe { (*self.inner.data_ptr()).take_back_in_hand(own) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_heap::tests::model::Model;

    /// A decay time that is shortened at run time counts at once, not after the long wait that was due.
    #[test]
    fn a_new_decay_time_counts_at_once() {
        let mut decay = Decay::new();
        let free = 100 * PAGES_PER_HUGE;
        assert_eq!(decay.step(80_000, 1_000, free), None, "the first step only takes the mark");
        assert_eq!(decay.step(80_000, 10_999, free), None, "an eighth of the time has not passed");
        assert_eq!(decay.step(800, 1_100, free), Some(free / STEP_SHARE));
        assert_eq!(decay.step(800, 1_199, free), None);
        assert_eq!(decay.step(800, 1_200, free), Some(free / STEP_SHARE));
        assert_eq!(decay.step(800, 2_000, free), Some(free), "a whole decay time has passed");
    }

    /// A call of the program's must not pay for all that others left: it gives back as much as it freed itself and a
    /// bounded part besides, by calls into the kernel that do not take long. The rest is owed, and goes by and by.
    #[test]
    fn a_call_gives_back_its_own_and_a_bounded_part_of_the_rest() {
        let mut model = Model::new();
        for _ in 0..16 {
            assert!(model.allocate(PAGES_PER_HUGE, 1));
        }
        (0..16).for_each(|_| model.free(0));
        let all = model.heap.lock().free_resident;
        let own = PAGES_PER_HUGE;
        let pages = model.heap.lock().for_one_call(own, all);
        assert_eq!(pages, own + OF_OTHERS);
        model.os().take_most_released();
        assert_eq!(model.heap.release_now(pages), pages);
        assert_eq!(model.os().take_most_released(), AT_ONCE_IN_CALL * HUGE_SIZE);
        model.check();
        assert_eq!(model.heap.lock().decay.owed, all - pages);
        while model.heap.release_owed(PAGES_PER_HUGE, 1) {
            model.check();
        }
        assert_eq!(model.heap.lock().free_resident, 0);
        assert_eq!(model.heap.lock().for_one_call(3, 2), 2, "no more than there is");
        model.drain();
    }

    /// A child forked while another thread gave memory back has all of it, as free pages that may be resident, and
    /// can give it back itself.
    #[test]
    fn a_child_takes_back_the_pages_that_were_in_hand() {
        let mut model = Model::new();
        // Free ranges of several lengths with blocks between them, and huge pages with holes.
        for huge in [1, 3, 2, 5] {
            assert!(model.allocate(huge * PAGES_PER_HUGE, 1) && model.allocate(PAGES_PER_HUGE, 1));
        }
        for _ in 0..40 {
            assert!(model.allocate(PAGES_PER_HUGE / 4, 1) && model.allocate(3, 1));
        }
        for index in (0..model.blocks.len()).rev().step_by(2).skip(1) {
            model.free(index);
        }
        model.check();
        let before = model.heap.stats();
        let free_resident = model.heap.free_resident_bytes();
        let (mut ranges, mut parts) = (0, 0);
        {
            let mut inner = model.heap.lock();
            while inner.hold_range(2) != Held::Nothing {
                ranges += 1;
            }
            while inner.hold_part(RUNS).is_some() {
                parts += 1;
            }
        }
        assert!(ranges > 1 && parts > 1, "{ranges} ranges and {parts} parts in hand");
        let lock = model.heap.fork_lock();
        lock.acquire_for_fork(false);
        // SAFETY: the lock was taken the way it says, and this thread alone uses the heap.
        unsafe {
            model.heap.reset_in_child(Linux::thread());
            let in_hand = &(*model.heap.inner.data_ptr()).in_hand;
            let left = in_hand.parts.iter().filter(|part| !part.huge.is_null()).count();
            assert!(!in_hand.ranges.is_empty() && left == parts, "its own stay in its hand");
            // As if another thread had them.
            model.heap.reset_in_child(0);
            lock.reset_in_child();
        }
        model.check();
        let after = model.heap.stats();
        assert_eq!((after.used, after.mapped), (before.used, before.mapped));
        assert_eq!(model.heap.free_resident_bytes(), free_resident, "it counts as resident");
        model.release(usize::MAX / PAGE_SIZE);
        assert_eq!(model.heap.free_resident_bytes(), 0);
        model.drain();
    }
}
