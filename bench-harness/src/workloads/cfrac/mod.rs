//! Cfrac: a number is factored by its continued fraction, in numbers of a few dozen digits.
//!
//! Computer algebra, cryptography and interpreters with big integers: every intermediate result is
//! a small block that dies a few operations later, in about the order of its making. The expansion
//! of the square root gives one smooth candidate after the other; those that factor over small
//! primes are kept. The algorithm is Morrison's and Brillhart's (1975); as a test of allocators it
//! goes back to Zorn and Grunwald (1992). One operation is one step of the expansion.

mod number;

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use number::Number;

pub(super) const WORKLOAD: Workload = Workload {
    name: "cfrac",
    stands_for: "computer algebra: big-integer temporaries of 8 to 48 bytes that die at once",
    origin: "Morrison and Brillhart 1975; cfrac of Zorn and Grunwald's collection, 1992",
    unit: "steps",
    threaded: false,
    prepare,
};

/// Steps of a full run.
const STEPS: usize = 400_000;
/// Steps after which another number's turn comes.
const TURN: usize = 5_000;
/// Limbs of 32 bits in the numbers to be factored.
const LIMBS: usize = 5;
/// Primes that are tried.
const PRIMES: [u32; 32] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131,
];

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(STEPS);
    Box::new(move || {
        let (mut steps, mut checksum) = (0, 0_u64);
        while steps < goal {
            let limbs: Vec<u32> = (0..LIMBS).map(|_| random.next() as u32 | 1).collect();
            let turn = TURN.min(goal - steps);
            checksum = checksum.wrapping_mul(31).wrapping_add(expand(Number::new(limbs), turn));
            steps += turn;
        }
        Outcome { operations: steps as u64, checksum }
    })
}

/// Expands the square root of `number` by so many steps; returns a sum over all that was found.
fn expand(number: Number, steps: usize) -> u64 {
    let root = number.root();
    let mut kept: Vec<(Number, Number)> = Vec::new();
    // The complete quotients are (root of the number + p) / q; a is their whole part.
    let (mut p, mut q, mut a) = (Number::small(0), Number::small(1), root.clone());
    // Numerators of the convergents, modulo the number.
    let (mut older, mut newer) = (Number::small(1), root.divide(&number).1);
    let mut sum = 0_u64;
    for _ in 0..steps {
        p = a.times(&q).minus(&p);
        q = number.minus(&p.times(&p)).divide(&q).0;
        if q.is_zero() {
            break;
        }
        a = root.plus(&p).divide(&q).0;
        if let Some(rest) = smooth(&q) {
            kept.push((newer.clone(), rest));
        }
        let next = a.times(&newer).plus(&older).divide(&number).1;
        older = newer;
        newer = next;
        sum = sum.wrapping_mul(3).wrapping_add(newer.lowest());
    }
    kept.iter().fold(sum, |sum, (numerator, rest)| {
        sum.wrapping_add(numerator.lowest()).wrapping_add(rest.lowest() << 32)
    })
}

/// What is left of `candidate` after division by the small primes, if that is small.
fn smooth(candidate: &Number) -> Option<Number> {
    let mut rest = candidate.clone();
    for prime in PRIMES {
        loop {
            let (quotient, remainder) = rest.divide_small(prime);
            if remainder != 0 || quotient.is_zero() {
                break;
            }
            rest = quotient;
        }
    }
    rest.fits_a_limb().then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convergents_solve_the_equation_of_the_method() {
        // Each numerator squared is, modulo the number, plus or minus the q that belongs to it.
        let number = Number::new(vec![1_000_003 * 7, 12_345]);
        let root = number.root();
        let (mut p, mut q, mut a) = (Number::small(0), Number::small(1), root.clone());
        let (mut older, mut newer) = (Number::small(1), root.clone());
        for step in 0..20 {
            p = a.times(&q).minus(&p);
            q = number.minus(&p.times(&p)).divide(&q).0;
            a = root.plus(&p).divide(&q).0;
            let square = newer.times(&newer).divide(&number).1;
            let expected = if step % 2 == 0 { number.minus(&q) } else { q.clone() };
            assert_eq!(square, expected, "step {step}");
            let next = a.times(&newer).plus(&older).divide(&number).1;
            (older, newer) = (newer, next);
        }
    }

    #[test]
    fn smooth_numbers_lose_their_small_factors() {
        let number = Number::small(2 * 2 * 3 * 131 * 7).times(&Number::small(1_000_003));
        assert_eq!(smooth(&number), Some(Number::small(1_000_003)));
        let large = Number::new(vec![0x8000_0001, 0x1234_5677, 0x1_0001]);
        let kept = smooth(&large);
        assert!(kept.is_none_or(|rest| rest.fits_a_limb()));
    }
}
