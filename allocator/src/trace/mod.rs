//! Every call of the allocator, written to a file: a trace that can be replayed (`docs/traces.md`).
//!
//! On where the parameter `trace_file` names a file when the process starts;
//! `profile::Mode::Record` then stands for it. No thread gets a cache, so that each call reaches
//! the slow path, which tells this module. Off, the hot paths have no instruction for it, and slow
//! paths the one load that the profile has anyway.
//!
//! One lock orders all events of all threads. The event of a block's birth is written before its
//! caller gets it, that of its end before anybody else can: the order of the file is one in which
//! the program could have made the calls, and a free is behind the allocation on whatever thread
//! that was.
//!
//! A forked child records nothing: the file stays the parent's.
//!
//! * `encode`: events as bytes.
//! * `sink`: the file.
//! * `table`: which blocks are live, and which number each has.

mod encode;
mod sink;
mod table;

use crate::os::Lock;
use crate::os::linux::{process_number, thread_number};
use crate::parameters::{TextId, text};
use crate::profile::output_file::with_pid;
use crate::profile::{Mode, mode};
use crate::sync::{ForkLock, Rank};
use encode::{Encoded, Event, MAGIC};
use sink::{Sink, SinkError};
use table::Table;

/// What is known of a call before it has a block to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// No more than that it allocates.
    Plain,
    /// The block is to be zeroed.
    Zeroed,
    /// The block is to be aligned to two to this power.
    Aligned(u8),
    /// The block takes the place of the one with this number.
    Resize(u64),
}

#[derive(Clone, Copy)]
struct Thread {
    /// Its number in the file; `UNNAMED` before its first event.
    number: u64,
    call: Call,
}

/// See [`Thread::number`].
const UNNAMED: u64 = u64::MAX;

struct Recorder {
    on: bool,
    /// The process whose calls are recorded: a copy that was made behind the C library's back is
    /// another.
    process: u32,
    sink: Sink,
    /// Numbers of the live blocks, by address.
    blocks: Table<u64>,
    /// By the kernel's number.
    threads: Table<Thread>,
    thread_count: u64,
    block_count: u64,
    /// The thread of the last event.
    current: u64,
}

#[unsafe(link_section = ".data.stratalloc_constant")]
static RECORDER: Lock<Recorder> = Lock::new(
    Rank::Profile,
    Recorder {
        on: false,
        process: 0,
        sink: Sink::new(),
        blocks: Table::new(),
        threads: Table::new(),
        thread_count: 0,
        block_count: 0,
        current: u64::MAX,
    },
);

/// Begins, if the file can be made; says on stderr if not. Returns whether it did.
#[cold]
pub fn start() -> bool {
    let Some(name) = text(TextId::TraceFile) else { return false };
    let path = with_pid(name);
    let path = path.as_bytes().strip_suffix(b"\0").unwrap_or(path.as_bytes());
    let mut recorder = RECORDER.lock();
    let created = recorder.sink.create(path);
    let problem = match created {
        Ok(()) if recorder.sink.put(&MAGIC) => {
            recorder.process = process_number();
            recorder.on = true;
            return true;
        }
        Err(SinkError::Exists) => {
            "exists already, nothing is recorded (%p stands for the process's number)"
        }
        Err(SinkError::SymbolicLink) => "is a symbolic link, nothing is recorded",
        Err(SinkError::TooLong) => "is too long a path, nothing is recorded",
        _ => "cannot be written, nothing is recorded",
    };
    recorder.sink.complain(problem);
    false
}

/// Tells what kind of call the calling thread is about to make.
#[cold]
pub fn announce(call: Call) {
    with_thread(|_, thread| {
        // What takes a block's place is a resized block, however it is got.
        if !matches!(thread.call, Call::Resize(_)) {
            thread.call = call;
        }
    });
}

/// The call came to the block at `addr`, or to none if that is 0.
#[cold]
pub fn allocated(addr: usize, size: usize) {
    with_thread(|recorder, thread| {
        // Where there is no memory to resize a block, `not_resized` follows and wants to know which
        // it was.
        if addr == 0 && matches!(thread.call, Call::Resize(_)) {
            return;
        }
        let call = core::mem::replace(&mut thread.call, Call::Plain);
        if addr != 0 {
            recorder.begin(thread, call, addr, size);
        }
    });
}

/// The block at `addr` is about to end.
#[cold]
pub fn freed(addr: usize) {
    with_thread(|recorder, thread| {
        // Not known: one of before the start, or one that was resized.
        if let Some(block) = recorder.blocks.remove(addr) {
            let age = recorder.age(block);
            recorder.write(thread, Event::Free { age });
        }
    });
}

/// The block at `addr` is about to be resized: from now on its address may become another's.
#[cold]
pub fn resizing(addr: usize) {
    with_thread(|recorder, thread| {
        thread.call = recorder.blocks.remove(addr).map_or(Call::Plain, Call::Resize);
    });
}

/// The block at `old` has another size, and is at `new` now.
#[cold]
pub fn resized(old: usize, new: usize, size: usize) {
    with_thread(|recorder, thread| {
        let mut call = core::mem::replace(&mut thread.call, Call::Plain);
        if !matches!(call, Call::Resize(_)) {
            call = recorder.blocks.remove(old).map_or(Call::Plain, Call::Resize);
        }
        recorder.begin(thread, call, new, size);
    });
}

/// The block at `addr` was to be resized and is as it was.
#[cold]
pub fn not_resized(addr: usize) {
    with_thread(|recorder, thread| {
        let call = core::mem::replace(&mut thread.call, Call::Plain);
        if let Call::Resize(block) = call
            && !recorder.blocks.insert(addr, block)
        {
            recorder.stop("there is no memory to go on");
        }
    });
}

/// Ends the recording and gives the file its length. For the end of the process.
pub fn finish() {
    // The lock would be written to in every process.
    if mode() == Mode::Record {
        finish_recording();
    }
}

#[cold]
#[inline(never)]
fn finish_recording() {
    let mut recorder = RECORDER.lock();
    if recorder.on && recorder.process == process_number() {
        recorder.on = false;
        recorder.sink.finish();
    }
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &RECORDER
}

/// In a forked child, which records nothing.
///
/// # Safety
/// The calling thread holds the lock by `ForkLock`, no other thread exists, and nobody has another
/// reference to what it guards.
pub unsafe fn reset_in_child() {
    // SAFETY: the caller holds the lock by `ForkLock`, and no one else refers to what it guards.
    unsafe { (*RECORDER.data_ptr()).on = false };
}

/// Runs `body` with what is known of the calling thread, if calls are recorded.
fn with_thread(body: impl FnOnce(&mut Recorder, &mut Thread)) {
    let key = thread_number() as usize;
    let mut recorder = RECORDER.lock();
    if !recorder.on {
        return;
    }
    let known = recorder.threads.get(key).copied();
    let mut thread = match known {
        Some(known) => known,
        None if recorder.process != process_number() => return,
        None => Thread { number: UNNAMED, call: Call::Plain },
    };
    body(&mut recorder, &mut thread);
    if !recorder.threads.insert(key, thread) {
        recorder.stop("there is no memory to go on");
    }
}

impl Recorder {
    /// How many blocks are younger than the one with this number.
    fn age(&self, block: u64) -> u64 {
        self.block_count - 1 - block
    }

    /// Writes down a new block.
    fn begin(&mut self, thread: &mut Thread, call: Call, addr: usize, size: usize) {
        let size = size as u64;
        let event = match call {
            Call::Plain => Event::Allocate { size },
            Call::Zeroed => Event::AllocateZeroed { size },
            Call::Aligned(align_log2) => Event::AllocateAligned { size, align_log2 },
            Call::Resize(block) => Event::Reallocate { size, age: self.age(block) },
        };
        self.write(thread, event);
        let number = self.block_count;
        self.block_count += 1;
        if !self.blocks.insert(addr, number) {
            self.stop("there is no memory to go on");
        }
    }

    fn write(&mut self, thread: &mut Thread, event: Event) {
        if thread.number == UNNAMED {
            thread.number = self.thread_count;
            self.thread_count += 1;
        }
        if self.current != thread.number {
            self.current = thread.number;
            self.put(Event::Thread(thread.number));
        }
        self.put(event);
    }

    fn put(&mut self, event: Event) {
        if self.on && !self.sink.put(Encoded::of(event).bytes()) {
            self.stop("cannot be written any more, what follows is not recorded");
        }
    }

    /// Ends the recording before its time; what was written is whole.
    fn stop(&mut self, why: &str) {
        if self.on {
            self.on = false;
            self.sink.complain(why);
            self.sink.finish();
        }
    }
}
