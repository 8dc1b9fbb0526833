//! The arenas that a program creates (`arenas.create`).
//!
//! All threads share one heap, which is arena 0. An arena that is created is a number for it that
//! `MALLOCX_ARENA` takes: placement is all that a program loses. `arena.<i>.destroy` and `.reset`
//! discard in jemalloc what was allocated in the arena, which cannot be done here: blocks do not
//! tell their arena. So both succeed only if nothing is left to discard. Blocks are counted where
//! the flags name the arena, when they are allocated and when they are freed (BIND 9 does so); a
//! block that is freed without the flag stays counted, and the arena cannot be destroyed.

use core::sync::atomic::{AtomicIsize, Ordering};

use super::numbers::Numbers;

/// What stands for "all arenas" in a path.
pub const ALL: usize = 4096;

/// What stands for "all arenas that were destroyed", of which nothing is known here.
pub const DESTROYED: usize = 4097;

/// Numbers of arenas; jemalloc's limit is 4,095.
const MOST: usize = 64 * WORDS;
const WORDS: usize = 16;

/// The arenas that were created. The number of the first is 1.
static CREATED: Numbers<WORDS> = Numbers::new();

/// Blocks in each of them. Relaxed throughout: sums of additions that need no order. Whoever
/// destroys an arena knows that no other thread uses it, and ordered that before.
#[unsafe(link_section = ".bss.stratalloc_large")]
static BLOCKS: [AtomicIsize; MOST] = [const { AtomicIsize::new(0) }; MOST];

/// Why an arena cannot be destroyed or reset.
pub struct InUse;

/// How many numbers there are: arena 0, and one for each arena that was ever created at once.
pub fn count() -> usize {
    1 + CREATED.end()
}

/// A new arena's number; `None` if there are too many.
pub fn create() -> Option<usize> {
    CREATED.take().map(|place| place + 1)
}

/// Whether `number` is that of an arena that was created and not destroyed.
pub fn is_created(number: usize) -> bool {
    number.checked_sub(1).is_some_and(|place| CREATED.contains(place))
}

/// Whether `number` stands for the one heap: arena 0, or all arenas under either name.
pub fn is_heap(number: usize) -> bool {
    number == 0 || is_all(number)
}

/// Whether `number` stands for all arenas: 4096 or, as jemalloc has it, the number of arenas.
pub fn is_all(number: usize) -> bool {
    number == ALL || number == count()
}

/// Whether a path may have `number` as that of an arena.
pub fn is_known(number: usize) -> bool {
    number <= count() || number == ALL || number == DESTROYED
}

/// Counts a block that was allocated (`1`) or freed (`-1`) with `number` in its flags.
pub fn count_block(number: Option<usize>, change: isize) {
    if let Some(blocks) = number.and_then(blocks_of) {
        blocks.fetch_add(change, Ordering::Relaxed);
    }
}

/// Whether nothing is left in the arena that was created as `number`.
pub fn is_empty(number: usize) -> bool {
    // Below zero if blocks from elsewhere were freed with the arena's number.
    blocks_of(number).is_none_or(|blocks| blocks.load(Ordering::Relaxed) <= 0)
}

/// Takes back the number of an arena that was created, and in which nothing is left.
pub fn destroy(number: usize) -> Result<(), InUse> {
    if !is_created(number) || !is_empty(number) {
        return Err(InUse);
    }
    if let Some(blocks) = blocks_of(number) {
        blocks.store(0, Ordering::Relaxed);
    }
    if CREATED.give_back(number - 1) { Ok(()) } else { Err(InUse) }
}

fn blocks_of(number: usize) -> Option<&'static AtomicIsize> {
    number.checked_sub(1).and_then(|place| BLOCKS.get(place))
}
