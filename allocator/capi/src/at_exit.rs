//! A last check when the process ends: a pointer into the middle of a small block may still lie in a
//! magazine of the thread that calls `exit`, where nothing has looked at it yet. The option
//! `verify_at_exit` switches it off.

use allocator::front;

extern "C" fn verify() {
    front::verify_at_exit();
}

/// Run by the dynamic loader after the program's own destructors, and by `exit` in static programs.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = verify;
