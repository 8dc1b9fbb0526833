//! A thread's cache against a scripted central tier: refill, flush, growth, scavenging and parking,
//! call by call, without the tiers below.

use super::park::empty_a_part;
use super::refill::pop_uncached;
use super::scripted_thread::{OBJECTS, Thread, class};
use super::scripted_tier::Call;
use super::{drain, publish, sizing};
use crate::central::chain::FreeObject;
use crate::config::{RARE_NS, RARE_WAITS, SCAVENGE_INTERVAL};
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use proptest::prelude::*;
use std::vec::Vec;

/// The spare magazine costs no lock.
#[test]
fn a_refill_takes_the_spare_magazine_before_it_asks_the_tier() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    thread.cache.set_spare(class, thread.tier.with(class, |objects| objects.take(5)));
    assert!(thread.allocate(class));
    assert_eq!(thread.tier.calls(), []);
    assert_eq!((thread.cache.loaded_count(class), thread.cache.spare_count(class)), (4, 0));
    thread.check();
}

/// A thread that builds something comes to the shared tier a number of times that is logarithmic.
/// Only its first objects come from cache lines of their own.
#[test]
fn a_thread_that_only_allocates_asks_for_twice_as_many_each_time() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    for _ in 0..2_000 {
        assert!(thread.allocate(class));
    }
    let calls = thread.tier.calls();
    let (start, most) = (sizing::start_limit(class), sizing::max_limit(&thread.tier, class));
    assert!(calls.len() > 4 && start < most);
    for (at, call) in calls.into_iter().enumerate() {
        let request = (start << at).min(most);
        assert_eq!(call, Call::Refill { class, request, apart: at == 0 });
    }
    assert_eq!(thread.cache.limit(class), 0, "what it takes counts for no bound");
}

/// A magazine of another thread may be longer than what this one asks for.
#[test]
fn a_refill_loads_all_that_it_gets() {
    let class = class(256);
    let mut thread = Thread::new(&[256]);
    thread.tier.least.set(100);
    assert!(thread.allocate(class));
    assert_eq!(thread.cache.loaded_count(class), 99);
    thread.check();
}

#[test]
fn without_memory_a_refill_is_null_and_the_next_one_may_succeed() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    thread.tier.is_exhausted.set(true);
    assert!(!thread.allocate(class) && !thread.allocate(class));
    thread.tier.is_exhausted.set(false);
    assert!(thread.allocate(class));
    thread.check();
}

/// A thread that is past its end, or has no memory for a cache, keeps nothing.
#[test]
fn a_thread_without_a_cache_returns_what_it_does_not_need() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    thread.tier.least.set(10);
    let object = pop_uncached(&thread.tier, class, 64);
    thread.held.push((class, object));
    assert_eq!(
        thread.tier.calls(),
        [Call::Refill { class, request: 1, apart: false }, Call::FlushToSpans { class, count: 9 }]
    );
    thread.check();
}

/// It frees what others have allocated, beside blocks that they still use: handed out here again,
/// such a block would share a cache line with theirs.
#[test]
fn a_thread_that_frees_before_it_allocates_keeps_all_but_the_first_object() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    thread.free_foreign(class, 1);
    assert_eq!(thread.tier.calls(), [Call::FlushToSpans { class, count: 1 }]);
    thread.free_foreign(class, 1);
    assert_eq!(thread.tier.calls(), []);
    assert_eq!(thread.cache.loaded_count(class), 1);
    assert_eq!(thread.cache.limit(class), sizing::start_limit(class));
}

/// While sizes shift a magazine may hold less than it has grown to.
#[test]
fn a_magazine_that_may_hold_less_by_now_does_so_from_its_next_flush_on() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    thread.fill(class);
    while thread.cache.limit(class) < sizing::max_limit(&thread.tier, class) {
        thread.free_foreign(class, 1);
    }
    thread.tier.magazine_bytes.set(1024);
    let limit = thread.cache.limit(class);
    thread.free_foreign(class, limit + 1);
    assert_eq!(thread.cache.limit(class), 16);
    thread.tier.calls();
    thread.free_foreign(class, 3 * limit);
    let flushed = thread.tier.calls();
    assert!(flushed.contains(&Call::Flush { class, count: 16 }), "{flushed:?}");
    thread.check();
}

/// Frees until the cache has looked at the clock again, which says `now`.
fn free_until_a_look(thread: &mut Thread, class: SizeClass, now: usize) {
    thread.tier.clock_of_many.set(Some(now));
    while thread.cache.tick_ns.load(Ordering::Relaxed) != now {
        thread.free_foreign(class, 1);
    }
}

/// The memory that its magazines hold lies idle while it sleeps, and there are many like it.
#[test]
fn limits_of_one_of_many_threads_grow_while_it_comes_often_and_only_then() {
    let [old, new] = [64, 128].map(class);
    let mut thread = Thread::new(&[64, 128]);
    let mut now = 100 * RARE_NS;
    let mut look = |thread: &mut Thread, class, passed| {
        now += passed;
        free_until_a_look(thread, class, now);
    };
    look(&mut thread, old, 0);
    let start = thread.fill(new);
    (0..4).for_each(|_| look(&mut thread, new, 2 * RARE_NS));
    assert_eq!(thread.cache.limit(new), start);
    (0..2).for_each(|_| look(&mut thread, new, RARE_NS / 2));
    assert_eq!(thread.cache.limit(new), sizing::max_limit(&thread.tier, new));
}

/// Many threads at one lock take as long as those that sleep. Their calls become fewer if each
/// fetches more.
#[test]
fn limits_of_a_thread_that_waits_for_locks_grow() {
    let [old, new] = [64, 128].map(class);
    for (waits, grows) in [(RARE_WAITS - 1, false), (RARE_WAITS, true)] {
        let mut thread = Thread::new(&[64, 128]);
        thread.tier.waits.set(waits);
        free_until_a_look(&mut thread, old, 2 * RARE_NS);
        let start = thread.fill(new);
        (2..6).for_each(|count| free_until_a_look(&mut thread, new, count * 2 * RARE_NS));
        let most = sizing::max_limit(&thread.tier, new);
        assert!(start < most);
        assert_eq!(thread.cache.limit(new), if grows { most } else { start }, "{waits} waits");
    }
}

/// Next to nothing is in use: each free empties some magazines, among them at times the one that
/// the object comes to. The hardened build's caches stay as they are.
#[cfg(not(feature = "hardened"))]
#[test]
fn caches_that_wind_down_are_emptied_class_by_class_while_objects_come() {
    let sizes = [16, 64, 256, 1024];
    let mut thread = Thread::new(&sizes);
    for size in sizes {
        thread.fill(class(size));
    }
    let objects = |thread: &Thread| -> usize {
        sizes.iter().map(|&size| thread.cache.loaded_count(class(size))).sum()
    };
    let full = objects(&thread);
    thread.tier.is_winding_down.set(true);
    thread.tier.magazine_bytes.set(1024);
    for round in 0..400 {
        thread.free_foreign(class(sizes[round % sizes.len()]), 1);
        let calls = thread.tier.calls();
        assert!(calls.iter().all(|call| matches!(
            call,
            Call::Flush { .. } | Call::FlushToSpans { .. } | Call::Tick
        )));
        thread.check();
    }
    let left = objects(&thread);
    assert!(left * 2 < full, "{left} objects of {full}");
}

/// The tier gets whole magazines, so that another thread's refill costs one lock. Each flush
/// doubles the limit, up to the maximum of the class.
#[test]
fn a_thread_that_frees_much_flushes_whole_magazines_that_double() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    let limit = thread.fill(class);
    let most = sizing::max_limit(&thread.tier, class);
    assert!(limit < most);
    let mut flushed = Vec::new();
    while flushed.last() != Some(&most) {
        let before = thread.cache.limit(class);
        thread.free_foreign(class, 1);
        for call in thread.tier.calls() {
            let Call::Flush { count, .. } = call else { panic!("{call:?}") };
            flushed.push(count);
            assert_eq!(thread.cache.limit(class), (2 * before).min(most));
        }
        thread.check();
    }
    // The spare magazine and the loaded one were filled under the first limit.
    assert_eq!(flushed[..2], [limit; 2]);
    assert!(flushed.is_sorted(), "{flushed:?}");
    thread.free_foreign(class, 3 * most);
    assert_eq!(thread.cache.limit(class), most);
}

/// What a thread does not use goes to others: not all at once, since it may come back to it.
#[test]
fn a_scavenge_takes_the_spare_magazine_first_and_halves_the_limit() {
    let class = class(64);
    let mut thread = Thread::new(&[64]);
    let limit = thread.fill(class);
    sizing::note_use(&thread.cache, class);
    sizing::scavenge(&thread.tier, &thread.cache);
    assert_eq!(thread.tier.calls(), [], "it was used");
    for left in [1, 0] {
        sizing::scavenge(&thread.tier, &thread.cache);
        assert_eq!(thread.tier.calls(), [Call::Flush { class, count: limit }]);
        assert_eq!(thread.cache.spare_count(class), 0);
        assert_eq!(thread.cache.loaded_count(class), left * limit);
        assert_eq!(thread.cache.limit(class), limit >> (2 - left));
    }
    thread.check();
}

/// A program whose calls never reach the page heap has its memory decay nevertheless, and what one
/// class leaves idle is found by the calls of another.
#[test]
fn calls_of_one_class_look_at_the_clock_and_scavenge_the_others() {
    let (busy, idle) = (class(1024), class(64));
    let mut thread = Thread::new(&[1024, 64]);
    let limit = thread.fill(idle);
    sizing::scavenge(&thread.tier, &thread.cache);
    let spare = thread.cache.spare_count(idle);
    thread.tier.ticks();
    thread.cache.countdown.store(SCAVENGE_INTERVAL, Ordering::Relaxed);
    for _ in 0..SCAVENGE_INTERVAL {
        assert_eq!(thread.cache.spare_count(idle), spare);
        assert_eq!(thread.cache.loaded_count(idle), limit);
        sizing::note_central_call(&thread.tier, &thread.cache, busy);
    }
    assert_eq!(thread.cache.spare_count(idle) + thread.cache.loaded_count(idle), spare);
    let ticks = thread.tier.ticks();
    assert_eq!(ticks, (SCAVENGE_INTERVAL / sizing::TICK_INTERVAL) as usize);
}

/// The owner may have stopped in the middle of a `pop` of the class that it announced last, and of
/// no other.
#[test]
fn parking_takes_all_but_the_loaded_magazine_of_the_class_announced_last() {
    let (announced, other) = (class(64), class(1024));
    let mut thread = Thread::new(&[64, 1024]);
    let limit = thread.fill(announced);
    thread.fill(other);
    thread.park(announced, 7);
    assert!(!empty_a_part(&thread.tier, &thread.cache, 6), "it was parked anew since");
    assert_eq!(thread.tier.calls(), []);
    while empty_a_part(&thread.tier, &thread.cache, 7) {}
    assert!(thread.cache.is_all_emptied());
    assert_eq!(thread.tier.count(announced), OBJECTS - limit);
    assert_eq!(thread.tier.count(other), OBJECTS);
    assert_eq!((thread.cache.limit(announced), thread.cache.limit(other)), (limit, 0));
    assert_eq!(thread.cache.held_bytes(), limit * 64, "as statistics see it meanwhile");
    publish::repair(&thread.cache);
    assert!(!thread.cache.is_all_emptied());
    thread.check();
}

/// The owner may have stopped in the middle of a `push`: its object is linked to what was taken,
/// and is not lost.
#[test]
fn an_object_that_was_being_pushed_while_its_magazine_was_taken_stays() {
    let (announced, pushed) = (class(64), class(1024));
    let mut thread = Thread::new(&[64, 1024]);
    thread.fill(pushed);
    // What `push` has read before it stores the head.
    let (head, object) = thread.tier.with(pushed, |objects| {
        (thread.cache.loaded(pushed).head, objects.free.pop().expect("an object"))
    });
    thread.park(announced, 1);
    while empty_a_part(&thread.tier, &thread.cache, 1) {}
    // SAFETY: an object of the test's; the one that it links to is the tier's by now, and is not
    // touched.
    unsafe {
        FreeObject::link(object, head);
        FreeObject::mark(object);
    }
    thread.cache.heads[pushed.index()].store(object, Ordering::Release);
    publish::repair(&thread.cache);
    let loaded = thread.cache.loaded(pushed);
    assert_eq!((loaded.head, loaded.count), (object, 1));
    thread.check();
}

/// What a program or the allocator's own work does to a cache.
#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate { class: usize, count: usize },
    Free { index: usize, count: usize },
    Scavenge,
    FlushAPart { next: usize },
    HandOver,
    Park { announced: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..3, 1_usize..200).prop_map(|(class, count)| Step::Allocate { class, count }),
        6 => (any::<usize>(), 1_usize..200).prop_map(|(index, count)| Step::Free { index, count }),
        1 => Just(Step::Scavenge),
        1 => (0_usize..80).prop_map(|next| Step::FlushAPart { next }),
        1 => Just(Step::HandOver),
        1 => (0_usize..3).prop_map(|announced| Step::Park { announced }),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// Whatever happens to a cache, no object is lost or in two places, and every magazine is as
    /// long as its count says.
    #[test]
    fn no_object_is_lost_or_in_two_places(steps in steps()) {
        let mut thread = Thread::new(&[16, 64, 1024]);
        for (naming, step) in steps.into_iter().enumerate() {
            match step {
                Step::Allocate { class, count } => {
                    let class = thread.classes[class];
                    (0..count).for_each(|_| {
                        thread.allocate(class);
                    });
                }
                Step::Free { index, count } => {
                    for at in 0..count.min(thread.held.len()) {
                        let index = index.wrapping_add(at * 7) % thread.held.len();
                        thread.free(index);
                    }
                }
                Step::Scavenge => sizing::scavenge(&thread.tier, &thread.cache),
                Step::FlushAPart { mut next } => {
                    // SAFETY: the cache is the test's.
                    unsafe { drain::flush_a_part(&thread.tier, &thread.cache, &mut next) };
                }
                // SAFETY: the cache is the test's.
                Step::HandOver => unsafe { drain::hand_over(&thread.tier, &thread.cache) },
                Step::Park { announced } => {
                    thread.park(thread.classes[announced], naming);
                    while empty_a_part(&thread.tier, &thread.cache, naming) {}
                    publish::repair(&thread.cache);
                }
            }
            thread.cache.check_invariants();
        }
        thread.check();
    }
}
