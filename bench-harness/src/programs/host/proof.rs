//! The proof that an allocator served a program, from the loader's own record.
//!
//! With `LD_DEBUG=bindings`, glibc's loader writes a line for every symbol that it binds, into a
//! file for each process. Every binding of `malloc` and its kin, by the program and by every
//! library of every process, must lead to the allocator's library. This also catches what maps of
//! memory do not show: a program that has an allocator of its own, or is linked with one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What must lead to the allocator.
const SYMBOLS: [&str; 5] = ["malloc", "free", "calloc", "realloc", "malloc_usable_size"];

/// A binding of one of [`SYMBOLS`].
#[derive(Debug, PartialEq)]
struct Binding<'a> {
    from: &'a str,
    to: &'a str,
    symbol: &'a str,
}

/// What the records in `folder` prove, or what they disprove.
pub(super) fn of_records(folder: &Path, library: &Path) -> Result<String, String> {
    let trouble = |error: std::io::Error| format!("the loader's record: {error}");
    let (mut processes, mut files) = (0, BTreeSet::new());
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let text = fs::read(entry.map_err(trouble)?.path()).map_err(trouble)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let bindings: Vec<Binding<'_>> = text.lines().filter_map(binding).collect();
        if let Some(stray) = bindings.iter().find(|one| !leads_to(one, library, &bindings)) {
            return Err(format!(
                "{} of {} is bound to {}, not to {}",
                stray.symbol,
                stray.from,
                stray.to,
                library.display()
            ));
        }
        processes += usize::from(bindings.iter().any(|one| one.symbol == "malloc"));
        files.extend(bindings.iter().map(|one| one.from.to_owned()));
    }
    if processes == 0 {
        return Err("no process bound malloc: it has an allocator of its own".to_owned());
    }
    let plural = |number: usize, one: &str, more: &str| {
        format!("{number} {}", if number == 1 { one } else { more })
    };
    // A report has no use for where this machine keeps it.
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "malloc and its kin are bound to {name} in {}, by {}: the loader's record",
        plural(processes, "process", "processes"),
        plural(files.len(), "file", "files"),
    ))
}

/// Whether a binding ends at the library, directly or by one step.
///
/// A program at a fixed address that takes the address of `free` has a stub for it, which all
/// others are bound to and which jumps to where the program's own `free` is bound. A program that
/// defines `free` has no such binding of its own, as its definition comes first.
fn leads_to(one: &Binding<'_>, library: &Path, all: &[Binding<'_>]) -> bool {
    let onward = |next: &Binding<'_>| {
        next.from == one.to && next.symbol == one.symbol && same(next.to, library)
    };
    same(one.to, library) || all.iter().any(onward)
}

/// `12: binding file /usr/bin/x [0] to /lib/libc.so.6 [0]: normal symbol `malloc' [GLIBC_2.2.5]`.
fn binding(line: &str) -> Option<Binding<'_>> {
    let rest = line.split_once("binding file ")?.1;
    let (from, rest) = rest.split_once(" [0] to ")?;
    let (to, rest) = rest.split_once(" [0]: ")?;
    let symbol = rest.split_once('`')?.1.split_once('\'')?.0;
    SYMBOLS.contains(&symbol).then_some(Binding { from, to, symbol })
}

/// Whether both name the same file.
fn same(path: &str, library: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
    Path::new(path) == library || real(Path::new(path)) == real(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "   7:\tbinding file /usr/bin/jq [0] to /x/liba.so [0]: normal symbol `malloc' [GLIBC_2.2.5]";

    fn proof(texts: &[&str]) -> Result<String, String> {
        let folder = std::env::temp_dir().join(format!(
            "proof-{}-{}",
            std::process::id(),
            crate::programs::digest(texts.concat().as_bytes())
        ));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        for (number, text) in texts.iter().enumerate() {
            fs::write(folder.join(format!("of.{number}")), text).expect("it is writable");
        }
        let proof = of_records(&folder, Path::new("/x/liba.so"));
        fs::remove_dir_all(folder).expect("it is ours");
        proof
    }

    #[test]
    fn every_process_that_binds_malloc_to_the_library_counts() {
        let other = LINE.replace("jq", "sort").replace("malloc", "strlen").replace("liba", "libc");
        let text = format!("{LINE}\n{other}\n");
        let proof = proof(&[&text, LINE, &other]).expect("all bindings lead there");
        assert!(proof.contains("in 2 processes, by 1 file:"), "{proof}");
    }

    #[test]
    fn one_binding_that_leads_elsewhere_disproves_it() {
        let stray = LINE.replace("liba", "libjemalloc").replace("malloc'", "free'");
        let reason = proof(&[LINE, &stray]).expect_err("free is another allocator's");
        assert!(
            reason.starts_with("free of /usr/bin/jq is bound to /x/libjemalloc.so"),
            "{reason}"
        );
    }

    #[test]
    fn the_stub_of_a_program_at_a_fixed_address_is_followed() {
        let stub = LINE.replace("/usr/bin/jq [0] to /x/liba.so", "/x/libz.so [0] to /usr/bin/jq");
        proof(&[&format!("{stub}\n{LINE}\n")]).expect("jq's own malloc is bound to the library");
        let reason = proof(&[&stub]).expect_err("jq defines malloc");
        assert!(reason.starts_with("malloc of /x/libz.so is bound to /usr/bin/jq"), "{reason}");
    }

    #[test]
    fn a_program_that_binds_no_malloc_proves_nothing() {
        let reason = proof(&[&LINE.replace("malloc", "strlen")]).expect_err("it has its own");
        assert!(reason.contains("of its own"), "{reason}");
    }
}
