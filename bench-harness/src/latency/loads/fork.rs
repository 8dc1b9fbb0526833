//! A fork every second: a service that starts helpers, or saves itself as redis does. The
//! allocator's locks are taken around the fork, and while the child has the pages, each first write
//! copies one.

use super::super::caller::Caller;
use super::super::recorder::Operation;
use super::super::{Context, Load, on_threads};
use super::{Mix, STEPS};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub const LOAD: Load = Load {
    name: "fork",
    title: "A fork every second",
    does: "The steady mix with a set of 100,000, while another thread forks after a quarter of a \
           second and then every second. The child ends at once.",
    run: |context: &Context| {
        let mut callers = context.callers(context.threads + 1)?;
        let mut forker = callers.pop().expect("there is one at least");
        // Relaxed: the number is all that is exchanged; results are handed over by joining.
        let working = AtomicUsize::new(callers.len());
        let working = &working;
        let first = FIRST.min(context.time / 4);
        thread::scope(|scope| {
            let forking = scope.spawn(move || -> io::Result<Caller> {
                let begin = Instant::now();
                for time in 0.. {
                    let moment = begin + first + EVERY * time;
                    while Instant::now() < moment && working.load(Relaxed) > 0 {
                        thread::sleep(LOOK.min(first));
                    }
                    if working.load(Relaxed) == 0 {
                        break;
                    }
                    let child = forker.recorder.time(Operation::Fork, fork);
                    wait_for(child)?;
                }
                Ok(forker)
            });
            let mut callers = on_threads(
                callers,
                |index| Mix::new(context.seed, index, BLOCKS),
                |caller, mut mix| {
                    let end = context.end();
                    while !end.passed() {
                        mix.steps(caller, STEPS);
                    }
                    working.fetch_sub(1, Relaxed);
                },
            );
            callers.push(forking.join().expect("it does not panic")?);
            Ok(callers)
        })
    },
};

/// When the first fork is.
const FIRST: Duration = Duration::from_millis(250);
/// Time from one fork to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Time between looks whether anybody still works.
const LOOK: Duration = Duration::from_millis(20);
/// Blocks of a thread's set.
const BLOCKS: usize = 100_000;

/// The child's number; in the child it does not return.
fn fork() -> libc::pid_t {
    // SAFETY: the child calls nothing but `_exit`, which is allowed whatever other threads held.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        child
    }
}

/// Waits until the child has ended.
fn wait_for(child: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the pointer is valid for writing, and the child is this process's.
    if child < 0 || unsafe { libc::waitpid(child, &mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
