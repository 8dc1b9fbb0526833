//! Where the library is. Relative to this program, so that an installation can be moved, and one
//! that is not in the linker's folders works as well.

use std::env;
use std::path::{Path, PathBuf};

use crate::Refusal;

/// Folders that hold it, from the folder of this program: of an installation, of a distribution
/// that has its libraries by architecture, and of a build.
const FOLDERS: [&str; 6] = [
    "../lib",
    "../lib64",
    concat!("../lib/", env!("STRATALLOC_MULTIARCH")),
    "../../lib",
    concat!("../../lib/", env!("STRATALLOC_MULTIARCH")),
    ".",
];

/// The file to preload: `named`, or the one beside this program.
pub fn find(named: Option<&Path>, hardened: bool) -> Result<PathBuf, Refusal> {
    if let Some(path) = named {
        let path = path
            .canonicalize()
            .map_err(|error| Refusal::ours(format!("{}: {error}", path.display())))?;
        return usable(path);
    }
    let stem = if hardened { "libstratalloc-hardened.so" } else { "libstratalloc.so" };
    let own = env::current_exe()
        .map_err(|error| Refusal::ours(format!("the place of this program is unknown: {error}")))?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let mut tried = String::new();
    for place in FOLDERS {
        // With the version: without it, the name is part of what developers install.
        for name in [&format!("{stem}.0"), stem] {
            let path = folder.join(place).join(name);
            if path.is_file() {
                return usable(path.canonicalize().unwrap_or(path));
            }
        }
        tried = format!("{tried} {}", folder.join(place).display());
    }
    Err(Refusal::ours(format!("there is no {stem}.0 in any of{tried}; --library names one")))
}

/// The path, if `LD_PRELOAD` can hold it.
fn usable(path: PathBuf) -> Result<PathBuf, Refusal> {
    match path.to_str() {
        Some(text) if !text.contains([' ', ':']) => Ok(path),
        _ => Err(Refusal::ours(format!(
            "{}: LD_PRELOAD cannot hold a path with a space, a colon or a byte that is no text",
            path.display()
        ))),
    }
}
