//! A run whose every call of the allocator is timed, and what a process costs that does nothing.
//!
//! The first gives the latency of calls, resident memory beside the memory that the program holds,
//! and the time until the memory is back when everything was freed. Its clock and processor time
//! say nothing, because reading the clock takes longer than most calls.

use super::measure;
use super::memory::{peak_kib, resident_kib};
use crate::clock::Calibration;
use crate::watch::{self, Latency};
use crate::workloads::Work;
use serde::{Deserialize, Serialize};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between looks at the memory after the work.
const LOOK: Duration = Duration::from_millis(5);

/// What a watched run saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The workload's checksum, equal for all allocators.
    pub checksum: u64,
    /// How long the allocator's calls took; none where the work made no call.
    pub latency: Option<Latency>,
    /// Milliseconds, resident KiB, KiB that the program held.
    pub timeline: Vec<(u32, u64, u64)>,
    /// Highest resident memory.
    pub rss_peak_kib: u64,
    /// Seconds after the work until nine tenths of the memory that it had added were given back;
    /// none where that took longer than [`waited_s`](Self::waited_s).
    pub back_s: Option<f64>,
    /// How long was waited for it.
    pub waited_s: f64,
}

/// Prepares and runs a workload, watched; afterwards waits for the memory, at most for `rest`.
pub fn watched(
    prepare: impl FnOnce() -> Result<Work, String>,
    rest: Duration,
) -> io::Result<Watch> {
    let calibration = Calibration::start();
    watch::begin();
    let work = prepare().map_err(io::Error::other)?;
    watch::forget_times();
    let measured = measure(Box::new(move || {
        let outcome = work();
        watch::end();
        outcome
    }))?;
    let freed = Instant::now();
    let added = measured.rss_peak_kib.saturating_sub(measured.rss_start_kib);
    let goal = measured.rss_start_kib + added / 10;
    // `measure` has rested a little already.
    let since = |moment: Instant| (moment.elapsed() + super::SETTLE).as_secs_f64();
    let mut back_s = (measured.rss_end_kib <= goal).then_some(super::SETTLE.as_secs_f64());
    while back_s.is_none() && freed.elapsed() < rest {
        sleep(LOOK);
        if resident_kib()? <= goal {
            back_s = Some(since(freed));
        }
    }
    let samples = measured.timeline.iter();
    Ok(Watch {
        checksum: measured.checksum,
        latency: watch::latency(calibration.tick_ns()),
        timeline: samples.map(|sample| (sample.at_ms, sample.rss_kib, sample.live_kib)).collect(),
        rss_peak_kib: measured.rss_peak_kib,
        back_s,
        waited_s: since(freed),
    })
}

/// What a process holds that does nothing but answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Highest resident memory.
    pub rss_kib: u64,
}

/// This process now, which should have done nothing yet.
pub fn hello() -> io::Result<Hello> {
    Ok(Hello { rss_kib: peak_kib()?.max(resident_kib()?) })
}
