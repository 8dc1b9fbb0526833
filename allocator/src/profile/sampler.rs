//! When the next sample is due, and what a sample stands for.
//!
//! Samples are a Poisson process over the bytes that a thread allocates: the distance between two
//! is drawn from the exponential distribution with mean `sample_interval`. A block of `s` bytes is
//! so sampled with the chance `p = 1 - exp(-s / interval)`; it stands for `1 / p` blocks and
//! `s / p` bytes, which makes the sums unbiased.

use crate::parameters::{self, Id, NEVER};

/// Thousandths: the unit of counts, as a sampled block stands for a fraction of a block too.
pub const COUNT_UNIT: usize = 1_000;

/// Bytes after which a thread looks again whether samples are wanted.
const OFF_INTERVAL: isize = 16 << 20;

/// Whether samples are wanted now.
pub fn is_wanted() -> bool {
    parameters::get(Id::SampleInterval) != NEVER
}

/// Bytes until the next sample, drawn with the generator whose state is `random`.
pub fn draw(random: &mut u64) -> isize {
    distance(parameters::get(Id::SampleInterval), random)
}

/// Bytes until the next event of which there is one per `interval` bytes on the mean.
pub fn distance(interval: usize, random: &mut u64) -> isize {
    if interval == NEVER {
        return OFF_INTERVAL;
    }
    // Xorshift: fast, and good enough for distances. The state is never 0.
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    // 53 bits, moved into (0, 1]. Rounded up: so a block of `s` bytes has the last of them with the
    // chance 1 - exp(-s / interval), and not with that of a block one byte longer.
    let uniform = ((*random >> 11) + 1) as f64 / (1u64 << 53) as f64;
    libm::ceil(-libm::log(uniform) * interval as f64) as isize
}

/// The chance that a block of `bytes` bytes is sampled.
fn chance(bytes: usize, interval: usize) -> f64 {
    -libm::expm1(-(bytes.max(1) as f64) / interval as f64)
}

/// Whether a sampled block that shrinks from `old` to `new` bytes stays a sampled one. So a block
/// has at any time the chance of its size, as if it had always had it.
pub fn stays_sampled(old: usize, new: usize, random: usize) -> bool {
    let interval = parameters::get(Id::SampleInterval);
    if interval == NEVER {
        return true;
    }
    let uniform = (random >> 11) as f64 / (1u64 << 53) as f64;
    uniform < chance(new, interval) / chance(old, interval)
}

/// What a sampled block of `size` bytes stands for, in thousandths of a block.
pub fn weight(size: usize) -> usize {
    let interval = parameters::get(Id::SampleInterval);
    if interval == NEVER {
        return COUNT_UNIT;
    }
    (COUNT_UNIT as f64 / chance(size, interval) + 0.5) as usize
}
