//! Espresso: a logic function is counted out by taking its cover apart.
//!
//! Logic synthesis, query optimisers, solvers: recursion over sets of small sets. A cover is a list
//! of cubes; fixing one variable gives two smaller covers, made anew and dropped on the way back
//! up. Most blocks are tiny and short-lived, the lists between them are not so tiny. The method is
//! the unate-recursive paradigm of Espresso (Brayton and others, 1984), which has measured
//! allocators since Zorn and Grunwald (1992). One operation is one cube made.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "espresso",
    stands_for: "logic synthesis and solvers: recursion over sets of small sets",
    origin: "Brayton and others 1984; espresso of Zorn and Grunwald's collection, 1992",
    unit: "cubes",
    threaded: false,
    prepare,
};

/// Cubes of a full run.
const CUBES: usize = 14_000_000;
/// Variables of a function.
const VARIABLES: u32 = 24;
/// Cubes of a cover.
const COVER: usize = 60;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(CUBES) as u64;
    Box::new(move || {
        let (mut made, mut checksum) = (0, 0_u64);
        while made < goal {
            let cover = cover(&mut random);
            let points = count(&cover, VARIABLES, &mut made);
            checksum = checksum.wrapping_mul(31).wrapping_add(points);
        }
        Outcome { operations: made, checksum }
    })
}

/// A product of literals: which variables must be true, and which false. In a box of its own, as a
/// program has it whose sets may be of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cube {
    literals: Box<[u32]>,
}

impl Cube {
    fn new(yes: u32, no: u32) -> Self {
        Self { literals: Box::new([yes, no]) }
    }

    fn yes(&self) -> u32 {
        self.literals[0]
    }

    fn no(&self) -> u32 {
        self.literals[1]
    }
}

/// A random function: cubes of 3 to 7 literals.
fn cover(random: &mut Random) -> Vec<Cube> {
    let cube = |random: &mut Random| {
        let (mut yes, mut no) = (0, 0);
        for _ in 0..random.between(3, 7) {
            let variable = 1 << random.below(VARIABLES as usize);
            if (yes | no) & variable == 0 {
                *if random.below(2) == 0 { &mut yes } else { &mut no } |= variable;
            }
        }
        Cube::new(yes, no)
    };
    (0..COVER).map(|_| cube(random)).collect()
}

/// Points at which the cover is true, out of two to the power of `free`, the number of variables
/// that are not fixed yet.
fn count(cover: &[Cube], free: u32, made: &mut u64) -> u64 {
    if cover.is_empty() {
        return 0;
    }
    if cover.iter().any(|cube| cube.yes() | cube.no() == 0) {
        return 1 << free;
    }
    if let [cube] = cover {
        return 1 << (free - (cube.yes() | cube.no()).count_ones());
    }
    let variable = 1 << busiest(cover);
    let mut half = |value| {
        let half = cofactor(cover, variable, value);
        *made += half.len() as u64;
        count(&half, free - 1, made)
    };
    half(true) + half(false)
}

/// The variable that most cubes name.
fn busiest(cover: &[Cube]) -> u32 {
    let mut counts = [0_u32; VARIABLES as usize];
    for cube in cover {
        let mut named = cube.yes() | cube.no();
        while named != 0 {
            counts[named.trailing_zeros() as usize] += 1;
            named &= named - 1;
        }
    }
    (0..VARIABLES).max_by_key(|&variable| counts[variable as usize]).unwrap_or(0)
}

/// The cover where `variable` has this value, without cubes that say no more than another before.
fn cofactor(cover: &[Cube], variable: u32, value: bool) -> Vec<Cube> {
    let mut half: Vec<Cube> = Vec::new();
    for cube in cover {
        let against = if value { cube.no() } else { cube.yes() };
        if against & variable != 0 {
            continue;
        }
        let cube = Cube::new(cube.yes() & !variable, cube.no() & !variable);
        let contains =
            |other: &Cube| other.yes() & !cube.yes() == 0 && other.no() & !cube.no() == 0;
        if !half.iter().any(contains) {
            half.push(cube);
        }
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_many_points_as_there_are() {
        let mut random = Random::new(13);
        for _ in 0..3 {
            // The cubes are restricted to 12 variables, so that all points can be tried.
            let low = (1 << 12) - 1;
            let cover: Vec<_> = cover(&mut random)
                .iter()
                .map(|cube| Cube::new(cube.yes() & low, cube.no() & low))
                .filter(|cube| (cube.yes() | cube.no()).count_ones() > 2)
                .collect();
            let holds = |point: u32| {
                cover.iter().any(|cube| point & cube.yes() == cube.yes() && point & cube.no() == 0)
            };
            let expected = (0..=low).filter(|&point| holds(point)).count() as u64;
            let mut made = 0;
            assert_eq!(count(&cover, 12, &mut made), expected);
            assert!(made > 10);
        }
    }
}
