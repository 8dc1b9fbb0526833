//! Checks that the layers of the allocator point one way (`STYLE.md` rule 1).
//!
//! The order of the `mod` lines in the crate's `lib.rs` is the order of the layers: a file may name
//! `crate::X` only if `X` is its own layer or stands above it in `lib.rs`. Items that `lib.rs`
//! re-exports at the root may not be used from inside, since that would hide the layer they come
//! from; macros at the root may. The check works on tokens, so comments and strings do not count.
//! Test code obeys the same rule. Does not look at what a layer does inside itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A use of a name from the wrong layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file, relative to the folder that was checked.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The layer that the file belongs to.
    pub layer: String,
    /// The name at the crate's root that it reaches for.
    pub used: String,
}

/// Checks every file below `source`, the folder of a crate's `lib.rs`.
///
/// # Panics
/// If files cannot be read or parsed, or belong to no module that `lib.rs` declares.
pub fn check(source: &Path) -> Vec<Violation> {
    let order = declared_modules(&tokens(&source.join("lib.rs")));
    assert!(!order.is_empty(), "{} declares no modules", source.join("lib.rs").display());
    let mut violations = Vec::new();
    for file in rust_files(source) {
        let inside = file.strip_prefix(source).expect("a file below the source folder");
        if inside == Path::new("lib.rs") {
            continue;
        }
        let (layer, depth) = place_of(inside);
        assert!(order.contains(&layer), "{} is in no module of lib.rs", file.display());
        let mut found = Vec::new();
        root_names(tokens(&file), depth, &mut found);
        for (used, line) in found {
            let allowed = order.iter().take_while(|name| **name != layer);
            if used != layer && !allowed.clone().any(|name| *name == used) {
                let (file, layer) = (inside.to_path_buf(), layer.clone());
                violations.push(Violation { file, line, layer, used });
            }
        }
    }
    violations
}

/// The layers in the order that `lib.rs` declares them.
pub fn order(source: &Path) -> Vec<String> {
    declared_modules(&tokens(&source.join("lib.rs")))
}

fn tokens(file: &Path) -> TokenStream {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    TokenStream::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Names after `mod` at the top level, in order.
fn declared_modules(stream: &TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
    let pairs = trees.windows(2).filter(|pair| is_ident(&pair[0], "mod"));
    pairs.map(|pair| pair[1].to_string()).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("reading a folder").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The layer of a file and how many modules deep it is: `page/map.rs` is `page`, 2 deep.
fn place_of(inside: &Path) -> (String, usize) {
    let mut parts: Vec<String> =
        inside.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|part| part == "mod") {
        parts.pop();
    }
    (parts[0].clone(), parts.len())
}

/// Collects the names that code `depth` modules below the root takes from the crate's root, by
/// `crate::`, or by as many `super::` as lead there.
fn root_names(stream: TokenStream, depth: usize, found: &mut Vec<(String, usize)>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        if let TokenTree::Group(group) = &trees[at] {
            let is_module =
                at >= 2 && is_ident(&trees[at - 2], "mod") && group.delimiter() == Delimiter::Brace;
            root_names(group.stream(), depth + usize::from(is_module), found);
            at += 1;
            continue;
        }
        let mut ups = 0;
        let mut next = at;
        while is_ident_at(&trees, next, "super") && is_path_separator(&trees, next + 1) {
            ups += 1;
            next += 3;
        }
        let at_root = if ups > 0 { ups == depth } else { is_ident(&trees[at], "crate") };
        if ups == 0 && at_root && is_path_separator(&trees, at + 1) {
            next = at + 3;
        }
        if at_root && next > at {
            first_names(&trees[next..], found);
        }
        at = next.max(at + 1);
    }
}

/// The first segment of the path, or of every path of the group, that starts at `trees`.
fn first_names(trees: &[TokenTree], found: &mut Vec<(String, usize)>) {
    match trees.first() {
        Some(TokenTree::Ident(name)) => {
            let is_macro = matches!(trees.get(1), Some(TokenTree::Punct(p)) if p.as_char() == '!');
            if !is_macro {
                found.push((name.to_string(), name.span().start().line));
            }
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let comma = |t: &TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ',');
            inner.split(comma).for_each(|path| first_names(path, found));
        }
        Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
            found.push(("*".to_owned(), star.span().start().line));
        }
        _ => {}
    }
}

fn is_ident(tree: &TokenTree, name: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == name)
}

fn is_ident_at(trees: &[TokenTree], at: usize, name: &str) -> bool {
    trees.get(at).is_some_and(|tree| is_ident(tree, name))
}

fn is_path_separator(trees: &[TokenTree], at: usize) -> bool {
    let first = matches!(
        trees.get(at),
        Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == Spacing::Joint
    );
    first && matches!(trees.get(at + 1), Some(TokenTree::Punct(p)) if p.as_char() == ':')
}
