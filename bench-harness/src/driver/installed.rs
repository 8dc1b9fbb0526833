//! Allocator libraries that are there already: this workspace's own, Debian's newest ones that
//! `ci/peers` unpacked aside, and the system's packages.
//!
//! They are measured by preloading, as `--preload` does it for any other. Nothing is wrong where
//! there are none.

use super::{Loader, Preload};
use crate::results::Origin;
use std::fs;
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

/// Column and file of libraries that users preload; of one column, the first that is found is
/// taken.
const KNOWN: [(&str, &str); 6] = [
    ("jemalloc.so", "libjemalloc.so.2"),
    ("mimalloc.so", "libmimalloc.so"),
    ("mimalloc.so", "libmimalloc.so.3"),
    ("mimalloc.so", "libmimalloc.so.2"),
    ("mimalloc.so", "libmimalloc.so.2.0"),
    ("tcmalloc.so", "libtcmalloc_minimal.so.4"),
];

/// Column and file of this workspace's own.
const OWN: [(&str, &str); 2] = [
    ("stratalloc.so", "libstratalloc.so"),
    ("stratalloc-hardened.so", "libstratalloc-hardened.so"),
];

/// The libraries that were built beside the runners in `programs`, those that were unpacked for
/// them, and those of this system.
pub fn installed(programs: &Path) -> Vec<Preload> {
    search(programs, &FOLDERS.map(PathBuf::from))
}

fn search(programs: &Path, folders: &[PathBuf]) -> Vec<Preload> {
    let plain = |name: &str, path| Preload { name: name.to_owned(), path, loader: None };
    let mut found: Vec<Preload> = Vec::new();
    let own = OWN.iter().map(|(name, file)| plain(name, programs.join(file)));
    let system = KNOWN
        .iter()
        .flat_map(|(name, file)| folders.iter().map(move |folder| plain(name, folder.join(file))));
    let unpacked = unpacked(programs).into_iter().filter_map(|peer| peer.found.ok());
    for preload in own.chain(unpacked.map(|(preload, _)| preload)).chain(system) {
        if preload.path.is_file() && found.iter().all(|known| known.name != preload.name) {
            found.push(preload);
        }
    }
    found
}

/// A peer that `ci/peers` was to get.
pub(super) struct Unpacked {
    /// Name of its column.
    pub name: String,
    /// Where it is and where it comes from, or why it is not there.
    pub found: Result<(Preload, Origin), String>,
}

/// What the list of `ci/peers` says, which lies beside the folder of the programs: lines of column,
/// package, version, hash and library, separated by tabs, or of column, `failed` and the reason.
pub(super) fn unpacked(programs: &Path) -> Vec<Unpacked> {
    let Some(place) = programs.parent().map(|build| build.join("peers")) else { return Vec::new() };
    let text = fs::read_to_string(place.join("list.tsv")).unwrap_or_default();
    let peer = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [name, "failed", reason] => {
            let reason = format!("it cannot be had: {reason}");
            Some(Unpacked { name: name.to_owned(), found: Err(reason) })
        }
        [name, package, version, sha256, library] => {
            let path = place.join(library);
            let origin = Origin {
                allocator: name.to_owned(),
                package: format!("Debian sid, {package}"),
                version: version.to_owned(),
                sha256: sha256.to_owned(),
            };
            let loader = loader(&place.join("sid"));
            let preload = Preload { name: name.to_owned(), path, loader };
            Some(Unpacked { name: name.to_owned(), found: Ok((preload, origin)) })
        }
        _ => None,
    };
    text.lines().filter_map(peer).collect()
}

/// The loader of the packages that are unpacked in `root`: it loads the glibc that they were built
/// for.
fn loader(root: &Path) -> Option<Loader> {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let program = libraries.join("ld-linux-x86-64.so.2");
    program.is_file().then_some(Loader { program, libraries })
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
        let plain = |(name, path): (&str, _)| Preload { name: name.to_owned(), path, loader: None };
        assert_eq!(found, expected.map(plain));
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn what_was_unpacked_goes_before_the_systems_and_brings_its_loader() {
        let build = std::env::temp_dir().join(format!("unpacked-{}", std::process::id()));
        let (programs, system) = (build.join("release"), build.join("system"));
        let libraries = build.join("peers/sid/usr/lib/x86_64-linux-gnu");
        for place in [&programs, &system, &libraries] {
            fs::create_dir_all(place).expect("the temporary folder is writable");
        }
        let file = |path: PathBuf| {
            fs::write(&path, "").expect("it is writable");
            path
        };
        let program = file(libraries.join("ld-linux-x86-64.so.2"));
        let library = file(libraries.join("libjemalloc.so.2"));
        file(system.join("libjemalloc.so.2"));
        let of_system = file(system.join("libtcmalloc_minimal.so.4"));
        let list = "jemalloc.so\tlibjemalloc2\t5.3.1-2\tabc\tsid/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n\
                    tcmalloc.so\tfailed\tthe network is down\n";
        fs::write(build.join("peers/list.tsv"), list).expect("it is writable");
        let loader = Some(Loader { program, libraries });
        let expected = [
            Preload { name: "jemalloc.so".to_owned(), path: library, loader },
            Preload { name: "tcmalloc.so".to_owned(), path: of_system, loader: None },
        ];
        assert_eq!(search(&programs, &[system]), expected);
        let listed = unpacked(&programs);
        let reasons: Vec<_> = listed.iter().filter_map(|peer| peer.found.as_ref().err()).collect();
        assert_eq!(reasons, ["it cannot be had: the network is down"]);
        let (_, origin) = listed[0].found.as_ref().expect("it is there");
        assert_eq!(origin.to_string(), "Debian sid, libjemalloc2 5.3.1-2, SHA-256 abc");
        fs::remove_dir_all(&build).expect("it is ours");
    }
}
