//! Real programs as the report runs them: each program's output is the same under every allocator
//! that this machine has, the allocator is proved to be in use, and a series leaves everything in
//! the results that the report needs.
//!
//! `ci/programs --install` installs the programs. One that is missing is named, and most must be
//! there.

use bench_harness::driver::{self, Asked, Column, Heard};
use bench_harness::machine::Machine;
use bench_harness::programs::host::{Answer, Purpose, Request};
use bench_harness::programs::{Program, catalogue};
use bench_harness::results::{Plan, Results};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

const HOST: &str = env!("CARGO_BIN_EXE_stratalloc-bench-program");
/// Part of the input.
const SCALE: f64 = 0.04;
/// Programs that every machine of this project's has once they are installed.
const LEAST: usize = 16;

/// One test at a time, as each takes all processors.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of the host, with the service in C++ beside it.
fn own() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = Path::new(HOST).parent().expect("the host lies in a folder").to_owned();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/programs");
        let status = Command::new(script).arg("--service").arg(&folder).status();
        assert!(status.is_ok_and(|status| status.success()), "ci/programs --service fails");
        folder
    };
    BUILT.get_or_init(build).clone()
}

/// This project's library; `STRATALLOC_SO` names another one.
fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Some(path) = std::env::var_os("STRATALLOC_SO") {
            return path.into();
        }
        let target = own().parent().expect("a profile lies in a target folder").to_owned();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/Cargo.toml");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&target)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the library cannot be built");
        target.join("release/libstratalloc.so")
    };
    BUILT.get_or_init(build).canonicalize().expect("the library is there")
}

fn column(allocator: &str, library: PathBuf) -> Column {
    let allocator = allocator.to_owned();
    Column { allocator, library, system: None, environment: Vec::new() }
}

/// glibc, this project's library, and jemalloc where the system has it.
fn columns() -> Vec<Column> {
    let glibc = driver::system_library().expect("this program runs on glibc");
    let mut columns = vec![column("ptmalloc", glibc), column("stratalloc.so", library())];
    let jemalloc = PathBuf::from("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
    columns.extend(jemalloc.canonicalize().ok().map(|path| column("jemalloc.so", path)));
    columns
}

/// What the host answers on one run.
fn ask(program: &Program, column: &Column, folder: &Path, purpose: Purpose) -> Answer {
    let request = Request {
        program: program.name.to_owned(),
        inputs: folder.join("inputs"),
        work: folder.join("run"),
        own: own(),
        scale: SCALE,
        seed: 5,
        library: column.library.clone(),
        system: None,
        environment: Vec::new(),
        padding: 100,
        limit_ms: 120_000,
        purpose,
    };
    let text = serde_json::to_string(&request).expect("it can be written");
    let said = Command::new(HOST).args(["run", &text]).output().expect("the host can be started");
    let text = String::from_utf8_lossy(&said.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder for a test, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("real-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind is a nuisance, but no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_programs_output_is_the_same_under_every_allocator_which_is_in_use() {
    let _alone = alone();
    let folder = Folder::new("outputs");
    let (mut ran, mut wrong) = (0, Vec::new());
    for program in catalogue::ALL {
        if let Some(reason) = program.missing(&own()) {
            eprintln!("{}: {reason}", program.name);
            continue;
        }
        program.prepare(&folder.0.join("inputs"), SCALE, 5).expect("inputs can be made");
        ran += 1;
        let mut checksums = HashSet::new();
        for column in columns() {
            match ask(program, &column, &folder.0, Purpose::Prove) {
                Answer::Proved { proof, checksum } => {
                    checksums.insert(checksum);
                    let file = column.library.file_name().expect("a library has a name");
                    if !proof.contains(&*file.to_string_lossy()) {
                        wrong.push(format!("{}: {proof}", program.name));
                    }
                }
                other => {
                    wrong.push(format!("{} under {}: {other:?}", program.name, column.allocator));
                }
            }
        }
        if checksums.len() > 1 {
            wrong.push(format!("{}: outputs differ", program.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ran >= LEAST, "only {ran} programs are here; ci/programs --install installs them");
}

#[test]
fn a_library_that_does_not_serve_malloc_is_refused() {
    let _alone = alone();
    let folder = Folder::new("refused");
    let program = bench_harness::programs::find("perl").expect("it is known");
    program.prepare(&folder.0.join("inputs"), SCALE, 5).expect("inputs can be made");
    let other =
        PathBuf::from("/lib/x86_64-linux-gnu/libm.so.6").canonicalize().expect("libm is here");
    let answer = ask(program, &column("libm", other), &folder.0, Purpose::Prove);
    let Answer::Refused(reason) = answer else { panic!("it passed: {answer:?}") };
    assert!(reason.contains("libc.so.6, not to"), "{reason}");
    let gone = column("gone", PathBuf::from("/nonexistent/liballoc.so"));
    let answer = ask(program, &gone, &folder.0, Purpose::Measure);
    let Answer::Refused(reason) = answer else { panic!("it passed: {answer:?}") };
    assert!(reason.contains("/nonexistent/liballoc.so is not mapped"), "{reason}");
}

#[test]
fn a_program_that_takes_too_long_is_ended_and_named() {
    let _alone = alone();
    let folder = Folder::new("fails");
    let sleepy = bench_harness::programs::find("python").expect("it is known");
    sleepy.prepare(&folder.0.join("inputs"), 1.0, 5).expect("inputs can be made");
    let glibc = &columns()[0];
    let request = Request {
        program: "python".to_owned(),
        inputs: folder.0.join("inputs"),
        work: folder.0.join("run"),
        own: own(),
        scale: 1.0,
        seed: 5,
        library: glibc.library.clone(),
        system: None,
        environment: Vec::new(),
        padding: 0,
        limit_ms: 60,
        purpose: Purpose::Measure,
    };
    let text = serde_json::to_string(&request).expect("it can be written");
    let said = Command::new(HOST).args(["run", &text]).output().expect("the host can be started");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("took longer than"), "{text}");
    assert!(!folder.0.join("run").exists(), "the run's folder stays behind");
}

#[test]
fn a_series_leaves_runs_facts_and_proofs_and_goes_on_where_it_ended() {
    let _alone = alone();
    let folder = Folder::new("series");
    let names = ["perl", "jq", "redis-structures"].map(str::to_owned);
    let asked = Asked {
        names: names.to_vec(),
        quick: false,
        scale: SCALE,
        rounds: 2,
        time: Duration::from_secs(60),
        run: Duration::from_secs(60),
        own: own(),
        folder: folder.0.join("programs"),
    };
    let plan = Plan { threads: 2, rounds: 2, scale: 1.0, asked_scale: None, seed: 5, asked: None };
    let mut results = Results::new(Machine::default(), plan);
    let columns = &columns()[..2];
    let mut told = 0;
    let hear = |heard: Heard<'_>| told += usize::from(matches!(heard, Heard::Starting(..)));
    driver::run_programs(&mut results, columns, &asked, hear).expect("it can be run");
    assert_eq!(results.failures, []);
    let programs = &results.programs;
    assert_eq!((programs.facts.len(), programs.in_use.len(), programs.runs.len()), (3, 6, 12));
    assert_eq!(told, 6 + 12, "a proof for each pair, and two rounds");
    for one in &programs.runs {
        let measured = &one.run.measured;
        assert!(measured.cpu_s() > 0.001 && measured.wall_s > 0.001, "{one:?}");
        assert!(measured.rss_peak_kib > 2_000 && measured.minor_faults > 100, "{one:?}");
        assert!(one.run.conditions.is_some());
    }
    assert!(programs.facts.iter().all(|facts| !facts.version.is_empty() && facts.threads > 0));
    assert!(!asked.folder.exists(), "inputs stay behind");

    let mut told = 0;
    let more = Asked { rounds: 3, ..asked };
    let hear = |heard: Heard<'_>| told += usize::from(matches!(heard, Heard::Starting(..)));
    driver::run_programs(&mut results, columns, &more, hear).expect("it can be run");
    assert_eq!((told, results.programs.runs.len()), (6, 18), "the third round alone is run");
}

#[test]
fn four_rounds_are_run_however_little_the_time_and_the_input_is_cut_for_them() {
    let _alone = alone();
    let folder = Folder::new("little-time");
    let asked = Asked {
        names: vec!["jq".to_owned()],
        quick: false,
        scale: 0.5,
        rounds: 10,
        time: Duration::ZERO,
        run: Duration::from_secs(60),
        own: own(),
        folder: folder.0.join("programs"),
    };
    let plan = Plan { threads: 2, rounds: 10, scale: 1.0, asked_scale: None, seed: 5, asked: None };
    let mut results = Results::new(Machine::default(), plan);
    let columns = &columns()[..1];
    let mut told = Vec::new();
    driver::run_programs(&mut results, columns, &asked, |heard| match heard {
        Heard::Scaled(scale) => told.push(scale),
        Heard::OutOfTime(rounds) => told.push(rounds as f64),
        _ => {}
    })
    .expect("it can be run");
    assert_eq!(results.failures, []);
    assert_eq!(results.programs.runs.len(), 4);
    let scale = results.programs.scale;
    assert!((scale - 0.05).abs() < 1e-9, "a tenth of what was asked for: {scale}");
    assert_eq!(told, [scale, 4.0]);
    // What goes on does so on the same input.
    let more = Asked { rounds: 5, time: Duration::from_secs(60), ..asked };
    driver::run_programs(&mut results, columns, &more, |_| {}).expect("it can be run");
    assert_eq!((results.programs.runs.len(), results.programs.scale), (5, scale));
}
