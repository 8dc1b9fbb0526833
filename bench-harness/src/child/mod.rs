//! What a runner does: one workload in this process, under this process's global allocator.
//!
//! A runner is a program of the `comparisons` package whose `main` is one call of [`main`]. It is
//! started by the driver, either with `--describe`, to say which allocator it carries, or with a
//! workload to run. Its answer is one line of JSON on standard output, an [`Answer`]. Either way it
//! first proves that the allocator it names is the one that serves this process; without the proof,
//! there is no row.

mod proof;

use crate::latency::{self, Timed};
use crate::measure::{self, Hello, Measurement, Watch};
use crate::scenarios::{self, Context, Observed, Tuning};
use crate::workloads::{self, Settings};
use proof::prove;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Changes when driver and runner must be rebuilt together.
pub const PROTOCOL: u32 = 4;

/// What a runner is compiled with: the allocator under test, and how to recognise it.
pub struct Subject {
    /// Name on the command line and in result files.
    pub name: String,
    /// Name for people, with what it is.
    pub title: String,
    /// Place in the report; the smallest comes first.
    pub order: u32,
    /// The allocator's version, as far as it can be found out at run time.
    pub version: fn() -> String,
    /// Bytes that the allocator counts as handed out, where it can tell.
    pub live_bytes: Option<fn() -> usize>,
    /// Whether the allocator counts this block as its own, where it can tell.
    pub owns: Option<fn(*const u8) -> bool>,
    /// Any other evidence: what was seen, or why the allocator is not the one in use.
    pub witness: Option<fn() -> Result<String, String>>,
    /// Bytes that another allocator of this process counts as handed out: it must not be the one in
    /// use.
    pub other_live_bytes: Option<fn() -> usize>,
    /// Sets the allocator as a scenario wants it, where it has such settings.
    pub tune: Option<fn(Tuning) -> Result<(), String>>,
    /// The largest alignment that the allocator serves, where it has such a limit.
    pub largest_alignment: Option<usize>,
    /// `malloc_trim(0)`, where this process has another one than the C library's.
    pub trim: Option<fn() -> bool>,
    /// The allocator's own call that releases all free memory.
    pub release: Option<fn()>,
}

/// Tells a runner which library must serve `malloc`; read by [`preloaded`].
pub(crate) const PRELOADED_NAME: &str = "STRATALLOC_BENCH_PRELOADED_NAME";
/// See [`PRELOADED_NAME`].
pub(crate) const PRELOADED_PATH: &str = "STRATALLOC_BENCH_PRELOADED_PATH";

/// Tells a runner that another loader than the system's started it, and the folder of that one's
/// libraries.
pub(crate) const LIBRARIES: &str = "STRATALLOC_BENCH_LIBRARIES";

/// The name and the library that this runner was started to measure by preloading, if it was.
pub fn preloaded() -> Option<(String, PathBuf)> {
    Some((std::env::var(PRELOADED_NAME).ok()?, std::env::var_os(PRELOADED_PATH)?.into()))
}

/// Who a runner says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// See [`PROTOCOL`].
    pub protocol: u32,
    /// Name on the command line and in result files.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Place in the report.
    pub order: u32,
    /// Version of the allocator.
    pub version: String,
    /// How it was proved that this allocator is in use.
    pub proof: String,
}

/// A runner's line of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `--describe`.
    Described(Description),
    /// To a workload.
    Measured(Measurement),
    /// To a workload whose calls of the allocator were to be watched.
    Watched(Watch),
    /// To `--hello`.
    Greeted(Hello),
    /// To a scenario.
    Observed(Observed),
    /// To a latency load.
    Timed(Timed),
    /// The allocator could not be proved to be in use, or the run was impossible: the reason.
    Refused(String),
}

/// The command line of a runner, which only the driver writes.
#[derive(Debug, PartialEq)]
enum Request {
    Describe,
    Hello,
    Run { workload: String, threads: usize, scale: f64, seed: u64 },
    Watch { workload: String, threads: usize, scale: f64, seed: u64, rest: Duration },
    Show { scenario: String, case: String, tuning: Tuning, scale: f64, seed: u64, rest: Duration },
    Time { load: String, threads: usize, seed: u64, time: Duration },
    Fill { seed: u64 },
}

/// The whole of a runner's `main`.
pub fn main(subject: &Subject) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let answer = match parse(&arguments) {
        Ok(Request::Describe) => describe(subject),
        Ok(Request::Run { workload, threads, scale, seed }) => {
            run(subject, &workload, Settings { threads, scale, seed })
        }
        Ok(Request::Hello) => match measure::hello() {
            Ok(hello) => Answer::Greeted(hello),
            Err(error) => Answer::Refused(format!("measuring failed: {error}")),
        },
        Ok(Request::Watch { workload, threads, scale, seed, rest }) => {
            let settings = Settings { threads, scale, seed };
            watch(subject, &workload, settings, rest).map_or_else(Answer::Refused, Answer::Watched)
        }
        Ok(request @ Request::Show { .. }) => {
            show(subject, request).map_or_else(Answer::Refused, Answer::Observed)
        }
        Ok(Request::Time { load, threads, seed, time: limit }) => {
            time(subject, &load, threads, seed, limit).map_or_else(Answer::Refused, Answer::Timed)
        }
        // A scenario of this very program reads the answer, which is no `Answer`: there is no
        // memory left to make one.
        Ok(Request::Fill { seed }) => {
            return ExitCode::from(u8::from(scenarios::address_limit::fill(seed).is_err()));
        }
        Err(reason) => {
            eprintln!("{}: {reason}\nThis program is started by stratalloc-bench.", subject.name);
            return ExitCode::from(2);
        }
    };
    let refused = matches!(answer, Answer::Refused(_));
    println!("{}", serde_json::to_string(&answer).expect("an answer holds no unusual values"));
    if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Asks for what [`Context::filler`] promises.
const FILL: &str = "--fill";

/// This program, started again to fill its memory: by the same loader, which is what the kernel
/// then takes for the program.
fn filler() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(libraries) = std::env::var_os(LIBRARIES) {
        command.arg("--library-path").arg(libraries);
        command.args(std::env::args_os().next());
    }
    command.arg(FILL);
    command
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("not a number: {text}"));
    match arguments[..] {
        ["--describe"] => Ok(Request::Describe),
        ["--run", workload, threads, scale, seed] => Ok(Request::Run {
            workload: workload.to_owned(),
            threads: number(threads)?.max(1) as usize,
            scale: scale.parse().map_err(|_| format!("not a number: {scale}"))?,
            seed: number(seed)?,
        }),
        ["--hello"] => Ok(Request::Hello),
        ["--watch", workload, threads, scale, seed, rest] => Ok(Request::Watch {
            workload: workload.to_owned(),
            threads: number(threads)?.max(1) as usize,
            scale: scale.parse().map_err(|_| format!("not a number: {scale}"))?,
            seed: number(seed)?,
            rest: Duration::from_millis(number(rest)?),
        }),
        ["--show", scenario, case, tuning, scale, seed, rest] => Ok(Request::Show {
            scenario: scenario.to_owned(),
            case: case.to_owned(),
            tuning: Tuning::ALL
                .into_iter()
                .find(|known| known.name() == tuning)
                .ok_or_else(|| format!("not a tuning: {tuning}"))?,
            scale: scale.parse().map_err(|_| format!("not a number: {scale}"))?,
            seed: number(seed)?,
            rest: Duration::from_millis(number(rest)?),
        }),
        ["--time", load, threads, seed, time] => Ok(Request::Time {
            load: load.to_owned(),
            threads: number(threads)?.max(1) as usize,
            seed: number(seed)?,
            time: Duration::from_millis(number(time)?),
        }),
        [FILL, seed] => Ok(Request::Fill { seed: number(seed)? }),
        _ => Err(
            "expected --describe, --hello, --run WORKLOAD THREADS SCALE SEED, --watch WORKLOAD \
                  THREADS SCALE SEED REST, --show SCENARIO CASE TUNING SCALE SEED REST, or --time \
                  LOAD THREADS SEED MILLISECONDS"
                .to_owned(),
        ),
    }
}

fn describe(subject: &Subject) -> Answer {
    match prove(subject) {
        Ok(proof) => Answer::Described(Description {
            protocol: PROTOCOL,
            name: subject.name.clone(),
            title: subject.title.clone(),
            order: subject.order,
            version: (subject.version)(),
            proof,
        }),
        Err(reason) => Answer::Refused(reason),
    }
}

/// How the reason begins of an allocator that by its own word does not do what a workload asks for.
pub const UNABLE: &str = "it serves no alignment above";

/// Why the allocator cannot do the workload, where it says so itself.
fn unable(subject: &Subject, name: &str) -> Option<String> {
    let wanted = workloads::largest_alignment(name);
    let limit = subject.largest_alignment.filter(|limit| *limit < wanted)?;
    Some(format!("{UNABLE} {} KiB, and the workload asks for {} KiB", limit >> 10, wanted >> 10))
}

fn run(subject: &Subject, name: &str, settings: Settings) -> Answer {
    if let Some(reason) = unable(subject, name) {
        return Answer::Refused(reason);
    }
    let work = match workloads::prepare(name, settings) {
        Ok(work) => work,
        Err(reason) => return Answer::Refused(reason),
    };
    let measured = measure::measure(work);
    // After the work, so that the heap it started with was untouched.
    if let Err(reason) = prove(subject) {
        return Answer::Refused(reason);
    }
    match measured {
        Ok(measurement) => Answer::Measured(measurement),
        Err(error) => Answer::Refused(format!("measuring failed: {error}")),
    }
}

/// A workload whose every call of the allocator is timed.
fn watch(
    subject: &Subject,
    name: &str,
    settings: Settings,
    rest: Duration,
) -> Result<Watch, String> {
    if let Some(reason) = unable(subject, name) {
        return Err(reason);
    }
    let watched = measure::watched(|| workloads::prepare(name, settings), rest)
        .map_err(|error| format!("measuring failed: {error}"))?;
    // After the work, so that the heap it started with was untouched.
    prove(subject)?;
    Ok(watched)
}

/// One case of a scenario: what was seen, or why there is nothing.
fn show(subject: &Subject, request: Request) -> Result<Observed, String> {
    let Request::Show { scenario, case, tuning, scale, seed, rest } = request else {
        return Err("no scenario was asked for".to_owned());
    };
    let found = scenarios::find(&scenario);
    let found = found.filter(|found| found.cases.contains(&case.as_str()));
    let found = found.ok_or_else(|| format!("there is no scenario {scenario} with {case}"))?;
    match subject.tune {
        _ if tuning == Tuning::Default => {}
        Some(tune) => tune(tuning)?,
        None => return Err("it cannot be tuned".to_owned()),
    }
    let context = Context {
        case: &case,
        scale,
        seed,
        rest,
        // SAFETY: the C library's function may be called at any time, from any thread.
        trim: subject.trim.unwrap_or(|| unsafe { libc::malloc_trim(0) } != 0),
        release: subject.release,
        filler,
    };
    let observed = (found.run)(&context).map_err(|error| format!("it failed: {error}"))?;
    // After the scenario, so that the heap it started with was untouched.
    prove(subject)?;
    Ok(observed)
}

/// A latency load, for this long.
fn time(
    subject: &Subject,
    name: &str,
    threads: usize,
    seed: u64,
    limit: Duration,
) -> Result<Timed, String> {
    let load = latency::find(name).ok_or_else(|| format!("there is no latency load {name}"))?;
    let context = latency::Context::new(threads, limit, seed, trimmer(subject));
    let timed = load.time(&context).map_err(|error| format!("it failed: {error}"))?;
    // After the load, so that the heap it started with was untouched.
    prove(subject)?;
    Ok(timed)
}

/// What gives free memory back: the allocator's own `malloc_trim` where it has one, or else its own
/// call for it, or else the `malloc_trim` of this process, which belongs to whichever library
/// defines it.
fn trimmer(subject: &Subject) -> latency::Trim {
    match (subject.trim, subject.release) {
        (Some(trim), _) => latency::Trim::Told(trim),
        (None, Some(release)) => latency::Trim::Silent(release),
        // SAFETY: the C library's function may be called at any time, from any thread.
        (None, None) => latency::Trim::Told(|| unsafe { libc::malloc_trim(0) } != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::proof::tests::subject;
    use super::*;

    #[test]
    fn command_line_of_a_runner_is_strict() {
        let parse = |line: &str| parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("--describe"), Ok(Request::Describe));
        let run = Request::Run { workload: "trees".to_owned(), threads: 2, scale: 0.5, seed: 7 };
        assert_eq!(parse("--run trees 2 0.5 7"), Ok(run));
        assert_eq!(parse("--hello"), Ok(Request::Hello));
        let time = Duration::from_millis(250);
        let timed = Request::Time { load: "steady".to_owned(), threads: 2, seed: 7, time };
        assert_eq!(parse("--time steady 2 7 250"), Ok(timed));
        let watch = Request::Watch {
            workload: "trees".to_owned(),
            threads: 2,
            scale: 0.5,
            seed: 7,
            rest: Duration::from_millis(300),
        };
        assert_eq!(parse("--watch trees 2 0.5 7 300"), Ok(watch));
        assert!(parse("--watch trees 2 0.5 7").is_err());
        let show = Request::Show {
            scenario: "walk".to_owned(),
            case: "walk".to_owned(),
            tuning: Tuning::Pinned,
            scale: 0.5,
            seed: 7,
            rest: Duration::from_millis(20),
        };
        assert_eq!(parse("--show walk walk pinned 0.5 7 20"), Ok(show));
        assert_eq!(parse("--fill 7"), Ok(Request::Fill { seed: 7 }));
        assert!(parse("--show walk walk loose 0.5 7 20").is_err());
        for bad in ["", "--run trees", "--run trees two 0.5 7", "--describe it"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_survive_the_way_through_json() {
        let answer = run(&subject(), "trees", Settings { threads: 2, scale: 0.001, seed: 1 });
        assert!(matches!(answer, Answer::Measured(_)), "{answer:?}");
        let line = serde_json::to_string(&answer).expect("it can be written");
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Answer>(&line).expect("it can be read"), answer);
        let request = |tuning, case: &str| Request::Show {
            scenario: "walk".to_owned(),
            case: case.to_owned(),
            tuning,
            scale: 0.01,
            seed: 1,
            rest: Duration::ZERO,
        };
        assert!(show(&subject(), request(Tuning::Default, "walk")).is_ok());
        let reason = show(&subject(), request(Tuning::Pinned, "walk")).expect_err("no settings");
        assert!(reason.contains("cannot be tuned"), "{reason}");
        assert!(show(&subject(), request(Tuning::Default, "run")).is_err());
        let aligned = run(&subject(), "aligned", Settings { threads: 2, scale: 0.001, seed: 1 });
        let limit = "it serves no alignment above 32 KiB, and the workload asks for 64 KiB";
        assert_eq!(aligned, Answer::Refused(limit.to_owned()));
        let unknown = run(&subject(), "none", Settings { threads: 2, scale: 0.001, seed: 1 });
        assert_eq!(unknown, Answer::Refused("there is no workload none".to_owned()));
    }
}
