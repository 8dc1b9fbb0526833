//! Long strings that grow by copying: a new block of twice the size, a copy, and the old one is
//! freed.
//!
//! C++'s `std::string` and `std::vector` know no `realloc`: a page is rendered, a file is read line
//! by line, a log is collected, and each time that the string is full all of it moves. No block
//! fits where the ones before it were, as these together are as long as the last; what the
//! allocator did with them shows in page faults. Strings grow to some size from 64 KiB to 64 MiB,
//! one after the other, beside a few that stay. The pattern is that of every C++ program that
//! builds text. One operation is one append.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "string-growth",
    stands_for: "C++ strings built by appending, 64 KiB to 64 MiB: allocate, copy, free",
    origin: "std::string of libstdc++",
    unit: "appends",
    threaded: false,
    prepare,
};

/// Bytes of one append.
const PIECE: usize = 2048;
/// Appends of a full run: 1.5 GiB.
const APPENDS: usize = 768 << 10;
/// Strings that are kept, the oldest of which goes when another is done.
const KEPT: usize = 4;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(APPENDS);
    Box::new(move || {
        let piece = [random.next() as u8; PIECE];
        let mut kept: [Vec<u8>; KEPT] = Default::default();
        let (mut appends, mut done, mut checksum) = (0, 0, 0);
        while appends < goal {
            let size = random.log_between(64 << 10, 64 << 20);
            let mut text = Vec::with_capacity(PIECE);
            while text.len() < size && appends < goal {
                if text.capacity() - text.len() < PIECE {
                    let mut longer = Vec::with_capacity(2 * text.capacity());
                    longer.extend_from_slice(&text);
                    text = longer;
                }
                text.extend_from_slice(black_box(&piece));
                appends += 1;
            }
            checksum += text.len() as u64 + u64::from(text[text.len() / 2]);
            kept[done % KEPT] = text;
            done += 1;
        }
        drop(black_box(kept));
        Outcome { operations: goal as u64, checksum }
    })
}
