//! `stratalloc-ctl`: talks to a running process on stratalloc, and turns its dumps into reports and
//! heap profiles (C6.2). `docs/profiling.md` shows how.
//!
//! * `process`: what `/proc` tells of a process; where its socket may be.
//! * `client`: the control socket, and why a process does not answer.
//! * `list`: the processes that answer.
//! * `dump`: what the allocator writes: stacks as addresses, figures, mappings.
//! * `symbols`: from addresses to functions, files and lines.
//! * `blocks`: every block of a process.
//! * `objects`: the files that are mapped, and their debug information, by build-id.
//! * `suppressions`: which stacks a report leaves out.
//! * `group`: stacks with names, the allocator's own frames cut off, suppressions applied.
//! * `leaks`: the leak report, for people and machines.
//! * `pprof`, `flame`: heap profiles for other tools.
//! * `page`: the heap as a page of HTML.
//! * `stopped`: the threads of a process, stopped.
//! * `reach`: which blocks no pointer leads to.
//! * `unreachable`: the report of that.
//! * `top`: the view that refreshes.
//! * `generate`: completion for shells, and the man page.
//!
//! It also makes the leak report at exit: the allocator starts it with a dump on its input.

mod blocks;
mod client;
mod dump;
mod flame;
mod generate;
mod group;
mod leaks;
mod list;
mod live;
mod objects;
mod page;
mod pprof;
mod process;
mod reach;
mod stopped;
mod suppressions;
mod symbols;
mod top;
mod unreachable;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use dump::Dump;
use group::Figures;
use objects::Files;
use process::Process;
use suppressions::Suppressions;

/// Talks to processes on stratalloc, and reads their dumps.
#[derive(Parser)]
#[command(name = "stratalloc-ctl", version, arg_required_else_help = true)]
#[command(
    override_usage = "stratalloc-ctl PID|SOCKET COMMAND\n       stratalloc-ctl list\n       \
    stratalloc-ctl report [OPTIONS] FILE"
)]
#[command(
    after_help = "`stratalloc-ctl PID --help` lists the commands for a process, which must have been \
    started with the option control (STRATALLOC_CONTROL=1)."
)]
struct Offline {
    #[command(subcommand)]
    action: OfflineAction,
}

#[derive(Subcommand)]
enum OfflineAction {
    /// Lists the processes that have a control socket, and removes sockets that are stale.
    List(list::List),
    /// Reads a dump from a file (- for the standard input) and writes a report or a profile.
    Report(Report),
    /// Writes completion for a shell.
    Completions(generate::Completions),
    /// Writes the man page.
    Man,
}

#[derive(Args)]
struct Report {
    /// Called by a process that exits: nothing is written where nothing is outstanding.
    #[arg(long, hide = true)]
    at_exit: bool,
    /// Called so as well: only what no pointer leads to.
    #[arg(long, hide = true, requires = "at_exit")]
    unreachable: bool,
    #[command(flatten)]
    how: How,
    /// The dump.
    file: PathBuf,
}

/// What is made of a dump.
#[derive(Args)]
struct How {
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Which figures go to folded stacks and flame graphs, and sort reports.
    #[arg(long, value_enum, default_value_t = Figures::Live)]
    figures: Figures,
    /// Functions, with colons between, whose allocations are left out; * stands for any text.
    #[arg(long, default_value = "")]
    suppress: String,
    /// File of suppressions in LeakSanitizer's format (leak:PATTERN).
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
    /// Folder with debug information by build-id, beside /usr/lib/debug; may be given repeatedly.
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,
    /// Most groups that a report shows.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// File to write to instead of the standard output.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A leak report for people.
    Text,
    /// The same for machines.
    Json,
    /// A gzipped protocol buffer, as `go tool pprof` reads it.
    Pprof,
    /// A line per stack, as tools for flame graphs read them.
    Folded,
    /// A flame graph.
    Svg,
    /// The dump as it is.
    Raw,
}

impl How {
    /// Writes what `text`, a dump of `process` if that runs, comes to.
    fn write(&self, text: &str, process: Option<Process>) -> Result<()> {
        self.write_unless(text, process, false).map(drop)
    }

    /// As `write`; `quiet`: nothing if nothing is outstanding. Returns whether anything was
    /// written.
    fn write_unless(&self, text: &str, process: Option<Process>, quiet: bool) -> Result<bool> {
        if self.format == Format::Raw {
            return self.deliver(text.as_bytes()).map(|()| true);
        }
        let dump = self.parse(text, process)?;
        let groups = group::groups(&dump, &self.suppressions()?);
        if quiet && groups.iter().all(|group| group.tally.live_count == 0) {
            return Ok(false);
        }
        let bytes = match self.format {
            Format::Text => leaks::text(&dump, groups, self.figures, self.limit).into_bytes(),
            Format::Json => leaks::json(&dump, groups, self.figures, self.limit)?.into_bytes(),
            Format::Pprof => pprof::encode(&dump)?,
            Format::Folded => flame::folded(&groups, self.figures).into_bytes(),
            Format::Svg => flame::svg(&groups, self.figures)?,
            Format::Raw => unreachable!("written above"),
        };
        self.deliver(&bytes).map(|()| true)
    }

    /// Reads a dump of `process`, if that runs.
    fn parse(&self, text: &str, process: Option<Process>) -> Result<Dump> {
        let mut dump = Dump::parse(text)?;
        dump.files = Files { process, debug_dirs: self.debug_dir.clone() };
        Ok(dump)
    }

    /// What is left out.
    fn suppressions(&self) -> Result<Suppressions> {
        let list = Suppressions::new(&self.suppress);
        match &self.suppressions {
            Some(path) => list.with_file(path),
            None => Ok(list),
        }
    }

    fn deliver(&self, bytes: &[u8]) -> Result<()> {
        match &self.output {
            Some(path) => fs::write(path, bytes).with_context(|| path.display().to_string()),
            None => print(bytes),
        }
    }
}

/// Writes to the standard output. A reader that had enough is no error.
fn print(bytes: &[u8]) -> Result<()> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(path).with_context(|| path.display().to_string())?;
    }
    // Names of mapped files may be anything.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stratalloc-ctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let first = std::env::args().nth(1).unwrap_or_default();
    let is_offline =
        |name: &str| name == "help" || Offline::command().find_subcommand(name).is_some();
    if !(first.is_empty() || first.starts_with('-') || is_offline(&first)) {
        return live::run();
    }
    match parsed::<Offline>().action {
        OfflineAction::List(list) => list::run(&list),
        OfflineAction::Report(report) if report.at_exit => at_exit(&report),
        OfflineAction::Report(report) => report.how.write(&read(&report.file)?, None),
        OfflineAction::Completions(asked) => generate::completions(&asked),
        OfflineAction::Man => generate::man(),
    }
}

/// Parses the command line. One that is wrong ends the program with status 2, and the usage.
fn parsed<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        let text = error.to_string();
        let _ = error.print();
        if error.exit_code() == 2 && !text.contains("Usage:") {
            eprintln!("\n{}", T::command().render_usage());
        }
        std::process::exit(error.exit_code())
    })
}

/// The report of a process that exits and waits for this one. That it was written is told by the
/// dump, which is cut to nothing: the process may have no status of this program.
fn at_exit(report: &Report) -> Result<()> {
    let text = read(&report.file)?;
    let written = if report.unreachable {
        unreachable::at_exit(&text, &report.how)?
    } else {
        report.how.write_unless(&text, None, true)?
    };
    if written {
        // SAFETY: a number; fails for what is no file, which the process then sees.
        unsafe { libc::ftruncate(0, 0) };
    }
    Ok(())
}
