//! Allocator libraries that are there already: the system's packages, and this workspace's own.
//!
//! They are measured by preloading, as `--preload` does it for any other. Nothing is wrong where
//! there are none.

use super::Preload;
use std::path::{Path, PathBuf};

/// Where systems keep their libraries.
const FOLDERS: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
];

/// Column and file of libraries that users preload; of one column, the first that is found is taken.
const KNOWN: [(&str, &str); 6] = [
    ("jemalloc.so", "libjemalloc.so.2"),
    ("mimalloc.so", "libmimalloc.so"),
    ("mimalloc.so", "libmimalloc.so.3"),
    ("mimalloc.so", "libmimalloc.so.2"),
    ("mimalloc.so", "libmimalloc.so.2.0"),
    ("tcmalloc.so", "libtcmalloc_minimal.so.4"),
];

/// The libraries of this system, and the one that was built beside the runners in `programs`.
pub fn installed(programs: &Path) -> Vec<Preload> {
    search(programs, &FOLDERS.map(PathBuf::from))
}

fn search(programs: &Path, folders: &[PathBuf]) -> Vec<Preload> {
    let mut found: Vec<Preload> = Vec::new();
    let own = [("stratalloc.so", programs.join("libstratalloc.so"))];
    let system = KNOWN
        .iter()
        .flat_map(|(name, file)| folders.iter().map(move |folder| (*name, folder.join(file))));
    for (name, path) in own.into_iter().chain(system) {
        if path.is_file() && found.iter().all(|known| known.name != name) {
            found.push(Preload { name: name.to_owned(), path });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn libraries_are_found_once_and_their_absence_is_no_error() {
        let folder = std::env::temp_dir().join(format!("installed-{}", std::process::id()));
        assert_eq!(search(&folder, &[]), []);
        let (old, new) = (folder.join("old"), folder.join("new"));
        for place in [&old, &new] {
            fs::create_dir_all(place).expect("the temporary folder is writable");
        }
        let file = |path: PathBuf| {
            fs::write(&path, "").expect("it is writable");
            path
        };
        file(old.join("libmimalloc.so.2"));
        let preferred = file(new.join("libmimalloc.so"));
        let own = file(folder.join("libstratalloc.so"));
        let found = search(&folder, &[old, new]);
        let expected = [("stratalloc.so", own), ("mimalloc.so", preferred)];
        assert_eq!(found, expected.map(|(name, path)| Preload { name: name.to_owned(), path }));
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
