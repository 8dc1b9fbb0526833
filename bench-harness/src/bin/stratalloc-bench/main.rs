//! `stratalloc-bench`: runs workloads under allocators, each in a process of its own, and reports.
//!
//! Exit status: 0 when the report was written, 1 when nothing could be measured or a wanted
//! allocator failed, 2 when the command line makes no sense. Of `compare`: 0 when nothing is worse,
//! 1 when something is, 2 when the files cannot be read or compared.

mod args;
mod chosen;
mod latency;
mod programs;
mod progress;
mod rounds;
mod run;
mod scenarios;
mod traces;

use args::{Arguments, Command, Compare, Peers, Report, Show};
use bench_harness::compare::{compare, markdown, table};
use bench_harness::results::{Failure, Results};
use bench_harness::{driver, report, workloads};
use clap::Parser;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why the program cannot do what it was told.
pub enum Problem {
    /// The command line names what is not there.
    Usage(String),
    /// Something went wrong.
    Failed(Box<dyn Error>),
}

impl<E: Into<Box<dyn Error>>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Latency(arguments) => latency::latency(&arguments),
        Command::Scenarios(arguments) => scenarios::scenarios(&arguments),
        Command::Compare(arguments) => return judge(&arguments),
        Command::List(peers) => list(&peers),
        Command::Report(arguments) => rewrite(&arguments),
        Command::Show(arguments) => show(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Usage(reason)) => {
            eprintln!("error: {reason}\n\nFor more information, try '--help' or 'list'.");
            ExitCode::from(2)
        }
        Err(Problem::Failed(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compares two result files; the status is the verdict.
fn judge(arguments: &Compare) -> ExitCode {
    let load =
        |path: &Path| Results::load(path).map_err(|error| format!("{}: {error}", path.display()));
    let compared = load(&arguments.old).and_then(|old| {
        compare(&old, &load(&arguments.new)?, &arguments.allocators, arguments.tolerance / 100.0)
    });
    match compared {
        Ok(compared) => {
            let text = if arguments.markdown { markdown } else { table }(&compared, arguments.all);
            if let Err(Problem::Failed(error)) = print(&text) {
                eprintln!("error: {error}");
            }
            ExitCode::from(u8::from(compared.is_worse()))
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}

fn list(peers: &Peers) -> Result<(), Problem> {
    let mut out = String::from("Workloads:\n");
    for workload in workloads::ALL {
        let threads = if workload.threaded { "threads" } else { "one thread" };
        writeln!(out, "  {:18} {} ({threads})", workload.name, workload.stands_for)?;
    }
    out += "\nReal programs:\n";
    for program in bench_harness::programs::catalogue::ALL {
        writeln!(out, "  {:18} {}", program.name, program.stands_for)?;
    }
    out += "\nScenarios:\n";
    for scenario in bench_harness::scenarios::ALL {
        writeln!(out, "  {:18} {}", scenario.name, scenario.title)?;
    }
    out += "\nLatency loads:\n";
    for load in bench_harness::latency::ALL {
        writeln!(out, "  {:18} {}", load.name, load.title)?;
    }
    out += "\nAllocators:\n";
    let (runners, failures) = driver::find(&runner_folder(peers)?, &preloads(peers)?, |_| true)?;
    for runner in &runners {
        let description = &runner.description;
        let (name, title) = (&description.name, &description.title);
        writeln!(out, "  {name:18} {title} {}", description.version)?;
        writeln!(out, "  {:18}   {}", "", description.proof)?;
        if let Some(origin) = &runner.origin {
            writeln!(out, "  {:18}   {origin}", "")?;
        }
    }
    for failure in &failures {
        writeln!(out, "  {:18} refused: {}", failure.allocator, failure.reason)?;
    }
    print(&out)
}

/// Prints to the standard output, whose reader may have seen enough: `list | head`.
fn print(text: &str) -> Result<(), Problem> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn rewrite(arguments: &Report) -> Result<(), Problem> {
    let results = Results::load(&arguments.results)
        .map_err(|error| format!("{}: {error}", arguments.results.display()))?;
    let beside = arguments.results.parent().unwrap_or(Path::new("."));
    write_report(&results, arguments.out.as_deref().unwrap_or(beside))?;
    if let Some(readme) = &arguments.readme {
        report::write_readme(&results, readme)
            .map_err(|error| format!("{}: {error}", readme.display()))?;
    }
    Ok(())
}

/// Prints what a result file says, without measuring or writing anything.
fn show(arguments: &Show) -> Result<(), Problem> {
    let path = match &arguments.results {
        Some(path) => path.clone(),
        None => run::default_folder()?.join("results.json"),
    };
    let results = Results::load(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut out = format!("Commit {}, {} rounds\n\n", results.machine.commit, results.rounds());
    for allocator in &results.allocators {
        writeln!(out, "{:24} {}", allocator.name, allocator.version)?;
        if let Some(origin) = results.origin(&allocator.name) {
            writeln!(out, "{:24}   {origin}", "")?;
        }
    }
    for Failure { allocator, workload, reason } in &results.failures {
        let of = workload.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
        writeln!(out, "{:24} {reason}", format!("{allocator}{of}"))?;
    }
    writeln!(out, "\n{}", report::summary_text(&results))?;
    let page = path.with_file_name("report.html");
    if page.is_file() {
        writeln!(out, "Page:    {}", page.display())?;
    }
    print(&out)
}

/// Writes the report to `folder`, prints its summary and names it.
fn write_report(results: &Results, folder: &Path) -> Result<(), Problem> {
    let files = report::write(results, folder)?;
    println!("{}", report::summary_text(results));
    println!("Tables:  {}, {}", files.markdown.display(), files.csv.display());
    println!("Page:    {}", files.html.display());
    Ok(())
}

/// The libraries to be preloaded: those that were named, and those that are found, unless a named
/// one has their name.
fn preloads(peers: &Peers) -> Result<Vec<driver::Preload>, Problem> {
    let mut preloads = peers.preload.clone();
    if !peers.no_installed {
        for found in driver::installed(&runner_folder(peers)?) {
            if preloads.iter().all(|known| known.name != found.name) {
                preloads.push(found);
            }
        }
    }
    Ok(preloads)
}

/// Folder of the runner programs.
fn runner_folder(peers: &Peers) -> Result<PathBuf, Problem> {
    if let Some(folder) = &peers.bin_dir {
        return if folder.is_dir() {
            Ok(folder.clone())
        } else {
            Err(Problem::Usage(format!("--bin-dir: {} is not a folder", folder.display())))
        };
    }
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}
