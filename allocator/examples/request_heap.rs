//! A heap for each request: what a request builds lives in its heap, has a limit of its own, and
//! ends with it at once.
//!
//! ```text
//! cargo run --release -p stratalloc --features allocator-api2 --example request_heap
//! ```

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use hashbrown::{DefaultHashBuilder, HashMap};
use stratalloc::{Error, Heap, Stratalloc};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// What a request may take: 256 KiB of pages.
const LIMIT: usize = 256 << 10;

/// Counts the words of `text` and remembers where they were. Everything that it builds borrows
/// `heap`.
fn count<'a>(text: &'a str, heap: &Heap) -> (usize, usize, &'a str) {
    let mut places: HashMap<&str, Box<Vec<usize, &Heap>, &Heap>, _, &Heap> =
        HashMap::with_hasher_in(DefaultHashBuilder::default(), heap);
    for (place, word) in text.split_whitespace().enumerate() {
        places.entry(word).or_insert_with(|| Box::new_in(Vec::new_in(heap), heap)).push(place);
    }
    let most = places.iter().max_by_key(|(word, places)| (places.len(), **word));
    let (word, times) = most.map_or(("", 0), |(word, places)| (*word, places.len()));
    (places.len(), times, word)
}

fn main() -> Result<(), Error> {
    let mut heap = Heap::with_limit(LIMIT)?;
    for text in ["to be or not to be", "a rose is a rose is a rose"] {
        let (different, times, word) = count(text, &heap);
        println!("{different} words, {word:?} {times} times");
        // All at once, and ready for the next request.
        heap.reset();
    }
    println!("live after the requests: {} bytes", heap.stats().live);

    let mut greedy: Vec<u8, &Heap> = Vec::new_in(&heap);
    let refused = greedy.try_reserve(1 << 20).is_err();
    println!("1 MiB under a limit of 256 KiB: {}", if refused { "refused" } else { "granted" });
    drop(greedy);

    drop(heap);
    println!("pages of heaps after the end: {} bytes", stratalloc::stats().in_heaps);
    Ok(())
}
