//! pprof's form, as its `profile.proto` describes it. Fields may come in any order, so that each
//! message is written when it is known: first the samples, then the places that occurred in them,
//! then mappings and texts.

use super::addresses::Addresses;
use super::kind::{LIFETIMES, ProfileKind};
use super::mappings::Mappings;
use super::protobuf::{bytes_len, field_len, number_len, put_field, put_head, put_number};
use super::writer::Writer;
use crate::os::linux::wall_clock_ns;
use crate::parameters::{self, Id, NEVER};
use crate::profile::labels::{self, Labels};
use crate::profile::sampler::COUNT_UNIT;
use crate::profile::stacks::{self, Tally};

/// Functions between the program and the allocator: readers leave out what they call.
const DROP_FRAMES: &str = "malloc|calloc|realloc|reallocarray|aligned_alloc|memalign|posix_memalign|\
    valloc|pvalloc|operator new.*|(__rustc::)?__r(ust|g|dl)_(alloc|alloc_zeroed|realloc)|\
    <?stratalloc::.*";

/// Texts that every profile has, by their numbers below. The first must be empty.
const TEXTS: [&str; 23] = [
    "",
    "count",
    "bytes",
    "space",
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "peak_objects",
    "peak_space",
    "growth_objects",
    "growth_space",
    "freed_objects",
    "lifetime",
    DROP_FRAMES,
    LIFETIMES[0],
    LIFETIMES[1],
    LIFETIMES[2],
    LIFETIMES[3],
    LIFETIMES[4],
    LIFETIMES[5],
    "tag",
    "thread",
];
const COUNT: u64 = 1;
const BYTES: u64 = 2;
const SPACE: u64 = 3;
const ALLOC: u64 = 4;
const INUSE: u64 = 6;
const PEAK: u64 = 8;
const GROWTH: u64 = 10;
const FREED: u64 = 12;
const LIFETIME: u64 = 13;
const DROP: u64 = 14;
const FIRST_LIFETIME: u64 = 15;
const TAG: u64 = 21;
const THREAD: u64 = 22;

/// Values of a sample; those that its kind does not have are behind `len`.
struct Values {
    values: [i64; 4],
    len: usize,
}

/// What a sample is told apart by, besides its stack: numbers of texts, of a name and of a value. A
/// value of 0 is none.
type Marks = [(u64, u64); 3];

/// The marks of a stack's labels, whose texts come behind those of the mappings.
fn marks_of(labels: Labels, mappings: &Mappings) -> Marks {
    let text = |label: u16| match label {
        0 => 0,
        label => texts_of(mappings.count()).0 + u64::from(label) - 1,
    };
    [(TAG, text(labels.tag)), (THREAD, text(labels.thread)), (LIFETIME, 0)]
}

/// Writes a profile. Whether there was memory for the addresses.
pub fn write(kind: ProfileKind, mappings: &Mappings, out: &mut dyn FnMut(&[u8])) -> bool {
    let mut frames = 0;
    stacks::for_each(|stack, _| frames += stack.len());
    // What comes while this runs should find room, too.
    let Some(mut addresses) = Addresses::new(frames + frames / 4 + 1_024) else { return false };
    let mut writer = Writer::gzip(out);
    write_types(&mut writer, kind);
    stacks::for_each_labelled(|stack, tally, labels| {
        let stack = &stack[mappings.own_frames(stack)..];
        let marks = marks_of(labels, mappings);
        write_samples(&mut writer, kind, stack, &tally, marks, &mut addresses);
    });
    for address in addresses.iter() {
        write_location(&mut writer, address, mappings);
    }
    for index in 0..mappings.count() {
        write_mapping(&mut writer, index, mappings);
    }
    write_texts(&mut writer, mappings);
    put_field(&mut writer, 7, DROP);
    put_field(&mut writer, 9, wall_clock_ns());
    write_type(&mut writer, 11, SPACE, BYTES);
    let interval = parameters::get(Id::SampleInterval);
    put_field(&mut writer, 12, if interval == NEVER { 1 } else { interval as u64 });
    writer.finish();
    true
}

/// Writes what is measured, and which of it comes first to a reader.
fn write_types(out: &mut Writer<'_>, kind: ProfileKind) {
    let pairs: &[u64] = match kind {
        ProfileKind::Heap | ProfileKind::Allocations => &[ALLOC, INUSE],
        ProfileKind::Peak => &[PEAK],
        ProfileKind::Growth => &[GROWTH],
        ProfileKind::Lifetimes => &[],
    };
    for &objects in pairs {
        write_type(out, 1, objects, COUNT);
        write_type(out, 1, objects + 1, BYTES);
    }
    let first = match kind {
        ProfileKind::Heap => INUSE + 1,
        ProfileKind::Allocations => ALLOC + 1,
        ProfileKind::Peak => PEAK + 1,
        ProfileKind::Growth => GROWTH + 1,
        ProfileKind::Lifetimes => {
            write_type(out, 1, FREED, COUNT);
            FREED
        }
    };
    put_field(out, 14, first);
}

/// Writes a `ValueType`.
fn write_type(out: &mut Writer<'_>, field: u8, name: u64, unit: u64) {
    put_head(out, field, field_len(name) + field_len(unit));
    put_field(out, 1, name);
    put_field(out, 2, unit);
}

/// Whole blocks of a sum in thousandths, to the nearest.
fn blocks(count: i64) -> i64 {
    let unit = COUNT_UNIT as i64;
    (count + if count < 0 { -unit / 2 } else { unit / 2 }) / unit
}

/// Writes what a stack comes to: a sample, or one for each class of lifetimes that it has.
fn write_samples(
    out: &mut Writer<'_>,
    kind: ProfileKind,
    stack: &[usize],
    tally: &Tally,
    mut marks: Marks,
    addresses: &mut Addresses,
) {
    if kind == ProfileKind::Lifetimes {
        for (class, &count) in tally.lifetimes.iter().enumerate() {
            let values = Values { values: [blocks(count as i64), 0, 0, 0], len: 1 };
            marks[2].1 = FIRST_LIFETIME + class as u64;
            write_sample(out, stack, &values, &marks, addresses);
        }
        return;
    }
    let own = kind.values(tally);
    let values = match kind {
        ProfileKind::Heap | ProfileKind::Allocations => {
            let (all, live) =
                (ProfileKind::Allocations.values(tally), ProfileKind::Heap.values(tally));
            let values = [blocks(all.count), all.bytes, blocks(live.count), live.bytes];
            Values { values, len: 4 }
        }
        _ => Values { values: [blocks(own.count), own.bytes, 0, 0], len: 2 },
    };
    write_sample(out, stack, &values, &marks, addresses);
}

/// Writes a sample, with a label for each of its marks. Nothing if all values are 0, or there is no
/// room for its addresses.
fn write_sample(
    out: &mut Writer<'_>,
    stack: &[usize],
    values: &Values,
    marks: &Marks,
    addresses: &mut Addresses,
) {
    let values = &values.values[..values.len];
    // The call is before the address that it returns to. Readers subtract nothing.
    let call = |frame: usize| (frame as u64).wrapping_sub(1);
    if values.iter().all(|&value| value == 0)
        || !stack.iter().all(|&frame| addresses.insert(call(frame)))
    {
        return;
    }
    let places: usize = stack.iter().map(|&frame| number_len(call(frame))).sum();
    let numbers: usize = values.iter().map(|&value| number_len(value as u64)).sum();
    let marks = || marks.iter().filter(|mark| mark.1 != 0);
    let labels: usize =
        marks().map(|&(name, value)| bytes_len(field_len(name) + field_len(value))).sum();
    put_head(out, 2, bytes_len(places) + bytes_len(numbers) + labels);
    put_head(out, 1, places);
    // A place's number is its address.
    stack.iter().for_each(|&frame| put_number(out, call(frame)));
    put_head(out, 2, numbers);
    values.iter().for_each(|&value| put_number(out, value as u64));
    for &(name, value) in marks() {
        put_head(out, 3, field_len(name) + field_len(value));
        put_field(out, 1, name);
        put_field(out, 2, value);
    }
}

fn write_location(out: &mut Writer<'_>, address: u64, mappings: &Mappings) {
    let mapping = mappings.find(address).map_or(0, |index| index as u64 + 1);
    put_head(out, 4, 2 * field_len(address) + field_len(mapping));
    put_field(out, 1, address);
    put_field(out, 2, mapping);
    put_field(out, 3, address);
}

/// The numbers of a mapping's two texts: its path and its build-id.
fn texts_of(index: usize) -> (u64, u64) {
    let first = (TEXTS.len() + 2 * index) as u64;
    (first, first + 1)
}

fn write_mapping(out: &mut Writer<'_>, index: usize, mappings: &Mappings) {
    let mapping = mappings.get(index);
    let (name, id) = texts_of(index);
    let fields = [index as u64 + 1, mapping.start, mapping.end, mapping.offset, name, id];
    put_head(out, 3, fields.iter().map(|&value| field_len(value)).sum());
    for (field, value) in (1..).zip(fields) {
        put_field(out, field, value);
    }
}

fn write_texts(out: &mut Writer<'_>, mappings: &Mappings) {
    for text in TEXTS {
        put_head(out, 6, text.len());
        out.put(text.as_bytes());
    }
    for index in 0..mappings.count() {
        let name = mappings.name(index);
        put_head(out, 6, name.len());
        out.put(name);
        let mapping = mappings.get(index);
        put_head(out, 6, 2 * mapping.build_id().len());
        for byte in mapping.build_id() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.put(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    labels::for_each_text(|name| {
        put_head(out, 6, name.len());
        out.put(name);
    });
}
