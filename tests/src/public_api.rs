//! The public interface of the Rust crate, read from its source: what `lib.rs` exports without
//! `#[doc(hidden)]`, with signatures, fields and trait implementations, and without bodies and
//! documentation.
//!
//! `docs/api.txt` keeps a copy, so that the interface changes only where somebody means it to.
//! Reads the source and not rustdoc's JSON, which only nightly compilers write. It follows `pub
//! use` from file to file, and looks for `impl` blocks in the folders `ROOMS`; it knows no macros
//! and no globs, of which the interface has none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, ImplItem, Item, ItemImpl, UseTree, Visibility};

/// The folders that define what is exported.
const ROOMS: [&str; 3] = ["api", "stats", "parameters"];

/// One exported item.
pub struct Exported {
    /// Its path from the crate's root.
    pub path: String,
    /// Its declaration, formatted.
    pub text: String,
    /// Those of its names, and of its functions and constants, whose documentation has no example.
    pub without_example: Vec<String>,
}

/// What the crate with its root in the folder `source` exports, by path.
///
/// # Panics
/// If a file cannot be read or parsed, or an exported name is nowhere defined.
pub fn exported(source: &Path) -> Vec<Exported> {
    let mut krate =
        Crate { source: source.to_path_buf(), files: BTreeMap::new(), impls: Vec::new() };
    for room in ROOMS {
        krate.read_impls(&source.join(room));
    }
    let mut found = Vec::new();
    krate.list_module(&[], "", &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

struct Crate {
    source: PathBuf,
    /// The modules read so far, by path.
    files: BTreeMap<Vec<String>, syn::File>,
    /// Every `impl` block of the rooms, with the name of its type.
    impls: Vec<(String, ItemImpl)>,
}

/// What a name stands for: the module that defines it, and its own name there.
type Definition = (Vec<String>, String);

impl Crate {
    fn read_impls(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder of the allocator") {
            let path = entry.expect("a file of the allocator").path();
            for item in parse(&path).items {
                if let Item::Impl(block) = item
                    && let syn::Type::Path(of) = &*block.self_ty
                {
                    let name = of.path.segments.last().expect("a type's name").ident.to_string();
                    self.impls.push((name, block));
                }
            }
        }
        self.impls.sort_by_key(|(name, block)| (name.clone(), headline(block)));
    }

    /// The items of a module; the empty path is the crate's root.
    fn items(&mut self, module: &[String]) -> Vec<Item> {
        let source = &self.source;
        let read = || {
            let stem = source.join(module.join("/"));
            let name = if module.is_empty() { "lib.rs" } else { "mod.rs" };
            let file = stem.with_extension("rs");
            parse(&if file.is_file() { file } else { stem.join(name) })
        };
        self.files.entry(module.to_vec()).or_insert_with(read).items.clone()
    }

    /// Adds all that `module` exports, which outside is called `prefix`.
    fn list_module(&mut self, module: &[String], prefix: &str, found: &mut Vec<Exported>) {
        for item in self.items(module) {
            let (attributes, visibility) = outside(&item);
            if !matches!(visibility, Some(Visibility::Public(_))) || is_hidden(attributes) {
                continue;
            }
            match &item {
                Item::Use(exports) => {
                    for (name, (from, own)) in leaves(&exports.tree, module) {
                        self.list(&from, &own, &format!("{prefix}{name}"), found);
                    }
                }
                _ => {
                    let name = name_of(&item).expect("a public item has a name");
                    self.list(module, &name, &format!("{prefix}{name}"), found);
                }
            }
        }
    }

    /// Adds what `name` of `module` stands for, under the path `path`.
    fn list(&mut self, module: &[String], name: &str, path: &str, found: &mut Vec<Exported>) {
        let before = found.len();
        for item in self.items(module) {
            match &item {
                Item::Mod(inner) if inner.ident == name => {
                    if matches!(inner.vis, Visibility::Public(_)) {
                        let inner = [module, &[name.to_owned()]].concat();
                        self.list_module(&inner, &format!("{path}::"), found);
                    }
                }
                Item::Use(exports) => {
                    for (exported, (from, own)) in leaves(&exports.tree, module) {
                        if exported == name && matches!(exports.vis, Visibility::Public(_)) {
                            self.list(&from, &own, path, found);
                        }
                    }
                }
                _ if name_of(&item).as_deref() == Some(name) => {
                    found.push(self.describe(item.clone(), path));
                }
                _ => {}
            }
        }
        assert!(found.len() > before, "{path} is nowhere defined");
    }

    fn describe(&self, item: Item, path: &str) -> Exported {
        let mut without_example = Vec::new();
        let mut need = |attributes: &[Attribute], name: &str| {
            if !has_example(attributes) {
                without_example.push(name.to_owned());
            }
        };
        need(outside(&item).0, path);
        let name = name_of(&item).expect("an exported item has a name");
        let mut items = vec![without_insides(item)];
        for (_, block) in self.impls.iter().filter(|(of, _)| *of == name) {
            let block = public_part(block.clone());
            for member in &block.items {
                let (attributes, name) = match member {
                    ImplItem::Fn(function) => (&function.attrs, function.sig.ident.to_string()),
                    ImplItem::Const(constant) => (&constant.attrs, constant.ident.to_string()),
                    _ => continue,
                };
                need(attributes, &format!("{path}::{name}"));
            }
            if block.trait_.is_some() || !block.items.is_empty() {
                items.push(Item::Impl(without_documentation(block)));
            }
        }
        let file = syn::File { shebang: None, attrs: Vec::new(), items };
        Exported { path: path.to_owned(), text: prettyplease::unparse(&file), without_example }
    }
}

fn parse(path: &Path) -> syn::File {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The first line of an `impl` block, by which blocks are ordered.
fn headline(block: &ItemImpl) -> String {
    let mut block = block.clone();
    block.items.clear();
    block.attrs.clear();
    let file = syn::File { shebang: None, attrs: Vec::new(), items: vec![Item::Impl(block)] };
    prettyplease::unparse(&file)
}

/// The names that a `use` in `module` makes, each with what it stands for.
fn leaves(tree: &UseTree, module: &[String]) -> Vec<(String, Definition)> {
    fn walk(tree: &UseTree, at: Vec<String>, found: &mut Vec<(String, Definition)>) {
        match tree {
            UseTree::Path(path) => {
                let segment = path.ident.to_string();
                let next = match segment.as_str() {
                    "crate" => Vec::new(),
                    "self" => at,
                    "super" => at[..at.len() - 1].to_vec(),
                    _ => [&at[..], &[segment]].concat(),
                };
                walk(&path.tree, next, found);
            }
            UseTree::Name(name) => {
                found.push((name.ident.to_string(), (at, name.ident.to_string())));
            }
            UseTree::Rename(name) => {
                found.push((name.rename.to_string(), (at, name.ident.to_string())));
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| walk(tree, at.clone(), found));
            }
            UseTree::Glob(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(tree, module.to_vec(), &mut found);
    found
}

fn outside(item: &Item) -> (&[Attribute], Option<&Visibility>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.vis)),
        Item::Enum(item) => (&item.attrs, Some(&item.vis)),
        Item::Fn(item) => (&item.attrs, Some(&item.vis)),
        Item::Mod(item) => (&item.attrs, Some(&item.vis)),
        Item::Struct(item) => (&item.attrs, Some(&item.vis)),
        Item::Trait(item) => (&item.attrs, Some(&item.vis)),
        Item::Type(item) => (&item.attrs, Some(&item.vis)),
        Item::Use(item) => (&item.attrs, Some(&item.vis)),
        _ => (&[], None),
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    let hides = |attribute: &Attribute| {
        attribute.path().is_ident("doc")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
    };
    attributes.iter().any(hides)
}

fn has_example(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            syn::Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(text) => text.value().trim_start().starts_with("```"),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    })
}

/// Leaves what a caller can see: `derive`, `cfg`, `must_use`, `non_exhaustive`.
fn strip(attributes: &mut Vec<Attribute>) {
    let seen = ["derive", "cfg", "cfg_attr", "must_use", "non_exhaustive"];
    attributes.retain(|attribute| seen.iter().any(|name| attribute.path().is_ident(name)));
}

/// The declaration alone: no bodies, no private fields, no documentation.
fn without_insides(mut item: Item) -> Item {
    match &mut item {
        Item::Fn(function) => {
            strip(&mut function.attrs);
            function.block.stmts.clear();
        }
        Item::Struct(record) => {
            strip(&mut record.attrs);
            if let syn::Fields::Named(fields) = &mut record.fields {
                let public = |field: &syn::Field| matches!(field.vis, Visibility::Public(_));
                fields.named = fields.named.iter().filter(|field| public(field)).cloned().collect();
                fields.named.iter_mut().for_each(|field| strip(&mut field.attrs));
            }
        }
        Item::Enum(choice) => {
            strip(&mut choice.attrs);
            for variant in &mut choice.variants {
                strip(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| strip(&mut field.attrs));
            }
        }
        other => panic!("no way to list {:?}", name_of(other)),
    }
    item
}

/// The public functions and constants of an `impl` block; of a trait's, nothing but its first line.
fn public_part(mut block: ItemImpl) -> ItemImpl {
    let is_trait = block.trait_.is_some();
    block.items.retain(|member| match member {
        ImplItem::Fn(function) => !is_trait && matches!(function.vis, Visibility::Public(_)),
        ImplItem::Const(constant) => !is_trait && matches!(constant.vis, Visibility::Public(_)),
        _ => false,
    });
    block
}

fn without_documentation(mut block: ItemImpl) -> ItemImpl {
    strip(&mut block.attrs);
    for member in &mut block.items {
        match member {
            ImplItem::Fn(function) => {
                strip(&mut function.attrs);
                function.block.stmts.clear();
            }
            ImplItem::Const(constant) => strip(&mut constant.attrs),
            _ => {}
        }
    }
    block
}
