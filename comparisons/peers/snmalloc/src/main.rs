//! Runs a workload under snmalloc.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::SNMALLOC;
use snmalloc_rs::SnMalloc;
use snmalloc_sys::{sn_rust_statistics, sn_rust_usable_size};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Watched<SnMalloc> = Watched(SnMalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        // Its page map knows each block's class: 500 bytes lie in one of 512. It answers 0 for
        // memory that is not its own.
        // SAFETY: the proof asks for blocks that it has just been given.
        owns: Some(|block| unsafe { sn_rust_usable_size(block.cast()) } == 512),
        witness: Some(|| match reserved() {
            0 => Err("not in use: it has reserved no memory".to_owned()),
            bytes => Ok(format!("it has reserved {bytes} bytes")),
        }),
        ..SNMALLOC.subject(|| env!("SNMALLOC_VERSION").to_owned())
    })
}

/// Bytes that it has taken from the system.
fn reserved() -> usize {
    let (mut now, mut peak) = (0, 0);
    // SAFETY: both pointers are valid for writing.
    unsafe { sn_rust_statistics(&mut now, &mut peak) };
    now
}
