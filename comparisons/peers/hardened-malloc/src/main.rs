//! Runs a workload under GrapheneOS's hardened_malloc, as its authors configure it by default.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::HARDENED_MALLOC;
use hardened_malloc::{HardenedMalloc, malloc_object_size};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<HardenedMalloc> = Watched(HardenedMalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        // Blocks of 500 bytes lie in slots of 512, of which a canary takes eight.
        // SAFETY: the proof asks for blocks that it has just been given; a block of another
        // allocator would end the program with a message.
        owns: Some(|block| unsafe { malloc_object_size(block.cast()) } == 504),
        ..HARDENED_MALLOC.subject(|| env!("HARDENED_MALLOC_VERSION").to_owned())
    })
}
