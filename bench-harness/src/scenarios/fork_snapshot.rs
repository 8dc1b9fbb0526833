//! Fork (C5.3): a process that forks to keep a snapshot, and goes on writing.
//!
//! The child does nothing but hold its view of the memory, as one does that writes a snapshot out
//! slowly. The parent, in one case, writes to some of its blocks, chosen at random; in the other it
//! frees them and fills new ones in their place. A page that is copied is a minor fault of the
//! parent; it also stops being shared, which the child's own count of private pages shows.
//!
//! An allocator that keeps its lists in the freed blocks writes to each of them, and so has their
//! pages copied though the program does not need them any more; one that hands the same blocks out
//! again has them copied for the new contents.

use super::{Chart, Claim, Context, Figures, Finding, GOAL, Observed, Reading, Row, Scenario};
use super::{Tuning, Unit, column};
use crate::block::{Block, OS_PAGE};
use crate::measure::Usage;
use crate::random::Random;
use std::collections::HashSet;
use std::io;
use std::time::Instant;

const WRITE: &str = "8,000 blocks written to";
const REPLACE: &str = "8,000 blocks replaced";

pub const SCENARIO: Scenario = Scenario {
    name: "fork-snapshot",
    title: "Writing after fork",
    does: "A process with 200 MiB of blocks of 64 to 2,000 bytes forks; the child waits; the \
           parent either writes to 8,000 blocks, or frees 8,000 and fills new ones instead.",
    cases: &[WRITE, REPLACE],
    tunings: &[Tuning::Default],
    columns: &[
        column("pages of those blocks", Unit::Count),
        column("copied, by faults", Unit::Count),
        column("parent no longer shares", Unit::Kib),
        column("child no longer shares", Unit::Kib),
        column("time", Unit::Seconds),
    ],
    chart: Chart::Bars { column: "copied, by faults" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C5.3",
            says: "fork shares all pages, and the first write by either side copies the page",
            tunings: &[],
            check: copied_on_write,
        },
        Claim {
            clause: GOAL,
            says: "fewer than 4,500 pages are copied when 8,000 blocks are replaced",
            tunings: &[],
            check: few_copied,
        },
    ],
    run,
};

fn copied_on_write(figures: &Figures<'_>) -> Option<Finding> {
    let pages = figures.get(WRITE, "pages of those blocks")?;
    let copied = figures.get(WRITE, "copied, by faults")?;
    let shared = figures.get(WRITE, "parent no longer shares")?;
    Some(Finding {
        holds: copied >= 0.9 * pages && copied <= 1.3 * pages + 50.0 && shared >= 3.6 * pages,
        figures: format!(
            "{pages:.0} pages were written to, {copied:.0} were copied, and the parent had \
             {shared:.0} KiB more of its own"
        ),
    })
}

/// Pages that may be copied for the blocks that are replaced.
const COPIED: f64 = 4_500.0;

fn few_copied(figures: &Figures<'_>) -> Option<Finding> {
    let copied = figures.get(REPLACE, "copied, by faults")?;
    let pages = figures.get(REPLACE, "pages of those blocks")?;
    Some(Finding {
        holds: copied < COPIED,
        figures: format!("{copied:.0} pages were copied; the freed blocks lay on {pages:.0}"),
    })
}

/// Bytes of the blocks.
const BYTES: usize = 200 << 20;
/// Their sizes.
const SMALLEST: usize = 64;
const LARGEST: usize = 2_000;
/// Blocks that are written to, and blocks that are replaced.
const BLOCKS: usize = 8_000;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let wanted = context.scaled(BYTES, 4 << 20);
    let count = context.scaled(BLOCKS, 100);
    let mut random = Random::new(context.seed);
    let mut blocks = Vec::with_capacity(wanted / 500);
    let mut bytes = 0;
    while bytes < wanted {
        let block = Block::filled(random.between(SMALLEST, LARGEST), 1);
        bytes += block.size();
        blocks.push(block);
    }
    // Apart from the others, so that the table's own pages stay out of the account.
    let mut chosen: Vec<_> =
        (0..count).map(|_| blocks.swap_remove(random.below(blocks.len()))).collect();
    let sizes: Vec<_> = (0..count).map(|_| random.between(SMALLEST, LARGEST)).collect();
    let pages = pages(&chosen) as f64;

    let child = Child::fork()?;
    let (own, other) = (Reading::now()?, Reading::of(child.process)?);
    let before = Usage::of_process()?;
    let clock = Instant::now();
    if context.case == WRITE {
        chosen.iter_mut().for_each(|block| block.fill(2));
    } else {
        chosen.clear();
        chosen.extend(sizes.iter().map(|&size| Block::filled(size, 3)));
    }
    let elapsed = clock.elapsed().as_secs_f64();
    let copied = Usage::of_process()?.since(before).minor_faults as f64;
    let (own_after, other_after) = (Reading::now()?, Reading::of(child.process)?);
    let grown = |after: Reading, before: Reading| {
        after.private_dirty_kib.saturating_sub(before.private_dirty_kib) as f64
    };
    let figures = [pages, copied, grown(own_after, own), grown(other_after, other), elapsed];
    Ok(Observed { rows: vec![Row::new(context.case, &figures)], curves: Vec::new() })
}

/// OS pages on which these blocks lie.
fn pages(blocks: &[Block]) -> usize {
    let of = |block: &Block| {
        let first = block.address() as usize;
        first / OS_PAGE..=(first + block.size() - 1) / OS_PAGE
    };
    blocks.iter().flat_map(of).collect::<HashSet<_>>().len()
}

/// A child that waits until it is let go.
struct Child {
    process: libc::pid_t,
}

impl Child {
    fn fork() -> io::Result<Self> {
        // SAFETY: the child only makes calls that are safe after a fork of a process with threads:
        // `prctl` and `pause`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => loop {
                // SAFETY: neither call has preconditions. The child ends with its parent at the
                // latest, as it asks for a signal at that one's death.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::pause();
                }
            },
            process => Ok(Self { process }),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the number is that of our child until it is waited for, which is done here, once.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, std::ptr::null_mut(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::{REPLACE, WRITE};

    #[test]
    fn copies_must_match_the_pages_that_were_written_to() {
        let row = |copied: f64, shared: f64| [7_000.0, copied, shared, shared, 0.01];
        assert!(holds("fork-snapshot", 0, &[(WRITE, &row(7_010.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(100.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(25_000.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(7_010.0, 40.0))]));
    }

    #[test]
    fn the_goal_is_about_the_blocks_that_are_replaced() {
        let row = |copied: f64| [9_000.0, copied, 30_000.0, 30_000.0, 0.02];
        assert!(holds("fork-snapshot", 1, &[(REPLACE, &row(4_461.0)), (WRITE, &row(9_000.0))]));
        assert!(!holds("fork-snapshot", 1, &[(REPLACE, &row(9_373.0)), (WRITE, &row(9_000.0))]));
    }
}
