//! `malloc_stats_print`: what `mallctl` tells, as text or JSON in jemalloc's frame.
//!
//! Lines and fields have jemalloc's names, and only those are there for which there is a value
//! here. Prints from a snapshot, in pieces, without allocating and without a lock.

use core::ffi::{CStr, c_char, c_void};
use core::fmt::{self, Write as _};

use allocator::ClassUsage;

use super::arenas;
use super::arguments::{Place, Value};
use super::emitter::Json;
use super::figures::{Figures, PAGE};
use super::message::{Sink, Write};
use super::settings;
use super::tree::{self, LEAVES};

/// What is printed, by jemalloc's letters. Each but `J` leaves something out; those for what is
/// never there (`d`, `l`, `x`, `e`, `h`) and unknown ones do nothing.
struct Options {
    json: bool,
    general: bool,
    merged: bool,
    each_arena: bool,
    bins: bool,
}

impl Options {
    fn new(letters: &[u8]) -> Self {
        let has = |letter| letters.contains(&letter);
        Self {
            json: has(b'J'),
            general: !has(b'g'),
            merged: !has(b'm'),
            each_arena: !has(b'a'),
            bins: !has(b'b'),
        }
    }

    /// As jemalloc has it: not if it would say what arena 0 says.
    fn prints_merged(&self) -> bool {
        self.merged && (arenas::count() > 1 || !self.each_arena)
    }
}

/// jemalloc's `malloc_stats_print`: prints the state of this moment to `write`, which gets `passed`
/// and pieces of text, or to `malloc_message`, or to standard error.
///
/// # Safety
/// `write` is null or can be called with `passed`; `options` is null or NUL-terminated.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_stats_print"))]
pub unsafe extern "C" fn malloc_stats_print(
    write: Option<Write>,
    passed: *mut c_void,
    options: *const c_char,
) {
    // SAFETY: `options` is not null, so by this function's contract it is NUL-terminated.
    let letters = if options.is_null() { c"" } else { unsafe { CStr::from_ptr(options) } };
    let options = Options::new(letters.to_bytes());
    // SAFETY: the caller vouches for function and argument until we return.
    let mut out = unsafe { Sink::new(write, passed) };
    // A `Sink` takes everything.
    let _ = if options.json {
        print_json(&mut Json::new(&mut out), &options)
    } else {
        print_text(&mut out, &options)
    };
}

/// What stands before the settings of a kind, and the beginning of their names.
const SETTINGS: [(&str, &str); 2] =
    [("Build-time option settings", "config."), ("Run-time option settings", "opt.")];

/// Names of `arenas` with the words that jemalloc's text has for them.
const ARENAS: [(&str, &str); 7] = [
    ("arenas.narenas", "Arenas"),
    ("arenas.quantum", "Quantum size"),
    ("arenas.page", "Page size"),
    ("arenas.tcache_max", "Maximum thread-cached size class"),
    ("arenas.nbins", "Number of bin size classes"),
    ("arenas.nhbins", "Number of thread-cache bin size classes"),
    ("arenas.nlextents", "Number of large size classes"),
];

/// Values whose names begin with `prefix`, and what follows it in the name.
fn values_below(prefix: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let below = LEAVES.iter().filter_map(move |leaf| Some((leaf, leaf.path.strip_prefix(prefix)?)));
    below
        .filter(|(_, name)| !name.contains('<'))
        .filter_map(|(leaf, name)| Some((name, tree::value(leaf, Place::default())?)))
}

#[inline(never)]
fn print_text(out: &mut Sink, options: &Options) -> fmt::Result {
    out.write_str("___ Begin jemalloc statistics ___\n")?;
    if options.general {
        for (name, value) in values_below("version") {
            writeln!(out, "Version{name}: {value}")?;
        }
        for (title, prefix) in SETTINGS {
            writeln!(out, "{title}")?;
            for (name, value) in values_below(prefix) {
                writeln!(out, "  {prefix}{name}: {value}")?;
            }
        }
        for (path, words) in ARENAS {
            for (_, value) in values_below(path) {
                writeln!(out, "{words}: {value}")?;
            }
        }
    }
    let now = Figures::now();
    writeln!(
        out,
        "Allocated: {}, active: {}, metadata: {}, resident: {}, mapped: {}, retained: {}",
        now.allocated,
        now.active,
        now.metadata,
        now.resident(),
        now.resident(),
        now.retained
    )?;
    if options.prints_merged() {
        writeln!(out, "Merged arenas stats:")?;
        print_arena(out, &now, options)?;
    }
    if options.each_arena {
        writeln!(out, "arenas[0]:")?;
        print_arena(out, &now, options)?;
    }
    out.write_str("--- End jemalloc statistics ---\n")
}

/// The heap as an arena. All arenas are this one.
#[inline(never)]
fn print_arena(out: &mut Sink, now: &Figures, options: &Options) -> fmt::Result {
    let time = |value: Option<Value>| value.unwrap_or(Value::Signed(0));
    let (dirty, muzzy) =
        (settings::dirty_decay(Place::default()), settings::muzzy_decay(Place::default()));
    writeln!(out, "assigned threads: {}", now.threads)?;
    writeln!(out, "dss allocation precedence: \"disabled\"")?;
    writeln!(out, "decaying:  time       npages")?;
    writeln!(out, "   dirty: {:>5} {:>12}", time(dirty), now.dirty / PAGE)?;
    writeln!(out, "   muzzy: {:>5} {:>12}", time(muzzy), 0)?;
    writeln!(out, "{:>37}", "allocated")?;
    for (name, bytes) in [("small", now.small()), ("large", now.large), ("total", now.allocated)] {
        writeln!(out, "{name}: {bytes:>30}")?;
    }
    let lines = [
        ("active", now.active),
        ("mapped", now.resident()),
        ("retained", now.retained),
        ("base", now.metadata),
        ("tcache_bytes", now.cached),
        ("resident", now.resident()),
    ];
    for (name, bytes) in lines {
        writeln!(out, "{name}:{bytes:>width$}", width = 37 - name.len() - 1)?;
    }
    if options.bins { print_bins(out) } else { Ok(()) }
}

/// A line for each size class that has spans.
#[inline(never)]
fn print_bins(out: &mut Sink) -> fmt::Result {
    writeln!(
        out,
        "bins:{:>15} {:>3} {:>12} {:>12} {:>12} {:>4} {:>3}",
        "size", "ind", "allocated", "curregs", "curslabs", "regs", "pgs"
    )?;
    let (mut index, mut result) = (0, Ok(()));
    allocator::for_each_size_class(|class| {
        if (class.span_count > 0 || class.in_use_count > 0) && result.is_ok() {
            result = writeln!(
                out,
                "{:>20} {index:>3} {:>12} {:>12} {:>12} {:>4} {:>3}",
                class.object_size,
                class.object_size * class.in_use_count,
                class.in_use_count,
                class.span_count,
                class.span_objects,
                class.span_size / PAGE
            );
        }
        index += 1;
    });
    result
}

#[inline(never)]
fn print_json(json: &mut Json<'_>, options: &Options) -> fmt::Result {
    json.open(None, '{')?;
    json.open(Some("jemalloc"), '{')?;
    if options.general {
        for (_, value) in values_below("version") {
            json.field("version", value)?;
        }
        for (_, prefix) in SETTINGS {
            json.open(Some(prefix.trim_end_matches('.')), '{')?;
            for (name, value) in values_below(prefix) {
                json.field(name, value)?;
            }
            json.close('}')?;
        }
        json.open(Some("arenas"), '{')?;
        for (name, value) in values_below("arenas.") {
            json.field(name, value)?;
        }
        list_classes(json, "bin", |json, class| {
            json.field("size", class.object_size)?;
            json.field("nregs", class.span_objects)?;
            json.field("slab_size", class.span_size)
        })?;
        json.open(Some("lextent"), '[')?;
        json.close(']')?;
        json.close('}')?;
    }
    let now = Figures::now();
    json.open(Some("stats"), '{')?;
    json.field("allocated", now.allocated)?;
    json.field("active", now.active)?;
    json.field("metadata", now.metadata)?;
    json.field("resident", now.resident())?;
    json.field("mapped", now.resident())?;
    json.field("retained", now.retained)?;
    json.close('}')?;
    if options.merged || options.each_arena {
        json.open(Some("stats.arenas"), '{')?;
        if options.prints_merged() {
            list_arena(json, "merged", &now, options)?;
        }
        if options.each_arena {
            list_arena(json, "0", &now, options)?;
        }
        json.close('}')?;
    }
    json.close('}')?;
    json.close('}')
}

/// The heap as the arena called `key`.
fn list_arena(json: &mut Json<'_>, key: &str, now: &Figures, options: &Options) -> fmt::Result {
    json.open(Some(key), '{')?;
    json.field("nthreads", now.threads)?;
    json.field("dss", "\"disabled\"")?;
    for (name, value) in [
        ("dirty_decay_ms", settings::dirty_decay(Place::default())),
        ("muzzy_decay_ms", settings::muzzy_decay(Place::default())),
    ] {
        if let Some(value) = value {
            json.field(name, value)?;
        }
    }
    json.field("pactive", now.active / PAGE)?;
    json.field("pdirty", now.dirty / PAGE)?;
    json.field("pmuzzy", 0)?;
    json.field("mapped", now.resident())?;
    json.field("retained", now.retained)?;
    json.field("base", now.metadata)?;
    json.field("tcache_bytes", now.cached)?;
    json.field("resident", now.resident())?;
    for (name, bytes) in [("small", now.small()), ("large", now.large)] {
        json.open(Some(name), '{')?;
        json.field("allocated", bytes)?;
        json.close('}')?;
    }
    if options.bins {
        list_classes(json, "bins", |json, class| {
            json.field("curregs", class.in_use_count)?;
            json.field("curslabs", class.span_count)
        })?;
    }
    json.close('}')
}

/// An array with an object for each size class.
fn list_classes(
    json: &mut Json<'_>,
    key: &str,
    fields: impl Fn(&mut Json<'_>, &ClassUsage) -> fmt::Result,
) -> fmt::Result {
    json.open(Some(key), '[')?;
    let mut result = Ok(());
    allocator::for_each_size_class(|class| {
        if result.is_ok() {
            result = json
                .open(None, '{')
                .and_then(|()| fields(json, &class))
                .and_then(|()| json.close('}'));
        }
    });
    result?;
    json.close(']')
}
