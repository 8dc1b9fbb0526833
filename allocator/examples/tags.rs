//! Who the memory is for: tags for a scope and for futures, on a runtime that moves tasks between
//! threads.
//!
//! Two kinds of tasks run side by side on two threads, and each waits for the other's progress in
//! the middle of its work. At the end the program prints what each tag holds.

use std::hint::black_box;

use stratalloc::{Configured, Options, Stratalloc, Tag};

#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().sample_interval(4 << 10));

const BLOCK: usize = 64 << 10;

/// Allocates `count` blocks, and lets others run after each.
async fn blocks(count: usize) -> Vec<Vec<u8>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        held.push(black_box(vec![1; BLOCK]));
        tokio::task::yield_now().await;
    }
    held
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("worker")
        .build()
        .expect("a runtime");
    let table = {
        let _scope = stratalloc::tag("start-up");
        vec![1_u8; 10 * BLOCK]
    };
    let requests = Tag::new("requests").wrap(async {
        let kept = blocks(100).await;
        drop(blocks(50).await);
        kept
    });
    let cache = Tag::new("cache").wrap(blocks(200));
    let (requests, cache) = (runtime.spawn(requests), runtime.spawn(cache));
    let held = runtime.block_on(async { (requests.await, cache.await) });

    stratalloc::for_each_tag(|name, usage| {
        let blocks = |bytes: usize| (bytes + BLOCK / 2) / BLOCK;
        let (live, all) = (blocks(usage.live_bytes), blocks(usage.allocated_bytes));
        println!("{name}: {live} of {all} blocks of 64 KiB are held");
    });
    if let Some(path) = std::env::args().nth(1) {
        stratalloc::write_heap_profile(&path).expect("a profile");
    }
    drop((table, held));
}
