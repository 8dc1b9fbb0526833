//! A churn of huge blocks, 20 GiB of addresses, of which next to nothing is ever touched: what
//! databases, sparse tables and language runtimes reserve. Taking and giving back addresses is what
//! costs; do the small calls beside it wait?

use super::super::caller::{Caller, Held};
use super::super::{Context, Load, on_threads};
use super::{Mix, STEPS};
use crate::random::Random;

pub const LOAD: Load = Load {
    name: "huge",
    title: "20 GiB of huge blocks, hardly touched",
    does: "All threads together hold blocks of 64 MiB to 2 GiB, up to 20 GiB; after every 64 steps of \
           the steady mix with a set of 10,000, each thread frees blocks at random until there is \
           room for a new one, and writes to one page in every 64 MiB of it.",
    run: |context: &Context| {
        let room = HELD / context.threads;
        Ok(on_threads(
            context.workers()?,
            |index| {
                let mix = Mix::new(context.seed, index, BLOCKS);
                (mix, Huge::new(Random::stream(context.seed + 1, index), room))
            },
            |caller, (mut mix, mut huge)| {
                let end = context.end();
                while !end.passed() {
                    mix.steps(caller, STEPS);
                    huge.replace(caller);
                }
            },
        ))
    },
};

/// Bytes of huge blocks that are held at most.
const HELD: usize = 20 << 30;
/// Blocks of a thread's set of small ones.
const BLOCKS: usize = 10_000;
/// The smallest of the huge blocks; also the bytes with one page that is written to.
const LEAST: usize = 64 << 20;
/// The largest of them, or what a thread's room has of it.
const MOST: usize = 2 << 30;

/// A thread's huge blocks.
struct Huge {
    random: Random,
    held: Vec<Held>,
    bytes: usize,
    room: usize,
}

impl Huge {
    fn new(random: Random, room: usize) -> Self {
        Self { random, held: Vec::with_capacity(room / LEAST + 1), bytes: 0, room }
    }

    fn replace(&mut self, caller: &mut Caller) {
        let size = self.random.log_between(LEAST, MOST).min(self.room);
        while self.bytes + size > self.room && !self.held.is_empty() {
            let place = self.random.below(self.held.len());
            let old = self.held.swap_remove(place);
            self.bytes -= old.size();
            caller.free(old);
        }
        if let Some(mut held) = caller.malloc(size) {
            caller.touch(&mut held, LEAST);
            self.bytes += size;
            self.held.push(held);
        }
    }
}
