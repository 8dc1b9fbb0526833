//! `hot_path.c` for Rust: a boxed value of 48 bytes made and dropped per round, or with the
//! operation `bare` the same value on the stack. Arguments: how many rounds, and the operation.

use std::hint::black_box;

struct Value([u64; 6]);

#[inline(never)]
fn boxed(rounds: u64) {
    for round in 0..rounds {
        let value = Box::new(Value([round; 6]));
        black_box(&value.0);
    }
}

#[inline(never)]
fn bare(rounds: u64) {
    for round in 0..rounds {
        let value = Value([round; 6]);
        black_box(&value.0);
    }
}

/// Runs what the arguments say.
pub fn run() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(1_000);
    match arguments.next().as_deref() {
        Some("bare") => bare(rounds),
        _ => boxed(rounds),
    }
}
