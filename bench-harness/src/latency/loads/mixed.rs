//! Large and small blocks mixed: a program that handles buffers or images beside its small objects.
//! Large blocks come from structures that threads share; do the small ones wait for them?

use super::super::caller::{Caller, Held};
use super::super::{Context, Load, on_threads};
use super::{Mix, STEPS};
use crate::random::Random;

pub const LOAD: Load = Load {
    name: "mixed",
    title: "Large and small blocks mixed",
    does: "The steady mix with a set of 10,000; after every 64 steps, each thread replaces one of 16 \
           blocks of 32 KiB to 4 MiB, and writes to one page in every 64 KiB of the new one.",
    run: |context: &Context| {
        Ok(on_threads(
            context.workers()?,
            |index| {
                let mix = Mix::new(context.seed, index, BLOCKS);
                (mix, Buffers::new(Random::stream(context.seed + 1, index)))
            },
            |caller, (mut mix, mut buffers)| {
                let end = context.end();
                while !end.passed() {
                    mix.steps(caller, STEPS);
                    buffers.replace(caller);
                }
            },
        ))
    },
};

/// Blocks of a thread's set of small ones.
const BLOCKS: usize = 10_000;
/// Large blocks of a thread.
const LARGE_BLOCKS: usize = 16;
/// Bytes of a large block with one page that is written to.
const STRIDE: usize = 64 << 10;

/// A thread's large blocks.
struct Buffers {
    random: Random,
    held: [Option<Held>; LARGE_BLOCKS],
}

impl Buffers {
    fn new(random: Random) -> Self {
        Self { random, held: [const { None }; LARGE_BLOCKS] }
    }

    fn replace(&mut self, caller: &mut Caller) {
        let place = self.random.below(LARGE_BLOCKS);
        if let Some(old) = self.held[place].take() {
            caller.free(old);
        }
        self.held[place] = caller.malloc(self.random.log_between(32 << 10, 4 << 20));
        if let Some(held) = &mut self.held[place] {
            caller.touch(held, STRIDE);
        }
    }
}
