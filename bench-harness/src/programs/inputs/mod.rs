//! Generators of what programs are given: the same for the same seed and amount, on every machine.
//!
//! Each returns the bytes of one file. None looks at the clock, the system or a hash map's order. The
//! amounts are the callers' (`catalogue`); the shapes are those of ordinary files of the kind.

mod code;
mod database;
mod history;
mod pictures;
mod records;
mod words;

pub use code::{c_source, cpp_source};
pub use database::{bank, tables, transfers};
pub use history::history;
pub use pictures::{picture, postscript};
pub use records::{json_array, json_lines, log, xml};

#[cfg(test)]
mod tests {
    use super::*;

    /// Every generator under its name.
    const ALL: [(&str, fn(u64) -> Vec<u8>); 11] = [
        ("log", |seed| log(seed, 200)),
        ("json lines", |seed| json_lines(seed, 100)),
        ("json array", |seed| json_array(seed, 100)),
        ("xml", |seed| xml(seed, 100)),
        ("c", |seed| c_source(seed, 20)),
        ("c++", |seed| cpp_source(seed, 5)),
        ("tables", |seed| tables(seed, 100)),
        ("bank", |seed| bank(seed, 50)),
        ("transfers", |seed| transfers(seed, 1, 50)),
        ("history", |seed| history(seed, 20)),
        ("picture", |seed| picture(seed, 64, 48)),
    ];

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_gives_others() {
        let pages: (&str, fn(u64) -> Vec<u8>) = ("postscript", |seed| postscript(seed, 3));
        for (name, make) in ALL.into_iter().chain([pages]) {
            assert_eq!(make(7), make(7), "{name}");
            assert_ne!(make(7), make(8), "{name}");
            assert!(make(7).len() > 500, "{name} is next to nothing");
        }
    }

    #[test]
    fn what_is_generated_today_is_what_was_generated_when_results_were_made() {
        // Who changes a generator changes what committed results are of: that must be meant.
        let digests: Vec<(&str, u64)> =
            ALL.iter().map(|(name, make)| (*name, crate::programs::digest(&make(7)))).collect();
        let expected: [(&str, u64); ALL.len()] = [
            ("log", 0),
            ("json lines", 0),
            ("json array", 0),
            ("xml", 0),
            ("c", 0),
            ("c++", 0),
            ("tables", 0),
            ("bank", 0),
            ("transfers", 0),
            ("history", 0),
            ("picture", 0),
        ];
        assert_eq!(digests, expected);
    }
}
