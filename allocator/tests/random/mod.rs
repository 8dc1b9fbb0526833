//! Numbers for tests, without a library, which would allocate: xorshift.

#![allow(dead_code, reason = "each test uses a part of it")]

/// A sequence of numbers, by its state, which is not 0.
pub struct Random(pub u64);

impl Random {
    /// The sequence with this number.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
