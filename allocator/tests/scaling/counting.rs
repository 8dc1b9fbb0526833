//! The allocator under a count of its calls, and what one run counted.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt;
use std::ops::Sub;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use stratalloc::Stratalloc;
use stratalloc::internal::Rank;
use stratalloc::internal::counts::{Counts, counts};

/// Counters that threads spread over, so that counting does not make them meet.
const SHARDS: usize = 64;

/// A counter with a cache line of its own.
#[repr(align(64))]
struct Line(AtomicU64);

static CALLS: [Line; SHARDS] = [const { Line(AtomicU64::new(0)) }; SHARDS];

thread_local! {
    /// Its address tells threads apart.
    static HERE: u8 = const { 0 };
}

/// Stratalloc, counting.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// One more call.
fn count(calls: u64) {
    let shard = HERE.with(|here| (std::ptr::from_ref(here) as usize >> 12) % SHARDS);
    // Relaxed: a sum that is read when the threads have been joined.
    CALLS[shard].0.fetch_add(calls, Ordering::Relaxed);
}

// SAFETY: passes every call on to an allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of this call.
        unsafe { Stratalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of this call.
        unsafe { Stratalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(1);
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of this call.
        unsafe { Stratalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(2);
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of this call.
        unsafe { Stratalloc.realloc(block, layout, size) }
    }
}

/// Number of ranks of locks.
const RANKS: usize = Rank::Metadata as usize + 1;

/// Calls, and what they needed.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Calls of `malloc` and `free`; a `realloc` is one of each.
    pub calls: u64,
    counts: Counts,
}

impl Tally {
    /// What `row` has.
    pub const COLUMNS: [&str; 8] =
        ["locks", "registry", "transfer", "central", "page heap", "contended", "slept", "atomics"];

    /// Since the process began.
    pub fn now() -> Self {
        // Relaxed: as in `count`.
        let calls = CALLS.iter().map(|line| line.0.load(Ordering::Relaxed)).sum();
        Self { calls, counts: counts() }
    }

    fn per_million(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.calls as f64
    }

    /// Locks taken per million calls.
    pub fn locks(&self) -> f64 {
        self.per_million(self.counts.acquired.iter().sum())
    }

    /// Entries into the page heap per million calls: every one takes its lock once.
    pub fn page_heap(&self) -> f64 {
        self.per_million(self.counts.acquired[Rank::PageHeap as usize])
    }

    /// Atomics other than locks, read and written in one step, per million calls.
    pub fn atomics(&self) -> f64 {
        self.per_million(self.counts.atomics)
    }

    /// Per million calls: `COLUMNS`.
    pub fn row(&self) -> [f64; 8] {
        let Counts { acquired, contended, slept, .. } = self.counts;
        let of = |ranks: &[Rank]| {
            self.per_million(ranks.iter().map(|&rank| acquired[rank as usize]).sum())
        };
        [
            self.locks(),
            of(&[Rank::Registry, Rank::DirectMap, Rank::Metadata]),
            of(&[Rank::Transfer]),
            of(&[Rank::Central, Rank::SharedPages]),
            self.page_heap(),
            self.per_million(contended.iter().sum()),
            self.per_million(slept.iter().sum()),
            self.atomics(),
        ]
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { calls: self.calls - before.calls, counts: self.counts - before.counts }
    }
}

/// As one line, for the process that started this one.
impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { acquired, contended, slept, atomics } = self.counts;
        write!(out, "{} {atomics}", self.calls)?;
        let ranks = acquired.iter().chain(&contended).chain(&slept);
        ranks.into_iter().try_for_each(|count| write!(out, " {count}"))
    }
}

impl FromStr for Tally {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers.map_err(|_| "numbers only")?.as_slice() {
            [calls, atomics, ranks @ ..] if ranks.len() == 3 * RANKS => {
                let part = |index: usize| std::array::from_fn(|rank| ranks[RANKS * index + rank]);
                let [acquired, contended, slept] = [part(0), part(1), part(2)];
                let counts = Counts { acquired, contended, slept, atomics: *atomics };
                Ok(Self { calls: *calls, counts })
            }
            _ => Err("a line of as many numbers as there are counts"),
        }
    }
}
