//! Runs the scripts of `tests/applications` plain and preloaded, and compares what they print.
//!
//! [`list`] reads the table of applications. A [`Place`] is where they run: on this machine, with
//! `LD_PRELOAD`, or in the system that `ci/system` makes, where `/etc/ld.so.preload` names the
//! library for the time of one run, so that it also reaches programs that clear their environment
//! or change their user. [`compare`] runs one application both ways. Its verdict covers stdout, the
//! exit status, the processes that a fault ended and, where the loader can write its trace, whether
//! every process had the library. What the scripts do is none of this module's business.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::library;
use crate::preload;
use crate::process::{self, Finished};

/// Where `ci/system` puts the library, seen from inside of the system.
const LIBRARY: &str = "/usr/lib/libstratalloc.so";

/// When an application runs, and what can be asked of its run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// By default, on the machine itself, and traced.
    Core,
    /// With `--all`, and traced.
    All,
    /// With `--all`. Its processes change their user or their file system, where the loader cannot
    /// write its trace, and would print it on stdout instead.
    Untraced,
}

/// A line of the table.
pub struct Application {
    /// Name of the application and of its script.
    pub name: String,
    /// When it runs.
    pub set: Set,
    /// The longest that a run may take.
    pub limit: Duration,
    /// A command that prints the version.
    pub version: String,
}

/// Where applications run.
pub enum Place {
    /// This machine.
    Machine,
    /// A whole system in this folder.
    System(PathBuf),
}

/// What two runs of an application showed.
pub struct Comparison {
    /// Name of the application.
    pub name: String,
    /// The first line of what its version command printed.
    pub version: String,
    /// Seconds of the plain run.
    pub plain: f64,
    /// Seconds of the preloaded run.
    pub preloaded: f64,
    /// How many lines were the same, or what was not.
    pub result: Result<usize, String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("applications")
}

/// The table of applications, in its order.
#[must_use]
pub fn list() -> Vec<Application> {
    let text = fs::read_to_string(folder().join("list")).expect("the list of applications");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(application).collect()
}

fn application(line: &str) -> Application {
    let fields: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
    let [name, set, seconds, _packages, version] = fields[..] else {
        panic!("not five fields: {line}");
    };
    let set = match set {
        "core" => Set::Core,
        "all" => Set::All,
        "untraced" => Set::Untraced,
        _ => panic!("no such set: {line}"),
    };
    let seconds = seconds.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
    let limit = Duration::from_secs(seconds);
    Application { name: name.to_owned(), set, limit, version: version.to_owned() }
}

/// Runs `application` in `place`, plain and preloaded.
#[must_use]
pub fn compare(place: &Place, application: &Application) -> Comparison {
    let version = version(place, application);
    let plain = Run::new(place, application, false);
    let preloaded = Run::new(place, application, true);
    let result = plain.verdict(&preloaded);
    let seconds = |run: &Run| run.finished.elapsed.as_secs_f64();
    let (plain, preloaded) = (seconds(&plain), seconds(&preloaded));
    Comparison { name: application.name.clone(), version, plain, preloaded, result }
}

fn version(place: &Place, application: &Application) -> String {
    let mut command = match place {
        Place::Machine => Command::new("sh"),
        Place::System(root) => {
            let mut command = Command::new(folder().join("enter"));
            command.arg(root).arg("sh");
            command
        }
    };
    command.arg("-c").arg(&application.version);
    let said = process::run(command, Duration::from_secs(30)).text();
    let lines = said.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(str::to_owned).next().unwrap_or_default()
}

/// One run of an application.
struct Run {
    finished: Finished,
    /// Command and signal of the processes that a fault ended, with how many there were.
    deaths: BTreeMap<(String, u32), usize>,
    /// Processes that ran without the library though they should have had it.
    without: Option<String>,
}

impl Run {
    fn new(place: &Place, application: &Application, preloaded: bool) -> Self {
        match place {
            Place::Machine => Self::on_machine(application, preloaded),
            Place::System(root) => Self::in_system(root, application, preloaded),
        }
    }

    fn on_machine(application: &Application, preloaded: bool) -> Self {
        // The same path for both runs, as compilers write it into what they make.
        let name = format!("stratalloc-{}-{}", application.name, std::process::id());
        let work = std::env::temp_dir().join(name);
        fresh(&work);
        let script = folder().join(format!("{}.sh", application.name));
        let mut command = Command::new("sh");
        command.arg(script).current_dir(&work);
        // The same words in the same order, whatever the user's language is.
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        let (finished, without) = if preloaded {
            preload::run_with_traces(command, application.limit)
        } else {
            (process::run(command, application.limit), None)
        };
        fs::remove_dir_all(work).expect("removing the folder of a run");
        Self { finished, deaths: BTreeMap::new(), without }
    }

    fn in_system(root: &Path, application: &Application, preloaded: bool) -> Self {
        // Folders of its own, so that runs of different applications do not meet.
        let own = format!("/tmp/application-{}", application.name);
        let outside = root.join(own.trim_start_matches('/'));
        fresh(&outside);
        fresh(&outside.join("work"));
        fresh(&outside.join("traces"));
        let script = format!("{}.sh", application.name);
        for file in [script.as_str(), "common"] {
            fs::copy(folder().join(file), outside.join(file)).expect("copying a script");
        }
        let mut command = Command::new(folder().join("enter"));
        command.arg("--deaths").arg(format!("{own}/deaths"));
        if preloaded {
            install_library(root);
            command.args(["--library", LIBRARY]);
        }
        command.arg(root).arg("env").arg(format!("--chdir={own}/work"));
        let traced = preloaded && application.set != Set::Untraced;
        if traced {
            command.arg("LD_DEBUG=files").arg(format!("LD_DEBUG_OUTPUT={own}/traces/trace"));
        }
        command.arg("sh").arg(format!("{own}/{script}"));
        let finished = process::run(command, application.limit);
        let deaths = deaths(&outside.join("deaths"));
        let traces = outside.join("traces");
        let without = traced.then(|| preload::without_library(&traces, LIBRARY)).flatten();
        fs::remove_dir_all(outside).expect("removing the folder of a run");
        Self { finished, deaths, without }
    }

    /// What `preloaded` did otherwise than this, the plain run.
    fn verdict(&self, preloaded: &Self) -> Result<usize, String> {
        let (plain, other) = (&self.finished, &preloaded.finished);
        if !plain.succeeded() || plain.stdout.is_empty() {
            return Err(format!("it fails without the library too:\n{plain}"));
        }
        if other.status != plain.status {
            return Err(format!("it ends otherwise:\n{other}"));
        }
        if let Some(line) = preload::first_difference(&plain.text(), &other.text()) {
            return Err(format!("output differs, {line}\n{other}"));
        }
        if other.errors().contains("stratalloc: ") || other.errors().contains("be preloaded") {
            return Err(format!("the library or the loader complained:\n{other}"));
        }
        if preloaded.deaths != self.deaths {
            let (plain, other) = (&self.deaths, &preloaded.deaths);
            return Err(format!("ended by signals: {other:?}, plain {plain:?}"));
        }
        match &preloaded.without {
            Some(process) => Err(format!("a process ran without the library:\n{process}")),
            None => Ok(plain.text().lines().count()),
        }
    }
}

/// Puts the library under test into the system, which may be newer than what the system was made
/// with. By a new name first: processes that still run have the old file mapped.
fn install_library(root: &Path) {
    let inside = root.join(LIBRARY.trim_start_matches('/'));
    let new = inside.with_extension(format!("so.{}", std::process::id()));
    fs::copy(library::shared(), &new).expect("copying the library");
    fs::rename(new, inside).expect("replacing the library");
}

/// Makes `path` an empty folder in which everybody may write.
fn fresh(path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).expect("removing a folder of an earlier run");
    }
    fs::create_dir(path).expect("making the folder of a run");
    fs::set_permissions(path, Permissions::from_mode(0o777)).expect("opening a folder to all");
}

/// The processes that a fault ended, from the kernel's accounting file (`acct(5)`, version 3).
fn deaths(file: &Path) -> BTreeMap<(String, u32), usize> {
    const RECORD: usize = 64;
    const FAULTS: [i32; 7] = [
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGSYS,
    ];
    let mut found = BTreeMap::new();
    for record in fs::read(file).unwrap_or_default().chunks_exact(RECORD) {
        let status = u32::from_ne_bytes(record[4..8].try_into().expect("four bytes"));
        let signal = status & 0x7f;
        if FAULTS.iter().any(|&fault| fault.unsigned_abs() == signal) {
            let command = String::from_utf8_lossy(&record[48..]);
            let command = command.trim_end_matches('\0').to_owned();
            *found.entry((command, signal)).or_default() += 1;
        }
    }
    found
}

/// The comparisons as a table in Markdown.
#[must_use]
pub fn table(comparisons: &[Comparison]) -> String {
    let mut lines = vec![
        "| application | version | plain s | preloaded s | result |".to_owned(),
        "|---|---|--:|--:|---|".to_owned(),
    ];
    for c in comparisons {
        let result = match &c.result {
            Ok(1) => "the same line".to_owned(),
            Ok(count) => format!("the same {count} lines"),
            Err(why) => why.lines().next().unwrap_or_default().to_owned(),
        };
        let (plain, preloaded) = (c.plain, c.preloaded);
        let version = c.version.replace('|', " ");
        lines.push(format!("| {} | {version} | {plain:.1} | {preloaded:.1} | {result} |", c.name));
    }
    lines.join("\n")
}
