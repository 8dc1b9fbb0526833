//! Options that are compiled into a program.
//!
//! [`Options`] is a value that the compiler makes: it checks every number while it compiles, and
//! holds no more than the values that were named. They take effect with the first allocation,
//! unless the environment or the program has set the same option (`parameters::compiled`). What the
//! options mean is in `parameters::table`; those that are changed at run time are in `options`.

use crate::parameters::{Background, Compiled, HugePages, Id, LeakReport, TABLE};
use core::fmt;

/// Options that a program starts with, for
/// [`Stratalloc::with_options`](crate::Stratalloc::with_options).
///
/// What is not named keeps its default. Every function is `const` and panics for a value out of
/// range, which in a `static` or a `const` is an error of the compiler.
/// [`options::all`](crate::options::all) has the meaning, range and cost of each option;
/// `docs/tuning.md` says what to set when.
///
/// ```
/// use stratalloc::options::HugePages;
/// use stratalloc::{Configured, Options, Stratalloc};
///
/// const LEAN: Options = Options::new().decay_ms(100).huge_pages(HugePages::Never);
///
/// #[global_allocator]
/// static GLOBAL: Configured = Stratalloc::with_options(LEAN.soft_limit(256 << 20));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Options {
    values: Compiled,
}

impl Options {
    /// No option named: all have their defaults.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const NONE: Options = Options::new();
    /// assert_eq!(NONE, Options::default());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { values: Compiled::NONE }
    }

    /// `decay_ms`: how many milliseconds free pages stay resident; 0: they go back at once.
    ///
    /// # Panics
    /// If it is longer than a day.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().decay_ms(500);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { decay_ms: 500ms }");
    /// ```
    ///
    /// ```compile_fail
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().decay_ms(1_000_000_000);
    /// # let _ = OPTIONS;
    /// ```
    #[must_use]
    pub const fn decay_ms(self, milliseconds: usize) -> Self {
        assert!(milliseconds != usize::MAX, "decay_never() says never");
        self.with(Id::DecayMs, milliseconds, "decay_ms takes 0 to 86,400,000 ms, which is a day")
    }

    /// `decay_ms=never`: free pages stay resident until somebody asks for them.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().decay_never();
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { decay_ms: never }");
    /// ```
    #[must_use]
    pub const fn decay_never(self) -> Self {
        self.with(Id::DecayMs, usize::MAX, "")
    }

    /// `huge_pages`: when the kernel is asked for transparent huge pages.
    ///
    /// ```
    /// # use stratalloc::{Options, options::HugePages};
    /// const OPTIONS: Options = Options::new().huge_pages(HugePages::Always);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { huge_pages: always }");
    /// ```
    #[must_use]
    pub const fn huge_pages(self, policy: HugePages) -> Self {
        self.with(Id::HugePages, policy as usize, "")
    }

    /// `direct_bytes`: blocks of more bytes than this get a mapping of their own; `usize::MAX`:
    /// none.
    ///
    /// # Panics
    /// If it is less than 32 KiB.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().direct_bytes(1 << 20);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { direct_bytes: 1MiB }");
    /// ```
    #[must_use]
    pub const fn direct_bytes(self, bytes: usize) -> Self {
        self.with(Id::DirectBytes, bytes, "direct_bytes takes 32 KiB or more")
    }

    /// `thread_cache_total_bytes`: what the limits of all threads' caches may add up to.
    ///
    /// # Panics
    /// If it is more than `isize::MAX`.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().thread_cache_total_bytes(16 << 20);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { thread_cache_total_bytes: 16MiB }");
    /// ```
    #[must_use]
    pub const fn thread_cache_total_bytes(self, bytes: usize) -> Self {
        let range = "thread_cache_total_bytes takes up to isize::MAX bytes";
        self.with(Id::ThreadCacheTotalBytes, bytes, range)
    }

    /// `magazine_max_bytes`: the most bytes that a magazine of a thread's cache grows to.
    ///
    /// # Panics
    /// If it is less than 256 bytes or more than 4 MiB.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().magazine_max_bytes(64 << 10);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { magazine_max_bytes: 64KiB }");
    /// ```
    #[must_use]
    pub const fn magazine_max_bytes(self, bytes: usize) -> Self {
        self.with(Id::MagazineMaxBytes, bytes, "magazine_max_bytes takes 256 bytes to 4 MiB")
    }

    /// `transfer_cache_bytes`: the most bytes that wait in whole magazines between threads.
    ///
    /// # Panics
    /// If it is more than `isize::MAX`.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().transfer_cache_bytes(8 << 20);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { transfer_cache_bytes: 8MiB }");
    /// ```
    #[must_use]
    pub const fn transfer_cache_bytes(self, bytes: usize) -> Self {
        let range = "transfer_cache_bytes takes up to isize::MAX bytes";
        self.with(Id::TransferCacheBytes, bytes, range)
    }

    /// `background`: whether a thread of the allocator's own may be started to give memory back.
    ///
    /// ```
    /// # use stratalloc::{Options, options::Background};
    /// const OPTIONS: Options = Options::new().background(Background::Off);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { background: off }");
    /// ```
    #[must_use]
    pub const fn background(self, when: Background) -> Self {
        self.with(Id::Background, when as usize, "")
    }

    /// `leak_report`: whether every allocation is traced, and what is said at exit.
    ///
    /// ```
    /// # use stratalloc::{Options, options::LeakReport};
    /// const OPTIONS: Options = Options::new().leak_report(LeakReport::Trace);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { leak_report: trace }");
    /// ```
    #[must_use]
    pub const fn leak_report(self, report: LeakReport) -> Self {
        self.with(Id::LeakReport, report as usize, "")
    }

    /// `leak_exit_code`: the status with which a process exits that has reported leaks; 0: the
    /// report changes no status.
    ///
    /// # Panics
    /// If it is more than 255.
    ///
    /// ```
    /// # use stratalloc::{Options, options::LeakReport};
    /// const OPTIONS: Options =
    ///     Options::new().leak_report(LeakReport::Unreachable).leak_exit_code(23);
    /// assert_eq!(
    ///     format!("{OPTIONS:?}"),
    ///     "Options { leak_report: unreachable, leak_exit_code: 23 }"
    /// );
    /// ```
    #[must_use]
    pub const fn leak_exit_code(self, status: usize) -> Self {
        self.with(Id::LeakExitCode, status, "leak_exit_code takes 0 to 255")
    }

    /// `sample_interval`: the mean number of bytes between two allocations of which the heap
    /// profile takes note.
    ///
    /// # Panics
    /// If it is 0 or more than `isize::MAX`.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().sample_interval(512 << 10);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { sample_interval: 512KiB }");
    /// ```
    #[must_use]
    pub const fn sample_interval(self, bytes: usize) -> Self {
        self.with(Id::SampleInterval, bytes, "sample_interval takes 1 byte or more")
    }

    /// `guard_sample`: the mean number of bytes between two small blocks that get pages of their
    /// own between guard pages.
    ///
    /// # Panics
    /// If it is 0 or more than `isize::MAX`.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().guard_sample(8 << 20);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { guard_sample: 8MiB }");
    /// ```
    #[must_use]
    pub const fn guard_sample(self, bytes: usize) -> Self {
        self.with(Id::GuardSample, bytes, "guard_sample takes 1 byte or more")
    }

    /// `soft_limit`: bytes held, beyond which free memory goes back to the system at once.
    ///
    /// # Panics
    /// If it is less than 1 MiB.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().soft_limit(1 << 30);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { soft_limit: 1GiB }");
    /// ```
    #[must_use]
    pub const fn soft_limit(self, bytes: usize) -> Self {
        self.with(Id::SoftLimit, bytes, "soft_limit takes 1 MiB or more")
    }

    /// `hard_limit`: bytes held, beyond which allocations fail.
    ///
    /// # Panics
    /// If it is less than 1 MiB.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().hard_limit(4 << 30);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { hard_limit: 4GiB }");
    /// ```
    #[must_use]
    pub const fn hard_limit(self, bytes: usize) -> Self {
        self.with(Id::HardLimit, bytes, "hard_limit takes 1 MiB or more")
    }

    /// `container`: whether free memory goes back early for the limits of the container.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().container(false);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { container: off }");
    /// ```
    #[must_use]
    pub const fn container(self, wanted: bool) -> Self {
        self.with(Id::Container, wanted as usize, "")
    }

    /// `spare_shared_pages`: whether pages that a forked child shares are spared.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().spare_shared_pages(false);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { spare_shared_pages: off }");
    /// ```
    #[must_use]
    pub const fn spare_shared_pages(self, wanted: bool) -> Self {
        self.with(Id::SpareSharedPages, wanted as usize, "")
    }

    /// `share_pages`: whether size classes share pages where the mix of sizes has changed.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().share_pages(false);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { share_pages: off }");
    /// ```
    #[must_use]
    pub const fn share_pages(self, wanted: bool) -> Self {
        self.with(Id::SharePages, wanted as usize, "")
    }

    /// `zero_on_free`: whether small blocks are cleared when they are freed. With the feature
    /// `hardened`.
    ///
    /// ```
    /// # use stratalloc::Options;
    /// const OPTIONS: Options = Options::new().zero_on_free(true);
    /// assert_eq!(format!("{OPTIONS:?}"), "Options { zero_on_free: on }");
    /// ```
    #[cfg(feature = "hardened")]
    #[must_use]
    pub const fn zero_on_free(self, wanted: bool) -> Self {
        self.with(Id::ZeroOnFree, wanted as usize, "")
    }

    /// With `number` for the option `id`; panics with `range` if it is not one of its values.
    const fn with(self, id: Id, number: usize, range: &'static str) -> Self {
        match self.values.with(id, number) {
            Some(values) => Self { values },
            None => panic!("{}", range),
        }
    }

    /// Whether these say that the program samples. In a `static` the compiler knows.
    #[inline(always)]
    pub(super) const fn sample(&self) -> bool {
        self.values.names(Id::SampleInterval)
    }

    /// Makes these the values of all options that nobody has set, unless that was done before.
    #[inline]
    pub(super) fn apply_once(&self) {
        self.values.apply_once();
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The options that were named, with their values.
impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = out.debug_struct("Options");
        for (parameter, value) in TABLE.iter().filter_map(|p| Some((p, self.values.value(p)?))) {
            named.field(parameter.name, &format_args!("{value}"));
        }
        named.finish()
    }
}
