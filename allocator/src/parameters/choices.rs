//! Parameters whose values are words: the words as enumerations.
//!
//! Each stands in the order of the words in `table`, whose numbers are the values that `values`
//! stores; what an option means and costs is said there. Types alone: no state.

/// What is traced, and what is said at exit: the option `leak_report`. See `docs/profiling.md`.
///
/// ```
/// use stratalloc::Options;
/// use stratalloc::options::LeakReport;
///
/// const OPTIONS: Options = Options::new().leak_report(LeakReport::On);
/// # let _ = OPTIONS;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakReport {
    /// Nothing.
    Off,
    /// Every allocation; a report for people.
    On,
    /// Every allocation; a report for machines.
    Json,
    /// Every allocation; no report at exit, but on demand.
    Trace,
    /// Every allocation; a report for people of what no pointer leads to any more.
    Unreachable,
}

/// Whether a thread of the allocator's own may be started: the option `background`.
///
/// ```
/// use stratalloc::options::{self, Background};
///
/// options::set_background(Background::Off);
/// assert_eq!(options::background(), Background::Off);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// None is.
    Off,
    /// One is, whether the program has threads or not.
    On,
    /// One is in a process that has made threads itself.
    Auto,
}

/// When the kernel is asked for transparent huge pages: the option `huge_pages`.
///
/// ```
/// use stratalloc::options::{self, HugePages};
///
/// options::set_huge_pages(HugePages::Never);
/// assert_eq!(options::huge_pages(), HugePages::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// It is asked not to use them.
    Never,
    /// It is asked for them once the heap is large enough that internal fragmentation to 2 MiB is
    /// small against it.
    Auto,
    /// It is asked for them from the first byte on.
    Always,
}
