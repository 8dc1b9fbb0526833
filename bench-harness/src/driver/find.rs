//! How runners are found, with what their allocators were made from.
//!
//! A runner is any program called `run-...` in the folder that is searched; the `comparisons`
//! package builds them. One that was found but cannot be proved costs its column and is reported.

use super::installed::unpacked;
use super::runner::{Preload, Runner, Start};
use super::sampled::SAMPLED;
use crate::results::{Failure, Origin};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the runner programs' names begin.
const PREFIX: &str = "run-";
/// How the names of files end that say why a runner is not there; `ci/bench` writes them.
const FAILED: &str = ".failed";
/// How the names of files end that say what a runner's allocator was made from: package, version
/// and hash, separated by tabs; `ci/bench` writes them.
const ORIGIN: &str = ".origin";

/// Finds the runners in `folder` and adds one column for each of `preloads`. Those that are wanted
/// but do not work are returned as failures.
pub fn find(
    folder: &Path,
    preloads: &[Preload],
    wanted: impl Fn(&str) -> bool,
) -> io::Result<(Vec<Runner>, Vec<Failure>)> {
    let (mut runners, mut failures) = (Vec::new(), Vec::new());
    let fail = |allocator: String, reason| Failure { allocator, workload: None, reason };
    let mut candidates = Vec::new();
    for program in programs(folder)? {
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        let name = file[PREFIX.len()..].to_owned();
        let origin = made_from(folder, &name);
        candidates.push((name, Start::plain(program), None, origin));
    }
    let listed = unpacked(folder);
    for preload in preloads {
        // The loader ignores a library that it cannot find, so a wrong path must not get that far.
        let library = match preload.path.canonicalize() {
            Ok(library) => library,
            Err(error) => {
                let reason = format!("{}: {error}", preload.path.display());
                failures.push(fail(preload.name.clone(), reason));
                continue;
            }
        };
        let start = Start::preloaded(folder, preload, &library);
        let known = listed.iter().filter_map(|peer| peer.found.as_ref().ok());
        let origin = known.into_iter().find(|(other, _)| other == preload);
        let origin = origin.map(|(_, origin)| origin.clone());
        let origin = origin.or_else(|| file_itself(&preload.name, &library));
        candidates.push((preload.name.clone(), start, Some(library), origin));
    }
    let absent = listed.into_iter().filter_map(|peer| Some((peer.name, peer.found.err()?)));
    for (name, reason) in unbuilt(folder)?.into_iter().chain(absent) {
        if wanted(&name) && candidates.iter().all(|(known, ..)| *known != name) {
            failures.push(fail(name, reason));
        }
    }
    for (name, start, library, origin) in candidates {
        if !wanted(&name) {
            continue;
        }
        match Runner::introduce(start, library, origin) {
            // A program that knows nothing of preloading describes itself instead.
            Ok(runner) if runner.name() != name => {
                let reason = format!("it says that it is {}", runner.name());
                failures.push(fail(name, reason));
            }
            Ok(runner) => runners.push(runner),
            Err(reason) => failures.push(fail(name, reason)),
        }
    }
    runners.sort_by_key(|runner| runner.description.order);
    Ok((runners, failures))
}

/// The executable files of `folder` whose names begin with [`PREFIX`], by name.
fn programs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata()?;
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        // Cargo writes lists of sources beside its programs: `run-x.d`. What samples is a column
        // only beside the one that does not (`add_sampled`).
        let is_runner = name.starts_with(PREFIX) && !name.contains('.') && !name.ends_with(SAMPLED);
        if is_runner && executable {
            programs.push(entry.path());
        }
    }
    programs.sort();
    Ok(programs)
}

/// What the allocator of a runner in `folder` was made from, where that was noted.
fn made_from(folder: &Path, name: &str) -> Option<Origin> {
    let text = fs::read_to_string(folder.join(format!("{PREFIX}{name}{ORIGIN}"))).ok()?;
    let [package, version, sha256] = text.trim().split('\t').collect::<Vec<_>>()[..] else {
        return None;
    };
    Some(Origin {
        allocator: name.to_owned(),
        package: package.to_owned(),
        version: version.to_owned(),
        sha256: sha256.to_owned(),
    })
}

/// A library that comes from no package that is known here: its hash, where this system can tell
/// it.
fn file_itself(name: &str, library: &Path) -> Option<Origin> {
    let output = Command::new("sha256sum").arg("--binary").arg(library).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A backslash stands before the hash where the name has unusual characters.
    let sha256 = text.split_whitespace().next()?.trim_start_matches('\\').to_owned();
    let file = library.file_name().unwrap_or_default().to_string_lossy();
    let package = format!("the file {file}");
    Some(Origin { allocator: name.to_owned(), package, version: String::new(), sha256 })
}

/// The runners of `folder` that are not there, and why.
fn unbuilt(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut unbuilt = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(FAILED));
        if let Some(name) = name {
            let text = fs::read(entry.path())?;
            let text = String::from_utf8_lossy(&text);
            unbuilt.push((name.to_owned(), text.trim().to_owned()));
        }
    }
    unbuilt.sort();
    Ok(unbuilt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::{Answer, Description, PROTOCOL};

    /// A folder with a shell script for each runner.
    fn folder(test: &str, scripts: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("runner-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        for (name, script) in scripts {
            let path = folder.join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        folder
    }

    fn description(name: &str, order: u32) -> String {
        let description = Description {
            protocol: PROTOCOL,
            name: name.to_owned(),
            title: String::new(),
            order,
            version: String::new(),
            proof: String::new(),
        };
        serde_json::to_string(&Answer::Described(description)).expect("it can be written")
    }

    #[test]
    fn working_runners_are_sorted_and_broken_ones_reported() {
        let refusal = serde_json::to_string(&Answer::Refused("not in use".to_owned()));
        let scripts = [
            ("run-second", format!("echo '{}'", description("second", 2))),
            ("run-first", format!("echo '{}'", description("first", 1))),
            ("run-crash", "echo 'free(): invalid pointer' >&2; kill -ABRT $$".to_owned()),
            ("run-silent", "true".to_owned()),
            ("run-refused", format!("echo '{}'; exit 1", refusal.expect("it can be written"))),
            ("run-unbuilt.failed", "it could not be built: no compiler".to_owned()),
            ("other", "exit 9".to_owned()),
            ("run-unwanted", "exit 9".to_owned()),
        ];
        let scripts = scripts.each_ref().map(|(name, script)| (*name, script.as_str()));
        let folder = folder("find", &scripts);
        let preloads = ["gone=/nonexistent.so".parse().expect("it is well-formed")];
        let (runners, failures) =
            find(&folder, &preloads, |name| name != "unwanted").expect("it is readable");
        let names: Vec<_> = runners.iter().map(Runner::name).collect();
        assert_eq!(names, ["first", "second"]);
        let reason = |name: &str| {
            let failure = failures.iter().find(|failure| failure.allocator == name);
            failure.map(|failure| failure.reason.clone()).unwrap_or_default()
        };
        assert_eq!(failures.len(), 5, "{failures:?}");
        assert!(reason("unbuilt").contains("no compiler"), "{failures:?}");
        assert!(reason("crash").contains("invalid pointer"), "{failures:?}");
        assert!(reason("silent").contains("no answer"), "{failures:?}");
        assert_eq!(reason("refused"), "not in use");
        assert!(reason("gone").contains("/nonexistent.so"), "{failures:?}");
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
