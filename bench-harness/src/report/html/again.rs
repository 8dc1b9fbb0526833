//! The commands that measure again what a part shows.

use crate::results::Results;

/// What measures all of it in the same way.
pub fn everything(results: &Results) -> String {
    let plan = &results.plan;
    format!("ci/bench --rounds {} --scale {} --threads {}", plan.rounds, plan.asked(), plan.threads)
}

/// One workload.
pub const WORKLOAD: &str = "ci/bench --only NAME";
/// One real program.
pub const PROGRAM: &str = "ci/bench --only NAME";
/// One latency load.
pub const LATENCY: &str = "ci/bench latency --only NAME";
/// One scenario.
pub const SCENARIO: &str = "ci/bench scenarios --only NAME";
/// The allocators that there are, with their proofs.
pub const ALLOCATORS: &str = "ci/bench list";
/// The cost of starting.
pub const STARTING: &str = "ci/bench --latency";
/// Instructions.
pub const INSTRUCTIONS: &str = "ci/bench --instructions";
