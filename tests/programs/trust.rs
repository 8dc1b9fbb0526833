//! `trust.c` for Rust: one misuse per run of a program whose global allocator is the crate. Says
//! "done" when it passed unnoticed.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;

#[global_allocator]
static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;

const BLOCKS: usize = 60;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn fresh(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the size is not 0.
    let block = black_box(unsafe { alloc(layout(size, align)) });
    assert!(!block.is_null());
    // SAFETY: a block of this size.
    unsafe { block.write_bytes(1, size) };
    block
}

fn free(block: *mut u8, size: usize, align: usize) {
    // SAFETY: none: misuse is what this program is for, and where it is not, the caller knows.
    unsafe { dealloc(black_box(block), layout(size, align)) }
}

fn touch(block: *mut u8, offset: isize) {
    let at = black_box(block.wrapping_offset(offset));
    // SAFETY: the byte lies beside a block or in a freed one, in memory that is mapped. To change
    // it is the misuse that is looked for.
    unsafe { at.write_volatile(at.read_volatile() ^ 0x5a) };
}

fn beside(offset: isize) {
    let blocks: Vec<_> = (0..BLOCKS).map(|_| fresh(61, 1)).collect();
    for &block in &blocks {
        touch(block, offset);
    }
    for block in blocks {
        free(block, 61, 1);
    }
}

fn after_free(offset: isize) {
    for _ in 0..BLOCKS {
        let block = fresh(64, 8);
        free(block, 64, 8);
        touch(block, offset);
    }
}

fn go_on(size: usize) {
    for _ in 0..20 {
        let blocks: Vec<_> = (0..200).map(|_| fresh(size, 8)).collect();
        for block in blocks {
            free(block, size, 8);
        }
    }
}

fn main() {
    // What is decided at a process's first allocation is decided now.
    drop(black_box(vec![1_u8; 64]));
    let case = std::env::args().nth(1).expect("the name of a case");
    match case.as_str() {
        "overflow_write" => beside(61),
        "underflow_write" => beside(-1),
        "write_after_free" => after_free(0),
        "write_after_free_behind_the_link" => after_free(40),
        "double_free" => {
            let block = fresh(64, 8);
            free(block, 64, 8);
            free(block, 64, 8);
        }
        "double_free_after_write" => {
            let (block, other) = (fresh(64, 8), fresh(64, 8));
            free(other, 64, 8);
            free(block, 64, 8);
            // SAFETY: a block that is free, and whose memory is still mapped. To write to it is the
            // misuse.
            unsafe { black_box(block).write_bytes(0, 64) };
            free(block, 64, 8);
        }
        "layout_of_another_class" => free(fresh(400, 8), 40, 8),
        "layout_of_the_same_class" => free(fresh(62, 8), 50, 8),
        "layout_of_another_alignment" => free(fresh(64, 8), 64, 1),
        "realloc_of_another_layout" => {
            let block = fresh(400, 8);
            // SAFETY: a live block, of another layout than is claimed here: that is the misuse.
            free(unsafe { realloc(block, layout(40, 8), 800) }, 800, 8);
        }
        _ => panic!("no case called {case}"),
    }
    go_on(64);
    go_on(40);
    println!("done");
}
