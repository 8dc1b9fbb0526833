//! Traces: what a real program asked of its allocator, replayed under any other.
//!
//! stratalloc's C library records them (`trace_file`, `docs/traces.md`). A replay makes the same
//! calls on as many threads, in an order that the program could have made them in: a block that
//! another thread made is waited for, and threads stay within two windows of each other, so that
//! phases which followed one another do so again. What is between the calls is left out, but for
//! one write to every page of a block and one read at its end.
//!
//! * `decode`: a file's bytes as lists of operations; safe for bytes from anywhere.
//! * `stored`: the decoded trace, where it does not count as memory of the process.
//! * `replay`: the threads that carry them out.

mod decode;
mod replay;
mod stored;

pub use decode::{Kind, Op, Problem, SHARED, Thread, Trace, TraceError};
pub use replay::replay;
pub use stored::{Index, Stored};

use crate::workloads::{Outcome, Settings, Work};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Calls of a replay at full scale: a shorter trace is repeated, of a longer one the beginning is
/// taken.
const CALLS: usize = 20_000_000;
/// Calls that are decoded at most, whatever the scale.
const MOST_CALLS: usize = 32_000_000;
/// Bytes of a trace, unpacked.
const MOST_BYTES: u64 = 256 << 20;
/// What a file begins with that is packed by zstd.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The bytes of a trace file, unpacked if zstd packed it.
pub fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(&ZSTD) {
        return Ok(bytes.to_vec());
    }
    let bad = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error}"));
    let decoder = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(bad)?;
    read_all(decoder)
}

fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        let reason = format!("it is longer than {} MiB", MOST_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// Reads a trace file and decodes its first `most_calls` calls; the reason if that is not possible.
pub fn load(path: &Path, most_calls: usize) -> Result<Trace, String> {
    let read = || unpack(&read_all(File::open(path)?)?);
    let bytes = read().map_err(|error| format!("{}: {error}", path.display()))?;
    Trace::decode(&bytes, most_calls.min(MOST_CALLS))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The work of replaying the trace file at `path`.
pub fn work_from_file(path: &Path, settings: Settings) -> Result<Work, String> {
    Stored::store_in_child(|| load(path, settings.scaled(CALLS))).map(|trace| work(trace, settings))
}

/// The work of replaying a trace that is part of this program.
///
/// # Panics
/// If it is broken.
pub fn work_from_bytes(packed: &[u8], settings: Settings) -> Work {
    let most_calls = settings.scaled(CALLS).min(MOST_CALLS);
    let decode = || {
        let bytes = unpack(packed).map_err(|error| error.to_string())?;
        Trace::decode(&bytes, most_calls).map_err(|error| error.to_string())
    };
    work(Stored::store_in_child(decode).expect("the trace is part of this program"), settings)
}

fn work(trace: Stored, settings: Settings) -> Work {
    let times = (settings.scaled(CALLS) / trace.index.events).max(1);
    Box::new(move || {
        let mut outcome = Outcome { operations: 0, checksum: 0 };
        for time in 0..times as u64 {
            outcome.operations += trace.index.events as u64;
            let checksum = replay(&trace, settings.seed.wrapping_add(time));
            outcome.checksum = outcome.checksum.wrapping_add(checksum);
        }
        outcome
    })
}
