//! A steady small mix: a program in the middle of its work, with nothing special going on.

use super::super::{Context, Load, on_threads};
use super::{Mix, STEPS};

pub const LOAD: Load = Load {
    name: "steady",
    title: "Steady small mix",
    does: "Every thread replaces blocks of 16 to 1,024 bytes at random in a set of 20,000; one step \
           in 16 resizes a block, one new block in 16 is asked for with zeroes.",
    run: |context: &Context| {
        Ok(on_threads(
            context.workers()?,
            |index| Mix::new(context.seed, index, BLOCKS),
            |caller, mut mix| {
                let end = context.end();
                while !end.passed() {
                    mix.steps(caller, STEPS);
                }
            },
        ))
    },
};

/// Blocks of a thread's set.
const BLOCKS: usize = 20_000;
