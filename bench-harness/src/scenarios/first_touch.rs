//! First touch (C2.1, C2.4): when memory is given, what that costs, and what `madvise` can do.
//!
//! One large block, allocated and not touched; then touched twice; then dropped by `MADV_DONTNEED`
//! and touched again; then dropped, loaded ahead with `MADV_POPULATE_WRITE`, and touched.

use super::claims::percent;
use super::{Chart, Claim, Context, Figures, Finding, Observed, Reading, Row, Scenario, Tuning};
use super::{Unit, column};
use crate::block::OS_PAGE;
use crate::measure::Usage;
use std::hint::black_box;
use std::io;
use std::mem::MaybeUninit;
use std::time::Instant;

pub const SCENARIO: Scenario = Scenario {
    name: "first-touch",
    title: "The first touch of a page",
    does: "One block of 256 MiB. Faults and time are those of the step; resident memory is what \
           the step left behind, counted from the start.",
    cases: &["256 MiB"],
    tunings: &[Tuning::Default],
    columns: &[
        column("pages", Unit::Count),
        column("minor faults", Unit::Count),
        column("major faults", Unit::Count),
        column("time", Unit::Seconds),
        column("resident", Unit::Kib),
    ],
    chart: Chart::Bars { column: "time" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C2.1",
            says: "memory is given on first touch, by a minor fault, and not by malloc; a page \
                   that is there faults no more",
            tunings: &[],
            check: on_first_touch,
        },
        Claim {
            clause: "C2.4",
            says: "MADV_DONTNEED drops pages, so that the next touch faults again, and the kernel \
                   can be asked to load them ahead of use, so that it does not",
            tunings: &[],
            check: advised,
        },
    ],
    run,
};

fn on_first_touch(figures: &Figures<'_>) -> Option<Finding> {
    let whole = figures.get("first touch", "pages")? * 4.0;
    let allocated = figures.get("allocate", "resident")? / whole.max(1.0);
    let touched = figures.get("first touch", "resident")? / whole.max(1.0);
    let first = figures.get("first touch", "minor faults")?;
    let second = figures.get("second touch", "minor faults")?;
    Some(Finding {
        holds: allocated < 0.1 && touched > 0.9 && first >= 1.0 && second < 0.01 * first.max(100.0),
        figures: format!(
            "{} resident after malloc and {} after the first touch, which took {first:.0} faults; \
             the second took {second:.0}",
            percent(allocated),
            percent(touched)
        ),
    })
}

fn advised(figures: &Figures<'_>) -> Option<Finding> {
    let whole = figures.get("first touch", "pages")? * 4.0;
    let dropped = figures.get("dropped", "resident")? / whole.max(1.0);
    let again = figures.get("touch after that", "minor faults")?;
    let loaded = figures.get("touch of loaded pages", "minor faults")?;
    Some(Finding {
        holds: dropped < 0.1 && again >= 1.0 && loaded < 0.01 * again.max(100.0),
        figures: format!(
            "{} resident after the drop, {again:.0} faults at the next touch, {loaded:.0} where \
             the pages were loaded ahead",
            percent(dropped)
        ),
    })
}

/// Bytes of the block.
const BYTES: usize = 256 << 20;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let size = context.scaled(BYTES, 1 << 20);
    let mut steps = Steps { rows: Vec::with_capacity(8), start: Reading::now()?.rss_kib, size };
    let mut block: Vec<u8> = Vec::new();
    steps.time("allocate", || reserve(&mut block, size))?;
    let room = &mut block.spare_capacity_mut()[..size];
    steps.time("first touch", || touch(room))?;
    steps.time("second touch", || touch(room))?;
    steps.time("dropped", || advise(room, libc::MADV_DONTNEED))?;
    steps.time("touch after that", || touch(room))?;
    advise(room, libc::MADV_DONTNEED)?;
    let loaded = steps.time("loaded ahead", || advise(room, libc::MADV_POPULATE_WRITE));
    // Kernels before 5.14 do not know the advice; the claim then stays undecided.
    if loaded.is_ok() {
        steps.time("touch of loaded pages", || touch(room))?;
    }
    Ok(Observed { rows: steps.rows, curves: Vec::new() })
}

struct Steps {
    rows: Vec<Row>,
    start: u64,
    size: usize,
}

impl Steps {
    /// Does a step and notes what it cost.
    fn time(&mut self, label: &str, step: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let before = Usage::of_process()?;
        let clock = Instant::now();
        step()?;
        let elapsed = clock.elapsed().as_secs_f64();
        let used = Usage::of_process()?.since(before);
        let figures = [
            self.size.div_ceil(OS_PAGE) as f64,
            used.minor_faults as f64,
            used.major_faults as f64,
            elapsed,
            Reading::now()?.rss_kib.saturating_sub(self.start) as f64,
        ];
        self.rows.push(Row::new(label, &figures));
        Ok(())
    }
}

fn reserve(block: &mut Vec<u8>, size: usize) -> io::Result<()> {
    block.try_reserve_exact(size).map_err(io::Error::other)
}

/// Writes one byte to every page.
fn touch(room: &mut [MaybeUninit<u8>]) -> io::Result<()> {
    for page in room.chunks_mut(OS_PAGE) {
        page[0].write(1);
    }
    black_box(room);
    Ok(())
}

/// Gives advice about the whole pages of `room`.
fn advise(room: &mut [MaybeUninit<u8>], advice: libc::c_int) -> io::Result<()> {
    let ahead = room.as_ptr().align_offset(OS_PAGE);
    let length = room.len().saturating_sub(ahead) / OS_PAGE * OS_PAGE;
    // SAFETY: the pages lie inside the block, which is borrowed for writing and whose contents
    // nobody relies on; both advices keep private anonymous memory mapped and writable.
    let failure = unsafe { libc::madvise(room.as_mut_ptr().add(ahead).cast(), length, advice) };
    if failure == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn faults_and_resident_memory_decide() {
        let row = |faults: f64, resident: f64| [1_000.0, faults, 0.0, 0.001, resident];
        let rows = |given: f64, second: f64| {
            [
                ("allocate", row(1.0, given)),
                ("first touch", row(1_000.0, 4_000.0)),
                ("second touch", row(second, 4_000.0)),
            ]
        };
        let decide = |given, second| {
            let rows = rows(given, second);
            holds("first-touch", 0, &rows.each_ref().map(|(label, row)| (*label, &row[..])))
        };
        assert!(decide(0.0, 0.0));
        assert!(!decide(4_000.0, 0.0), "malloc gave it");
        assert!(!decide(0.0, 900.0), "the second touch faults");
        let advised = |dropped: f64, loaded: f64| {
            let rows = [
                ("first touch", row(1_000.0, 4_000.0)),
                ("dropped", row(0.0, dropped)),
                ("touch after that", row(1_000.0, 4_000.0)),
                ("touch of loaded pages", row(loaded, 4_000.0)),
            ];
            holds("first-touch", 1, &rows.each_ref().map(|(label, row)| (*label, &row[..])))
        };
        assert!(advised(0.0, 0.0));
        assert!(!advised(4_000.0, 0.0));
        assert!(!advised(0.0, 1_000.0));
    }
}
