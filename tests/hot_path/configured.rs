//! The rounds on the allocator with an option of the program's own, which must cost nothing where a
//! thread's cache serves an allocation.

use stratalloc::{Configured, Options, Stratalloc};

mod rounds;

#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().decay_ms(500));

fn main() {
    rounds::run();
}
