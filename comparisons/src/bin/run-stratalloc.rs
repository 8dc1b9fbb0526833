//! Runs a workload under stratalloc.

use bench_harness::child;
use bench_harness::watch::Watched;
use comparisons::ours;
use std::process::ExitCode;
use stratalloc::Stratalloc;

#[global_allocator]
static ALLOCATOR: Watched<Stratalloc> = Watched(Stratalloc);

fn main() -> ExitCode {
    child::main(&ours::subject())
}
