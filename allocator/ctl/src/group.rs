//! Stacks with names: what a dump has by address, grouped by what a reader sees.
//!
//! The allocator's own frames, and those of the entry points, are cut off from the inner end.
//! Stacks that a suppression names are left out.

use std::collections::HashMap;

use clap::ValueEnum;

use crate::dump::{Dump, Tally};
use crate::symbols::{Frame, Symbols};

/// Which figures of a stack count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Figures {
    /// Outstanding now.
    Live,
    /// Allocated since the start.
    Total,
    /// Outstanding when all stacks together held most.
    Peak,
}

impl Figures {
    /// Bytes.
    pub fn bytes(self, tally: &Tally) -> u64 {
        match self {
            Self::Live => tally.live_bytes,
            Self::Total => tally.total_bytes,
            Self::Peak => tally.peak_bytes,
        }
    }

    /// Thousandths of a block.
    pub fn count(self, tally: &Tally) -> u64 {
        match self {
            Self::Live => tally.live_count,
            Self::Total => tally.total_count,
            Self::Peak => tally.peak_count,
        }
    }
}

/// All that came from one stack.
#[derive(Clone, Debug)]
pub struct Group {
    /// Innermost first.
    pub frames: Vec<Frame>,
    pub tally: Tally,
}

/// What the C library and Rust's runtime keep for the life of the process, once or per thread.
const BUILT_IN: [&str; 13] = [
    "_GLOBAL__sub_I_eh_alloc.cc",
    "_dl_allocate_tls",
    "_dl_allocate_tls_init",
    "allocate_dtv",
    "_dl_init_static_tls",
    "_dl_early_allocate",
    "_IO_file_doallocate",
    "_dl_map_object*",
    "_dl_new_object",
    "_dl_relocate_object",
    "dl_init",
    "std::rt::init",
    "std::thread::current::init_current",
];

/// Names of functions whose stacks are left out.
pub struct Suppressions(Vec<String>);

impl Suppressions {
    /// The built-in ones and those in `list`, with colons between (those of Rust's paths do not
    /// count).
    pub fn new(list: &str) -> Self {
        const PATH: &str = "\u{1}";
        let names = list.replace("::", PATH);
        let names = names.split(':').map(|name| name.trim().replace(PATH, "::"));
        let built_in = BUILT_IN.into_iter().map(str::to_owned);
        Self(built_in.chain(names.filter(|name| !name.is_empty())).collect())
    }

    /// Whether a stack with these frames is left out.
    pub fn matches(&self, frames: &[Frame]) -> bool {
        if is_loading(frames) {
            return true;
        }
        let functions = || frames.iter().filter_map(|frame| frame.function.as_deref());
        self.0.iter().any(|pattern| functions().any(|function| fits(pattern, function)))
    }
}

/// Whether this is a constructor of the run-time libraries, called by the loader: what these
/// allocate before `main` (room for exceptions, for one) they keep. Their functions have no names
/// in stripped files.
fn is_loading(frames: &[Frame]) -> bool {
    let is_of = |frame: &Frame, starts: &[&str]| {
        let file = frame.module.as_ref().and_then(|path| path.file_name());
        file.is_some_and(|file| {
            let name = file.to_string_lossy();
            starts.iter().any(|start| name.starts_with(start))
        })
    };
    frames.last().is_some_and(|frame| is_of(frame, &["ld-linux"]))
        && frames.iter().all(|frame| is_of(frame, &["ld-linux", "libc.so", "libstdc++.so"]))
}

/// Whether `text` fits `pattern`, where * stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| fits(rest, &text[at..]))
}

/// The names by which programs ask for memory.
const ENTRIES: [&str; 19] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "memalign",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
];

/// Starts of names that are the allocator's, or that of a layer between it and the program: Rust's
/// own collections are not who one looks for.
const PREFIXES: [&str; 7] = [
    "stratalloc::",
    "<stratalloc::",
    "alloc::",
    "<alloc::",
    "<T as alloc::",
    "__rustc",
    "operator new",
];

/// Whether a program's request for memory comes in here.
fn is_entry(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|name| {
        ENTRIES.contains(&name) || name.starts_with("operator new") || name.starts_with("__rustc")
    })
}

/// Whether this is the allocator, or between it and the program.
fn is_ours(frame: &Frame) -> bool {
    let file = frame.module.as_ref().and_then(|path| path.file_name());
    let is_library =
        file.is_some_and(|name| name.to_string_lossy().starts_with("libstratalloc.so"));
    let named = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_library || is_entry(frame) || frame.function.as_deref().is_some_and(named)
}

/// How many of a stack's calls, from the inner end, are the allocator's: all up to the entry point,
/// if there is one within reach, and what is ours beyond. Each call is the functions inlined at an
/// address, and last the one that they are in.
fn count_ours(calls: &[Vec<Frame>]) -> usize {
    /// Deeper than this, a function with such a name is somebody else's.
    const REACH: usize = 16;
    let is_last = |call: &Vec<Frame>, what: fn(&Frame) -> bool| call.last().is_some_and(what);
    let entry = calls.iter().take(REACH).position(|call| is_last(call, is_entry));
    let inside = entry.map_or(0, |at| at + 1);
    inside + calls[inside..].iter().take_while(|call| is_last(call, is_ours)).count()
}

/// The frames of a stack, the allocator's own cut off.
pub fn frames(symbols: &mut Symbols<'_>, addresses: &[u64]) -> Vec<Frame> {
    let calls: Vec<Vec<Frame>> = addresses.iter().map(|&at| symbols.frames(at)).collect();
    let ours = count_ours(&calls);
    let all: Vec<&Frame> = calls[ours..].iter().flatten().collect();
    // What of ours was inlined into the program's function.
    let inlined = all.iter().take_while(|frame| is_ours(frame)).count();
    // A stack of nothing but ours says more than an empty one.
    if inlined == all.len() {
        return calls.into_iter().flatten().collect();
    }
    all[inlined..].iter().map(|&frame| frame.clone()).collect()
}

/// How many of a stack's addresses, from the inner end, are nothing but the allocator's own.
pub fn own_addresses(symbols: &mut Symbols<'_>, addresses: &[u64]) -> usize {
    let calls: Vec<Vec<Frame>> = addresses.iter().map(|&at| symbols.frames(at)).collect();
    let ours = count_ours(&calls);
    if ours == calls.len() { 0 } else { ours }
}

/// The groups of a dump, in no order.
pub fn groups(dump: &Dump, suppressions: &Suppressions) -> Vec<Group> {
    let mut symbols = Symbols::new(dump);
    let mut places: HashMap<Vec<Frame>, Tally> = HashMap::new();
    for stack in &dump.stacks {
        let frames = frames(&mut symbols, &stack.frames);
        if !suppressions.matches(&frames) {
            // Calls on one line are one place to a reader.
            let key = frames.into_iter().map(|frame| match frame.line {
                Some(_) => Frame { offset: 0, ..frame },
                None => frame,
            });
            places.entry(key.collect()).or_default().add(&stack.tally);
        }
    }
    places.into_iter().map(|(frames, tally)| Group { frames, tally }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_names_are_matched_whole() {
        assert!(fits("a*c", "abbc") && fits("*", "") && fits("x*", "x") && fits("*b*", "abc"));
        assert!(!fits("a", "ab") && !fits("a*c", "abcd") && !fits("b*", "ab"));
    }

    #[test]
    fn paths_in_a_list_of_suppressions_are_not_cut_at_their_colons() {
        let list = Suppressions::new("one:my::path::f: two ");
        assert_eq!(list.0[BUILT_IN.len()..], ["one", "my::path::f", "two"]);
    }
}
