//! Runs a workload under the C library's allocator, set as the documents advise against faults of
//! large blocks (contract clause C2.2): nothing is mapped by itself, nothing is trimmed.

use bench_harness::child::{self, Subject};
use bench_harness::machine;
use bench_harness::scenarios::Tuning;
use bench_harness::watch::Watched;
use comparisons::{registry::PTMALLOC_REMEDY, system};
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<System> = Watched(System);

fn main() -> ExitCode {
    if let Err(reason) = system::tune_ptmalloc(Tuning::Remedy) {
        eprintln!("{}: {reason}", PTMALLOC_REMEDY.name);
        return ExitCode::FAILURE;
    }
    child::main(&Subject {
        live_bytes: Some(system::ptmalloc_live_bytes),
        witness: Some(system::malloc_comes_from_libc),
        other_live_bytes: None,
        ..PTMALLOC_REMEDY.subject(|| format!("glibc {}", machine::glibc()))
    })
}
