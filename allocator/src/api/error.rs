//! The one error type of the Rust interface.
//!
//! Plain data, without memory of its own: an error can be made, copied and printed anywhere, also
//! when there is no memory. Whoever adds a cause adds its text below.

use crate::parameters::Kind;
use core::fmt;

/// Why a call did not do what it was asked to. Nothing has changed then.
///
/// Allocations of blocks are not among these calls: they answer with a null pointer, as
/// [`GlobalAlloc`](core::alloc::GlobalAlloc) has it, or with nothing.
///
/// ```
/// use stratalloc::{Error, options};
///
/// assert_eq!(options::set("no_such_option", "1"), Err(Error::UnknownOption));
/// let error = options::set("magazine_max_bytes", "1GiB").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the option magazine_max_bytes does not take this value; it takes 256B to 4MiB"
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// No option has this name.
    UnknownOption,
    /// The option does not take this value.
    OutOfRange {
        /// The option.
        option: &'static str,
        /// What values it takes.
        takes: Kind,
    },
    /// No property has this name.
    UnknownProperty,
    /// The property is a measurement, which nobody can set.
    ReadOnlyProperty,
    /// There is no heap profile, as the process was started without one.
    NotProfiling,
    /// The file of the heap profile cannot be made or written, or its name is too long.
    ProfileNotWritten,
    /// There is no memory for a heap.
    OutOfMemory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownOption => "no option has this name",
            Self::OutOfRange { option, takes } => {
                return write!(f, "the option {option} does not take this value; it takes {takes}");
            }
            Self::UnknownProperty => "no property has this name",
            Self::ReadOnlyProperty => "this property cannot be set",
            Self::NotProfiling => {
                "the process was started with neither leak_report nor sample_interval"
            }
            Self::ProfileNotWritten => "the file of the heap profile cannot be written",
            Self::OutOfMemory => "there is no memory for a heap",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// A message stands in the program's own sentence: no capital, no full stop.
    #[test]
    fn every_message_says_what_is_wrong() {
        let takes = Kind::Switch;
        let all = [
            Error::UnknownOption,
            Error::OutOfRange { option: "decay_ms", takes },
            Error::UnknownProperty,
            Error::ReadOnlyProperty,
            Error::NotProfiling,
            Error::ProfileNotWritten,
            Error::OutOfMemory,
        ];
        let messages = all.map(|error| error.to_string());
        for (at, message) in messages.iter().enumerate() {
            assert!(message.starts_with(|c: char| c.is_lowercase()) && !message.ends_with('.'));
            assert!(!messages[..at].contains(message), "{message}");
        }
        assert!(messages[1].contains("decay_ms") && messages[1].contains(&takes.to_string()));
    }
}
