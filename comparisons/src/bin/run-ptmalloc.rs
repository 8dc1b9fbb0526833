//! Runs a workload under the C library's allocator, or under a library that is preloaded in its
//! place.

use bench_harness::child::{self, Subject};
use bench_harness::machine;
use comparisons::registry::{PRELOADED_ORDER, PTMALLOC};
use comparisons::system;
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: System = System;

fn main() -> ExitCode {
    match child::preloaded() {
        None => child::main(&Subject {
            name: PTMALLOC.name.to_owned(),
            title: PTMALLOC.title.to_owned(),
            order: PTMALLOC.order(),
            version: || format!("glibc {}", machine::glibc()),
            live_bytes: Some(system::ptmalloc_live_bytes),
            owns: None,
            witness: None,
            other_live_bytes: None,
            tune: Some(system::tune_ptmalloc),
            trim: None,
            // It has no other call than `malloc_trim`.
            release: None,
        }),
        Some((name, library)) => child::main(&Subject {
            title: format!("{name}, preloaded from {}", library.display()),
            name,
            order: PRELOADED_ORDER,
            version: preloaded_file,
            live_bytes: None,
            owns: None,
            witness: Some(preloaded_library_serves),
            other_live_bytes: Some(system::ptmalloc_live_bytes),
            tune: None,
            trim: None,
            release: system::gperftools_release(),
        }),
    }
}

/// A library does not tell its version; the name of its file often does, once links are followed.
fn preloaded_file() -> String {
    let file = child::preloaded().and_then(|(_, library)| Some(library.file_name()?.to_owned()));
    file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn preloaded_library_serves() -> Result<String, String> {
    let (_, library) = child::preloaded().ok_or("it was not told which library is preloaded")?;
    system::malloc_comes_from(&library)
}
