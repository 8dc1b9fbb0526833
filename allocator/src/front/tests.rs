//! Properties of the entry points that need a look inside. The comparison with a model, with exact
//! sums, is in `allocator/tests`: it needs a process of its own.

use super::{
    allocate, allocate_aligned, allocate_aligned_zeroed, allocate_zeroed, deallocate,
    deallocate_sized, deallocate_sized_aligned, good_size, reallocate, reallocate_same_layout,
    usable_size, verify_own_cache,
};
use crate::central::chain::FreeObject;
use crate::config::{MAX_REQUEST, MAX_SMALL, PAGE_SIZE};
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::thread_cache::{enter, flush, park};
use proptest::prelude::*;
use std::cell::Cell;
use std::ptr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Checks the calling thread's cache, unless another test has parked it.
fn check_own_cache() {
    if let Some(cache) = enter::enter_if_live() {
        cache.check_invariants();
    }
}

/// `len` bytes that a test owns.
fn bytes<'a>(block: *mut u8, len: usize) -> &'a mut [u8] {
    // SAFETY: the test owns the block, which has at least `len` bytes.
    unsafe { std::slice::from_raw_parts_mut(block, len) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The magazines hold what their counts say whatever order objects come and go in, across
    /// growth, exchange with the central tier and scavenging.
    #[test]
    fn magazines_hold_what_their_counts_say(
        runs in prop::collection::vec((0usize..1_500, 1usize..400, any::<bool>()), 1..60),
    ) {
        let mut held = Vec::new();
        for (size, count, free) in runs {
            for i in 0..count {
                if free && !held.is_empty() {
                    let block = held.swap_remove(i * 7 % held.len());
                    // SAFETY: a live block that is given up.
                    unsafe { deallocate(block) };
                } else {
                    held.push(allocate(size));
                }
            }
            check_own_cache();
        }
        for block in held {
            // SAFETY: a live block of this test's, which gives it up.
            unsafe { deallocate(block) };
        }
        check_own_cache();
        verify_own_cache();
    }
}

/// What `good_size` promises is what a request gets, for every class, at every alignment.
#[test]
fn a_request_gets_what_good_size_says() {
    let sizes = (0..2_000).step_by(7).chain((2_000..3 * MAX_SMALL).step_by(991));
    for size in sizes {
        for shift in 0..=16 {
            let align = 1 << shift;
            let block = allocate_aligned(size, align);
            assert!((block as usize).is_multiple_of(align.max(16)));
            // SAFETY: a live block, then given up with the layout it was asked for.
            unsafe {
                assert_eq!(usable_size(block), good_size(size, align), "{size} at {align}");
                deallocate_sized_aligned(block, size, align);
            }
        }
    }
    assert_eq!(good_size(MAX_REQUEST + 1, 16), 0);
}

/// C's limit: a request that no object can have is refused before anything is computed with it.
#[test]
fn requests_beyond_ptrdiff_max_are_refused() {
    for size in [MAX_REQUEST + 1, usize::MAX - PAGE_SIZE, usize::MAX] {
        assert!(allocate(size).is_null() && allocate_zeroed(size).is_null());
        for align in [16, 4096, 1 << 22, 1 << 40] {
            assert!(allocate_aligned(size, align).is_null());
            assert!(allocate_aligned_zeroed(size, align).is_null());
        }
    }
    assert!(allocate_aligned(16, 1 << 63).is_null());
    let block = allocate(100);
    // SAFETY: a live block; it stays ours when the answer is null.
    unsafe {
        assert!(reallocate(block, usize::MAX).is_null());
        assert!(reallocate_same_layout(block, 100, usize::MAX, 8).is_null());
        deallocate(block);
    }
}

/// A program that has read the mark of a free object may store it: that makes `free` look closer,
/// and must not make it abort, nor leave the block unfreed.
#[test]
fn a_program_may_store_the_mark_of_free_objects() {
    for size in SizeClass::all().map(SizeClass::size) {
        let blocks: Vec<*mut u8> = (0..40).map(|_| allocate(size)).collect();
        for &block in &blocks {
            // SAFETY: a live block of at least two words.
            unsafe { FreeObject::mark(block.cast()) };
        }
        for &block in &blocks {
            // SAFETY: live blocks that are given up.
            unsafe { deallocate(block) };
        }
    }
    verify_own_cache();
    check_own_cache();
}

/// A block that the program never wrote to does not carry the mark, so its `free` is not suspected.
#[test]
fn fresh_blocks_do_not_carry_the_mark() {
    for size in [16, 48, 1_000, MAX_SMALL] {
        let blocks: Vec<*mut u8> = (0..300).map(|_| allocate(size)).collect();
        for &block in &blocks {
            // SAFETY: a live block of at least two words.
            assert!(!unsafe { FreeObject::is_marked(block.cast()) });
        }
        for &block in &blocks {
            // SAFETY: live blocks that are given up.
            unsafe { deallocate(block) };
        }
    }
}

/// `calloc` clears what was used before, and knows what was not: dirty memory must never get
/// through.
#[test]
fn zeroed_memory_is_zero_after_every_kind_of_use() {
    for size in [1, 16, 1_000, MAX_SMALL, MAX_SMALL + 1, 100_000, 3 << 20, 65 << 20] {
        for _ in 0..3 {
            let dirty = allocate(size);
            bytes(dirty, size).fill(0xEE);
            // SAFETY: a live block that is given up.
            unsafe { deallocate(dirty) };
            let block = allocate_zeroed(size);
            assert!(bytes(block, size).iter().all(|&byte| byte == 0), "{size}");
            // SAFETY: a live block of this test's, which gives it up.
            unsafe { deallocate(block) };
        }
    }
}

/// A block with a mapping of its own moves by page tables: content stays, what is new reads as zero
/// as the kernel gives it, and alignments beyond a huge page survive.
#[test]
fn direct_blocks_keep_content_and_alignment_when_resized() {
    for align in [16, 1 << 21, 1 << 22, 1 << 24] {
        let mut size = 65 << 20;
        let mut block = allocate_aligned(size, align);
        for (index, new) in [130usize << 20, 70 << 20, 200 << 20, 1 << 20].into_iter().enumerate() {
            let kept = size.min(new);
            bytes(block, size)[0] = 7;
            bytes(block, size)[kept - 1] = index as u8;
            // SAFETY: a live block of this layout; the new one takes its place.
            block = unsafe { reallocate_same_layout(block, size, new, align) };
            assert!(!block.is_null() && (block as usize).is_multiple_of(align), "{new} at {align}");
            assert_eq!((bytes(block, new)[0], bytes(block, new)[kept - 1]), (7, index as u8));
            size = new;
        }
        // SAFETY: a live block of this layout that is given up.
        unsafe { deallocate_sized_aligned(block, size, align) };
    }
}

/// C allows `realloc` to leave a block that shrinks a little where it is, and programs count on it
/// being cheap; a block that shrinks a lot must not pin what it does not need.
#[test]
fn shrinking_a_little_stays_and_shrinking_a_lot_moves() {
    let block = allocate(1_000);
    // SAFETY: live blocks; each result takes the place of the one before.
    unsafe {
        assert_eq!(reallocate(block, 600), block);
        let small = reallocate(block, 20);
        assert!(usable_size(small) < 100);
        deallocate(small);
        let large = allocate(10 << 20);
        let less = reallocate(large, 1 << 20);
        assert_eq!((less, usable_size(less)), (large, 1 << 20));
        deallocate(less);
    }
}

/// A destructor that runs after the cache of its thread was taken down may still allocate and free,
/// as C++ thread-locals and other libraries' keys do.
#[test]
fn a_thread_may_allocate_after_its_cache_is_gone() {
    struct Late(Cell<u32>, libc::pthread_key_t);

    /// Asks for another round of destructors, three times: by then the allocator's own has run.
    unsafe extern "C" fn late(value: *mut libc::c_void) {
        // SAFETY: the value is the box set below, owned by this thread's key.
        let late = unsafe { &*value.cast::<Late>() };
        for size in [16, 500, 20_000, 100_000] {
            let blocks: Vec<*mut u8> = (0..200).map(|_| allocate_zeroed(size)).collect();
            for block in blocks {
                assert!(bytes(block, size).iter().all(|&byte| byte == 0));
                bytes(block, size).fill(1);
                // SAFETY: a live block that is given up.
                unsafe { deallocate(block) };
            }
        }
        late.0.set(late.0.get() + 1);
        if late.0.get() < 3 {
            // SAFETY: the key exists.
            unsafe { libc::pthread_setspecific(late.1, value) };
        } else {
            ROUNDS.store(late.0.get(), std::sync::atomic::Ordering::SeqCst);
            // SAFETY: the box is not used any more.
            drop(unsafe { Box::from_raw(value.cast::<Late>()) });
        }
    }

    static ROUNDS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let mut key = 0;
    // SAFETY: valid target and destructor.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(late)) }, 0);
    std::thread::spawn(move || {
        let block = allocate(100);
        let value = Box::into_raw(Box::new(Late(Cell::new(0), key)));
        // SAFETY: the key exists; a live block that is given up.
        unsafe {
            assert_eq!(libc::pthread_setspecific(key, value.cast()), 0);
            deallocate(block);
        }
    })
    .join()
    .unwrap();
    assert_eq!(ROUNDS.load(std::sync::atomic::Ordering::SeqCst), 3);
}

/// Null is not a block, and every call that says so takes it.
#[test]
fn null_is_no_block() {
    // SAFETY: null is allowed.
    unsafe {
        deallocate(ptr::null_mut());
        deallocate_sized(ptr::null_mut(), 100);
        deallocate_sized_aligned(ptr::null_mut(), 100, 64);
        assert_eq!(usable_size(ptr::null_mut()), 0);
    }
}

/// Fills or checks a block by its address.
fn pattern(block: *mut u8, size: usize, check: bool) {
    for offset in (0..size).step_by(8) {
        let value = (block as u64).wrapping_mul(0x9E37_79B9) ^ offset as u64;
        // SAFETY: a live block of `size` bytes, a multiple of 8, of this test.
        unsafe {
            let word = block.add(offset).cast::<u64>();
            if check {
                assert_eq!(word.read(), value, "{block:p} at {offset}: a block with two owners");
            } else {
                word.write(value);
            }
        }
    }
}

/// Parking may hit a thread at any instruction of its hot paths. Two owners of one block would
/// write over each other's pattern.
#[test]
fn caches_are_parked_while_their_threads_allocate() {
    let end = Instant::now() + Duration::from_secs(2);
    let mut emptied = 0;
    thread::scope(|scope| {
        for seed in 0..3_usize {
            scope.spawn(move || {
                let mut held: Vec<(*mut u8, usize)> = Vec::new();
                let mut number = seed * 77 + 1;
                while Instant::now() < end {
                    for _ in 0..500 {
                        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                        let choice = number >> 33;
                        if held.len() > 40 || (choice & 1 == 0 && !held.is_empty()) {
                            let (block, size) = held.swap_remove(choice % held.len());
                            pattern(block, size, true);
                            // SAFETY: a live block that is given up.
                            unsafe { deallocate(block) };
                        } else {
                            let size = 16 + choice % 12 * 24;
                            let block = allocate(size);
                            pattern(block, size, false);
                            held.push((block, size));
                        }
                    }
                }
                for (block, size) in held {
                    pattern(block, size, true);
                    // SAFETY: a live block of this test's, which gives it up.
                    unsafe { deallocate(block) };
                }
                verify_own_cache();
            });
        }
        let mut pause = 1_u32;
        while Instant::now() < end {
            emptied += park::Parking::of_others().run();
            pause = pause.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for _ in 0..pause >> 20 {
                core::hint::spin_loop();
            }
        }
    });
    assert!(emptied > 10, "{emptied} caches emptied are too few to tell");
}

/// What a sleeping thread has cached can be used by others, and the thread goes on afterwards.
#[test]
fn a_sleeping_thread_keeps_next_to_nothing() {
    let (asleep, is_asleep) = mpsc::channel();
    let (wake, woken) = mpsc::channel::<()>();
    let sleeper = thread::spawn(move || {
        let blocks: Vec<_> = (0..4_000).map(|i| allocate(16 + i % 60 * 16)).collect();
        for block in blocks {
            // SAFETY: a live block that is given up.
            unsafe { deallocate(block) };
        }
        let before = flush::own_bytes();
        asleep.send(before).unwrap();
        woken.recv().unwrap();
        // Goes on as if nothing had been.
        let block = allocate(100);
        pattern(block, 96, false);
        pattern(block, 96, true);
        // SAFETY: a live block of this test's, which gives it up.
        unsafe { deallocate(block) };
        let after = flush::own_bytes();
        verify_own_cache();
        (before, after)
    });
    let before = is_asleep.recv().unwrap();
    assert!(before > 100_000, "{before} bytes cached are too few to tell");
    park::Parking::of_others().run();
    wake.send(()).unwrap();
    let (_, after) = sleeper.join().unwrap();
    // The magazine of the class announced last stays: 16 KiB at most. Hardened builds fetch 1 KiB
    // at least, and free through the quarantine, by 4 KiB.
    let most = if HARDENED { 24_000 } else { 20_000 };
    assert!(after < most, "{after} of {before} bytes still cached");
}
