//! Who holds memory: outstanding blocks by the stack that allocated them, for leak reports and heap
//! profiles (C6.2).
//!
//! Two ways of watching, decided once, when the environment is read, and none by default:
//!
//! * *Trace*: every block is recorded. Threads get no cache, so that each call reaches the slow
//!   path.
//! * *Sample*: a block has a chance proportional to its size, once per `sample_interval` bytes on
//!   the mean. Threads count what they take from their caches, and take no more than there is
//!   before the next sample (`thread_cache::sampling`).
//!
//! In a third mode every call is written to a file. The module `trace` does that; it is a mode of
//! this module, too, so that slow paths have one word to look at.
//!
//! Off, the hot paths have no instruction for it, and the slow paths one load of [`mode()`].
//!
//! * `readable`, `registers`, `cfi_row`, `cfi`, `unwind`: the stack of the calling thread, as
//!   return addresses.
//! * `labels`: tags of the program's and names of threads, that blocks are attributed to.
//! * `stacks`: every distinct stack, once, and what it allocated.
//! * `sampler`: when the next sample is due, and what it stands for.
//! * `blocks`: the outstanding blocks, by address.
//! * `mode`: which of the ways of watching is on.
//! * `output_file`: the files that the options name.
//! * `elf_file`, `build_ids`: the build-ids of the mapped files.
//! * `dump`: all of it as text, with raw addresses and the process's mappings.
//! * `report`: the report at exit.
//! * `export`: profiles in the forms of other tools, written by the process itself.
//!
//! Memory comes from the metadata arena and is bounded; what finds no room is counted as lost.
//! Locks are sharded and of one rank; no two of them are held at a time, except by `fork`.

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod readable;

mod registers;

#[cfg(target_arch = "x86_64")]
mod cfi_row;

#[cfg(target_arch = "x86_64")]
pub mod cfi;

pub mod unwind;

pub mod labels;

mod stacks;

pub mod sampler;

mod blocks;

mod mode;

pub mod output_file;

mod elf_file;

mod build_ids;

pub mod dump;

pub mod report;

pub mod export;

use crate::base::probe::probe;
use crate::os::{Linux, Os};
use crate::sync::LockVisitor;
use blocks::Block;

pub use mode::{Mode, decide_once, mode};
pub use sampler::COUNT_UNIT;

/// Records a block of `size` bytes that was just allocated and stands for `count` thousandths of a
/// block.
#[cold]
#[inline(never)]
pub fn record(addr: usize, size: usize, count: usize) {
    probe!("record", addr, size);
    let block = calling_stack().map(|stack| Block { size, count, stack, born_ms: Linux.now_ms() });
    match block.map(|block| (blocks::insert(addr, block), block)) {
        Some((Ok(replaced), block)) => {
            if let Some(old) = replaced {
                note_freed(addr, &old);
            }
            // What OpenTelemetry's profiler reads: a sampled block, and the bytes that it stands
            // for.
            probe!("otel_memory": "alloc", addr, size, block.estimated_bytes());
            let (bytes, tag) = (block.estimated_bytes(), stacks::labels(block.stack).tag);
            stacks::note_allocated(block.stack, bytes, block.count);
            labels::note_allocated(tag, bytes, block.count);
        }
        Some((Err(blocks::Full), _)) | None => {
            blocks::note_lost();
        }
    }
}

/// The calling thread's stack, entered in the table; `None` without room. A function of its own,
/// whose frame is half a kilobyte.
#[inline(never)]
fn calling_stack() -> Option<stacks::StackRef> {
    let mut frames = [0; unwind::MAX_FRAMES];
    let depth = unwind::capture(&mut frames);
    stacks::intern(&frames[..depth], labels::current(mode() == Mode::Sample))
}

/// The size that the block at `addr` was last asked for with, and the stack that did, if it is
/// recorded.
pub fn recorded(addr: usize) -> Option<(usize, &'static [usize])> {
    let block = blocks::get(addr)?;
    Some((block.size, stacks::frames(block.stack)))
}

/// Forgets a block that is about to be given back, if it was recorded. Returns what it stood for.
pub fn forget(addr: usize) -> Option<usize> {
    let block = blocks::remove(addr)?;
    note_freed(addr, &block);
    Some(block.count)
}

fn note_freed(addr: usize, block: &Block) {
    probe!("otel_memory": "free", addr);
    let age = Linux.now_ms().saturating_sub(block.born_ms);
    let (bytes, tag) = (block.estimated_bytes(), stacks::labels(block.stack).tag);
    stacks::note_freed(block.stack, bytes, block.count, age);
    labels::note_freed(tag, bytes, block.count);
}

/// Follows a block that `realloc` resized, and moved if `old != new`: to the stack that resized it.
pub fn resized(old: usize, new: usize, size: usize) {
    if let Some(count) = forget(old) {
        record(new, size, count);
    }
}

/// Calls `visit` with the address and the length in bytes of each static table, most of which is
/// unused where nothing is watched.
pub fn for_each_table(visit: impl Fn(usize, usize)) {
    #[cfg(target_arch = "x86_64")]
    {
        let (start, bytes) = cfi::table();
        visit(start, bytes);
    }
    let (start, bytes) = stacks::table();
    visit(start, bytes);
}

/// Bytes outstanding as far as they are watched, now and at most.
pub fn sums() -> (usize, usize) {
    stacks::sums()
}

/// Notes what every stack holds now, for profiles of growth.
pub fn mark_base() {
    stacks::mark_base();
}

/// Visits every lock, for `fork`.
pub fn for_each_lock(visitor: &mut LockVisitor) {
    visitor.visit(labels::fork_lock());
    blocks::fork_locks().chain(stacks::fork_locks()).for_each(|lock| visitor.visit(lock));
}
