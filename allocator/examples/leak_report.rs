//! Says at exit what is still allocated, by the stack that allocated it.
//!
//! ```text
//! cargo run -p stratalloc --example leak_report
//! ```
//!
//! The report names functions if `stratalloc-ctl` lies beside the program, and has addresses
//! otherwise. Any program on stratalloc does the same, without being compiled again, with
//! `STRATALLOC_LEAK_REPORT=on`.

use stratalloc::options::LeakReport;
use stratalloc::{Configured, Options, Stratalloc};

#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().leak_report(LeakReport::On));

#[inline(never)]
fn forget_something() {
    std::mem::forget(vec![1_u8; 12_345]);
}

fn main() {
    forget_something();
    println!("leaving");
}
