//! Instructions per operation, counted by valgrind's callgrind: the same on a quiet machine and on
//! a busy one.
//!
//! A workload is run twice, with twice the work the second time; the difference of both counts over
//! the difference of the operations is what an operation takes. What starting, proving and ending
//! take is the same in both and so drops out. The operations include the workload's own
//! instructions, which are the same for all allocators. Of a process that does nothing
//! (`--hello`), the count is what it is.

use super::Runner;
use crate::child::Answer;
use crate::results::Plan;
use std::time::Duration;

/// Part of the plan's work that the shorter of the two runs does.
const SHARE: f64 = 0.01;
/// How much slower a program may be under callgrind.
const SLOWDOWN: u32 = 10;

/// Instructions of each operation of `workload`.
pub fn per_operation(
    runner: &Runner,
    workload: &str,
    plan: &Plan,
    limit: Duration,
) -> Result<f64, String> {
    let count = |scale: f64| {
        let arguments = [
            "--run",
            workload,
            &plan.threads.to_string(),
            &scale.to_string(),
            &plan.seed.to_string(),
        ];
        match runner.count(&arguments, limit * SLOWDOWN)? {
            (Answer::Measured(measured), instructions) => Ok((measured.operations, instructions)),
            (Answer::Refused(reason), _) => Err(reason),
            _ => Err("it gave another answer than asked for".to_owned()),
        }
    };
    let (few, short) = count(plan.scale * SHARE)?;
    let (many, long) = count(plan.scale * SHARE * 2.0)?;
    if many <= few || long <= short {
        return Err("twice the work was not more work".to_owned());
    }
    Ok((long - short) as f64 / (many - few) as f64)
}

/// Instructions of a process that does nothing but start and end.
pub fn of_nothing(runner: &Runner, limit: Duration) -> Result<u64, String> {
    match runner.count(&["--hello"], limit)? {
        (Answer::Greeted(_), instructions) => Ok(instructions),
        (Answer::Refused(reason), _) => Err(reason),
        _ => Err("it gave another answer than asked for".to_owned()),
    }
}

/// The number that callgrind prints when it ends: `==12== Collected : 123456`.
pub(super) fn collected(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_count_is_found_among_its_other_lines() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234567\n==7==\n";
        assert_eq!(collected(text), Some(1_234_567));
        assert_eq!(collected("valgrind: not found\n"), None);
    }
}
