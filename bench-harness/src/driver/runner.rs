//! Runners: the programs that carry an allocator each, and how they are found and asked.
//!
//! A runner is any program called `run-...` in the folder that is searched; the `comparisons`
//! package builds them. One that was found but cannot be proved costs its column and is reported.

use super::installed::unpacked;
use super::instructions::collected;
use super::spawn::{self, SpawnError};
use crate::child::{Answer, Description, LIBRARIES, PRELOADED_NAME, PRELOADED_PATH, PROTOCOL};
use crate::results::{Failure, Origin};
use crate::workloads::TRACES;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How the runner programs' names begin.
const PREFIX: &str = "run-";
/// The runner that uses the C library's `malloc`, which a preloaded library replaces.
const SYSTEM: &str = "run-ptmalloc";
/// How the names of files end that say why a runner is not there; `ci/bench` writes them.
const FAILED: &str = ".failed";
/// How the names of files end that say what a runner's allocator was made from: package, version and hash,
/// separated by tabs; `ci/bench` writes them.
const ORIGIN: &str = ".origin";
/// What an allocator needs to work as its authors mean it. The kernel takes one area for restartable
/// sequences from each thread. Unless glibc is told not to give its own, Google's tcmalloc cannot give one,
/// and does without its caches of each processor.
const NEEDED: [(&str, &str, &str); 1] =
    [("run-tcmalloc", "GLIBC_TUNABLES", "glibc.pthread.rseq=0")];
/// A runner that takes longer to say who it is does not work.
const PATIENCE: Duration = Duration::from_secs(20);
/// A variable that nobody reads, for its length.
const PADDING: &str = "BENCH_PADDING";

/// A library to be measured by preloading it under the system's runner. A C library is not preloaded, but is
/// what its loader loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// Name of the column.
    pub name: String,
    /// The library.
    pub path: PathBuf,
    /// The loader that starts the runner, where it is not the system's.
    pub loader: Option<Loader>,
}

/// A dynamic loader, with its own C library, that starts programs of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// The loader.
    pub program: PathBuf,
    /// The folder of its libraries.
    pub libraries: PathBuf,
}

impl Loader {
    /// A command that starts `program` by this loader.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--library-path").arg(&self.libraries);
        command.arg("--argv0").arg(program).arg(program);
        command
    }
}

impl std::str::FromStr for Preload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.into(), loader: None })
            }
            _ => Err("expected NAME=PATH".to_owned()),
        }
    }
}

/// A program that carries an allocator, ready to be asked.
#[derive(Debug)]
pub struct Runner {
    start: Start,
    /// The library that serves `malloc`, where the program does not bring its allocator along.
    library: Option<PathBuf>,
    /// What it says about itself.
    pub description: Description,
    /// What its allocator was made from, where that is known.
    pub origin: Option<Origin>,
}

/// How a program is started.
#[derive(Debug, Clone)]
struct Start {
    program: PathBuf,
    loader: Option<Loader>,
    environment: Vec<(&'static str, OsString)>,
}

impl Start {
    /// A program that brings its allocator along.
    fn plain(program: PathBuf) -> Self {
        let file = program.file_name().unwrap_or_default();
        let needed = NEEDED.iter().filter(|(name, ..)| file == *name);
        let environment = needed.map(|(_, name, value)| (*name, (*value).into())).collect();
        Self { program, loader: None, environment }
    }

    /// The system's runner in `folder`, to be served by a library.
    fn preloaded(folder: &Path, preload: &Preload, library: &Path) -> Self {
        let mut environment = vec![
            (PRELOADED_NAME, OsString::from(&preload.name)),
            (PRELOADED_PATH, library.as_os_str().to_owned()),
        ];
        if !is_c_library(library) {
            environment.push(("LD_PRELOAD", library.as_os_str().to_owned()));
        }
        if let Some(loader) = &preload.loader {
            environment.push((LIBRARIES, loader.libraries.as_os_str().to_owned()));
        }
        Self { program: folder.join(SYSTEM), loader: preload.loader.clone(), environment }
    }

    /// The command without arguments and environment.
    fn command(&self) -> Command {
        match &self.loader {
            Some(loader) => loader.command(&self.program),
            None => Command::new(&self.program),
        }
    }

    /// Runs the program, and returns its answer.
    fn ask(&self, arguments: &[&str], limit: Duration) -> Result<Answer, SpawnError> {
        let mut command = prepared(self.command(), &self.environment, arguments);
        answer(&spawn::run(&mut command, limit)?)
    }
}

/// Whether a library is a C library, which cannot be preloaded under another one.
pub fn is_c_library(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libc.so"))
}

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
        // Cargo writes lists of sources beside its programs: `run-x.d`.
        if name.starts_with(PREFIX) && executable && !name.contains('.') {
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

/// A library that comes from no package that is known here: its hash, where this system can tell it.
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

impl Runner {
    /// Asks the program who it is.
    fn introduce(
        start: Start,
        library: Option<PathBuf>,
        origin: Option<Origin>,
    ) -> Result<Self, String> {
        let answer = start.ask(&["--describe"], PATIENCE);
        match answer.map_err(|error| error.to_string())? {
            Answer::Described(mut description) if description.protocol == PROTOCOL => {
                if let (Some(origin), true) = (&origin, library.is_some()) {
                    name_package(&mut description, origin, start.loader.is_some());
                }
                Ok(Self { start, library, description, origin })
            }
            Answer::Described(_) => {
                Err("it was built for another version of this program".to_owned())
            }
            Answer::Refused(reason) => Err(reason),
            _ => Err("it measured something instead of describing itself".to_owned()),
        }
    }

    /// Tells the program where the traces are that were named on the command line, each with its name as
    /// a workload.
    pub fn set_traces(&mut self, traces: &[(String, PathBuf)]) {
        let mut lines = OsString::new();
        for (name, path) in traces {
            lines.push(name);
            lines.push("=");
            lines.push(path);
            lines.push("\n");
        }
        self.start.environment.push((TRACES, lines));
    }

    /// Name of its allocator.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// The library that serves `malloc` in place of the system's, if one does, and the variables that set the
    /// allocator: what it takes to put the same allocator under any other program.
    pub fn preloaded(&self) -> Option<(&Path, Vec<(String, String)>)> {
        let settings = self
            .start
            .environment
            .iter()
            .filter(|(name, _)| SETTINGS.iter().any(|setting| name.starts_with(setting)));
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        let settings = settings.map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        Some((self.library.as_deref()?, settings))
    }

    /// The folder of another C library than the system's, where the allocator needs one.
    pub fn system(&self) -> Option<&Path> {
        Some(self.start.loader.as_ref()?.libraries.as_path())
    }

    /// Starts the program with `arguments` and returns its answer.
    pub fn ask(&self, arguments: &[&str], limit: Duration) -> Result<Answer, SpawnError> {
        self.start.ask(arguments, limit)
    }

    /// The same with an environment that is longer by so many bytes, so that the stack lies elsewhere.
    pub fn ask_padded(
        &self,
        arguments: &[&str],
        limit: Duration,
        padding: usize,
    ) -> Result<Answer, SpawnError> {
        let mut start = self.start.clone();
        start.environment.push((PADDING, "x".repeat(padding).into()));
        start.ask(arguments, limit)
    }

    /// The same under callgrind: the answer, and how many instructions the whole process took.
    pub fn count(&self, arguments: &[&str], limit: Duration) -> Result<(Answer, u64), String> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let started = self.start.command();
        command.arg(started.get_program()).args(started.get_args());
        let mut command = prepared(command, &self.start.environment, arguments);
        let ended = spawn::run(&mut command, limit).map_err(|error| match error {
            SpawnError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "valgrind is not installed".to_owned()
            }
            error => error.to_string(),
        })?;
        let instructions = collected(&ended.errors).ok_or("callgrind gave no count")?;
        Ok((answer(&ended).map_err(|error| error.to_string())?, instructions))
    }
}

/// Puts the package of a library into its title, and its version in the place of the file's name.
fn name_package(description: &mut Description, origin: &Origin, loader: bool) {
    if origin.version.is_empty() {
        return;
    }
    let Origin { package, version, .. } = origin;
    let under = if loader { ", under the newest glibc" } else { "" };
    description.title += &format!(" ({package} {version}{under})");
    if description.version.contains(".so") {
        // Without Debian's own number behind the last hyphen, and without an epoch.
        let upstream = version.rsplit_once('-').map_or(version.as_str(), |(upstream, _)| upstream);
        description.version =
            upstream.split_once(':').map_or(upstream, |(_, rest)| rest).to_owned();
    }
}

/// How the names of variables begin that set an allocator: what is meant for some other program
/// would decide the comparison.
const SETTINGS: [&str; 8] = [
    "MALLOC_",
    "_RJEM_MALLOC_",
    "MIMALLOC_",
    "TCMALLOC_",
    "SNMALLOC_",
    "RPMALLOC_",
    "STRATALLOC_OPTIONS",
    "GLIBC_TUNABLES",
];

/// `command` with a runner's environment and none of the settings that this process has.
fn prepared(
    mut command: Command,
    environment: &[(&'static str, OsString)],
    arguments: &[&str],
) -> Command {
    command.args(arguments).env_remove("LD_PRELOAD");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if SETTINGS.iter().any(|setting| text.starts_with(setting)) {
            command.env_remove(&name);
        }
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// What a program that has ended said.
fn answer(ended: &spawn::Ended) -> Result<Answer, SpawnError> {
    let line = ended.output.trim();
    match serde_json::from_str(line) {
        Ok(answer) => Ok(answer),
        Err(_) if ended.status.success() => Err(SpawnError::Nonsense(line.to_owned())),
        Err(_) => Err(SpawnError::Ended(ended.status, ended.last_words.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn preloads_are_name_and_path() {
        let parsed: Preload = "je=/usr/lib/libjemalloc.so.2".parse().expect("it is well-formed");
        assert_eq!(
            (parsed.name.as_str(), parsed.path.to_str()),
            ("je", Some("/usr/lib/libjemalloc.so.2"))
        );
        for bad in ["je", "=x", "je="] {
            assert!(bad.parse::<Preload>().is_err(), "{bad}");
        }
    }
}
