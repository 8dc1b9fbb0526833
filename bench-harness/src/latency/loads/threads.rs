//! Threads that come and go: a thread for each connection. The first call of a thread makes its
//! cache, its end takes it apart, and both may want locks that all others need.

use super::super::caller::{Caller, Held};
use super::super::recorder::Operation;
use super::super::{Context, Load, on_threads};
use crate::random::Random;
use std::io;
use std::thread;

pub const LOAD: Load = Load {
    name: "threads",
    title: "10,000 threads come and go",
    does: "Threads in waves of 16, two waves at a time on two processors, until there were 10,000. \
           Each allocates 60 blocks of 16 to 1,024 bytes, frees them but for one, and leaves that to \
           the thread that started it.",
    run: |context: &Context| {
        let spawners = context.threads;
        let mut callers = context.callers(spawners * (1 + WAVE))?;
        let members = callers.split_off(spawners);
        let mut crews: Vec<Vec<Caller>> = Vec::new();
        let mut members = members.into_iter();
        crews.extend((0..spawners).map(|_| members.by_ref().take(WAVE).collect()));
        let crews: Vec<_> = crews.into_iter().map(std::sync::Mutex::new).collect();
        let crews = &crews;
        let mut done = on_threads(
            callers,
            |index| (Random::stream(context.seed, index), index),
            |caller, (mut random, index)| {
                let mut crew = crews[index].lock().expect("only this thread takes it");
                // The bound is for machines that are slow at making threads.
                let (begin, most) = (std::time::Instant::now(), context.time * SLOWEST);
                for _ in 0..THREADS / (WAVE * spawners) {
                    wave(caller, &mut crew, random.next());
                    if begin.elapsed() > most {
                        break;
                    }
                }
            },
        );
        for crew in crews {
            done.append(&mut crew.lock().expect("nobody panicked with it"));
        }
        Ok(done)
    },
};

/// All threads.
const THREADS: usize = 10_000;
/// Threads of a wave.
const WAVE: usize = 16;
/// The load may take so many times as long as others do.
const SLOWEST: u32 = 5;
/// Blocks that a thread allocates.
const BLOCKS: usize = 60;
/// Stack of a thread, which has little to do.
const STACK: usize = 64 << 10;

/// Starts a thread for each member of the crew, waits for all, and frees what they left.
fn wave(caller: &mut Caller, crew: &mut [Caller], seed: u64) {
    let start_all = || -> io::Result<Vec<Option<Held>>> {
        thread::scope(|scope| {
            let mut started = Vec::with_capacity(WAVE);
            for (index, member) in crew.iter_mut().enumerate() {
                let random = Random::stream(seed, index);
                let builder = thread::Builder::new().stack_size(STACK);
                started.push(builder.spawn_scoped(scope, move || live(member, random))?);
            }
            Ok(started.into_iter().map(|one| one.join().expect("it does not panic")).collect())
        })
    };
    // A thread that the system does not have ends the wave with fewer.
    let left = caller.recorder.time(Operation::Wave, start_all).unwrap_or_default();
    for held in left.into_iter().flatten() {
        caller.free(held);
    }
}

/// A thread's life: what it leaves behind.
fn live(caller: &mut Caller, mut random: Random) -> Option<Held> {
    let left = caller.malloc_as(Operation::MallocFirst, random.log_between(16, 1024));
    let mut held: [Option<Held>; BLOCKS] = [const { None }; BLOCKS];
    for place in &mut held {
        *place = caller.malloc(random.log_between(16, 1024));
    }
    for held in held.into_iter().flatten() {
        caller.free(held);
    }
    left
}
