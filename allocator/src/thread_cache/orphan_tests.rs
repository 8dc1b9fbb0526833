//! What `fork` and the caches that it leaves behind cost a child, in steps (`base::steps`).

use super::orphans;
use super::sleepers::{end, sleepers};
use crate::base::steps::{self, Steps};

/// Steps of a part of adopting, at most, and while a lock is held.
const MOST_IN_A_PART: usize = 64;

/// What a child counted: the steps of the `fork` handlers, of all parts of adopting, of the longest
/// of them, and the system calls of all.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Report {
    fork: usize,
    adopting: usize,
    longest: usize,
    calls: usize,
    parts: usize,
}

/// In the child. Nothing here allocates from the C library, whose locks other threads may have
/// held.
fn adopt_all(fork: Steps) -> Report {
    let mut report = Report { fork: fork.all, calls: fork.calls, ..Report::default() };
    while orphans::count() > 0 {
        steps::take();
        orphans::adopt_a_part();
        let part = steps::take();
        report.adopting += part.all;
        report.calls += part.calls;
        report.longest = report.longest.max(part.all).max(part.most_in_a_hold);
        report.parts += 1;
    }
    report
}

fn report_of_a_child() -> Report {
    let mut ends = [0; 2];
    let mut report = Report::default();
    let size = size_of::<Report>();
    // SAFETY: plain system calls with valid buffers. The child calls nothing but the allocator's
    // own functions, `write` and `_exit`. Any bytes are a `Report`.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        steps::take();
        let child = libc::fork();
        if child == 0 {
            let report = adopt_all(steps::take());
            libc::write(ends[1], (&raw const report).cast(), size);
            libc::_exit(0);
        }
        assert!(child > 0);
        libc::close(ends[1]);
        let read = libc::read(ends[0], (&raw mut report).cast(), size);
        assert_eq!(read, size as isize, "the child ended before it was done");
        libc::close(ends[0]);
        libc::waitpid(child, core::ptr::null_mut(), 0);
    }
    report
}

/// A `fork` costs a step or two for each thread, whatever it has cached. A child that goes on
/// allocating takes home what they had bit by bit.
#[test]
fn forking_is_linear_in_the_threads_and_adopting_their_caches_takes_short_parts() {
    for count in [25, 50, 100, 200] {
        let sleepers = sleepers(count);
        let report = report_of_a_child();
        std::println!("{count} threads: {report:?}");
        // Other tests have threads, too.
        assert!(report.fork >= count && report.fork <= 4 * (count + 100), "{report:?}");
        assert!(report.parts >= count, "{report:?}");
        assert!(report.longest <= MOST_IN_A_PART, "{report:?}");
        assert!(report.adopting <= 200 * (count + 100), "{report:?}");
        end(sleepers);
    }
}
