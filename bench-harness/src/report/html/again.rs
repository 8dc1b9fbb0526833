//! The commands that measure again what a part shows. Those that depend on how the results were
//! made are `Results::repeat` and its kin.

use crate::results::Results;

/// One latency load.
pub fn latency(results: &Results) -> String {
    results.repeat_by("latency")
}

/// One scenario.
pub fn scenario(results: &Results) -> String {
    results.repeat_by("scenarios")
}

/// Instructions, which are counted where they are asked for.
pub fn instructions(results: &Results) -> String {
    let all = results.repeat();
    let asked = if all.contains("--instructions") { "" } else { " --instructions" };
    format!("{all}{asked}")
}

/// The allocators that there are, with their proofs.
pub const ALLOCATORS: &str = "ci/bench list";
