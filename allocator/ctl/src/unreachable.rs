//! The report of unreachable blocks: of a process that runs, and at exit.
//!
//! While a process is searched, its threads are stopped (`stopped`), but for the one that answers
//! requests: it writes the list of blocks. A thread that was stopped within a call of the allocator
//! may hold a lock that the answer needs. Then no answer comes, the threads go on for a moment, and
//! the search begins anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::client::{Client, Refusal};
use crate::dump::Dump;
use crate::group;
use crate::leaks;
use crate::process::Process;
use crate::reach::{self, Found, Live};
use crate::stopped::Stopped;
use crate::symbols::{Frame, Symbols};
use crate::{Format, How};

/// How long the list of blocks may take to begin, and how often it is asked for.
const TIMEOUT: Duration = Duration::from_secs(2);
const TRIES: u32 = 10;

/// Blocks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Sum {
    bytes: u64,
    allocations: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.allocations += 1;
    }
}

/// One stack's unreachable blocks of one kind.
#[derive(Serialize)]
struct Entry {
    direct: bool,
    #[serde(flatten)]
    sum: Sum,
    frames: Vec<Frame>,
}

/// All of it.
#[derive(Serialize)]
struct Report {
    pid: u32,
    direct: Sum,
    indirect: Sum,
    suppressed: Sum,
    still_reachable: Sum,
    lost: u64,
    groups: Vec<Entry>,
}

/// Searches a process that runs and reports.
pub fn of_running(client: &Client, how: &How) -> Result<()> {
    ensure!(is_known(how.format), "--unreachable writes text and json");
    client.info()?;
    let mut tries = 0;
    let (dump, stopped) = loop {
        tries += 1;
        let mut stopped = Stopped::all(client.process())?;
        match client.ask_at_once("blocks", TIMEOUT) {
            Ok(text) => {
                let dump = how.parse(&text, Some(client.process()))?;
                stopped.stop_answering()?;
                break (dump, stopped);
            }
            Err(error) if is_silence(&error) && tries < TRIES => {
                drop(stopped);
                thread::sleep(Duration::from_millis(20) * tries);
            }
            Err(error) => return Err(error),
        }
    };
    let report = search(&dump, client.process(), &stopped, how)?;
    drop(stopped);
    how.deliver(&report.write(how)?)
}

/// Searches the process that exits and waits for this one. Whether there is a report.
pub fn at_exit(text: &str, how: &How) -> Result<bool> {
    let process = Process { pid: std::os::unix::process::parent_id() };
    let dump = how.parse(text, None)?;
    let stopped = Stopped::all(process)?;
    let report = search(&dump, process, &stopped, how)?;
    drop(stopped);
    if report.groups.is_empty() {
        return Ok(false);
    }
    how.deliver(&report.write(how)?)?;
    Ok(true)
}

/// Whether the process did not come to answer, or to the end of its answer.
fn is_silence(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Refusal::Silent(_))) || error.is::<std::io::Error>()
}

fn is_known(format: Format) -> bool {
    matches!(format, Format::Text | Format::Json)
}

fn search(dump: &Dump, process: Process, stopped: &Stopped, how: &How) -> Result<Report> {
    let blocks = dump.blocks.as_ref().context("the dump has no list of blocks")?;
    let maps = fs::read(process.path("maps"))?;
    let memory = Live::of(process)?;
    let roots = reach::roots(&String::from_utf8_lossy(&maps), blocks, stopped.threads.values());
    let own = |thread: &&crate::stopped::Thread| !thread.answers;
    let threads = stopped.threads.values().filter(own);
    let registers = threads.flat_map(|thread| thread.registers.iter().copied());
    let suppressions = how.suppressions()?;
    let mut symbols = Symbols::new(dump);
    let frames: Vec<Vec<Frame>> =
        dump.stacks.iter().map(|stack| group::frames(&mut symbols, &stack.frames)).collect();
    let suppressed: Vec<bool> = frames.iter().map(|frames| suppressions.matches(frames)).collect();
    let found = reach::search(blocks, &memory, &roots, registers, &suppressed);
    let mut report = Report {
        pid: dump.pid,
        direct: Sum::default(),
        indirect: Sum::default(),
        suppressed: Sum::default(),
        still_reachable: Sum::default(),
        lost: dump.lost,
        groups: Vec::new(),
    };
    let mut groups: BTreeMap<(bool, usize), Sum> = BTreeMap::new();
    for (block, found) in blocks.all.iter().zip(found) {
        match found {
            Found::Reachable => report.still_reachable.add(block.size),
            Found::Suppressed => report.suppressed.add(block.size),
            Found::Direct => {
                report.direct.add(block.size);
                groups.entry((true, block.stack)).or_default().add(block.size);
            }
            Found::Indirect => {
                report.indirect.add(block.size);
                groups.entry((false, block.stack)).or_default().add(block.size);
            }
        }
    }
    let entries = groups.into_iter().map(|((direct, stack), sum)| Entry {
        direct,
        sum,
        frames: frames[stack].clone(),
    });
    report.groups = entries.collect();
    let key = |entry: &Entry| (!entry.direct, u64::MAX - entry.sum.bytes);
    report.groups.sort_by_key(key);
    Ok(report)
}

impl Report {
    fn write(&self, how: &How) -> Result<Vec<u8>> {
        if how.format == Format::Json {
            return Ok((serde_json::to_string_pretty(self)? + "\n").into_bytes());
        }
        Ok(self.text(how.limit).into_bytes())
    }

    /// For people.
    fn text(&self, limit: usize) -> String {
        let total = Sum {
            bytes: self.direct.bytes + self.indirect.bytes,
            allocations: self.direct.allocations + self.indirect.allocations,
        };
        let shown = |sum: Sum| format!("{} bytes in {} allocations", sum.bytes, sum.allocations);
        let mut out = format!("stratalloc: {} unreachable (process {})\n", shown(total), self.pid);
        let rows = [
            ("directly unreachable", self.direct),
            ("only through these", self.indirect),
            ("suppressed", self.suppressed),
            ("still reachable", self.still_reachable),
        ];
        for (name, sum) in rows {
            let _ = writeln!(out, "{name:>22}: {}", shown(sum));
        }
        if self.lost > 0 {
            let _ = writeln!(
                out,
                "{} allocations found no room in the tables, so what they point to may be missing \
                 or wrong",
                self.lost
            );
        }
        for entry in self.groups.iter().take(limit) {
            let kind = if entry.direct { "unreachable" } else { "unreachable through others" };
            let _ = writeln!(out, "\n{} {kind}, from stack", shown(entry.sum));
            leaks::write_frames(&mut out, &entry.frames);
        }
        if self.groups.len() > limit {
            let _ = writeln!(out, "\n({} smaller groups are not shown)", self.groups.len() - limit);
        }
        out
    }
}
