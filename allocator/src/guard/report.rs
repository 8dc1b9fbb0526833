//! What is said before a process that misused a guarded or a watched block ends: one line with
//! what, where and which block, then the stacks.
//!
//! Lines, after the prefix `stratalloc: ` (tests and scripts may rely on the words before the
//! colon):
//!
//! * `use after free: read of 0x.., N bytes into a block of S bytes at 0x..`
//! * `out of bounds: write of 0x.., N bytes behind a block of S bytes at 0x..` (or `before`)
//! * `overwritten: 0x.., N bytes behind a block of S bytes at 0x..`: seen when it is freed
//! * `double free: 0x.., a block of S bytes`
//! * `invalid free: 0x.. points into the middle of a block of S bytes at 0x..`
//! * `layout mismatch: 0x.. was allocated with S bytes .., but given back with ..`
//!
//! A stack is a line that says whose it is, indented by two, and one line per call, indented by
//! four: `#0 0x7f.. /path/of/object+0x1234`. The number is where the code is in the object, as
//! `addr2line -e` and debuggers take it.

use crate::base::fatal::{abort, say};
use crate::base::fixed_buf::FixedBuf;
use crate::os::linux::{thread_number, write_stderr};
use crate::profile::unwind::{self, Registers};
use core::fmt::{self, Write};

/// What the caller of a `free` says that the block is.
#[derive(Clone, Copy, Debug)]
pub struct CallerLayout {
    /// The size that it was asked for with.
    pub size: usize,
    /// The alignment, where the caller must know that too.
    pub align: Option<usize>,
}

/// Most calls of a stack that are kept.
const DEPTH: usize = 24;

/// A stack, and the thread that it was of.
#[derive(Clone, Copy)]
pub struct Trace {
    frames: [usize; DEPTH],
    depth: usize,
    thread: u32,
    /// Whether the first address is that of an instruction, not one to return to.
    interrupted: bool,
}

impl Trace {
    /// No stack.
    pub const NONE: Self = Self { frames: [0; DEPTH], depth: 0, thread: 0, interrupted: false };

    /// The calling thread's.
    #[inline(never)]
    pub fn here() -> Self {
        let mut frames = [0; DEPTH + 1];
        let depth = unwind::capture(&mut frames);
        // The first is this function's own.
        Self::of(frames.get(1..depth).unwrap_or(&[]), thread_number(), false)
    }

    /// What a signal interrupted in the calling thread.
    pub fn interrupted(at: Registers) -> Self {
        let mut frames = [0; DEPTH];
        let depth = unwind::capture_from(at, &mut frames);
        Self::of(&frames[..depth], thread_number(), true)
    }

    /// Addresses to return to, innermost first. `thread` is 0 if it is not known.
    pub fn of(from: &[usize], thread: u32, interrupted: bool) -> Self {
        let mut frames = [0; DEPTH];
        let depth = from.len().min(DEPTH);
        frames[..depth].copy_from_slice(&from[..depth]);
        Self { frames, depth, thread, interrupted }
    }

    /// Writes it to stderr.
    pub fn write(&self, what: &str) {
        let mut line = FixedBuf::<256>::new();
        // Here and below: writing to a `FixedBuf` cannot fail.
        let _ = match self.thread {
            0 => writeln!(line, "  {what}:"),
            thread => writeln!(line, "  {what} by thread {thread}:"),
        };
        write_stderr(line.as_bytes());
        for (number, &frame) in self.frames[..self.depth].iter().enumerate() {
            let is_exact = self.interrupted && number == 0;
            write_frame(number, if is_exact { frame } else { frame - 1 });
        }
    }
}

/// One call, by the address of an instruction.
fn write_frame(number: usize, pc: usize) {
    let mut line = FixedBuf::<512>::new();
    let _ = write!(line, "    #{number} {pc:#x}");
    #[cfg(target_arch = "x86_64")]
    if let Some((loaded_at, path)) = crate::profile::cfi::object_at(pc) {
        let path = path.to_str().unwrap_or("?");
        let _ = write!(
            line,
            " {}+{:#x}",
            if path.is_empty() { "program" } else { path },
            pc - loaded_at
        );
    }
    let _ = line.write_str("\n");
    write_stderr(line.as_bytes());
}

/// A guarded block, live or not, as the report needs it.
pub struct Block {
    /// Its address.
    pub start: usize,
    /// The size that it was asked for with.
    pub size: usize,
    /// The alignment.
    pub align: usize,
    /// Whether it was not freed.
    pub is_live: bool,
    /// Who allocated it.
    pub allocated: Trace,
    /// Who freed it.
    pub freed: Trace,
}

impl Block {
    /// Bytes between the block and `addr`; 0 inside.
    pub fn distance(&self, addr: usize) -> usize {
        if addr < self.start {
            self.start - addr
        } else {
            addr.saturating_sub(self.start + self.size.max(1) - 1)
        }
    }

    fn end(&self, here: &Trace, here_is: &str) -> ! {
        here.write(here_is);
        if !self.is_live {
            self.freed.write("freed");
        }
        self.allocated.write("allocated");
        abort()
    }
}

/// Where an address is, as seen from a block.
struct Place<'a>(usize, &'a Block);

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(addr, Block { start, size, .. }) = *self;
        let (distance, side) = if addr < *start {
            (start - addr, "before")
        } else if addr < start + size {
            (addr - start, "into")
        } else {
            (addr - start - size, "behind")
        };
        let size_class =
            crate::page::size_class::SizeClass::of(*size).map_or(0, |class| class.size());
        write!(
            out,
            "{distance} bytes {side} a block of {size} bytes at {start:#x} (class of {size_class})"
        )
    }
}

/// An access that faulted.
pub fn fault(addr: usize, access: &str, block: &Block, at: &Trace) -> ! {
    let what = if block.is_live { "out of bounds" } else { "use after free" };
    say(format_args!("{what}: {access} of {addr:#x}, {}", Place(addr, block)));
    block.end(at, "accessed")
}

/// A byte beside the block was changed.
pub fn damaged(addr: usize, block: &Block, here: &Trace) -> ! {
    say(format_args!("overwritten: {addr:#x}, {}", Place(addr, block)));
    here.write("found when freed");
    block.allocated.write("allocated");
    abort()
}

/// An address in no block at all.
pub fn not_a_block(addr: usize, call: &str, here: &Trace) -> ! {
    say(format_args!(
        "invalid {call}: {addr:#x} was not allocated by this allocator, or was freed already"
    ));
    here.write(call);
    abort()
}

/// An address that is not the block's.
pub fn interior(addr: usize, call: &str, block: &Block, here: &Trace) -> ! {
    say(format_args!(
        "invalid {call}: {addr:#x} points into the middle of a block of {} bytes at {:#x}",
        block.size, block.start
    ));
    block.end(here, call)
}

/// A block that was freed before.
pub fn freed_twice(call: &str, block: &Block, here: &Trace) -> ! {
    let (start, size) = (block.start, block.size);
    match call {
        "free" => say(format_args!("double free: {start:#x}, a block of {size} bytes")),
        _ => say(format_args!(
            "invalid {call}: {start:#x}, a block of {size} bytes, was freed already"
        )),
    }
    block.end(here, call)
}

/// A block that is given back as another one than it is.
pub fn mismatch(
    addr: usize,
    caller_layout: &CallerLayout,
    size: usize,
    align: Option<usize>,
    allocated: &Trace,
    here: &Trace,
) -> ! {
    let mut was = FixedBuf::<64>::new();
    let mut given = FixedBuf::<64>::new();
    let _ = write!(was, "{size} bytes");
    let _ = write!(given, "{} bytes", caller_layout.size);
    if let (Some(align), Some(claimed)) = (align, caller_layout.align) {
        let _ = write!(was, " at a multiple of {align}");
        let _ = write!(given, " at a multiple of {claimed}");
    }
    say(format_args!(
        "layout mismatch: {addr:#x} was allocated with {}, but given back with {}",
        core::str::from_utf8(was.as_bytes()).unwrap_or("?"),
        core::str::from_utf8(given.as_bytes()).unwrap_or("?"),
    ));
    here.write("given back");
    allocated.write("allocated");
    abort()
}
