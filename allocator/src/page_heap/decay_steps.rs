//! The steps of the decay: when one is due, and releasing the pages that it found.
//!
//! Page-heap operations, and now and then a thread's refills and flushes (`tick`), see by a coarse
//! clock that a step is due and request it (`os::release_request`). `background` takes the step
//! (`decay_step`) and releases what is due, part by part (docs/contract.md, C1.1 and C2.2). The
//! decay time is the parameter `decay_ms`; with 0 every operation releases what it freed.
//!
//! A call of the program does a bounded part of what others left (`Inner::for_one_call`).

use super::heap::{Inner, PageHeap};
use super::release::{AT_ONCE, Effort, OF_OTHERS};
use crate::config::{DECAY_MIN_HUGE, DECAY_MS, PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::{Os, libc_calls, release_request};
use crate::page::units::Length;
use crate::parameters::{self, Id, NEVER};
use crate::sync::Ordering;

/// Free resident pages from which a step is requested before it is due: 16 MiB.
const MUCH: usize = 8 * PAGES_PER_HUGE;
/// Free resident pages below which a program without threads takes no step: half a megabyte.
const LEAST: usize = PAGES_PER_HUGE / 4;
/// Next to nothing is left in use where so many times as much is free and resident.
const TORN_DOWN_SHARE: usize = 3;
/// What large blocks count more: where some of them are all that a program has, what is in use goes
/// up and down a lot.
const TORN_DOWN_MORE_OF_LARGE: usize = 3;
/// Free resident pages that a heap keeps which is torn down: 2 MiB.
const TORN_DOWN_LEAST: usize = PAGES_PER_HUGE;
/// How many times what it freed a call releases then, so that few frees of large blocks suffice.
const TORN_DOWN_OWN: usize = 8;
/// A teardown that has begun goes on until what is free is less than one so-many-th of what is in
/// use: its last calls may be the program's last ones.
const TORN_DOWN_LEFT: usize = 2;

impl Inner {
    /// For operations that allocate or free pages: the pages to release at once, 0 unless
    /// `decay_ms` is 0. Requests a step if one is due.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn note_decay<O: Os>(&mut self, os: &O) -> usize {
        let freed = core::mem::take(&mut self.decay.freed);
        match parameters::get(Id::DecayMs) {
            0 => self.for_one_call(freed, self.free_resident),
            NEVER => 0,
            _ if self.huge_pages < DECAY_MIN_HUGE => 0,
            time_ms => {
                if !release_request::is_pending() && self.has_something_to_give() {
                    // A program may free so much before the first step is due.
                    let much = self.free_resident >= MUCH;
                    if much || self.decay.is_due(time_ms, os.now_ms(), self.free_resident) {
                        release_request::request();
                    }
                }
                0
            }
        }
    }

    /// Whether a step may find anything. Free pages inside spans are not known here; a program
    /// without threads requests a step for those when it frees much (`release_request::note_free`).
    fn has_something_to_give(&self) -> bool {
        self.free_resident >= LEAST || libc_calls::has_threads()
    }

    /// How many free pages a call that freed `own` pages should release because next to nothing is
    /// left in use (`teardown`). Small heaps keep what they have, as they do from the decay.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn torn_down<O: Os>(&mut self, os: &O, own: usize) -> usize {
        let free = self.free_resident;
        let large = Length::for_bytes(self.large_bytes).0;
        let in_use = self.in_spans() * TORN_DOWN_SHARE + large * TORN_DOWN_MORE_OF_LARGE;
        let begins = in_use <= free;
        if free < TORN_DOWN_LEAST || !begins && self.in_spans() > free * TORN_DOWN_LEFT {
            return 0;
        }
        // Whoever set a longer time wants memory to stay. With 0 it is gone.
        let time_ms = parameters::get(Id::DecayMs);
        if self.huge_pages < DECAY_MIN_HUGE || time_ms == 0 || time_ms > DECAY_MS as usize {
            return 0;
        }
        let now_ms = os.now_ms();
        if !begins && !self.teardown.is_going_on(now_ms) {
            return 0;
        }
        let pages = free.min(TORN_DOWN_OWN * own + OF_OTHERS);
        if self.teardown.begin(pages, free, now_ms) { pages } else { 0 }
    }

    /// How many of the `all` pages that should be released a call releases that allocated or freed
    /// `own` pages itself: as many, and a bounded part of what others left. The rest is due, for
    /// the background thread or for later calls.
    pub fn for_one_call(&mut self, own: usize, all: usize) -> usize {
        let most = own.saturating_add(OF_OTHERS);
        if all > most {
            self.decay.due = self.decay.due.max(all - most);
            release_request::request();
        }
        all.min(most)
    }
}

impl<O: Os> PageHeap<O> {
    /// Whether `bytes` would be given back that become free because next to nothing is left in use.
    pub fn may_tear_down(&self, bytes: usize) -> bool {
        let time_ms = parameters::get(Id::DecayMs);
        time_ms != 0 && time_ms <= DECAY_MS as usize && {
            let now = self.os.now_ms();
            self.lock().teardown.may_begin(bytes / PAGE_SIZE, now)
        }
    }

    /// Requests a step of the decay if one is due: for callers that come by now and then without
    /// pages to allocate or free. All threads together check once for each value of the clock;
    /// without that, most acquisitions of the heap's lock were for this.
    pub fn tick(&self) {
        let now = self.os.now_ms() as usize;
        // Relaxed, like the store below: a thread that sees an old time checks once more, which
        // does no harm.
        if release_request::is_pending() || self.looked.load(Ordering::Relaxed) == now {
            return;
        }
        self.looked.store(now, Ordering::Relaxed);
        let at_once = self.lock().note_decay(&self.os);
        self.release_now(at_once);
    }

    /// Takes a step of the decay, if it is time for one: the pages that it should release are due
    /// then.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn decay_step(&self) {
        let time_ms = parameters::get(Id::DecayMs);
        let mut inner = self.lock();
        let free = inner.free_resident;
        match time_ms {
            0 => inner.decay.due = free,
            NEVER => inner.decay.due = 0,
            _ => {
                if let Some(more) = inner.decay.step(time_ms, self.os.now_ms(), free) {
                    inner.decay.due = (inner.decay.due + more).min(free);
                }
            }
        }
    }

    /// Whether pages are due to be released.
    pub fn owes(&self) -> bool {
        self.lock().decay.due > 0
    }

    /// Releases pages that are due, `most` of them or a few more, by about `calls` system calls at
    /// most. Returns whether to call it again: more may be due, and can be released.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn release_owed(&self, most: usize, calls: usize) -> bool {
        let request = self.lock().decay.due.min(most);
        if request == 0 {
            return false;
        }
        let outcome = self.release_by(request, Effort { at_once: AT_ONCE, calls });
        let mut inner = self.lock();
        let left = inner.decay.due.saturating_sub(outcome.pages);
        inner.decay.due = if outcome.is_end { 0 } else { left };
        !outcome.is_end
    }

    /// Makes pages due that are idle by volume (`Decay::take_idle`): `most` bytes of them, and none
    /// of the last `tolerated` bytes. Returns the bytes.
    pub fn owe_idle(&self, most: usize, tolerated: usize) -> usize {
        let mut inner = self.lock();
        let (free, used) = (inner.free_resident, inner.in_spans());
        let (kept, most) = (tolerated / PAGE_SIZE, most / PAGE_SIZE);
        let pages = inner.decay.take_idle(free, used, kept, most, self.os.now_ms());
        inner.decay.due = inner.decay.due.max(pages).min(free);
        pages * PAGE_SIZE
    }

    /// Makes all pages due of which a step of the decay would release a share. Returns whether to
    /// call it again: never.
    pub fn owe_surplus(&self) -> bool {
        let mut inner = self.lock();
        let free = inner.free_resident;
        let surplus = core::mem::replace(&mut inner.decay.low, free);
        inner.decay.due = inner.decay.due.max(surplus).min(free);
        false
    }
}
