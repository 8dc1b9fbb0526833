//! A page of the heap for each workload under stratalloc: every workload runs once more, sampled,
//! while `stratalloc-ctl` watches it by its control socket and writes the page.
//!
//! These runs measure nothing else, so whatever watching costs is in no figure of the report.

use super::{Limits, Runner};
use crate::child::Answer;
use crate::results::{Failure, Results};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The runner whose heap is looked at.
const RUNNER: &str = "stratalloc";

/// The program that writes the pages, beside this one.
const TOOL: &str = "stratalloc-ctl";

/// Seconds between two looks: the shortest workloads take a tenth of a second.
const PAUSE: &str = "0.01";

/// One sample in so many bytes.
const INTERVAL: &str = "64KiB";

/// How long a runner may take to open its socket.
const OPENING: Duration = Duration::from_secs(5);

/// Writes `heap/WORKLOAD.html` below `folder` for every workload, by the tool in `programs`. `hear`
/// gets the workload's name before each run. What fails is among the failures of the results.
pub fn draw_all(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    programs: &Path,
    folder: &Path,
    mut hear: impl FnMut(&str),
) {
    let Some(runner) = runners.iter().find(|runner| runner.name() == RUNNER) else { return };
    for index in 0..results.workloads.len() {
        let workload = results.workloads[index].name.clone();
        hear(&workload);
        let drawn = draw(results, runner, &workload, limits, programs, &folder.join("heap"));
        if let Err(reason) = drawn {
            results.failures.push(Failure {
                allocator: runner.name().to_owned(),
                workload: Some(workload),
                reason: format!("heap page: {reason}"),
            });
        }
    }
}

/// Runs one workload and has it watched.
fn draw(
    results: &Results,
    runner: &Runner,
    workload: &str,
    limits: Limits,
    programs: &Path,
    folder: &Path,
) -> Result<(), String> {
    let said = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| said(folder, error))?;
    let private = Private::new().map_err(|error| format!("no folder for a socket: {error}"))?;
    let socket = private.0.join("control.sock");
    let page = folder.join(format!("{workload}.html"));
    let plan = &results.plan;
    let (threads, scale) = (plan.threads.to_string(), plan.scale.to_string());
    let seed = plan.seed.to_string();
    let arguments = ["--run", workload, &threads, &scale, &seed];
    let variables = [
        ("STRATALLOC_CONTROL", socket.as_os_str().to_owned()),
        ("STRATALLOC_SAMPLE_INTERVAL", INTERVAL.into()),
    ];
    let answer = thread::scope(|scope| {
        let run = scope.spawn(|| runner.ask_with(&arguments, limits.run, &variables));
        let tool = watch(&programs.join(TOOL), &socket, &page, limits.run, || run.is_finished());
        let answer = run.join().expect("running does not panic");
        (answer, tool.and_then(ended))
    });
    match answer {
        (Ok(Answer::Measured(_)), tool) => tool,
        (Ok(Answer::Refused(reason)), _) => Err(reason),
        (Ok(_), _) => Err("it gave another answer than asked for".to_owned()),
        (Err(error), _) => Err(error.to_string()),
    }
}

/// Starts the tool as soon as the socket is there.
fn watch(
    tool: &Path,
    socket: &Path,
    page: &Path,
    limit: Duration,
    is_over: impl Fn() -> bool,
) -> Result<Child, String> {
    let begin = Instant::now();
    while !socket.exists() {
        if is_over() || begin.elapsed() > OPENING {
            return Err("it opened no control socket".to_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Command::new(tool)
        .arg(socket)
        .args(["page", "--for", &limit.as_secs().max(1).to_string(), "--every", PAUSE, "-o"])
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", tool.display()))
}

fn ended(tool: Child) -> Result<(), String> {
    let output = tool.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said.trim().to_owned()) }
}

/// A folder of this user alone, as a control socket needs it; removed at the end.
struct Private(PathBuf);

impl Private {
    fn new() -> std::io::Result<Self> {
        let name = format!("stratalloc-bench-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
