//! The processes that have a control socket.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::client::{Client, Refusal, connect};
use crate::process::{Process, printable};

/// A socket that nobody answers at is left alone for so long: its process may be about to listen.
const FRESH: Duration = Duration::from_secs(2);

/// How long a process may take to accept, and for its answer: short, as others wait behind it.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long all of them may take together, before none gets more than `HASTE`: anybody may have many
/// processes that do not answer.
const TIMEOUT_WITH_ALL: Duration = Duration::from_secs(10);
const HASTE: Duration = Duration::from_millis(50);

/// How long it may take to find out that nobody listens: the kernel says so at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What `list` is asked for.
#[derive(Args)]
pub struct List {
    /// What to write.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A table for people.
    Text,
    /// The same for machines.
    Json,
}

/// A process that answers.
#[derive(Serialize)]
struct Row {
    pid: u32,
    /// The user that it runs as.
    user: Option<u32>,
    program: String,
    uptime_seconds: u64,
    /// What the whole process has resident.
    resident_bytes: u64,
    /// What the program holds in blocks.
    live_bytes: Option<u64>,
    /// Of the allocator.
    version: String,
    socket: String,
}

/// Removes sockets that nobody listens at, and prints who answers. Says on stderr who does not.
pub fn run(list: &List) -> Result<()> {
    for path in remove_stale() {
        eprintln!("stratalloc-ctl: removed {}, which was stale", printable(&path));
    }
    let end = Instant::now() + TIMEOUT_WITH_ALL;
    let timeout = || TIMEOUT.min(end.saturating_duration_since(Instant::now())).max(HASTE);
    let all = Process::all().into_iter();
    let rows: Vec<Row> = all.filter_map(|process| row(process, timeout())).collect();
    let text = match list.format {
        Form::Json => serde_json::to_string_pretty(&rows)? + "\n",
        Form::Text => table(&rows),
    };
    crate::print(text.as_bytes())
}

/// A row for a process that answers, or would if it had the same version.
fn row(process: Process, timeout: Duration) -> Option<Row> {
    let found = Client::find(process, timeout);
    let client = found.inspect_err(|refusal| refusal.iter().for_each(tell_silence)).ok()?;
    let (version, live_bytes) = match client.info_within(timeout) {
        Ok(info) => (info.version, Some(info.live_bytes)),
        Err(error) => match error.downcast::<Refusal>() {
            Ok(Refusal::Version(version, _)) => (version, None),
            Ok(refusal) => {
                tell_silence(&refusal);
                return None;
            }
            Err(_) => return None,
        },
    };
    Some(Row {
        pid: process.pid,
        user: process.user(),
        program: process.name(),
        uptime_seconds: process.uptime().unwrap_or_default().as_secs(),
        resident_bytes: process.resident_bytes().unwrap_or(0),
        live_bytes,
        version,
        socket: client.socket().display().to_string(),
    })
}

/// A process that is there and does not answer is missed in the table.
fn tell_silence(refusal: &Refusal) {
    if matches!(refusal, Refusal::Silent(_)) {
        eprintln!("stratalloc-ctl: {refusal}");
    }
}

/// Removes what processes left behind in the folders of this user (of all, for root).
fn remove_stale() -> Vec<String> {
    // SAFETY: takes nothing and cannot fail.
    let own = unsafe { libc::geteuid() };
    let end = Instant::now() + TIMEOUT_WITH_ALL;
    let mut removed = Vec::new();
    for folder in fs::read_dir("/tmp").into_iter().flatten().flatten() {
        if !folder.file_name().to_string_lossy().starts_with("stratalloc-") {
            continue;
        }
        // In a folder that others may write to, a name may become another file's at any moment. And
        // the folder's own name may come to lead to another folder: this one is held open.
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let Ok(held) = File::options().read(true).custom_flags(flags).open(folder.path()) else {
            continue;
        };
        let is_private = held
            .metadata()
            .is_ok_and(|found| found.mode() & 0o077 == 0 && (found.uid() == own || own == 0));
        if !is_private {
            continue;
        }
        let inside = format!("/proc/self/fd/{}", held.as_raw_fd());
        let entries = fs::read_dir(inside).into_iter().flatten().flatten();
        for entry in entries.take_while(|_| Instant::now() < end) {
            if is_stale(&entry.path()) && fs::remove_file(entry.path()).is_ok() {
                removed.push(folder.path().join(entry.file_name()).display().to_string());
            }
        }
    }
    removed.sort();
    removed
}

fn is_stale(path: &Path) -> bool {
    let Ok(found) = path.symlink_metadata() else { return false };
    let age = found.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
    found.file_type().is_socket()
        && path.extension().is_some_and(|extension| extension == "sock")
        && age.is_some_and(|age| age >= FRESH)
        && matches!(connect(path, AT_ONCE), Err(Refusal::Stale(_)))
}

/// Columns, the numbers on the right.
fn table(rows: &[Row]) -> String {
    let mut cells = vec![
        ["PID", "USER", "UPTIME", "RESIDENT", "LIVE", "VERSION", "PROGRAM"].map(str::to_owned),
    ];
    cells.extend(rows.iter().map(|row| {
        [
            row.pid.to_string(),
            row.user.map_or_else(|| "?".to_owned(), |user| user.to_string()),
            duration(row.uptime_seconds),
            bytes(row.resident_bytes),
            row.live_bytes.map_or_else(|| "?".to_owned(), bytes),
            row.version.clone(),
            row.program.clone(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut out = String::new();
    for row in &cells {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "{cell:>width$}  ");
        }
        let _ = writeln!(out, "{}", row[6]);
    }
    out
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let times = [5, 65, 3_700, 90_000].map(duration);
        assert_eq!(times, ["5s", "1m05s", "1h01m", "1d01h"]);
        assert_eq!([12, 2_048, 3 << 20].map(bytes), ["12 B", "2.0 KiB", "3.0 MiB"]);
    }
}
