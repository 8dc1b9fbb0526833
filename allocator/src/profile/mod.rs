//! Who holds memory: outstanding blocks by the stack that allocated them, for leak reports and heap
//! profiles (C6.2).
//!
//! Two ways of watching, decided once, when the environment is read, and none by default:
//!
//! * *Trace*: every block is recorded. Threads get no cache, so that each call reaches the slow path.
//! * *Sample*: a block has a chance proportional to its size, once per `sample_interval` bytes on the mean.
//!   Threads count what they take from their caches, and take no more than there is before the next sample
//!   (`thread_cache::counted`).
//!
//! A third one writes every call down and is not this module's but `record`'s; the mode says so, as one word
//! is enough for slow paths to look at.
//!
//! Off, the hot paths have no instruction for it, and the slow paths one load of [`mode`].
//!
//! * `unwind`, `cfi`, `cfi_row`, `readable`: the stack of the calling thread, as return addresses.
//! * `stacks`: every distinct stack, once, and what it allocated.
//! * `blocks`: the outstanding blocks, by address.
//! * `sampler`: when the next sample is due, and what it stands for.
//! * `dump`: all of it as text, with raw addresses and the process's mappings.
//! * `report`: the report at exit.
//!
//! Memory comes from the metadata arena and is bounded; what finds no room is counted as lost. Locks are
//! sharded and of one rank; no two of them are held at a time, except by `fork`.

mod blocks;
#[cfg(target_arch = "x86_64")]
pub mod cfi;
#[cfg(target_arch = "x86_64")]
mod cfi_row;
pub mod dump;
mod readable;
pub mod report;
pub mod sampler;
mod stacks;
pub mod unwind;

use crate::base::probe::probe;
use crate::os::{Linux, Os};
use crate::parameters::{self, Id, NEVER, TextId, text};
use crate::sync::{AtomicU8, AtomicUsize, ForkLock, Ordering};
use blocks::Block;

/// How allocations are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Off,
    /// Each of them.
    Trace,
    /// By chance, in proportion to size.
    Sample,
    /// Not here, but by the module `record`.
    Record,
}

const UNDECIDED: u8 = 0;
const OFF: u8 = 1;
const TRACE: u8 = 2;
const SAMPLE: u8 = 3;
const RECORD: u8 = 4;

/// Relaxed throughout: written once, before the process has a second thread that allocates.
static MODE: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Blocks that were to be recorded and found no room. Relaxed: a count that nothing depends on.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// Thousandths: the unit of counts, as a sampled block stands for a fraction of a block too.
pub const COUNT_UNIT: usize = 1_000;

/// How allocations are watched.
#[inline]
pub fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        TRACE => Mode::Trace,
        SAMPLE => Mode::Sample,
        RECORD => Mode::Record,
        _ => Mode::Off,
    }
}

/// Decides the mode if that was not done yet and the environment was read. Returns the mode if it was
/// decided now.
#[inline]
pub fn decide_once() -> Option<Mode> {
    if MODE.load(Ordering::Relaxed) != UNDECIDED || !parameters::environment_was_read() {
        return None;
    }
    let decided = if text(TextId::TraceFile).is_some() {
        RECORD
    } else if parameters::get(Id::LeakReport) != 0 {
        TRACE
    } else if parameters::get(Id::SampleInterval) != NEVER {
        SAMPLE
    } else {
        OFF
    };
    MODE.store(decided, Ordering::Relaxed);
    Some(mode())
}

/// Records a block of `size` bytes that was just allocated and stands for `count` thousandths of a block.
#[cold]
#[inline(never)]
pub fn record(addr: usize, size: usize, count: usize) {
    probe!("record", addr, size);
    let block = calling_stack().map(|stack| Block { size, count, stack, born_ms: Linux.now_ms() });
    match block.map(|block| (blocks::insert(addr, block), block)) {
        Some((Ok(replaced), block)) => {
            if let Some(old) = replaced {
                note_freed(&old);
            }
            stacks::note_allocated(block.stack, block.estimated_bytes(), block.count);
        }
        Some((Err(blocks::Full), _)) | None => {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The calling thread's stack, entered in the table; `None` without room. A function of its own, whose frame is half a
/// kilobyte.
#[inline(never)]
fn calling_stack() -> Option<stacks::StackRef> {
    let mut frames = [0; unwind::MAX_FRAMES];
    let depth = unwind::capture(&mut frames);
    stacks::intern(&frames[..depth])
}

/// The size that the block at `addr` was last asked for with, and the stack that did, if it is recorded.
pub fn recorded(addr: usize) -> Option<(usize, &'static [usize])> {
    let block = blocks::get(addr)?;
    Some((block.size, stacks::frames(block.stack)))
}

/// Forgets a block that is about to be given back, if it was recorded. Returns what it stood for.
pub fn forget(addr: usize) -> Option<usize> {
    let block = blocks::remove(addr)?;
    note_freed(&block);
    Some(block.count)
}

fn note_freed(block: &Block) {
    let age = Linux.now_ms().saturating_sub(block.born_ms);
    stacks::note_freed(block.stack, block.estimated_bytes(), block.count, age);
}

/// Follows a block that `realloc` resized, and moved if `old != new`: to the stack that resized it.
pub fn resized(old: usize, new: usize, size: usize) {
    if let Some(count) = forget(old) {
        record(new, size, count);
    }
}

/// Calls `visit` with the address and the length in bytes of each static table, most of which is unused where nothing is
/// watched.
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

/// Calls `visit` for every lock, for `fork`.
pub fn for_each_lock(visit: &mut dyn FnMut(&dyn ForkLock)) {
    blocks::fork_locks().chain(stacks::fork_locks()).for_each(visit);
}
