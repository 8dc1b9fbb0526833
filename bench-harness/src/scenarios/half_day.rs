//! Half a day (C1.6): a service through twelve hours, and its memory over its need.
//!
//! Two workers answer requests: each makes a few blocks that end with it and two that stay, of a
//! session, a cache entry or a queue. What is in use follows the load of the hour, and the sizes of
//! what stays are those of the hour; after four hours both begin anew. One block in 16 that ends is
//! left for the other worker to free (or for itself, if that comes first), one in 256 stays for
//! four hours, and workers are replaced each hour. The clock is that of the allocations: the
//! service answers 140 requests in a second of its day, and as fast as it can here. With `--scale
//! 100` it answers 14,000, and makes as many allocations as such a service makes in half a day.
//!
//! An hour is like the one four hours before, so memory over need may not rise from one round of
//! four to the next, whatever it is.

use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column};
use crate::block::Block;
use crate::random::Random;
use std::io;
use std::sync::{Mutex, PoisonError};

const CASE: &str = "two workers, up to 100 MiB";

pub const SCENARIO: Scenario = Scenario {
    name: "half-day",
    title: "Half a day of a service",
    does: "Two workers answer requests for twelve hours of a clock that the allocations drive; \
           load and sizes change by the hour and repeat after four. The curve is resident memory \
           over the bytes in use, hour by hour.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("in use at the end", Unit::Kib),
        column("hours 5 to 8", Unit::Ratio),
        column("hours 9 to 12", Unit::Ratio),
        column("worst hour", Unit::Ratio),
    ],
    chart: Chart::Curves { across: "hours", up: "× in use" },
    sleeps: 0.0,
    claims: &[Claim {
        clause: GOAL,
        says: "a service's memory over its need does not rise from the middle four hours of twelve \
               to the last four by more than a twentieth",
        tunings: &[],
        check: stays_flat,
    }],
    run,
};

/// The last hours' ratio over that of those before, at most. The first four find an empty heap.
const FLAT: f64 = 1.05;

fn stays_flat(figures: &Figures<'_>) -> Option<Finding> {
    let before = figures.get(CASE, "hours 5 to 8")?;
    let last = figures.get(CASE, "hours 9 to 12")?;
    let worst = figures.get(CASE, "worst hour")?;
    Some(Finding {
        holds: last <= FLAT * before,
        figures: format!(
            "{before:.2} resident bytes for each byte in use in hours 5 to 8, {last:.2} in hours 9 \
             to 12, {worst:.2} in the worst hour"
        ),
    })
}

const HOURS: usize = 12;
/// Hours after which load and sizes repeat.
const ROUND: usize = 4;
/// Bytes in use in the hour with the highest load.
const LIVE: usize = 100 << 20;
/// Per cent of them in the hours of a round.
const LOAD: [usize; ROUND] = [60, 100, 80, 40];
/// The middle of the sizes in the hours of a round.
const MIDDLES: [usize; ROUND] = [96, 1_536, 48, 384];
/// Requests of an hour: 140 in each second.
const REQUESTS: usize = 140 * 3600;
const WORKERS: usize = 2;
/// Blocks of a request that end with it.
const BRIEF: usize = 4;
/// Of so many blocks that end, one is left for whichever worker comes when enough are waiting.
const HANDED_OVER: usize = 16;
/// Of so many blocks that stay, one stays for a round; of more if more are made in an hour, so that
/// these are as much memory.
const LONG: usize = 256;
/// Blocks that wait for the other worker, at most.
const WAITING: usize = 256;

/// What a worker holds. Its successor takes it over.
struct Worker {
    random: Random,
    /// One in so many blocks stays for a round.
    long_share: usize,
    live: usize,
    blocks: Vec<Option<Block>>,
    /// Those that stay for a round: of the one before, and of this one.
    long: [Vec<Option<Block>>; 2],
}

impl Worker {
    fn new(seed: u64, index: usize, long_share: usize) -> Self {
        let long = || Block::touched_table(LIVE / LONG / MIDDLES[2]);
        Self {
            random: Random::stream(seed, index),
            long_share,
            live: 0,
            blocks: Block::touched_table(LIVE / WORKERS / MIDDLES[2]),
            long: [long(), long()],
        }
    }

    /// Answers `requests` requests, and as many more as it takes until `target` bytes are in use.
    fn work(&mut self, hour: usize, requests: usize, target: usize, mail: &Mutex<Vec<Block>>) {
        if hour.is_multiple_of(ROUND) {
            let ended = self.long[0].drain(..).flatten().map(|block| block.size()).sum::<usize>();
            self.live -= ended;
            self.long.swap(0, 1);
        }
        let mut answered = 0;
        while answered < requests || self.live < target * 9 / 10 {
            self.answer(hour, target, mail);
            answered += 1;
        }
    }

    fn answer(&mut self, hour: usize, target: usize, mail: &Mutex<Vec<Block>>) {
        let brief: [Block; BRIEF] = std::array::from_fn(|_| {
            let size = self.random.between(16, 1_024);
            Block::filled(size, 1)
        });
        let middle = MIDDLES[hour % ROUND];
        for _ in 0..2 {
            let is_large = self.random.below(500) == 0;
            let (least, most) =
                if is_large { (8 << 10, 64 << 10) } else { (middle / 2, middle * 2) };
            let size = self.random.between(least, most);
            self.live += size;
            let is_long = self.random.below(self.long_share) == 0;
            let place = if is_long { &mut self.long[1] } else { &mut self.blocks };
            place.push(Some(Block::filled(size, 2)));
        }
        while self.live > target && !self.blocks.is_empty() {
            let place = self.random.below(self.blocks.len());
            let Some(block) = self.blocks.swap_remove(place) else { continue };
            self.live -= block.size();
            if self.random.below(HANDED_OVER) == 0 {
                hand_over(block, mail);
            }
        }
        drop(brief);
    }
}

/// Leaves a block for whichever worker comes when enough are waiting, and frees them all if that is
/// this one.
fn hand_over(block: Block, mail: &Mutex<Vec<Block>>) {
    let mut waiting = mail.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.push(block);
    if waiting.len() == WAITING {
        waiting.clear();
    }
}

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let requests = context.scaled(REQUESTS, 100) / WORKERS;
    // The load is what it is, however long the day.
    let most = (LIVE as f64 * context.scale.min(1.0)) as usize / WORKERS;
    let long_share = context.scaled(LONG, LONG);
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|index| Worker::new(context.seed, index, long_share)).collect();
    let mail = Mutex::new(Vec::with_capacity(WAITING));
    let start = Reading::now()?;
    let mut points = Vec::with_capacity(HOURS);
    for hour in 0..HOURS {
        let target = most / 100 * LOAD[hour % ROUND];
        std::thread::scope(|scope| {
            for worker in &mut workers {
                let mail = &mail;
                scope.spawn(move || worker.work(hour, requests, target, mail));
            }
        });
        points.push(((hour + 1) as f64, Reading::now()?.over_need(start, in_use(&workers))));
    }
    let mean =
        |hours: &[(f64, f64)]| hours.iter().map(|hour| hour.1).sum::<f64>() / hours.len() as f64;
    let (before, last) = points[ROUND..].split_at(ROUND);
    let worst = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let figures = [in_use(&workers) as f64 / 1024.0, mean(before), mean(last), worst];
    let curve = Curve { label: CASE.to_owned(), points };
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: vec![curve] })
}

/// Bytes in use by all workers.
fn in_use(workers: &[Worker]) -> usize {
    workers.iter().map(|worker| worker.live).sum()
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn flat_is_what_does_not_rise() {
        let row = |last: f64| [40_000.0, 1.30, last, 1.9];
        assert!(holds("half-day", 0, &[(CASE, &row(1.34))]));
        assert!(!holds("half-day", 0, &[(CASE, &row(1.40))]));
    }

    /// What is held against resident memory is what the workers have.
    #[test]
    fn bytes_in_use_are_counted_and_follow_the_load() {
        let mail = Mutex::new(Vec::new());
        let mut worker = Worker::new(7, 0, 16);
        for hour in 0..2 * ROUND {
            let target = (1 << 20) / 100 * LOAD[hour % ROUND];
            worker.work(hour, 500, target, &mail);
            let held = worker.blocks.iter().chain(worker.long.iter().flatten()).flatten();
            assert_eq!(held.map(Block::size).sum::<usize>(), worker.live);
            assert!((target * 9 / 10..=target + (64 << 10)).contains(&worker.live), "hour {hour}");
        }
        assert!(worker.long.iter().all(|long| !long.is_empty()));
    }
}
