//! The example of clause C6.3 in Rust: a thread computes Fibonacci numbers, and each step makes
//! room for 1,024 numbers that is never given back; with the argument `fixed` it is. `fibonacci.c`
//! is the same in C.

use std::mem;
use std::thread;

use stratalloc::Stratalloc;

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

const STEPS: usize = 2_000;
const NUMBERS: usize = 1_024;

/// The room of one step, with the next number in it.
#[inline(never)]
fn fibonacci(before: u64, last: u64) -> Vec<u64> {
    let mut room = vec![0; NUMBERS];
    room[0] = before.wrapping_add(last);
    room
}

#[inline(never)]
fn child(fixed: bool) -> u64 {
    let (mut before, mut last) = (0, 1);
    for _ in 0..STEPS {
        let room = fibonacci(before, last);
        (before, last) = (last, room[0]);
        if !fixed {
            mem::forget(room);
        }
    }
    last
}

fn main() {
    let fixed = std::env::args().nth(1).is_some_and(|argument| argument == "fixed");
    let thread = thread::spawn(move || child(fixed));
    println!("{}", thread.join().expect("the thread"));
}
