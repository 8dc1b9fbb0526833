//! The progress: what is running, how much is done, how long it will take.
//!
//! It is drawn between the runs only, never while one is being measured. Where standard error is no
//! terminal, a line at the start of each round and one every half a minute have to do.

use bench_harness::driver::{Outlook, Step};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Length of the bar, in steps.
const LENGTH: u64 = 1_000;
/// Time between lines where there is no bar.
const PAUSE: Duration = Duration::from_secs(30);

/// The bar, or what stands in for it.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Round and time of the last line.
    told: Option<(usize, Instant)>,
}

impl Progress {
    /// With nothing done yet.
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let template = "{bar:32.cyan/blue} {percent:>3} %  {wide_msg}";
            let style =
                ProgressStyle::with_template(template).expect("the template is well-formed");
            ProgressBar::new(LENGTH).with_style(style.progress_chars("━╸─"))
        });
        Self { bar, told: None }
    }

    /// A run begins.
    pub fn starting(&mut self, step: Step, outlook: Outlook, workload: &str, allocator: &str) {
        let round = match step.round {
            0 => "warm-up".to_owned(),
            number => format!("round {number} of {}, {} left", outlook.rounds, clock(outlook.left)),
        };
        match &self.bar {
            Some(bar) => {
                bar.set_position((outlook.done * LENGTH as f64) as u64);
                bar.set_message(format!("{round}: {workload}, {allocator}"));
            }
            None => {
                let due =
                    |(number, at): (usize, Instant)| number != step.round || at.elapsed() >= PAUSE;
                if self.told.is_none_or(due) {
                    eprintln!("{round}: {workload}");
                    self.told = Some((step.round, Instant::now()));
                }
            }
        }
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `12:05`, in minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_in_minutes_and_seconds() {
        let clock = |seconds| clock(Duration::from_secs_f64(seconds));
        assert_eq!([clock(0.2), clock(59.6), clock(725.0)], ["0:00", "1:00", "12:05"]);
    }
}
