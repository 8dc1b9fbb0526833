//! A block of memory as the workloads use it: allocated, written to, checked, freed.
//!
//! [`Block`] goes straight to the global allocator, so that a workload decides every size itself.
//! It hides nothing: creating one is one allocation, dropping it is one deallocation. Memory that
//! is never written to would stay untouched and flatter an allocator that maps much, so creation
//! writes the first bytes and one byte in every further OS page, as a program that uses its memory
//! does.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

/// Size of the pages that the kernel hands out on first touch.
pub const OS_PAGE: usize = 4096;

/// Alignment of every block; what most allocations of real programs ask for.
const ALIGNMENT: usize = 8;

/// An owned block of at least one byte.
pub struct Block {
    address: NonNull<u8>,
    size: usize,
}

// SAFETY: a `Block` is the only owner of its memory, and the global allocator accepts a block on
// any thread.
unsafe impl Send for Block {}

// SAFETY: a shared `Block` can only be read; writing takes an exclusive one.
unsafe impl Sync for Block {}

impl Block {
    /// Allocates `size` bytes (at least 1) and marks the first byte and every OS page with `mark`.
    #[inline]
    pub fn new(size: usize, mark: u8) -> Self {
        let layout = Self::layout(size);
        // SAFETY: no caller asks for zero bytes, and `layout` rounds up to 1 should one do.
        let Some(address) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let block = Self { address, size: layout.size() };
        block.write(mark);
        block
    }

    /// An empty table with room for `len` blocks, all of which is touched, so that it does not
    /// count as what the blocks take.
    pub fn touched_table(len: usize) -> Vec<Option<Self>> {
        let mut table = Vec::with_capacity(len);
        table.resize_with(len, || None);
        table.clear();
        table
    }

    /// The layout of a block of `size` bytes.
    #[inline]
    fn layout(size: usize) -> Layout {
        let size = size.max(1);
        // SAFETY: the alignment is a power of two, and no workload asks for more than a few GiB.
        unsafe { Layout::from_size_align_unchecked(size, ALIGNMENT) }
    }

    /// Allocates `size` bytes and writes `byte` to all of them, so that every page on which the
    /// block lies is touched, however small it is.
    #[inline]
    pub fn filled(size: usize, byte: u8) -> Self {
        let mut block = Self::new(size, byte);
        block.fill(byte);
        block
    }

    /// Writes `mark` to the first byte of the block and of each further OS page.
    #[inline]
    fn write(&self, mark: u8) {
        let mut offset = 0;
        while offset < self.size {
            // SAFETY: `offset < size`, so the byte lies inside the block; volatile, because a write
            // to memory that is freed without being read would otherwise be removed.
            unsafe { self.address.as_ptr().add(offset).write_volatile(mark) };
            offset += OS_PAGE;
        }
    }

    /// Changes the size by `realloc` and writes `mark` to the first byte of each OS page that is
    /// new.
    pub fn resize(&mut self, size: usize, mark: u8) {
        let before = self.size.div_ceil(OS_PAGE);
        self.resize_unwritten(size);
        self.rewrite_pages(before, self.size.div_ceil(OS_PAGE).saturating_sub(before), mark);
    }

    /// Changes the size by `realloc`. What is new is not to be read.
    pub fn resize_unwritten(&mut self, size: usize) {
        let new = Self::layout(size);
        let old = Self::layout(self.size);
        // SAFETY: the block came from `alloc` or `realloc` with the old layout, and the new size is
        // not zero.
        let moved = unsafe { realloc(self.address.as_ptr(), old, new.size()) };
        let Some(address) = NonNull::new(moved) else { handle_alloc_error(new) };
        (self.address, self.size) = (address, new.size());
    }

    /// Writes `mark` to the first byte of `pages` OS pages, counted from the start of the block,
    /// from page `first` on.
    pub fn rewrite_pages(&mut self, first: usize, pages: usize, mark: u8) {
        assert!((first + pages).saturating_sub(1) * OS_PAGE < self.size || pages == 0);
        for page in first..first + pages {
            // SAFETY: inside the block, as the last page begins there; volatile as in `write`.
            unsafe { self.address.as_ptr().add(page * OS_PAGE).write_volatile(mark) };
        }
    }

    /// The marks of all its pages, added up. They must have been written.
    pub fn sum(&self) -> u64 {
        let marks = (0..self.size).step_by(OS_PAGE);
        // SAFETY: inside the block, and written by the caller's word; volatile, so that it is read
        // from memory.
        marks.map(|at| u64::from(unsafe { self.address.as_ptr().add(at).read_volatile() })).sum()
    }

    /// Writes another mark to the first byte and to every further OS page.
    #[inline]
    pub fn rewrite(&mut self, mark: u8) {
        self.write(mark);
    }

    /// Writes `byte` to every byte.
    #[inline]
    pub fn fill(&mut self, byte: u8) {
        // SAFETY: the block is `size` bytes long and borrowed exclusively.
        unsafe { self.address.as_ptr().write_bytes(byte, self.size) };
        // Otherwise the writing could be left out where nothing reads it.
        std::hint::black_box(self.address);
    }

    /// The mark that was last written, read back from its memory.
    #[inline]
    pub fn mark(&self) -> u8 {
        // SAFETY: the first byte exists and was written by `new`.
        unsafe { self.address.as_ptr().read_volatile() }
    }

    /// Bytes asked for.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where the block begins; for asking an allocator whether it is its own.
    pub fn address(&self) -> *const u8 {
        self.address.as_ptr()
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc` with this very layout and is owned here alone.
        unsafe { dealloc(self.address.as_ptr(), Self::layout(self.size)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_mark_on_every_page() {
        let block = Block::new(3 * OS_PAGE + 1, 0xa5);
        assert_eq!((block.mark(), block.size()), (0xa5, 3 * OS_PAGE + 1));
        for page in 0..4 {
            // SAFETY: the offset lies inside the block, and `new` wrote this byte.
            assert_eq!(unsafe { block.address().add(page * OS_PAGE).read() }, 0xa5);
        }
    }

    #[test]
    fn a_resized_block_keeps_what_it_had_and_marks_what_is_new() {
        let mut block = Block::new(2 * OS_PAGE, 3);
        block.resize(5 * OS_PAGE + 1, 7);
        assert_eq!((block.size(), block.sum()), (5 * OS_PAGE + 1, 2 * 3 + 4 * 7));
        block.resize(OS_PAGE + 1, 9);
        assert_eq!(block.sum(), 2 * 3);
        block.rewrite_pages(1, 1, 5);
        assert_eq!(block.sum(), 3 + 5);
    }
}
