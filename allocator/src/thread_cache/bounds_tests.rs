//! What a thread's cache holds at most, against a scripted central tier: of large objects, in threads
//! that come rarely, and at a thread's end.

use super::drain;
use super::scripted_tier::Call;
use super::tier_tests::Thread;
use crate::config::RARE_SINGLE_BYTES;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::Ordering;

fn class(size: usize) -> SizeClass {
    SizeClass::of(size).unwrap()
}

/// A thread that lives for one small job would have magazines of 16 KiB by its end, and never need
/// them. One that goes on has them soon.
#[test]
fn a_limit_that_grows_by_much_takes_several_flushes_and_one_that_grows_by_little_takes_one() {
    for (size, from, to, few, many) in [(16, 16, 32, 1, 2), (512, 1, 8, 3, 16), (2048, 1, 8, 9, 64)]
    {
        let class = class(size);
        let mut thread = Thread::new(&[size]);
        let mut flushes = 0;
        while thread.cache.limit(class) < to {
            thread.free_foreign(class, 1);
            let is_growing = thread.cache.limit(class) >= from;
            let calls = thread.tier.calls().len();
            flushes += if is_growing { calls } else { 0 };
        }
        assert!((few..=many).contains(&flushes), "{flushes} flushes for {to} objects of {size}");
        thread.check();
    }
}

/// It would hold two magazines of each class that it ever used while it sleeps.
#[test]
fn a_thread_that_comes_rarely_has_no_spare_magazine_of_large_objects() {
    let [small, large] = [RARE_SINGLE_BYTES / 2, RARE_SINGLE_BYTES].map(class);
    for is_rare in [0, 1] {
        let mut thread = Thread::new(&[small.size(), large.size()]);
        for _ in 0..40 {
            thread.cache.is_rare.store(is_rare, Ordering::Relaxed);
            thread.free_foreign(small, 1);
            thread.free_foreign(large, 1);
        }
        assert!(thread.cache.spare_count(small) > 0);
        assert_eq!(thread.cache.spare_count(large) == 0, is_rare != 0 && !HARDENED);
        thread.check();
    }
}

/// The next thread goes on with what is left: it is to be the small objects, of which many fit.
#[test]
fn a_cache_is_trimmed_to_a_number_of_bytes_the_largest_objects_first() {
    let [small, middle, large] = [64, 1024, 8192].map(class);
    let mut thread = Thread::new(&[64, 1024, 8192]);
    for class in [small, middle, large] {
        thread.free_foreign(class, 600);
    }
    let held = thread.cache.held_bytes();
    for most in [held, held / 2, 12 << 10, 0] {
        thread.tier.calls();
        // SAFETY: the cache is the test's.
        unsafe { drain::trim(&thread.tier, &thread.cache, most) };
        assert!(thread.cache.held_bytes() <= most);
        let calls = thread.tier.calls();
        assert_eq!(calls.is_empty(), most == held, "{calls:?}");
        let to_spans = |call: &Call| matches!(call, Call::FlushToSpans { .. });
        assert!(calls.iter().all(to_spans), "others have no use for what is too much: {calls:?}");
        if most == 12 << 10 {
            assert!(thread.cache.loaded_count(small) > 0 && thread.cache.loaded_count(large) == 0);
        }
        thread.check();
    }
}
