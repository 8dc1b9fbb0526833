//! Running real programs in rounds, as workloads are: every program under every allocator that can
//! be put under it, in turn.
//!
//! What is done before the rounds: the programs that are here are found, their inputs are made, and
//! every pair of program and allocator is run once on a twentieth of the input, to prove that the
//! allocator is in use. A pair without a proof has no cell. Then the input is cut until four rounds
//! fit into the time ([`fit`]). Each run is a process of the host program
//! (`crate::programs::host`), which must lie beside the runners.

mod fit;
mod session;

pub use fit::LEAST_ROUNDS_OF_PROGRAMS;

use self::session::Session;
use super::quiet::Quiet;
use super::{Runner, Step, outvote, padding, round};
use crate::measure::Measurement;
use crate::programs::host::{Answer, Measured, Purpose};
use crate::programs::{Program, catalogue, recorded};
use crate::results::{Failure, InUse, Missing, ProgramFacts, ProgramRun, Results, Run};
use crate::summary::BASELINE;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The host program.
const HOST: &str = "stratalloc-bench-program";
/// Part of the input with which the allocator is proved.
const PROOF_SCALE: f64 = 0.05;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names of the programs; all where there are none.
    pub names: Vec<String>,
    /// Only those of a quick report, unless they are named.
    pub quick: bool,
    /// Factor on the amount of input, which is cut to less where four rounds would not fit into the
    /// time.
    pub scale: f64,
    /// Rounds to be done.
    pub rounds: usize,
    /// Rounds that would end later are not started, except the first four.
    pub time: Duration,
    /// A single run that takes longer is stopped and counts as a failure.
    pub run: Duration,
    /// Where the host program and this project's own services are.
    pub own: PathBuf,
    /// A folder for inputs and runs, which is gone afterwards.
    pub folder: PathBuf,
}

/// An allocator that can be put under a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the allocator.
    pub allocator: String,
    /// Its library, without symbolic links.
    pub library: PathBuf,
    /// The folder of another C library that it needs in the place of the system's.
    pub system: Option<PathBuf>,
    /// Variables that set it.
    pub environment: Vec<(String, String)>,
}

/// What happened, for whoever watches.
pub enum Heard<'a> {
    /// Inputs are being made.
    Preparing,
    /// A run is about to start: its round (0 is the proof), the program, the allocator.
    Starting(usize, &'a str, &'a str),
    /// A program is about to be tried under the allocator, for how long it takes.
    Trying(&'a str, &'a str),
    /// The input was cut to this factor, so that four rounds fit into the time.
    Scaled(f64),
    /// A run has ended and its outcome is in the results, which want to be saved.
    Finished(&'a Results),
    /// No further round is started: it would not fit into the time. The rounds that were completed.
    OutOfTime(usize),
}

/// glibc's own library, which is preloaded like any other: some programs are linked with another
/// allocator.
pub fn system_library() -> io::Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let line = maps.lines().find(|line| line.ends_with("/libc.so.6"));
    let path = line.and_then(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    path.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this program has no glibc"))
}

/// The runners whose allocator can be put under a program, and the others with the reason.
pub fn columns(runners: &[Runner]) -> (Vec<Column>, Vec<Missing>) {
    let (mut columns, mut missing) = (Vec::new(), Vec::new());
    for runner in runners {
        let name = runner.name().to_owned();
        match column(runner) {
            Ok(column) => columns.push(column),
            Err(reason) => missing.push(Missing { name, reason }),
        }
    }
    (columns, missing)
}

fn column(runner: &Runner) -> Result<Column, String> {
    let trouble = |error: io::Error| error.to_string();
    let allocator = runner.name().to_owned();
    let system = runner.system().map(Path::to_owned);
    let (library, environment) = match runner.preloaded() {
        // It lies in the place of the system's, where it is found under the system's name.
        Some((library, settings)) if system.is_some() && library.ends_with("libc.so.6") => {
            (system_library().map_err(trouble)?, settings)
        }
        Some((library, settings)) => (library.canonicalize().map_err(trouble)?, settings),
        None if allocator == BASELINE => (system_library().map_err(trouble)?, Vec::new()),
        None => return Err("it is linked into its runner, and no library to preload".to_owned()),
    };
    Ok(Column { allocator, library, system, environment })
}

/// Runs programs under `columns`; everything that is measured, proved and missing is added to
/// `results.programs`, and what fails to `results.failures`. Runs that the results hold already are
/// not done again. Fails where inputs cannot be made or the host is not there.
pub fn run_programs(
    results: &mut Results,
    columns: &[Column],
    asked: &Asked,
    mut watch: impl FnMut(Heard<'_>),
) -> io::Result<()> {
    let begin = Instant::now();
    if !asked.own.join(HOST).is_file() {
        let reason = format!("{HOST} is not in {}", asked.own.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    let chosen = choose(results, asked);
    if chosen.is_empty() || columns.is_empty() {
        return Ok(());
    }
    watch(Heard::Preparing);
    let reference = columns.iter().position(|one| one.allocator == BASELINE).unwrap_or(0);
    let mut session = Session {
        asked,
        reference: &columns[reference].allocator,
        seed: results.plan.seed,
        scale: results.programs.scale,
    };
    session.prepare(&chosen, session.scale)?;
    session.prepare(&chosen, PROOF_SCALE)?;
    let broken = prove_all(results, &chosen, columns, &session, &mut watch);
    if results.programs.runs.is_empty() {
        let round = fit::try_all(&chosen, columns, reference, &session, &broken, &mut watch);
        let share = round.fitting(asked.rounds, asked.time.saturating_sub(begin.elapsed()));
        if share < 1.0 {
            // Without the last digits, which are noise of the product.
            session.scale = (session.scale * share * 1e6).round() / 1e6;
            results.programs.scale = session.scale;
            session.prepare(&chosen, session.scale)?;
            watch(Heard::Scaled(session.scale));
        }
    }
    rounds(results, &chosen, columns, &session, broken, begin, &mut watch);
    vote(results);
    fs::remove_dir_all(&asked.folder)
}

/// The programs to be run; their facts, and those that are missing, are noted.
fn choose(results: &mut Results, asked: &Asked) -> Vec<&'static Program> {
    let wanted = |program: &&Program| {
        if asked.names.is_empty() {
            program.quick || !asked.quick
        } else {
            asked.names.iter().any(|name| name == program.name)
        }
    };
    let known = &mut results.programs;
    if known.runs.is_empty() {
        known.scale = asked.scale;
    }
    known.missing_programs.clear();
    let mut chosen = Vec::new();
    for program in catalogue::ALL.into_iter().filter(wanted) {
        if let Some(reason) = program.missing(&asked.own) {
            known.missing_programs.push(Missing { name: program.name.to_owned(), reason });
            continue;
        }
        chosen.push(program);
        if !known.facts.iter().any(|facts| facts.name == program.name) {
            known.facts.push(facts(program, &asked.own));
        }
    }
    chosen
}

fn facts(program: &Program, own: &Path) -> ProgramFacts {
    let recorded = recorded::of(program.name);
    ProgramFacts {
        name: program.name.to_owned(),
        stands_for: program.stands_for.to_owned(),
        does: program.does.to_owned(),
        version: program.version(own),
        packages: program.packages.iter().map(|package| (*package).to_owned()).collect(),
        threads: 0,
        processes: 0,
        live_kib: recorded.live_kib,
        malloc_share: recorded.malloc_share,
    }
}

/// Proves every pair that has no proof yet; returns those (program and column by index) without
/// one.
fn prove_all(
    results: &mut Results,
    chosen: &[&'static Program],
    columns: &[Column],
    session: &Session<'_>,
    watch: &mut impl FnMut(Heard<'_>),
) -> HashSet<(usize, usize)> {
    let mut broken = HashSet::new();
    for step in round(0, chosen.len(), columns.len()) {
        let (program, column) = (chosen[step.workload], &columns[step.runner]);
        let known = |one: &InUse| one.allocator == column.allocator && one.program == program.name;
        if results.programs.in_use.iter().any(known) {
            continue;
        }
        watch(Heard::Starting(0, program.name, &column.allocator));
        let (allocator, name) = (column.allocator.clone(), program.name.to_owned());
        match session.ask(program, column, Purpose::Prove, PROOF_SCALE, padding(0)) {
            Ok(Answer::Proved { mut proof, .. }) => {
                if column.system.is_some() {
                    proof += ", with the allocator's own glibc in the place of the system's";
                }
                results.programs.in_use.push(InUse { allocator, program: name, proof });
            }
            other => {
                broken.insert((step.workload, step.runner));
                let reason = refusal(other.map(|_| ()));
                results.failures.push(Failure { allocator, workload: Some(name), reason });
            }
        }
        watch(Heard::Finished(results));
    }
    broken
}

fn refusal(outcome: Result<(), String>) -> String {
    outcome.err().unwrap_or_else(|| "the host gave another answer than asked for".to_owned())
}

fn rounds(
    results: &mut Results,
    chosen: &[&'static Program],
    columns: &[Column],
    session: &Session<'_>,
    mut broken: HashSet<(usize, usize)>,
    begin: Instant,
    watch: &mut impl FnMut(Heard<'_>),
) {
    let asked = session.asked;
    let mut quiet = Quiet::new(asked.rounds * chosen.len() * columns.len());
    let mut longest = Duration::ZERO;
    for number in 1..=asked.rounds {
        let missing: Vec<Step> = round(number, chosen.len(), columns.len())
            .into_iter()
            .filter(|step| !done(results, chosen[step.workload], &columns[step.runner], number))
            .collect();
        // A round that was interrupted is completed in any case: rows are compared by rounds.
        let begun = missing.len() < chosen.len() * columns.len();
        if number > LEAST_ROUNDS_OF_PROGRAMS && !begun && begin.elapsed() + longest > asked.time {
            watch(Heard::OutOfTime(number - 1));
            break;
        }
        let start = Instant::now();
        for step in missing {
            let (program, column) = (chosen[step.workload], &columns[step.runner]);
            if broken.contains(&(step.workload, step.runner)) {
                continue;
            }
            watch(Heard::Starting(number, program.name, &column.allocator));
            if let Err(reason) = one(results, program, column, session, number, &mut quiet) {
                broken.insert((step.workload, step.runner));
                let (allocator, workload) =
                    (column.allocator.clone(), Some(program.name.to_owned()));
                results.failures.push(Failure { allocator, workload, reason });
            }
            watch(Heard::Finished(results));
        }
        longest = longest.max(start.elapsed());
    }
}

fn done(results: &Results, program: &Program, column: &Column, number: usize) -> bool {
    let same = |one: &ProgramRun| {
        let Run { allocator, workload, round, .. } = &one.run;
        *allocator == column.allocator && *workload == program.name && *round == number
    };
    results.programs.runs.iter().any(same)
}

/// One measured run, repeated where the machine disturbed it.
fn one(
    results: &mut Results,
    program: &Program,
    column: &Column,
    session: &Session<'_>,
    number: usize,
    quiet: &mut Quiet,
) -> Result<(), String> {
    let mut tries: Vec<Measured> = Vec::new();
    let mut reason = None;
    let ask = || session.ask(program, column, Purpose::Measure, session.scale, padding(number));
    let kept = quiet.keep(|| match ask() {
        Ok(Answer::Measured(measured)) => {
            tries.push(*measured);
            tries.last().map(|measured| measured.measurement.clone())
        }
        other => {
            reason = Some(refusal(other.map(|_| ())));
            None
        }
    });
    let Some((mut measured, mut conditions)) = kept else {
        return Err(reason.unwrap_or_default());
    };
    let of_kept = tries.iter().find(|one| one.measurement == measured);
    let pss_peak_kib = of_kept.map_or(0, |one| one.pss_peak_kib);
    // Some allocators have threads of their own: those of the program are what the reference has.
    let reference = column.allocator == session.reference;
    let facts = results.programs.facts.iter_mut().find(|known| known.name == program.name);
    if let Some(facts) = facts.filter(|_| reference) {
        for one in &tries {
            facts.threads = facts.threads.max(one.threads);
            facts.processes = facts.processes.max(one.processes);
        }
    }
    conditions.padding = padding(number);
    if number > 1 {
        // One curve is enough of each pair.
        measured = Measurement { timeline: Vec::new(), ..measured };
    }
    let (allocator, workload) = (column.allocator.clone(), program.name.to_owned());
    let run = Run { allocator, workload, round: number, measured, conditions: Some(conditions) };
    results.programs.runs.push(ProgramRun { run, pss_peak_kib });
    Ok(())
}

/// Takes out the runs whose output was another one than that of most runs of their program.
fn vote(results: &mut Results) {
    let Some(mut alone) = results.of_programs() else { return };
    let known = alone.failures.len();
    outvote(&mut alone);
    let kept = |one: &ProgramRun| alone.runs.contains(&one.run);
    results.programs.runs.retain(kept);
    results.failures.extend(alone.failures.drain(known..));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{programs, results};

    #[test]
    fn runs_whose_output_differs_are_outvoted_and_reported() {
        let mut all = results(&["ptmalloc", "a", "b"], &[], 0, |_, _, _| 1.0, |_| 1);
        all.programs = programs(&["ptmalloc", "a", "b"], &["jq", "git"], 2, |_| 1.0);
        for one in &mut all.programs.runs {
            if one.run.allocator == "b" && one.run.workload == "git" {
                one.run.measured.checksum = 5;
            }
        }
        vote(&mut all);
        assert_eq!(all.programs.runs.len(), 10);
        assert_eq!(all.failures.len(), 2);
        let of_pair =
            |one: &Failure| one.allocator == "b" && one.workload.as_deref() == Some("git");
        assert!(all.failures.iter().all(of_pair), "{:?}", all.failures);
    }

    #[test]
    fn a_program_that_is_not_here_costs_its_row_and_the_reason_is_kept() {
        let folder = std::env::temp_dir().join("no-folder-of-programs");
        let asked = Asked {
            names: vec!["web-cpp".to_owned()],
            quick: false,
            scale: 1.0,
            rounds: 1,
            time: Duration::ZERO,
            run: Duration::ZERO,
            own: folder.clone(),
            folder,
        };
        let mut all = results(&["ptmalloc"], &[], 0, |_, _, _| 1.0, |_| 1);
        assert_eq!(choose(&mut all, &asked).len(), 0);
        let missing = &all.programs.missing_programs;
        assert_eq!(missing.len(), 1);
        assert!(missing[0].reason.contains("ci/programs"), "{missing:?}");
        let error = run_programs(&mut all, &[], &asked, |_| {}).expect_err("there is no host");
        assert!(error.to_string().contains(HOST), "{error}");
    }
}
