//! The harness's figures against those of whoever times the same program from outside, as
//! `/usr/bin/time` does: by the kernel's account of the process when it has ended. Both look at the
//! same run, so noise of the machine does not come between them.

use bench_harness::child::Answer;
use bench_harness::measure::Measurement;
use std::io::Read;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is seen from outside.
struct Seen {
    wall_s: f64,
    cpu_s: f64,
    peak_kib: u64,
    faults: u64,
}

/// Runs a workload under the system's allocator: what the harness's runner says of it, and what is
/// seen.
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it, and tells what it used")]
fn run(workload: &str, scale: &str) -> (Measurement, Seen) {
    let clock = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-ptmalloc"));
    command.args(["--run", workload, "2", scale, "5"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    let mut line = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut line).expect("it is text");
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    // SAFETY: both targets are valid; the child is this process's and nobody else waits for it.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (child.id() as i32, 0), "{line}");
    // SAFETY: all zero bytes are a valid `rusage`, and `wait4` has filled it in.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let seen = Seen {
        wall_s: clock.elapsed().as_secs_f64(),
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_kib: usage.ru_maxrss as u64,
        faults: usage.ru_minflt as u64,
    };
    match serde_json::from_str(line.trim()) {
        Ok(Answer::Measured(measured)) => (measured, seen),
        other => panic!("{workload}: {other:?}"),
    }
}

/// Property: what the harness says is in what is seen from outside, and all of that but for
/// starting, making the inputs, and the proof, which together are short.
#[test]
fn figures_agree_with_those_of_the_kernel_for_the_same_run() {
    for (workload, scale) in [("glibc-simple", "0.3"), ("fragmentation", "0.5"), ("larson", "0.2")]
    {
        let (told, seen) = run(workload, scale);
        let line = format!(
            "{workload}: processor {:.3} s of {:.3}, clock {:.3} s of {:.3}, peak {} KiB of {}, faults {} of {}",
            told.cpu_s(),
            seen.cpu_s,
            told.wall_s,
            seen.wall_s,
            told.rss_peak_kib,
            seen.peak_kib,
            told.minor_faults,
            seen.faults,
        );
        println!("{line}");
        assert!(told.cpu_s() > 0.05, "too short to tell anything: {line}");
        // The kernel counts in steps of up to 4 ms.
        assert!(told.cpu_s() <= seen.cpu_s + 0.008, "{line}");
        assert!(seen.cpu_s - told.cpu_s() <= 0.05 * told.cpu_s() + 0.1, "{line}");
        assert!(told.wall_s <= seen.wall_s, "{line}");
        assert!(told.minor_faults <= seen.faults, "{line}");
        // The kernel's counters of resident memory lag behind by some pages for each processor.
        let (low, high) = (told.rss_peak_kib * 95 / 100, told.rss_peak_kib * 105 / 100 + 1_024);
        assert!((low..=high).contains(&seen.peak_kib), "{line}");
    }
}
