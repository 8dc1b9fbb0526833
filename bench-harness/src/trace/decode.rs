//! A trace file's bytes as lists of operations, one for each thread.
//!
//! A pure function over bytes that anybody may have written: it looks at every number before it
//! uses it, and its memory is bounded by the length of what it reads. Two passes: the first finds
//! the mistakes and which blocks stay on one thread; the second gives every block a slot.

use std::fmt;

/// What a file begins with.
pub const MAGIC: &[u8] = b"strtrc1\n";

/// Threads that a trace may have in all.
pub const MOST_THREADS: usize = 1 << 16;
/// Threads that may be under way at the same time.
pub const MOST_THREADS_AT_ONCE: usize = 1_000;
/// Bytes that may be live at the same time: replaying touches them.
pub const MOST_LIVE: u64 = 4 << 30;
/// Largest alignment, as a power of two.
const MOST_ALIGN_LOG2: u8 = 26;
/// Events of a window: while one window is not done by all threads, none begins the next but one.
pub const WINDOW: usize = 2_048;

/// What a thread does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Allocates `size` bytes into `slot`.
    Allocate,
    /// The same, zeroed.
    AllocateZeroed,
    /// Resizes the block in `from` to `size` bytes and puts it into `slot`.
    Reallocate,
    /// Frees the block in `slot`.
    Free,
    /// Starts the thread with number `slot`.
    Start,
    /// Is done with its window so far, and waits for its turn in window `slot`.
    Window,
}

/// One step of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What is done.
    pub kind: Kind,
    /// The block's alignment, as a power of two; 0 stands for what every block has.
    pub align_log2: u8,
    /// Where the block is: see [`SHARED`].
    pub slot: u32,
    /// Where it was before it was resized.
    pub from: u32,
    /// Bytes of the block.
    pub size: u32,
    /// Bytes of the block before it was resized.
    pub old_size: u32,
}

/// Slots with this bit are of all threads together, each used for one block; the others are the
/// thread's own, and used again.
pub const SHARED: u32 = 1 << 31;

/// What one thread does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its steps, in order.
    pub ops: Vec<Op>,
    /// Slots of its own.
    pub slots: usize,
}

/// A trace, ready to be replayed.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// The threads; the first starts by itself, the others are started.
    pub threads: Vec<Thread>,
    /// Size and alignment, as a power of two, of each block in the slots of all threads together.
    pub shared: Vec<(u32, u8)>,
    /// How many threads work in each window.
    pub windows: Vec<u32>,
    /// Calls of the allocator.
    pub events: usize,
    /// Most bytes that were live at the same time.
    pub peak_live: u64,
}

/// Why bytes are no trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceError {
    /// Where.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts below say it")]
pub enum Problem {
    NotATrace,
    Empty,
    Cut,
    UnknownKind(u8),
    HugeNumber,
    ThreadOutOfOrder(u64),
    TooManyThreads,
    TooManyThreadsAtOnce(usize),
    NoThread,
    NoSuchBlock(u64),
    FreedTwice,
    TooLarge(u64),
    Alignment(u8),
    TooMuchLive(u64),
    BehindTheEnd,
}

impl fmt::Display for TraceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "byte {}: ", self.at)?;
        match self.problem {
            Problem::NotATrace => out.write_str("this is no trace of stratalloc's"),
            Problem::Empty => out.write_str("the trace has no calls in it"),
            Problem::Cut => out.write_str("the file ends inside an event"),
            Problem::UnknownKind(kind) => write!(out, "there is no event of kind {kind}"),
            Problem::HugeNumber => out.write_str("a number does not fit into 64 bits"),
            Problem::ThreadOutOfOrder(number) => {
                write!(out, "thread {number} comes before the one that precedes it")
            }
            Problem::TooManyThreads => write!(out, "there are more than {MOST_THREADS} threads"),
            Problem::TooManyThreadsAtOnce(count) => {
                write!(out, "{count} threads at the same time; {MOST_THREADS_AT_ONCE} are allowed")
            }
            Problem::NoThread => out.write_str("a call comes before the first thread"),
            Problem::NoSuchBlock(age) => write!(out, "there is no block {age} before the newest"),
            Problem::FreedTwice => out.write_str("a block is used after its end"),
            Problem::TooLarge(size) => write!(out, "a block of {size} bytes is too large"),
            Problem::Alignment(power) => {
                write!(out, "an alignment of 2^{power}; up to 2^{MOST_ALIGN_LOG2} is allowed")
            }
            Problem::TooMuchLive(bytes) => {
                write!(out, "{bytes} bytes live at the same time; {MOST_LIVE} are allowed")
            }
            Problem::BehindTheEnd => {
                out.write_str("there is something behind the end of the trace")
            }
        }
    }
}

impl std::error::Error for TraceError {}

/// A parsed event: see `docs/traces.md`.
enum Event {
    Thread(u64),
    Allocate { size: u64, align_log2: u8, zeroed: bool },
    Reallocate { size: u64, age: u64 },
    Free { age: u64 },
}

/// Reads events.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the first event of a file.
    fn new(bytes: &'a [u8]) -> Result<Self, TraceError> {
        let reader = Self { bytes, at: MAGIC.len() };
        let problem = TraceError { at: 0, problem: Problem::NotATrace };
        bytes.starts_with(MAGIC).then_some(reader).ok_or(problem)
    }

    fn fail<T>(&self, problem: Problem) -> Result<T, TraceError> {
        Err(TraceError { at: self.at, problem })
    }

    fn byte(&mut self) -> Result<u8, TraceError> {
        let Some(&byte) = self.bytes.get(self.at) else { return self.fail(Problem::Cut) };
        self.at += 1;
        Ok(byte)
    }

    /// The rest of a number of which the lowest `shift` bits are `low`.
    fn number(&mut self, low: u64, mut shift: u32) -> Result<u64, TraceError> {
        let mut number = low;
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 127);
            if shift >= u64::BITS || part << shift >> shift != part {
                return self.fail(Problem::HugeNumber);
            }
            number |= part << shift;
            if byte & 128 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    /// The next event; none at the end.
    fn event(&mut self) -> Result<Option<Event>, TraceError> {
        let Some(&first) = self.bytes.get(self.at) else { return Ok(None) };
        if first == 0 {
            // What was reserved and not used, of a process that was ended.
            return match self.bytes[self.at..].iter().position(|&byte| byte != 0) {
                None => Ok(None),
                Some(behind) => {
                    self.at += behind;
                    self.fail(Problem::BehindTheEnd)
                }
            };
        }
        self.at += 1;
        let low = u64::from(first >> 3 & 15);
        let number = if first & 128 == 0 { low } else { self.number(low, 4)? };
        Ok(Some(match first & 7 {
            1 => Event::Thread(number),
            2 => Event::Allocate { size: number, align_log2: 0, zeroed: false },
            3 => Event::Allocate { size: number, align_log2: 0, zeroed: true },
            4 => Event::Allocate { size: number, align_log2: self.byte()?, zeroed: false },
            5 => Event::Reallocate { size: number, age: self.number(0, 0)? },
            6 => Event::Free { age: number },
            kind => return self.fail(Problem::UnknownKind(kind)),
        }))
    }
}

/// What is known of a block.
#[derive(Clone, Copy)]
struct Block {
    size: u32,
    thread: u32,
    slot: u32,
    align_log2: u8,
    live: bool,
    /// Whether another thread ends it, or nobody does.
    shared: bool,
}

/// What the first pass found.
struct Survey {
    blocks: Vec<Block>,
    threads: usize,
    events: usize,
    peak_live: u64,
}

impl Trace {
    /// Decodes a file, or its first `most_events` calls.
    pub fn decode(bytes: &[u8], most_events: usize) -> Result<Self, TraceError> {
        let survey = survey(bytes, most_events)?;
        build(bytes, survey)
    }
}

fn survey(bytes: &[u8], most_events: usize) -> Result<Survey, TraceError> {
    let mut reader = Reader::new(bytes)?;
    let mut found = Survey { blocks: Vec::new(), threads: 0, events: 0, peak_live: 0 };
    let (mut live, mut current) = (0_u64, None);
    // Where each thread's first and last calls are.
    let mut spans: Vec<(usize, usize)> = Vec::new();
    while found.events < most_events {
        let Some(event) = reader.event()? else { break };
        if let Event::Thread(number) = event {
            if number > found.threads as u64 {
                return reader.fail(Problem::ThreadOutOfOrder(number));
            }
            current = Some(number as u32);
            if number == found.threads as u64 {
                if found.threads == MOST_THREADS {
                    return reader.fail(Problem::TooManyThreads);
                }
                found.threads += 1;
                spans.push((found.events, found.events));
            }
            continue;
        }
        let Some(thread) = current else { return reader.fail(Problem::NoThread) };
        spans[thread as usize].1 = found.events;
        found.events += 1;
        let (size, align_log2) = match event {
            Event::Allocate { size, align_log2, .. } => (size, align_log2),
            Event::Reallocate { size, age } => {
                let old = end(&mut found.blocks, age, thread, &reader)?;
                live -= u64::from(old.size);
                (size, old.align_log2)
            }
            Event::Free { age } => {
                live -= u64::from(end(&mut found.blocks, age, thread, &reader)?.size);
                continue;
            }
            Event::Thread(_) => continue,
        };
        if align_log2 > MOST_ALIGN_LOG2 {
            return reader.fail(Problem::Alignment(align_log2));
        }
        let Ok(size) = u32::try_from(size) else { return reader.fail(Problem::TooLarge(size)) };
        live += u64::from(size);
        found.peak_live = found.peak_live.max(live);
        if live > MOST_LIVE {
            return reader.fail(Problem::TooMuchLive(live));
        }
        found.blocks.push(Block { size, thread, slot: 0, align_log2, live: true, shared: false });
    }
    if found.events == 0 {
        return reader.fail(Problem::Empty);
    }
    let at_once = most_at_once(&spans);
    if at_once > MOST_THREADS_AT_ONCE {
        return reader.fail(Problem::TooManyThreadsAtOnce(at_once));
    }
    // Who frees what nobody did is none of the threads.
    found.blocks.iter_mut().for_each(|block| block.shared |= block.live);
    Ok(found)
}

/// Ends a block in the first pass; what was known of it.
fn end(
    blocks: &mut [Block],
    age: u64,
    thread: u32,
    reader: &Reader<'_>,
) -> Result<Block, TraceError> {
    let index = (blocks.len() as u64).checked_sub(1).and_then(|newest| newest.checked_sub(age));
    let Some(index) = index else { return reader.fail(Problem::NoSuchBlock(age)) };
    let block = &mut blocks[index as usize];
    if !block.live {
        return reader.fail(Problem::FreedTwice);
    }
    block.live = false;
    block.shared |= block.thread != thread;
    Ok(*block)
}

/// The most of these spans that overlap.
fn most_at_once(spans: &[(usize, usize)]) -> usize {
    let mut ends: Vec<usize> = spans.iter().map(|span| span.1).collect();
    ends.sort_unstable();
    // Threads begin in the order of their numbers.
    let ended = |begin| ends.partition_point(|&end| end < begin);
    spans.iter().enumerate().map(|(index, span)| index + 1 - ended(span.0)).max().unwrap_or(0)
}

/// The second pass.
struct Builder {
    trace: Trace,
    /// Free slots of each thread.
    free: Vec<Vec<u32>>,
    /// The window in which each thread was last.
    inside: Vec<u32>,
    blocks: Vec<Block>,
    next_block: usize,
}

fn build(bytes: &[u8], survey: Survey) -> Result<Trace, TraceError> {
    let mut reader = Reader::new(bytes)?;
    let Survey { blocks, threads, events, peak_live } = survey;
    let mut list = Vec::new();
    list.resize_with(threads, Thread::default);
    let windows = vec![0; if threads > 1 { events.div_ceil(WINDOW) } else { 0 }];
    let trace = Trace { threads: list, shared: Vec::new(), windows, events, peak_live };
    let inside = vec![u32::MAX; threads];
    let mut builder =
        Builder { trace, free: vec![Vec::new(); threads], inside, blocks, next_block: 0 };
    let (mut current, mut done, mut started) = (0, 0, 1);
    while done < events {
        let Some(event) = reader.event()? else { break };
        if let Event::Thread(number) = event {
            let number = number as usize;
            if number == started {
                builder.push(current, Kind::Start, number as u32);
                started += 1;
            }
            current = number;
            continue;
        }
        builder.call(current, (done / WINDOW) as u32, &event);
        done += 1;
    }
    Ok(builder.trace)
}

impl Builder {
    fn push(&mut self, thread: usize, kind: Kind, slot: u32) -> &mut Op {
        let ops = &mut self.trace.threads[thread].ops;
        ops.push(Op { kind, align_log2: 0, slot, from: 0, size: 0, old_size: 0 });
        let last = ops.len() - 1;
        &mut ops[last]
    }

    /// Adds a call of `thread` in `window`. The first pass has seen that it is sound.
    fn call(&mut self, thread: usize, window: u32, event: &Event) {
        if self.trace.threads.len() > 1 && self.inside[thread] != window {
            self.inside[thread] = window;
            self.trace.windows[window as usize] += 1;
            self.push(thread, Kind::Window, window);
        }
        match *event {
            Event::Thread(_) => {}
            Event::Allocate { zeroed, .. } => {
                let block = self.begin(thread);
                let kind = if zeroed { Kind::AllocateZeroed } else { Kind::Allocate };
                let op = self.push(thread, kind, block.slot);
                (op.size, op.align_log2) = (block.size, block.align_log2);
            }
            Event::Reallocate { age, .. } => {
                let old = self.end(thread, age);
                let block = self.begin(thread);
                let op = self.push(thread, Kind::Reallocate, block.slot);
                (op.from, op.old_size) = (old.slot, old.size);
                (op.size, op.align_log2) = (block.size, block.align_log2);
            }
            Event::Free { age } => {
                let block = self.end(thread, age);
                let op = self.push(thread, Kind::Free, block.slot);
                (op.size, op.align_log2) = (block.size, block.align_log2);
            }
        }
    }

    /// Gives the next block its slot.
    fn begin(&mut self, thread: usize) -> Block {
        let block = &mut self.blocks[self.next_block];
        self.next_block += 1;
        block.slot = if block.shared {
            self.trace.shared.push((block.size, block.align_log2));
            (self.trace.shared.len() - 1) as u32 | SHARED
        } else {
            self.free[thread].pop().unwrap_or_else(|| {
                let own = &mut self.trace.threads[thread].slots;
                *own += 1;
                (*own - 1) as u32
            })
        };
        *block
    }

    /// The block that ends; its slot, if it was the thread's own, is free again.
    fn end(&mut self, thread: usize, age: u64) -> Block {
        let block = self.blocks[self.next_block - 1 - age as usize];
        if block.slot & SHARED == 0 {
            self.free[thread].push(block.slot);
        }
        block
    }
}

#[cfg(test)]
mod tests;
