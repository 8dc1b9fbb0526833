//! Trimming (C1.5): mixed blocks, nearly all of them freed, and what the release calls do.
//!
//! One block in 4,096 is kept, so that hardly any memory lies at the top of a heap. First comes
//! `malloc_trim(0)`, then the allocator's own call; each is timed. The kept blocks must still hold
//! what was written to them.

use super::claims::{in_mib, percent};
use super::column;
use super::{Chart, Claim, Context, Finding, Observed, Reading, Row, Scenario, Tuning, Unit};
use crate::block::Block;
use crate::random::Random;
use std::io;
use std::time::Instant;

const CASE: &str = "1 in 4,096 kept";

pub const SCENARIO: Scenario = Scenario {
    name: "trim",
    title: "Asking for memory back",
    does: "400 MiB of blocks of 32 bytes to 16 KiB, freed but one in 4,096; then malloc_trim(0), \
           then the allocator's own call. A process of jemalloc has only the C library's \
           malloc_trim, which knows nothing of jemalloc. Memory counts from the start.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("all allocated", Unit::Kib),
        column("freed", Unit::Kib),
        column("trimmed", Unit::Kib),
        column("time to trim", Unit::Seconds),
        column("released", Unit::Kib),
        column("time to release", Unit::Seconds),
    ],
    chart: Chart::Bars { column: "trimmed" },
    sleeps: 0.0,
    claims: &[Claim {
        clause: "C1.5",
        says: "malloc_trim gives the free pages back wherever they lie: resident memory falls, and \
               the addresses stay usable",
        tunings: &[],
        check: |figures| {
            let full = figures.get(CASE, "all allocated")?;
            let freed = figures.get(CASE, "freed")?;
            let trimmed = figures.get(CASE, "trimmed")?;
            Some(Finding {
                holds: trimmed < 0.15 * full,
                figures: format!(
                    "{} of {} were resident before, {} after it ({})",
                    in_mib(freed),
                    in_mib(full),
                    in_mib(trimmed),
                    percent(trimmed / full.max(1.0))
                ),
            })
        },
    }],
    run,
};

/// Bytes that are allocated.
const BYTES: usize = 400 << 20;
/// One block of so many is kept.
const KEEP: usize = 4096;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let wanted = context.scaled(BYTES, 1 << 20);
    let mut random = Random::new(context.seed);
    let mut blocks = Vec::with_capacity(wanted / 1_000);
    let start = Reading::now()?;
    let mut bytes = 0;
    while bytes < wanted {
        let block = Block::new(random.log_between(32, 16_384), 0x5a);
        bytes += block.size();
        blocks.push(block);
    }
    let grown = || Ok::<_, io::Error>(Reading::now()?.grown_kib(start) as f64);
    let full = grown()?;
    let mut index = 0;
    blocks.retain(|_| {
        index += 1;
        index % KEEP == 0
    });
    let freed = grown()?;
    let clock = Instant::now();
    (context.trim)();
    let trim_s = clock.elapsed().as_secs_f64();
    let trimmed = grown()?;
    let clock = Instant::now();
    if let Some(release) = context.release {
        release();
    }
    let release_s = clock.elapsed().as_secs_f64();
    let released = grown()?;
    // The pages that went must not have been in use, and new blocks must find working memory.
    let again = Block::new(1 << 20, 0x5a);
    if blocks.iter().chain([&again]).any(|block| block.mark() != 0x5a) {
        return Err(io::Error::other("a block lost its contents"));
    }
    let figures = [full, freed, trimmed, trim_s, released, release_s];
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn fifteen_percent_of_the_peak_may_stay() {
        let row = |trimmed: f64| [100_000.0, 99_000.0, trimmed, 0.1, trimmed, 0.0];
        assert!(holds("trim", 0, &[(super::CASE, &row(3_000.0))]));
        assert!(!holds("trim", 0, &[(super::CASE, &row(98_000.0))]));
        assert!(!holds("trim", 0, &[(super::CASE, &row(15_000.0))]));
    }
}
