//! A service whose requests build some hundred objects, maps and strings, and then end: what a
//! request costs in a heap with a lifetime, in bumpalo's arenas, in mimalloc's heaps, and in the
//! global heap. `docs/heaps.md` has the table.
//!
//! Arguments: how many requests, and the variant; without the latter, all of them take turns, and a
//! table is printed: the best of 25 rounds of each, in processor time. The collections are generic
//! over `allocator-api2`'s trait, and so the same code for all. A variant is `dropped` if each
//! request drops its collections, and `forgotten` if only the heap ends; `kept` if one heap serves
//! all requests and is reset after each.

use allocator_api2::alloc::{AllocError, Allocator, Global};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bumpalo::Bump;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::alloc::Layout;
use std::hint::black_box;
use std::mem;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::time::Duration;
use stratalloc::{Heap, Stratalloc};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Fields of a request, and headers.
const FIELDS: u64 = 120;
/// Entries that it looks up and changes.
const ENTRIES: u64 = 60;

type Text<A> = Vec<u8, A>;

/// What a request builds.
struct Request<A: Allocator + Copy> {
    fields: Vec<Field<A>, A>,
    index: HashMap<u64, Box<Entry, A>, DefaultHashBuilder, A>,
    answer: Text<A>,
}

struct Field<A: Allocator> {
    name: Text<A>,
    value: Text<A>,
}

struct Entry {
    key: u64,
    count: u64,
    place: [u64; 4],
}

/// Numbers without a library: xorshift.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn text<A: Allocator + Copy>(random: u64, most: u64, memory: A) -> Text<A> {
    let mut text = Vec::new_in(memory);
    // As a parser does that does not know the length: the buffer grows.
    for part in 0..random % most / 8 + 1 {
        text.extend_from_slice(&(random.wrapping_mul(part + 1)).to_le_bytes());
    }
    text
}

impl<A: Allocator + Copy> Request<A> {
    /// Does a request's work.
    fn new(random: &mut u64, memory: A) -> Self {
        let mut fields = Vec::new_in(memory);
        for _ in 0..FIELDS {
            let name = text(next(random), 32, memory);
            let value = text(next(random), 200, memory);
            fields.push(Field { name, value });
        }
        let mut index = HashMap::with_hasher_in(DefaultHashBuilder::default(), memory);
        for at in 0..ENTRIES {
            let key = next(random) % 512;
            let entry = Entry { key, count: 0, place: [at; 4] };
            index.entry(key).or_insert_with(|| Box::new_in(entry, memory)).count += 1;
            if at % 4 == 3 {
                index.remove(&(next(random) % 512));
            }
        }
        let mut answer = Vec::new_in(memory);
        for field in &fields {
            answer.extend_from_slice(&field.name);
            answer.extend_from_slice(&field.value[..field.value.len().min(24)]);
        }
        Self { fields, index, answer }
    }

    /// A number that depends on everything that was built, in no order.
    fn checksum(&self) -> u64 {
        let entries = self.index.values();
        let sum: u64 = entries.map(|entry| entry.key ^ entry.count << 32 ^ entry.place[3]).sum();
        let bytes: u64 = self.answer.iter().map(|byte| u64::from(*byte)).sum();
        sum.wrapping_add(bytes).wrapping_add(self.fields.len() as u64)
    }
}

/// A heap of mimalloc's.
struct Mimalloc(NonNull<libmimalloc_sys::mi_heap_t>);

impl Mimalloc {
    fn new() -> Self {
        // SAFETY: may be called at any time.
        Self(NonNull::new(unsafe { libmimalloc_sys::mi_heap_new() }).expect("a heap"))
    }
}

impl Drop for Mimalloc {
    fn drop(&mut self) {
        // SAFETY: a live heap of this thread's, whose blocks borrow this value.
        unsafe { libmimalloc_sys::mi_heap_destroy(self.0.as_ptr()) }
    }
}

// SAFETY: blocks live until they are freed or the heap is dropped, which the reference outlives
// not.
unsafe impl Allocator for &Mimalloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: a live heap of this thread's, as a `NonNull` is not `Send`.
        let block = unsafe {
            libmimalloc_sys::mi_heap_malloc_aligned(self.0.as_ptr(), layout.size(), layout.align())
        };
        let block = NonNull::new(block.cast()).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: the caller gives up a live block of this heap's.
        unsafe { libmimalloc_sys::mi_free(block.as_ptr().cast()) }
    }
}

fn dropped<A: Allocator + Copy>(random: &mut u64, memory: A) -> u64 {
    Request::new(random, memory).checksum()
}

fn forgotten<A: Allocator + Copy>(random: &mut u64, memory: A) -> u64 {
    let request = mem::ManuallyDrop::new(Request::new(random, memory));
    request.checksum()
}

/// A variant: runs so many requests, and returns the sum of their checksums.
type Variant = fn(&mut u64, u64) -> u64;

fn each(random: &mut u64, requests: u64, mut request: impl FnMut(&mut u64) -> u64) -> u64 {
    (0..requests).fold(0, |sum, _| sum.wrapping_add(request(random)))
}

const VARIANTS: [(&str, Variant); 9] = [
    ("global heap, dropped", |random, requests| {
        each(random, requests, |random| dropped(random, Global))
    }),
    ("Heap, dropped", |random, requests| {
        each(random, requests, |random| dropped(random, &Heap::new().expect("a heap")))
    }),
    ("Heap, forgotten", |random, requests| {
        each(random, requests, |random| forgotten(random, &Heap::new().expect("a heap")))
    }),
    ("Heap, kept", |random, requests| {
        let mut heap = Heap::new().expect("a heap");
        each(random, requests, |random| {
            let sum = forgotten(random, &heap);
            heap.reset();
            sum
        })
    }),
    ("bumpalo, dropped", |random, requests| {
        each(random, requests, |random| dropped(random, &Bump::new()))
    }),
    ("bumpalo, forgotten", |random, requests| {
        each(random, requests, |random| forgotten(random, &Bump::new()))
    }),
    ("bumpalo, kept", |random, requests| {
        let mut bump = Bump::new();
        each(random, requests, |random| {
            let sum = forgotten(random, &bump);
            bump.reset();
            sum
        })
    }),
    ("mimalloc's heap, dropped", |random, requests| {
        each(random, requests, |random| dropped(random, &Mimalloc::new()))
    }),
    ("mimalloc's heap, forgotten", |random, requests| {
        each(random, requests, |random| forgotten(random, &Mimalloc::new()))
    }),
];

/// The first number of every run: all variants do the same.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const ROUNDS: usize = 25;

/// Processor time of this process so far: other programs count for less in it than in the clock's.
fn processor_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a place for the result.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    assert_eq!(failed, 0, "there is such a clock");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn all(requests: u64) {
    let mut best = [Duration::MAX; VARIANTS.len()];
    let mut sums = [0; VARIANTS.len()];
    for _ in 0..ROUNDS {
        for (at, (_, variant)) in VARIANTS.iter().enumerate() {
            let mut random = SEED;
            let start = processor_time();
            sums[at] = black_box(variant(&mut random, requests));
            best[at] = best[at].min(processor_time() - start);
        }
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "all variants do the same: {sums:?}");
    for ((name, _), best) in VARIANTS.iter().zip(best) {
        println!("{name:<28} {:>8.2} us a request", best.as_secs_f64() * 1e6 / requests as f64);
    }
}

fn main() -> ExitCode {
    let arguments: std::vec::Vec<String> = std::env::args().skip(1).collect();
    let requests = match arguments.first().map(|number| number.parse()) {
        None => 200,
        Some(Ok(number)) => number,
        Some(Err(_)) => return usage(),
    };
    let Some(wanted) = arguments.get(1) else {
        all(requests);
        return ExitCode::SUCCESS;
    };
    let Some((_, variant)) = VARIANTS.iter().find(|(name, _)| name == wanted) else {
        return usage();
    };
    println!("{}", variant(&mut { SEED }, requests));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("compare-heaps [REQUESTS [VARIANT]]; variants:");
    for (name, _) in VARIANTS {
        eprintln!("  {name}");
    }
    ExitCode::from(2)
}
