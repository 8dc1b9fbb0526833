//! Heap profiles and metrics, on demand.

use super::error::Error;
use crate::profile::{self, Mode, dump};
use crate::stats;
use core::fmt;

/// Writes who holds memory to the file `path` (`%p` in it stands for the process's number), over
/// what was there: every outstanding block, or a sample, by the stack that allocated it.
/// `stratalloc-ctl report` turns the file into a report, a pprof profile or a flame graph.
/// Allocates nothing.
///
/// # Errors
/// [`Error::NotProfiling`] if neither the option `leak_report` nor `sample_interval` was set when
/// the process started; [`Error::ProfileNotWritten`] if the file cannot be written.
///
/// ```
/// use stratalloc::{Configured, Options, Stratalloc};
///
/// #[global_allocator]
/// static GLOBAL: Configured =
///     Stratalloc::with_options(Options::new().sample_interval(512 << 10));
///
/// let path = std::env::temp_dir().join("stratalloc-example.dump");
/// let held = vec![1_u8; 10 << 20];
/// stratalloc::write_heap_profile(path.to_str().unwrap())?;
/// # std::fs::remove_file(path).unwrap();
/// # drop(held);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn write_heap_profile(path: &str) -> Result<(), Error> {
    if matches!(profile::mode(), Mode::Off | Mode::Record) {
        return Err(Error::NotProfiling);
    }
    if dump::write_to(path.as_bytes()) { Ok(()) } else { Err(Error::ProfileNotWritten) }
}

/// Writes the figures of this moment as OpenMetrics text, `# EOF` included; their names begin with
/// `stratalloc_`. Allocates nothing itself.
///
/// # Errors
/// Those of `out`.
///
/// ```
/// let mut text = String::with_capacity(16 << 10);
/// stratalloc::write_metrics(&mut text)?;
/// assert!(text.contains("stratalloc_in_use_bytes ") && text.ends_with("# EOF\n"));
/// # Ok::<(), core::fmt::Error>(())
/// ```
pub fn write_metrics(out: &mut impl fmt::Write) -> fmt::Result {
    stats::write_metrics(out)
}
