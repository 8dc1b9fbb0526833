//! Runs a workload under the C library's allocator, or under a library that is preloaded in its
//! place.

use bench_harness::child::{self, Subject};
use bench_harness::driver;
use bench_harness::machine;
use bench_harness::watch::Watched;
use comparisons::registry::{PRELOADED_ORDER, PTMALLOC, PTMALLOC_SID};
use comparisons::system;
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<System> = Watched(System);

fn main() -> ExitCode {
    match child::preloaded() {
        None => child::main(&Subject {
            live_bytes: Some(system::ptmalloc_live_bytes),
            // A library that someone preloaded unasked must not pass for it.
            witness: Some(system::malloc_comes_from_libc),
            other_live_bytes: None,
            tune: Some(system::tune_ptmalloc),
            // It has no other call to release memory than `malloc_trim`.
            ..PTMALLOC.subject(|| format!("glibc {}", machine::glibc()))
        }),
        // Nothing is preloaded then: its own loader brings it.
        Some((name, library)) if driver::is_c_library(&library) => child::main(&Subject {
            name,
            live_bytes: Some(system::ptmalloc_live_bytes),
            witness: Some(told_library_serves),
            other_live_bytes: None,
            tune: Some(system::tune_ptmalloc),
            ..PTMALLOC_SID.subject(|| format!("glibc {}", machine::glibc()))
        }),
        Some((name, library)) => child::main(&Subject {
            title: format!("{name}, {} preloaded", system::file_name(&library)),
            name,
            order: PRELOADED_ORDER,
            version: preloaded_version,
            live_bytes: None,
            owns: None,
            witness: Some(told_library_serves),
            other_live_bytes: Some(system::ptmalloc_live_bytes),
            tune: None,
            largest_alignment: None,
            trim: None,
            release: system::preloaded_release(),
        }),
    }
}

/// What the library tells of its version, or else the name of its file, once links are followed.
fn preloaded_version() -> String {
    let file = || child::preloaded().and_then(|(_, library)| Some(library.file_name()?.to_owned()));
    let named = || file().map(|name| name.to_string_lossy().into_owned());
    system::told_version().or_else(named).unwrap_or_default()
}

fn told_library_serves() -> Result<String, String> {
    let (_, library) = child::preloaded().ok_or("it was not told which library is preloaded")?;
    let sampling = system::sampling_proof(system::library_samples)?;
    Ok(system::malloc_comes_from(&library)? + sampling)
}
