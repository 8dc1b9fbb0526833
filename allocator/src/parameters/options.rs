//! Option strings, `name=value,name=value`: the parser, the messages on stderr about mistakes
//! (prefix `stratalloc: `, a line each), and the answer to `help`.
//!
//! The parser changes nothing. What it finds goes to a sink, so tests can inspect it.

use super::table::{Id, Parameter, TABLE};
use super::texts::{self, TEXTS, TextId};
use super::value::Value;
use crate::os::linux::write_stderr;
use core::fmt::{self, Write};

/// What was found in an option string or a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A parameter and a value that it takes.
    Set(Id, usize),
    /// A parameter, and text that is no value of it.
    BadValue(Id, &'a [u8]),
    /// A name that no parameter has.
    Unknown(&'a [u8]),
    /// A parameter that is text, and the text.
    Text(TextId, &'a [u8]),
    /// A request to print the table.
    Help,
}

/// Reads an option string. Empty items are skipped; of two values for one name the last counts.
pub fn read_list<'a>(text: &'a [u8], sink: &mut impl FnMut(Found<'a>)) {
    for item in text.split(|&byte| byte == b',') {
        let item = item.trim_ascii();
        if item.is_empty() {
            continue;
        }
        let equals = item.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals {
            Some(at) => (item[..at].trim_ascii(), &item[at + 1..]),
            None => (item, &item[item.len()..]),
        };
        if equals.is_none() && name == b"help" {
            sink(Found::Help);
            continue;
        }
        match Parameter::by_name(name) {
            Some(parameter) => sink(read_value(parameter, value)),
            None => sink(match texts::by_name(name) {
                Some(id) => Found::Text(id, value.trim_ascii()),
                None => Found::Unknown(name),
            }),
        }
    }
}

/// Reads the value of a parameter.
pub fn read_value<'a>(parameter: &Parameter, value: &'a [u8]) -> Found<'a> {
    match parameter.kind.parse(value) {
        Some(number) => Found::Set(parameter.id, number),
        None => Found::BadValue(parameter.id, value),
    }
}

/// Reports on stderr what is wrong with something that was found, if anything is.
#[cold]
#[inline(never)]
pub fn complain(found: Found<'_>) {
    match found {
        Found::Set(..) | Found::Help => {}
        Found::Text(id, _) => say(format_args!(
            "stratalloc: text for option {} ignored: it is too long",
            TEXTS[id as usize].name
        )),
        Found::Unknown(name) => say(format_args!(
            "stratalloc: unknown option \"{}\" ignored; STRATALLOC_OPTIONS=help lists them",
            Shown(name)
        )),
        Found::BadValue(id, value) => {
            let parameter = &TABLE[id as usize];
            say(format_args!(
                "stratalloc: bad value \"{}\" for option {} ignored; it takes {}",
                Shown(value),
                parameter.name,
                parameter.kind
            ));
        }
    }
}

/// Prints the table on stderr, with the present values.
#[cold]
#[inline(never)]
pub fn print_help(value_of: impl Fn(Id) -> usize) {
    say(format_args!(
        "stratalloc {} options: STRATALLOC_OPTIONS=\"name=value,name=value\", or a variable each: \
         STRATALLOC_<NAME>=value",
        env!("CARGO_PKG_VERSION")
    ));
    for parameter in TABLE {
        let now = Value { kind: parameter.kind, number: value_of(parameter.id) };
        say(format_args!(
            "  {} = {now}   (default {}; {}: {})",
            parameter.name,
            parameter.default(),
            parameter.kind.unit(),
            parameter.kind
        ));
        say(format_args!("      {} [{}]", parameter.meaning, parameter.clause));
        say(format_args!("      {}", parameter.cost));
    }
    print_texts();
}

/// Prints the parameters that are text.
fn print_texts() {
    for text in &TEXTS {
        let now = Shown(texts::text(text.id()).unwrap_or(b"(not set)"));
        say(format_args!("  {} = {now}   (text)", text.name));
        say(format_args!("      {}", text.meaning));
    }
}

/// Writes one line, in pieces: the caller may have a small stack, and lines of help are long.
#[inline(never)]
fn say(line: fmt::Arguments<'_>) {
    let mut pieces = Pieces { bytes: [0; 192], len: 0 };
    // Writing to `Pieces` cannot fail.
    let _ = pieces.write_fmt(line);
    let _ = pieces.write_str("\n");
    write_stderr(&pieces.bytes[..pieces.len]);
}

/// Text on its way to stderr.
struct Pieces {
    bytes: [u8; 192],
    len: usize,
}

impl Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                write_stderr(&self.bytes);
                self.len = 0;
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// Bytes from outside, cut off and made harmless for a terminal.
struct Shown<'a>(&'a [u8]);

/// Most bytes shown.
const SHOWN_MAX: usize = 60;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in &self.0[..self.0.len().min(SHOWN_MAX)] {
            let harmless = byte == b' ' || byte.is_ascii_graphic();
            out.write_char(if harmless { char::from(byte) } else { '?' })?;
        }
        out.write_str(if self.0.len() > SHOWN_MAX { "..." } else { "" })
    }
}
