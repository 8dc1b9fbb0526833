//! The one error type of the Rust interface.

use crate::parameters::Kind;

/// Why a call did not do what it was asked to. Nothing has changed then.
///
/// Allocations are not among these calls: they answer with a null pointer, as
/// [`GlobalAlloc`](core::alloc::GlobalAlloc) has it.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No option has this name.
    #[error("no option has this name")]
    UnknownOption,
    /// The option does not take this value.
    #[error("the option {option} does not take this value; it takes {takes}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// What values it takes.
        takes: Kind,
    },
    /// No property has this name.
    #[error("no property has this name")]
    UnknownProperty,
    /// The property is a measurement, which nobody can set.
    #[error("this property cannot be set")]
    ReadOnlyProperty,
    /// There is no heap profile, as the process was started without one.
    #[error("the process was started with neither leak_report nor sample_interval")]
    NotProfiling,
    /// The file of the heap profile cannot be made or written, or its name is too long.
    #[error("the file of the heap profile cannot be written")]
    ProfileNotWritten,
}
