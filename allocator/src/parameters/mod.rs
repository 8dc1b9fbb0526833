//! What can be set without rebuilding: one table of parameters, and their values.
//!
//! The table is the only list of options there is: the parser, the text of
//! `STRATALLOC_OPTIONS=help`, the Rust face and a test of `docs/tuning.md` read it. A parameter is
//! in it only if a tier acts on it.
//!
//! A value is one relaxed atomic that slow paths load when they need it; hot paths read none. Every
//! value may change at any time, and counts from the next slow path on.
//!
//! * `value`: a value as text, both ways.
//! * `compiled`: values that are compiled into a program.
//! * `options`: `name=value,name=value`, and what is said about mistakes.
//! * `texts`: the few parameters that are paths or lists of names.
//! * `environment`: the environment of the process, read once; glibc's own variables.
//!
//! No locks, no memory: the environment is read inside the first allocation.

mod compiled;
mod environment;
mod options;
#[cfg(test)]
mod tests;
mod texts;
mod value;

pub use compiled::Compiled;
pub use environment::{environment_was_read, note_environment, read_environment_once};
pub use texts::{TextId, text};
pub use value::{Kind, Value};

use crate::config::{
    DECAY_MS, DIRECT_BYTES, MAGAZINE_MAX_BYTES, MAGAZINE_MAX_OBJECTS, MAGAZINE_START_BYTES,
    MAX_REQUEST, MAX_SMALL, THREAD_CACHE_TOTAL_BYTES, TRANSFER_MAX_BYTES,
};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// A value that is never reached: no decay by itself, no block large enough.
pub const NEVER: usize = usize::MAX;

/// Smallest limit on what is held: what any program needs.
const LEAST_LIMIT: usize = 1 << 20;

/// Longest decay time in milliseconds: a day.
const LONGEST_MS: usize = 24 * 60 * 60 * 1_000;

/// Which parameter: its place in [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// See [`TABLE`], here and below.
    DecayMs,
    /// Its value is a [`HugePages`].
    HugePages,
    /// Compared with the size asked for.
    DirectBytes,
    /// Compared with the sum of all limits.
    ThreadCacheTotalBytes,
    /// Divided by the object size.
    MagazineMaxBytes,
    /// Compared with the bytes of one class.
    TransferCacheBytes,
    /// 0 or 1.
    VerifyAtExit,
    /// Its value is a [`Background`].
    Background,
    /// 0 unless every allocation is traced; see [`LeakReport`].
    LeakReport,
    /// `NEVER` unless allocations are sampled.
    SampleInterval,
    /// 0 or the place of the signal's name.
    DumpSignal,
    /// `NEVER` unless some blocks are guarded.
    GuardSample,
    /// `NEVER` unless there is such a limit.
    SoftLimit,
    /// The same.
    HardLimit,
    /// 0 or 1.
    Container,
    /// 0 or 1.
    SpareSharedPages,
    /// 0 or 1.
    Deepbind,
    /// 0 or 1.
    #[cfg(feature = "hardened")]
    ZeroOnFree,
}

impl Id {
    /// Its bit in a set of parameters.
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

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
    /// It is asked for them once the heap is large enough that internal fragmentation to 2 MiB is small against
    /// it.
    Auto,
    /// It is asked for them from the first byte on.
    Always,
}

/// One option: what it means, what it takes, what it costs. [`all`](crate::options::all) gives every one.
///
/// ```
/// let decay = stratalloc::options::all().find(|option| option.name == "decay_ms").unwrap();
/// assert_eq!(decay.default().to_string(), "2s");
/// assert_eq!(decay.kind.to_string(), "0ms to 86400s, or never");
/// assert!(decay.meaning.starts_with("How long free pages stay resident"));
/// ```
#[derive(Debug)]
pub struct Parameter {
    id: Id,
    /// Its name in `STRATALLOC_OPTIONS`; in upper case behind `STRATALLOC_`, that of its variable.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    default: usize,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What changing it costs.
    pub cost: &'static str,
    /// The clauses of the contract that it belongs to; `-` if none.
    pub clause: &'static str,
}

/// Every parameter, in the order of [`Id`].
pub static TABLE: [Parameter; COUNT] = [
    Parameter {
        id: Id::DecayMs,
        name: "decay_ms",
        kind: Kind::Time { most: LONGEST_MS },
        default: DECAY_MS as usize,
        meaning: "How long free pages stay resident before they go back to the system; 0: they go \
                  at once; never: only when asked (malloc_trim).",
        cost: "Shorter: a system call and fresh page faults more often. Longer: memory that nobody \
               uses stays resident.",
        clause: "C1.1, C2.2",
    },
    Parameter {
        id: Id::HugePages,
        name: "huge_pages",
        kind: Kind::Choice { words: &["never", "auto", "always"] },
        default: HugePages::Auto as usize,
        meaning: "Whether the kernel is asked for transparent huge pages when the heap grows; \
                  auto: once the heap has 16 MiB, for blocks of 2 MiB and more 8 MiB, and not with decay_ms=0.",
        cost: "always: small programs take up to 2 MiB more. never: first touch costs about five \
               times as much, and more TLB misses.",
        clause: "C2.4",
    },
    Parameter {
        id: Id::DirectBytes,
        name: "direct_bytes",
        kind: Kind::Bytes { least: MAX_SMALL, most: MAX_REQUEST, never: true },
        default: DIRECT_BYTES,
        meaning: "Blocks of more than this many bytes get a mapping of their own, which free \
                  unmaps at once; never: none does.",
        cost: "Lower: system calls and page faults on every request of such blocks. Higher: \
               freed blocks stay resident until they decay.",
        clause: "C1.2, C2.3",
    },
    Parameter {
        id: Id::ThreadCacheTotalBytes,
        name: "thread_cache_total_bytes",
        kind: Kind::Bytes { least: 0, most: MAX_REQUEST, never: false },
        default: THREAD_CACHE_TOTAL_BYTES,
        meaning: "What the magazine limits of all threads may add up to before they stop growing; \
                  every class of a thread can still open a small magazine.",
        cost: "Lower: more exchanges through the shared tiers, hence locks. Higher: more memory \
               held by threads that do not use it.",
        clause: "C1.6",
    },
    Parameter {
        id: Id::MagazineMaxBytes,
        name: "magazine_max_bytes",
        kind: Kind::Bytes {
            least: MAGAZINE_START_BYTES,
            most: MAGAZINE_MAX_OBJECTS * MAX_SMALL,
            never: false,
        },
        default: MAGAZINE_MAX_BYTES,
        meaning: "The most bytes that a magazine grows to (and the most objects are 128); a thread \
                  has up to two per size class.",
        cost: "Lower: more exchanges through the shared tiers. Higher: more free memory per \
               thread, and colder.",
        clause: "C1.6",
    },
    Parameter {
        id: Id::TransferCacheBytes,
        name: "transfer_cache_bytes",
        kind: Kind::Bytes { least: 0, most: MAX_REQUEST, never: false },
        default: TRANSFER_MAX_BYTES,
        meaning: "The most bytes that wait in whole magazines between threads, all size classes \
                  together; two magazines of each are always admitted.",
        cost: "Lower: objects go home to their spans one by one more often. Higher: more free \
               memory that no other class can use.",
        clause: "C1.6",
    },
    Parameter {
        id: Id::VerifyAtExit,
        name: "verify_at_exit",
        kind: Kind::Switch,
        default: 1,
        meaning: "Whether the C library checks, when the process exits, that what lies in the last \
                  thread's magazines are whole blocks.",
        cost: "on: microseconds at exit, up to a millisecond where threads have ended. off: a pointer into the middle of a block that was freed \
               last may go unnoticed.",
        clause: "-",
    },
    Parameter {
        id: Id::Background,
        name: "background",
        kind: Kind::Choice { words: &["off", "on", "auto"] },
        // Memcheck gives up on a process that ends while this thread sleeps.
        default: if cfg!(feature = "valgrind") { Background::Off } else { Background::Auto }
            as usize,
        meaning: "Whether a thread of the allocator's own may be started, once the heap has grown \
                  beyond 8 MiB, to give memory back and to empty the caches of threads that \
                  sleep; auto: in processes that have made threads. It sleeps when there is nothing to \
                  do, and ends when next to nothing is in use.",
        cost: "on, auto: a thread that wakes up four times a second while there is memory to give \
               back. off: the program's own calls do it, and one that makes none keeps what it has.",
        clause: "C1.1, C2.2",
    },
    Parameter {
        id: Id::LeakReport,
        name: "leak_report",
        kind: Kind::Choice { words: &["off", "on", "json", "trace"] },
        default: LeakReport::Off as usize,
        meaning: "Traces every allocation from the start and reports at exit what is outstanding, by \
                  stack, for people (on) or machines (json); trace: only on demand.",
        cost: "Not off: no thread has a cache, and each call walks the stack: tens of times slower. \
               Changing it later only changes what is said at exit.",
        clause: "C6.2, C6.3",
    },
    Parameter {
        id: Id::SampleInterval,
        name: "sample_interval",
        kind: Kind::Bytes { least: 1, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Mean bytes between two sampled allocations, for heap profiles; 512KiB is a good value; \
                  never: no thread counts. Must be set at the start to be changed later.",
        cost: "Not never: about 2 instructions more for an allocation and its free together, 16 where the \
               caller of free says the size. Shorter: more stacks walked, and a page for each sampled block.",
        clause: "C6.2",
    },
    Parameter {
        id: Id::DumpSignal,
        name: "dump_signal",
        kind: Kind::Choice { words: &["off", "usr1", "usr2"] },
        default: 0,
        meaning: "Signal that makes the process write what is outstanding to the file that profile_file \
                  names, for stratalloc-ctl report. Read at the start; not if the program uses the signal.",
        cost: "Not off: a thread that sleeps.",
        clause: "C6.2",
    },
    Parameter {
        id: Id::GuardSample,
        name: "guard_sample",
        kind: Kind::Bytes { least: 1, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Mean bytes between two small blocks that get pages of their own between guard pages, \
                  where misuse ends the process with the stacks involved; 8MiB is a good value; never: \
                  none. Must be set at the start to be changed later.",
        cost: "Not never: as sample_interval, 25 instructions more where the caller of free says the size, \
               which is then compared, and a few microseconds and a page or more per guarded block, of which \
               there are at most 512 at a time.",
        clause: "-",
    },
    Parameter {
        id: Id::SoftLimit,
        name: "soft_limit",
        kind: Kind::Bytes { least: LEAST_LIMIT, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Bytes held, beyond which free memory goes back to the system at once, caches included; \
                  requests never fail for it.",
        cost: "Near what the program needs: system calls and page faults whenever the heap grows.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::HardLimit,
        name: "hard_limit",
        kind: Kind::Bytes { least: LEAST_LIMIT, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Bytes held, beyond which requests fail with ENOMEM, once all that is free went back.",
        cost: "As soft_limit; and programs that do not look at what malloc returns crash.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::Container,
        name: "container",
        kind: Kind::Switch,
        default: 1,
        meaning: "Whether whoever gives memory back looks at the memory limits of the container (cgroup v2) and \
                  at the pressure for memory, and gives free memory back early for them.",
        cost: "on: while memory is to go back, a few files are read once a second. off: free memory may \
               make the kernel slow down or end the process.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::SpareSharedPages,
        name: "spare_shared_pages",
        kind: Kind::Switch,
        // Those write to what is freed.
        default: !cfg!(feature = "hardened") as usize,
        meaning: "Whether, after fork in a process with 32 MiB of heap or more, small blocks are freed \
                  without writing to them and new ones put together, while the child shares the pages, \
                  so that fewer of these are copied.",
        cost: "on: free takes some hundred instructions then, and up to a quarter more memory may be held, \
               until the child has ended or runs another program. off: about a page is copied for each block that is freed.",
        clause: "C5.3",
    },
    Parameter {
        id: Id::Deepbind,
        name: "deepbind",
        kind: Kind::Switch,
        default: 1,
        meaning: "Whether the C library sees to it at the start that libraries opened with RTLD_DEEPBIND get this \
                  allocator, too, instead of a mixture with the system's; in programs that can open libraries.",
        cost: "on: some 50 KiB of memory and 20 to 50 us at the start of such a program. off: PHP's extensions and \
               others that are opened so give blocks to the wrong allocator, which ends the process.",
        clause: "C3.1",
    },
    #[cfg(feature = "hardened")]
    Parameter {
        id: Id::ZeroOnFree,
        name: "zero_on_free",
        kind: Kind::Switch,
        default: 0,
        meaning: "Whether small blocks are cleared when they are freed, and looked at once more before \
                  they are used again. Read at the start.",
        cost: "on: what clearing takes.",
        clause: "-",
    },
];

/// Number of parameters.
pub const COUNT: usize = 17 + cfg!(feature = "hardened") as usize;

/// The values. Relaxed throughout: a number that no other memory depends on.
static VALUES: [AtomicUsize; COUNT] = {
    let mut values = [const { AtomicUsize::new(0) }; COUNT];
    let mut index = 0;
    while index < COUNT {
        values[index] = AtomicUsize::new(TABLE[index].default);
        index += 1;
    }
    values
};

/// A bit for each parameter that the environment or the program has set. Relaxed: see `VALUES`; read only when
/// the values that are compiled into a program arrive.
static CHOSEN: AtomicU32 = AtomicU32::new(0);

const _: () = assert!(COUNT <= u32::BITS as usize, "a bit for each parameter");

const _: () = {
    let mut index = 0;
    while index < COUNT {
        assert!(TABLE[index].id as usize == index, "the table is in the order of `Id`");
        assert!(TABLE[index].kind.admits(TABLE[index].default), "defaults are in range");
        index += 1;
    }
};

impl Parameter {
    /// Whether it is this one.
    pub(crate) fn is(&self, id: Id) -> bool {
        self.id == id
    }

    /// The value it starts with if nobody says otherwise.
    ///
    /// ```
    /// for option in stratalloc::options::all() {
    ///     println!("{} is {} by default", option.name, option.default());
    /// }
    /// ```
    pub const fn default(&self) -> Value {
        Value { kind: self.kind, number: self.default }
    }

    /// The value that holds now.
    ///
    /// ```
    /// for option in stratalloc::options::all() {
    ///     println!("{} = {}", option.name, option.current());
    /// }
    /// ```
    pub fn current(&self) -> Value {
        read_environment_once();
        Value { kind: self.kind, number: get(self.id) }
    }

    /// Sets the value from text, as in the environment. Returns whether the text is a value of its
    /// kind, and in range; if not, nothing changes.
    pub(crate) fn set_text(&self, text: &[u8]) -> bool {
        self.kind.parse(text).is_some_and(|number| set(self.id, number))
    }

    /// The parameter called `name`.
    pub(crate) fn by_name(name: &[u8]) -> Option<&'static Self> {
        TABLE.iter().find(|parameter| name.eq_ignore_ascii_case(parameter.name.as_bytes()))
    }
}

/// The value of a parameter, for slow paths.
#[inline]
pub fn get(id: Id) -> usize {
    // Relaxed: see `VALUES`.
    VALUES[id as usize].load(Ordering::Relaxed)
}

/// Sets a value for good: the environment is read before, so that it cannot undo this. Returns
/// whether the value is in range; if not, nothing changes.
pub fn set(id: Id, number: usize) -> bool {
    read_environment_once();
    let admitted = TABLE[id as usize].kind.admits(number);
    if admitted {
        choose(id, number);
    }
    admitted
}

/// Stores a value that outweighs what is compiled into the program.
fn choose(id: Id, number: usize) {
    // Relaxed: see `CHOSEN` and `VALUES`.
    CHOSEN.fetch_or(id.bit(), Ordering::Relaxed);
    VALUES[id as usize].store(number, Ordering::Relaxed);
}

/// Whether that was done for this parameter.
fn was_chosen(id: Id) -> bool {
    CHOSEN.load(Ordering::Relaxed) & id.bit() != 0
}

/// [`Id::Background`] as what it stands for.
pub fn background() -> Background {
    match get(Id::Background) {
        0 => Background::Off,
        1 => Background::On,
        _ => Background::Auto,
    }
}

/// [`Id::HugePages`] as what it stands for.
pub fn huge_pages() -> HugePages {
    match get(Id::HugePages) {
        0 => HugePages::Never,
        1 => HugePages::Auto,
        _ => HugePages::Always,
    }
}
