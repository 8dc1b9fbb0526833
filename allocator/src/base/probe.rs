//! Static probe points (USDT), for bcc, bpftrace, perf, SystemTap and gdb.
//!
//! A probe is one `nop` and a note in the file that says where it is, what it is called (provider
//! `stratalloc`) and in which registers its two arguments are. `docs/profiling.md` lists them. They
//! are on slow paths only.

/// Marks a probe point with two arguments.
macro_rules! probe {
    ($name:literal, $first:expr, $second:expr) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::base::probe::probe!(@emit $name, "8@%{0} 8@%{1}", $first, $second);
        #[cfg(target_arch = "aarch64")]
        $crate::base::probe::probe!(@emit $name, "8@{0} 8@{1}", $first, $second);
    }};
    (@emit $name:literal, $arguments:literal, $first:expr, $second:expr) => {{
        let (first, second) = ($first as usize, $second as usize);
        // SAFETY: one `nop`, with two inputs in registers. The rest is data in a note section,
        // which is not loaded (the format is that of `sys/sdt.h`).
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt, \"\", @note",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b",
                ".8byte _.stapsdt.base",
                ".8byte 0",
                ".asciz \"stratalloc\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", $arguments, "\""),
                "994: .balign 4",
                ".popsection",
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base, \"axGR\", @progbits, .stapsdt.base, comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                in(reg) first,
                in(reg) second,
                options(nomem, nostack, preserves_flags),
            );
        }
    }};
}

pub(crate) use probe;
