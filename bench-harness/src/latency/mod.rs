//! Latency loads: how long the single calls of a program take, the rare ones above all.
//!
//! A workload asks how much work an allocator does in a time; a latency load asks how long a
//! program waits in a call now and then: while a heap is trimmed, a process forked, a huge block
//! unmapped. Each load is one file under `loads`, which opens with what it stands for. It runs for
//! a given time, in a runner of its own per allocator and round, and times every call
//! ([`Recorder`]); beside each call, an empty loop of the same length is timed in the same way, so
//! that the pauses of the machine are known and need not be taken for the allocator's.
//!
//! The rounds are interleaved as those of the workloads are, and their counts are put together
//! before percentiles are taken ([`Distribution`]).

mod caller;
mod distribution;
mod loads;
mod recorder;

pub use distribution::{Distribution, QUANTILES, Round, Total};
pub use recorder::{Counted, LARGE, Operation, Recorder};

use crate::clock;
use caller::Caller;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The call that gives free memory back to the system.
#[derive(Clone, Copy)]
pub enum Trim {
    /// It says whether there was any.
    Told(fn() -> bool),
    /// It does not say.
    Silent(fn()),
}

impl Trim {
    fn call(self) {
        match self {
            Self::Told(call) => {
                std::hint::black_box(call());
            }
            Self::Silent(call) => call(),
        }
    }
}

/// What a load is told to do, and what it may ask of the allocator.
pub struct Context {
    /// Threads that work.
    pub threads: usize,
    /// How long they work.
    pub time: Duration,
    /// Where the random numbers start.
    pub seed: u64,
    /// Gives all free memory back to the system, by whatever call the allocator has for it.
    pub trim: Trim,
    /// What the clock adds to every time, in ticks.
    overhead: u64,
}

impl Context {
    /// Measures the clock, too.
    pub fn new(threads: usize, time: Duration, seed: u64, trim: Trim) -> Self {
        Self { threads, time, seed, trim, overhead: clock::overhead() }
    }

    /// As many callers.
    fn callers(&self, wanted: usize) -> io::Result<Vec<Caller>> {
        (0..wanted).map(|_| Ok(Caller::new(Recorder::new(self.overhead)?))).collect()
    }

    /// One caller for every thread.
    fn workers(&self) -> io::Result<Vec<Caller>> {
        self.callers(self.threads)
    }

    /// The moment when the work ends that begins now.
    fn end(&self) -> Deadline {
        Deadline(Instant::now() + self.time)
    }
}

/// The moment when work ends.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    fn passed(self) -> bool {
        self.left().is_zero()
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Sleeps until `moment` or until the work ends, whichever is first.
    fn sleep_until(self, moment: Instant) {
        thread::sleep(moment.min(self.0).saturating_duration_since(Instant::now()));
    }
}

/// Why a load gave no times.
enum Trouble {
    /// The machine lacks what it needs.
    NotHere(String),
    /// Something went wrong.
    Failed(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// One load.
pub struct Load {
    /// Name on the command line and in result files.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What is done, in a sentence or two.
    pub does: &'static str,
    /// Runs it in this process.
    run: fn(&Context) -> Result<Vec<Caller>, Trouble>,
}

/// All loads, in the order of the report.
pub const ALL: &[&Load] = &[
    &loads::steady::LOAD,
    &loads::storm::LOAD,
    &loads::mixed::LOAD,
    &loads::trim::LOAD,
    &loads::threads::LOAD,
    &loads::huge::LOAD,
    &loads::fork::LOAD,
    &loads::memory_high::LOAD,
];

/// The load of this name.
pub fn find(name: &str) -> Option<&'static Load> {
    ALL.iter().copied().find(|load| load.name == name)
}

/// What one process timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Nanoseconds to a tick of the clock, by `CLOCK_MONOTONIC` over the whole load.
    pub tick_ns: f64,
    /// What the clock adds to every time: the median of many readings with nothing between them. It
    /// is not taken off.
    pub overhead_ns: f64,
    /// Whether the clock runs at one rate.
    pub steady_clock: bool,
    /// The operations, each with its times; the empty loop is one.
    pub counted: Vec<Counted>,
    /// Blocks that the allocator did not have.
    pub refused: u64,
    /// Why there are no times, where this machine lacks what the load needs.
    pub not_here: Option<String>,
}

impl Load {
    /// Runs the load in this process.
    pub fn time(&self, context: &Context) -> io::Result<Timed> {
        let calibration = clock::Calibration::start();
        let (callers, not_here) = match (self.run)(context) {
            Ok(callers) => (callers, None),
            Err(Trouble::NotHere(reason)) => (Vec::new(), Some(reason)),
            Err(Trouble::Failed(error)) => return Err(error),
        };
        if not_here.is_some() {
            // A rate that was taken over no time would be noise.
            thread::sleep(Duration::from_millis(1));
        }
        let tick_ns = calibration.tick_ns();
        let mut total = Total::default();
        let mut refused = 0;
        for mut caller in callers {
            refused += caller.recorder.refused;
            total.add(&caller.recorder.counted(tick_ns));
        }
        Ok(Timed {
            tick_ns,
            overhead_ns: context.overhead as f64 * tick_ns,
            steady_clock: clock::is_steady(),
            counted: total.counted(),
            refused,
            not_here,
        })
    }
}

/// Runs `work` on a thread for each caller; all begin together when every one is `prepare`d.
/// Returns the callers.
fn on_threads<T>(
    callers: Vec<Caller>,
    prepare: impl Fn(usize) -> T + Sync,
    work: impl Fn(&mut Caller, T) + Sync,
) -> Vec<Caller> {
    let ready = Barrier::new(callers.len());
    let (prepare, work, ready) = (&prepare, &work, &ready);
    thread::scope(|scope| {
        let threads: Vec<_> = callers
            .into_iter()
            .enumerate()
            .map(|(index, mut caller)| {
                scope.spawn(move || {
                    let prepared = prepare(index);
                    ready.wait();
                    work(&mut caller, prepared);
                    caller
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a load does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        // SAFETY: it may be called at any time; the tests' allocator is the system's.
        let trim = Trim::Told(|| unsafe { libc::malloc_trim(0) != 0 });
        Context::new(2, Duration::from_millis(150), 3, trim)
    }

    #[test]
    fn every_load_times_calls_and_as_many_empty_loops_or_says_why_not() {
        for load in ALL {
            let timed = load.time(&context()).expect("it runs");
            if let Some(reason) = &timed.not_here {
                assert_eq!(load.name, "memory-high", "{reason}");
                assert!(timed.counted.is_empty() && !reason.is_empty());
                continue;
            }
            assert!(timed.tick_ns > 0.0 && timed.overhead_ns > 0.0, "{}: {timed:?}", load.name);
            let (empty, others): (Vec<_>, Vec<_>) =
                timed.counted.iter().partition(|one| one.operation == Operation::Empty);
            let samples: u64 = others.iter().map(|one| one.samples()).sum();
            assert_eq!(empty.len(), 1, "{}", load.name);
            assert_eq!(empty[0].samples(), samples, "{}", load.name);
            let calls = others.iter().filter(|one| one.operation.is_call());
            assert!(calls.map(|one| one.samples()).sum::<u64>() > 1_000, "{}", load.name);
            assert_eq!(timed.refused, 0, "{}", load.name);
        }
    }

    #[test]
    fn what_a_load_is_about_is_among_its_operations() {
        let about = [
            ("steady", Operation::Realloc),
            ("mixed", Operation::MallocLarge),
            ("trim", Operation::Trim),
            ("threads", Operation::MallocFirst),
            ("huge", Operation::FreeLarge),
            ("fork", Operation::Fork),
        ];
        for (name, operation) in about {
            let timed = find(name).expect("there is one").time(&context()).expect("it runs");
            assert!(timed.counted.iter().any(|one| one.operation == operation), "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, load) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != load.name));
            assert_eq!(find(load.name).map(|found| found.title), Some(load.title));
        }
        assert!(find("none").is_none());
    }
}
