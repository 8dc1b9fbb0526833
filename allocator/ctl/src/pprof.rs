//! Heap profiles in pprof's format: a gzipped protocol buffer, as its `profile.proto` describes it.
//! The messages below are that description, field numbers and all, as far as a heap profile needs
//! it.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::dump::{COUNT_UNIT, Dump};
use crate::group;
use crate::symbols::{Frame, Symbols};

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// What is measured, in the order of a sample's values: the names that readers of heap profiles
/// know.
const SAMPLE_TYPES: [(&str, &str); 6] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("peak_objects", "count"),
    ("peak_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// Tables in which equal things have one number.
struct Builder<'a> {
    profile: Profile,
    symbols: Symbols<'a>,
    strings: HashMap<String, i64>,
    functions: HashMap<(String, String), u64>,
    locations: HashMap<u64, u64>,
}

impl Builder<'_> {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, (kind, unit): (&str, &str)) -> ValueType {
        ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let name = frame.function.clone().unwrap_or_else(|| format!("{:#x}", frame.offset));
        let file = frame.file.clone().unwrap_or_default();
        let key = (name.clone(), file.clone());
        if let Some(&id) = self.functions.get(&key) {
            return id;
        }
        let id = self.profile.function.len() as u64 + 1;
        let (name, filename) = (self.string(&name), self.string(&file));
        self.profile.function.push(Function { id, name, system_name: name, filename });
        self.functions.insert(key, id);
        id
    }

    /// The location of a return address.
    fn location(&mut self, address: u64) -> u64 {
        if let Some(&id) = self.locations.get(&address) {
            return id;
        }
        let id = self.profile.location.len() as u64 + 1;
        let frames = self.symbols.frames(address);
        let line = frames.iter().map(|frame| Line {
            function_id: self.function(frame),
            line: i64::from(frame.line.unwrap_or(0)),
        });
        let line = line.collect();
        // Readers subtract nothing: the address must lie in the call.
        let call = address.wrapping_sub(1);
        let mapping_id = self.symbols.mapping(call).map_or(0, |(index, _)| index as u64 + 1);
        self.profile.location.push(Location { id, mapping_id, address: call, line });
        self.locations.insert(address, id);
        id
    }
}

/// The profile of a dump, gzipped.
pub fn encode(dump: &Dump) -> Result<Vec<u8>> {
    let mut builder = Builder {
        profile: Profile { string_table: vec![String::new()], ..Profile::default() },
        symbols: Symbols::new(dump),
        strings: HashMap::from([(String::new(), 0)]),
        functions: HashMap::new(),
        locations: HashMap::new(),
    };
    for kind in SAMPLE_TYPES {
        let kind = builder.value_type(kind);
        builder.profile.sample_type.push(kind);
    }
    builder.profile.default_sample_type = builder.string("inuse_space");
    builder.profile.period_type = Some(builder.value_type(("space", "bytes")));
    builder.profile.period = i64::try_from(dump.interval)?.max(1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    builder.profile.time_nanos = i64::try_from(now.as_nanos())?;
    for (index, mapping) in dump.mappings.iter().enumerate() {
        let filename = builder.string(&mapping.path.to_string_lossy());
        let build_id = builder.string(&mapping.build_id.hex());
        builder.profile.mapping.push(Mapping {
            id: index as u64 + 1,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.offset,
            filename,
            build_id,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
    }
    for stack in &dump.stacks {
        let ours = group::own_addresses(&mut builder.symbols, &stack.frames);
        let location_id =
            stack.frames[ours..].iter().map(|&address| builder.location(address)).collect();
        let tally = &stack.tally;
        let blocks = |count: u64| ((count + COUNT_UNIT / 2) / COUNT_UNIT) as i64;
        let value = vec![
            blocks(tally.total_count),
            tally.total_bytes as i64,
            blocks(tally.peak_count),
            tally.peak_bytes as i64,
            blocks(tally.live_count),
            tally.live_bytes as i64,
        ];
        let names = [("tag", &stack.tag), ("thread", &stack.thread)];
        let named = names.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?)));
        let label = named
            .map(|(key, name)| Label { key: builder.string(key), str: builder.string(name) })
            .collect();
        builder.profile.sample.push(Sample { location_id, value, label });
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&builder.profile.encode_to_vec())?;
    Ok(gzip.finish()?)
}
