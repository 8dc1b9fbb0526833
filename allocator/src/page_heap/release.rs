//! Giving memory back to the OS: at once when asked, and by a decay when not.
//!
//! The decay works from a low-water mark: the pages that stayed free and resident through a whole step
//! were not needed in it, and a share of them goes back. A program that frees and allocates in waves
//! keeps what its waves need; one that has calmed down loses the surplus within about the decay time.
//! Steps are taken on page-heap operations and now and then on a thread's exchanges with the central tier
//! (`tick`), by a coarse clock (C1.1, C2.2). The decay time is the
//! parameter `decay_ms`; with 0 every operation gives back all there is.
//!
//! Whole huge pages go first. The calls into the kernel are made without the lock: the pages are held
//! back from allocation meanwhile.

use super::heap::{Inner, PageHeap};
use super::huge_page::HugePage;
use super::huge_ranges::record;
use crate::config::{
    BACKGROUND_MIN_HUGE, DECAY_STEPS, HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE, STEP_SHARE,
};
use crate::os::{Os, worker};
use crate::page::units::Length;
use crate::parameters::{self, Id, NEVER};
use crate::sync::Ordering;

/// The decay's memory. Guarded by the page heap's lock.
pub(super) struct Decay {
    /// Fewest free resident pages since the last step.
    pub low: usize,
    /// When the last step was, so that a new decay time counts at once; `None` before the first.
    last_ms: Option<u64>,
}

/// Free resident pages from which the background thread is started without waiting for a step: 16 MiB.
const BACKGROUND_FREE_PAGES: usize = 8 * PAGES_PER_HUGE;
/// Pages below which a surplus goes back whole, so that the tail of the decay ends.
const STEP_LEAST: usize = PAGES_PER_HUGE;

impl Decay {
    pub const fn new() -> Self {
        Self { low: 0, last_ms: None }
    }

    /// Notes that `free` pages are free and resident.
    pub fn note_free(&mut self, free: usize) {
        self.low = self.low.min(free);
    }

    /// The pages that a step should give back at `now` with `free` pages free and resident, for a decay
    /// time of `time_ms`, which is neither 0 nor `NEVER`; `None` if no step is due.
    fn step(&mut self, time_ms: usize, now: u64, free: usize) -> Option<usize> {
        let first = self.last_ms.is_none();
        if self.last_ms.is_some_and(|last| now < last + time_ms as u64 / DECAY_STEPS) {
            return None;
        }
        self.last_ms = Some(now);
        let surplus = core::mem::replace(&mut self.low, free);
        if first {
            return None;
        }
        Some((surplus / STEP_SHARE).max(surplus.min(STEP_LEAST)))
    }
}

impl Inner {
    /// The pages that a decay step should give back now; 0 almost always.
    pub fn decay_due<O: Os>(&mut self, os: &O) -> usize {
        if self.huge_pages < BACKGROUND_MIN_HUGE && self.free_resident == 0 && self.decay.low == 0 {
            return 0;
        }
        match parameters::get(Id::DecayMs) {
            0 => self.free_resident,
            NEVER => 0,
            time_ms => {
                // A program that has done this much in less time than the first step waits for.
                let large = self.free_resident >= BACKGROUND_FREE_PAGES;
                let step = self.decay.step(time_ms, os.now_ms(), self.free_resident);
                if self.huge_pages >= BACKGROUND_MIN_HUGE && (large || step.is_some()) {
                    worker::want();
                }
                step.unwrap_or(0)
            }
        }
    }

    /// Takes up to `most` free huge pages out of the ranges, the first of which has resident memory, so
    /// that every call makes progress: first and number.
    fn hold_range(&mut self, most: usize) -> Option<(*mut HugePage, usize)> {
        self.ranges.take_where(most, |first, len| {
            // SAFETY: records are never freed; a range consists of `len` of them.
            (0..len)
                .find(|i| unsafe { (*record((*first).addr + i * HUGE_SIZE)).resident_free() > 0 })
        })
    }
}

impl<O: Os> PageHeap<O> {
    /// Gives back at least `pages` free pages, or all there are; partly used huge pages too. Returns the
    /// number of pages given back.
    pub fn release(&self, pages: usize) -> usize {
        let mut done = self.release_ranges(pages);
        while done < pages {
            match self.release_partly_used() {
                0 => break,
                more => done += more,
            }
        }
        done
    }

    /// `release` in bytes.
    pub fn release_bytes(&self, bytes: usize) -> usize {
        Length(self.release(bytes.div_ceil(PAGE_SIZE))).bytes()
    }

    /// Takes a decay step if one is due: for callers that come by now and then without pages to
    /// allocate or free. All threads together look once for each time that the clock shows: it was most of what the
    /// heap's lock was taken for.
    pub fn tick(&self) {
        let now = self.os.now_ms() as usize;
        // Relaxed: who sees an old time looks once more, which does no harm.
        if self.looked.load(Ordering::Relaxed) == now {
            return;
        }
        self.looked.store(now, Ordering::Relaxed);
        let due = self.lock().decay_due(&self.os);
        self.run_decay(due);
    }

    /// Gives back all that a step of the decay would give back a share of. Returns the bytes.
    pub fn release_surplus(&self) -> usize {
        let mut inner = self.lock();
        let free = inner.free_resident;
        let surplus = core::mem::replace(&mut inner.decay.low, free);
        drop(inner);
        Length(self.release(surplus)).bytes()
    }

    /// Bytes of free pages that are resident, which steps of the decay will give back.
    pub fn free_resident_bytes(&self) -> usize {
        Length(self.lock().free_resident).bytes()
    }

    /// Carries out a decay step found due.
    pub(super) fn run_decay(&self, due: usize) {
        if due > 0 {
            self.release(due);
        }
    }

    /// Gives back free huge pages, as many as needed for `pages`.
    fn release_ranges(&self, pages: usize) -> usize {
        let mut done = 0;
        while done < pages {
            let most = (pages - done).div_ceil(PAGES_PER_HUGE);
            let Some((first, len)) = self.lock().hold_range(most) else {
                break;
            };
            // SAFETY: the range is out of the lists, hence ours; nobody needs the content of free pages.
            let ok = unsafe { self.os.release((*first).addr, len * HUGE_SIZE) };
            let mut inner = self.lock();
            let mut freed = 0;
            for index in 0..len {
                // SAFETY: records are never freed, and these are ours.
                let huge = unsafe { &mut *record((*first).addr + index * HUGE_SIZE) };
                if ok {
                    freed += huge.resident_free();
                    huge.released.set_range(0, PAGES_PER_HUGE);
                }
            }
            inner.free_resident -= freed;
            let free = inner.free_resident;
            inner.decay.note_free(free);
            // SAFETY: all pages of the range are free, and it is in no list.
            unsafe { inner.ranges.insert(first, len) };
            if !ok {
                break;
            }
            done += freed;
        }
        done
    }

    /// Has the kernel not make one page of the huge page around `addr` any more, of which parts are about to be given
    /// back: it would find the rest of it wanted as one, and take back the memory, all of it, at some time.
    pub fn break_up(&self, addr: usize) {
        let huge = record(addr);
        if huge.is_null() {
            return;
        }
        let inner = self.lock();
        // SAFETY: a record; they are never freed, and the lock guards it.
        let (was, start) =
            unsafe { (core::mem::replace(&mut (*huge).huge_backed, false), (*huge).addr) };
        drop(inner);
        if was {
            // SAFETY: a huge page of this heap.
            unsafe { self.os.advise_huge(start, HUGE_SIZE, false) };
        }
    }

    /// Gives back the free pages of one partly used huge page. Returns how many; 0 when none has any.
    fn release_partly_used(&self) -> usize {
        if self.os.page_size() > PAGE_SIZE {
            // Kernels with pages larger than ours (aarch64 can have 64 KiB) cannot drop one of ours alone.
            return 0;
        }
        let mut inner = self.lock();
        let mut candidate = core::ptr::null_mut();
        inner.fillers[0].for_each(|huge| {
            candidate = huge;
            false
        });
        if candidate.is_null() {
            return 0;
        }
        // SAFETY: a record of the filler; records are never freed.
        let (runs, addr) = unsafe { ((*candidate).resident_runs(), (*candidate).addr) };
        inner.refile(candidate, |huge, _| huge.hold(&runs));
        drop(inner);

        self.break_up(addr);
        let mut ok = true;
        let mut at = 0;
        while let Some(run) = runs.set_run(at) {
            // SAFETY: the pages are held, and nobody needs the content of free pages.
            ok &= unsafe { self.os.release(addr + run.start * PAGE_SIZE, run.len * PAGE_SIZE) };
            at = run.start + run.len;
        }

        let mut inner = self.lock();
        inner.refile(candidate, |huge, free_resident| {
            *free_resident -= huge.resident_free();
            huge.unhold(&runs, ok);
            *free_resident += huge.resident_free();
        });
        let free = inner.free_resident;
        inner.decay.note_free(free);
        if ok { runs.count() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
