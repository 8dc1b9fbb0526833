//! Text index: building strings and hash maps, as log processors, search indexes and web back ends
//! do.
//!
//! Documents of words are split into owned strings, counted in a hash map with a list of positions
//! for each word, and rendered as one output string; a few indexes are alive at any time. The
//! allocations are what the standard collections ask for: short strings, growing lists, tables that
//! double. The words follow a skewed distribution like that of natural text (Zipf's law). One
//! operation is one word.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, Hasher};

pub(super) const WORKLOAD: Workload = Workload {
    name: "text-index",
    stands_for: "log processing and search indexing: owned strings, hash maps, lists of positions",
    origin: "word indexes over text by Zipf's law",
    unit: "words",
    threaded: false,
    prepare,
};

/// Words of a full run.
const WORDS: usize = 1_200_000;
/// Words in a document.
const DOCUMENT: usize = 20_000;
/// Distinct words; most are rare.
const VOCABULARY: usize = 60_000;
/// Indexes alive at once.
const ALIVE: usize = 4;

/// One FNV-like multiplication per byte: the standard hasher is so thorough that it would hide the
/// allocator behind its own cost.
#[derive(Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x2545_f491_4f6c_dd1d);
        }
    }
}

type Index = HashMap<String, Vec<u32>, BuildHasherDefault<QuickHasher>>;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let vocabulary: Vec<String> = (0..VOCABULARY).map(|_| word(&mut random)).collect();
    let documents = settings.scaled(WORDS).div_ceil(DOCUMENT);
    Box::new(move || {
        let mut alive: VecDeque<(Index, String)> = VecDeque::with_capacity(ALIVE + 1);
        let mut checksum = 0_u64;
        for _ in 0..documents {
            let index = build(&vocabulary, &mut random);
            let text = render(&index);
            checksum += index.len() as u64 * text.len() as u64;
            alive.push_back((index, text));
            if alive.len() > ALIVE {
                alive.pop_front();
            }
        }
        drop(alive);
        Outcome { operations: (documents * DOCUMENT) as u64, checksum }
    })
}

/// 2 to 24 letters, mostly short.
fn word(random: &mut Random) -> String {
    let length = 2 + random.below(7) + random.below(7) + random.below(4) * random.below(5);
    (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// Indexes one document.
fn build(vocabulary: &[String], random: &mut Random) -> Index {
    let mut index = Index::default();
    for position in 0..DOCUMENT {
        // The minimum of three draws favours low numbers: few words make up most of the text.
        let draw = |random: &mut Random| random.below(vocabulary.len());
        let word = draw(random).min(draw(random)).min(draw(random));
        // Every token is owned for a moment, as when it is cut from an input and put in lower case.
        let token = vocabulary[word].to_ascii_lowercase();
        index.entry(token).or_default().push(position as u32);
    }
    index
}

/// One line for each word: the word and how often it stands.
fn render(index: &Index) -> String {
    let mut text = String::new();
    for (word, positions) in index {
        let line = format!("{word}: {} times, first at {}", positions.len(), positions[0]);
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    }
    text
}
