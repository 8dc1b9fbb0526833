//! The loads, a file each, and the mix of blocks that most of them are made of.

pub mod fork;
pub mod huge;
pub mod memory_high;
mod mix;
pub mod mixed;
pub mod steady;
pub mod storm;
pub mod threads;
pub mod trim;

use mix::Mix;

/// Steps of a mix between two looks at the clock.
const STEPS: usize = 64;
