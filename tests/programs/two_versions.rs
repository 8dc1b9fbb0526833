//! A program with two versions of the crate, `old` as its global allocator and `new` beside it:
//! `tests/tests/versions.rs` builds it.

use std::alloc::{GlobalAlloc, Layout};
use std::thread;

#[global_allocator]
static GLOBAL: old::Stratalloc = old::Stratalloc;
static BESIDE: new::Stratalloc = new::Stratalloc;

/// Blocks of the second version, while the first serves the vector that holds them.
fn work(thread: usize) {
    let mut blocks = Vec::new();
    for number in 0..20_000_usize {
        let layout = Layout::from_size_align(1 + number % 3000, 16).expect("a layout");
        // SAFETY: a layout of at least one byte; the block is written within it.
        let block = unsafe {
            let block = BESIDE.alloc(layout);
            assert!(!block.is_null());
            block.write((number ^ thread) as u8);
            block
        };
        blocks.push((block, layout, number));
        if number % 3 == 0 {
            let (block, layout, number) = blocks.swap_remove(number % blocks.len());
            // SAFETY: a live block of this allocator and its layout.
            unsafe {
                assert_eq!(block.read(), (number ^ thread) as u8);
                BESIDE.dealloc(block, layout);
            }
        }
    }
    for (block, layout, number) in blocks {
        // SAFETY: a live block of this allocator and its layout.
        unsafe {
            assert_eq!(block.read(), (number ^ thread) as u8);
            BESIDE.dealloc(block, layout);
        }
    }
}

fn main() {
    let threads: Vec<_> = (0..4).map(|thread| thread::spawn(move || work(thread))).collect();
    for thread in threads {
        thread.join().expect("a thread that works");
    }
    // Neither knows of the other's memory.
    let large = vec![1_u8; 200 << 20];
    let (old, new) = (old::stats(), new::stats());
    assert!(old.in_use >= 200 << 20, "{old}");
    assert!(new.in_use < 1 << 20 && new.mapped < 100 << 20, "{new}");
    drop(large);
    println!("two allocators");
}
