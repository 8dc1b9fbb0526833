//! Fork (C5.3): a process that forks to keep a snapshot, and goes on writing.
//!
//! The child does nothing but hold its view of the memory, as one does that writes a snapshot out
//! slowly. The parent writes to some of its blocks, then replaces others by new ones. A page that
//! is copied is a minor fault of the parent; it also stops being shared, which the child's own
//! count of private pages shows.

use super::{Chart, Claim, Context, Figures, Finding, Observed, Reading, Row, Scenario, Tuning};
use super::{Unit, column};
use crate::block::{Block, OS_PAGE};
use crate::measure::Usage;
use crate::random::Random;
use std::collections::HashSet;
use std::io;

const WRITE: &str = "8,000 blocks written to";
const REPLACE: &str = "8,000 blocks replaced";

pub const SCENARIO: Scenario = Scenario {
    name: "fork-snapshot",
    title: "Writing after fork",
    does: "A process with 100 MiB of blocks of 64 to 1,024 bytes forks; the child waits; the \
           parent writes to 8,000 blocks, then frees 8,000 others and allocates new ones instead.",
    cases: &["snapshot"],
    tunings: &[Tuning::Default],
    columns: &[
        column("pages written to", Unit::Count),
        column("copied, by faults", Unit::Count),
        column("parent no longer shares", Unit::Kib),
        column("child no longer shares", Unit::Kib),
        column("time", Unit::Seconds),
    ],
    chart: Chart::Bars { column: "copied, by faults" },
    claims: &[Claim {
        clause: "C5.3",
        says: "fork shares all pages, and the first write by either side copies the page",
        tunings: &[],
        check: copied_on_write,
    }],
    run,
};

fn copied_on_write(figures: &Figures<'_>) -> Option<Finding> {
    let pages = figures.get(WRITE, "pages written to")?;
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

/// Bytes of the blocks.
const BYTES: usize = 100 << 20;
/// Blocks that are written to, and blocks that are replaced.
const BLOCKS: usize = 8_000;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let wanted = context.scaled(BYTES, 4 << 20);
    let count = context.scaled(BLOCKS, 100);
    let mut random = Random::new(context.seed);
    let mut blocks = Vec::with_capacity(wanted / 300);
    let mut bytes = 0;
    while bytes < wanted {
        let block = Block::new(random.log_between(64, 1024), 1);
        bytes += block.size();
        blocks.push(block);
    }
    let written: Vec<usize> = (0..count).map(|_| random.below(blocks.len())).collect();
    let replaced: Vec<usize> = (0..count).map(|_| random.below(blocks.len())).collect();
    let pages = |indexes: &[usize], blocks: &[Block]| {
        let page = |index: &usize| blocks[*index].address() as usize / OS_PAGE;
        indexes.iter().map(page).collect::<HashSet<_>>().len() as f64
    };
    let (to_write, to_replace) = (pages(&written, &blocks), pages(&replaced, &blocks));

    let child = Child::fork()?;
    let mut step = |label: &str, pages: f64, work: &mut dyn FnMut(&mut Vec<Block>)| {
        let (own, other) = (Reading::now()?, Reading::of(child.process)?);
        let before = Usage::of_process()?;
        let clock = std::time::Instant::now();
        work(&mut blocks);
        let elapsed = clock.elapsed().as_secs_f64();
        let used = Usage::of_process()?.since(before);
        let (own_after, other_after) = (Reading::now()?, Reading::of(child.process)?);
        let grown = |after: Reading, before: Reading| {
            after.private_dirty_kib.saturating_sub(before.private_dirty_kib) as f64
        };
        let (parent, child) = (grown(own_after, own), grown(other_after, other));
        let figures = [pages, used.minor_faults as f64, parent, child, elapsed];
        Ok::<_, io::Error>(Row::new(label, &figures))
    };
    let rows = vec![
        step(WRITE, to_write, &mut |blocks| {
            written.iter().for_each(|index| blocks[*index].rewrite(2));
        })?,
        step(REPLACE, to_replace, &mut |blocks| {
            for index in &replaced {
                let size = blocks[*index].size();
                blocks[*index] = Block::new(size, 3);
            }
        })?,
    ];
    Ok(Observed { rows, curves: Vec::new() })
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
    use super::WRITE;

    #[test]
    fn copies_must_match_the_pages_that_were_written_to() {
        let row = |copied: f64, shared: f64| [7_000.0, copied, shared, shared, 0.01];
        assert!(holds("fork-snapshot", 0, &[(WRITE, &row(7_010.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(100.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(25_000.0, 28_000.0))]));
        assert!(!holds("fork-snapshot", 0, &[(WRITE, &row(7_010.0, 40.0))]));
    }
}
