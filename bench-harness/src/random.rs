//! Seeded pseudo-random numbers for workloads and for the bootstrap.
//!
//! A workload must do the same work in every run and under every allocator, so its randomness comes
//! from here and never from the system. Small and fast on purpose: a number costs about a
//! nanosecond, which keeps the generator out of the measurement. Not for anything that must not be
//! guessed.

/// A generator with 64 bits of state: a Weyl sequence whose steps are mixed by a folded
/// multiplication.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

/// Added at every step; odd, so that the sequence visits every state.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Multiplied with the state; any odd number with well-spread bits serves.
const MIX: u64 = 0xd6e8_feb8_6659_fd93;

impl Random {
    /// A generator that always gives the same numbers for the same `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Self { state: seed ^ MIX };
        random.next();
        random
    }

    /// A generator for part `index` of the same workload, independent of the others.
    pub fn stream(seed: u64, index: usize) -> Self {
        let mut mixer = Self::new(seed.wrapping_add((index as u64 + 1).wrapping_mul(MIX)));
        Self::new(mixer.next())
    }

    /// The next 64 bits. Not an iterator: one that never ends would only add an `Option`.
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let wide = u128::from(self.state) * u128::from(self.state ^ MIX);
        (wide as u64) ^ ((wide >> 64) as u64)
    }

    /// A number in `0..bound`; `bound` must not be zero. The bias is below `bound / 2^32`.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0 && bound <= u32::MAX as usize);
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// A number in `low..=high`.
    #[inline]
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number in `low..=high` whose logarithm is evenly spread: as many between 1 and 2 as
    /// between 1,024 and 2,048. Both bounds are powers of two.
    #[inline]
    pub fn log_between(&mut self, low: usize, high: usize) -> usize {
        debug_assert!(low.is_power_of_two() && high.is_power_of_two() && low < high);
        let doublings = (high / low).trailing_zeros() as usize;
        let start = low << self.below(doublings);
        self.between(start, 2 * start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_numbers_and_streams_differ() {
        let draw = |mut random: Random| (0..64).map(|_| random.next()).collect::<Vec<_>>();
        assert_eq!(draw(Random::new(7)), draw(Random::new(7)));
        assert_ne!(draw(Random::new(7)), draw(Random::new(8)));
        assert_ne!(draw(Random::stream(7, 0)), draw(Random::stream(7, 1)));
    }

    #[test]
    fn below_is_in_range_and_evenly_spread() {
        let mut random = Random::new(1);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10)] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
    }

    #[test]
    fn log_between_keeps_its_bounds_and_favours_no_doubling() {
        let mut random = Random::new(2);
        let mut doublings = [0_u32; 7];
        for _ in 0..70_000 {
            let value = random.log_between(64, 8192);
            assert!((64..=8192).contains(&value));
            doublings[(value / 64).ilog2().min(6) as usize] += 1;
        }
        assert!(doublings.iter().all(|&n| (9_300..10_700).contains(&n)), "{doublings:?}");
    }
}
