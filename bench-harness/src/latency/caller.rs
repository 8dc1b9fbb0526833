//! A thread's calls of the allocator, each of them timed.
//!
//! They go to the program's global allocator, which is the one under test, by the functions that
//! containers call. What a call returned is used outside the timed part.

use super::recorder::{LARGE, Operation, Recorder};
use crate::block::OS_PAGE;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::hint::black_box;
use std::ptr::NonNull;

/// Alignment of every block; what most allocations of real programs ask for.
const ALIGNMENT: usize = 8;

/// A block of memory that somebody owns. It is freed without being timed where it is dropped.
pub struct Held {
    address: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is the only owner of its memory, and the global allocator accepts a block on any
// thread.
unsafe impl Send for Held {}

impl Held {
    /// A block that is allocated without being timed. Its first byte is written.
    pub fn untimed(size: usize) -> Self {
        let layout = layout(size);
        // SAFETY: the layout is not empty.
        let Some(address) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let mut held = Self { address, layout };
        held.write(0);
        held
    }

    /// Bytes that were asked for.
    pub fn size(&self) -> usize {
        self.layout.size()
    }

    fn is_large(&self) -> bool {
        self.size() >= LARGE
    }

    /// Writes to the byte at `offset`, which is taken modulo the size.
    fn write(&mut self, offset: usize) {
        // SAFETY: the offset is inside the block; volatile, so that the write is made.
        unsafe { self.address.as_ptr().add(offset % self.size()).write_volatile(1) };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the block came from the global allocator with this layout and is owned here
        // alone.
        unsafe { dealloc(self.address.as_ptr(), self.layout) };
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), ALIGNMENT).expect("no load asks for so much")
}

/// Makes calls of the allocator and times them.
pub struct Caller {
    /// What they took.
    pub recorder: Recorder,
}

impl Caller {
    /// Counts into this recorder.
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder }
    }

    /// `malloc`; none where the allocator has no such block. The first byte is written afterwards.
    #[inline]
    pub fn malloc(&mut self, size: usize) -> Option<Held> {
        let operation = if size < LARGE { Operation::MallocSmall } else { Operation::MallocLarge };
        self.malloc_as(operation, size)
    }

    /// The same, counted as another operation.
    #[inline]
    pub fn malloc_as(&mut self, operation: Operation, size: usize) -> Option<Held> {
        let layout = layout(size);
        // SAFETY: the layout is not empty.
        let address = self.recorder.time(operation, || black_box(unsafe { alloc(layout) }));
        self.held(address, layout)
    }

    /// `calloc`.
    #[inline]
    pub fn calloc(&mut self, size: usize) -> Option<Held> {
        let layout = layout(size);
        let call = || {
            // SAFETY: the layout is not empty.
            black_box(unsafe { alloc_zeroed(layout) })
        };
        let address = self.recorder.time(Operation::Calloc, call);
        self.held(address, layout)
    }

    /// `realloc`; the block stays as it is where the allocator has no other.
    #[inline]
    pub fn realloc(&mut self, held: Held, size: usize) -> Held {
        let (address, old) = (held.address.as_ptr(), held.layout);
        let layout = layout(size);
        let call = || {
            // SAFETY: the block came from the global allocator with this layout, and the size is
            // not 0.
            black_box(unsafe { realloc(address, old, layout.size()) })
        };
        let moved = self.recorder.time(Operation::Realloc, call);
        if NonNull::new(moved).is_none() {
            self.recorder.refused += 1;
            return held;
        }
        std::mem::forget(held);
        self.held(moved, layout).expect("it is not null")
    }

    /// `free`.
    #[inline]
    pub fn free(&mut self, held: Held) {
        let operation = if held.is_large() { Operation::FreeLarge } else { Operation::FreeSmall };
        let (address, layout) = (held.address.as_ptr(), held.layout);
        std::mem::forget(held);
        let call = || {
            // SAFETY: the block came from the global allocator with this layout and has no owner
            // now.
            unsafe { dealloc(black_box(address), layout) };
        };
        self.recorder.time(operation, call);
    }

    /// Writes to one page in every `stride` bytes of a block, each write timed.
    pub fn touch(&mut self, held: &mut Held, stride: usize) {
        for offset in (OS_PAGE..held.size()).step_by(stride) {
            let address = held.address.as_ptr();
            let write = || {
                // SAFETY: the offset is inside the block; volatile, so that the write is made here.
                unsafe { address.add(offset).write_volatile(1) };
            };
            self.recorder.time(Operation::FirstWrite, write);
        }
    }

    #[inline]
    fn held(&mut self, address: *mut u8, layout: Layout) -> Option<Held> {
        let Some(address) = NonNull::new(address) else {
            self.recorder.refused += 1;
            return None;
        };
        let mut held = Held { address, layout };
        held.write(0);
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_kind_and_blocks_keep_what_is_in_them() {
        let mut caller = Caller::new(Recorder::new(20).expect("there is memory"));
        let small = caller.malloc(100).expect("there is memory");
        let mut large = caller.malloc(LARGE).expect("there is memory");
        caller.touch(&mut large, OS_PAGE);
        let mut zeroed = caller.calloc(64).expect("there is memory");
        zeroed.write(5);
        let moved = caller.realloc(zeroed, 50_000);
        // SAFETY: both bytes are inside the block, and were written.
        let bytes =
            unsafe { [moved.address.as_ptr().add(5).read(), moved.address.as_ptr().add(6).read()] };
        assert_eq!((bytes, moved.size()), ([1, 0], 50_000));
        for held in [small, large, moved] {
            caller.free(held);
        }
        let counted = caller.recorder.counted(1.0);
        let seen: Vec<_> = counted.iter().map(|one| (one.operation, one.samples())).collect();
        let pages = (LARGE / OS_PAGE) as u64 - 1;
        let expected = [
            (Operation::MallocSmall, 1),
            (Operation::MallocLarge, 1),
            (Operation::Calloc, 1),
            (Operation::Realloc, 1),
            (Operation::FreeSmall, 1),
            (Operation::FreeLarge, 2),
            (Operation::FirstWrite, pages),
            (Operation::Empty, 7 + pages),
        ];
        assert_eq!(seen, expected);
        assert_eq!(caller.recorder.refused, 0);
    }
}
