//! Reading options. Nothing here changes a parameter: what was found is looked at, not applied,
//! because all tests of the process share the values.

use super::environment::read;
use super::options::{Found, read_list};
use super::table::{COUNT, LONGEST_MS};
use super::*;
use proptest::prelude::*;
use std::format;
use std::string::ToString;
use std::vec::Vec;

fn list(text: &[u8]) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    read_list(text, &mut |item| found.push(item));
    found
}

fn variables<'a>(variables: &[&'a str], secure: bool) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let bytes: Vec<&[u8]> = variables.iter().map(|text| text.as_bytes()).collect();
    read(bytes.into_iter(), secure, &mut |item| found.push(item));
    found
}

fn parse(name: &str, value: &str) -> Option<usize> {
    Parameter::by_name(name.as_bytes()).expect("a parameter").kind.parse(value.as_bytes())
}

/// Text made of the pieces that option strings consist of, so that deep paths are reached too.
fn almost_options() -> impl Strategy<Value = Vec<u8>> {
    let names = TABLE.iter().map(|parameter| parameter.name.to_string());
    let mut pieces: Vec<std::string::String> = names.collect();
    pieces.extend(
        ["=", ",", " ", "-1", "never", "help", "0", "18446744073709551615", "17GiB", "s", "Kib"]
            .map(std::string::String::from),
    );
    prop::collection::vec(prop::sample::select(pieces), 0..20)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    /// The environment is anybody's text: reading it must never panic, and what is accepted is in
    /// range.
    #[test]
    fn any_bytes_are_read_without_harm(
        text in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), almost_options()],
        prefix in prop::sample::select(std::vec![
            "", "MALLOC_TRIM_THRESHOLD_=", "GLIBC_TUNABLES=glibc.malloc.", "STRATALLOC_OPTIONS=",
            "STRATALLOC_DECAY_MS=", "STRATALLOC_",
        ]),
    ) {
        let variable = [prefix.as_bytes(), &text].concat();
        let mut found = list(&text);
        read(core::iter::once(&variable[..]), false, &mut |item| {
            // What is said about mistakes must hold for any bytes too; `found` keeps what counts.
            if let Found::Set(id, number) = item {
                found.push(Found::Set(id, number));
            }
        });
        for item in found {
            if let Found::Set(id, number) = item {
                prop_assert!(TABLE[id as usize].kind.admits(number), "{id:?} = {number}");
            }
        }
    }

    /// What the table displays can be put back into the environment: every value of every
    /// parameter.
    #[test]
    fn what_is_displayed_is_read_back(index in 0..COUNT, raw in any::<usize>(), shift in 0u32..64) {
        let kind = TABLE[index].kind;
        for number in [raw >> shift, raw >> shift << shift, NEVER, 0, 1] {
            if kind.admits(number) {
                let text = Value { kind, number }.to_string();
                prop_assert_eq!(kind.parse(text.as_bytes()), Some(number), "{}", text);
            }
        }
    }
}

/// The names are what the documentation says they are, and lead to themselves.
#[test]
fn every_name_and_default_is_read_from_a_list() {
    for parameter in TABLE {
        let text = format!("{}={}", parameter.name, parameter.default());
        let expected = [Found::Set(parameter.id, parameter.default)];
        assert_eq!(list(text.as_bytes()), expected, "{text}");
        let variable = format!("STRATALLOC_{}", text.to_ascii_uppercase());
        assert_eq!(variables(&[&variable], false), expected, "{variable}");
    }
}

/// The ways in which people write sizes, times and switches.
#[test]
fn values_are_read_in_the_usual_spellings() {
    let mib = Some(1 << 20);
    for text in ["1048576", "1024K", "1024KB", "1024kib", "1M", "1m", "1MB", "1MiB", " 1 MiB "] {
        assert_eq!(parse("direct_bytes", text), mib, "{text}");
    }
    assert_eq!(parse("direct_bytes", "2G"), Some(2 << 30));
    assert_eq!(parse("direct_bytes", "never"), Some(NEVER));
    for text in ["1500", "1500ms", "1500 MS"] {
        assert_eq!(parse("decay_ms", text), Some(1_500), "{text}");
    }
    assert_eq!(parse("decay_ms", "3s"), Some(3_000));
    assert_eq!(parse("decay_ms", "0"), Some(0));
    assert_eq!((parse("decay_ms", "-1"), parse("decay_ms", "Never")), (Some(NEVER), Some(NEVER)));
    assert_eq!(parse("huge_pages", "always"), Some(HugePages::Always as usize));
    for (text, number) in [("on", 1), ("TRUE", 1), ("1", 1), ("off", 0), ("no", 0), ("0", 0)] {
        assert_eq!(parse("verify_at_exit", text), Some(number), "{text}");
    }
}

/// A value that is not understood must not be taken for a number nearby.
#[test]
fn what_is_no_value_is_refused() {
    for (name, text) in [
        ("decay_ms", ""),
        ("decay_ms", "-2"),
        ("decay_ms", "+1"),
        ("decay_ms", "1.5s"),
        ("decay_ms", "2h"),
        ("decay_ms", "25000000s"),
        ("decay_ms", "18446744073709551615"),
        ("direct_bytes", "1"),
        ("direct_bytes", "64 Mi"),
        ("direct_bytes", "1T"),
        ("direct_bytes", "18446744073709551615G"),
        ("direct_bytes", "0x100000"),
        ("magazine_max_bytes", "never"),
        ("magazine_max_bytes", "5M"),
        ("huge_pages", "1"),
        ("verify_at_exit", "maybe"),
    ] {
        assert_eq!(parse(name, text), None, "{name}={text}");
    }
}

/// One mistake costs its own item and no other.
#[test]
fn mistakes_are_found_one_by_one() {
    let found = list(b" decay_ms = 5s ,, speed=11,huge_pages,help,verify_at_exit=off,HELP");
    let expected = [
        Found::Set(Id::DecayMs, 5_000),
        Found::Unknown(b"speed"),
        Found::BadValue(Id::HugePages, b""),
        Found::Help,
        Found::Set(Id::VerifyAtExit, 0),
        Found::Unknown(b"HELP"),
    ];
    assert_eq!(found, expected);
}

/// Whoever runs a set-user-id program must not be able to tune it, nor to make it print.
#[test]
fn a_program_with_more_rights_ignores_everything() {
    let all = [
        "STRATALLOC_OPTIONS=help,decay_ms=0,nonsense",
        "STRATALLOC_DECAY_MS=0",
        "GLIBC_TUNABLES=glibc.malloc.hugetlb=1",
        "MALLOC_MMAP_MAX_=0",
    ];
    assert_eq!(variables(&all, false).len(), 6, "without the flag all of them count");
    assert_eq!(variables(&all, true), []);
}

/// What is said for this allocator outweighs what was said for glibc's, and the single variable
/// outweighs the list, wherever they stand in the environment.
#[test]
fn the_more_special_variable_comes_last() {
    let found = variables(
        &[
            "STRATALLOC_DECAY_MS=1",
            "STRATALLOC_OPTIONS=decay_ms=2",
            "GLIBC_TUNABLES=glibc.malloc.trim_threshold=-1:glibc.malloc.mmap_max=0",
            "MALLOC_TRIM_THRESHOLD_=-1",
        ],
        false,
    );
    let expected = [
        Found::Set(Id::DecayMs, NEVER),
        Found::Set(Id::DecayMs, NEVER),
        Found::Set(Id::DirectBytes, NEVER),
        Found::Set(Id::DecayMs, 2),
        Found::Set(Id::DecayMs, 1),
    ];
    assert_eq!(found, expected);
}

/// Each of glibc's settings as `docs/tuning.md` lists them; those without a meaning are silent.
#[test]
fn settings_of_glibc_count_where_they_have_a_meaning() {
    for (name, value, expected) in [
        ("trim_threshold", "-1", Some((Id::DecayMs, NEVER))),
        ("trim_threshold", "0xffffffffffffffff", Some((Id::DecayMs, NEVER))),
        ("trim_threshold", "131072", None),
        ("trim_threshold", "0", None),
        ("mmap_threshold", "131072", None),
        ("mmap_threshold", "67108864", Some((Id::DirectBytes, 64 << 20))),
        ("mmap_threshold", "0x10000000", Some((Id::DirectBytes, 256 << 20))),
        ("mmap_threshold", "010000000000", Some((Id::DirectBytes, 1 << 30))),
        ("mmap_threshold", "-1", None),
        ("mmap_max", "0", Some((Id::DirectBytes, NEVER))),
        ("mmap_max", "65536", None),
        ("hugetlb", "1", Some((Id::HugePages, HugePages::Always as usize))),
        ("hugetlb", "2", None),
        ("arena_max", "1", None),
        ("tcache_count", "0", None),
        ("perturb", "85", None),
        ("top_pad", "nonsense", None),
        ("trim_threshold", "nonsense", None),
    ] {
        let expected: Vec<_> = expected.map(|(id, n)| Found::Set(id, n)).into_iter().collect();
        let tunable = format!("GLIBC_TUNABLES=glibc.rtld.nns=2:glibc.malloc.{name}={value}");
        assert_eq!(variables(&[&tunable], false), expected, "{tunable}");
        let variable = format!("MALLOC_{}_={value}", name.to_ascii_uppercase());
        assert_eq!(variables(&[&variable], false), expected, "{variable}");
    }
}

/// Other variables with our prefix belong to others: not read, not complained about.
#[test]
fn variables_of_others_are_left_alone() {
    let others =
        ["STRATALLOC_SO=x", "STRATALLOC_", "STRATALLOC=1", "STRATALLOC_OPTIONSX=y", "MALLOC_", ""];
    assert_eq!(variables(&others, false), []);
}

/// A value out of range changes nothing, whichever way it comes.
#[test]
fn values_out_of_range_are_refused() {
    let decay = &TABLE[Id::DecayMs as usize];
    assert!(!set(Id::DecayMs, LONGEST_MS + 1) && !decay.set_text(b"soon"));
    assert_eq!(decay.current().number, decay.default().number);
}
