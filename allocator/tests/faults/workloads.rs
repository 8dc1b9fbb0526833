//! The workloads whose every call of the system fails: one thread with everything, threads that
//! come and go, and large blocks that are resized, with `fork`. Each also takes the ways that only
//! options lead to.

use crate::blocks::{Blocks, must_allocate};
use std::alloc::Layout;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;
use stratalloc::internal::faults::Kind;
use stratalloc::options::{self, HugePages};
use stratalloc::{Heap, MallocExtension};

/// A workload.
pub struct Workload {
    pub name: &'static str,
    /// Calls that it must make for the test to be worth something.
    pub makes: &'static [Kind],
    pub run: fn(&mut Blocks),
}

pub const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "mixed",
        // Keys and `fork` handlers are registered when the program is loaded.
        makes: &[Kind::Map, Kind::Unmap, Kind::Advise],
        run: mixed,
    },
    Workload {
        name: "threads",
        makes: &[Kind::Map, Kind::Advise, Kind::Barrier, Kind::Clone, Kind::Key],
        run: threads,
    },
    Workload {
        name: "large",
        makes: &[Kind::Map, Kind::Unmap, Kind::Advise, Kind::Remap],
        run: large,
    },
];

/// A row of sizes that looks random and is the same each time.
fn sizes(seed: usize, top_bits: u32) -> impl Iterator<Item = usize> {
    let mut state = seed as u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let bits = (state >> 33) as u32 % top_bits;
        1 + ((state >> 20) as usize & ((1 << (bits + 1)) - 1))
    })
}

/// A heap with a lifetime: what fails in it leaves it sound, and its end gives everything back.
fn in_a_heap(seed: usize) {
    let Ok(mut heap) = Heap::new() else { return };
    for round in 0..2_u8 {
        let mut held = Vec::new();
        for (number, len) in sizes(seed, 17).take(150).enumerate() {
            let layout = Layout::from_size_align(len, 1 << (number % 14)).expect("a layout");
            let Some(block) = heap.alloc_layout(layout) else { continue };
            // SAFETY: a live block of `len` bytes.
            unsafe { block.write_bytes(round ^ number as u8, len) };
            held.push((block, layout, round ^ number as u8));
        }
        for (block, layout, tag) in held.into_iter().step_by(3) {
            // SAFETY: a live block of this layout, of which every byte was written.
            unsafe {
                let bytes = std::slice::from_raw_parts(block.as_ptr(), layout.size());
                assert!(bytes.iter().all(|byte| *byte == tag), "a block of a heap was overwritten");
                heap.dealloc(block, layout);
            }
        }
        assert!(heap.is_sound());
        heap.reset();
    }
    heap.trim();
    assert_eq!(heap.stats().mapped, 0);
}

/// Every size, freed in patterns that leave holes, with trims, options and statistics in between.
fn mixed(blocks: &mut Blocks) {
    for (round, policy) in
        [HugePages::Auto, HugePages::Always, HugePages::Never].into_iter().enumerate()
    {
        options::set_huge_pages(policy);
        for (number, len) in sizes(round + 1, 16).take(400).enumerate() {
            match number % 4 {
                0 => blocks.allocate_zeroed(len),
                1 => blocks.allocate_aligned(len, 1 << (number / 4 % 14)),
                _ => blocks.allocate(len),
            }
        }
        for len in [300_000, 1 << 20, 3 << 20, 5 << 20] {
            blocks.allocate(len);
            blocks.allocate_zeroed(len + 5_000);
        }
        blocks.allocate(70 << 20);
        in_a_heap(round);
        blocks.free_where(|index| index % 3 != round);
        match round {
            0 => drop(stratalloc::trim(1 << 20)),
            1 => drop(MallocExtension::release_to_system(3 << 20)),
            _ => drop(MallocExtension::release_free_memory()),
        }
        blocks.check_all();
    }
    // From here on everything goes back at once.
    options::set_decay(Some(Duration::ZERO)).expect("a time in range");
    blocks.free_where(|index| index % 2 == 0);
    for len in sizes(9, 14).take(200) {
        blocks.allocate(len);
    }
}

/// Threads that exchange blocks and end, others' caches being taken away meanwhile.
fn threads(blocks: &mut Blocks) {
    // Enough for the background thread to be wanted.
    for _ in 0..20 {
        blocks.allocate(2 << 20);
    }
    blocks.free_where(|index| index % 2 == 0);
    let (exchanged, together) = (Mutex::new(Vec::new()), Barrier::new(3));
    for round in 0..2 {
        thread::scope(|scope| {
            for number in 0..3 {
                let (exchanged, together) = (&exchanged, &together);
                scope.spawn(move || {
                    let mut own = Blocks::new();
                    for len in sizes(round * 8 + number + 1, 14).take(150) {
                        own.allocate(len);
                    }
                    own.free_where(|index| index % 2 == number % 2);
                    // The others sleep, so that there are caches to take.
                    together.wait();
                    if number == 0 {
                        MallocExtension::release_free_memory();
                    }
                    together.wait();
                    own.check_all();
                    let mut exchanged = exchanged.lock().expect("no thread panics");
                    let others: Vec<_> = exchanged.drain(..).collect();
                    exchanged.append(&mut own.live);
                    drop(exchanged);
                    others.into_iter().for_each(crate::blocks::Block::free);
                });
            }
        });
        stratalloc::trim(0);
    }
    blocks.live.append(&mut exchanged.into_inner().expect("no thread panics"));
}

/// Blocks of a mapping of their own and of many pages, resized and moved; a child that goes on with
/// them.
fn large(blocks: &mut Blocks) {
    options::set_direct_bytes(1 << 20).expect("a size in range");
    for number in 0..6 {
        blocks.allocate((number + 1) << 19);
        blocks.allocate_zeroed(40_000 << number);
        blocks.allocate_aligned(3 << 20, 1 << (20 + number));
    }
    for round in 0..3 {
        for index in 0..blocks.live.len() {
            let len = (index + 1) * [700_000, 100_000, 300_000][round];
            blocks.resize(index, len);
        }
        blocks.free_where(|index| index % 5 == round);
        in_child(|| {
            blocks.free_where(|index| index % 2 == 0);
            blocks.allocate(5 << 20);
            blocks.allocate(100);
            blocks.free_all();
            stratalloc::trim(0);
        });
        if round == 1 {
            stratalloc::trim(0);
        }
        blocks.check_all();
    }
}

/// Runs `body` in a forked child, and fails unless it ends well.
fn in_child(body: impl FnOnce()) {
    // SAFETY: the background thread aside, whose locks its handlers of `fork` care for, the process
    // has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: sets a timer of this process, and touches no memory.
        unsafe { libc::alarm(crate::HANGING) };
        body();
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a valid target.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "child: {status:#x}");
}

/// When nothing fails any more, every tier must work: no lock is held, and memory is to be had.
pub fn use_every_tier() {
    let every = || {
        let mut len = 1;
        while len < 100 << 20 {
            must_allocate(len);
            len += len / 2 + 1;
        }
    };
    every();
    thread::scope(|scope| {
        scope.spawn(every);
    });
    in_child(|| {
        every();
        stratalloc::trim(0);
    });
    stratalloc::trim(0);
    every();
}
