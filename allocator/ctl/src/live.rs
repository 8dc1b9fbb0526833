//! The commands for a process that runs: each asks it by its control socket (`client`), and prints
//! the answer.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::group::{Figures, groups};
use crate::page::Page;
use crate::{How, leaks, parsed, top, unreachable};

/// Talks to a running process on stratalloc.
#[derive(Parser)]
#[command(name = "stratalloc-ctl", version)]
pub struct Live {
    /// The process's number, or the path of its socket.
    target: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints where every byte is.
    Stats,
    /// Prints the same as OpenMetrics text.
    Metrics,
    /// Shows tiers and size classes again and again.
    Top {
        /// Seconds between two views.
        #[arg(long, default_value_t = 2.0)]
        interval: f64,
        /// Views to show; without end if not given.
        #[arg(long)]
        count: Option<u64>,
    },
    /// Prints outstanding allocations by stack.
    Leaks {
        /// Waits so many seconds, and prints what came to be outstanding meanwhile.
        #[arg(long, value_name = "SECONDS")]
        growth: Option<f64>,
        /// Prints only blocks that no pointer leads to any more, and the sums of the others; stops
        /// the process meanwhile.
        #[arg(long, conflicts_with = "growth")]
        unreachable: bool,
        #[command(flatten)]
        how: How,
    },
    /// Writes a heap profile.
    Profile {
        #[command(flatten)]
        how: How,
    },
    /// Watches the process, and writes a page of its heap (HTML).
    Page(Page),
    /// Gives all free memory back to the system.
    Trim,
    /// Gives free pages back to the system.
    Release {
        /// How many bytes; up to 2 MiB more go back, as pages do so in runs.
        bytes: u64,
    },
    /// Sets an option: NAME=VALUE.
    Set {
        /// For example `decay_ms=500`.
        option: String,
    },
}

/// Parses the command line and does what it says.
pub fn run() -> Result<()> {
    let live = parsed::<Live>();
    let client = Client::new(&live.target)?;
    match live.command {
        Command::Stats => print!("{}", client.ask("stats")?),
        Command::Metrics => print!("{}", client.ask("metrics")?),
        Command::Top { interval, count } => top::run(&client, seconds(interval)?, count)?,
        Command::Leaks { unreachable: true, how, .. } => unreachable::of_running(&client, &how)?,
        Command::Leaks { growth: None, how, .. } => {
            how.write(&client.ask("profile")?, Some(client.process()))?;
        }
        Command::Leaks { growth: Some(time), how, .. } => growth(&client, seconds(time)?, &how)?,
        Command::Profile { how } => {
            how.write(&client.ask("profile")?, Some(client.process()))?;
        }
        Command::Page(page) => page.write(&client, &live.target)?,
        Command::Trim => print!("{}", client.ask("trim")?),
        Command::Release { bytes } => print!("{}", client.ask(&format!("release {bytes}"))?),
        Command::Set { option } => print!("{}", client.ask(&format!("set {option}"))?),
    }
    Ok(())
}

/// A time from a number of seconds on the command line.
fn seconds(number: f64) -> Result<Duration> {
    match Duration::try_from_secs_f64(number) {
        Ok(time) => Ok(time),
        Err(error) => bail!("{number} seconds: {error}"),
    }
}

/// Prints what grew between two moments: the later dump with the earlier one's figures taken off.
fn growth(client: &Client, time: Duration, how: &How) -> Result<()> {
    let process = Some(client.process());
    let before = how.parse(&client.ask("profile")?, process)?;
    thread::sleep(time);
    let mut after = how.parse(&client.ask("profile")?, process)?;
    let earlier: std::collections::HashMap<_, _> =
        before.stacks.iter().map(|stack| (&stack.frames, stack.tally)).collect();
    for stack in &mut after.stacks {
        if let Some(old) = earlier.get(&stack.frames) {
            stack.tally.live_bytes = stack.tally.live_bytes.saturating_sub(old.live_bytes);
            stack.tally.live_count = stack.tally.live_count.saturating_sub(old.live_count);
        }
    }
    let found = groups(&after, &how.suppressions()?);
    let report = match how.format {
        crate::Format::Json => leaks::json(&after, found, Figures::Live, how.limit)?,
        _ => leaks::text(&after, found, Figures::Live, how.limit).replacen(
            "outstanding",
            &format!("more outstanding than {time:?} before"),
            1,
        ),
    };
    how.deliver(report.as_bytes())
}
