//! Guarded blocks: a few allocations, chosen by chance, get pages of their own between pages that
//! nobody may touch (option `guard_sample`). What reads or writes behind or before such a block, or
//! after its `free`, faults; what damages the rest of its pages is seen when it is freed. Each ends
//! in a report with the stacks of the allocation, of the `free` and of the misuse, and `abort`.
//!
//! Blocks are chosen like samples of the heap profile (`thread_cache::sampling`), so that
//! threads of programs without the option do not know of any of this.
//!
//! * `report`: the last words.
//! * `pool`: the address space of the blocks, cut into places of one size, and their records.
//! * `fault`: the handler of `SIGSEGV`, which leaves all other faults to the handler that was there
//!   before.
//!
//! The pool's lock is of the profile's rank; it is not held while the kernel is called, and the
//! handler does without it.

// Each file uses only files above it; apart, so that the formatter does not sort them.
pub mod report;

mod pool;

mod fault;

use crate::parameters::{self, Id, NEVER};
use crate::profile::sampler;
use report::Trace;

pub use pool::{check_live, fork_lock, owns, usable_size};
pub use report::CallerLayout;

/// Makes the pool and takes the signal, if the option asks for guarded blocks. Returns whether
/// there will be any. Called once, when the environment was read.
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

/// A guarded block of `size` bytes at a multiple of `align` (a power of two); null if it cannot be
/// had.
#[cold]
#[inline(never)]
pub fn allocate(size: usize, align: usize) -> *mut u8 {
    fault::keep();
    pool::allocate(size, align, Trace::here())
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

/// Whether a live guarded block starts at `addr`, which lies in the pool.
pub fn is_live(addr: usize) -> bool {
    pool::record_of(addr).is_some_and(|block| block.is_live && block.start == addr)
}
