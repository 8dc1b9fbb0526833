//! Workloads, measuring and reports that set memory allocators side by side.
//!
//! Every run happens in a process of its own: a *runner*, one small program per allocator (they
//! live in the `comparisons` package), whose global allocator is the one under test and whose
//! `main` is one call of [`child::main`]. The program `stratalloc-bench` finds the runners, starts
//! them in turn, keeps what they print, and writes the report.
//!
//! ```text
//!  stratalloc-bench   run, compare, show, list, report  (src/bin)
//!  report             HTML, Markdown, CSV     from a result file only
//!  driver             find the runners, prove them, run them in rounds
//!  results            the result file;  statistics, summary, standing, compare: what it says
//!  child              what a runner does: prepare, measure, prove, print one line of JSON
//!  host_memory         touches a virtual machine's memory before anything is timed
//!  conditions          what the machine did while something ran
//!  measure            clock, processor time, faults, resident memory over time
//!  latency            loads whose every call is timed, for the rare long ones
//!  programs           real programs as workloads, and the process that measures a run of one
//!  scenarios          what documents claim, step by step, and whether it holds
//!  workloads          the work itself;  block, random: what it is made of
//!  trace               recorded calls of real programs, decoded and replayed
//!  watch              the wrapper of every allocator that can time its calls
//!  clock, buckets      what single calls are timed by, and counted in
//! ```
//!
//! Nothing here depends on an allocator, so a change in one never rebuilds the harness.

pub mod block;
pub mod buckets;
pub mod clock;
pub mod random;
pub mod watch;

pub mod trace;
pub mod workloads;

pub mod measure;

pub mod latency;
pub mod scenarios;

pub mod host_memory;
pub mod machine;

pub mod conditions;

pub mod child;
pub mod programs;
pub mod results;

pub mod standing;
pub mod statistics;
pub mod summary;

pub mod compare;

pub mod driver;
pub mod report;
