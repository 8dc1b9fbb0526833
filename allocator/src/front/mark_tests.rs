//! No data that a program stores in its blocks makes `free` search the caches, even if an attacker
//! has chosen them. An attacker who has read a mark can cause searches; a process makes a bounded
//! number of steps for all of them together.

use super::misuse::{SEARCHED, marks_are_forged};
use super::{allocate, deallocate};
use crate::central::chain::{Chain, FreeObject, Search};
use crate::config::{MAX_SMALL, VAIN_STEPS};
use crate::page::link_encoding;
use crate::thread_cache::enter;
use proptest::prelude::*;
use std::thread;

/// What a program may find and store without having read the block's own mark.
#[derive(Clone, Copy, Debug)]
enum Word {
    Any(usize),
    /// The block's own address, as the head of an empty list has it.
    Own,
    /// The mark of another block of the same size: copied from memory that was not written to, say.
    MarkOfOther,
    /// The second word of the block when it was last free, as it would be at another place.
    MarkFrom(usize),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        any::<usize>().prop_map(Word::Any),
        Just(Word::Own),
        Just(Word::MarkOfOther),
        (1..1_usize << 30).prop_map(|steps| Word::MarkFrom(16 * steps)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_data_make_free_search(size in 16..MAX_SMALL, words in prop::collection::vec(word(), 1..60)) {
        let before = SEARCHED.get();
        let other = allocate(size);
        for word in words {
            let block = allocate(size);
            prop_assert!(!is_marked(block), "handed out as free");
            let word = match word {
                Word::Any(word) => word,
                Word::Own => block as usize,
                Word::MarkOfOther => link_encoding::mark(other as usize),
                Word::MarkFrom(distance) => link_encoding::mark(block as usize ^ distance),
            };
            // SAFETY: a live block of at least two words, which is given up.
            unsafe {
                block.cast::<[usize; 2]>().write([word, word]);
                deallocate(block);
            }
        }
        // SAFETY: a live block that is given up.
        unsafe { deallocate(other) };
        prop_assert_eq!(SEARCHED.get(), before);
    }

    #[test]
    fn a_search_looks_at_each_object_once_and_at_no_more_than_it_may(
        count in 0..300_usize, at in 0..400_usize, steps in 0..400_usize,
    ) {
        link_encoding::ensure();
        let mut objects = vec![[0_usize; 2]; 400];
        let addrs: Vec<usize> = objects.iter_mut().map(|object| (&raw mut *object).addr()).collect();
        let mut chain = Chain::EMPTY;
        for &addr in addrs[..count].iter().rev() {
            // SAFETY: two words of the test's own.
            unsafe { FreeObject::link(addr as *mut FreeObject, chain.head) };
            chain = Chain { head: addr as *mut FreeObject, count: chain.count + 1 };
        }
        let mut search = Search::new(addrs[at], steps);
        let found = chain.contains(&mut search);
        prop_assert_eq!(found, at < count.min(steps));
        let looked_at = if found { at + 1 } else { count.min(steps) };
        prop_assert_eq!(search.left(), steps - looked_at);
    }
}

fn is_marked(block: *mut u8) -> bool {
    // SAFETY: a live block of at least two words.
    unsafe { FreeObject::is_marked(block.cast()) }
}

/// Who reads the marks of freed blocks and writes them into live ones makes `free` search, for a
/// moment; then no more. The blocks are freed as ever.
#[test]
fn forged_marks_cost_a_bounded_number_of_steps_in_the_life_of_a_process() {
    const ROUNDS: usize = 4_000;
    let on_thread = |size: usize| {
        let before = SEARCHED.get();
        // So that there is something to search.
        let blocks: Vec<*mut u8> = (0..2_000).map(|_| allocate(size)).collect();
        // SAFETY: live blocks that are given up.
        blocks.iter().for_each(|&block| unsafe { deallocate(block) });
        for _ in 0..ROUNDS {
            let block = allocate(size);
            // SAFETY: a live block of at least two words, which is given up.
            unsafe {
                FreeObject::mark(block.cast());
                deallocate(block);
            }
        }
        if let Some(cache) = enter::enter_if_live() {
            cache.check_invariants();
        }
        SEARCHED.get() - before
    };
    // Another thread may begin a search before this one has counted its last.
    let searched: usize = thread::scope(|scope| {
        [16, 64, 1_000].map(|size| scope.spawn(move || on_thread(size)).join())
    })
    .into_iter()
    .map(|steps| steps.expect("no panic"))
    .sum();
    assert!(searched <= 2 * VAIN_STEPS, "{searched} steps");
    assert!(marks_are_forged(), "so many searches use up what there is");
}
