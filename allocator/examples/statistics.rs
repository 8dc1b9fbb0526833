//! Where every byte is: as numbers, as text for people, and as OpenMetrics text for monitoring.
//!
//! ```text
//! cargo run --release -p stratalloc --example statistics
//! ```

use stratalloc::Stratalloc;

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

fn main() -> Result<(), std::fmt::Error> {
    let held: Vec<Vec<u8>> = (1..1_000).map(|size| vec![0; size]).collect();
    let now = stratalloc::stats();
    println!("{} bytes in {} blocks are in use", now.in_use, now.in_use_count);
    println!("{now}");

    let mut classes = 0;
    stratalloc::for_each_size_class(|class| classes += usize::from(class.in_use_count > 0));
    println!("{classes} size classes are in use");

    let mut metrics = String::new();
    stratalloc::write_metrics(&mut metrics)?;
    println!("{metrics}");

    drop(held);
    println!("{} bytes went back to the system", stratalloc::release_free_memory());
    Ok(())
}
