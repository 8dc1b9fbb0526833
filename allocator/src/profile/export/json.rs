//! All figures of a profile as JSON (RFC 8259).
//!
//! `mappings` has files with their build-ids. Each of `stacks` has `count` (blocks, estimated where
//! they are sampled), `bytes`, and `frames`, innermost first: the number of a mapping, or null, and
//! the address of the call in that file. Lifetimes have `lifetimes`, blocks by class.

use super::kind::{LIFETIMES, ProfileKind};
use super::mappings::Mappings;
use super::writer::Writer;
use crate::parameters::{self, Id, NEVER};
use crate::profile::mode::{Mode, mode};
use crate::profile::sampler::COUNT_UNIT;
use crate::profile::{blocks, stacks};
use core::fmt::{Arguments, Write};

/// Writing to a `Writer` does not fail.
fn put(out: &mut Writer<'_>, text: Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Writes the object.
pub fn write(kind: ProfileKind, mappings: &Mappings, out: &mut dyn FnMut(&[u8])) {
    let out = &mut Writer::plain(out);
    let mode = if mode() == Mode::Trace { "trace" } else { "sample" };
    let interval = match parameters::get(Id::SampleInterval) {
        NEVER => 0,
        interval => interval,
    };
    put(out, format_args!("{{\"kind\":\"{}\",\"mode\":\"{mode}\",", kind.name()));
    put(out, format_args!("\"interval\":{interval},\"lost\":{},\n\"mappings\":[", blocks::lost()));
    for index in 0..mappings.count() {
        write_mapping(out, index, mappings);
    }
    out.put(b"],\n");
    if kind == ProfileKind::Lifetimes {
        put(out, format_args!("\"lifetimes\":{LIFETIMES:?},\n"));
    }
    out.put(b"\"stacks\":[");
    let mut is_first = true;
    stacks::for_each(|stack, tally| {
        let values = kind.values(&tally);
        if values.count == 0 && values.bytes == 0 {
            return;
        }
        out.put(if is_first { b"\n" } else { b",\n" });
        is_first = false;
        out.put(b"{\"count\":");
        put_thousandths(out, values.count);
        if kind == ProfileKind::Lifetimes {
            for (index, &count) in tally.lifetimes.iter().enumerate() {
                out.put(if index == 0 { b",\"lifetimes\":[" } else { b"," });
                put_thousandths(out, count as i64);
            }
            out.put(b"]");
        } else {
            put(out, format_args!(",\"bytes\":{}", values.bytes));
        }
        write_frames(out, &stack[mappings.own_frames(stack)..], mappings);
    });
    out.put(b"\n]}\n");
    out.finish();
}

fn put_thousandths(out: &mut Writer<'_>, count: i64) {
    let (sign, count) = (if count < 0 { "-" } else { "" }, count.unsigned_abs());
    let unit = COUNT_UNIT as u64;
    put(out, format_args!("{sign}{}.{:03}", count / unit, count % unit));
}

fn write_frames(out: &mut Writer<'_>, stack: &[usize], mappings: &Mappings) {
    out.put(b",\"frames\":[");
    for (index, &frame) in stack.iter().enumerate() {
        if index > 0 {
            out.put(b",");
        }
        let call = (frame as u64).wrapping_sub(1);
        match mappings.find(call) {
            Some(index) => {
                let address = call.wrapping_sub(mappings.get(index).bias);
                put(out, format_args!("[{index},\"{address:#x}\"]"));
            }
            None => put(out, format_args!("[null,\"{call:#x}\"]")),
        }
    }
    out.put(b"]}");
}

fn write_mapping(out: &mut Writer<'_>, index: usize, mappings: &Mappings) {
    let mapping = mappings.get(index);
    out.put(if index == 0 { b"\n" } else { b",\n" });
    let (start, end, offset) = (mapping.start, mapping.end, mapping.offset);
    put(out, format_args!("{{\"start\":\"{start:#x}\",\"end\":\"{end:#x}\",\"offset\":{offset},"));
    out.put(b"\"build_id\":\"");
    mapping.build_id().iter().for_each(|byte| put(out, format_args!("{byte:02x}")));
    out.put(b"\",\"file\":\"");
    for &byte in mappings.name(index) {
        match byte {
            b'"' | b'\\' => out.put(&[b'\\', byte]),
            0..0x20 | 0x7F => put(out, format_args!("\\u{byte:04x}")),
            // Names need not be UTF-8, and JSON must be. Where they are, they stay.
            0x80.. if core::str::from_utf8(mappings.name(index)).is_err() => out.put(b"?"),
            _ => out.put(&[byte]),
        }
    }
    out.put(b"\"}");
}
