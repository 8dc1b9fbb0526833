//! Runs a workload under stratalloc.

use bench_harness::child::{self, Subject};
use comparisons::{registry::STRATALLOC, system};
use std::process::ExitCode;
use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

fn main() -> ExitCode {
    child::main(&Subject {
        name: STRATALLOC.name.to_owned(),
        title: STRATALLOC.title.to_owned(),
        order: STRATALLOC.order(),
        version: || env!("CARGO_PKG_VERSION").to_owned(),
        live_bytes: Some(|| MallocExtension::stats().in_use),
        owns: None,
        witness: Some(|| match MallocExtension::stats().mapped {
            0 => Err("not in use: it has taken no memory from the system".to_owned()),
            bytes => Ok(format!("it has taken {bytes} bytes from the system")),
        }),
        other_live_bytes: Some(system::ptmalloc_live_bytes),
        tune: None,
        trim: Some(|| MallocExtension::trim(0) > 0),
        release: Some(|| {
            MallocExtension::release_free_memory();
        }),
    })
}
