//! Runs a workload under stratalloc in a program that was compiled to sample, with the usual
//! interval of an always-on profiler. `ci/bench --sampling` holds it against `run-stratalloc`.

use bench_harness::child;
use bench_harness::watch::Watched;
use comparisons::ours;
use std::process::ExitCode;
use stratalloc::{Configured, Options, Stratalloc};

#[global_allocator]
static ALLOCATOR: Watched<Configured> =
    Watched(Stratalloc::with_options(Options::new().sample_interval(512 << 10)));

fn main() -> ExitCode {
    child::main(&ours::sampled())
}
