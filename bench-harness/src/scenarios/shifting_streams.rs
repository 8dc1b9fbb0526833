//! Streams whose sizes shift (C1.6): services of several kinds, and their memory over their need.
//!
//! `shifting-mix` is one such program; here are others, each as a service of some kind would do it.
//! What they have in common: the bytes in use stay about level, or grow slowly, while the sizes of
//! what is in use change. An allocator whose pages belong to one size for as long as something
//! lives on them holds what each size needed at its peak.

use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column};
use crate::block::Block;
use crate::random::Random;
use std::collections::VecDeque;
use std::io;

/// A stream: its name, bytes in use at first, and what it does.
struct Stream {
    case: &'static str,
    live: usize,
    run: fn(&mut Heap) -> io::Result<()>,
}

/// All streams, in the order of the table.
const STREAMS: [Stream; 7] = [
    Stream { case: "half dies, sizes double", live: 150 << 20, run: halves },
    Stream { case: "the same, 32 MiB", live: 32 << 20, run: halves },
    Stream { case: "values that grow", live: 72 << 20, run: growing_values },
    Stream { case: "one size replaces another", live: 100 << 20, run: one_size_after_another },
    Stream { case: "cache whose values drift", live: 100 << 20, run: drifting_cache },
    Stream { case: "message broker", live: 64 << 20, run: broker },
    Stream { case: "memtables of a store", live: 96 << 20, run: memtables },
];

const CASES: [&str; STREAMS.len()] = {
    let mut cases = [""; STREAMS.len()];
    let mut index = 0;
    while index < STREAMS.len() {
        cases[index] = STREAMS[index].case;
        index += 1;
    }
    cases
};

pub const SCENARIO: Scenario = Scenario {
    name: "shifting-streams",
    title: "Services whose sizes shift",
    does: "Seven streams of allocations, each of another kind of service, in which blocks of one \
           range of sizes take the place of others. The curves are resident memory over the bytes \
           in use, phase by phase.",
    cases: &CASES,
    tunings: &[Tuning::Default],
    columns: &[
        column("in use at the end", Unit::Kib),
        column("mean", Unit::Ratio),
        column("worst", Unit::Ratio),
        column("at the end", Unit::Ratio),
    ],
    chart: Chart::Curves { across: "phases", up: "× in use" },
    sleeps: 0.0,
    claims: &[Claim {
        clause: GOAL,
        says: "less than 1.5 bytes are resident for each byte in use at the end, in the geometric \
               mean of all streams",
        tunings: &[],
        check: stays_lean,
    }],
    run,
};

/// Resident bytes over bytes in use, at most, by the goal.
const LEAN: f64 = 1.5;

fn stays_lean(figures: &Figures<'_>) -> Option<Finding> {
    let ends: Option<Vec<f64>> = CASES.iter().map(|case| figures.get(case, "at the end")).collect();
    let ends = ends?;
    let mean = (ends.iter().map(|end| end.ln()).sum::<f64>() / ends.len() as f64).exp();
    let worst = ends.iter().copied().fold(0.0, f64::max);
    Some(Finding {
        holds: mean < LEAN,
        figures: format!(
            "{mean:.2} resident bytes for each byte in use in the mean, {worst:.2} in the worst \
             stream"
        ),
    })
}

/// The blocks in use, and what was read of them phase by phase.
struct Heap {
    random: Random,
    /// Bytes that the stream keeps in use.
    target: usize,
    live: usize,
    blocks: Vec<Option<Block>>,
    start: Reading,
    points: Vec<(f64, f64)>,
}

impl Heap {
    fn new(seed: u64, target: usize) -> io::Result<Self> {
        let blocks = Block::touched_table(target / 48);
        let start = Reading::now()?;
        let random = Random::new(seed);
        Ok(Self { random, target, live: 0, blocks, start, points: Vec::with_capacity(64) })
    }

    fn allocate(&mut self, size: usize) -> Block {
        self.live += size;
        Block::filled(size, 1)
    }

    fn free(&mut self, block: Block) {
        self.live -= block.size();
    }

    /// Adds a block to those in no order.
    fn add(&mut self, size: usize) {
        let block = self.allocate(size);
        self.blocks.push(Some(block));
    }

    /// Frees one of the blocks in no order.
    fn drop_any(&mut self) {
        let place = self.random.below(self.blocks.len());
        if let Some(block) = self.blocks.swap_remove(place) {
            self.free(block);
        }
    }

    /// Adds a block, and frees others until no more than `target` bytes are in use.
    fn replace(&mut self, size: usize) {
        while self.live + size > self.target && !self.blocks.is_empty() {
            self.drop_any();
        }
        self.add(size);
    }

    /// Ends a phase.
    fn note_phase(&mut self) -> io::Result<()> {
        let ratio = Reading::now()?.over_need(self.start, self.live);
        self.points.push(((self.points.len() + 1) as f64, ratio));
        Ok(())
    }
}

/// Half of the blocks end in each phase, and others of twice the size take their place, up to 4 KiB
/// and from 16 bytes on again; one in 200 is a buffer of 20 to 80 KiB.
fn halves(heap: &mut Heap) -> io::Result<()> {
    for phase in 0..40 {
        let mut place = 0;
        while place < heap.blocks.len() {
            if heap.random.below(2) == 0 {
                if let Some(block) = heap.blocks.swap_remove(place) {
                    heap.free(block);
                }
            } else {
                place += 1;
            }
        }
        let least = 16 << (phase % 7);
        while heap.live < heap.target {
            let is_buffer = heap.random.below(200) == 0;
            let (low, high) = if is_buffer { (20_000, 80_000) } else { (least, 4 * least - 1) };
            let size = heap.random.between(low, high);
            heap.add(size);
        }
        heap.note_phase()?;
    }
    Ok(())
}

/// A store of values of 40 to 103 bytes, each of which is set anew, eight bytes longer, again and
/// again: the new one is there before the old one is freed.
fn growing_values(heap: &mut Heap) -> io::Result<()> {
    while heap.live < heap.target {
        let size = heap.random.between(40, 103);
        heap.add(size);
    }
    heap.note_phase()?;
    for _ in 1..20 {
        for _ in 0..heap.blocks.len() {
            let place = heap.random.below(heap.blocks.len());
            let size = heap.blocks[place].as_ref().map_or(0, Block::size) + 8;
            let new = heap.allocate(size);
            if let Some(old) = heap.blocks[place].replace(new) {
                heap.free(old);
            }
        }
        heap.note_phase()?;
    }
    Ok(())
}

/// A cache whose values are of about one size, which jumps between 64 bytes and 8 KiB from phase to
/// phase; nine tenths of the bytes are replaced in each.
fn one_size_after_another(heap: &mut Heap) -> io::Result<()> {
    for phase in 0..24 {
        let middle: usize = 64 << (phase * 3 % 8);
        let mut left = if phase == 0 { heap.target } else { heap.target / 10 * 9 };
        while left > 0 {
            let size = heap.random.between(middle * 3 / 4, middle * 5 / 4);
            heap.replace(size);
            left = left.saturating_sub(size);
        }
        heap.note_phase()?;
    }
    Ok(())
}

/// A cache of entries of 48 bytes with values, the oldest of which go first. The values spread over
/// three doublings, and their middle drifts from 100 bytes to 3 KiB and back.
fn drifting_cache(heap: &mut Heap) -> io::Result<()> {
    let mut entries: VecDeque<(Block, Block)> = VecDeque::with_capacity(heap.target / 100);
    for phase in 0..40_i32 {
        let doublings = f64::from(20 - (phase - 20).abs()) / 4.0;
        let mut left = heap.target / 4;
        while left > 0 {
            let spread = heap.random.below(3 << 16) as f64 / f64::from(1 << 16) - 1.5;
            let size = (100.0 * (doublings + spread).exp2()) as usize;
            let entry = (heap.allocate(48), heap.allocate(size));
            entries.push_back(entry);
            while heap.live > heap.target
                && let Some((entry, value)) = entries.pop_front()
            {
                heap.free(entry);
                // Some are held on to by requests under way.
                if heap.random.below(64) == 0 {
                    heap.blocks.push(Some(value));
                } else {
                    heap.free(value);
                }
                if heap.blocks.len() > 2_000 {
                    heap.drop_any();
                }
            }
            left = left.saturating_sub(size + 48);
        }
        heap.note_phase()?;
    }
    Ok(())
}

/// Queues of eight topics with messages of sizes of their own, first in, first out. In each phase
/// the readers of other topics fall behind, and those of others catch up.
fn broker(heap: &mut Heap) -> io::Result<()> {
    const TOPICS: usize = 8;
    let mut queues: [VecDeque<(Block, Block)>; TOPICS] =
        std::array::from_fn(|_| VecDeque::with_capacity(heap.target / 400));
    for phase in 0..32 {
        // The topics that grow in this phase hold three quarters of the bytes at its end.
        let is_behind = |topic: usize| (topic * 5 + phase * 3) % TOPICS < 3;
        let mut left = heap.target;
        while left > 0 {
            let topic = heap.random.below(TOPICS);
            let middle = 96 << (topic * 3 % 7);
            let size = heap.random.between(middle / 2, middle * 2);
            let message = (heap.allocate(64), heap.allocate(size));
            queues[topic].push_back(message);
            left = left.saturating_sub(size + 64);
            let others = (0..TOPICS).filter(|&topic| !is_behind(topic));
            let reads = if heap.live > heap.target { 3 } else { 1 };
            for topic in others.cycle().skip(heap.random.below(TOPICS)).take(reads) {
                if let Some((header, body)) = queues[topic].pop_front() {
                    heap.free(header);
                    heap.free(body);
                }
            }
            while heap.live > heap.target * 3 / 2 {
                let longest = queues.iter_mut().max_by_key(|queue| queue.len());
                let Some((header, body)) = longest.and_then(VecDeque::pop_front) else { break };
                heap.free(header);
                heap.free(body);
            }
        }
        heap.note_phase()?;
    }
    Ok(())
}

/// A store that keeps writes in a table in memory until it is full, and then frees it at once: a
/// third of the bytes. The rest are blocks of files, compressed to sizes of their own, that replace
/// each other at random; and small entries of an index, some of which stay of each table.
fn memtables(heap: &mut Heap) -> io::Result<()> {
    let mut table: Vec<Option<Block>> = Vec::with_capacity(heap.target / 150);
    let mut index: VecDeque<Block> = VecDeque::with_capacity(heap.target / 1_000);
    let all = heap.target;
    for phase in 0..30 {
        // Keys and values of the table; their mean size differs from table to table.
        let middle = 60 << (phase * 2 % 5);
        let mut left = all / 3;
        while left > 0 {
            let size = heap.random.between(middle / 2, middle * 2);
            let write = heap.allocate(size);
            table.push(Some(write));
            left = left.saturating_sub(size);
            if heap.random.below(24) == 0 {
                let size = heap.random.between(48, 160);
                let entry = heap.allocate(size);
                index.push_back(entry);
            }
            if heap.random.below(8) == 0 {
                heap.target = all - left.min(all / 3);
                let size = heap.random.between(1_500, 4_000);
                heap.replace(size);
            }
        }
        heap.note_phase()?;
        for write in table.drain(..).flatten() {
            heap.live -= write.size();
        }
        while index.len() > all / 3_000 {
            if let Some(entry) = index.pop_front() {
                heap.free(entry);
            }
        }
    }
    Ok(())
}

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let known = STREAMS.iter().find(|stream| stream.case == context.case);
    let stream = known.ok_or_else(|| io::Error::other("no such stream"))?;
    let mut heap = Heap::new(context.seed, context.scaled(stream.live, 1 << 20))?;
    (stream.run)(&mut heap)?;
    let ratios = || heap.points.iter().map(|point| point.1);
    let mean = ratios().sum::<f64>() / heap.points.len() as f64;
    let worst = ratios().fold(0.0, f64::max);
    let end = ratios().next_back().unwrap_or(0.0);
    let figures = [heap.live as f64 / 1024.0, mean, worst, end];
    let curve = Curve { label: stream.case.to_owned(), points: heap.points };
    Ok(Observed { rows: vec![Row::new(stream.case, &figures)], curves: vec![curve] })
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn the_goal_is_about_the_mean_of_all_ends() {
        let rows = |end: f64| [50_000.0, 1.3, 2.0, end];
        let (lean, fat) = (rows(1.2), rows(2.1));
        let all = |first: usize| -> Vec<(&str, &[f64])> {
            let row = |index: usize| if index < first { &fat[..] } else { &lean[..] };
            CASES.iter().enumerate().map(|(index, &case)| (case, row(index))).collect()
        };
        assert!(holds("shifting-streams", 0, &all(1)));
        assert!(!holds("shifting-streams", 0, &all(5)));
    }

    /// The streams' figures say something only if what they count as in use is.
    #[test]
    fn bytes_in_use_stay_about_where_they_are_kept() {
        for stream in &STREAMS {
            let target = 4 << 20;
            let mut heap = Heap::new(7, target).unwrap();
            (stream.run)(&mut heap).unwrap();
            let most = if stream.case == "values that grow" { 4 * target } else { target * 3 / 2 };
            assert!((target / 3..=most).contains(&heap.live), "{}: {}", stream.case, heap.live);
            assert!(heap.points.len() >= 20, "{}", stream.case);
        }
    }
}
