//! One request, a line, and its answer: a line `ok` or `error: why`, then text.
//!
//! | request | answer |
//! |---|---|
//! | `info` | the protocol's number, the allocator's version, bytes in use; a line each |
//! | `stats` | where every byte is |
//! | `top` | the same by size class, in columns |
//! | `metrics` | the same as OpenMetrics text |
//! | `heap` | the snapshot, options and size classes, for machines (`stats::heap_text`) |
//! | `threads` | what each thread has cached |
//! | `huge_pages` | how full each huge page is |
//! | `profile` | a dump (`profile::dump`) |
//! | `blocks` | a dump with every recorded block, where all are |
//! | `trim` | gives all free memory back; how many bytes left the process |
//! | `release N` | gives up to N bytes of free pages back; likewise |
//! | `set NAME=VALUE` | sets an option |

use crate::api;
use crate::os::files::Output;
use crate::parameters::{Id, Parameter};
use crate::profile::{self, Mode, dump};
use crate::stats;
use core::fmt::Write;

/// The number of the protocol: raised when a request or an answer changes its meaning.
const PROTOCOL: u32 = 1;

/// Answers one request.
pub fn answer(request: &[u8], out: &mut Output) {
    match try_answer(request, out) {
        Ok(()) => {}
        Err(reason) => {
            // Writing to `Output` does not fail; it remembers errors.
            let _ = writeln!(out, "error: {reason}");
        }
    }
}

fn try_answer(request: &[u8], out: &mut Output) -> Result<(), &'static str> {
    let request = core::str::from_utf8(request).map_err(|_| "not a request")?;
    let mut words = request.split_ascii_whitespace();
    let command = words.next().ok_or("not a request")?;
    let argument = words.next();
    if words.next().is_some() {
        return Err("too many words");
    }
    match (command, argument) {
        ("info", None) => {
            let (version, live) = (env!("CARGO_PKG_VERSION"), api::stats().in_use);
            let _ = writeln!(out, "ok\nprotocol {PROTOCOL}\nversion {version}\nlive_bytes {live}");
        }
        ("stats", None) => {
            out.put(b"ok\n");
            let _ = write!(out, "{}", api::stats());
        }
        ("top", None) => {
            out.put(b"ok\n");
            let _ = stats::write_classes(out);
        }
        ("metrics", None) => {
            out.put(b"ok\n");
            let _ = stats::write_metrics(out);
        }
        ("heap" | "threads" | "huge_pages", None) => {
            out.put(b"ok\n");
            let _ = match command {
                "heap" => stats::write_heap(out),
                "threads" => stats::write_threads(out),
                _ => stats::write_huge_pages(out),
            };
        }
        ("profile", None) => {
            if matches!(profile::mode(), Mode::Off | Mode::Record) {
                return Err("the process was started with neither leak_report nor sample_interval");
            }
            out.put(b"ok\n");
            dump::write(out);
        }
        ("blocks", None) => {
            if profile::mode() != Mode::Trace {
                return Err(
                    "the process was not started with leak_report, so not every block is known",
                );
            }
            out.put(b"ok\n");
            dump::write_with_blocks(out);
        }
        ("trim", None) => {
            let released = api::trim(0);
            let _ = writeln!(out, "ok\n{released} bytes given back");
        }
        ("release", Some(bytes)) => {
            let bytes = bytes.parse().map_err(|_| "release takes a number of bytes")?;
            let released = api::release_pages(bytes);
            let _ = writeln!(out, "ok\n{released} bytes given back");
        }
        ("set", Some(option)) => set(option, out)?,
        ("release" | "set", None) => return Err("an argument is missing"),
        (
            "info" | "stats" | "top" | "metrics" | "heap" | "threads" | "huge_pages" | "profile"
            | "blocks" | "trim",
            Some(_),
        ) => return Err("takes no argument"),
        _ => return Err("unknown request"),
    }
    Ok(())
}

/// Sets an option, given as `NAME=VALUE`.
fn set(option: &str, out: &mut Output) -> Result<(), &'static str> {
    let (name, value) = option.split_once('=').ok_or("set takes NAME=VALUE")?;
    let parameter = Parameter::by_name(name.as_bytes()).ok_or("no option has this name")?;
    if parameter.is(Id::SampleInterval) && profile::mode() != Mode::Sample {
        return Err("sample_interval can only be changed if it was set at the start");
    }
    if !parameter.set_text(value.as_bytes()) {
        return Err("the option does not take this value");
    }
    let _ = writeln!(out, "ok\n{} = {}", parameter.name, parameter.current());
    Ok(())
}
