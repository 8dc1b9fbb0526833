//! Every call of the operating system fails once: for each of the workloads, one run with the first
//! call failing, one with the second, and so on up to the last; and the same with all later calls
//! failing too.
//!
//! Each run is a process of its own, forked from this one, so that every heap is fresh. It checks
//! that no block changed or got lost, that afterwards every tier is sound, usable and, when all is
//! freed, empty. A run that ends by a signal, hangs or says what is wrong fails the test with its
//! numbers; then `faults WORKLOAD FIRST LAST` repeats that one run.
//!
//! Not under the usual harness: `fork` needs a process with one thread.

mod blocks;
mod workloads;

use blocks::Blocks;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use stratalloc::internal::faults::{KINDS, arm, disarm, tally};
use stratalloc::internal::front;
use stratalloc::{MallocExtension, Stats};
use workloads::{WORKLOADS, Workload};

/// Seconds after which a run counts as hanging: on a lock that somebody kept, most likely.
const HANGING: u32 = 60;
/// No call fails.
const NONE: usize = usize::MAX;

/// What a run says about itself: calls, and calls of every kind with how many of them failed.
#[derive(Default)]
struct Tally {
    calls: usize,
    kinds: [(usize, usize); KINDS.len()],
}

/// The body of a run, in a process of its own: the workload under failing calls, then everything
/// else.
fn live(workload: &Workload, first: usize, last: usize) -> Tally {
    let mut blocks = Blocks::new();
    arm(first, last);
    (workload.run)(&mut blocks);
    let calls = disarm();
    let told = Tally { calls, kinds: KINDS.map(|(kind, _)| tally(kind)) };

    blocks.check_all();
    assert!(MallocExtension::verify_all_memory(), "a tier is not sound");
    workloads::use_every_tier();
    blocks.check_all();
    blocks.free_all();
    MallocExtension::release_free_memory();
    let now = settled();
    assert_eq!((now.in_use, now.in_use_count, now.direct_mapped), (0, 0, 0), "{now:?}");
    let sum = now.thread_cache_free
        + now.transfer_cache_free
        + now.central_free
        + now.span_tails
        + now.page_heap_free
        + now.page_heap_released;
    assert_eq!(now.mapped, sum, "{now:?}");
    assert!(MallocExtension::verify_all_memory(), "a tier is not sound at the end");
    front::verify_at_exit();
    told
}

/// The figures once nothing is in use any more: what the background thread has in its hands counts
/// as in use for that moment. What is lost is so for ever.
fn settled() -> Stats {
    let start = Instant::now();
    loop {
        let now = MallocExtension::stats();
        if now.in_use == 0 || start.elapsed() > Duration::from_secs(5) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Forks a run and waits for it. An error says how it ended.
fn run(workload: &Workload, first: usize, last: usize) -> Result<Tally, String> {
    let mut ends = [0; 2];
    // SAFETY: a valid target; the ends are closed by their owners below.
    let (mut reader, writer) = unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        (std::fs::File::from(OwnedFd::from_raw_fd(ends[0])), OwnedFd::from_raw_fd(ends[1]))
    };
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: the default action of the alarm ends this process.
        unsafe { libc::alarm(HANGING) };
        let told = live(workload, first, last);
        let mut text = told.calls.to_string();
        for (all, failed) in told.kinds {
            text.push_str(&format!(" {all} {failed}"));
        }
        let sent = std::fs::File::from(writer).write_all(text.as_bytes()).is_ok();
        // SAFETY: ends the run without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!sent)) };
    }
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("reading a pipe");
    let mut status = 0;
    // SAFETY: a valid target.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if !libc::WIFEXITED(status) {
        return Err(format!("ended by signal {}", libc::WTERMSIG(status)));
    }
    if libc::WEXITSTATUS(status) != 0 {
        return Err(format!("ended with status {}", libc::WEXITSTATUS(status)));
    }
    let mut numbers = text.split(' ').map(|word| word.parse().expect("a number"));
    let mut next = || numbers.next().expect("a tally");
    Ok(Tally { calls: next(), kinds: KINDS.map(|_| (next(), next())) })
}

/// Lets every call of a workload fail; `once` or with all that follow. Returns how many runs there
/// were.
fn try_all(workload: &Workload, once: bool, failures: &mut Vec<String>) -> usize {
    let mut failed = [0; KINDS.len()];
    let mut first = 1;
    loop {
        let last = if once { first } else { NONE };
        match run(workload, first, last) {
            Ok(told) => {
                for (sum, (_, here)) in failed.iter_mut().zip(told.kinds) {
                    *sum += here;
                }
                // A few more than were seen: threads do not make the same calls each time.
                if told.kinds.iter().all(|&(_, failed)| failed == 0) {
                    break;
                }
            }
            Err(how) => failures.push(format!("faults {} {first} {last}: {how}", workload.name)),
        }
        first += 1;
        if failures.len() > 5 {
            break;
        }
    }
    let mode = if once { "each once" } else { "each and all after it" };
    let kinds: Vec<String> = KINDS
        .iter()
        .zip(failed)
        .filter(|&(_, sum)| sum > 0)
        .map(|((_, name), sum)| format!("{sum} {name}"))
        .collect();
    println!("{}, {mode}: {} runs; failed: {}", workload.name, first - 1, kinds.join(", "));
    first - 1
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let [name, first, last] = &arguments[..] {
        let workload = WORKLOADS.iter().find(|w| w.name == name).expect("a workload's name");
        live(workload, first.parse().expect("a number"), last.parse().expect("a number"));
        return;
    }
    let mut failures = Vec::new();
    for workload in &WORKLOADS {
        let start = Instant::now();
        let whole = run(workload, NONE, NONE).expect("a run without failing calls");
        println!("{}: {} calls", workload.name, whole.calls);
        for (kind, name) in workload.makes.iter().map(|&kind| KINDS[kind as usize]) {
            assert!(whole.kinds[kind as usize].0 > 0, "{} makes no {name}", workload.name);
        }
        for once in [true, false] {
            let runs = try_all(workload, once, &mut failures);
            assert!(!failures.is_empty() || runs > 10, "{}: {runs} runs", workload.name);
        }
        println!("{}: {:.1} s", workload.name, start.elapsed().as_secs_f64());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
