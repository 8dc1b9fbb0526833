//! Heap profiles and metrics, on demand.

use super::MallocExtension;
use crate::observe;
use crate::profile::{self, Mode, dump};
use core::fmt;

/// Why no heap profile was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfileError {
    /// The process was started with neither `leak_report` nor `sample_interval`.
    NotWatching,
    /// The file cannot be made or written, or its name is too long.
    NotWritten,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotWatching => "started with neither leak_report nor sample_interval",
            Self::NotWritten => "the file cannot be written",
        })
    }
}

impl core::error::Error for ProfileError {}

impl MallocExtension {
    /// Writes who holds memory to the file `path` (`%p` in it stands for the process's number), over what
    /// was there: every outstanding block, or a sample, by the stack that allocated it (C6.2).
    /// `stratalloc-ctl report` turns the file into a report, a pprof profile or a flame graph. Allocates
    /// nothing.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn write_heap_profile(path: &str) -> Result<(), ProfileError> {
        if matches!(profile::mode(), Mode::Off | Mode::Record) {
            return Err(ProfileError::NotWatching);
        }
        dump::write_to(path.as_bytes()).then_some(()).ok_or(ProfileError::NotWritten)
    }

    /// Writes the figures of this moment as OpenMetrics text, `# EOF` included; their names begin with
    /// `stratalloc_`. Allocates nothing itself.
    ///
    /// ```
    /// let mut text = String::with_capacity(16 << 10);
    /// stratalloc::MallocExtension::write_metrics(&mut text)?;
    /// assert!(text.contains("stratalloc_in_use_bytes ") && text.ends_with("# EOF\n"));
    /// # Ok::<(), core::fmt::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_metrics(out: &mut impl fmt::Write) -> fmt::Result {
        observe::write_metrics(out)
    }
}
