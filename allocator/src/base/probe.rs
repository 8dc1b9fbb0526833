//! Static probe points (USDT), for bcc, bpftrace, perf, SystemTap, gdb and OpenTelemetry's
//! profiler.
//!
//! A probe is one `nop` and a note in the file that says where it is, what it is called and in
//! which registers its arguments are. `docs/profiling.md` lists them. They are on slow paths only.
//!
//! `probe!("name", ...)` is one of the provider `stratalloc`, with two or three arguments;
//! `probe!("provider":"name", ...)` one of another provider. `timed!("name", clock, first, second,
//! work)` does some work, and has the nanoseconds that it took as a third argument: the clock is
//! read only while somebody looks, who counts a word up that the note names (a *semaphore*).

/// The registers of so many arguments, as notes name them.
#[cfg(target_arch = "x86_64")]
macro_rules! registers {
    (1) => {
        "8@%{0}"
    };
    (2) => {
        "8@%{0} 8@%{1}"
    };
    (3) => {
        "8@%{0} 8@%{1} 8@%{2}"
    };
}

/// The registers of so many arguments, as notes name them.
#[cfg(target_arch = "aarch64")]
macro_rules! registers {
    (1) => {
        "8@{0}"
    };
    (2) => {
        "8@{0} 8@{1}"
    };
    (3) => {
        "8@{0} 8@{1} 8@{2}"
    };
}

/// Marks a probe point.
#[cfg_attr(loom, allow(unused_macros))]
macro_rules! probe {
    ($provider:literal : $name:literal, $first:expr) => {{
        let first = $first as usize;
        $crate::base::probe::probe!(@emit $provider, $name, $crate::base::probe::registers!(1), "0", first)
    }};
    ($name:literal, $first:expr, $second:expr) => {{
        let (first, second) = ($first as usize, $second as usize);
        $crate::base::probe::probe!(
            @emit "stratalloc", $name, $crate::base::probe::registers!(2), "0", first, second
        )
    }};
    ($name:literal, $first:expr, $second:expr, $third:expr) => {
        $crate::base::probe::probe!("stratalloc": $name, $first, $second, $third)
    };
    ($provider:literal : $name:literal, $first:expr, $second:expr, $third:expr) => {{
        let (first, second, third) = ($first as usize, $second as usize, $third as usize);
        $crate::base::probe::probe!(
            @emit $provider, $name, $crate::base::probe::registers!(3), "0", first, second, third
        )
    }};
    (@emit $provider:literal, $name:expr, $arguments:expr, $semaphore:expr, $($input:ident),+) => {
        // SAFETY: one `nop`, with inputs in registers. The rest is data in a note section, which is
        // not loaded (the format is that of `sys/sdt.h`).
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
                concat!(".8byte ", $semaphore),
                concat!(".asciz \"", $provider, "\""),
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
                $(in(reg) $input,)+
                options(nomem, nostack, preserves_flags),
            );
        }
    };
}

/// Does `$work`, and marks a probe point behind it with the nanoseconds that it took.
#[cfg(target_arch = "x86_64")]
#[cfg_attr(loom, allow(unused_macros))]
macro_rules! timed {
    ($name:literal, $clock:path, $first:expr, $second:expr, $work:expr) => {{
        let watchers: u32;
        // SAFETY: reads a word of the probe's own, in a section of the file's data that the note
        // names. A tracer counts it up and down, and nothing depends on when that is seen.
        unsafe {
            core::arch::asm!(
                concat!(".ifndef _.stratalloc.semaphore.", $name),
                ".pushsection .probes, \"aw\", @progbits",
                ".balign 2",
                concat!("_.stratalloc.semaphore.", $name, ": .2byte 0"),
                ".popsection",
                ".endif",
                concat!("movzx {0:e}, word ptr [rip + _.stratalloc.semaphore.", $name, "]"),
                out(reg) watchers,
                options(nostack, readonly, preserves_flags),
            );
        }
        let start = if watchers > 0 { $clock() } else { 0 };
        let result = $work;
        if watchers > 0 {
            let took = $clock().wrapping_sub(start) as usize;
            let (first, second) = ($first as usize, $second as usize);
            $crate::base::probe::probe!(
                @emit "stratalloc",
                $name,
                $crate::base::probe::registers!(3),
                concat!("_.stratalloc.semaphore.", $name),
                first,
                second,
                took
            );
        }
        result
    }};
}

/// Does `$work`.
#[cfg(target_arch = "aarch64")]
macro_rules! timed {
    ($name:literal, $clock:path, $first:expr, $second:expr, $work:expr) => {{
        let (_, _) = ($clock, ($first as usize, $second as usize));
        $work
    }};
}

pub(crate) use {probe, registers, timed};
