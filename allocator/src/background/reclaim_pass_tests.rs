//! What it costs to give back what threads, classes and lists hold, in steps (`base::steps`):
//! linear in all, bounded for a part, which is what a call of the program's does of others' work,
//! and bounded while a lock is held.

use super::reclaim_pass::{Goal, Pass};
use crate::base::steps::{self, Steps};
use crate::central::CENTRAL;
use crate::os::thread_slot;
use crate::thread_cache::park::{self, Parking};
use crate::thread_cache::sleepers::{end, sleepers};
use crate::thread_cache::{enter, flush, walk};
use std::process::Command;
use std::string::String;
use std::vec::Vec;

/// Steps in a part, at most.
const MOST_IN_A_PART: usize = 64;
/// The same while a lock is held once.
const MOST_IN_A_HOLD: usize = 64;
/// System calls in a part, at most: two for each of three threads and a barrier; or some small ones
/// for pages in spans.
const MOST_CALLS: usize = 24;
/// Threads of the smallest number, which is doubled three times.
const THREADS: [usize; 4] = [25, 50, 100, 200];

/// Runs `test` in a process in which no other test runs: a part may come across what the threads of
/// others have cached, which is more.
fn alone<T: FnOnce()>(test: T) {
    const MARK: &str = "ALONE_IN_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return test();
    }
    let path = std::any::type_name::<T>();
    let name = path.trim_start_matches("stratalloc::").trim_end_matches("::{{closure}}");
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    std::println!("{text}{errors}");
    assert!(output.status.success() && text.contains("1 passed"), "{name}");
}

/// The steps of `take_part`, which says whether anything is left, until nothing is: each part is
/// bounded.
fn steps_of(mut take_part: impl FnMut() -> bool) -> Steps {
    let mut all = Steps::default();
    loop {
        steps::take();
        let is_left = take_part();
        let part = steps::take();
        assert!(part.all <= MOST_IN_A_PART, "{part:?} in a part");
        assert!(part.most_in_a_hold <= MOST_IN_A_HOLD, "{part:?}");
        assert!(part.calls <= MOST_CALLS, "{part:?}");
        all.all += part.all;
        all.calls += part.calls;
        all.calls_in_holds += part.calls_in_holds;
        if !is_left {
            return all;
        }
    }
}

/// Panics unless the steps are some for each thread, however many there are. The harness has
/// threads, too.
fn assert_linear(name: &str, per_thread: usize, steps: &[usize]) {
    std::println!("{name}: {steps:?} steps with {THREADS:?} threads");
    for (&steps, threads) in steps.iter().zip(THREADS) {
        let most = per_thread * (threads + 100);
        assert!(steps >= threads && steps <= most, "{name}: {steps} steps, {most} at most");
    }
}

#[test]
fn parking_all_caches_is_linear_and_no_part_of_it_long() {
    alone(|| {
        let mut all = Vec::new();
        for count in THREADS {
            let sleepers = sleepers(count);
            let mut parking = Parking::of_others();
            let steps = steps_of(|| parking.take_part());
            assert_eq!(steps.calls_in_holds, 0, "the kernel is asked without a lock");
            all.push(steps.all);
            end(sleepers);
        }
        assert_linear("parking", 200, &all);
    });
}

#[test]
fn going_through_all_tiers_is_linear_and_no_part_of_it_long() {
    alone(|| {
        let mut all = Vec::new();
        for count in THREADS {
            let sleepers = sleepers(count);
            let mut pass = Pass::new(Goal::Everything);
            let steps = steps_of(|| {
                pass.take_part();
                !pass.is_over()
            });
            all.push(steps.all);
            end(sleepers);
        }
        assert_linear("all tiers", 1_000, &all);
    });
}

/// What `fork` does to each thread where pages are spared: the kernel is asked under no lock.
#[test]
fn stopping_all_threads_is_linear_and_asks_the_kernel_without_a_lock() {
    alone(|| {
        let mut all = Vec::new();
        for count in THREADS {
            let sleepers = sleepers(count);
            steps::take();
            park::stop_all();
            let steps = steps::take();
            assert_eq!(steps.calls_in_holds, 0, "{steps:?}");
            assert!(steps.most_in_a_hold <= MOST_IN_A_HOLD, "{steps:?}");
            all.push(steps.all);
            end(sleepers);
        }
        assert_linear("stopping", 4, &all);
    });
}

/// The figures of all threads are summed up, and the sleepers looked for, without keeping threads
/// from being born.
#[test]
fn looking_at_all_caches_holds_the_lock_for_a_few_at_a_time() {
    alone(|| {
        let mut all = Vec::new();
        for count in THREADS {
            let sleepers = sleepers(count);
            steps::take();
            let mut seen = 0;
            walk::for_each(|_| seen += 1);
            let visits = steps::take();
            park::park_sleepers(u32::MAX - 2);
            let look = steps::take();
            assert!(seen >= count);
            for steps in [visits, look] {
                assert!(steps.most_in_a_hold <= MOST_IN_A_HOLD, "{steps:?}");
            }
            all.push(visits.all + look.all);
            end(sleepers);
        }
        assert_linear("looking", 40, &all);
    });
}

/// A thread's birth costs the same whoever else lives; emptying its cache costs what it has cached.
#[test]
fn births_and_ends_do_not_depend_on_other_threads() {
    alone(|| {
        for count in THREADS {
            let sleepers = sleepers(count);
            let (birth, flush) = std::thread::spawn(|| {
                steps::take();
                assert!(enter::enter().is_some() && !thread_slot::own().is_null());
                let birth = steps::take();
                flush::flush_own();
                (birth, steps::take())
            })
            .join()
            .unwrap();
            assert!(birth.all <= 16, "{birth:?} with {count} threads");
            assert!(flush.all <= 160 && flush.most_in_a_hold <= MOST_IN_A_HOLD, "{flush:?}");
            end(sleepers);
        }
    });
}

/// Whatever waits in the transfer caches: a part takes a few magazines.
#[test]
fn draining_the_transfer_caches_takes_short_parts() {
    alone(|| {
        for count in THREADS {
            end(sleepers(count));
            let mut next = 0;
            steps_of(|| CENTRAL.drain_a_part(&mut next));
        }
    });
}
