//! Everything known, as lines of text: for `stratalloc-ctl`, which turns addresses into names.
//!
//! ```text
//! stratalloc profile 1
//! pid 1234
//! mode trace
//! interval 0
//! clock_ms 567
//! lost 0
//! live_bytes 100 peak_bytes 200
//! label NUMBER NAME
//! stack LIVE_COUNT LIVE_BYTES TOTAL_COUNT TOTAL_BYTES PEAK_COUNT PEAK_BYTES LIFETIMES @ ADDRESS...
//! labels TAG THREAD
//! mappings
//! (the lines of /proc/thread-self/maps)
//! build_id START HEX
//! end
//! ```
//!
//! A line `labels` says what the stack before it is attributed to: numbers of names, 0 for none. It
//! is left out if both are 0; names come before stacks.
//!
//! With the blocks, for a search of what no pointer leads to, each stack has its number behind it,
//! and before the end stand the allocator's own ranges of addresses and every recorded block
//! (`own_incomplete` if not all ranges are known):
//!
//! ```text
//! stack_id HEX
//! ...
//! own START END
//! block ADDRESS SIZE STACK_ID
//! ```
//!
//! Counts are in thousandths. `LIFETIMES` are six counts of freed blocks: shorter than 1 ms, 10 ms,
//! 100 ms, 1 s, 1 min, and longer. Addresses are hexadecimal, innermost first. Figures are read
//! stack by stack while the process goes on. A file that is mapped from its start on has a line
//! with its build-id (`build_ids`).

use super::labels::{self, Labels};
use super::mode::{Mode, mode};
use super::output_file::create;
use super::{blocks, build_ids, stacks};
use crate::config::HUGE_SIZE;
use crate::os::files::{File, Output, copy};
use crate::os::linux::process_number;
use crate::os::{Linux, Os};
use crate::page::metadata::METADATA;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use core::fmt::Write;

/// Writes the dump.
pub fn write(out: &mut Output) {
    write_with(out, false);
}

/// Writes the dump with all recorded blocks.
pub fn write_with_blocks(out: &mut Output) {
    write_with(out, true);
}

fn write_with(out: &mut Output, has_blocks: bool) {
    let (mode, interval) = match mode() {
        Mode::Off | Mode::Record => ("off", 0),
        Mode::Trace => ("trace", 0),
        Mode::Sample => ("sample", parameters::get(Id::SampleInterval)),
    };
    let lost = blocks::lost();
    let (live, peak) = stacks::sums();
    let pid = process_number();
    // Writing to `Output` does not fail; it remembers errors.
    let _ = writeln!(out, "stratalloc profile 1\npid {pid}\nmode {mode}\ninterval {interval}");
    let _ = writeln!(out, "clock_ms {}\nlost {lost}", Linux.now_ms());
    let _ = writeln!(out, "live_bytes {live} peak_bytes {peak}");
    labels::for_each(|number, name, _| {
        let _ = writeln!(out, "label {number} {name}");
    });
    stacks::for_each_labelled(|frames, tally, labels| {
        let _ = write!(
            out,
            "stack {} {} {} {} {} {}",
            tally.live_count,
            tally.live_bytes,
            tally.total_count,
            tally.total_bytes,
            tally.peak_count,
            tally.peak_bytes
        );
        for count in tally.lifetimes {
            let _ = write!(out, " {count}");
        }
        let _ = write!(out, " @");
        for frame in frames {
            let _ = write!(out, " {frame:x}");
        }
        let _ = writeln!(out);
        if has_blocks {
            let _ = writeln!(out, "stack_id {:x}", id(frames));
        }
        if labels != Labels::default() {
            let _ = writeln!(out, "labels {} {}", labels.tag, labels.thread);
        }
    });
    out.put(b"mappings\n");
    copy(c"/proc/thread-self/maps", out);
    build_ids::write(out);
    if has_blocks {
        write_blocks(out);
    }
    out.put(b"end\n");
}

/// The number of a stack: where its frames lie, or 0 for those that found no room.
fn id(frames: &[usize]) -> usize {
    if frames.is_empty() { 0 } else { frames.as_ptr() as usize }
}

/// Writes the allocator's own ranges, and the blocks.
fn write_blocks(out: &mut Output) {
    let mut own = |start: usize, end: usize| {
        let _ = writeln!(out, "own {start:x} {end:x}");
    };
    PAGE_HEAP.for_each_owned(|addr| own(addr, addr + HUGE_SIZE));
    if !METADATA.for_each_range(own) {
        out.put(b"own_incomplete\n");
    }
    blocks::for_each(|addr, size, frames| {
        let _ = writeln!(out, "block {addr:x} {size} {:x}", id(frames));
    });
}

/// Writes a dump to the file `name`, where `%p` stands for the process's number, over what was
/// there. Whether that worked.
pub fn write_to(name: &[u8]) -> bool {
    open(name, 0).is_some_and(write_over)
}

/// Opens the file `name`, with the rights of the calling thread, and leaves what is there; `flags`
/// beside those for writing. If it is a symbolic link, a line on stderr says that it is not
/// followed. As good in a signal's handler as anywhere. The path is off the stack when the dump is
/// written.
#[inline(never)]
pub fn open(name: &[u8], flags: i32) -> Option<File> {
    create(name, libc::O_WRONLY | flags)
}

/// Writes a dump to `file`, over what was there. Whether that worked.
#[inline(never)]
pub fn write_over(file: File) -> bool {
    // Not possible with a pipe, and not necessary.
    file.set_length(0);
    let mut out = Output::to(file.fd());
    write(&mut out);
    out.finish()
}
