//! Generators of what programs are given: the same for the same seed and amount, on every machine.
//!
//! Each returns the bytes of one file. None looks at the clock, the system or a hash map's order.
//! The amounts are the callers' (`catalogue`); the shapes are those of ordinary files of the kind.

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

    /// A generator under its name.
    type Named = (&'static str, fn(u64) -> Vec<u8>);

    /// Every generator.
    const ALL: [Named; 12] = [
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
        ("postscript", |seed| postscript(seed, 3)),
    ];

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_gives_others() {
        for (name, make) in ALL {
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
            ("log", 12_390_178_984_415_026_585),
            ("json lines", 14_540_971_049_034_842_373),
            ("json array", 17_105_728_583_116_751_555),
            ("xml", 3_727_199_725_097_795_673),
            ("c", 2_104_500_428_453_234_760),
            ("c++", 1_111_568_092_862_803_738),
            ("tables", 16_420_473_785_790_588_315),
            ("bank", 389_483_467_675_696_490),
            ("transfers", 6_130_444_818_256_983_813),
            ("history", 18_353_411_789_710_237_228),
            ("picture", 10_089_812_448_462_813_310),
            ("postscript", 14_274_188_309_044_477_819),
        ];
        assert_eq!(digests, expected);
    }
}
