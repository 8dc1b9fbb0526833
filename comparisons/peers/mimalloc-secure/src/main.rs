//! Runs a workload under mimalloc 3 in its secure mode.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::{registry::MIMALLOC_SECURE, system};
use libmimalloc_sys::{mi_collect, mi_is_in_heap_region, mi_version};
use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<MiMalloc> = Watched(MiMalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        // SAFETY: it may be asked about any address.
        owns: Some(|block| unsafe { mi_is_in_heap_region(block.cast()) }),
        witness: Some(|| match number() {
            number if system::mimalloc_version(number).starts_with("3.") => {
                Ok(format!("mi_version() is {number}"))
            }
            number => Err(format!("not in use: mi_version() is {number}")),
        }),
        release: Some(|| {
            // SAFETY: it may be called at any time; with true it gives back what is free.
            unsafe { mi_collect(true) }
        }),
        ..MIMALLOC_SECURE.subject(|| system::mimalloc_version(number()))
    })
}

/// What the library says of its version.
fn number() -> i32 {
    // SAFETY: it returns a constant.
    unsafe { mi_version() }
}
