//! The leak report at exit (`leak_report=on`, `json` or `unreachable`), and the status that a
//! process with leaks then exits with (`leak_exit_code`).
//!
//! Names of functions, and the lines they came from, are in the debug information of files, and
//! reading that takes more than an allocator should carry. So the dump goes to the program
//! `stratalloc-ctl`, which lies beside the file that the allocator is in, or where `ctl_path` says.
//! It runs with an empty environment. Where it is not found, the report names files and offsets in
//! them, as `addr2line` takes them.

use super::mode::{Mode, mode};
use super::output_file::{Path, create, with_pid};
use super::sampler::COUNT_UNIT;
use super::{dump, stacks};
use crate::base::fatal::say;
use crate::os::files::{File, Output, mapped_at};
use crate::os::{process, stdio_lock};
use crate::parameters::{self, Id, LeakReport, TextId, text};
use crate::sync::{AtomicU32, Ordering};
use core::ffi::CStr;
use core::fmt::Write;
use core::ptr;

/// Groups that the report without names shows.
const PLAIN_GROUPS: usize = 20;

/// Writes the report, once in the life of a process, if it was asked for. If it is not possible, as
/// a signal handler that interrupted the allocator has called `exit`, says so.
pub fn at_exit(is_possible: bool) {
    static DONE: AtomicU32 = AtomicU32::new(0);
    let format = parameters::get(Id::LeakReport);
    let is_wanted = [LeakReport::On, LeakReport::Json, LeakReport::Unreachable]
        .into_iter()
        .any(|wanted| wanted as usize == format);
    // Relaxed: nothing but the answer depends on it.
    if is_wanted && mode() == Mode::Trace && DONE.swap(1, Ordering::Relaxed) == 0 {
        if is_possible {
            write(format);
        } else {
            say(format_args!(
                "no leak report: a signal handler that interrupted the allocator called exit"
            ));
        }
    }
    leave(REPORTED);
}

/// Writes the report in `format`. Apart from the above, which every process runs.
#[cold]
#[inline(never)]
fn write(format: usize) {
    let append = libc::O_WRONLY | libc::O_APPEND;
    let file = text(TextId::LeakReportFile).and_then(|name| create(name, append));
    let output = file.as_ref().map_or(2, File::fd);
    let has_leaks = by_helper(format, output).unwrap_or_else(|| plain(output));
    if has_leaks {
        // Relaxed: read by the thread that exits, this one.
        FOUND.store(1, Ordering::Relaxed);
    }
}

/// 1 if leaks were reported. Relaxed: written and read by the thread that exits.
static FOUND: AtomicU32 = AtomicU32::new(0);

/// What is done before the process may leave by `leak_exit_code`: bits.
static PARTS: AtomicU32 = AtomicU32::new(0);
/// The report is written.
const REPORTED: u32 = 1;
/// The control socket is removed.
pub const CLOSED: u32 = 2;

/// Notes a part that is done when the process exits. With the last one, a process that has reported
/// leaks ends with the status `leak_exit_code`, if there is one: its streams are flushed, as `exit`
/// would do next.
pub fn leave(part: u32) {
    // Relaxed: one thread runs the handlers of an exit.
    let done = PARTS.fetch_or(part, Ordering::Relaxed) | part;
    let status = parameters::get(Id::LeakExitCode);
    let leaves = done == REPORTED | CLOSED && FOUND.load(Ordering::Relaxed) != 0 && status != 0;
    // What the program wrote is worth more than the status.
    if leaves && stdio_lock::flush_all() {
        process::exit(status);
    }
}

/// The path of `stratalloc-ctl`.
fn helper() -> Option<Path> {
    if let Some(path) = text(TextId::CtlPath) {
        return Some(with_pid(path));
    }
    let here = mapped_at(helper as *const () as usize)?;
    let folder = here.path.as_bytes();
    let folder = &folder[..=folder.iter().rposition(|&byte| byte == b'/')?];
    let mut path = Path::new();
    folder.iter().for_each(|&byte| path.push(byte));
    // Writing to a `FixedBuf` cannot fail.
    let _ = path.write_str("stratalloc-ctl\0");
    Some(path)
}

/// Hands the dump to `stratalloc-ctl`. Whether that wrote a report of leaks: it then cuts the dump
/// to nothing, as a program that ignores `SIGCHLD` learns of no status. `None` if it could not be
/// run.
fn by_helper(format: usize, output: usize) -> Option<bool> {
    let path = helper()?;
    let path = CStr::from_bytes_until_nul(path.as_bytes()).ok()?;
    let dump = File::in_memory(c"stratalloc-dump")?;
    let is_search = format == LeakReport::Unreachable as usize;
    let mut out = Output::to(dump.fd());
    if is_search {
        dump::write_with_blocks(&mut out);
    } else {
        dump::write(&mut out);
    }
    if !out.finish() {
        return None;
    }
    dump.rewind();
    let suppressions = option(b"--suppress=", text(TextId::LeakSuppressions).unwrap_or(b""));
    let named = text(TextId::LeakSuppressionsFile);
    let file = option(b"--suppressions=", named.unwrap_or(b""));
    let is_json = format == LeakReport::Json as usize;
    let form = if is_json { c"--format=json" } else { c"--format=text" };
    let mut arguments = [ptr::null(); 9];
    let given = [
        Some(c"stratalloc-ctl".as_ptr()),
        Some(c"report".as_ptr()),
        Some(c"--at-exit".as_ptr()),
        Some(form.as_ptr()),
        Some(suppressions.as_bytes().as_ptr().cast()),
        named.map(|_| file.as_bytes().as_ptr().cast()),
        is_search.then_some(c"--unreachable".as_ptr()),
        Some(c"-".as_ptr()),
    ];
    for (place, argument) in arguments.iter_mut().zip(given.into_iter().flatten()) {
        *place = argument;
    }
    let done = process::run(path, &arguments, dump.fd(), output, is_search);
    done.then(|| dump.length() == 0)
}

/// An option with its value, and a NUL. Never inlined, so that it writes to where the caller wants
/// the text.
#[inline(never)]
fn option(name: &[u8], value: &[u8]) -> Path {
    let mut text = Path::new();
    name.iter().chain(value).for_each(|&byte| text.push(byte));
    text.push(0);
    text
}

/// The report without names: the largest groups, with files and offsets. Whether there are any.
fn plain(output: usize) -> bool {
    let (mut bytes, mut count) = (0, 0);
    stacks::for_each(|_, tally| {
        bytes += tally.live_bytes;
        count += tally.live_count;
    });
    if count == 0 {
        return false;
    }
    let mut out = Output::to(output);
    // Writing to `Output` does not fail; it remembers errors.
    let _ = writeln!(
        out,
        "stratalloc: {bytes} bytes in {} allocations outstanding at exit (stratalloc-ctl, which knows \
         names, could not be run)",
        count / COUNT_UNIT
    );
    // Groups in order of (bytes, place in the table), largest first, without memory to sort them
    // in.
    let mut last = (usize::MAX, usize::MAX);
    for _ in 0..PLAIN_GROUPS {
        let mut best = (0, 0);
        let mut index = 0;
        stacks::for_each(|_, tally| {
            index += 1;
            let key = (tally.live_bytes, index);
            if tally.live_count > 0 && key < last && key > best {
                best = key;
            }
        });
        if best == (0, 0) {
            break;
        }
        last = best;
        write_group(&mut out, best.1);
    }
    out.finish();
    true
}

/// Writes the stack that `stacks::for_each` visits as number `wanted`.
fn write_group(out: &mut Output, wanted: usize) {
    let mut index = 0;
    stacks::for_each(|frames, tally| {
        index += 1;
        if index != wanted {
            return;
        }
        let count = tally.live_count / COUNT_UNIT;
        let _ = writeln!(out, "{} bytes in {count} allocations from stack", tally.live_bytes);
        for &frame in frames {
            let _ = match mapped_at(frame) {
                Some(file) => {
                    out.put(b"        ");
                    out.put(file.path.as_bytes());
                    writeln!(out, "+{:#x}", file.offset)
                }
                None => writeln!(out, "        {frame:#x}"),
            };
        }
    });
}
