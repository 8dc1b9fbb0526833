//! A set of small blocks that are replaced at random: what a program does all the time.

use super::super::Deadline;
use super::super::caller::{Caller, Held};
use super::STEPS;
use crate::random::Random;

/// One step in so many resizes the block instead of replacing it.
const RESIZED: usize = 16;
/// One new block in so many is asked for with zeroes.
const ZEROED: usize = 16;

/// The set.
pub struct Mix {
    held: Vec<Option<Held>>,
    random: Random,
}

/// Steps between two renewals.
const BETWEEN: usize = 16_384;

impl Mix {
    /// A set of so many blocks for thread `index`, made without being timed.
    pub fn new(seed: u64, index: usize, blocks: usize) -> Self {
        let mut random = Random::stream(seed, index);
        let mut held = Vec::with_capacity(blocks);
        held.extend((0..blocks).map(|_| Some(Held::untimed(size(&mut random)))));
        Self { held, random }
    }

    /// Replaces or resizes one block.
    #[inline]
    pub fn step(&mut self, caller: &mut Caller) {
        let place = self.random.below(self.held.len());
        let size = size(&mut self.random);
        let old = self.held[place].take();
        self.held[place] = match old {
            Some(old) if self.random.below(RESIZED) == 0 => Some(caller.realloc(old, size)),
            old => {
                if let Some(old) = old {
                    caller.free(old);
                }
                if self.random.below(ZEROED) == 0 {
                    caller.calloc(size)
                } else {
                    caller.malloc(size)
                }
            }
        };
    }

    /// As many of these steps.
    pub fn steps(&mut self, caller: &mut Caller, steps: usize) {
        for _ in 0..steps {
            self.step(caller);
        }
    }

    /// Works until `end`, and renews that part of the blocks after every [`BETWEEN`] steps.
    pub(super) fn work_and_renew(&mut self, caller: &mut Caller, end: Deadline, share: f64) {
        while !end.passed() {
            for _ in 0..BETWEEN / STEPS {
                self.steps(caller, STEPS);
                if end.passed() {
                    break;
                }
            }
            self.renew(caller, share);
        }
    }

    /// Frees that part of the blocks, and allocates as many again.
    pub fn renew(&mut self, caller: &mut Caller, share: f64) {
        let renewed = (self.held.len() as f64 * share) as usize;
        let first = self.random.below(self.held.len() - renewed + 1);
        let part = first..first + renewed;
        for old in self.held[part.clone()].iter_mut().filter_map(Option::take) {
            caller.free(old);
        }
        for place in part {
            self.held[place] = caller.malloc(size(&mut self.random));
        }
    }
}

/// 16 to 1,024 bytes, small ones more often.
#[inline]
fn size(random: &mut Random) -> usize {
    random.log_between(16, 1024)
}
