//! Heap profiles and metrics, on demand.
//!
//! The forms are written by `profile::export`, `profile::dump` and `stats`; this file opens what
//! they are written to, and turns failures into [`Error`]. It allocates nothing and holds no lock
//! while the caller's function runs. All functions are thread-safe.

use super::error::Error;
use crate::os::files::{File, write_all};
use crate::profile::export::{self, ProfileFormat, ProfileKind};
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

/// Writes a heap profile to `out`, piece by piece, in a form that other tools read: no file, no
/// tool, no socket. Allocates nothing itself, and holds no lock while `out` runs, which may
/// allocate. Thread-safe.
///
/// Bytes are those asked for, or estimates where blocks are sampled. pprof's form names functions
/// by the build-ids of the files they are in; the others name a file and an address in it.
///
/// # Errors
/// [`Error::NotProfiling`] if neither the option `leak_report` nor `sample_interval` was set when
/// the process started; [`Error::ProfileNotWritten`] if there is no memory for what is needed
/// meanwhile (under 1 MiB, and 16 bytes for each address in the profile). Then `out` was not
/// called.
///
/// ```
/// use stratalloc::{Configured, Options, ProfileFormat, ProfileKind, Stratalloc};
///
/// #[global_allocator]
/// static GLOBAL: Configured =
///     Stratalloc::with_options(Options::new().sample_interval(512 << 10));
///
/// let held = vec![1_u8; 10 << 20];
/// let mut file = Vec::new();
/// stratalloc::write_profile(ProfileKind::Heap, ProfileFormat::Pprof, |piece| {
///     file.extend_from_slice(piece);
/// })?;
/// assert_eq!(file[..2], [0x1f, 0x8b], "gzip, as pprof wants it");
/// # drop(held);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn write_profile(
    kind: ProfileKind,
    format: ProfileFormat,
    mut out: impl FnMut(&[u8]),
) -> Result<(), Error> {
    write_pieces(kind, format, &mut out)
}

fn write_pieces(
    kind: ProfileKind,
    format: ProfileFormat,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    if matches!(profile::mode(), Mode::Off | Mode::Record) {
        return Err(Error::NotProfiling);
    }
    if export::write(kind, format, out) { Ok(()) } else { Err(Error::ProfileNotWritten) }
}

/// Writes what [`write_profile`] does to the file `path` (`%p` in it stands for the process's
/// number), over what was there; it is made for its owner alone. Allocates nothing.
///
/// # Errors
/// Those of [`write_profile`]; [`Error::ProfileNotWritten`] also if the file cannot be made or
/// written.
///
/// ```
/// # use stratalloc::{Error, ProfileFormat, ProfileKind};
/// let (kind, format) = (ProfileKind::Peak, ProfileFormat::Folded);
/// let result = stratalloc::write_profile_file(kind, format, "/tmp/heap-%p.folded");
/// assert_eq!(result, Err(Error::NotProfiling), "no option was set");
/// ```
pub fn write_profile_file(
    kind: ProfileKind,
    format: ProfileFormat,
    path: &str,
) -> Result<(), Error> {
    // Not even an empty file is made of nothing.
    if matches!(profile::mode(), Mode::Off | Mode::Record) {
        return Err(Error::NotProfiling);
    }
    let file = dump::open(path.as_bytes(), 0).ok_or(Error::ProfileNotWritten)?;
    // Not possible with a pipe, and not necessary.
    file.set_length(0);
    write_to(kind, format, &file)
}

/// Writes what [`write_profile`] does to an open file descriptor, which stays the caller's: a file,
/// a pipe or a socket. Allocates nothing.
///
/// # Errors
/// Those of [`write_profile`]; [`Error::ProfileNotWritten`] also if it cannot be written to.
///
/// ```
/// # use stratalloc::{Error, ProfileFormat, ProfileKind};
/// use std::os::fd::AsRawFd;
///
/// let out = std::io::stdout().as_raw_fd();
/// let result = stratalloc::write_profile_fd(ProfileKind::Heap, ProfileFormat::Json, out);
/// assert_eq!(result, Err(Error::NotProfiling), "no option was set");
/// ```
pub fn write_profile_fd(kind: ProfileKind, format: ProfileFormat, fd: i32) -> Result<(), Error> {
    let fd = usize::try_from(fd).map_err(|_| Error::ProfileNotWritten)?;
    let file = File::of_fd(fd);
    let result = write_to(kind, format, &file);
    // The descriptor is the caller's.
    let _ = file.into_fd();
    result
}

fn write_to(kind: ProfileKind, format: ProfileFormat, file: &File) -> Result<(), Error> {
    let mut sound = true;
    write_pieces(kind, format, &mut |piece| sound = sound && write_all(file.fd(), piece))?;
    if sound { Ok(()) } else { Err(Error::ProfileNotWritten) }
}

/// Notes what every stack holds now: later profiles of [`ProfileKind::Growth`] say what came since.
/// There is one such base in a process; before the first, growth is since the start. Takes
/// microseconds for each thousand stacks. Thread-safe.
///
/// ```
/// stratalloc::mark_profile_base();
/// ```
pub fn mark_profile_base() {
    profile::mark_base();
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
