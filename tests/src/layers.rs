//! Checks that the layers of the allocator point one way (`CONTRIBUTING.md`, "Layout").
//!
//! [`check`] looks at the layers themselves. The order of the `mod` lines in the crate's `lib.rs`
//! is the order of the layers: a file may name `crate::X` only if `X` is its own layer or stands
//! above it in `lib.rs`. Items that `lib.rs` re-exports at the root may not be used from inside,
//! since that would hide the layer they come from; macros at the root may.
//!
//! [`check_folders`] looks inside the layers. The order of the `mod` lines in a folder's `mod.rs`
//! is the order of its files and sub-folders, and `mod.rs` itself comes after all of them. A name
//! that `mod.rs` re-exports counts as a use of the file that the name comes from. Modules that
//! `mod.rs` declares for tests alone may use `mod.rs`, too.
//!
//! Both work on tokens, so comments and strings do not count. Test code obeys the same rules.
//! Neither sees a path that begins with a name which a `use` brought in, nor needs to: the `use` is
//! seen. A re-export with `*` hides its names from the check, so none counts as re-exported.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

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

/// Checks every file below `source`, as [`check`] does, for the order within the folders. A
/// violation's `layer` is the folder, relative to `source`.
///
/// # Panics
/// If files cannot be read or parsed.
pub fn check_folders(source: &Path) -> Vec<Violation> {
    let files = rust_files(source);
    let modules: HashMap<PathBuf, Module> = files
        .iter()
        .filter(|file| file.ends_with("mod.rs"))
        .map(|file| {
            let inside = file.strip_prefix(source).expect("a file below the source folder");
            let folder = inside.parent().expect("a file has a folder").to_owned();
            let module = Module::read(&tokens(file), &module_path(inside));
            (folder, module)
        })
        .collect();
    let elsewhere: HashMap<PathBuf, Vec<String>> =
        files.iter().flat_map(|file| modules_by_path(source, file)).collect();
    let mut violations = Vec::new();
    for file in &files {
        let inside = file.strip_prefix(source).expect("a file below the source folder");
        let mut paths = Vec::new();
        let at = elsewhere.get(inside).cloned().unwrap_or_else(|| module_path(inside));
        used_paths(tokens(file), &at, &mut paths);
        for path in paths {
            if let Some((folder, used)) = wrong_way(&modules, &path) {
                let (file, layer) = (inside.to_path_buf(), folder.display().to_string());
                let violation = Violation { file, line: path.line, layer, used };
                // A `use` of several names is one violation.
                if !violations.contains(&violation) {
                    violations.push(violation);
                }
            }
        }
    }
    violations
}

/// A path in the code of a module, from the crate's root.
struct UsedPath {
    /// The module that the path stands in.
    from: Vec<String>,
    /// What the path names.
    to: Vec<String>,
    line: usize,
}

/// What a `mod.rs` says.
struct Module {
    /// The modules that it declares, in order.
    order: Vec<String>,
    /// Those of them that are declared for tests alone.
    tests: HashSet<String>,
    /// The names that a `use` brings in, and the paths from the crate's root that they stand for;
    /// `None` for those of other crates.
    names: HashMap<String, Option<Vec<String>>>,
}

impl Module {
    fn read(stream: &TokenStream, at: &[String]) -> Self {
        let order = declared_modules(stream);
        let mut names = HashMap::new();
        let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
        for (start, _) in trees.iter().enumerate().filter(|(_, tree)| is_ident(tree, "use")) {
            let statement = trees[start + 1..]
                .iter()
                .take_while(|t| !matches!(t, TokenTree::Punct(p) if p.as_char() == ';'));
            let statement: Vec<TokenTree> = statement.cloned().collect();
            let mut paths = Vec::new();
            every_path(&statement, &[], &mut paths);
            for WrittenPath { segments, alias, .. } in paths {
                let name = alias.or_else(|| segments.last().cloned());
                names.extend(name.map(|name| (name, absolute(&segments, at, &order))));
            }
        }
        let tests = with_attributes(&trees)
            .filter(|(attribute, _)| is_test_attribute(attribute))
            .map(|(_, name)| name);
        Self { order, tests: tests.collect(), names }
    }
}

/// The modules that are declared among `trees`, each with the attribute right before it, if it has
/// one.
fn with_attributes(trees: &[TokenTree]) -> impl Iterator<Item = (&Group, String)> {
    let mods = (0..trees.len()).filter(|&at| is_ident(&trees[at], "mod"));
    mods.filter_map(|at| {
        let is_visibility = |tree: &TokenTree| match tree {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
            other => is_ident(other, "pub"),
        };
        let before = trees[..at].iter().rev().find(|tree| !is_visibility(tree))?;
        let TokenTree::Group(attribute) = before else { return None };
        let is_attribute = attribute.delimiter() == Delimiter::Bracket;
        is_attribute.then(|| (attribute, trees[at + 1].to_string()))
    })
}

/// Whether this is the part in brackets of `#[cfg(test)]`, or of a condition with `test` in it.
fn is_test_attribute(attribute: &Group) -> bool {
    let words = attribute.stream().to_string();
    words.starts_with("cfg")
        && words.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
}

/// The folder whose order `path` breaks, and the name in it that the path reaches for.
fn wrong_way(modules: &HashMap<PathBuf, Module>, path: &UsedPath) -> Option<(PathBuf, String)> {
    let mut to = path.to.clone();
    // A re-export may lead to another one; a chain longer than this would be a circle.
    for _ in 0..8 {
        let common = path.from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if common == 0 || common == path.from.len() || common == to.len() {
            return None;
        }
        let folder: PathBuf = path.from[..common].iter().collect();
        let module = modules.get(&folder)?;
        let rank = |name: &String| module.order.iter().position(|other| other == name);
        if let Some(used) = rank(&to[common]) {
            let own = rank(&path.from[common])?;
            return (used > own).then(|| (folder, to[common].clone()));
        }
        match module.names.get(&to[common]) {
            Some(None) => return None,
            Some(Some(target)) => to = target.iter().chain(&to[common + 1..]).cloned().collect(),
            // An item of `mod.rs` itself, or all of its names: after its modules, but before its
            // tests.
            None if module.tests.contains(&path.from[common]) => return None,
            None => return Some((folder, to[common].clone())),
        }
    }
    None
}

/// The modules that lead to a file: `page/map.rs` is `page::map`, `page/mod.rs` is `page`.
fn module_path(inside: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        inside.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|part| part == "mod" || part == "lib") {
        parts.pop();
    }
    parts
}

/// The files that `file` declares modules of by `#[path = "..."]`, and the modules that they are.
fn modules_by_path(source: &Path, file: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let inside = file.strip_prefix(source).expect("a file below the source folder");
    let folder = inside.parent().expect("a file has a folder");
    let trees: Vec<TokenTree> = tokens(file).into_iter().collect();
    let found = with_attributes(&trees).filter_map(|(attribute, name)| {
        let words = attribute.stream().to_string();
        let path = words.strip_prefix("path = ")?.trim_matches('"').to_owned();
        let mut module = module_path(inside);
        module.push(name);
        Some((folder.join(path), module))
    });
    found.collect()
}

/// Collects the paths by `crate::`, `super::` and `self::` in code of the module `at`.
fn used_paths(stream: TokenStream, at: &[String], found: &mut Vec<UsedPath>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut index = 0;
    while index < trees.len() {
        if let TokenTree::Group(group) = &trees[index] {
            let mut inner = at.to_vec();
            if index >= 2
                && is_ident(&trees[index - 2], "mod")
                && group.delimiter() == Delimiter::Brace
            {
                inner.push(trees[index - 1].to_string());
            }
            used_paths(group.stream(), &inner, found);
        }
        let begins = ["crate", "super", "self"].iter().any(|word| is_ident(&trees[index], word));
        let is_inner = index >= 2 && is_path_separator(&trees, index - 2);
        if begins && !is_inner && is_path_separator(&trees, index + 1) {
            let mut paths = Vec::new();
            index = every_path(&trees[index..], &[], &mut paths).max(1) + index;
            for WrittenPath { segments, line, .. } in paths {
                if let Some(to) = absolute(&segments, at, &[]) {
                    found.push(UsedPath { from: at.to_vec(), to, line });
                }
            }
            continue;
        }
        index += 1;
    }
}

/// A path as it is written.
struct WrittenPath {
    segments: Vec<String>,
    alias: Option<String>,
    line: usize,
}

/// Collects the path, or every path of the groups in it, that starts at `trees` behind the segments
/// of `prefix`. Returns how many of the trees it took.
fn every_path(trees: &[TokenTree], prefix: &[String], found: &mut Vec<WrittenPath>) -> usize {
    let mut segments = prefix.to_vec();
    let mut next = 0;
    loop {
        match trees.get(next) {
            Some(TokenTree::Ident(name)) => {
                let is_macro =
                    matches!(trees.get(next + 1), Some(TokenTree::Punct(p)) if p.as_char() == '!');
                if is_macro {
                    return next + 1;
                }
                // `{self}` in a group is the group's own module.
                if segments.is_empty() || name != "self" {
                    segments.push(name.to_string());
                }
                if is_path_separator(trees, next + 1) {
                    next += 3;
                    continue;
                }
                let line = name.span().start().line;
                let renamed = is_ident_at(trees, next + 1, "as");
                let alias =
                    if renamed { trees.get(next + 2).map(ToString::to_string) } else { None };
                found.push(WrittenPath { segments, alias, line });
                return next + 1;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let comma = |t: &TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ',');
                for path in inner.split(comma) {
                    every_path(path, &segments, found);
                }
                return next + 1;
            }
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                segments.push("*".to_owned());
                found.push(WrittenPath { segments, alias: None, line: star.span().start().line });
                return next + 1;
            }
            _ => return next,
        }
    }
}

/// A path from the crate's root, given the module `at` that it stands in and the modules that `at`
/// declares; `None` if it leads to another crate.
fn absolute(segments: &[String], at: &[String], children: &[String]) -> Option<Vec<String>> {
    let mut base = at.to_vec();
    let mut rest = segments;
    match rest.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {}
        first if children.iter().any(|child| child == first) => {}
        _ => return None,
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
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
