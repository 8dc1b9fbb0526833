//! Watching every call of the global allocator: how long it took, and how much is live.
//!
//! A runner's global allocator is wrapped in [`Watched`]. While nobody watches, which is always so
//! in the rounds that are timed, a call passes one test of a flag: a load and a branch that is
//! never taken, the same for every allocator, preloaded ones included. The mode that watches
//! (`--watch` of a runner) reads the clock before and after each call, so its times are for the
//! latency table alone.
//!
//! Nothing here allocates: the counts are static memory, of which only what is used is ever
//! touched. A thread counts in the slot that its number gives it. Slots are shared by threads that
//! are `SLOTS` apart, so the counters are atomic; all are Relaxed, because they publish nothing and
//! are read when the threads have been joined, or as a curve that may lag by a call.

use crate::buckets::{BUCKETS, bucket, middle};
use crate::clock::{overhead, ticks};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// An allocator that can be watched.
pub struct Watched<A>(pub A);

/// Whether anybody watches. Relaxed: set before the work's threads start.
static WATCHING: AtomicBool = AtomicBool::new(false);

// SAFETY: every call is passed on to the allocator inside, unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Watched<A> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the allocator inside asks for.
        let call = move || unsafe { self.0.alloc(layout) };
        if WATCHING.load(Relaxed) { timed(layout.size() as i64, call) } else { call() }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that the allocator inside asks for.
        let call = move || unsafe { self.0.dealloc(block, layout) };
        if WATCHING.load(Relaxed) { timed(-(layout.size() as i64), call) } else { call() }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the allocator inside asks for.
        let call = move || unsafe { self.0.alloc_zeroed(layout) };
        if WATCHING.load(Relaxed) { timed(layout.size() as i64, call) } else { call() }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are those that the allocator inside asks for.
        let call = move || unsafe { self.0.realloc(block, layout, size) };
        let growth = size as i64 - layout.size() as i64;
        if WATCHING.load(Relaxed) { timed(growth, call) } else { call() }
    }
}

/// Slots for threads.
const SLOTS: usize = 64;
/// What the threads of one slot have counted.
struct Slot {
    live: AtomicI64,
    longest: AtomicU64,
    calls: [AtomicU64; BUCKETS],
}

static COUNTS: [Slot; SLOTS] = [const {
    Slot {
        live: AtomicI64::new(0),
        longest: AtomicU64::new(0),
        calls: [const { AtomicU64::new(0) }; BUCKETS],
    }
}; SLOTS];

/// This thread's slot.
fn slot() -> &'static Slot {
    const NONE: usize = usize::MAX;
    thread_local! {
        // Without a destructor and initialised at compile time: usable at any moment of a thread's
        // life, and never allocates.
        static NUMBER: Cell<usize> = const { Cell::new(NONE) };
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NUMBER.with(|number| {
        if number.get() == NONE {
            number.set(NEXT.fetch_add(1, Relaxed) % SLOTS);
        }
        &COUNTS[number.get()]
    })
}

/// Makes the call and counts how long it took and by how many bytes it changed what is live.
#[cold]
#[inline(never)]
fn timed<T>(growth: i64, call: impl FnOnce() -> T) -> T {
    let start = ticks();
    let result = call();
    let took = ticks().saturating_sub(start);
    let slot = slot();
    slot.live.fetch_add(growth, Relaxed);
    slot.longest.fetch_max(took, Relaxed);
    slot.calls[bucket(took)].fetch_add(1, Relaxed);
    result
}

/// How long calls took, in nanoseconds. The readings of the clock are in it; `clock_ns` says how
/// much of it they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Calls that were timed.
    pub calls: u64,
    /// Half of the calls took no longer.
    pub p50_ns: f64,
    /// 99 of 100.
    pub p99_ns: f64,
    /// 999 of 1,000.
    pub p999_ns: f64,
    /// All of them.
    pub max_ns: f64,
    /// What timing an empty call shows.
    pub clock_ns: f64,
}

/// Begins to watch.
pub fn begin() {
    WATCHING.store(true, Relaxed);
}

/// Ends watching.
pub fn end() {
    WATCHING.store(false, Relaxed);
}

/// Whether calls are watched.
pub fn watching() -> bool {
    WATCHING.load(Relaxed)
}

/// Forgets the times so far, not what is live.
pub fn forget_times() {
    for slot in &COUNTS {
        slot.longest.store(0, Relaxed);
        // Zero stays untouched memory.
        for calls in slot.calls.iter().filter(|calls| calls.load(Relaxed) > 0) {
            calls.store(0, Relaxed);
        }
    }
}

/// Bytes that were asked for and not yet freed, since [`begin`].
pub fn live_bytes() -> u64 {
    COUNTS.iter().map(|slot| slot.live.load(Relaxed)).sum::<i64>().max(0) as u64
}

/// The times since [`begin`] or [`forget_times`], with so many nanoseconds to a tick. None where
/// nothing was called.
pub fn latency(tick_ns: f64) -> Option<Latency> {
    // Tenths of nanoseconds keep single ticks apart.
    let tenths = |ticks: f64| ((ticks * tick_ns * 10.0) as u64).max(1);
    let mut times = Histogram::<u64>::new(3).expect("three digits are allowed");
    let mut longest = 0;
    for slot in &COUNTS {
        longest = longest.max(slot.longest.load(Relaxed));
        for (bucket, calls) in slot.calls.iter().enumerate() {
            let calls = calls.load(Relaxed);
            if calls > 0 {
                let time = tenths(middle(bucket) as f64);
                times.record_n(time, calls).expect("the histogram grows as needed");
            }
        }
    }
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 10.0;
    (!times.is_empty()).then(|| Latency {
        calls: times.len(),
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: longest as f64 * tick_ns,
        clock_ns: overhead() as f64 * tick_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Calibration;
    use std::alloc::System;

    #[test]
    fn calls_are_counted_while_watched_and_only_then() {
        let allocator = Watched(System);
        let layout = Layout::new::<[u64; 1000]>();
        let pairs = |times: usize| {
            for _ in 0..times {
                // SAFETY: the layout is not empty; each block is freed once, with the layout that
                // `realloc` left it with.
                unsafe {
                    let block = allocator.realloc(allocator.alloc(layout), layout, 16_000);
                    allocator.dealloc(block, Layout::from_size_align_unchecked(16_000, 8));
                }
            }
        };
        pairs(50);
        assert_eq!(latency(1.0), None);
        let calibration = Calibration::start();
        begin();
        pairs(1_000);
        // SAFETY: the layout is not empty.
        let kept = unsafe { allocator.alloc_zeroed(layout) };
        assert_eq!(live_bytes(), 8_000);
        end();
        pairs(50);
        let seen = latency(calibration.tick_ns()).expect("there were calls");
        assert_eq!(seen.calls, 3_001);
        assert!(0.0 < seen.p50_ns && seen.p50_ns <= seen.p99_ns, "{seen:?}");
        assert!(seen.p99_ns <= seen.p999_ns && seen.p999_ns <= seen.max_ns * 1.04, "{seen:?}");
        forget_times();
        assert_eq!(latency(1.0), None);
        // SAFETY: it was made above with this layout.
        unsafe { allocator.dealloc(kept, layout) };
    }
}
