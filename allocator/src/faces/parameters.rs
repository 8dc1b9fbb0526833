//! The parameters as Rust sees them: typed, and by name.

use crate::parameters::{self, Id, NEVER};
use core::fmt;
use core::time::Duration;

pub use crate::parameters::{HugePages, Kind as ParameterKind, Parameter, Value as ParameterValue};

/// The allocator's parameters. All can be read and set at any time, by any thread; a new value
/// counts from the next slow path on, and what was decided before stays. They start with their
/// defaults, or with what the environment says (`STRATALLOC_OPTIONS`, see `docs/tuning.md`).
///
/// ```
/// use core::time::Duration;
/// use stratalloc::Parameters;
///
/// Parameters::set_decay(Some(Duration::from_millis(500)))?;
/// assert_eq!(Parameters::decay(), Some(Duration::from_millis(500)));
/// Parameters::set("magazine_max_bytes", "32KiB")?;
/// for parameter in Parameters::table() {
///     println!("{} = {} (default {})", parameter.name, parameter.current(), parameter.default());
/// }
/// # Ok::<(), stratalloc::OutOfRange>(())
/// ```
pub struct Parameters;

/// A value that the parameter does not take, or a name that no parameter has.
#[derive(Clone, Copy, Debug)]
pub struct OutOfRange {
    kind: Option<ParameterKind>,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(out, "not a value of this parameter, which takes {kind}"),
            None => out.write_str("no parameter has this name"),
        }
    }
}

impl core::error::Error for OutOfRange {}

impl Parameters {
    /// Every parameter, with its meaning, default, range and cost.
    pub fn table() -> impl ExactSizeIterator<Item = &'static Parameter> {
        parameters::TABLE.iter()
    }

    /// Sets the parameter called `name` from text, as in the environment: `("decay_ms", "500ms")`.
    ///
    /// # Errors
    /// If no parameter has this name, or it does not take this value. Nothing changes then.
    pub fn set(name: &str, value: &str) -> Result<(), OutOfRange> {
        let parameter = Parameter::by_name(name.as_bytes()).ok_or(OutOfRange { kind: None })?;
        let done = parameter.set_text(value.as_bytes());
        done.then_some(()).ok_or(OutOfRange { kind: Some(parameter.kind) })
    }

    /// `decay_ms`: how long free pages stay resident; `None`: until someone asks for them (C1.1,
    /// C2.2).
    pub fn decay() -> Option<Duration> {
        let time = get(Id::DecayMs);
        (time != NEVER).then(|| Duration::from_millis(time as u64))
    }

    /// Sets `decay_ms`, in whole milliseconds; zero: pages go back at once.
    ///
    /// # Errors
    /// If the time is longer than a day. Nothing changes then.
    pub fn set_decay(time: Option<Duration>) -> Result<(), OutOfRange> {
        // `NEVER` itself is not a time, so what does not fit becomes a number that is out of range.
        let number = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(NEVER - 1);
        set(Id::DecayMs, time.map_or(NEVER, |time| number(time).min(NEVER - 1)))
    }

    /// `huge_pages`: when the kernel is asked for transparent huge pages.
    pub fn huge_pages() -> HugePages {
        parameters::read_environment_once();
        parameters::huge_pages()
    }

    /// Sets `huge_pages`, for memory that the heap grows by from now on.
    pub fn set_huge_pages(policy: HugePages) {
        parameters::set(Id::HugePages, policy as usize);
    }

    /// `direct_bytes`: blocks of more bytes than this get a mapping of their own (C1.2);
    /// `usize::MAX`: none.
    pub fn direct_bytes() -> usize {
        get(Id::DirectBytes)
    }

    /// Sets `direct_bytes`, for blocks allocated or resized from now on.
    ///
    /// # Errors
    /// If it is less than 32 KiB. Nothing changes then.
    pub fn set_direct_bytes(bytes: usize) -> Result<(), OutOfRange> {
        set(Id::DirectBytes, bytes)
    }

    /// `thread_cache_total_bytes`: what the magazine limits of all threads may add up to.
    pub fn thread_cache_total_bytes() -> usize {
        get(Id::ThreadCacheTotalBytes)
    }

    /// Sets `thread_cache_total_bytes`. Magazines that are larger shrink when they go unused.
    ///
    /// # Errors
    /// If it is more than `isize::MAX`. Nothing changes then.
    pub fn set_thread_cache_total_bytes(bytes: usize) -> Result<(), OutOfRange> {
        set(Id::ThreadCacheTotalBytes, bytes)
    }

    /// `magazine_max_bytes`: the most bytes that one magazine grows to.
    pub fn magazine_max_bytes() -> usize {
        get(Id::MagazineMaxBytes)
    }

    /// Sets `magazine_max_bytes`. Magazines that are larger shrink when they go unused.
    ///
    /// # Errors
    /// If it is less than 256 bytes or more than 4 MiB. Nothing changes then.
    pub fn set_magazine_max_bytes(bytes: usize) -> Result<(), OutOfRange> {
        set(Id::MagazineMaxBytes, bytes)
    }

    /// `transfer_cache_bytes`: the most bytes that wait between threads, of all size classes together.
    pub fn transfer_cache_bytes() -> usize {
        get(Id::TransferCacheBytes)
    }

    /// Sets `transfer_cache_bytes`. What waits already is not sent home.
    ///
    /// # Errors
    /// If it is more than `isize::MAX`. Nothing changes then.
    pub fn set_transfer_cache_bytes(bytes: usize) -> Result<(), OutOfRange> {
        set(Id::TransferCacheBytes, bytes)
    }

    /// `verify_at_exit`: whether the C library checks the last thread's magazines when the process
    /// exits.
    pub fn verify_at_exit() -> bool {
        get(Id::VerifyAtExit) != 0
    }

    /// `deepbind`: whether the C library sees to it at the start that libraries opened with
    /// `RTLD_DEEPBIND` get this allocator.
    pub fn deepbind() -> bool {
        get(Id::Deepbind) != 0
    }

    /// Sets `verify_at_exit`.
    pub fn set_verify_at_exit(wanted: bool) {
        parameters::set(Id::VerifyAtExit, usize::from(wanted));
    }
}

fn get(id: Id) -> usize {
    parameters::read_environment_once();
    parameters::get(id)
}

fn set(id: Id, number: usize) -> Result<(), OutOfRange> {
    let kind = Some(parameters::TABLE[id as usize].kind);
    parameters::set(id, number).then_some(()).ok_or(OutOfRange { kind })
}
