//! Carrying out a trace.
//!
//! Waiting never ends in a deadlock: the earliest event of the file that was not carried out yet
//! waits for none, since what it needs (its block, the windows before the last one, its thread's
//! start) stands before it in the file.

use super::decode::{Kind, Op, SHARED};
use super::stored::Stored;
use crate::block::OS_PAGE;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Scope, sleep, yield_now};
use std::time::Duration;

/// Alignment of blocks for which the program asked for none: what most allocations of real programs
/// have.
const ALIGN_LOG2: u8 = 3;

/// What the threads share.
struct Replay<'t> {
    trace: &'t Stored,
    seed: u64,
    /// Blocks that are not one thread's alone: null before they are there and after their end.
    shared: Vec<AtomicPtr<u8>>,
    windows: Mutex<Windows>,
    moved: Condvar,
    /// Relaxed: a sum, read when all threads have been joined.
    checksum: AtomicU64,
}

/// Which windows are done.
struct Windows {
    /// Threads that are not done with each.
    left: Vec<u32>,
    /// The first that is not done.
    first: usize,
}

/// Replays a trace once. The checksum depends on the trace and the seed alone, unless a block lost
/// what was written to it.
pub fn replay(trace: &Stored, seed: u64) -> u64 {
    let shared = trace.index.shared.iter();
    let shared = shared.map(|_| AtomicPtr::new(ptr::null_mut())).collect();
    let windows = Mutex::new(Windows { left: trace.index.windows.clone(), first: 0 });
    let checksum = AtomicU64::new(0);
    let replay = Replay { trace, seed, shared, windows, moved: Condvar::new(), checksum };
    thread::scope(|scope| replay.run(scope, 0));
    replay.free_the_rest();
    replay.checksum.into_inner()
}

impl<'t> Replay<'t> {
    /// What a thread does.
    fn run<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, index: usize) {
        let (_, _, slots) = self.trace.index.threads[index];
        let mut own = vec![ptr::null_mut(); slots];
        let mut checksum = 0_u64;
        let mut inside = None;
        self.trace.for_each(index, |op| {
            match op.kind {
                Kind::Allocate | Kind::AllocateZeroed => {
                    // SAFETY: the layout is not empty.
                    let block = unsafe {
                        match op.kind {
                            Kind::Allocate => alloc(layout(op.size, op.align_log2)),
                            _ => alloc_zeroed(layout(op.size, op.align_log2)),
                        }
                    };
                    let block = there(block, op);
                    if op.kind == Kind::AllocateZeroed {
                        // SAFETY: the block has a first and a last byte, which are zero.
                        let bytes = unsafe { (block.read(), block.add(last(op.size)).read()) };
                        checksum = checksum.wrapping_add(u64::from(bytes.0 | bytes.1));
                    }
                    self.touch(block, 0, op);
                    self.put(&mut own, op.slot, block);
                }
                Kind::Reallocate => {
                    let old = self.take(&mut own, op.from);
                    let size = op.size.max(1) as usize;
                    // SAFETY: the block was made with this layout and is this thread's now.
                    let block = there(
                        unsafe { realloc(old, layout(op.old_size, op.align_log2), size) },
                        op,
                    );
                    // SAFETY: the block has a first byte, which was written before and kept.
                    checksum = checksum.wrapping_add(u64::from(unsafe { block.read() }));
                    self.touch(block, op.old_size as usize, op);
                    self.put(&mut own, op.slot, block);
                }
                Kind::Free => {
                    let block = self.take(&mut own, op.slot);
                    // SAFETY: the block has a first byte, which was written.
                    checksum = checksum.wrapping_add(u64::from(unsafe { block.read() }));
                    // SAFETY: the block was made with this layout and is this thread's now.
                    unsafe { dealloc(block, layout(op.size, op.align_log2)) };
                }
                Kind::Start => {
                    let next = op.slot as usize;
                    scope.spawn(move || self.run(scope, next));
                }
                Kind::Window => {
                    self.enter(inside, op.slot as usize);
                    inside = Some(op.slot as usize);
                }
            }
        });
        self.leave(inside);
        self.checksum.fetch_add(checksum, Ordering::Relaxed);
    }

    /// Writes to the first byte of a block, and to every OS page of it from byte `from` on.
    fn touch(&self, block: *mut u8, from: usize, op: &Op) {
        let mark = (self.seed ^ u64::from(op.size)) as u8;
        // SAFETY: every block has a first byte, and the offsets are below its size. Volatile,
        // because writes to memory that is freed without being read would otherwise be removed.
        unsafe {
            block.write_volatile(mark);
            let mut offset = from.max(1).next_multiple_of(OS_PAGE);
            while offset < op.size as usize {
                block.add(offset).write_volatile(mark);
                offset += OS_PAGE;
            }
        }
    }

    fn put(&self, own: &mut [*mut u8], slot: u32, block: *mut u8) {
        if slot & SHARED == 0 {
            own[slot as usize] = block;
        } else {
            // Release: pairs with the Acquire in `take`; whoever gets the block sees what was
            // written to it.
            self.shared[(slot & !SHARED) as usize].store(block, Ordering::Release);
        }
    }

    /// The block of a slot, which is empty afterwards; waits until it is there.
    fn take(&self, own: &mut [*mut u8], slot: u32) -> *mut u8 {
        if slot & SHARED == 0 {
            return std::mem::replace(&mut own[slot as usize], ptr::null_mut());
        }
        let place = &self.shared[(slot & !SHARED) as usize];
        let mut tries = 0_u32;
        loop {
            // Acquire: see `put`. A load: one thread alone takes the block of a slot.
            let block = place.load(Ordering::Acquire);
            if !block.is_null() {
                // Relaxed: only this thread looks at the slot, until the end.
                place.store(ptr::null_mut(), Ordering::Relaxed);
                return block;
            }
            match tries {
                0..100 => spin_loop(),
                100..200 => yield_now(),
                _ => sleep(Duration::from_micros(50)),
            }
            tries += 1;
        }
    }

    /// Leaves window `from` and waits until `to` may begin.
    fn enter(&self, from: Option<usize>, to: usize) {
        self.leave(from);
        let mut windows = self.windows.lock().expect("no thread panics in here");
        while windows.first + 1 < to {
            windows = self.moved.wait(windows).expect("no thread panics in here");
        }
    }

    fn leave(&self, from: Option<usize>) {
        let Some(from) = from else { return };
        let mut windows = self.windows.lock().expect("no thread panics in here");
        windows.left[from] -= 1;
        let before = windows.first;
        while windows.left.get(windows.first) == Some(&0) {
            windows.first += 1;
        }
        if windows.first > before {
            self.moved.notify_all();
        }
    }

    /// Frees what the program never did.
    fn free_the_rest(&self) {
        for (place, (size, align_log2)) in self.shared.iter().zip(&self.trace.index.shared) {
            // Relaxed: the threads have been joined.
            let block = place.load(Ordering::Relaxed);
            if !block.is_null() {
                // SAFETY: the block was made with this layout, and nobody took it out of its slot.
                unsafe { dealloc(block, layout(*size, *align_log2)) };
            }
        }
    }
}

/// The layout of a block of `size` bytes, at least one, that is aligned to two to that power.
fn layout(size: u32, align_log2: u8) -> Layout {
    let align = 1 << align_log2.max(ALIGN_LOG2);
    // SAFETY: a power of two of at most 2^26; sizes have 32 bits.
    unsafe { Layout::from_size_align_unchecked(size.max(1) as usize, align) }
}

/// The offset of a block's last byte.
fn last(size: u32) -> usize {
    size.max(1) as usize - 1
}

fn there(block: *mut u8, op: &Op) -> *mut u8 {
    if block.is_null() {
        handle_alloc_error(layout(op.size, op.align_log2));
    }
    block
}
