//! Folded stacks: `outermost;...;innermost value`, a line for each.
//!
//! The form of flame graphs. A frame is a file and an address in it, as nothing is looked up in the
//! process. Stacks are visited by `stacks::for_each`, and each line goes out as it comes, so that
//! no memory is needed beyond the writer's buffer.

use super::kind::{LIFETIMES, ProfileKind};
use super::mappings::Mappings;
use super::writer::Writer;
use crate::profile::sampler::COUNT_UNIT;
use crate::profile::stacks;
use core::fmt::Write;

/// Writes a line for each stack that has something.
pub fn write(kind: ProfileKind, mappings: &Mappings, out: &mut dyn FnMut(&[u8])) {
    let mut out = Writer::plain(out);
    stacks::for_each(|stack, tally| {
        let stack = &stack[mappings.own_frames(stack)..];
        if kind != ProfileKind::Lifetimes {
            write_line(&mut out, stack, None, kind.values(&tally).bytes, mappings);
            return;
        }
        for (&count, name) in tally.lifetimes.iter().zip(LIFETIMES) {
            let blocks = (count + COUNT_UNIT / 2) / COUNT_UNIT;
            write_line(&mut out, stack, Some(name), blocks as i64, mappings);
        }
    });
    out.finish();
}

/// Writing to a `Writer` does not fail.
fn write_line(
    out: &mut Writer<'_>,
    stack: &[usize],
    innermost: Option<&str>,
    value: i64,
    mappings: &Mappings,
) {
    if value <= 0 {
        return;
    }
    for (index, &frame) in stack.iter().rev().enumerate() {
        if index > 0 {
            out.put(b";");
        }
        write_frame(out, frame, mappings);
    }
    if stack.is_empty() {
        out.put(b"[unknown]");
    }
    if let Some(name) = innermost {
        let _ = write!(out, ";{name}");
    }
    let _ = writeln!(out, " {value}");
}

/// The file, and the address of the call in it.
fn write_frame(out: &mut Writer<'_>, frame: usize, mappings: &Mappings) {
    let call = (frame as u64).wrapping_sub(1);
    let Some(index) = mappings.find(call) else {
        let _ = write!(out, "{call:#x}");
        return;
    };
    for &byte in mappings.file(index) {
        // Those that part frames and lines.
        out.put(&[if byte == b';' || byte == b'\n' { b':' } else { byte }]);
    }
    let _ = write!(out, "+{:#x}", call.wrapping_sub(mappings.get(index).bias));
}
