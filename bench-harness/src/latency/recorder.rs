//! Counting how long calls took, without disturbing what is measured.
//!
//! A [`Recorder`] belongs to one thread at a time. Its counters lie in a mapping of their own, made
//! and touched before the load begins: the allocator under test neither serves them nor sees them,
//! and counting takes no page fault. A forked child does not get the mapping, so that a fork leaves
//! no copies to be made of it.
//!
//! Beside every call there is an *empty loop*: right after a call that took some time, the thread
//! does nothing for as long, timed in the same way. How much longer than that it took is what the
//! machine itself did to the thread: interrupts, other programs, the hypervisor. Both have as many
//! samples, and are exposed for as long.

use crate::buckets::{BUCKETS, bucket, middle};
use crate::clock::ticks;
use serde::{Deserialize, Serialize};
use std::io;
use std::ptr::NonNull;

/// What was timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `malloc` of less than [`LARGE`] bytes.
    MallocSmall,
    /// `malloc` of [`LARGE`] bytes and more.
    MallocLarge,
    /// The first call of a thread, a small `malloc`.
    MallocFirst,
    /// `calloc`; the allocator clears the memory.
    Calloc,
    /// `realloc`.
    Realloc,
    /// `free` of less than [`LARGE`] bytes.
    FreeSmall,
    /// `free` of [`LARGE`] bytes and more.
    FreeLarge,
    /// The program's first write to a page of a large block; no call, but a cost of how it was
    /// made.
    FirstWrite,
    /// The call that gives free memory back to the system.
    Trim,
    /// `fork`, in the parent.
    Fork,
    /// Some threads side by side, from the start of the first until all are joined.
    Wave,
    /// The empty loop.
    Empty,
}

/// Bytes from which a block is large. Below, every allocator has size classes, and caches in its
/// threads.
pub const LARGE: usize = 32 << 10;

impl Operation {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::MallocSmall,
        Self::MallocLarge,
        Self::MallocFirst,
        Self::Calloc,
        Self::Realloc,
        Self::FreeSmall,
        Self::FreeLarge,
        Self::FirstWrite,
        Self::Trim,
        Self::Fork,
        Self::Wave,
        Self::Empty,
    ];

    /// Name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::MallocSmall => "malloc, small",
            Self::MallocLarge => "malloc, large",
            Self::MallocFirst => "first malloc of a thread",
            Self::Calloc => "calloc",
            Self::Realloc => "realloc",
            Self::FreeSmall => "free, small",
            Self::FreeLarge => "free, large",
            Self::FirstWrite => "first write to a page",
            Self::Trim => "trim",
            Self::Fork => "fork",
            Self::Wave => "wave of 16 threads",
            Self::Empty => "empty loop",
        }
    }

    /// Whether it is one of the calls that programs make all the time, which are summed up.
    pub fn is_call(self) -> bool {
        use Operation::{
            Calloc, FreeLarge, FreeSmall, MallocFirst, MallocLarge, MallocSmall, Realloc,
        };
        matches!(
            self,
            MallocSmall | MallocLarge | MallocFirst | Calloc | Realloc | FreeSmall | FreeLarge
        )
    }
}

/// Kinds of operations.
const KINDS: usize = Operation::ALL.len();

/// The empty loop stands for no more than this much of a call, in ticks: some 0.4 ms. A longer call
/// was interrupted, or does work that no interruption explains.
const LONGEST_EMPTY: u64 = 1 << 20;

/// The counters; all zero bytes are none counted.
#[repr(C)]
struct Counters {
    longest: [u64; KINDS],
    calls: [[u64; BUCKETS]; KINDS],
}

/// Counts the times of one thread's operations.
pub struct Recorder {
    counters: NonNull<Counters>,
    /// What the clock adds to every time, in ticks.
    overhead: u64,
    /// Blocks that the allocator did not have.
    pub refused: u64,
}

// SAFETY: the recorder is the only owner of its mapping.
unsafe impl Send for Recorder {}

impl Recorder {
    /// An empty one, whose mapping is in memory. `overhead` is what [`crate::clock::overhead`]
    /// says.
    pub fn new(overhead: u64) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let size = size_of::<Counters>();
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the range is the mapping made above. Children of this process only end, and never
        // look at it. Where the advice is refused, the mapping is copied, as any other.
        unsafe { libc::madvise(mapped, size, libc::MADV_DONTFORK) };
        let counters = NonNull::new(mapped.cast()).expect("a mapping is never at address 0");
        Ok(Self { counters, overhead, refused: 0 })
    }

    fn counters(&mut self) -> &mut Counters {
        // SAFETY: the mapping is as large as the structure, which zero bytes make valid, aligned to
        // a page, and owned by this recorder alone, which is borrowed exclusively.
        unsafe { self.counters.as_mut() }
    }

    /// Makes the call and counts how long it took; then does nothing for as long, and counts that.
    #[inline(always)]
    pub fn time<T>(&mut self, operation: Operation, call: impl FnOnce() -> T) -> T {
        let start = ticks();
        let result = call();
        let took = ticks().saturating_sub(start);
        self.note(operation, took);
        self.idle(took);
        result
    }

    #[inline]
    fn note(&mut self, operation: Operation, took: u64) {
        let kind = operation as usize;
        let counters = self.counters();
        counters.longest[kind] = counters.longest[kind].max(took);
        counters.calls[kind][bucket(took)] += 1;
    }

    /// Waits for as long as the call took, and counts by how much that was exceeded. The clock's
    /// own share is added, because a call that takes no time shows it as well.
    #[inline]
    fn idle(&mut self, took: u64) {
        let wanted = took.clamp(self.overhead, LONGEST_EMPTY);
        let start = ticks();
        let mut passed = ticks().saturating_sub(start);
        while passed < wanted {
            passed = ticks().saturating_sub(start);
        }
        self.note(Operation::Empty, passed.saturating_sub(wanted) + self.overhead);
    }

    /// Everything that was counted, with so many nanoseconds to a tick.
    pub fn counted(&mut self, tick_ns: f64) -> Vec<Counted> {
        let counters = self.counters();
        let mut all = Vec::new();
        for operation in Operation::ALL {
            let kind = operation as usize;
            let filled = counters.calls[kind].iter().enumerate().filter(|(_, calls)| **calls > 0);
            let times: Vec<(u64, u64)> = filled
                .map(|(bucket, calls)| (tenths(middle(bucket) as f64 * tick_ns), *calls))
                .collect();
            if !times.is_empty() {
                let longest_ns = counters.longest[kind] as f64 * tick_ns;
                all.push(Counted { operation, longest_ns, times });
            }
        }
        all
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and nothing borrows it any more.
        unsafe { libc::munmap(self.counters.as_ptr().cast(), size_of::<Counters>()) };
    }
}

/// Tenths of nanoseconds keep single ticks apart.
fn tenths(nanoseconds: f64) -> u64 {
    ((nanoseconds * 10.0) as u64).max(1)
}

/// How often an operation took how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The operation.
    pub operation: Operation,
    /// The longest time, exactly.
    pub longest_ns: f64,
    /// Times in tenths of nanoseconds, each with how often it was seen.
    pub times: Vec<(u64, u64)>,
}

impl Counted {
    /// How many there were.
    pub fn samples(&self) -> u64 {
        self.times.iter().map(|(_, samples)| samples).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Calibration, overhead};
    use std::time::{Duration, Instant};

    #[test]
    fn operations_are_numbered_in_their_order() {
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, place);
        }
    }

    #[test]
    fn every_call_is_counted_once_with_an_empty_loop_beside_it() {
        let calibration = Calibration::start();
        let mut recorder = Recorder::new(overhead()).expect("there is memory");
        for _ in 0..1_000 {
            recorder.time(Operation::MallocSmall, || ());
        }
        let value = recorder.time(Operation::Trim, || {
            std::thread::sleep(Duration::from_millis(20));
            7
        });
        assert_eq!(value, 7);
        let counted = recorder.counted(calibration.tick_ns());
        let of = |operation| {
            let found = counted.iter().find(|counted| counted.operation == operation);
            found.expect("it was timed")
        };
        assert_eq!(counted.len(), 3);
        assert_eq!(of(Operation::MallocSmall).samples(), 1_000);
        assert_eq!(of(Operation::Empty).samples(), 1_001);
        let trim = of(Operation::Trim);
        assert!(trim.longest_ns > 15e6, "{trim:?}");
        assert!((trim.times[0].0 as f64 / 10.0 / trim.longest_ns - 1.0).abs() < 0.01, "{trim:?}");
    }

    #[test]
    fn the_empty_loop_lasts_as_long_as_the_call_and_counts_what_is_beyond() {
        let calibration = Calibration::start();
        let mut recorder = Recorder::new(overhead()).expect("there is memory");
        let busy = || {
            let start = ticks();
            while ticks() - start < 100_000 {}
        };
        let clock = Instant::now();
        for _ in 0..200 {
            recorder.time(Operation::Calloc, busy);
        }
        let all = clock.elapsed();
        let tick_ns = calibration.tick_ns();
        assert!(all.as_nanos() as f64 > 1.9 * 200.0 * 100_000.0 * tick_ns, "{all:?}");
        let counted = recorder.counted(tick_ns);
        let empty = counted.iter().find(|counted| counted.operation == Operation::Empty);
        let times = &empty.expect("it was timed").times;
        // Most were not interrupted, and so are far shorter than the calls.
        let short = |(tenths, _): &&(u64, u64)| (*tenths as f64) < 0.05 * 1e6 * tick_ns;
        let short: u64 = times.iter().filter(short).map(|(_, samples)| samples).sum();
        assert!(short > 100, "{times:?}");
    }
}
