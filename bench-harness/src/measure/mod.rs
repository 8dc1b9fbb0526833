//! Measuring one piece of work in this process: clock, processor time, faults, switches, memory.
//!
//! Owns nothing between runs. What it reads comes from `getrusage` and `/proc/self`; while the work
//! runs, nothing here allocates through the allocator under test (see `sampler`).

mod memory;
mod sampler;
mod usage;
mod watched;

pub use watched::{Hello, Watch, hello, watched};

pub use sampler::Sample;
pub use usage::Usage;

use crate::workloads::{Outcome, Work};
use memory::{peak_kib, resident_kib};
use sampler::Sampler;
use serde::{Deserialize, Serialize};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the process rests after the work before its final memory is read: long enough for the
/// last threads to be gone, short enough that no allocator's decay has set in.
const SETTLE: Duration = Duration::from_millis(20);

/// What was measured in one run. Times in seconds, memory in KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Operations done.
    pub operations: u64,
    /// The workload's checksum, equal for all allocators.
    pub checksum: u64,
    /// Time on the clock.
    pub wall_s: f64,
    /// Processor time in the program.
    pub user_s: f64,
    /// Processor time in the kernel.
    pub system_s: f64,
    /// Page faults served without reading from disk (contract clause C2.1).
    pub minor_faults: u64,
    /// Page faults that read from disk.
    pub major_faults: u64,
    /// Times a thread gave up the processor, to wait.
    pub voluntary_switches: u64,
    /// Times a thread was made to give up the processor.
    pub involuntary_switches: u64,
    /// Resident memory before the work: program, libraries, inputs.
    pub rss_start_kib: u64,
    /// Highest resident memory of the process, by the kernel's own mark and the samples.
    pub rss_peak_kib: u64,
    /// Resident memory shortly after the work, when everything has been freed.
    pub rss_end_kib: u64,
    /// Resident memory, averaged over the time that the work took; 0 in files of before it was
    /// measured.
    #[serde(default)]
    pub rss_mean_kib: u64,
    /// Resident memory while the work ran; result files keep it of some runs only.
    pub timeline: Vec<Sample>,
}

impl Measurement {
    /// Processor time, program and kernel together.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// Resident memory, averaged over time; from the curve in files that do not have the figure.
    pub fn mean_kib(&self) -> u64 {
        match self.rss_mean_kib {
            0 => mean_kib(&self.timeline).unwrap_or(self.rss_start_kib),
            mean => mean,
        }
    }

    /// Operations per second of the clock.
    pub fn throughput(&self) -> f64 {
        self.operations as f64 / self.wall_s
    }
}

/// Runs `work` and measures it. Fails where `/proc` cannot be read or the sampler cannot be
/// started.
pub fn measure(work: Work) -> io::Result<Measurement> {
    let rss_start_kib = resident_kib()?;
    let sampler = Sampler::start()?;
    let before = Usage::of_process()?;
    let clock = Instant::now();

    let Outcome { operations, checksum } = work();

    let wall_s = clock.elapsed().as_secs_f64();
    let after = Usage::of_process()?;
    let (timeline, sampler_usage) = sampler.stop();
    sleep(SETTLE);
    let rss_end_kib = resident_kib()?;
    let sampled_peak = timeline.iter().map(|sample| sample.rss_kib).max().unwrap_or(0);
    let used = after.since(before).since(sampler_usage);
    Ok(Measurement {
        operations,
        checksum,
        wall_s,
        user_s: used.user_s,
        system_s: used.system_s,
        minor_faults: used.minor_faults,
        major_faults: used.major_faults,
        voluntary_switches: used.voluntary_switches,
        involuntary_switches: used.involuntary_switches,
        rss_start_kib,
        rss_peak_kib: peak_kib()?.max(sampled_peak).max(rss_start_kib).max(rss_end_kib),
        rss_end_kib,
        rss_mean_kib: mean_kib(&timeline).unwrap_or(rss_start_kib),
        timeline,
    })
}

/// The samples' average, each weighed by its time; none where no time passes between them.
fn mean_kib(timeline: &[Sample]) -> Option<u64> {
    let (mut area, mut time) = (0, 0);
    for pair in timeline.windows(2) {
        let step = u64::from(pair[1].at_ms - pair[0].at_ms);
        area += step * (pair[0].rss_kib + pair[1].rss_kib) / 2;
        time += step;
    }
    area.checked_div(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_weighs_every_sample_by_its_time() {
        let timeline = [(0, 1_000), (10, 1_000), (40, 3_000)].map(Sample::from);
        assert_eq!(mean_kib(&timeline), Some((10 * 1_000 + 30 * 2_000) / 40));
        assert_eq!(mean_kib(&timeline[..1]), None);
    }
}
