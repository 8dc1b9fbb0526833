//! Runs a workload under rpmalloc.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::RPMALLOC;
use rpmalloc::RpMalloc;
use rpmalloc_sys::rpmalloc_usable_size;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<RpMalloc> = Watched(RpMalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        // It reads the block's class from the head of its span: 500 bytes lie in one of 512.
        // SAFETY: the proof asks for blocks that it has just been given; for a block of another
        // allocator there would be no such head, and the run would end by a signal or by a wrong
        // class.
        owns: Some(|block| unsafe { rpmalloc_usable_size(block.cast_mut().cast()) } == 512),
        // Its `rpaligned_alloc` refuses what is not below the size of a span, 64 KiB.
        largest_alignment: Some(1 << 15),
        ..RPMALLOC.subject(|| env!("RPMALLOC_VERSION").to_owned())
    })
}
