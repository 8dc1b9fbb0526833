//! A limit on what the process holds: what exceeds it is refused, and the program goes on.
//!
//! ```text
//! cargo run --release -p stratalloc --example limits
//! ```

use stratalloc::{Configured, Options, Stratalloc, options};

#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().hard_limit(64 << 20));

fn main() -> Result<(), stratalloc::Error> {
    let mut buffer: Vec<u8> = Vec::new();
    let refused = buffer.try_reserve_exact(128 << 20).is_err();
    println!("128 MiB under a limit of 64 MiB: {}", if refused { "refused" } else { "granted" });

    options::set_hard_limit(Some(256 << 20))?;
    let refused = buffer.try_reserve_exact(128 << 20).is_err();
    println!("128 MiB under a limit of 256 MiB: {}", if refused { "refused" } else { "granted" });
    println!("requests refused at the limit: {}", stratalloc::stats().hard_limit_hit_count > 0);
    Ok(())
}
