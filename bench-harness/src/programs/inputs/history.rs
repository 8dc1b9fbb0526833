//! The history of a repository, in the form that `git fast-import` reads.

use super::words::{sentence, word};
use crate::random::Random;
use std::fmt::Write;

/// Files of the repository.
const FILES: usize = 60;
/// Lines that a file begins with.
const LINES: usize = 120;

/// A branch of so many commits, each of which changes lines of a few files.
pub fn history(seed: u64, commits: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut files: Vec<Vec<String>> =
        (0..FILES).map(|_| (0..LINES).map(|_| line(random)).collect()).collect();
    let mut text = String::new();
    for number in 0..commits {
        let message = format!("{} {number}\n\n{}.\n", word(random), sentence(random, 12));
        let _ = writeln!(text, "commit refs/heads/main\nmark :{}", number + 1);
        let _ = writeln!(
            text,
            "committer A U Thor <author@example.com> {} +0000",
            1_700_000_000 + number * 600
        );
        let _ = write!(text, "data {}\n{message}\n", message.len());
        if number > 0 {
            let _ = writeln!(text, "from :{number}");
        }
        let changed: Vec<usize> = if number == 0 {
            (0..FILES).collect()
        } else {
            (0..random.between(1, 4)).map(|_| random.below(FILES)).collect()
        };
        for file in changed {
            change(random, &mut files[file]);
            let whole = files[file].concat();
            let _ = writeln!(text, "M 100644 inline src/part{}/file{file}.txt", file % 7);
            let _ = write!(text, "data {}\n{whole}\n", whole.len());
        }
    }
    text.push_str("done\n");
    text.into_bytes()
}

fn line(random: &mut Random) -> String {
    let words = random.between(2, 12);
    sentence(random, words) + "\n"
}

/// Replaces, adds and removes some lines.
fn change(random: &mut Random, lines: &mut Vec<String>) {
    for _ in 0..random.between(1, 8) {
        let place = random.below(lines.len());
        match random.below(4) {
            0 => lines.insert(place, line(random)),
            1 if lines.len() > LINES / 2 => drop(lines.remove(place)),
            _ => lines[place] = line(random),
        }
    }
}
