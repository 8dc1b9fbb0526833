//! Requests (C2.2, C2.3): a server that takes 2 MiB for every request and gives them back.
//!
//! The C library's allocator is shown three times: as it comes; with its threshold pinned, which is
//! what the document saw, as today's versions raise it after the first free; and with its
//! remedy. After the load the process rests, with a little work now and then.

use super::claims::{in_mib, percent};
use super::holes::work_a_little;
use super::{Chart, Claim, Context, Figures, Finding, Observed, Reading, Row, Scenario, Tuning};
use super::{Unit, column};
use crate::block::Block;
use crate::measure::Usage;
use crate::random::Random;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const CASE: &str = "2 MiB per request";

pub const SCENARIO: Scenario = Scenario {
    name: "requests",
    title: "A buffer of 2 MiB for every request",
    does: "4,000 requests allocate 2 MiB, write to every page, and free them; then the load stops. \
           The system's share is that of the processor time.",
    cases: &[CASE],
    tunings: &[Tuning::Default, Tuning::Pinned, Tuning::Remedy],
    columns: &[
        column("faults per request", Unit::Count),
        column("faults per second", Unit::Count),
        column("requests per second", Unit::Count),
        column("in the kernel", Unit::Share),
        column("under load", Unit::Kib),
        column("after the rest", Unit::Kib),
    ],
    chart: Chart::Bars { column: "faults per request" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C2.2",
            says: "such a server takes more than 10,000 minor faults a second and spends 20 % of \
                   its processor time or more in the kernel",
            tunings: &[Tuning::Default, Tuning::Pinned],
            check: storm,
        },
        Claim {
            clause: "C2.2",
            says: "mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1) bring the faults down \
                   to none and the kernel's share to 10 % or less",
            tunings: &[Tuning::Remedy],
            check: |figures| {
                let faults = figures.get(CASE, "faults per request")?;
                let share = figures.get(CASE, "in the kernel")?;
                Some(Finding { holds: faults < 1.0 && share <= 0.1, figures: said(figures)? })
            },
        },
    ],
    run,
};

fn storm(figures: &Figures<'_>) -> Option<Finding> {
    let faults = figures.get(CASE, "faults per second")?;
    let share = figures.get(CASE, "in the kernel")?;
    Some(Finding { holds: faults > 10_000.0 && share >= 0.2, figures: said(figures)? })
}

fn said(figures: &Figures<'_>) -> Option<String> {
    Some(format!(
        "{:.1} faults per request, {:.0} a second, {} of the processor time in the kernel; {} \
         resident under load, {} after the rest",
        figures.get(CASE, "faults per request")?,
        figures.get(CASE, "faults per second")?,
        percent(figures.get(CASE, "in the kernel")?),
        in_mib(figures.get(CASE, "under load")?),
        in_mib(figures.get(CASE, "after the rest")?),
    ))
}

/// Bytes of a request.
const SIZE: usize = 2 << 20;
/// Requests at scale 1.
const REQUESTS: usize = 4_000;
/// Requests before anything is counted.
const WARM_UP: usize = 10;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let requests = context.scaled(REQUESTS, 20);
    let start = Reading::now()?;
    for _ in 0..WARM_UP {
        drop(Block::new(SIZE, 1));
    }
    let before = Usage::of_process()?;
    let clock = Instant::now();
    for request in 0..requests - 1 {
        serve(&Block::new(SIZE, request as u8));
    }
    let last = Block::new(SIZE, 1);
    serve(&last);
    let elapsed = clock.elapsed().as_secs_f64();
    let used = Usage::of_process()?.since(before);
    let grown = |reading: Reading| reading.grown_kib(start) as f64;
    let load = grown(Reading::now()?);
    drop(last);

    let mut random = Random::new(context.seed);
    let clock = Instant::now();
    while clock.elapsed() < context.rest {
        thread::sleep(Duration::from_millis(50).min(context.rest));
        work_a_little(&mut random);
    }
    let rest = grown(Reading::now()?);
    let figures = [
        used.minor_faults as f64 / requests as f64,
        used.minor_faults as f64 / elapsed,
        requests as f64 / elapsed,
        used.system_s / (used.user_s + used.system_s).max(1e-9),
        load,
        rest,
    ];
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: Vec::new() })
}

/// The rest of a request: some ten thousand steps of work that need no memory.
fn serve(block: &Block) {
    std::hint::black_box((0..50_000_u64).fold(u64::from(block.mark()), |sum, step| {
        std::hint::black_box(sum.wrapping_mul(31) ^ step)
    }));
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::{decide, holds};

    #[test]
    fn the_storm_needs_faults_and_time_in_the_kernel() {
        let row = |per_request: f64, per_second: f64, share: f64| {
            [per_request, per_second, 2_000.0, share, 2_100.0, 50.0]
        };
        assert!(holds("requests", 0, &[(super::CASE, &row(512.0, 1e6, 0.6))]));
        assert!(!holds("requests", 0, &[(super::CASE, &row(512.0, 1e6, 0.1))]));
        assert!(!holds("requests", 0, &[(super::CASE, &row(0.0, 0.0, 0.3))]));
        assert!(holds("requests", 1, &[(super::CASE, &row(0.0, 0.0, 0.05))]));
        assert!(!holds("requests", 1, &[(super::CASE, &row(512.0, 1e6, 0.05))]));
        let said = decide("requests", 0, &[(super::CASE, &row(512.0, 1e6, 0.6))]);
        let said = said.expect("the row is there").figures;
        assert!(said.contains("512.0 faults per request") && said.contains("60 %"), "{said}");
    }
}
