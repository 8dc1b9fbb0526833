//! Options that are compiled into a program, and what outweighs them.
//!
//! ```text
//! cargo run --release -p stratalloc --example options
//! STRATALLOC_OPTIONS=decay_ms=50 cargo run --release -p stratalloc --example options
//! ```

use stratalloc::options::HugePages;
use stratalloc::{Configured, Options, Stratalloc, options};

/// Out of range, for example `soft_limit(10)`, would not compile.
const LEAN: Options = Options::new().decay_ms(500).huge_pages(HugePages::Never);

#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(LEAN.soft_limit(256 << 20));

fn main() -> Result<(), stratalloc::Error> {
    println!("compiled in: {:?}", GLOBAL.options());
    println!("decay_ms now: {}", options::get("decay_ms")?);
    println!("soft_limit now: {}", options::get("soft_limit")?);
    options::set("soft_limit", "512MiB")?;
    println!("soft_limit after that: {}", options::get("soft_limit")?);
    if let Err(error) = options::set("soft_limit", "10") {
        println!("10 bytes: {error}");
    }
    Ok(())
}
