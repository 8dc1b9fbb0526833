//! Runs a workload under stratalloc.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::STRATALLOC;
use comparisons::system::sampling_proof;
use std::process::ExitCode;
use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static ALLOCATOR: Watched<Stratalloc> = Watched(Stratalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        live_bytes: Some(|| MallocExtension::stats().in_use),
        witness: Some(|| match MallocExtension::stats().mapped {
            0 => Err("not in use: it has taken no memory from the system".to_owned()),
            bytes => {
                let sampling = sampling_proof(|| stratalloc::write_heap_profile("/dev/null").is_ok())?;
                Ok(format!("it has taken {bytes} bytes from the system{sampling}"))
            }
        }),
        trim: Some(|| stratalloc::trim(0) > 0),
        release: Some(|| {
            MallocExtension::release_free_memory();
        }),
        ..STRATALLOC.subject(|| env!("CARGO_PKG_VERSION").to_owned())
    })
}
