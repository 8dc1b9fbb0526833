//! Columns that say what sampling costs: our own allocators once more, each with a sample for every
//! 512 KiB, beside those that they are held against.
//!
//! A library is told by a variable of the environment. The program that has ours linked has a twin
//! that was compiled to sample, as a service would be: its `dealloc` knows then. A runner that is
//! to sample proves that it does, or has no column.

use super::Runner;
use crate::results::Failure;
use crate::standing::is_ours;

/// How the names of these columns end.
pub const SAMPLED: &str = "-sampled";

/// The option, as the environment has it, and its value: the usual one of an always-on profiler.
pub const INTERVAL: (&str, &str) = ("STRATALLOC_SAMPLE_INTERVAL", "512KiB");

/// Adds the column behind each of ours; one that cannot be had is a failure.
pub fn add_sampled(runners: &mut Vec<Runner>, failures: &mut Vec<Failure>) {
    for runner in std::mem::take(runners) {
        let sampled = is_ours(runner.name()).then(|| runner.sampled());
        let allocator = format!("{}{SAMPLED}", runner.name());
        runners.push(runner);
        match sampled {
            None => {}
            Some(Ok(sampled)) => runners.push(sampled),
            Some(Err(reason)) => failures.push(Failure { allocator, workload: None, reason }),
        }
    }
}
