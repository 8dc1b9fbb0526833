//! The host: a small process that starts a program, watches it, and tells what it took.
//!
//! The driver starts one for each run, as it starts a runner for each run of a workload, and gives
//! it a [`Request`]; its line of output is an [`Answer`]. It is a process of its own for two
//! reasons: the kernel's mark of the highest resident memory of a program is inherited from the
//! process that starts it, which therefore must be smaller than any program; and the load of a
//! service must not run in the server.

mod count;
mod proof;
mod start;
mod tree;
mod view;

use super::{Place, Program, Work, digest, find};
use crate::measure::Measurement;
use serde::{Deserialize, Serialize};
use start::Started;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tree::Seen;

/// The folder in that of a run which the program runs in.
const CURRENT: &str = "current";

/// One run that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the program.
    pub program: String,
    /// The folder that has the folders of all programs' inputs.
    pub inputs: PathBuf,
    /// A folder that the run may make and that is gone afterwards.
    pub work: PathBuf,
    /// Where this project's own programs are.
    pub own: PathBuf,
    /// Factor on the amount of a load.
    pub scale: f64,
    /// Where random numbers start.
    pub seed: u64,
    /// The allocator's library.
    pub library: PathBuf,
    /// A folder with a C library and others that take the place of the system's; none where the
    /// system's serve.
    pub system: Option<PathBuf>,
    /// Variables that the allocator is given.
    pub environment: Vec<(String, String)>,
    /// Bytes by which the environment is longer.
    pub padding: usize,
    /// How long it may take, in milliseconds.
    pub limit_ms: u64,
    /// What for.
    pub purpose: Purpose,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To be measured.
    Measure,
    /// To prove from the loader's record that the allocator is in use.
    Prove,
    /// To count instructions under callgrind.
    Share,
    /// To see how much it holds: by glibc's libmemusage, which must be the library.
    Live,
}

/// What the host says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The run was measured.
    Measured(Box<Measured>),
    /// The allocator is in use: how that was seen, and what the run's output is digested to.
    Proved {
        /// What was seen.
        proof: String,
        /// Of the output.
        checksum: u64,
    },
    /// The share of its instructions that are glibc's allocator's.
    Shared(f64),
    /// Most memory that its largest process holds at once, in KiB.
    Lived(u64),
    /// It failed, and why.
    Refused(String),
}

/// What was measured of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of all processes together.
    pub measurement: Measurement,
    /// Highest proportional memory that was seen of all processes together.
    pub pss_peak_kib: u64,
    /// Most threads that were seen at once.
    pub threads: usize,
    /// Processes that were seen.
    pub processes: usize,
}

/// The whole of the host program's `main`.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", socket] => super::web_service::serve(Path::new(socket)),
        ["try", name, library, scale] => try_one(name, library, scale, None),
        ["try", name, library, scale, system] => try_one(name, library, scale, Some(system)),
        ["record", folder, ref names @ ..] => super::recorded::record(Path::new(folder), names),
        ["run", request] => {
            let answer = match serde_json::from_str(request) {
                Ok(request) => in_view(&request).unwrap_or_else(Answer::Refused),
                Err(error) => Answer::Refused(format!("not a request: {error}")),
            };
            println!(
                "{}",
                serde_json::to_string(&answer).expect("an answer has no unusual values")
            );
            ExitCode::from(u8::from(matches!(answer, Answer::Refused(_))))
        }
        _ => {
            eprintln!(
                "usage: stratalloc-bench-program run REQUEST, started by stratalloc-bench\n\
                 \x20      stratalloc-bench-program try NAME LIBRARY SCALE [FOLDER], one run by hand\n\
                 \x20      stratalloc-bench-program serve SOCKET, the web service in Rust\n\
                 \x20      stratalloc-bench-program record FOLDER [NAME...], prints a part of \
                 recorded.csv"
            );
            ExitCode::from(2)
        }
    }
}

/// One program by hand, in a folder of its own: what the report would note of a run.
fn try_one(name: &str, library: &str, scale: &str, system: Option<&str>) -> ExitCode {
    let tried = || -> Result<(), String> {
        let program = find(name).ok_or_else(|| format!("there is no program '{name}'"))?;
        let scale: f64 = scale.parse().map_err(|_| format!("not a number: {scale}"))?;
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        if let Some(folder) = system {
            view::replace_libraries(Path::new(folder))?;
        }
        let folder = std::env::temp_dir().join(format!("program-{}", std::process::id()));
        let inputs = folder.join("inputs");
        program.prepare(&inputs, scale, 1).map_err(|error| error.to_string())?;
        let request = Request {
            program: name.to_owned(),
            inputs,
            work: folder.join("run"),
            own: exe.parent().unwrap_or(Path::new(".")).to_owned(),
            scale,
            seed: 1,
            library: PathBuf::from(library),
            system: None,
            environment: Vec::new(),
            padding: 0,
            limit_ms: 600_000,
            purpose: Purpose::Prove,
        };
        let answers = [Purpose::Prove, Purpose::Measure]
            .map(|purpose| answer(&Request { purpose, ..request.clone() }));
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        for answer in answers {
            println!("{}", serde_json::to_string(&answer?).map_err(|error| error.to_string())?);
        }
        Ok(())
    };
    match tried() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{name}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for, on the C library that was asked for.
fn in_view(request: &Request) -> Result<Answer, String> {
    if let Some(folder) = &request.system {
        view::replace_libraries(folder)?;
    }
    answer(request)
}

/// Does what was asked for, in a folder that is gone afterwards.
pub(super) fn answer(request: &Request) -> Result<Answer, String> {
    let program = find(&request.program)
        .ok_or_else(|| format!("there is no program '{}'", request.program))?;
    let work = &request.work;
    let trouble = |error: io::Error| format!("{}: {error}", work.display());
    fs::create_dir_all(work).map_err(trouble)?;
    let answered = in_folder(program, request);
    fs::remove_dir_all(work).map_err(trouble)?;
    answered
}

fn in_folder(program: &Program, request: &Request) -> Result<Answer, String> {
    match request.purpose {
        Purpose::Measure => {
            let run = run(program, request, &start::Wrap::None)?;
            Ok(Answer::Measured(Box::new(run.measured())))
        }
        Purpose::Prove => {
            let records = request.work.join("records");
            fs::create_dir_all(&records).map_err(|error| error.to_string())?;
            let run = run(program, request, &start::Wrap::Record(records.join("of")))?;
            let proof = proof::of_records(&records, &request.library)?;
            Ok(Answer::Proved { proof, checksum: run.checksum })
        }
        Purpose::Share => count::share(program, request).map(Answer::Shared),
        Purpose::Live => count::live(program, request).map(Answer::Lived),
    }
}

/// A run that has ended well.
struct Ended {
    checksum: u64,
    wall: Duration,
    used: start::Used,
    seen: Seen,
    /// What was written to standard error.
    errors: String,
}

/// Runs all commands of `program`, or its server under load.
fn run(program: &Program, request: &Request, wrap: &start::Wrap) -> Result<Ended, String> {
    // The same path for all allocators, as some outputs hold it.
    let current = request.work.join(CURRENT);
    fs::create_dir_all(&current).map_err(|error| error.to_string())?;
    let place = Place {
        inputs: request.inputs.join(program.name),
        work: current,
        file: program.path(&request.own),
        scale: request.scale,
        seed: request.seed,
    };
    let limit = Duration::from_millis(request.limit_ms);
    let ended = match &program.work {
        Work::Commands(steps) => commands(&steps(&place), &place, request, wrap, limit),
        Work::Service(service) => serve(&service(&place), &place, request, wrap, limit),
    }?;
    if matches!(wrap, start::Wrap::None) {
        ended.seen.library_everywhere(&request.library)?;
    }
    Ok(ended)
}

fn commands(
    steps: &[super::Step],
    place: &Place,
    request: &Request,
    wrap: &start::Wrap,
    limit: Duration,
) -> Result<Ended, String> {
    let begin = Instant::now();
    let mut ended = Ended {
        checksum: 0,
        wall: Duration::ZERO,
        used: start::Used::default(),
        seen: Seen::default(),
        errors: String::new(),
    };
    let output = request.work.join("output");
    for step in steps {
        let left = limit.saturating_sub(begin.elapsed());
        let started = Started::start(step, place, request, wrap, &output)?;
        let one = started.wait(left)?;
        one.well()?;
        ended.used.add(&one.used);
        ended.seen.follow(one.seen, ended.wall);
        ended.wall += one.wall;
        ended.errors += &one.errors;
        let bytes = fs::read(&output).map_err(|error| error.to_string())?;
        ended.checksum = ended.checksum.rotate_left(7) ^ digest(&bytes);
    }
    ended.checksum ^= of_files(&place.work).map_err(|error| error.to_string())?;
    Ok(ended)
}

/// A digest of the files whose names begin with `out`, which a program left in its folder.
fn of_files(folder: &Path) -> io::Result<u64> {
    let mut names: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|one| one.path())).collect::<Result<_, _>>()?;
    names.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("out"))
    });
    names.sort();
    let mut sum = 0_u64;
    for path in names {
        sum = sum.rotate_left(9) ^ digest(&fs::read(path)?);
    }
    Ok(sum)
}

fn serve(
    service: &super::Service,
    place: &Place,
    request: &Request,
    wrap: &start::Wrap,
    limit: Duration,
) -> Result<Ended, String> {
    let begin = Instant::now();
    let output = request.work.join("output");
    for step in &service.prepare {
        // Whatever the allocator, what is prepared is prepared on the program's usual one.
        let plain = Request { library: PathBuf::new(), environment: Vec::new(), ..request.clone() };
        let left = limit.saturating_sub(begin.elapsed());
        Started::start(step, place, &plain, &start::Wrap::None, &output)?.wait(left)?.well()?;
    }
    let started = Started::start(&service.server, place, request, wrap, &output)?;
    let loaded = started.await_socket(&service.socket, limit.saturating_sub(begin.elapsed()));
    // A server that hangs is ended by the watch, which ends the load, too.
    let loaded =
        loaded.and_then(|()| (service.load)().map_err(|error| format!("the load failed: {error}")));
    started.end();
    let one = started.wait(limit.saturating_sub(begin.elapsed()))?;
    let checksum = loaded.map_err(|reason| one.explained(reason))?;
    one.well_ended()?;
    Ok(Ended { checksum, wall: one.wall, used: one.used, seen: one.seen, errors: one.errors })
}

impl Ended {
    fn measured(self) -> Measured {
        let samples = self.seen.samples;
        let sampled = samples.iter().map(|sample| sample.rss_kib).max().unwrap_or(0);
        let last = samples.iter().rev().map(|sample| sample.rss_kib).find(|rss| *rss > 0);
        let mean = tree::mean_kib(&samples);
        let start::Used { usage: used, rss_peak_kib } = self.used;
        Measured {
            measurement: Measurement {
                operations: 1,
                checksum: self.checksum,
                wall_s: self.wall.as_secs_f64(),
                user_s: used.user_s,
                system_s: used.system_s,
                minor_faults: used.minor_faults,
                major_faults: used.major_faults,
                voluntary_switches: used.voluntary_switches,
                involuntary_switches: used.involuntary_switches,
                rss_start_kib: 0,
                rss_peak_kib: rss_peak_kib.max(sampled),
                rss_end_kib: last.unwrap_or(0),
                rss_mean_kib: mean,
                timeline: tree::thinned(samples),
            },
            pss_peak_kib: self.seen.pss_peak_kib,
            threads: self.seen.threads,
            processes: self.seen.processes.len(),
        }
    }
}
