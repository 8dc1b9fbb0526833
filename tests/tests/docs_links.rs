//! What the documents point at is there: linked files, linked lines of code, and files that are
//! named in passing.
//!
//! A link to a line has a name of the code as its text: ``[`Central::refill`](../x.rs#L12)``. The
//! last part of the name must be declared within [`NEAR`] lines of line 12. After code has moved,
//! `STRATALLOC_REFRESH_LINKS=1 cargo test -p stratalloc-tests --test docs_links` writes the new
//! lines into the documents, and the new files where a name is declared in one place only. Read
//! the difference before you commit it.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::{env, fs};

/// How far from the linked line the name may be declared.
const NEAR: usize = 5;
/// Folders that hold no sources of ours.
const PASSED_BY: [&str; 4] = ["target", "results", "corpus", "node_modules"];
/// What stands before a name where it is declared.
const DECLARES: [&str; 9] =
    ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "macro_rules!"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the folder of the crate is in the repository").to_path_buf()
}

/// All files below `dir`, relative to `base`.
fn files_below(dir: &Path, base: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !PASSED_BY.contains(&name.as_str()) {
                files_below(&path, base, found);
            }
        } else {
            found.insert(path.strip_prefix(base).expect("a file below").to_path_buf());
        }
    }
}

fn all_files() -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    files_below(&root(), &root(), &mut files);
    files
}

/// The documents: those at the root, and all below `docs`. What is history may name what is gone.
fn documents(files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let is_document = |path: &&PathBuf| {
        let at_root = path.components().count() == 1;
        path.extension().is_some_and(|extension| extension == "md")
            && (at_root || path.starts_with("docs"))
            && !path.ends_with("CHANGELOG.md")
    };
    files.iter().filter(is_document).cloned().collect()
}

/// A link of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    text: String,
    target: String,
    line: Option<usize>,
    /// Where the target begins and ends in the document.
    place: std::ops::Range<usize>,
}

/// The links of `text` that lead to files, without those in blocks of code.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut is_code = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            links_of_line(line, start, &mut found);
        }
        start += line.len();
    }
    found
}

fn links_of_line(line: &str, start: usize, found: &mut Vec<Link>) {
    let mut from = 0;
    while let Some(middle) = line[from..].find("](").map(|at| from + at) {
        let Some(open) = line[..middle].rfind('[') else { return };
        let begin = middle + 2;
        let Some(end) = line[begin..].find(')').map(|at| begin + at) else { return };
        let whole = &line[begin..end];
        from = end;
        if whole.contains("://") || whole.starts_with(['#', '<']) {
            continue;
        }
        let (target, anchor) = whole.split_once('#').unwrap_or((whole, ""));
        found.push(Link {
            text: line[open + 1..middle].trim_matches('`').to_owned(),
            target: target.to_owned(),
            line: anchor.strip_prefix('L').and_then(|number| number.parse().ok()),
            place: start + begin..start + end,
        });
    }
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The lines, from 1, on which `name` is declared.
fn declarations(code: &str, name: &str) -> Vec<usize> {
    let last = name.rsplit("::").next().unwrap_or(name);
    let declares = |line: &str| {
        DECLARES.iter().any(|word| {
            line.match_indices(&format!("{word} {last}")).any(|(at, hit)| {
                let before = line[..at].chars().next_back();
                let after = line[at + hit.len()..].chars().next();
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                !before.is_some_and(is_part) && !after.is_some_and(is_part)
            })
        })
    };
    let code_lines = code.lines().enumerate();
    let lines = code_lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.filter(|(_, line)| declares(line)).map(|(index, _)| index + 1).collect()
}

fn nearest(lines: &[usize], to: usize) -> Option<usize> {
    lines.iter().copied().min_by_key(|line| line.abs_diff(to))
}

/// Where `link` of `document` should lead: `Ok(None)` if it is right as it is.
fn judge(
    document: &Path,
    link: &Link,
    files: &BTreeSet<PathBuf>,
) -> Result<Option<String>, String> {
    let folder = document.parent().expect("a document is in a folder");
    let file = normal(&folder.join(&link.target));
    let at = format!("{}: [{}]({})", document.display(), link.text, link.target);
    let Some(line) = link.line else {
        let exists = files.contains(&file) || root().join(&file).exists();
        return if exists { Ok(None) } else { Err(format!("{at}: there is no such file")) };
    };
    let read = |path: &Path| fs::read_to_string(root().join(path)).unwrap_or_default();
    if let Some(now) = nearest(&declarations(&read(&file), &link.text), line) {
        let is_exact = now == line;
        return Ok((!is_exact).then(|| format!("{}#L{now}", link.target)));
    }
    // It went to another file, if it is declared in one only.
    let sources = files.iter().filter(|path| path.starts_with("allocator"));
    let rust = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let places: Vec<(&PathBuf, usize)> = rust
        .flat_map(|path| {
            declarations(&read(path), &link.text).into_iter().map(move |at| (path, at))
        })
        .collect();
    match places[..] {
        [(path, line)] => {
            let up = "../".repeat(folder.components().count());
            Ok(Some(format!("{up}{}#L{line}", path.display())))
        }
        _ => Err(format!("{at}: declared there no more, and in {} files elsewhere", places.len())),
    }
}

/// A reader who clicks on a step of `docs/architecture.md` arrives at what the step tells of.
#[test]
fn links_lead_to_files_and_to_the_lines_that_declare_what_they_name() {
    let files = all_files();
    let refresh = env::var_os("STRATALLOC_REFRESH_LINKS").is_some();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents(&files) {
        let path = root().join(&document);
        let mut text = fs::read_to_string(&path).expect("a document");
        // From the end, so that places before stay what they are.
        for link in links(&text).iter().rev() {
            count += usize::from(link.line.is_some());
            match judge(&document, link, &files) {
                Ok(None) => {}
                Ok(Some(now)) if refresh => text.replace_range(link.place.clone(), &now),
                Ok(Some(now)) => {
                    let same_file = now.starts_with(&format!("{}#", link.target));
                    let moved = now.rsplit("#L").next().and_then(|line| line.parse().ok());
                    let (old, new) = (link.line.unwrap_or(0), moved.unwrap_or(0));
                    if !same_file || usize::abs_diff(old, new) > NEAR {
                        let (name, target) = (&link.text, &link.target);
                        wrong.push(format!(
                            "{}: [{name}]({target}#L{old}) is {now}",
                            document.display()
                        ));
                    }
                }
                Err(why) => wrong.push(why),
            }
        }
        if refresh {
            fs::write(&path, text).expect("writing a document");
        }
    }
    assert!(count >= 32, "only {count} links to lines were understood");
    let mend = "STRATALLOC_REFRESH_LINKS=1 cargo test -p stratalloc-tests --test docs_links";
    assert!(wrong.is_empty(), "{mend} mends what has only moved:\n{}", wrong.join("\n"));
}

/// Names of files between backticks, such as `central/mod.rs`: at least one folder, and an ending.
/// `NAME` stands for any.
fn named_files(text: &str) -> BTreeSet<String> {
    let endings = [".rs", ".c", ".cpp", ".h", ".sh", ".py", ".md"];
    let is_name = |word: &&str| {
        let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
        word.contains('/')
            && !word.starts_with('/')
            && word.chars().all(plain)
            && !word.contains("NAME")
            && endings.iter().any(|ending| word.ends_with(ending))
    };
    text.split('`').skip(1).step_by(2).filter(is_name).map(str::to_owned).collect()
}

/// A document that names a file which was renamed sends its reader nowhere. Decisions may: they are
/// of their day, and tell of files that are gone or are yet to be written.
#[test]
fn files_that_documents_name_exist() {
    let files = all_files();
    let mut gone = Vec::new();
    let lasting = documents(&files).into_iter().filter(|path| !path.starts_with("docs/decisions"));
    for document in lasting {
        let text = fs::read_to_string(root().join(&document)).expect("a document");
        for name in named_files(&text) {
            // From the document's folder, or the end of some file's path.
            let beside = root().join(&document).with_file_name("").join(&name);
            if !beside.exists() && !files.iter().any(|file| file.ends_with(&name)) {
                gone.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(gone.is_empty(), "documents name files that are not there:\n{}", gone.join("\n"));
}

/// Code and documents cite clauses by their numbers, which say nothing to who cannot look them up.
#[test]
fn clauses_that_are_cited_are_in_the_contract() {
    let clauses = |text: &str| -> BTreeSet<String> {
        let bytes = text.as_bytes();
        let found = bytes.windows(4).enumerate().filter(|(at, part)| {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            part[0] == b'C'
                && (b'1'..=b'6').contains(&part[1])
                && part[2] == b'.'
                && part[3].is_ascii_digit()
                && !before.is_some_and(|byte| byte.is_ascii_alphanumeric())
        });
        found.map(|(_, part)| String::from_utf8_lossy(part).into_owned()).collect()
    };
    let contract = fs::read_to_string(root().join("docs/contract.md")).expect("docs/contract.md");
    let known: BTreeSet<String> = contract
        .lines()
        .filter(|line| line.starts_with("| C"))
        .flat_map(|line| clauses(line.split('|').nth(1).unwrap_or_default()))
        .collect();
    assert!(known.len() > 20, "the table's first column is understood: {known:?}");
    let mut unknown = Vec::new();
    for file in all_files() {
        let extension = file.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("rs" | "md" | "c" | "cpp" | "h")) {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
        let strange = clauses(&text).into_iter().filter(|clause| !known.contains(clause));
        unknown.extend(strange.map(|clause| format!("{}: {clause}", file.display())));
    }
    assert!(unknown.is_empty(), "not in docs/contract.md:\n{}", unknown.join("\n"));
}

/// The checks above can say no.
#[test]
fn links_and_names_are_told_from_other_text() {
    let text =
        "See [`A::f`](../x.rs#L7), [here](y.md) and [out](https://z).\n```\n[no](n.rs)\n```\n";
    let found: Vec<(String, String, Option<usize>)> =
        links(text).into_iter().map(|link| (link.text, link.target, link.line)).collect();
    let expected = [("A::f", "../x.rs", Some(7)), ("here", "y.md", None)];
    assert_eq!(found, expected.map(|(a, b, line)| (a.to_owned(), b.to_owned(), line)));
    let code = "// fn f\nfn ff() {}\n    pub unsafe fn f<T>() {}\nmod g;\nstatic F: u8 = 0;\n";
    assert_eq!(declarations(code, "A::f"), [3]);
    assert_eq!(declarations(code, "F"), [5]);
    assert_eq!(nearest(&[3, 40], 30), Some(40));
    let names = named_files("`a/b.rs` a/c.rs `b.rs` `/tmp/d.rs` `x/*.rs` `u/v.md`");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a/b.rs", "u/v.md"]);
    let missing = Link { text: "f".into(), target: "no.rs".into(), line: None, place: 0..0 };
    assert!(judge(Path::new("README.md"), &missing, &BTreeSet::new()).is_err());
    let gone = Link { text: "no_such_function".into(), line: Some(1), ..missing };
    assert!(judge(Path::new("README.md"), &gone, &BTreeSet::new()).is_err());
}
