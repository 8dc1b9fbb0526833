//! `stratalloc-ctl`: talks to a running process on stratalloc, and turns its dumps into reports and
//! heap profiles (C6.2). `docs/profiling.md` shows how.
//!
//! * `client`: the control socket.
//! * `dump`: what the allocator writes: stacks as addresses, figures, mappings.
//! * `symbols`: from addresses to functions, files and lines.
//! * `group`: stacks with names, the allocator's own frames cut off, suppressions applied.
//! * `leaks`: the leak report, for people and machines.
//! * `pprof`, `flame`: heap profiles for other tools.
//! * `page`: the heap as a page of HTML.
//! * `top`: the view that refreshes.
//!
//! It also makes the leak report at exit: the allocator starts it with a dump on its input.

mod client;
mod dump;
mod flame;
mod group;
mod leaks;
mod live;
mod page;
mod pprof;
mod symbols;
mod top;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

use dump::Dump;
use group::Figures;

/// Talks to processes on stratalloc, and reads their dumps.
#[derive(Parser)]
#[command(name = "stratalloc-ctl", version, arg_required_else_help = true)]
#[command(
    override_usage = "stratalloc-ctl PID|SOCKET COMMAND\n       stratalloc-ctl report [OPTIONS] FILE"
)]
#[command(
    after_help = "`stratalloc-ctl 1 --help` lists the commands; the process must have been started \
    with the option control (STRATALLOC_CONTROL=1)."
)]
struct Offline {
    #[command(subcommand)]
    action: OfflineAction,
}

#[derive(Subcommand)]
enum OfflineAction {
    /// Reads a dump from a file (- for the standard input) and writes a report or a profile.
    Report(Report),
}

#[derive(Args)]
struct Report {
    /// Called by a process that exits: nothing is written where nothing is outstanding.
    #[arg(long, hide = true)]
    at_exit: bool,
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
    /// Writes what `text`, a dump, comes to; `quiet`: nothing if nothing is outstanding.
    fn write(&self, text: &str, quiet: bool) -> Result<()> {
        if self.format == Format::Raw {
            return self.deliver(text.as_bytes());
        }
        let dump = Dump::parse(text)?;
        let suppressions = group::Suppressions::new(&self.suppress);
        let groups = group::groups(&dump, &suppressions);
        if quiet && groups.iter().all(|group| group.tally.live_count == 0) {
            return Ok(());
        }
        let bytes = match self.format {
            Format::Text => leaks::text(&dump, groups, self.figures, self.limit).into_bytes(),
            Format::Json => leaks::json(&dump, groups, self.figures, self.limit)?.into_bytes(),
            Format::Pprof => pprof::encode(&dump)?,
            Format::Folded => flame::folded(&groups, self.figures).into_bytes(),
            Format::Svg => flame::svg(&groups, self.figures)?,
            Format::Raw => unreachable!("written above"),
        };
        self.deliver(&bytes)
    }

    fn deliver(&self, bytes: &[u8]) -> Result<()> {
        match &self.output {
            Some(path) => fs::write(path, bytes).with_context(|| path.display().to_string()),
            None => match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
                // The reader had enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                result => Ok(result?),
            },
        }
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
    if first.is_empty() || first.starts_with('-') || ["report", "help"].contains(&first.as_str()) {
        let OfflineAction::Report(report) = Offline::parse().action;
        return report.how.write(&read(&report.file)?, report.at_exit);
    }
    live::run()
}
