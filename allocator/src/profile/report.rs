//! The leak report at exit (`leak_report=on` or `json`).
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
use crate::base::fixed_buf::FixedBuf;
use crate::os::files::{File, Output, mapped_at};
use crate::os::process;
use crate::parameters::{self, Id, LeakReport, TextId, text};
use crate::sync::{AtomicU32, Ordering};
use core::ffi::CStr;
use core::fmt::Write;
use core::ptr;

/// Groups that the report without names shows.
const PLAIN_GROUPS: usize = 20;

/// Writes the report, once in the life of a process, if it was asked for.
pub fn at_exit() {
    static DONE: AtomicU32 = AtomicU32::new(0);
    let json = match parameters::get(Id::LeakReport) {
        format if format == LeakReport::On as usize => false,
        format if format == LeakReport::Json as usize => true,
        _ => return,
    };
    // Relaxed: nothing but the answer depends on it.
    if mode() != Mode::Trace || DONE.swap(1, Ordering::Relaxed) != 0 {
        return;
    }
    let append = libc::O_WRONLY | libc::O_APPEND;
    let file = text(TextId::LeakReportFile).and_then(|name| create(name, append));
    let output = file.as_ref().map_or(2, File::fd);
    if !by_helper(json, output) {
        plain(output);
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

/// Hands the dump to `stratalloc-ctl`. Whether that wrote the report.
fn by_helper(json: bool, output: usize) -> bool {
    let Some(path) = helper() else { return false };
    let Ok(path) = CStr::from_bytes_until_nul(path.as_bytes()) else { return false };
    let Some(dump) = File::in_memory(c"stratalloc-dump") else { return false };
    let mut out = Output::to(dump.fd());
    dump::write(&mut out);
    if !out.finish() {
        return false;
    }
    dump.rewind();
    let mut suppressions = FixedBuf::<640>::new();
    let _ = suppressions.write_str("--suppress=");
    text(TextId::LeakSuppressions).unwrap_or(b"").iter().for_each(|&byte| suppressions.push(byte));
    suppressions.push(0);
    let format = if json { c"--format=json" } else { c"--format=text" };
    let arguments = [
        c"stratalloc-ctl".as_ptr(),
        c"report".as_ptr(),
        c"--at-exit".as_ptr(),
        format.as_ptr(),
        suppressions.as_bytes().as_ptr().cast(),
        c"-".as_ptr(),
        ptr::null(),
    ];
    process::run(path, &arguments, dump.fd(), output)
}

/// The report without names: the largest groups, with files and offsets.
fn plain(output: usize) {
    let (mut bytes, mut count) = (0, 0);
    stacks::for_each(|_, tally| {
        bytes += tally.live_bytes;
        count += tally.live_count;
    });
    if count == 0 {
        return;
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
