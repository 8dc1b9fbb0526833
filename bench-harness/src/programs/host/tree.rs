//! A thread that looks at a program and its descendants every few milliseconds: memory, threads,
//! and whether the allocator's library is mapped.
//!
//! Resident memory is read every time; what costs more (proportional memory, maps, threads) every
//! tenth time. The thread also ends a program that takes too long.

use crate::measure::Sample;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);
/// Looks between two thorough ones.
const THOROUGH: u32 = 10;
/// Samples that are kept of a run's curve.
const CURVE: usize = 50;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Resident memory of all processes together.
    pub samples: Vec<Sample>,
    /// Highest proportional memory of all processes together.
    pub pss_peak_kib: u64,
    /// Most threads at once.
    pub threads: usize,
    /// The processes, with the maps of each at the last thorough look; empty where it was never
    /// looked at so, as it lived too shortly.
    pub processes: BTreeMap<libc::pid_t, String>,
}

impl Seen {
    /// Adds what was seen of the next command, which began `after` the first one.
    pub(super) fn follow(&mut self, next: Self, after: Duration) {
        let moved =
            |sample: Sample| Sample { at_ms: sample.at_ms + after.as_millis() as u32, ..sample };
        self.samples.extend(next.samples.into_iter().map(moved));
        self.pss_peak_kib = self.pss_peak_kib.max(next.pss_peak_kib);
        self.threads = self.threads.max(next.threads);
        self.processes.extend(next.processes);
    }

    /// Fails where a process that was looked at did not have the library.
    pub(super) fn library_everywhere(&self, library: &Path) -> Result<(), String> {
        // Maps have the name without symbolic links.
        let real = library.canonicalize().unwrap_or_else(|_| library.to_owned());
        let name = real.to_string_lossy();
        for maps in self.processes.values().filter(|maps| !maps.is_empty()) {
            if !maps.lines().any(|line| line.ends_with(&*name)) {
                let program = maps.lines().find_map(|line| line.find('/').map(|at| &line[at..]));
                return Err(format!("{name} is not mapped by {}", program.unwrap_or("a process")));
            }
        }
        Ok(())
    }
}

/// A look at a program that goes on until it is stopped.
pub(super) struct Watch {
    thread: JoinHandle<Seen>,
    stop: Arc<AtomicBool>,
    /// Milliseconds from the start at which the program is ended.
    deadline: Arc<AtomicU64>,
    late: Arc<AtomicBool>,
    begin: Instant,
}

impl Watch {
    /// Looks at `process` and its descendants.
    pub(super) fn start(process: libc::pid_t) -> Self {
        let (stop, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let deadline = Arc::new(AtomicU64::new(u64::MAX));
        let begin = Instant::now();
        let thread = thread::spawn({
            let (stop, late, deadline) =
                (Arc::clone(&stop), Arc::clone(&late), Arc::clone(&deadline));
            move || watch(process, begin, &stop, &late, &deadline)
        });
        Self { thread, stop, deadline, late, begin }
    }

    /// Ends the program when `limit` has passed from now; the flag says whether that happened.
    pub(super) fn end_after(&self, limit: Duration) -> Arc<AtomicBool> {
        let at = (self.begin.elapsed() + limit).as_millis() as u64;
        // Relaxed: the number stands for itself.
        self.deadline.store(at, Ordering::Relaxed);
        Arc::clone(&self.late)
    }

    /// Ends looking.
    pub(super) fn stop(self) -> Seen {
        // Relaxed: joining the thread orders what it wrote.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("looking does not panic")
    }
}

fn watch(
    process: libc::pid_t,
    begin: Instant,
    stop: &AtomicBool,
    late: &AtomicBool,
    deadline: &AtomicU64,
) -> Seen {
    let mut seen = Seen::default();
    let mut look = 0_u32;
    // Relaxed: the flags and the number stand for themselves.
    while !stop.load(Ordering::Relaxed) {
        let at_ms = begin.elapsed().as_millis();
        let all = descendants(process);
        let rss_kib = all.iter().filter_map(|one| rss_kib(*one)).sum();
        if rss_kib > 0 {
            seen.samples.push(Sample { at_ms: at_ms as u32, rss_kib, live_kib: 0 });
        }
        if look % THOROUGH == 1 {
            seen.thoroughly(&all);
        }
        if at_ms > u128::from(deadline.load(Ordering::Relaxed)) {
            late.store(true, Ordering::Relaxed);
            for one in all {
                // SAFETY: the process was a descendant of this one a moment ago.
                unsafe { libc::kill(one, libc::SIGKILL) };
            }
        }
        look += 1;
        thread::park_timeout(INTERVAL);
    }
    seen
}

impl Seen {
    fn thoroughly(&mut self, all: &[libc::pid_t]) {
        let (mut pss, mut threads) = (0, 0);
        for process in all {
            let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).ok();
            pss += read("smaps_rollup").and_then(|text| number(&text, "Pss:")).unwrap_or(0);
            threads += read("status").and_then(|text| number(&text, "Threads:")).unwrap_or(0);
            // Between `exec` and the loader's work, nothing is mapped yet: the last look counts.
            let maps = read("maps").filter(|maps| maps.contains("/libc.so.6"));
            let known = self.processes.entry(*process).or_default();
            if let Some(maps) = maps {
                *known = files(&maps);
            }
        }
        self.pss_peak_kib = self.pss_peak_kib.max(pss);
        self.threads = self.threads.max(threads as usize);
    }
}

/// The lines of `maps` that begin a file.
fn files(maps: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in maps.lines() {
        let Some(at) = line.find('/') else { continue };
        if lines.last() != Some(&&line[at..]) {
            lines.push(&line[at..]);
        }
    }
    lines.join("\n")
}

/// A process and all that descend from it, as far as the main threads started them.
fn descendants(process: libc::pid_t) -> Vec<libc::pid_t> {
    let mut all = vec![process];
    let mut next = 0;
    while next < all.len() {
        let path = format!("/proc/{0}/task/{0}/children", all[next]);
        let text = fs::read_to_string(path).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|word| word.parse::<libc::pid_t>().ok()));
        next += 1;
    }
    all
}

fn rss_kib(process: libc::pid_t) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: asking for a system constant has no preconditions.
    Some(pages * (unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64 / 1024))
}

/// The number behind `name` at the start of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// The samples' average, each weighed by its time.
pub(super) fn mean_kib(samples: &[Sample]) -> u64 {
    let (mut area, mut time) = (0, 0);
    for pair in samples.windows(2) {
        let step = u64::from(pair[1].at_ms - pair[0].at_ms);
        area += step * (pair[0].rss_kib + pair[1].rss_kib) / 2;
        time += step;
    }
    area.checked_div(time).unwrap_or_else(|| samples.first().map_or(0, |sample| sample.rss_kib))
}

/// A curve of few samples.
pub(super) fn thinned(samples: Vec<Sample>) -> Vec<Sample> {
    let step = samples.len().div_ceil(CURVE).max(1);
    samples.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_the_library_is_named() {
        let mut seen = Seen::default();
        seen.processes.insert(1, "/usr/bin/cc\n/lib/liballoc.so".to_owned());
        seen.processes.insert(2, String::new());
        let library = Path::new("/lib/liballoc.so");
        assert_eq!(seen.library_everywhere(library), Ok(()));
        seen.processes.insert(3, "/usr/bin/as\n/lib/libc.so.6".to_owned());
        let reason = seen.library_everywhere(library).expect_err("a process lacks it");
        assert!(reason.contains("/usr/bin/as"), "{reason}");
    }

    #[test]
    fn commands_that_follow_one_another_have_one_curve() {
        let sample = |at_ms, rss_kib| Sample { at_ms, rss_kib, live_kib: 0 };
        let of = |samples: &[Sample]| Seen { samples: samples.to_vec(), ..Seen::default() };
        let mut all = of(&[sample(0, 10), sample(10, 20)]);
        all.follow(of(&[sample(0, 30), sample(10, 30)]), Duration::from_millis(20));
        assert_eq!(all.samples.last(), Some(&sample(30, 30)));
        assert_eq!(mean_kib(&all.samples), (15 * 10 + 25 * 10 + 30 * 10) / 30);
        assert_eq!(thinned(all.samples).len(), 4);
    }
}
