//! The table of `docs/synchronization.md` that says how each atomic is ordered: complete, and
//! without rows for what is gone.
//!
//! An atomic is a static, a field of a struct, or an alias, with `Atomic...` in its type, or a cell
//! of `once_cell::race`. Its path has the file's module, the struct, and its own name. References
//! to atomics do not count, nor does what is compiled for tests alone.
//!
//! The first column of a row has names between backticks: the end of such a path, or of one without
//! its last part, which stands for all of that struct or module. Behind the first name of a row,
//! one without `::` has the same beginning as the name before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{
    Attribute, Fields, Ident, ItemFn, ItemMod, ItemStatic, ItemStruct, ItemType, Meta, Type,
};

/// An atomic's path, from the crate's root.
type Atomic = Vec<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether an item is there for tests alone: `cfg(test)`, or `cfg(all(test, ...))`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let text = list.tokens.to_string();
        let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        list.path.is_ident("cfg")
            && match words.next() {
                Some("all") => words.next() == Some("test"),
                first => first == Some("test"),
            }
    })
}

/// Whether the type of a place makes it an atomic.
fn is_atomic(of: &Type) -> bool {
    struct Names(bool);
    impl Visit<'_> for Names {
        fn visit_ident(&mut self, name: &Ident) {
            let name = name.to_string();
            // `Once...` are the cells of `once_cell::race`.
            self.0 |= name.starts_with("Atomic") || name.starts_with("Once");
        }
    }
    let mut names = Names(false);
    names.visit_type(of);
    names.0 && !matches!(of, Type::Reference(_))
}

/// Collects the atomics of a file.
struct Finder {
    /// The module that it is at.
    module: Vec<String>,
    found: Vec<Atomic>,
}

impl Finder {
    fn add(&mut self, names: &[&Ident]) {
        let names = names.iter().map(|name| name.to_string());
        self.found.push(self.module.iter().cloned().chain(names).collect());
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        if !is_for_tests(&item.attrs) && is_atomic(&item.ty) {
            self.add(&[&item.ident]);
        }
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        if !is_for_tests(&item.attrs) && is_atomic(&item.ty) {
            self.add(&[&item.ident]);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        if is_for_tests(&item.attrs) {
            return;
        }
        match &item.fields {
            Fields::Named(fields) => {
                for field in fields.named.iter().filter(|field| is_atomic(&field.ty)) {
                    self.add(&[&item.ident, field.ident.as_ref().expect("a named field")]);
                }
            }
            Fields::Unnamed(fields) if fields.unnamed.iter().any(|field| is_atomic(&field.ty)) => {
                self.add(&[&item.ident]);
            }
            _ => {}
        }
    }
}

/// The atomics of a file whose module is `module`.
fn atomics_in(text: &str, module: Vec<String>) -> Vec<Atomic> {
    let mut finder = Finder { module, found: Vec::new() };
    finder.visit_file(&syn::parse_file(text).expect("Rust"));
    finder.found
}

/// The atomics below `folder`, whose module is `module`, each with its file.
fn atomics_below(folder: &Path, module: &[String], found: &mut BTreeMap<Atomic, PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_inner = |part: &str| part != "mod" && part != "lib";
        let part = name.strip_suffix(".rs").unwrap_or(&name).to_owned();
        let module: Vec<String> =
            module.iter().cloned().chain(Some(part).filter(|part| is_inner(part))).collect();
        if path.is_dir() {
            if name != "tests" && name != "models" {
                atomics_below(&path, &module, found);
            }
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let atomics = atomics_in(&text, module);
            found.extend(atomics.into_iter().map(|atomic| (atomic, path.clone())));
        }
    }
}

/// The names in the first column of the table, each with what comes before it left in.
fn names(document: &str) -> Vec<String> {
    let (_, table) = document.split_once("\n## Atomics\n").expect("a heading");
    let rows = table.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter(|line| line.starts_with("| ") && !line.starts_with("| atomic |"));
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        let column = row.split('|').nth(1).expect("a first column");
        let mut beginning = None;
        for name in column.split('`').skip(1).step_by(2) {
            let whole = match (&beginning, name.contains("::")) {
                (Some(beginning), false) => format!("{beginning}::{name}"),
                _ => name.to_owned(),
            };
            beginning = whole.rsplit_once("::").map(|(beginning, _)| beginning.to_owned());
            names.push(whole);
        }
    }
    names
}

/// What is wrong with the table, given every atomic and its file.
fn mistakes(document: &str, atomics: &BTreeMap<Atomic, PathBuf>) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut named = BTreeSet::new();
    for name in names(document) {
        let end: Vec<&str> = name.split("::").collect();
        let is_end = |path: &[String]| {
            path.len() >= end.len()
                && path[path.len() - end.len()..].iter().zip(&end).all(|(a, b)| a == b)
        };
        let stands_for: Vec<&Atomic> =
            atomics.keys().filter(|path| is_end(path) || is_end(&path[..path.len() - 1])).collect();
        let files: BTreeSet<&PathBuf> = stands_for.iter().map(|path| &atomics[*path]).collect();
        match files.len() {
            0 => mistakes.push(format!("{name}: there is no such atomic")),
            1 => {}
            _ => mistakes.push(format!("{name}: there are some in {files:?}")),
        }
        for path in stands_for {
            if !named.insert(path) {
                mistakes.push(format!("{}: two rows, one of them {name}", path.join("::")));
            }
        }
    }
    let left = atomics.keys().filter(|path| !named.contains(path));
    mistakes.extend(left.map(|path| format!("{}: no row", path.join("::"))));
    mistakes
}

/// Whoever changes an atomic finds what its order rests on, and a reader of the table looks for
/// nothing that was renamed.
#[test]
fn every_atomic_has_a_row_and_every_row_names_atomics() {
    let mut atomics = BTreeMap::new();
    atomics_below(&root().join("allocator/src"), &[], &mut atomics);
    assert!(atomics.len() > 150, "the atomics are found: {}", atomics.len());
    let document = fs::read_to_string(root().join("docs/synchronization.md")).expect("a document");
    let mistakes = mistakes(&document, &atomics);
    assert!(mistakes.is_empty(), "{} mistakes:\n{}", mistakes.len(), mistakes.join("\n"));
}

#[test]
fn atomics_are_told_from_what_is_no_place_of_its_own() {
    let text = "static A: AtomicU32 = AtomicU32::new(0);\nstatic B: u32 = 0;\n\
                fn f(g: &AtomicU32) { static C: [AtomicU8; 2] = []; let a = AtomicU8::new(0); }\n\
                struct D { e: AtomicPtr<u8>, f: usize, g: &'static AtomicU8 }\n\
                struct H(AtomicU64);\nstruct I<'a>(&'a AtomicU64);\n\
                mod j { type K = [atomic::AtomicUsize; 4]; static L: OnceNonZeroUsize = X; }\n\
                #[cfg(test)] static M: AtomicU8 = X;\n\
                #[cfg(all(test, not(loom)))] mod n { static O: AtomicU8 = X; }\n\
                #[cfg(not(test))] static P: AtomicU8 = X;\n";
    let found = atomics_in(text, vec!["x".to_owned()]);
    let found: Vec<String> = found.into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["x::A", "x::C", "x::D::e", "x::H", "x::j::K", "x::j::L", "x::P"]);
}

#[test]
fn mistakes_of_the_table_are_found() {
    let atomic = |path: &str, file: &str| {
        (path.split("::").map(str::to_owned).collect(), PathBuf::from(file))
    };
    let atomics = BTreeMap::from([
        atomic("a::b::ONE", "a/b.rs"),
        atomic("a::b::TWO", "a/b.rs"),
        atomic("a::b::S::x", "a/b.rs"),
        atomic("a::b::S::y", "a/b.rs"),
        atomic("c::ONE", "c.rs"),
    ]);
    let with =
        |rows: &str| mistakes(&format!("\n## Atomics\n\n| atomic | why |\n{rows}"), &atomics);
    assert_eq!(with("| `b::ONE`, `TWO` | x |\n| `S` | `no` |\n| `c::ONE` | y |\n"), [""; 0]);
    let found = with("| `ONE` | x |\n| `S::x`, `z` | x |\n| `b::S` | x |\n## End\n| `TWO` | x |\n");
    let wrong = [
        "ONE: there are some in",
        "S::z: there is no such atomic",
        "a::b::S::x: two rows, one of them b::S",
        "a::b::TWO: no row",
    ];
    assert_eq!(found.len(), wrong.len(), "{found:?}");
    assert!(found.iter().zip(wrong).all(|(found, wrong)| found.starts_with(wrong)), "{found:?}");
}
