//! What happens on a panic in this library: one line on standard error, then `abort`.
//!
//! There is no unwinding and no allocation on the way. The build aborts on panic, so nothing else
//! of Rust's panic machinery exists here.

use core::fmt::Write;
use core::panic::PanicInfo;

use crate::text::Text;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Text::<512>::new();
    // A full buffer truncates the line; there is nobody left to report that to.
    let _ = write!(line, "stratalloc: internal error: ");
    let _ = match info.location() {
        Some(place) => write!(line, "{}:{}: ", place.file(), place.line()),
        None => Ok(()),
    };
    let _ = writeln!(line, "{}", info.message());
    line.write_to_stderr();
    allocator::internal::abort()
}

// The precompiled `core` refers to the personality routine of Rust's unwinder. Only unoptimised
// builds keep the reference; nothing calls it, since panics abort. Weak and hidden, so that it is
// neither exported nor at odds with the one in another Rust library of the same program.
core::arch::global_asm!(
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
);
