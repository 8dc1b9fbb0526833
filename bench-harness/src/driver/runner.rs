//! Runners: the programs that carry an allocator each, and how they are found and asked.
//!
//! A runner is any program called `run-...` in the folder that is searched; the `comparisons`
//! package builds them. One that was found but cannot be proved costs its column and is reported.

use super::instructions::collected;
use super::spawn::{self, SpawnError};
use crate::child::{Answer, Description, PRELOADED_NAME, PRELOADED_PATH, PROTOCOL};
use crate::results::Failure;
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
/// How the names of files end that say why a runner could not be built; `ci/bench` writes them.
const FAILED: &str = ".failed";
/// A runner that takes longer to say who it is does not work.
const PATIENCE: Duration = Duration::from_secs(20);
/// A variable that nobody reads, for its length.
const PADDING: &str = "BENCH_PADDING";

/// A library to be measured by preloading it under the system's runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// Name of the column.
    pub name: String,
    /// The library.
    pub path: PathBuf,
}

impl std::str::FromStr for Preload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.into() })
            }
            _ => Err("expected NAME=PATH".to_owned()),
        }
    }
}

/// A program that carries an allocator, ready to be asked.
#[derive(Debug)]
pub struct Runner {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// What it says about itself.
    pub description: Description,
}

/// Finds the runners in `folder` and adds one column for each of `preloads`. Those that are wanted
/// but do not work are returned as failures.
pub fn find(
    folder: &Path,
    preloads: &[Preload],
    wanted: impl Fn(&str) -> bool,
) -> io::Result<(Vec<Runner>, Vec<Failure>)> {
    let (mut runners, mut failures) = (Vec::new(), Vec::new());
    let mut candidates = Vec::new();
    for program in programs(folder)? {
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        candidates.push((file[PREFIX.len()..].to_owned(), program.clone(), Vec::new()));
    }
    for (name, reason) in unbuilt(folder)? {
        if wanted(&name) {
            failures.push(Failure { allocator: name, workload: None, reason });
        }
    }
    for Preload { name, path } in preloads {
        // The loader ignores a library that it cannot find, so a wrong path must not get that far.
        let library = match path.canonicalize() {
            Ok(library) => library.into_os_string(),
            Err(error) => {
                let reason = format!("{}: {error}", path.display());
                failures.push(Failure { allocator: name.clone(), workload: None, reason });
                continue;
            }
        };
        let environment = vec![
            ("LD_PRELOAD", library.clone()),
            (PRELOADED_NAME, name.into()),
            (PRELOADED_PATH, library),
        ];
        candidates.push((name.clone(), folder.join(SYSTEM), environment));
    }
    for (name, program, environment) in candidates {
        if !wanted(&name) {
            continue;
        }
        match Runner::introduce(program, environment) {
            // A program that knows nothing of preloading describes itself instead.
            Ok(runner) if runner.name() != name => {
                let reason = format!("it says that it is {}", runner.name());
                failures.push(Failure { allocator: name, workload: None, reason });
            }
            Ok(runner) => runners.push(runner),
            Err(reason) => failures.push(Failure { allocator: name, workload: None, reason }),
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

/// The runners of `folder` that could not be built, and why.
fn unbuilt(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut unbuilt = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(FAILED));
        if let Some(name) = name {
            let text = fs::read(entry.path())?;
            let text = String::from_utf8_lossy(&text);
            let reason = format!("it could not be built: {}", text.trim());
            unbuilt.push((name.to_owned(), reason));
        }
    }
    unbuilt.sort();
    Ok(unbuilt)
}

impl Runner {
    /// Asks the program who it is.
    fn introduce(
        program: PathBuf,
        environment: Vec<(&'static str, OsString)>,
    ) -> Result<Self, String> {
        let answer = ask(&program, &environment, &["--describe"], PATIENCE);
        match answer.map_err(|error| error.to_string())? {
            Answer::Described(description) if description.protocol == PROTOCOL => {
                Ok(Self { program, environment, description })
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
        self.environment.push((TRACES, lines));
    }

    /// Name of its allocator.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// The library that serves `malloc` in place of the system's, if one does, and the variables that set the
    /// allocator: what it takes to put the same allocator under any other program.
    pub fn preloaded(&self) -> Option<(&Path, Vec<(String, String)>)> {
        let library = self.environment.iter().find(|(name, _)| *name == "LD_PRELOAD");
        let settings = self
            .environment
            .iter()
            .filter(|(name, _)| SETTINGS.iter().any(|setting| name.starts_with(setting)));
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        let settings = settings.map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        library.map(|(_, path)| (Path::new(path), settings))
    }

    /// The folder of another C library than the system's, where the allocator needs one.
    pub fn system(&self) -> Option<&Path> {
        None
    }

    /// Starts the program with `arguments` and returns its answer.
    pub fn ask(&self, arguments: &[&str], limit: Duration) -> Result<Answer, SpawnError> {
        ask(&self.program, &self.environment, arguments, limit)
    }

    /// The same with an environment that is longer by so many bytes, so that the stack lies elsewhere.
    pub fn ask_padded(
        &self,
        arguments: &[&str],
        limit: Duration,
        padding: usize,
    ) -> Result<Answer, SpawnError> {
        let mut environment = self.environment.clone();
        environment.push((PADDING, "x".repeat(padding).into()));
        ask(&self.program, &environment, arguments, limit)
    }

    /// The same under callgrind: the answer, and how many instructions the whole process took.
    pub fn count(&self, arguments: &[&str], limit: Duration) -> Result<(Answer, u64), String> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&self.program);
        let mut command = prepared(command, &self.environment, arguments);
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

fn ask(
    program: &Path,
    environment: &[(&'static str, OsString)],
    arguments: &[&str],
    limit: Duration,
) -> Result<Answer, SpawnError> {
    let mut command = prepared(Command::new(program), environment, arguments);
    answer(&spawn::run(&mut command, limit)?)
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
            ("run-unbuilt.failed", "no compiler".to_owned()),
            ("other", "exit 9".to_owned()),
            ("run-unwanted", "exit 9".to_owned()),
        ];
        let scripts = scripts.each_ref().map(|(name, script)| (*name, script.as_str()));
        let folder = folder("find", &scripts);
        let preloads = [Preload { name: "gone".to_owned(), path: "/nonexistent.so".into() }];
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
