//! Profiles in the forms of other tools, read back by a small reader of protocol buffers. Other
//! tests of this process may book stacks meanwhile; each test looks for its own.

use super::kind::{ProfileFormat, ProfileKind};
use super::write;
use crate::profile::labels::{self, Labels};
use crate::profile::stacks;
use std::collections::{HashMap, HashSet};
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;

/// The base of growth is one for the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn written(kind: ProfileKind, format: ProfileFormat) -> Vec<u8> {
    let mut all = Vec::new();
    assert!(write(kind, format, &mut |piece| all.extend_from_slice(piece)));
    all
}

/// What gzip's stored blocks hold.
fn unpacked(file: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (10, Vec::new());
    loop {
        let len = usize::from(u16::from_le_bytes([file[at + 1], file[at + 2]]));
        out.extend_from_slice(&file[at + 5..at + 5 + len]);
        if file[at] == 1 {
            return out;
        }
        at += 5 + len;
    }
}

fn number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return value;
        }
    }
}

fn numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        all.push(number(&mut bytes));
    }
    all
}

/// The fields of a message: their numbers, and a number or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let head = number(&mut bytes);
        let value = number(&mut bytes);
        let mut content = Vec::new();
        if head & 7 == 2 {
            content = bytes[..value as usize].to_vec();
            bytes = &bytes[value as usize..];
        }
        all.push((head >> 3, value, content));
    }
    all
}

/// A profile as far as the tests look at it.
struct Read {
    types: Vec<String>,
    /// By their addresses: values, and the texts of their labels.
    samples: HashMap<Vec<u64>, Vec<(Vec<i64>, String)>>,
    texts: Vec<String>,
    mappings: usize,
}

fn read(file: &[u8]) -> Read {
    let all = fields(&unpacked(file));
    let of = |field: u64| all.iter().filter(move |found| found.0 == field).map(|found| &found.2);
    let texts: Vec<String> = of(6).map(|text| String::from_utf8(text.clone()).unwrap()).collect();
    let get = |message: &[u8], field: u64| {
        fields(message).iter().find(|found| found.0 == field).map_or(0, |found| found.1)
    };
    let types = of(1).map(|message| texts[get(message, 1) as usize].clone()).collect();
    let mut places = HashSet::new();
    for message in of(4) {
        assert!(places.insert(get(message, 1)), "a place comes twice");
        assert_eq!(get(message, 1), get(message, 3));
        assert!(get(message, 2) <= of(3).count() as u64);
    }
    let mut samples = HashMap::<_, Vec<_>>::new();
    for message in of(2) {
        let parts = fields(message);
        let part = |field: u64| parts.iter().find(|found| found.0 == field);
        let addresses = numbers(&part(1).unwrap().2);
        assert!(addresses.iter().all(|address| places.contains(address)), "a place is missing");
        let values = numbers(&part(2).unwrap().2).iter().map(|&value| value as i64).collect();
        let labels: Vec<&str> = parts
            .iter()
            .filter(|found| found.0 == 3)
            .map(|label| texts[get(&label.2, 2) as usize].as_str())
            .collect();
        samples.entry(addresses).or_default().push((values, labels.join(", ")));
    }
    Read { types, samples, texts, mappings: of(3).count() }
}

/// A stack of this test program's own, so that there is a file to its addresses.
fn stack(number: usize) -> [usize; 2] {
    let code = stack as *const () as usize;
    [code + number, code + 1_000 + number]
}

fn calls(stack: [usize; 2]) -> Vec<u64> {
    stack.iter().map(|&frame| frame as u64 - 1).collect()
}

#[test]
fn a_sample_has_what_its_stack_holds_and_has_allocated() {
    let _guard = ONE_AT_A_TIME.lock();
    let record = stacks::intern(&stack(1), Labels::default()).unwrap();
    stacks::note_allocated(record, 300, 2_500);
    stacks::note_freed(record, 100, 1_000, 20);
    let heap = read(&written(ProfileKind::Heap, ProfileFormat::Pprof));
    assert_eq!(heap.types, ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
    let sample = (std::vec![3, 300, 2, 200], String::new());
    assert_eq!(heap.samples[&calls(stack(1))], [sample]);
    assert!(heap.mappings > 0 && heap.texts[0].is_empty());
    let exe = std::env::current_exe().unwrap();
    let at = heap.texts.iter().position(|text| text == exe.to_str().unwrap()).unwrap();
    assert!(heap.texts[at + 1].len() >= 16, "no build-id of {exe:?}");
}

#[test]
fn growth_is_since_the_base_and_may_be_negative() {
    let _guard = ONE_AT_A_TIME.lock();
    let records =
        [2, 3, 4].map(|number| stacks::intern(&stack(number), Labels::default()).unwrap());
    stacks::note_allocated(records[0], 500, 1_000);
    stacks::note_allocated(records[2], 50, 1_000);
    stacks::mark_base();
    stacks::note_freed(records[0], 400, 1_000, 0);
    stacks::note_allocated(records[1], 700, 4_000);
    let growth = read(&written(ProfileKind::Growth, ProfileFormat::Pprof));
    assert_eq!(growth.samples[&calls(stack(2))], [(std::vec![-1, -400], String::new())]);
    assert_eq!(growth.samples[&calls(stack(3))], [(std::vec![4, 700], String::new())]);
    assert!(!growth.samples.contains_key(&calls(stack(4))), "it stayed as it was");
    let folded = String::from_utf8(written(ProfileKind::Growth, ProfileFormat::Folded)).unwrap();
    assert!(folded.lines().any(|line| line.ends_with(" 700")));
    assert!(!folded.contains(" -"), "tools for flame graphs take no negative numbers");
}

#[test]
fn freed_blocks_have_a_label_for_how_long_they_lived() {
    let _guard = ONE_AT_A_TIME.lock();
    let record = stacks::intern(&stack(5), Labels::default()).unwrap();
    for age_ms in [0, 0, 50] {
        stacks::note_allocated(record, 10, 1_000);
        stacks::note_freed(record, 10, 1_000, age_ms);
    }
    let lived = read(&written(ProfileKind::Lifetimes, ProfileFormat::Pprof));
    assert_eq!(lived.types, ["freed_objects"]);
    let expected = [(std::vec![2], "under 1 ms".into()), (std::vec![1], "under 100 ms".into())];
    assert_eq!(lived.samples[&calls(stack(5))], expected);
}

#[test]
fn tags_and_names_of_threads_are_labels() {
    let _guard = ONE_AT_A_TIME.lock();
    let (tag, thread) = (labels::intern(b"of a test"), labels::intern(b"a thread's"));
    for labels in [Labels { tag, thread }, Labels { tag: 0, thread }] {
        let record = stacks::intern(&stack(7), labels).unwrap();
        stacks::note_allocated(record, 40, 1_000);
    }
    let heap = read(&written(ProfileKind::Heap, ProfileFormat::Pprof));
    let mut samples = heap.samples[&calls(stack(7))].clone();
    samples.sort_by(|one, other| one.1.cmp(&other.1));
    let values = std::vec![1, 40, 1, 40];
    let expected =
        ["a thread's", "of a test, a thread's"].map(|text| (values.clone(), text.into()));
    assert_eq!(samples, expected);
}

#[test]
fn folded_stacks_and_json_name_the_file_and_the_address_in_it() {
    let _guard = ONE_AT_A_TIME.lock();
    let record = stacks::intern(&stack(6), Labels::default()).unwrap();
    stacks::note_allocated(record, 123_456, 1_250);
    let exe = std::env::current_exe().unwrap();
    let name = exe.file_name().unwrap().to_str().unwrap();
    let folded = String::from_utf8(written(ProfileKind::Heap, ProfileFormat::Folded)).unwrap();
    let line = folded.lines().find(|line| line.ends_with(" 123456")).unwrap();
    let frames: Vec<&str> = line.split(' ').next().unwrap().split(';').collect();
    let address = |frame: &str| {
        let digits = frame.strip_prefix(&std::format!("{name}+0x")).unwrap();
        u64::from_str_radix(digits, 16).unwrap()
    };
    assert_eq!((frames.len(), address(frames[0]) - address(frames[1])), (2, 1_000));
    let json = String::from_utf8(written(ProfileKind::Heap, ProfileFormat::Json)).unwrap();
    let line = json.lines().find(|line| line.contains("\"bytes\":123456,")).unwrap();
    assert!(
        line.contains("\"count\":1.250,")
            && line.contains(&std::format!("{:#x}", address(frames[1])))
    );
    assert_eq!(json.matches('{').count(), json.matches('}').count());
}
