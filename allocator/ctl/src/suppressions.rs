//! Which stacks a leak report leaves out: what the run-time libraries keep for the life of a
//! process, names of functions that the user lists, and files in LeakSanitizer's format.
//!
//! A file has a suppression on each line: `leak:PATTERN`. `#` begins a comment line. A pattern fits
//! a stack if it fits the function, the source file or the file of code of one of its frames:
//! anywhere within the name, unless `^` ties it to the start or `$` to the end; `*` stands for any
//! text.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::symbols::Frame;

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

/// What is left out.
pub struct Suppressions {
    /// Names of functions, matched whole.
    functions: Vec<String>,
    /// LeakSanitizer's patterns.
    patterns: Vec<String>,
}

impl Suppressions {
    /// The built-in ones and those in `list`, with colons between (those of Rust's paths do not
    /// count).
    pub fn new(list: &str) -> Self {
        const PATH: &str = "\u{1}";
        let names = list.replace("::", PATH);
        let names = names.split(':').map(|name| name.trim().replace(PATH, "::"));
        let built_in = BUILT_IN.into_iter().map(str::to_owned);
        let functions = built_in.chain(names.filter(|name| !name.is_empty())).collect();
        Self { functions, patterns: Vec::new() }
    }

    /// With those of a file in LeakSanitizer's format.
    pub fn with_file(mut self, path: &Path) -> Result<Self> {
        let read = fs::read_to_string(path);
        let text = read.with_context(|| format!("suppressions {}", path.display()))?;
        let patterns = parse(&text);
        self.patterns = patterns.with_context(|| format!("suppressions {}", path.display()))?;
        Ok(self)
    }

    /// Whether a stack is left out.
    pub fn matches(&self, frames: &[Frame]) -> bool {
        if is_loading(frames) {
            return true;
        }
        let functions = || frames.iter().filter_map(|frame| frame.function.as_deref());
        let names_one = |name: &String| functions().any(|function| fits(name, function));
        let places = || frames.iter().flat_map(names).flatten();
        let has = |pattern: &String| places().any(|name| template_fits(pattern, &name));
        self.functions.iter().any(names_one) || self.patterns.iter().any(has)
    }
}

/// What a pattern is compared with: the function, the source file and the file of code.
fn names(frame: &Frame) -> [Option<String>; 3] {
    let module = frame.module.as_ref().map(|path| path.to_string_lossy().into_owned());
    [frame.function.clone(), frame.file.clone(), module]
}

/// The patterns of a file in LeakSanitizer's format.
fn parse(text: &str) -> Result<Vec<String>> {
    let mut patterns = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("leak:") {
            Some(pattern) if !pattern.trim().is_empty() => patterns.push(pattern.trim().to_owned()),
            _ => bail!("line {}: {line:?} is not leak:PATTERN", index + 1),
        }
    }
    Ok(patterns)
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

/// Whether `text` fits a pattern of LeakSanitizer's. It need not fit the whole text: without `^` it
/// may begin anywhere, without `$` it may end anywhere. What stands behind a `$` is not looked at.
fn template_fits(pattern: &str, text: &str) -> bool {
    let (pattern, is_tied) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let (pattern, is_ended) = match pattern.split_once('$') {
        Some((before, _)) => (before, true),
        None => (pattern, false),
    };
    let whole = [if is_tied { "" } else { "*" }, pattern, if is_ended { "" } else { "*" }];
    !text.is_empty() && fits(&whole.concat(), text)
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
        assert_eq!(list.functions[BUILT_IN.len()..], ["one", "my::path::f", "two"]);
    }

    /// As `TemplateMatch` of the sanitizers has it.
    #[test]
    fn patterns_fit_within_names_unless_they_are_tied() {
        for pattern in ["bar", "*bar*", "^foobar$", "^foo", "baz$", "f*r", "^f*baz$", "a*a"] {
            assert!(template_fits(pattern, "foobarbaz") == (pattern != "^foobar$"), "{pattern}");
        }
        assert!(!template_fits("^bar", "foobar") && !template_fits("foo$", "foobar"));
        assert!(!template_fits("b*o", "foobar") && !template_fits("*", ""));
    }

    #[test]
    fn a_file_is_refused_by_the_line_that_is_wrong() {
        let file = "# what we know\n\n leak:one\nleak:^two*$\n";
        assert_eq!(parse(file).expect("a good file"), ["one", "^two*$"]);
        for wrong in ["race:x", "leak:", "one"] {
            let error = parse(&format!("leak:a\n{wrong}\n")).expect_err(wrong).to_string();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    #[test]
    fn function_source_and_code_are_all_looked_at() {
        let frame = Frame {
            function: Some("serve".to_owned()),
            file: Some("/src/net/loop.c".to_owned()),
            module: Some("/usr/lib/libnet.so.1".into()),
            ..Frame::default()
        };
        for (pattern, fits) in [("serv", true), ("net/loop", true), ("libnet", true), ("x", false)]
        {
            let mut list = Suppressions::new("");
            list.patterns.push(pattern.to_owned());
            assert_eq!(list.matches(std::slice::from_ref(&frame)), fits, "{pattern}");
        }
    }
}
