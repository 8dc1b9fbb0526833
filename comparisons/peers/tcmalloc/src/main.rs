//! Runs a workload under Google's tcmalloc.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::TCMALLOC;
use std::ffi::{c_int, c_void};
use std::process::ExitCode;
use tcmalloc_better::TCMalloc;

#[global_allocator]
static ALLOCATOR: Watched<TCMalloc> = Watched(TCMalloc);

// What its C++ class `MallocExtension` calls.
unsafe extern "C" {
    fn MallocExtension_Internal_GetPerCpuCachesActive() -> bool;
    fn MallocExtension_Internal_GetOwnership(block: *const c_void) -> c_int;
    fn MallocExtension_Internal_ReleaseMemoryToSystem(bytes: usize) -> usize;
}

/// `Ownership::kOwned`.
const OWNED: c_int = 1;

fn main() -> ExitCode {
    child::main(&Subject {
        owns: Some(|block| {
            // SAFETY: it may be asked about any address.
            unsafe { MallocExtension_Internal_GetOwnership(block.cast()) == OWNED }
        }),
        witness: Some(|| {
            // SAFETY: it may be called at any time.
            let active = unsafe { MallocExtension_Internal_GetPerCpuCachesActive() };
            let not = if active { "" } else { "not " };
            Ok(format!("its caches of each processor are {not}active"))
        }),
        release: Some(|| {
            // SAFETY: it may be called at any time.
            unsafe { MallocExtension_Internal_ReleaseMemoryToSystem(usize::MAX) };
        }),
        ..TCMALLOC.subject(|| env!("TCMALLOC_VERSION").to_owned())
    })
}
