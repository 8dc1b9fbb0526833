//! How quiet the machine was while something ran: what others took of the processors, what the
//! hypervisor took, what pages and disks made wait, how fast the processors were clocked.
//!
//! Two looks at `/proc` and `/sys`, before and after, are enough: the kernel counts all the time,
//! and nothing runs meanwhile that a reader would have to allow for. What a machine does not tell
//! is none, and disturbs nothing.
//!
//! A run is *disturbed* where one of the shares is beyond its bound, see [`Disturbance`]. The
//! bounds say when a run is worth repeating, not when it is right: what disturbs less is noise,
//! which the intervals allow for.

use crate::machine::{number, read};
use crate::measure::{Measurement, Usage};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::time::Instant;

/// What disturbed a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disturbance {
    /// Other programs took more than [`FOREIGN`] of the processors' time.
    ForeignLoad,
    /// The hypervisor gave more than [`STEAL`] of it to other machines.
    Steal,
    /// Somebody waited for memory for more than [`PRESSURE`] of the time.
    MemoryPressure,
    /// The run read [`DISK_FAULTS`] pages or more from disk: its files were not in the page cache.
    Disk,
    /// The processors were slower by more than [`SLOWER`] than at their fastest in this series.
    Frequency,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::ForeignLoad => "foreign load",
            Self::Steal => "steal",
            Self::MemoryPressure => "memory pressure",
            Self::Disk => "disk",
            Self::Frequency => "frequency",
        })
    }
}

/// A tenth: with two processors and a single thread at work, the scheduler still finds room beside
/// it, but a larger part costs caches and memory bandwidth that the run wanted.
pub const FOREIGN: f64 = 0.10;
/// A stolen slice is missing on the clock, and its other machine leaves cold caches.
pub const STEAL: f64 = 0.02;
/// The same for memory that had to be found first.
pub const PRESSURE: f64 = 0.05;
/// Pages read from disk: a few may belong to the program's own end.
pub const DISK_FAULTS: u64 = 10;
/// What turbo modes vary by on their own is less.
pub const SLOWER: f64 = 0.10;
/// The kernel counts in ticks of 10 ms, one error on each processor and end: less is no evidence.
const EVIDENCE_S: f64 = 0.05;

/// What the machine did during one run. Shares are of the time of all processors together, unless
/// they say otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// From before the process was made until it had ended.
    pub elapsed_s: f64,
    /// Share that programs took which do not belong to the measuring.
    pub foreign: f64,
    /// Share that the hypervisor took.
    pub steal: f64,
    /// Processes ready to run, averaged over the last minute.
    pub load: f64,
    /// Share of the elapsed time in which somebody waited for a processor, the run's own threads
    /// included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<f64>,
    /// The same for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure: Option<f64>,
    /// Frequency of the processors at the end, their mean, where the kernel tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mhz: Option<f64>,
    /// Files in memory, at the end.
    pub page_cache_mib: u64,
    /// Memory that could be had, at the end.
    pub available_mib: u64,
    /// Faults of all programs that got a transparent huge page.
    pub huge_faults: u64,
    /// Those that should have, but got small pages.
    pub huge_fallbacks: u64,
    /// Bytes by which the process's environment was made longer, see the driver.
    pub padding: usize,
    /// Earlier tries of the same run that were disturbed and not kept.
    pub repeats: usize,
    /// What disturbed this one all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<Disturbance>,
}

/// The machine before a run.
pub struct Before {
    clock: Instant,
    counters: Counters,
}

/// What the kernel has counted since it started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Counters {
    busy_s: f64,
    steal_s: f64,
    /// Processor time of this process and of its children that have ended.
    own_s: f64,
    cpu_wait_us: Option<u64>,
    memory_wait_us: Option<u64>,
    io_wait_us: Option<u64>,
    huge_faults: u64,
    huge_fallbacks: u64,
}

impl Counters {
    fn read() -> Self {
        let (busy, steal) = ticks(&read("/proc/stat"));
        let waited = |of: &str| total(&read(format!("/proc/pressure/{of}")));
        let pages = read("/proc/vmstat");
        Self {
            busy_s: busy as f64 / ticks_per_second(),
            steal_s: steal as f64 / ticks_per_second(),
            own_s: Usage::of_all().map_or(0.0, |used| used.user_s + used.system_s),
            cpu_wait_us: waited("cpu"),
            memory_wait_us: waited("memory"),
            io_wait_us: waited("io"),
            huge_faults: number(&pages, "thp_fault_alloc"),
            huge_fallbacks: number(&pages, "thp_fault_fallback"),
        }
    }
}

impl Before {
    /// Looks at the machine.
    pub fn look() -> Self {
        Self { counters: Counters::read(), clock: Instant::now() }
    }

    /// Looks again: what happened between.
    pub fn after(self) -> Conditions {
        let elapsed_s = self.clock.elapsed().as_secs_f64();
        let processors = crate::machine::online() as f64;
        let mut conditions = between(&self.counters, &Counters::read(), elapsed_s, processors);
        let memory = read("/proc/meminfo");
        let load = read("/proc/loadavg");
        conditions.load = load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        conditions.mhz = frequency();
        conditions.page_cache_mib = number(&memory, "Cached:") / 1024;
        conditions.available_mib = number(&memory, "MemAvailable:") / 1024;
        conditions
    }
}

/// What was counted between two looks.
fn between(before: &Counters, after: &Counters, elapsed_s: f64, processors: f64) -> Conditions {
    let all_s = (elapsed_s * processors).max(1e-9);
    let busy_s = after.busy_s - before.busy_s;
    let own_s = after.own_s - before.own_s;
    let waited = |before: Option<u64>, after: Option<u64>| {
        let us = after?.saturating_sub(before?);
        Some(short((us as f64 / 1e6 / elapsed_s.max(1e-9)).min(1.0)))
    };
    Conditions {
        elapsed_s: short(elapsed_s),
        foreign: short(((busy_s - own_s) / all_s).clamp(0.0, 1.0)),
        steal: short(((after.steal_s - before.steal_s) / all_s).clamp(0.0, 1.0)),
        cpu_pressure: waited(before.cpu_wait_us, after.cpu_wait_us),
        memory_pressure: waited(before.memory_wait_us, after.memory_wait_us),
        io_pressure: waited(before.io_wait_us, after.io_wait_us),
        huge_faults: after.huge_faults.saturating_sub(before.huge_faults),
        huge_fallbacks: after.huge_fallbacks.saturating_sub(before.huge_fallbacks),
        ..Conditions::default()
    }
}

impl Conditions {
    /// What of this is beyond its bound. `fastest` is the highest frequency that was seen so far.
    pub fn judge(&self, measured: &Measurement, fastest: Option<f64>) -> Vec<Disturbance> {
        let all_s = self.elapsed_s * crate::machine::online() as f64;
        let beyond = |share: f64, bound: f64, of_s: f64| share > bound && share * of_s > EVIDENCE_S;
        let memory = self.memory_pressure.unwrap_or(0.0);
        let slower = match (self.mhz, fastest) {
            (Some(mhz), Some(fastest)) => mhz < fastest * (1.0 - SLOWER),
            _ => false,
        };
        let seen = [
            (Disturbance::ForeignLoad, beyond(self.foreign, FOREIGN, all_s)),
            (Disturbance::Steal, beyond(self.steal, STEAL, all_s)),
            (Disturbance::MemoryPressure, beyond(memory, PRESSURE, self.elapsed_s)),
            (Disturbance::Disk, measured.major_faults >= DISK_FAULTS),
            (Disturbance::Frequency, slower),
        ];
        seen.into_iter().filter(|(_, so)| *so).map(|(what, _)| what).collect()
    }

    /// How much of the machine the run did not have: what the least disturbed of several tries is
    /// chosen by. It knows nothing of the run's time, or the choice would favour fast runs.
    pub fn severity(&self) -> f64 {
        self.foreign + self.steal + self.memory_pressure.unwrap_or(0.0)
    }
}

/// Four decimals keep the result file small.
fn short(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

/// Busy and stolen ticks of all processors, from `/proc/stat`. Waiting for a disk is not busy;
/// guests are in the user's time already.
fn ticks(stat: &str) -> (u64, u64) {
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0)).collect();
    let at = |place: usize| fields.get(place).copied().unwrap_or(0);
    // user, nice, system, idle, iowait, irq, softirq, steal
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}

fn ticks_per_second() -> f64 {
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

/// Microseconds in which somebody waited, from a file of `/proc/pressure`.
fn total(pressure: &str) -> Option<u64> {
    let line = pressure.lines().find(|line| line.starts_with("some "))?;
    line.split_once("total=")?.1.trim().parse().ok()
}

/// Mean frequency of the processors now, in MHz: by `cpufreq`, or else by `/proc/cpuinfo`, which in
/// a virtual machine may name what the processor is sold as.
fn frequency() -> Option<f64> {
    let folders = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let khz = folders.filter_map(|folder| {
        let file = folder.path().join("cpufreq/scaling_cur_freq");
        fs::read_to_string(file).ok()?.trim().parse::<f64>().ok()
    });
    let mut all: Vec<f64> = khz.map(|khz| khz / 1e3).collect();
    if all.is_empty() {
        let lines = read("/proc/cpuinfo");
        let named = lines.lines().filter(|line| line.starts_with("cpu MHz"));
        all = named.filter_map(|line| line.split_once(':')?.1.trim().parse().ok()).collect();
    }
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    (!all.is_empty()).then_some(mean.round())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::measurement;

    #[test]
    fn what_is_not_ours_is_foreign_and_only_beyond_its_bound_a_disturbance() {
        let before = Counters { busy_s: 10.0, own_s: 4.0, ..Counters::default() };
        let after = |busy: f64, steal: f64| Counters {
            busy_s: 10.0 + busy,
            steal_s: steal,
            own_s: 5.0,
            ..Counters::default()
        };
        let processors = crate::machine::online() as f64;
        let judge = |busy: f64, steal: f64| {
            let seen =
                between(&before, &after(busy * processors, steal * processors), 1.0, processors);
            seen.judge(&measurement(1.0, 5_000), None)
        };
        let own = 1.0 / processors;
        assert_eq!(judge(own, 0.0), []);
        assert_eq!(judge(own + 0.09, 0.0), []);
        assert_eq!(judge(own + 0.11, 0.0), [Disturbance::ForeignLoad]);
        assert_eq!(judge(own + 0.2, 0.06), [Disturbance::ForeignLoad, Disturbance::Steal]);
        assert_eq!(judge(0.0, 0.0), [], "less than nothing is nothing");
    }

    #[test]
    fn a_short_run_needs_more_than_the_error_of_the_ticks() {
        let busy = Counters { busy_s: 0.04, ..Counters::default() };
        let seen = between(&Counters::default(), &busy, 0.1, 2.0);
        assert_eq!(seen.foreign, 0.2);
        assert_eq!(seen.judge(&measurement(0.1, 5_000), None), []);
    }

    #[test]
    fn disk_memory_and_frequency_disturb_too() {
        let waits = |us| Counters { memory_wait_us: Some(us), ..Counters::default() };
        let mut seen = between(&waits(0), &waits(100_000), 1.0, 2.0);
        seen.mhz = Some(2_000.0);
        let mut measured = measurement(1.0, 5_000);
        assert_eq!(seen.judge(&measured, Some(2_100.0)), [Disturbance::MemoryPressure]);
        measured.major_faults = DISK_FAULTS;
        let all = [Disturbance::MemoryPressure, Disturbance::Disk, Disturbance::Frequency];
        assert_eq!(seen.judge(&measured, Some(3_000.0)), all);
        assert!((seen.severity() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_files_of_the_kernel_are_read_as_they_are_written() {
        let stat = "cpu  100 20 30 4000 50 6 7 8 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(ticks(stat), (163, 8));
        assert_eq!(ticks(""), (0, 0));
        let pressure = "some avg10=1.80 avg60=3.64 avg300=6.83 total=9716\nfull total=1\n";
        assert_eq!((total(pressure), total("")), (Some(9_716), None));
        assert_eq!(number("thp_fault_alloc 65\nthp_fault_fallback 7\n", "thp_fault_fallback"), 7);
        assert_eq!(number("Cached:   2048 kB\n", "Cached:"), 2_048);
    }

    #[test]
    fn this_machine_is_seen_and_the_own_work_is_not_foreign() {
        let before = Before::look();
        let clock = Instant::now();
        while clock.elapsed().as_millis() < 50 {
            std::hint::black_box(clock.elapsed());
        }
        let seen = before.after();
        assert!(seen.elapsed_s >= 0.05 && seen.available_mib > 0, "{seen:?}");
        assert!((0.0..=1.0).contains(&seen.foreign) && (0.0..=1.0).contains(&seen.steal));
    }
}
