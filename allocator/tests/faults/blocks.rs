//! Blocks that know what they hold, and calls that may answer with null.

use std::ptr;
use stratalloc::internal::front;

/// A block and the seed of the pattern that fills its first `len` bytes.
pub struct Block {
    at: *mut u8,
    len: usize,
    seed: u64,
}

// SAFETY: a block belongs to whoever has the record.
unsafe impl Send for Block {}

/// Live blocks of one owner.
pub struct Blocks {
    pub live: Vec<Block>,
    next_seed: u64,
    /// Calls that answered with null.
    pub refused: usize,
}

fn word(seed: u64, offset: usize) -> u8 {
    ((seed + offset as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// The offsets that are filled and looked at: all of a small block, some of a large one, its ends
/// included.
fn offsets(len: usize) -> impl Iterator<Item = usize> {
    let step = match len {
        ..=64 => 1,
        65..=65_536 => 61,
        _ => 16_381,
    };
    (0..len).step_by(step).chain(len.checked_sub(1))
}

impl Block {
    fn fill(&self) {
        for offset in offsets(self.len) {
            // SAFETY: within a live block.
            unsafe { self.at.add(offset).write(word(self.seed, offset)) };
        }
    }

    /// Checks the first `len` bytes, filled when the block had `self.len`.
    fn check(&self, len: usize) {
        for offset in offsets(self.len).filter(|&offset| offset < len) {
            // SAFETY: within a live block.
            let found = unsafe { self.at.add(offset).read() };
            assert_eq!(found, word(self.seed, offset), "byte {offset} of {} changed", self.len);
        }
    }

    /// Checks the block and gives it up.
    pub fn free(self) {
        self.check(self.len);
        // SAFETY: a live block; the record goes with it.
        unsafe { front::deallocate(self.at) };
    }
}

impl Blocks {
    pub fn new() -> Self {
        Self { live: Vec::with_capacity(64 * 1024), next_seed: 1, refused: 0 }
    }

    fn enter(&mut self, at: *mut u8, len: usize) {
        if at.is_null() {
            self.refused += 1;
            return;
        }
        self.next_seed += 1;
        let block = Block { at, len, seed: self.next_seed };
        block.fill();
        self.live.push(block);
    }

    pub fn allocate(&mut self, len: usize) {
        self.enter(front::allocate(len), len);
    }

    pub fn allocate_zeroed(&mut self, len: usize) {
        let at = front::allocate_zeroed(len);
        if !at.is_null() {
            // SAFETY: a live block.
            let zero = offsets(len).all(|offset| unsafe { at.add(offset).read() } == 0);
            assert!(zero, "calloc of {len} is not zero");
        }
        self.enter(at, len);
    }

    pub fn allocate_aligned(&mut self, len: usize, align: usize) {
        let at = front::allocate_aligned(len, align);
        assert!((at as usize).is_multiple_of(align));
        self.enter(at, len);
    }

    /// Changes the size of the `index`th block, which keeps its content, or stays as it is.
    pub fn resize(&mut self, index: usize, len: usize) {
        let block = &mut self.live[index];
        // SAFETY: a live block, ours again under either address.
        let at = unsafe { front::reallocate(block.at, len) };
        if at.is_null() {
            block.check(block.len);
            self.refused += 1;
            return;
        }
        block.at = at;
        block.check(block.len.min(len));
        block.len = len;
        block.fill();
    }

    pub fn free(&mut self, index: usize) {
        self.live.swap_remove(index).free();
    }

    /// Frees those of which `which` says so, by their number.
    pub fn free_where(&mut self, which: impl Fn(usize) -> bool) {
        for index in (0..self.live.len()).rev().filter(|&index| which(index)) {
            self.free(index);
        }
    }

    pub fn check_all(&self) {
        self.live.iter().for_each(|block| block.check(block.len));
        let mut starts: Vec<_> = self.live.iter().map(|block| (block.at, block.len)).collect();
        starts.sort_unstable();
        for pair in starts.windows(2) {
            assert!(pair[0].0 as usize + pair[0].1 <= pair[1].0 as usize, "blocks overlap");
        }
    }

    pub fn free_all(&mut self) {
        self.live.drain(..).for_each(Block::free);
    }
}

/// A block that cannot be had now must be to be had when nothing fails.
pub fn must_allocate(len: usize) {
    let at = front::allocate(len);
    assert!(!at.is_null(), "{len} bytes cannot be had although no call fails");
    // SAFETY: a live block of `len` bytes.
    unsafe {
        ptr::write_bytes(at, 0x5A, len.min(64));
        front::deallocate(at);
    }
}
