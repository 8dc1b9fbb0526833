//! Writes who holds memory at this moment, from samples, to the file that its argument names.
//!
//! ```text
//! cargo run --release -p stratalloc --example heap_profile -- /tmp/heap.dump
//! cargo run --release -p stratalloc-ctl -- report /tmp/heap.dump
//! ```

use stratalloc::{Configured, Options, Stratalloc};

/// One allocation in 64 KiB is sampled; a service would choose 512 KiB.
#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().sample_interval(64 << 10));

#[inline(never)]
fn cache() -> Vec<Vec<u8>> {
    (0..2_000).map(|size| vec![0; 1_000 + size]).collect()
}

fn main() -> Result<(), stratalloc::Error> {
    let held = cache();
    let path = std::env::args().nth(1).unwrap_or_else(|| "heap.dump".to_owned());
    stratalloc::write_heap_profile(&path)?;
    println!("{} vectors are held; the profile is in {path}", held.len());
    Ok(())
}
