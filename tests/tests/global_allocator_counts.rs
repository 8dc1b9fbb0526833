//! Whether `#[global_allocator]` takes effect: what a Rust program allocates is counted by
//! `Stratalloc`.
//!
//! The only test of its program, because another one that frees meanwhile would disturb the count.

use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

/// Without this, every test under the global allocator would be one of the system's allocator.
#[test]
fn allocations_of_this_program_are_counted_by_stratalloc() {
    let before = MallocExtension::stats().in_use;
    let block = vec![1_u8; 32 << 20];
    let during = MallocExtension::stats().in_use;
    assert!(during >= before + block.len(), "{before} bytes in use, then {during}");
}
