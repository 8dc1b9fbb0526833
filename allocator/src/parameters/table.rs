//! The table of parameters: every option, with its range, its default, and what it means and costs.
//!
//! This is the only list of options. The parser, the text of `STRATALLOC_OPTIONS=help`, the Rust
//! interface and a test of `docs/tuning.md` read it. A parameter is in it only if a tier acts on
//! it. The clauses that it names are those of `docs/contract.md`. Their values are in `values`.

use super::choices::{Background, HugePages, LeakReport};
use super::value::{Kind, NEVER, Value};
use crate::config::{
    DECAY_MS, DIRECT_BYTES, MAGAZINE_MAX_BYTES, MAGAZINE_MAX_OBJECTS, MAGAZINE_START_BYTES,
    MAX_REQUEST, MAX_SMALL, THREAD_CACHE_TOTAL_BYTES, TRANSFER_MAX_BYTES,
};
use crate::policy::{HARDENED, MEMCHECK};

/// Smallest limit on what is held: what any program needs.
const LEAST_LIMIT: usize = 1 << 20;

/// Longest decay time in milliseconds: a day.
pub(super) const LONGEST_MS: usize = 24 * 60 * 60 * 1_000;

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
    /// Compared with the bytes in all transfer caches together.
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
    /// `NEVER` unless there is a soft limit.
    SoftLimit,
    /// `NEVER` unless there is a hard limit.
    HardLimit,
    /// 0 or 1.
    Container,
    /// 0 or 1.
    SpareSharedPages,
    /// 0 or 1.
    SharePages,
    /// 0 or 1.
    Deepbind,
    /// A status of a process; 0: what it would be anyway.
    LeakExitCode,
    /// 0 or 1. In the hardened build alone.
    ZeroOnFree,
}

impl Id {
    /// Its bit in a set of parameters.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// One option: what it means, what it takes, what it costs. [`all`](crate::options::all) gives
/// every one.
///
/// ```
/// let decay = stratalloc::options::all().find(|option| option.name == "decay_ms").unwrap();
/// assert_eq!(decay.default().to_string(), "2s");
/// assert_eq!(decay.kind.to_string(), "0ms to 86400s, or never");
/// assert!(decay.meaning.starts_with("How long free pages stay resident"));
/// ```
#[derive(Debug)]
pub struct Parameter {
    pub(super) id: Id,
    /// Its name in `STRATALLOC_OPTIONS`; in upper case behind `STRATALLOC_`, that of its variable.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    pub(super) default: usize,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What changing it costs.
    pub cost: &'static str,
    /// The clauses of the contract that it belongs to; `-` if none.
    pub clause: &'static str,
}

/// Every parameter of this build, in the order of [`Id`].
pub static TABLE: &[Parameter] = ALL.split_at(COUNT).0;

/// Number of parameters.
pub const COUNT: usize = ALL.len() - !HARDENED as usize;

/// The parameters of all builds, in the order of [`Id`]; the hardened build's own one is the last.
static ALL: [Parameter; 20] = [
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
        meaning: "Whether the kernel is asked for transparent huge pages when memory is taken; \
                  auto: once the heap has 16 MiB, for blocks of more than 256 KiB 8 MiB, where \
                  memory is touched densely, and not with decay_ms=0.",
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
        cost: "Lower: objects return to their spans one by one more often. Higher: more free \
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
        cost: "on: microseconds at exit, up to a millisecond where threads have ended. off: a \
               pointer into the middle of a block that was freed last may go unnoticed.",
        clause: "-",
    },
    Parameter {
        id: Id::Background,
        name: "background",
        kind: Kind::Choice { words: &["off", "on", "auto"] },
        // Memcheck gives up on a process that ends while this thread sleeps.
        default: if MEMCHECK { Background::Off } else { Background::Auto } as usize,
        meaning: "Whether a thread of the allocator's own may be started, once the heap has grown \
                  beyond 8 MiB, to give memory back and to empty the caches of threads that sleep; \
                  auto: in processes that have made threads. It sleeps when there is nothing to \
                  do, and ends when next to nothing is in use.",
        cost: "on, auto: a thread that wakes up four times a second while there is memory to give \
               back. off: the program's own calls do it, and one that makes none keeps what it \
               has.",
        clause: "C1.1, C2.2",
    },
    Parameter {
        id: Id::LeakReport,
        name: "leak_report",
        kind: Kind::Choice { words: &["off", "on", "json", "trace", "unreachable"] },
        default: LeakReport::Off as usize,
        meaning: "Traces every allocation from the start and reports at exit what is outstanding, \
                  by stack, for people (on) or machines (json); trace: only on demand; \
                  unreachable: only what no pointer leads to any more.",
        cost: "Not off: no thread has a cache, and each call walks the stack: tens of times \
               slower. Changing it later only changes what is said at exit.",
        clause: "C6.2, C6.3",
    },
    Parameter {
        id: Id::SampleInterval,
        name: "sample_interval",
        kind: Kind::Bytes { least: 1, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Mean bytes between two sampled allocations, for heap profiles; 512KiB is a good \
                  value; never: no thread counts. Must be set at the start to be changed later.",
        cost: "Not never: about 2 instructions more for an allocation and its free together, 16 \
               where the caller of free says the size, and some 2,000 for each sample: \
               3 % of the harness's workloads in the mean in C, 11 % in Rust. Shorter: more \
               stacks walked, and a page for each sampled block.",
        clause: "C6.2",
    },
    Parameter {
        id: Id::DumpSignal,
        name: "dump_signal",
        kind: Kind::Choice { words: &["off", "usr1", "usr2"] },
        default: 0,
        meaning: "Signal that makes the process write what is outstanding to the file that \
                  profile_file names, for stratalloc-ctl report. Read at the start; not if the \
                  program uses the signal.",
        cost: "Not off: a thread that sleeps.",
        clause: "C6.2",
    },
    Parameter {
        id: Id::GuardSample,
        name: "guard_sample",
        kind: Kind::Bytes { least: 1, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Mean bytes between two small blocks that get pages of their own between guard \
                  pages, where misuse ends the process with the stacks involved; 8MiB is a good \
                  value; never: none. Must be set at the start to be changed later.",
        cost: "Not never: as sample_interval, 25 instructions more where the caller of free says \
               the size, which is then compared, and a few microseconds and a page or more per \
               guarded block, of which there are at most 512 at a time.",
        clause: "-",
    },
    Parameter {
        id: Id::SoftLimit,
        name: "soft_limit",
        kind: Kind::Bytes { least: LEAST_LIMIT, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Bytes held, beyond which free memory goes back to the system at once, caches \
                  included; requests never fail for it.",
        cost: "Near what the program needs: system calls and page faults whenever the heap grows.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::HardLimit,
        name: "hard_limit",
        kind: Kind::Bytes { least: LEAST_LIMIT, most: MAX_REQUEST, never: true },
        default: NEVER,
        meaning: "Bytes held, beyond which requests fail with ENOMEM, once all that is free went \
                  back.",
        cost: "As soft_limit; and programs that do not look at what malloc returns crash.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::Container,
        name: "container",
        kind: Kind::Switch,
        default: 1,
        meaning: "Whether whoever gives memory back looks at the memory limits of the container \
                  (cgroup v2) and at the pressure for memory, and gives free memory back early for \
                  them.",
        cost: "on: while memory is to go back, a few files are read once a second. off: free \
               memory may make the kernel slow down or end the process.",
        clause: "C1.1, C1.5",
    },
    Parameter {
        id: Id::SpareSharedPages,
        name: "spare_shared_pages",
        kind: Kind::Switch,
        // Those write to what is freed.
        default: !HARDENED as usize,
        meaning: "Whether, after fork in a process with 32 MiB of heap or more, small blocks are \
                  freed without writing to them and new ones put together, while the child shares \
                  the pages, so that fewer of these are copied.",
        cost: "on: free takes some hundred instructions then, and up to a quarter more memory may \
               be held, until the child has ended or runs another program. off: about a page is \
               copied for each block that is freed.",
        clause: "C5.3",
    },
    Parameter {
        id: Id::SharePages,
        name: "share_pages",
        kind: Kind::Switch,
        // The hardened build's checks know one size class per page.
        default: (!HARDENED && !MEMCHECK) as usize,
        meaning: "Whether blocks of up to 7.5 KiB, of all sizes, share pages where the mix of \
                  sizes in a process has changed, so that the holes which one size left are used \
                  by others.",
        cost: "on: freeing and allocating blocks on such pages takes some more time; processes \
               whose sizes do not change have none. off: what every size needed at its peak stays \
               resident. Hardened builds have no such pages.",
        clause: "C1.6",
    },
    Parameter {
        id: Id::Deepbind,
        name: "deepbind",
        kind: Kind::Switch,
        default: 1,
        meaning: "Whether the C library sees to it at the start that libraries opened with \
                  RTLD_DEEPBIND get this allocator, too, instead of a mixture with the system's; \
                  in programs that can open libraries.",
        cost: "on: some 50 KiB of memory and 20 to 50 us at the start of such a program. off: \
               PHP's extensions and others that are opened so give blocks to the wrong allocator, \
               which ends the process.",
        clause: "C3.1",
    },
    Parameter {
        id: Id::LeakExitCode,
        name: "leak_exit_code",
        kind: Kind::Number { most: 255 },
        default: 0,
        meaning: "Status with which a process exits that has reported leaks at exit, for tests; 0: \
                  the report changes no status.",
        cost: "Not 0: such a process ends by _exit, after its streams are flushed: destructors of \
               libraries that would come after the report do not run.",
        clause: "C6.2",
    },
    Parameter {
        id: Id::ZeroOnFree,
        name: "zero_on_free",
        kind: Kind::Switch,
        default: 0,
        meaning: "Whether small blocks are cleared when they are freed, and looked at once more \
                  before they are used again. Read at the start.",
        cost: "on: what clearing takes.",
        clause: "-",
    },
];

const _: () = assert!(COUNT <= u32::BITS as usize, "a bit for each parameter");

const _: () = {
    let mut index = 0;
    while index < ALL.len() {
        assert!(ALL[index].id as usize == index, "the table is in the order of `Id`");
        assert!(ALL[index].kind.admits(ALL[index].default), "defaults are in range");
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

    /// The parameter called `name`.
    pub(crate) fn by_name(name: &[u8]) -> Option<&'static Self> {
        TABLE.iter().find(|parameter| name.eq_ignore_ascii_case(parameter.name.as_bytes()))
    }
}
