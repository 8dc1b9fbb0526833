//! Values as text: `64MiB`, `500ms`, `never`, `on`.
//!
//! What `Value` displays, `Kind::parse` reads back as the same number. Units are powers of 1,024,
//! with or without the `iB`. Case and blanks around a value do not matter. No state: what a
//! parameter is set to is in `values`.

use crate::config::MAX_REQUEST;
use core::fmt;

/// A value that is never reached: no decay by itself, no block large enough.
pub const NEVER: usize = usize::MAX;

/// What values an option takes.
///
/// ```
/// use stratalloc::options::{self, ParameterKind};
///
/// for option in options::all() {
///     if let ParameterKind::Choice { words } = option.kind {
///         println!("{} is one of {words:?}", option.name);
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A number of bytes.
    Bytes {
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
        /// Whether `never` is a value too.
        never: bool,
    },
    /// Milliseconds, 0 and `never` included.
    Time {
        /// The longest, not counting `never`.
        most: usize,
    },
    /// One of a few words; its number is its place.
    Choice {
        /// The words.
        words: &'static [&'static str],
    },
    /// `on` or `off`.
    Switch,
    /// A number that counts nothing, 0 included.
    Number {
        /// The largest.
        most: usize,
    },
}

/// Units of bytes, largest first.
const BYTE_UNITS: [(&str, usize); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Kind {
    /// The unit, in a word.
    ///
    /// ```
    /// # use stratalloc::options::ParameterKind;
    /// assert_eq!(ParameterKind::Switch.unit(), "switch");
    /// ```
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Bytes { .. } => "bytes",
            Self::Time { .. } => "milliseconds",
            Self::Choice { .. } => "word",
            Self::Switch => "switch",
            Self::Number { .. } => "number",
        }
    }

    /// Whether `number` is in range.
    ///
    /// ```
    /// # use stratalloc::options::ParameterKind;
    /// let kind = ParameterKind::Bytes { least: 1, most: 10, never: true };
    /// assert!(kind.admits(10) && kind.admits(usize::MAX) && !kind.admits(11));
    /// ```
    pub const fn admits(self, number: usize) -> bool {
        match self {
            Self::Bytes { least, most, never } => {
                (least <= number && number <= most) || (never && number == NEVER)
            }
            Self::Time { most } => number <= most || number == NEVER,
            Self::Choice { words } => number < words.len(),
            Self::Switch => number <= 1,
            Self::Number { most } => number <= most,
        }
    }

    /// The number that `text` stands for; `None` if it stands for none, or for one out of range.
    ///
    /// ```
    /// # use stratalloc::options::ParameterKind;
    /// let kind = ParameterKind::Time { most: 10_000 };
    /// assert_eq!(kind.parse(b"2s"), Some(2_000));
    /// assert_eq!(kind.parse(b"20s"), None);
    /// ```
    pub fn parse(self, text: &[u8]) -> Option<usize> {
        let text = text.trim_ascii();
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        let number = match self {
            Self::Bytes { .. } | Self::Time { .. } if is("never") || is("-1") => NEVER,
            Self::Bytes { .. } => {
                let (digits, unit) = split_number(text)?;
                digits.checked_mul(byte_unit(unit)?)?
            }
            Self::Time { .. } => {
                let (digits, unit) = split_number(text)?;
                match unit {
                    [] => digits,
                    _ if unit.eq_ignore_ascii_case(b"ms") => digits,
                    _ if unit.eq_ignore_ascii_case(b"s") => digits.checked_mul(1_000)?,
                    _ => return None,
                }
            }
            // Choices that begin with "off" are switches with more than one way of being on.
            Self::Choice { words: ["off", ..] } if is("0") => 0,
            Self::Choice { words: ["off", ..] } if is("1") => 1,
            Self::Choice { words } => words.iter().position(|word| is(word))?,
            Self::Switch if is("on") || is("1") || is("true") || is("yes") => 1,
            Self::Switch if is("off") || is("0") || is("false") || is("no") => 0,
            Self::Switch => return None,
            Self::Number { .. } => decimal(text)?,
        };
        self.admits(number).then_some(number)
    }
}

/// Bytes in the unit called `name`; no name is a byte.
fn byte_unit(name: &[u8]) -> Option<usize> {
    if name.is_empty() {
        return Some(1);
    }
    let called = |unit: &str| {
        let unit = unit.as_bytes();
        let short = [unit[0], b'B'];
        name.eq_ignore_ascii_case(unit)
            || name.eq_ignore_ascii_case(&unit[..1])
            || name.eq_ignore_ascii_case(&short) && unit.len() > 1
    };
    BYTE_UNITS.iter().find(|(unit, _)| called(unit)).map(|&(_, bytes)| bytes)
}

/// The decimal number that `text` starts with, and what follows it, without blanks between.
fn split_number(text: &[u8]) -> Option<(usize, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // The number that stands for `never` cannot be a count.
    let number = decimal(digits).filter(|&number| number != NEVER)?;
    Some((number, rest.trim_ascii_start()))
}

/// The number with these decimal digits, at least one.
pub fn decimal(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// A value of an option: a number of a kind, displayed with its unit.
///
/// ```
/// use stratalloc::options::{ParameterKind, ParameterValue};
///
/// let value = ParameterValue { kind: ParameterKind::Switch, number: 1 };
/// assert_eq!(value.to_string(), "on");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// What the number counts.
    pub kind: Kind,
    /// The number: bytes, milliseconds, the place of the word, 0 or 1, or the number itself;
    /// `usize::MAX` is `never`.
    pub number: usize,
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.kind {
            Kind::Bytes { .. } | Kind::Time { .. } if number == NEVER => out.pad("never"),
            Kind::Bytes { .. } => {
                let whole = |unit: usize| number >= unit && number.is_multiple_of(unit);
                let found = BYTE_UNITS.iter().find(|&&(_, unit)| whole(unit));
                let (name, unit) = found.copied().unwrap_or(("B", 1));
                write!(out, "{}{name}", number / unit)
            }
            Kind::Time { .. } if number > 0 && number.is_multiple_of(1_000) => {
                write!(out, "{}s", number / 1_000)
            }
            Kind::Time { .. } => write!(out, "{number}ms"),
            Kind::Choice { words } => out.pad(words.get(number).copied().unwrap_or("?")),
            Kind::Switch => out.pad(if number == 0 { "off" } else { "on" }),
            Kind::Number { .. } => write!(out, "{number}"),
        }
    }
}

/// The range, for messages and tables: `32KiB to 64MiB, or never`.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |number| Value { kind: *self, number };
        match *self {
            Self::Bytes { least, most: MAX_REQUEST, never } => {
                write!(out, "{} or more", show(least))?;
                out.write_str(if never { ", or never" } else { "" })
            }
            Self::Bytes { least, most, never } => {
                write!(out, "{} to {}", show(least), show(most))?;
                out.write_str(if never { ", or never" } else { "" })
            }
            Self::Time { most } => write!(out, "{} to {}, or never", show(0), show(most)),
            Self::Choice { words } => {
                for (index, word) in words.iter().enumerate() {
                    let joint = match index {
                        0 => "",
                        _ if index + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(out, "{joint}{word}")?;
                }
                Ok(())
            }
            Self::Switch => out.write_str("on or off"),
            Self::Number { most } => write!(out, "{} to {}", show(0), show(most)),
        }
    }
}
