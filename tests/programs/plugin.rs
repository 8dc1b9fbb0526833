//! A plug-in in Rust whose global allocator is the crate. A program in C opens it, has it work on
//! threads, closes it (`tests/programs/plugins.c`).

use std::cell::RefCell;
use std::collections::BTreeMap;

#[global_allocator]
static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;

thread_local! {
    /// Dropped, with what it holds, when its thread ends.
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Fills collections and drops them. The number of entries made.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_work(seed: usize) -> usize {
    let mut map: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for i in 0..2_000 {
        map.entry(format!("{seed} {}", i % 100)).or_default().push(i);
    }
    drop(vec![1_u8; 3 << 20]);
    map.values().map(Vec::len).sum()
}

/// Keeps something until the thread ends, so that a destructor of Rust's runs there. (The C library
/// does not unmap a library while such a destructor waits.)
#[unsafe(no_mangle)]
pub extern "C" fn plugin_keep(seed: usize) {
    KEPT.with_borrow_mut(|kept| kept.extend((0..50).map(|i| format!("{seed} {i} of this thread"))));
}

/// A text of this copy's memory; `plugin_drop` takes it back.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_make(length: usize) -> *mut u8 {
    Box::into_raw(vec![b'x'; length].into_boxed_slice()).cast()
}

/// # Safety
/// `text` came from `plugin_make(length)`, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_drop(text: *mut u8, length: usize) {
    // SAFETY: the caller's word.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(text, length)) });
}
