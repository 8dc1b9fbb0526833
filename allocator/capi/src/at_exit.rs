//! When the process ends: the leak report and the end of a trace, where they are wanted, and a last
//! check. A pointer into the middle of a small block may still lie in a magazine of the thread that
//! calls `exit`, where nothing has looked at it yet. The option `verify_at_exit` switches the check
//! off.

use allocator::internal::front;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn verify() {
    front::verify_at_exit();
    front::report_at_exit();
}

/// Run by the dynamic loader after the program's own destructors, and by `exit` in static programs.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = verify;

// Tells the allocator that there is such a hook.
core::arch::global_asm!(
    ".pushsection .rodata.stratalloc_hooks_exit, \"a\", @progbits",
    ".weak stratalloc_hooks_exit_0_1",
    ".hidden stratalloc_hooks_exit_0_1",
    "stratalloc_hooks_exit_0_1:",
    ".byte 1",
    ".popsection",
);
