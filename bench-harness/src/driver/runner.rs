//! Runners: the programs that carry an allocator each, how they are started, and how they are
//! asked.

use super::instructions::collected;
use super::sampled::{INTERVAL, SAMPLED};
use super::spawn::{self, SpawnError};
use crate::child::{Answer, Description, LIBRARIES, PRELOADED_NAME, PRELOADED_PATH, PROTOCOL};
use crate::results::Origin;
use crate::workloads::TRACES;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The runner that uses the C library's `malloc`, which a preloaded library replaces.
const SYSTEM: &str = "run-ptmalloc";
/// What an allocator needs to work as its authors mean it. The kernel takes one area for
/// restartable sequences from each thread. Unless glibc is told not to give its own, Google's
/// tcmalloc cannot give one, and does without its caches of each processor.
const NEEDED: [(&str, &str, &str); 1] =
    [("run-tcmalloc", "GLIBC_TUNABLES", "glibc.pthread.rseq=0")];
/// A runner that takes longer to say who it is does not work.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A variable that nobody reads, for its length.
const PADDING: &str = "BENCH_PADDING";

/// A library to be measured by preloading it under the system's runner. A C library is not
/// preloaded, but is what its loader loads.
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
pub(super) struct Start {
    program: PathBuf,
    loader: Option<Loader>,
    environment: Vec<(&'static str, OsString)>,
}

impl Start {
    /// A program that brings its allocator along.
    pub(super) fn plain(program: PathBuf) -> Self {
        let file = program.file_name().unwrap_or_default();
        let needed = NEEDED.iter().filter(|(name, ..)| file == *name);
        let environment = needed.map(|(_, name, value)| (*name, (*value).into())).collect();
        Self { program, loader: None, environment }
    }

    /// The system's runner in `folder`, to be served by a library.
    pub(super) fn preloaded(folder: &Path, preload: &Preload, library: &Path) -> Self {
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

impl Runner {
    /// Asks the program who it is.
    pub(super) fn introduce(
        start: Start,
        library: Option<PathBuf>,
        origin: Option<Origin>,
    ) -> Result<Self, String> {
        let answer = start.ask(&["--describe"], TIMEOUT);
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

    /// The same allocator once more, with a sample for each 512 KiB: by a program that was compiled
    /// to sample where it has one of its own, by the environment elsewhere.
    pub(super) fn sampled(&self) -> Result<Self, String> {
        let (option, value) = INTERVAL;
        let mut start = self.start.clone();
        let mut compiled = start.program.clone().into_os_string();
        compiled.push(SAMPLED);
        if self.library.is_none() && Path::new(&compiled).is_file() {
            start.program = compiled.into();
        } else {
            start.environment.push((option, value.into()));
        }
        let mut runner = Self::introduce(start, self.library.clone(), None)?;
        runner.description.name = format!("{}{SAMPLED}", self.name());
        runner.description.title += &format!(", with a sample for each {value}");
        let named = |origin: &Origin| Origin {
            allocator: runner.description.name.clone(),
            ..origin.clone()
        };
        runner.origin = self.origin.as_ref().map(named);
        Ok(runner)
    }

    /// Tells the program where the traces are that were named on the command line, each with its
    /// name as a workload.
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

    /// The library that serves `malloc` in place of the system's, if one does, and the variables
    /// that set the allocator: what it takes to put the same allocator under any other program.
    pub fn preloaded(&self) -> Option<(&Path, Vec<(String, String)>)> {
        let settings = self.start.environment.iter().filter(|(name, _)| is_setting(name));
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

    /// The same with an environment that is longer by so many bytes, so that the stack lies
    /// elsewhere.
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

    /// The same with some variables more in its environment.
    pub fn ask_with(
        &self,
        arguments: &[&str],
        limit: Duration,
        variables: &[(&'static str, OsString)],
    ) -> Result<Answer, SpawnError> {
        let mut start = self.start.clone();
        start.environment.extend_from_slice(variables);
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
    "STRATALLOC_",
    "GLIBC_TUNABLES",
];

/// How the names of variables begin that driver and runners speak by.
const OWN: &str = "STRATALLOC_BENCH_";

/// Whether a variable sets an allocator.
fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| name.starts_with(setting)) && !name.starts_with(OWN)
}

/// `command` with a runner's environment and none of the settings that this process has.
fn prepared(
    mut command: Command,
    environment: &[(&'static str, OsString)],
    arguments: &[&str],
) -> Command {
    command.args(arguments).env_remove("LD_PRELOAD");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if is_setting(&text) {
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
