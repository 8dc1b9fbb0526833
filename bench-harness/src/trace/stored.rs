//! A decoded trace outside of the process's resident memory: in a file that exists in memory only,
//! from which each thread reads its steps piece by piece. So replaying a long trace does not add
//! the trace to the memory that is measured, nor does decoding it leave a used heap behind: a
//! forked child does that.

use super::decode::{Kind, Op, Trace};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

/// Bytes of a stored step.
const OP_BYTES: usize = 20;
/// Steps that are read at once.
const CHUNK: usize = 512;

/// A trace that was stored.
pub struct Stored {
    file: File,
    /// What is known of it.
    pub index: Index,
}

/// Everything but the steps.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    /// Place of each thread's first step, their number, and slots of its own.
    pub threads: Vec<(u64, usize, usize)>,
    /// Size and alignment of the blocks in the slots of all threads together.
    pub shared: Vec<(u32, u8)>,
    /// See [`Trace::windows`].
    pub windows: Vec<u32>,
    /// See [`Trace::events`].
    pub events: usize,
}

impl Stored {
    /// Stores a trace.
    pub fn store(trace: &Trace) -> io::Result<Self> {
        let mut file = in_memory()?;
        let index = write(trace, &mut file)?;
        Ok(Self { file, index })
    }

    /// Stores the trace that `decode` makes, in a child of this process. What goes wrong there is
    /// an error here.
    pub fn store_in_child(decode: impl FnOnce() -> Result<Trace, String>) -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let mut file = in_memory().map_err(failed)?;
        // SAFETY: the child only decodes and writes, then ends at once. Its allocator has to be
        // usable after `fork`, as all are that serve a process with a single thread.
        let child = unsafe { libc::fork() };
        if child < 0 {
            return Err(io::Error::last_os_error().to_string());
        }
        if child == 0 {
            let answer = decode().and_then(|trace| write(&trace, &mut file).map_err(failed));
            let answer = serde_json::to_vec(&answer).unwrap_or_default();
            let length = (answer.len() as u64).to_le_bytes();
            let done = file.write_all(&answer).and_then(|()| file.write_all(&length));
            // SAFETY: ends the child without what is left to do at the parent's exit.
            unsafe { libc::_exit(i32::from(done.is_err())) };
        }
        let mut status = 0;
        // SAFETY: a valid target for the status of a child that nobody else waits for.
        while unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error.to_string());
            }
        }
        if status != 0 {
            return Err("the process that was to decode the trace failed".to_owned());
        }
        let index = read_index(&file).map_err(failed)??;
        Ok(Self { file, index })
    }

    /// Hands the steps of a thread to `step`, one after the other.
    pub fn for_each(&self, thread: usize, mut step: impl FnMut(&Op)) {
        let (mut at, mut left, _) = self.index.threads[thread];
        let mut buffer = [0; OP_BYTES * CHUNK];
        while left > 0 {
            let bytes = &mut buffer[..left.min(CHUNK) * OP_BYTES];
            self.file
                .read_exact_at(bytes, at)
                .expect("the file is in memory and was written whole");
            for op in bytes.chunks_exact(OP_BYTES) {
                step(&unpacked(op));
            }
            at += bytes.len() as u64;
            left -= bytes.len() / OP_BYTES;
        }
    }
}

fn in_memory() -> io::Result<File> {
    // SAFETY: the name is a C string.
    let descriptor = unsafe { libc::memfd_create(c"trace".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and that nobody else closes.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

fn write(trace: &Trace, file: &mut File) -> io::Result<Index> {
    let mut out = io::BufWriter::new(file);
    let (mut threads, mut at) = (Vec::new(), 0);
    for thread in &trace.threads {
        threads.push((at, thread.ops.len(), thread.slots));
        for op in &thread.ops {
            out.write_all(&packed(op))?;
        }
        at += (thread.ops.len() * OP_BYTES) as u64;
    }
    out.flush()?;
    let Trace { windows, events, shared, .. } = trace;
    Ok(Index { threads, shared: shared.clone(), windows: windows.clone(), events: *events })
}

/// What the child wrote last.
fn read_index(file: &File) -> io::Result<Result<Index, String>> {
    let end = file.metadata()?.len();
    let mut length = [0; 8];
    let too_short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let at = end.checked_sub(8).ok_or_else(too_short)?;
    file.read_exact_at(&mut length, at)?;
    let length = u64::from_le_bytes(length);
    let mut answer = vec![0; length as usize];
    file.read_exact_at(&mut answer, at.checked_sub(length).ok_or_else(too_short)?)?;
    Ok(serde_json::from_slice(&answer)?)
}

const KINDS: [Kind; 6] =
    [Kind::Allocate, Kind::AllocateZeroed, Kind::Reallocate, Kind::Free, Kind::Start, Kind::Window];

fn packed(op: &Op) -> [u8; OP_BYTES] {
    let kind = KINDS.iter().position(|kind| *kind == op.kind).unwrap_or_default() as u32;
    let head = kind | u32::from(op.align_log2) << 8;
    let mut bytes = [0; OP_BYTES];
    for (part, word) in
        bytes.chunks_exact_mut(4).zip([head, op.slot, op.from, op.size, op.old_size])
    {
        part.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[inline]
fn unpacked(bytes: &[u8]) -> Op {
    let word = |index: usize| {
        let part = &bytes[4 * index..4 * index + 4];
        u32::from_le_bytes([part[0], part[1], part[2], part[3]])
    };
    Op {
        kind: KINDS[bytes[0] as usize],
        align_log2: bytes[1],
        slot: word(1),
        from: word(2),
        size: word(3),
        old_size: word(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_back_as_they_were_stored() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            let words = index as u32 * 7 + 1;
            let op = Op {
                kind,
                align_log2: index as u8,
                slot: words << 31 | 5,
                from: words << 20,
                size: u32::MAX - words,
                old_size: words,
            };
            assert_eq!(unpacked(&packed(&op)), op);
        }
    }

    #[test]
    fn what_fails_in_the_child_is_said_in_the_parent() {
        let failure = Stored::store_in_child(|| Err("no such luck".to_owned()));
        assert_eq!(failure.err().as_deref(), Some("no such luck"));
    }
}
