//! The allocator as a program's global one. Everything that the program allocates comes from it.
//!
//! ```text
//! cargo run --release -p stratalloc --example global_allocator
//! ```

use std::thread;

use stratalloc::Stratalloc;

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

fn main() {
    let workers = (0..4_u64).map(|worker| {
        thread::spawn(move || (0..1_000).map(|n| Box::new(n * worker)).map(|n| *n).sum::<u64>())
    });
    let workers: Vec<_> = workers.collect();
    let sums: Vec<u64> =
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect();
    println!("sums: {sums:?}");
    println!("the vector is stratalloc's: {}", stratalloc::owns(sums.as_ptr().cast()));
}
