//! Real programs as workloads: what they are, what they are given, and how one run is measured.
//!
//! ```text
//!  host          a small process that starts a program, and tells what all its processes took
//!  catalogue     the programs: packages, commands, inputs, what each stands for
//!  recorded      live set and share of time in malloc, found by `stratalloc-bench-program record`
//!  load          clients of the services
//!  web_service   the service in Rust; the one in C++ is in `services`
//!  inputs        generators of what programs are given; `scripts` is what interpreters are given
//! ```
//!
//! A program is the one that Debian packages, by its full path: what else lies in `PATH` is not
//! what a reader would get. Its allocator is put under it by `LD_PRELOAD`, glibc's as well, because
//! some programs are linked with another one (Debian's redis with jemalloc). The host proves from
//! the loader's own record that `malloc` was bound to the allocator, in every process that a run
//! starts.

pub mod catalogue;
pub mod host;
pub mod inputs;
mod load;
pub mod recorded;
mod web_service;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A real program with its input.
pub struct Program {
    /// Name on the command line and in result files.
    pub name: &'static str,
    /// The real use that it stands for.
    pub stands_for: &'static str,
    /// What one run does.
    pub does: &'static str,
    /// Debian's packages that it comes from, for `ci/programs`.
    pub packages: &'static [&'static str],
    /// The program's file; one without a folder lies beside the programs of this project.
    pub file: &'static str,
    /// Arguments by which it prints its version; empty for this project's own.
    pub version: &'static [&'static str],
    /// Whether a quick report has it.
    pub quick: bool,
    /// Writes its inputs.
    pub make: fn(&Inputs) -> io::Result<()>,
    /// What is run.
    pub work: Work,
}

/// How a program runs.
pub enum Work {
    /// Commands, one after the other.
    Commands(fn(&Place) -> Vec<Step>),
    /// A server under load.
    Service(fn(&Place) -> Service),
}

/// One command.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The program's file and its arguments.
    pub words: Vec<String>,
    /// What it reads on standard input; nothing where there is none.
    pub input: Option<PathBuf>,
    /// Variables that it is given besides those that all have.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// A server.
pub struct Service {
    /// What has to be done before it can start, which is not measured.
    pub prepare: Vec<Step>,
    /// The server.
    pub server: Step,
    /// The Unix socket that it listens at.
    pub socket: PathBuf,
    /// Uses it, and returns a digest of its answers.
    pub load: Box<dyn Fn() -> io::Result<u64> + Send + Sync>,
}

/// Where inputs go, and how large they are.
pub struct Inputs {
    /// The program's own folder for inputs.
    pub folder: PathBuf,
    /// Factor on their amount.
    pub scale: f64,
    /// Where random numbers start.
    pub seed: u64,
}

impl Inputs {
    /// Writes one file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.folder.join(name), bytes)
    }

    /// `full`, scaled, and no less than one.
    pub fn amount(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

/// Where a program runs.
pub struct Place {
    /// The inputs.
    pub inputs: PathBuf,
    /// An empty folder, which is the current one.
    pub work: PathBuf,
    /// The program's file.
    pub file: PathBuf,
    /// Factor on the amount of a load.
    pub scale: f64,
    /// Where random numbers start.
    pub seed: u64,
}

impl Place {
    /// The program with these arguments.
    pub fn step<W: AsRef<str>>(&self, arguments: &[W]) -> Step {
        let file = self.file.to_string_lossy().into_owned();
        let arguments = arguments.iter().map(|word| word.as_ref().to_owned());
        Step { words: std::iter::once(file).chain(arguments).collect(), ..Step::default() }
    }

    /// Path of an input.
    pub fn input(&self, name: &str) -> String {
        self.inputs.join(name).to_string_lossy().into_owned()
    }

    /// `full`, scaled, and no less than one.
    pub fn amount(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

impl Program {
    /// The program's file, seen from the folder where this project's programs are.
    pub fn path(&self, own: &Path) -> PathBuf {
        if self.file.starts_with('/') { PathBuf::from(self.file) } else { own.join(self.file) }
    }

    /// Why it cannot be run here.
    pub fn missing(&self, own: &Path) -> Option<String> {
        let path = self.path(own);
        if path.is_file() {
            return None;
        }
        let packages = self.packages.join(", ");
        Some(if self.file.starts_with('/') {
            format!("{} is not there: package {packages}, which ci/programs installs", self.file)
        } else {
            format!("{} is not there; ci/programs builds it", path.display())
        })
    }

    /// The first line of what it says of its version, or the version of its package where it says
    /// nothing.
    pub fn version(&self, own: &Path) -> String {
        if self.version.is_empty() {
            return format!("of this project, {}", env!("CARGO_PKG_VERSION"));
        }
        let said = Command::new(self.path(own))
            .args(self.version)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("LD_PRELOAD")
            .output();
        let Ok(said) = said else { return String::new() };
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        // What it was linked with is not what serves it here.
        let words = line.split_whitespace().filter(|word| !word.starts_with("malloc="));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Writes its inputs into `folder`, which must be there.
    pub fn prepare(&self, folder: &Path, scale: f64, seed: u64) -> io::Result<()> {
        let folder = folder.join(self.name);
        fs::create_dir_all(&folder)?;
        (self.make)(&Inputs { folder, scale, seed })
    }
}

/// The program of this name.
pub fn find(name: &str) -> Option<&'static Program> {
    catalogue::ALL.iter().copied().find(|program| program.name == name)
}

/// A digest of bytes: FNV-1a with 64 bits.
pub fn digest(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    bytes.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_report_has_sixteen_programs_or_more_and_a_quick_one_fewer() {
        let names: HashSet<_> = catalogue::ALL.iter().map(|program| program.name).collect();
        assert_eq!(names.len(), catalogue::ALL.len(), "two of a name");
        assert!(names.len() >= 16);
        let quick = catalogue::ALL.iter().filter(|program| program.quick).count();
        assert!((4..=8).contains(&quick), "{quick}");
        let workload = |name: &&str| crate::workloads::find(name).is_some();
        assert!(!names.iter().any(workload), "a program has the name of a workload");
    }

    #[test]
    fn every_program_says_where_it_comes_from() {
        for program in catalogue::ALL {
            let own = !program.file.starts_with('/');
            assert_eq!(own, program.version.is_empty(), "{}", program.name);
            assert!(own || !program.packages.is_empty(), "{}", program.name);
        }
        let gone = find("python").expect("it is known");
        let gone = Program { file: "/nonexistent/python3", ..copy(gone) };
        let reason = gone.missing(Path::new("/")).expect("it is not there");
        assert!(reason.contains("python3") && reason.contains("ci/programs"), "{reason}");
    }

    /// The same program, as far as it can be copied.
    fn copy(program: &Program) -> Program {
        Program { work: Work::Commands(|_| Vec::new()), ..*program }
    }

    #[test]
    fn inputs_are_the_same_each_time_they_are_made() {
        let base = std::env::temp_dir().join(format!("inputs-{}", std::process::id()));
        for program in catalogue::ALL {
            let files = |turn: &str| {
                let folder = base.join(turn);
                program.prepare(&folder, 0.01, 3).expect("the temporary folder is writable");
                let entries = fs::read_dir(folder.join(program.name)).expect("it is there");
                let mut files: Vec<_> = entries
                    .map(|entry| {
                        let path = entry.expect("it can be read").path();
                        let bytes = fs::read(&path).expect("it can be read");
                        (path.file_name().map(ToOwned::to_owned), bytes)
                    })
                    .collect();
                files.sort();
                files
            };
            assert_eq!(files("first"), files("second"), "{}", program.name);
        }
        fs::remove_dir_all(base).expect("it is ours");
    }
}
