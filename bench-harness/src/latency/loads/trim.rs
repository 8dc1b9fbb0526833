//! A neighbour that trims: some part of the program asks the allocator every 100 ms to give back
//! what is free, while the others work. A heap that is locked for as long makes all of them wait;
//! and what was given back has to be had again.

use super::super::recorder::Operation;
use super::super::{Context, Load, on_threads};
use super::Mix;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub const LOAD: Load = Load {
    name: "trim",
    title: "A neighbour thread trims every 100 ms",
    does: "The steady mix with a set of 100,000, of which every thread frees a quarter at once and \
           allocates it again after every 16,384 steps. Another thread gives free memory back every \
           100 ms, by malloc_trim or by the allocator's own call.",
    run: |context: &Context| {
        let mut callers = context.callers(context.threads + 1)?;
        let mut neighbour = callers.pop().expect("there is one at least");
        // Relaxed: the number is all that is exchanged; results are handed over by joining.
        let working = AtomicUsize::new(callers.len());
        let working = &working;
        let callers = thread::scope(|scope| {
            let trimmer = scope.spawn(move || {
                let begin = Instant::now();
                for time in 1.. {
                    thread::sleep((begin + EVERY * time).saturating_duration_since(Instant::now()));
                    if working.load(Relaxed) == 0 {
                        break;
                    }
                    neighbour.recorder.time(Operation::Trim, || context.trim.call());
                }
                neighbour
            });
            let mut callers = on_threads(
                callers,
                |index| Mix::new(context.seed, index, BLOCKS),
                |caller, mut mix| {
                    mix.work_and_renew(caller, context.end(), RENEWED);
                    working.fetch_sub(1, Relaxed);
                },
            );
            callers.push(trimmer.join().expect("it does not panic"));
            callers
        });
        Ok(callers)
    },
};

/// Time from one trim to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Blocks of a thread's set.
const BLOCKS: usize = 100_000;
/// Part of the set that is renewed at once.
const RENEWED: f64 = 0.25;
