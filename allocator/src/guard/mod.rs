//! Guarded blocks: a few allocations, chosen by chance, get pages of their own between pages that nobody may
//! touch (option `guard_sample`). What reads or writes behind or before such a block, or after its `free`,
//! faults; what damages the rest of its pages is seen when it is freed. Each ends in a report with the
//! stacks of the allocation, of the `free` and of the misuse, and `abort`.
//!
//! Blocks are chosen like samples of the heap profile (`thread_cache::counted`), so that threads of programs
//! without the option do not know of any of this.
//!
//! * `pool`: the address space of the blocks, cut into places of one size, and their records.
//! * `fault`: the handler of `SIGSEGV`, which hands on what is none of ours.
//! * `report`: the last words.
//!
//! The pool's lock is of the profile's rank; it is not held while the kernel is called, and the handler does
//! without it.

mod fault;
mod pool;
pub mod report;

use crate::parameters::{self, Id, NEVER};
use crate::profile::sampler;
use report::{Block, Trace};

pub use pool::{fork_lock, owns, usable_size};

/// Makes the pool and takes the signal, if the option asks for guarded blocks. Returns whether there will be
/// any. Called once, when the environment was read.
pub fn start_if_wanted() -> bool {
    is_wanted() && pool::make() && fault::install()
}

/// Whether blocks are to be guarded now.
pub fn is_wanted() -> bool {
    parameters::get(Id::GuardSample) != NEVER
}

/// Bytes until the next block to be guarded; see `sampler::distance`.
pub fn draw(random: &mut u64) -> isize {
    sampler::distance(parameters::get(Id::GuardSample), random)
}

/// A guarded block of `size` bytes at a multiple of `align` (a power of two); null if it cannot be had.
#[cold]
#[inline(never)]
pub fn allocate(size: usize, align: usize) -> *mut u8 {
    fault::keep();
    pool::allocate(size, align, Trace::here())
}

/// What the caller of a `free` says that the block is.
#[derive(Clone, Copy, Debug)]
pub struct CallerLayout {
    /// The size that it was asked for with.
    pub size: usize,
    /// The alignment, where the caller must know that too.
    pub align: Option<usize>,
}

/// Takes a guarded block back; aborts if it was damaged.
///
/// # Safety
/// `check_live` passed `addr`, and the caller gives the block up.
#[cold]
#[inline(never)]
pub unsafe fn free_guarded(addr: usize) {
    // SAFETY: a live block, which the caller gives up.
    unsafe { pool::free_guarded(addr, Trace::here()) }
}

/// Aborts unless a live guarded block starts at `addr` and is what the caller thinks. Returns its size.
pub fn check_live(addr: usize, caller_layout: Option<CallerLayout>, call: &str) -> usize {
    let here = &Trace::here();
    let block = match pool::record_of(addr) {
        Some(block) => block,
        None => report::not_a_block(addr, call, here),
    };
    if block.start != addr {
        report::interior(addr, call, &block, here);
    }
    if !block.is_live {
        report::freed_twice(call, &block, here);
    }
    if let Some(caller_layout) = caller_layout
        && disagrees(&block, caller_layout)
    {
        report::mismatch(
            addr,
            &caller_layout,
            block.size,
            Some(block.align),
            &block.allocated,
            here,
        );
    }
    block.size
}

/// Whether a live guarded block starts at `addr`, which lies in the pool.
pub fn is_live(addr: usize) -> bool {
    pool::record_of(addr).is_some_and(|block| block.is_live && block.start == addr)
}

fn disagrees(block: &Block, caller_layout: CallerLayout) -> bool {
    block.size != caller_layout.size
        || caller_layout.align.is_some_and(|align| align != block.align)
}
