//! `--trace`: files that were recorded (`docs/traces.md`), as workloads.

use crate::Problem;
use bench_harness::results::WorkloadFacts;
use bench_harness::trace;
use bench_harness::workloads::TRACE;
use std::path::PathBuf;

/// A trace that can be replayed.
pub struct TraceFile {
    /// Where it is, whatever the current folder.
    pub path: PathBuf,
    /// What the report says of it.
    pub facts: WorkloadFacts,
}

/// Reads the traces, so that a bad one is told before anything is measured.
pub fn look(paths: &[PathBuf]) -> Result<Vec<TraceFile>, Problem> {
    let mut found: Vec<TraceFile> = Vec::new();
    for given in paths {
        let bad = |reason: String| Problem::Usage(format!("--trace: {reason}"));
        let path =
            given.canonicalize().map_err(|error| bad(format!("{}: {error}", given.display())))?;
        let trace = trace::load(&path, usize::MAX).map_err(bad)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{TRACE}{}", file.replace(['\n', '='], "-"));
        if found.iter().any(|other| other.facts.name == name) {
            return Err(bad(format!("there are two files called {file}")));
        }
        let threads = trace.threads.len();
        let stands_for = format!(
            "the program that was recorded: {} calls on {threads} thread{}, at most {} KiB live",
            trace.events,
            if threads == 1 { "" } else { "s" },
            trace.peak_live.div_ceil(1024)
        );
        let (unit, threaded) = ("calls".to_owned(), threads > 1);
        found.push(TraceFile { path, facts: WorkloadFacts { name, stands_for, unit, threaded } });
    }
    Ok(found)
}
