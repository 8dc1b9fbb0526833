//! The whole allocator against a plain model: random sequences of every call, after each of which
//! all blocks are where and what the model says, and the snapshot accounts for every byte.
//!
//! This file has a process of its own and a single test: nobody else uses the allocator (Rust's
//! global one here is the system's), so that sums can be compared exactly.

use proptest::prelude::*;
use std::collections::BTreeMap;
use stratalloc::MallocExtension;
use stratalloc::internal::front;

/// The smallest page of the kernel: the grid on which big blocks are written and read.
const GRID: usize = 4096;
/// Blocks up to this many bytes are written and read whole.
const WHOLE: usize = 16 * 1024;

/// One call.
#[derive(Clone, Debug)]
enum Call {
    Allocate { size: usize, align: usize, zeroed: bool },
    Reallocate { index: usize, size: usize },
    ReallocateSameLayout { index: usize, size: usize },
    Free { index: usize },
    FreeSized { index: usize },
    Trim { pad: usize },
}

/// From 0 bytes to 8 MiB with every order of magnitude equally likely, rarely more than what gets a
/// mapping of its own.
fn size() -> impl Strategy<Value = usize> {
    let log_uniform = (0u32..24, any::<usize>()).prop_map(|(bits, random)| random % (1 << bits));
    prop_oneof![80 => log_uniform, 1 => (64usize << 20) + 1..100 << 20]
}

fn call() -> impl Strategy<Value = Call> {
    let align = prop_oneof![3 => Just(1usize), 1 => (0u32..=22).prop_map(|shift| 1 << shift)];
    let index = any::<usize>;
    prop_oneof![
        8 => (size(), align, any::<bool>())
            .prop_map(|(size, align, zeroed)| Call::Allocate { size, align, zeroed }),
        3 => (index(), size()).prop_map(|(index, size)| Call::Reallocate { index, size }),
        3 => (index(), size()).prop_map(|(index, size)| Call::ReallocateSameLayout { index, size }),
        3 => index().prop_map(|index| Call::Free { index }),
        3 => index().prop_map(|index| Call::FreeSized { index }),
        1 => prop_oneof![Just(0usize), 0usize..8 << 20].prop_map(|pad| Call::Trim { pad }),
    ]
}

/// A block that is out.
struct Block {
    start: *mut u8,
    size: usize,
    align: usize,
    usable: usize,
    /// Whether `size` and `align` still name the block's class: `reallocate` may leave a block in
    /// place.
    has_layout: bool,
    tag: u8,
}

impl Block {
    /// Offsets that are written and read, out of the first `len`.
    fn offsets(&self, len: usize) -> Box<dyn Iterator<Item = usize>> {
        if self.usable <= WHOLE {
            return Box::new(0..len);
        }
        let lead = (self.start as usize).next_multiple_of(GRID) - self.start as usize;
        let grid = (lead..len).step_by(GRID);
        let ends = grid.clone().map(|offset| offset + GRID - 1).filter(move |&end| end < len);
        Box::new(grid.chain(ends).chain([0, len - 1]))
    }

    fn fill(&self) {
        for offset in self.offsets(self.usable) {
            // SAFETY: inside the block, which the model owns.
            unsafe { self.start.add(offset).write(self.tag ^ offset as u8) };
        }
    }

    /// Panics unless the first `len` bytes are as they were filled, by the block `origin`, whose
    /// pattern came here with the content.
    fn check(&self, origin: &Block, len: usize) {
        for offset in origin.offsets(origin.usable).filter(|&offset| offset < len) {
            // SAFETY: inside the block, which the model owns.
            let found = unsafe { self.start.add(offset).read() };
            assert_eq!(found, origin.tag ^ offset as u8, "content changed at {offset}");
        }
    }

    fn check_zero(&self) {
        if self.size == 0 {
            return;
        }
        for offset in self.offsets(self.size) {
            // SAFETY: inside the block, which the model owns.
            assert_eq!(unsafe { self.start.add(offset).read() }, 0, "not zero at {offset}");
        }
    }
}

#[derive(Default)]
struct Model {
    blocks: Vec<Block>,
    /// Start and end of every block.
    spans: BTreeMap<usize, usize>,
    in_use: usize,
    tags: u8,
}

impl Model {
    /// Takes note of a block and fills it.
    fn enter(&mut self, start: *mut u8, size: usize, align: usize, has_layout: bool) {
        assert!(!start.is_null(), "{size} bytes at {align}");
        assert!((start as usize).is_multiple_of(align.max(16)));
        // SAFETY: a block that was just handed out.
        let usable = unsafe { front::usable_size(start) };
        assert!(usable >= size.max(1));
        if has_layout {
            assert_eq!(usable, front::good_size(size, align));
        }
        let end = start as usize + usable;
        let below = self.spans.range(..end).next_back();
        assert!(below.is_none_or(|(_, &last)| last <= start as usize), "overlap");
        self.spans.insert(start as usize, end);
        self.in_use += usable;
        self.tags = self.tags.wrapping_add(29);
        let block = Block { start, size, align, usable, has_layout, tag: self.tags };
        block.fill();
        self.blocks.push(block);
    }

    /// Forgets a block.
    fn leave(&mut self, index: usize) -> Block {
        let block = self.blocks.swap_remove(index % self.blocks.len());
        self.spans.remove(&(block.start as usize));
        self.in_use -= block.usable;
        block
    }

    fn allocate(&mut self, size: usize, align: usize, zeroed: bool) {
        let start = match (align, zeroed) {
            (1, false) => front::allocate(size),
            (1, true) => front::allocate_zeroed(size),
            (_, false) => front::allocate_aligned(size, align),
            (_, true) => front::allocate_aligned_zeroed(size, align),
        };
        if zeroed {
            let fresh = Block { start, size, align, usable: size, has_layout: true, tag: 0 };
            fresh.check_zero();
        }
        self.enter(start, size, align, true);
    }

    fn reallocate(&mut self, index: usize, size: usize, same_layout: bool) {
        let size = size.max(1);
        let old = self.leave(index);
        old.check(&old, old.usable);
        // The content is promised up to the size asked for; what was usable counts where C says so.
        let (start, kept) = if same_layout && old.has_layout {
            // SAFETY: the model owns the block, and gives it up for the new one.
            let start =
                unsafe { front::reallocate_same_layout(old.start, old.size, size, old.align) };
            (start, old.size.min(size))
        } else {
            // SAFETY: the model owns the block, and gives it up for the new one.
            (unsafe { front::reallocate(old.start, size) }, old.usable.min(size))
        };
        assert!(!start.is_null());
        let moved = Block { start, size, tag: old.tag, ..old };
        if kept > 0 {
            moved.check(&old, kept);
        }
        let (align, has_layout) =
            if same_layout && old.has_layout { (old.align, true) } else { (1, false) };
        self.enter(start, size, align, has_layout);
    }

    fn free(&mut self, index: usize, sized: bool) {
        let block = self.leave(index);
        block.check(&block, block.usable);
        // SAFETY: the model owns the block and gives it up.
        unsafe {
            match (sized && block.has_layout, block.align) {
                (false, _) => front::deallocate(block.start),
                (true, 1..=16) => front::deallocate_sized(block.start, block.size),
                (true, align) => {
                    front::deallocate_sized_aligned(block.start, block.size, align);
                }
            }
        }
    }

    fn trim(&mut self, pad: usize) {
        let before = MallocExtension::stats();
        let released = stratalloc::trim(pad);
        let after = MallocExtension::stats();
        assert!(after.page_heap_free <= pad);
        assert_eq!(after.mapped, before.mapped, "nothing is unmapped");
        // What was free in caches and lists may have become free pages on the way; and a step of
        // the decay, due by chance, may have given some of them back, which `released` does not
        // count.
        let gone = after.page_heap_released - before.page_heap_released;
        assert!(released.max(gone) >= before.page_heap_free.saturating_sub(pad));
        assert_eq!((after.thread_cache_free, after.transfer_cache_free), (0, 0));
    }

    /// What must hold between two calls.
    fn check(&self) {
        let now = MallocExtension::stats();
        let sum = now.in_use
            + now.thread_cache_free
            + now.transfer_cache_free
            + now.central_free
            + now.span_tails
            + now.page_heap_free
            + now.page_heap_released;
        assert_eq!(now.mapped, sum, "{now:?}");
        assert_eq!((now.in_use, now.in_use_count), (self.in_use, self.blocks.len()), "{now:?}");
        assert!(now.direct_mapped <= now.in_use && now.direct_mapped_peak >= now.direct_mapped);
    }

    fn run(&mut self, call: &Call) {
        let any = !self.blocks.is_empty();
        match *call {
            Call::Allocate { size, align, zeroed } => self.allocate(size, align, zeroed),
            Call::Reallocate { index, size } if any => self.reallocate(index, size, false),
            Call::ReallocateSameLayout { index, size } if any => self.reallocate(index, size, true),
            Call::Free { index } if any => self.free(index, false),
            Call::FreeSized { index } if any => self.free(index, true),
            Call::Trim { pad } => self.trim(pad),
            _ => {}
        }
    }
}

impl Drop for Model {
    /// After a failure: the next, simpler case must find the allocator unused.
    fn drop(&mut self) {
        for block in self.blocks.drain(..) {
            // SAFETY: the model owns the block and gives it up.
            unsafe { front::deallocate(block.start) };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks do not overlap, are aligned, keep their content, are zero where promised; every byte
    /// of the process's memory is accounted for at every step; and when everything is free,
    /// everything goes back.
    #[test]
    fn blocks_are_sound_and_every_byte_is_accounted_for(
        calls in prop::collection::vec(call(), 1..150),
    ) {
        let mut model = Model::default();
        for call in &calls {
            model.run(call);
            model.check();
        }
        while !model.blocks.is_empty() {
            model.free(0, calls.len() % 2 == 0);
            model.check();
        }
        model.trim(0);
        let end = MallocExtension::stats();
        // A span without a live object went home; all that is mapped is address space.
        prop_assert_eq!((end.in_use, end.central_free, end.span_tails), (0, 0, 0));
        prop_assert_eq!((end.page_heap_free, end.page_heap_released), (0, end.mapped));
        front::verify_own_cache();
    }
}
