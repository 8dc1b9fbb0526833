//! An idle service (C1.6): an asynchronous web service after its load has ended.
//!
//! The server of the `async-service` workload keeps the last messages of every client; when the
//! load ends, each client takes its leave and its state goes. The server stays up, its workers
//! sleep, and nobody calls the allocator. What the load added ought to go back by itself.

use super::claims::{in_mib, percent};
use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column, mib};
use crate::workloads::async_service::{load, server::Server};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CASE: &str = "64 clients";

pub const SCENARIO: Scenario = Scenario {
    name: "service-idle",
    title: "A web service after its load",
    does: "An HTTP server answers 64 clients with messages of 1 to 64 KiB, of which it keeps the \
           last of each client until that one leaves; then it waits for more. Memory counts from \
           after a small first load; the curve begins when the load has ended.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("at most under load", Unit::Kib),
        column("just after it", Unit::Kib),
        column("in the end", Unit::Kib),
        column("share in the end", Unit::Share),
        column("seconds watched", Unit::Seconds),
        column("below a tenth after", Unit::Seconds),
    ],
    chart: Chart::Curves { across: "s", up: "MiB" },
    sleeps: 10.0 / 3.0,
    claims: &[Claim {
        clause: GOAL,
        says: "a service's memory is back 10 s after its load, but for a tenth of what that added",
        tunings: &[],
        check: goal,
    }],
    run,
};

/// Part of the load's memory that may stay.
const TENTH: f64 = 0.1;

fn goal(figures: &Figures<'_>) -> Option<Finding> {
    let most = figures.get(CASE, "at most under load")?;
    let end = figures.get(CASE, "in the end")?;
    let share = figures.get(CASE, "share in the end")?;
    let seconds = figures.get(CASE, "seconds watched")?;
    Some(Finding {
        holds: share < TENTH,
        figures: format!(
            "{} of the {} that the load added were resident after {seconds:.0} s ({})",
            in_mib(end),
            in_mib(most),
            percent(share)
        ),
    })
}

/// Clients.
const CLIENTS: usize = 64;
/// Messages of each.
const MESSAGES: usize = 80;
/// Workers of the server, and of the clients.
const WORKERS: usize = 2;
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(200);
/// Time between two looks under load.
const SHORT: Duration = Duration::from_millis(10);

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let messages = context.scaled(MESSAGES, 4);
    // 10 s of the 3 s that a rest takes by default.
    let watched = context.rest * 10 / 3;
    let server = Server::start(WORKERS)?;
    let put = |clients, messages| {
        load::run(server.address(), clients, messages, WORKERS, context.seed).map(drop)
    };
    // The runtime, the connections' code and the C library's buffers are there from here on.
    put(WORKERS, 2)?;
    let mut points = Vec::with_capacity(512);
    let start = Reading::now()?;
    let grown = |reading: Reading| reading.grown_kib(start);
    let ended = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut most = 0;
            // Relaxed: only the flag itself matters; joining orders the rest.
            while !ended.load(Ordering::Relaxed) {
                most = Reading::now().map_or(most, |reading| most.max(grown(reading)));
                thread::sleep(SHORT);
            }
            most
        });
        let answered = put(CLIENTS, messages);
        // Relaxed: see above.
        ended.store(true, Ordering::Relaxed);
        let most = look.join().map_err(|_| io::Error::other("the look-out panicked"));
        answered.and(most)
    })?;
    let clock = Instant::now();
    let after = grown(Reading::now()?);
    let most = most.max(after).max(1);
    points.push((0.0, mib(after)));
    let mut end = after;
    while clock.elapsed() < watched {
        thread::sleep(INTERVAL.min(context.rest));
        end = grown(Reading::now()?);
        points.push((clock.elapsed().as_secs_f64(), mib(end)));
    }
    drop(server);
    let below = points.iter().find(|point| point.1 < TENTH * mib(most));
    let figures = [
        most as f64,
        after as f64,
        end as f64,
        end as f64 / most as f64,
        watched.as_secs_f64(),
        // Where it never was, the time that was watched is all that can be said.
        below.map_or(watched.as_secs_f64(), |point| point.0),
    ];
    let curves = vec![Curve { label: CASE.to_owned(), points }];
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves })
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn a_tenth_of_what_the_load_added_may_stay() {
        let row = |end: f64| [100_000.0, 90_000.0, end, end / 100_000.0, 10.0, 4.0];
        assert!(holds("service-idle", 0, &[(CASE, &row(9_000.0))]));
        assert!(!holds("service-idle", 0, &[(CASE, &row(11_000.0))]));
    }
}
