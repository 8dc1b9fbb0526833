//! The options at run time: every one by name, as text, and the common ones typed.
//!
//! All can be read and set at any time, by any thread. A new value counts from the next slow path
//! on, and what was decided before stays as it is: mappings are not remade, and caches shrink when
//! they go unused.
//!
//! An option starts with its default, or with what the program was compiled with
//! ([`Options`](crate::Options)), or with what the environment says (`STRATALLOC_OPTIONS`); the
//! last outweighs the others. `docs/tuning.md` says what to set when.
//!
//! ```
//! use core::time::Duration;
//! use stratalloc::options;
//!
//! options::set_decay(Some(Duration::from_millis(500)))?;
//! options::set("magazine_max_bytes", "32KiB")?;
//! for option in options::all() {
//!     println!("{} = {} (default {})", option.name, option.current(), option.default());
//! }
//! # Ok::<(), stratalloc::Error>(())
//! ```

use super::error::Error;
use crate::parameters::{self, Id, NEVER, TABLE};
use core::time::Duration;

pub use crate::parameters::{
    Background, HugePages, Kind as ParameterKind, LeakReport, Parameter, Value as ParameterValue,
};

/// Every option, with its meaning, default, range and cost.
///
/// ```
/// assert!(stratalloc::options::all().any(|option| option.name == "hard_limit"));
/// ```
pub fn all() -> impl ExactSizeIterator<Item = &'static Parameter> {
    TABLE.iter()
}

/// The value of the option called `name`.
///
/// # Errors
/// [`Error::UnknownOption`].
///
/// ```
/// # use stratalloc::{Error, options};
/// assert_eq!(options::get("transfer_cache_bytes")?.number, 2 << 20);
/// assert_eq!(options::get("transfer_cache_bytes")?.to_string(), "2MiB");
/// # Ok::<(), Error>(())
/// ```
pub fn get(name: &str) -> Result<ParameterValue, Error> {
    by_name(name).map(Parameter::current)
}

/// Sets the option called `name` from text, as in the environment.
///
/// # Errors
/// [`Error::UnknownOption`], or [`Error::OutOfRange`] if it does not take this value.
///
/// ```
/// # use stratalloc::{Error, options};
/// options::set("decay_ms", "500ms")?;
/// assert_eq!(options::get("decay_ms")?.number, 500);
/// assert!(matches!(options::set("decay_ms", "soon"), Err(Error::OutOfRange { .. })));
/// # Ok::<(), Error>(())
/// ```
pub fn set(name: &str, value: &str) -> Result<(), Error> {
    let parameter = by_name(name)?;
    if parameter.set_text(value.as_bytes()) { Ok(()) } else { Err(out_of_range(parameter)) }
}

/// `decay_ms`: how long free pages stay resident; `None`: until someone asks for them.
///
/// ```
/// use core::time::Duration;
///
/// assert_eq!(stratalloc::options::decay(), Some(Duration::from_secs(2)));
/// ```
pub fn decay() -> Option<Duration> {
    limit(Id::DecayMs).map(|time| Duration::from_millis(time as u64))
}

/// Sets `decay_ms`, in whole milliseconds; zero: pages go back at once.
///
/// # Errors
/// [`Error::OutOfRange`] if the time is longer than a day.
///
/// ```
/// # use stratalloc::options;
/// options::set_decay(None)?;
/// assert_eq!(options::decay(), None);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_decay(time: Option<Duration>) -> Result<(), Error> {
    // `NEVER` itself is not a time, so what does not fit becomes a number that is out of range.
    let number = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(NEVER - 1);
    set_number(Id::DecayMs, time.map_or(NEVER, |time| number(time).min(NEVER - 1)))
}

/// `soft_limit`: bytes held, beyond which free memory goes back to the system at once; `None`: no
/// limit.
///
/// ```
/// assert_eq!(stratalloc::options::soft_limit(), None);
/// ```
pub fn soft_limit() -> Option<usize> {
    limit(Id::SoftLimit)
}

/// Sets `soft_limit`. It is looked at when memory is taken next; to fall below at once, call
/// [`release_free_memory`](crate::release_free_memory) too.
///
/// # Errors
/// [`Error::OutOfRange`] if it is less than 1 MiB or more than `isize::MAX`.
///
/// ```
/// # use stratalloc::options;
/// options::set_soft_limit(Some(1 << 30))?;
/// assert_eq!(options::soft_limit(), Some(1 << 30));
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_soft_limit(bytes: Option<usize>) -> Result<(), Error> {
    set_limit(Id::SoftLimit, bytes)
}

/// `hard_limit`: bytes held, beyond which allocations fail; `None`: no limit.
///
/// ```
/// assert_eq!(stratalloc::options::hard_limit(), None);
/// ```
pub fn hard_limit() -> Option<usize> {
    limit(Id::HardLimit)
}

/// Sets `hard_limit`. Allocations beyond it fail once all that is free went back to the system.
///
/// # Errors
/// [`Error::OutOfRange`] if it is less than 1 MiB or more than `isize::MAX`.
///
/// ```
/// # use stratalloc::options;
/// options::set_hard_limit(Some(8 << 30))?;
/// assert_eq!(options::hard_limit(), Some(8 << 30));
/// assert!(options::set_hard_limit(Some(10)).is_err());
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_hard_limit(bytes: Option<usize>) -> Result<(), Error> {
    set_limit(Id::HardLimit, bytes)
}

/// `huge_pages`: when the kernel is asked for transparent huge pages.
///
/// ```
/// # use stratalloc::options;
/// assert_eq!(options::huge_pages(), options::HugePages::Auto);
/// ```
pub fn huge_pages() -> HugePages {
    parameters::read_environment_once();
    parameters::huge_pages()
}

/// Sets `huge_pages`, for memory that the heap grows by from now on.
///
/// ```
/// # use stratalloc::options;
/// options::set_huge_pages(options::HugePages::Always);
/// assert_eq!(options::huge_pages(), options::HugePages::Always);
/// ```
pub fn set_huge_pages(policy: HugePages) {
    parameters::set(Id::HugePages, policy as usize);
}

/// `background`: whether a thread of the allocator's own may be started.
///
/// ```
/// # use stratalloc::options;
/// println!("{:?}", options::background());
/// ```
pub fn background() -> Background {
    parameters::read_environment_once();
    parameters::background()
}

/// Sets `background`.
///
/// ```
/// # use stratalloc::options;
/// options::set_background(options::Background::On);
/// assert_eq!(options::background(), options::Background::On);
/// ```
pub fn set_background(when: Background) {
    parameters::set(Id::Background, when as usize);
}

/// `direct_bytes`: blocks of more bytes than this get a mapping of their own; `usize::MAX`: none.
///
/// ```
/// assert_eq!(stratalloc::options::direct_bytes(), 64 << 20);
/// ```
pub fn direct_bytes() -> usize {
    number(Id::DirectBytes)
}

/// Sets `direct_bytes`, for blocks allocated or resized from now on.
///
/// # Errors
/// [`Error::OutOfRange`] if it is less than 32 KiB.
///
/// ```
/// # use stratalloc::options;
/// options::set_direct_bytes(1 << 20)?;
/// assert_eq!(options::direct_bytes(), 1 << 20);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_direct_bytes(bytes: usize) -> Result<(), Error> {
    set_number(Id::DirectBytes, bytes)
}

/// `thread_cache_total_bytes`: what the limits of all threads' caches may add up to.
///
/// ```
/// assert_eq!(stratalloc::options::thread_cache_total_bytes(), 128 << 20);
/// ```
pub fn thread_cache_total_bytes() -> usize {
    number(Id::ThreadCacheTotalBytes)
}

/// Sets `thread_cache_total_bytes`. Magazines that are larger shrink when they go unused.
///
/// # Errors
/// [`Error::OutOfRange`] if it is more than `isize::MAX`.
///
/// ```
/// # use stratalloc::options;
/// options::set_thread_cache_total_bytes(32 << 20)?;
/// assert_eq!(options::thread_cache_total_bytes(), 32 << 20);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_thread_cache_total_bytes(bytes: usize) -> Result<(), Error> {
    set_number(Id::ThreadCacheTotalBytes, bytes)
}

/// `magazine_max_bytes`: the most bytes that a magazine of a thread's cache grows to.
///
/// ```
/// assert_eq!(stratalloc::options::magazine_max_bytes(), 16 << 10);
/// ```
pub fn magazine_max_bytes() -> usize {
    number(Id::MagazineMaxBytes)
}

/// Sets `magazine_max_bytes`. Magazines that are larger shrink when they go unused.
///
/// # Errors
/// [`Error::OutOfRange`] if it is less than 256 bytes or more than 4 MiB.
///
/// ```
/// # use stratalloc::options;
/// options::set_magazine_max_bytes(64 << 10)?;
/// assert_eq!(options::magazine_max_bytes(), 64 << 10);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_magazine_max_bytes(bytes: usize) -> Result<(), Error> {
    set_number(Id::MagazineMaxBytes, bytes)
}

/// `transfer_cache_bytes`: the most bytes that wait in whole magazines between threads, of all size
/// classes together.
///
/// ```
/// assert_eq!(stratalloc::options::transfer_cache_bytes(), 2 << 20);
/// ```
pub fn transfer_cache_bytes() -> usize {
    number(Id::TransferCacheBytes)
}

/// Sets `transfer_cache_bytes`. What waits already stays.
///
/// # Errors
/// [`Error::OutOfRange`] if it is more than `isize::MAX`.
///
/// ```
/// # use stratalloc::options;
/// options::set_transfer_cache_bytes(8 << 20)?;
/// assert_eq!(options::transfer_cache_bytes(), 8 << 20);
/// # Ok::<(), stratalloc::Error>(())
/// ```
pub fn set_transfer_cache_bytes(bytes: usize) -> Result<(), Error> {
    set_number(Id::TransferCacheBytes, bytes)
}

fn by_name(name: &str) -> Result<&'static Parameter, Error> {
    Parameter::by_name(name.as_bytes()).ok_or(Error::UnknownOption)
}

fn out_of_range(parameter: &'static Parameter) -> Error {
    Error::OutOfRange { option: parameter.name, takes: parameter.kind }
}

fn number(id: Id) -> usize {
    parameters::read_environment_once();
    parameters::get(id)
}

fn set_number(id: Id, number: usize) -> Result<(), Error> {
    let admitted = parameters::set(id, number);
    if admitted { Ok(()) } else { Err(out_of_range(&TABLE[id as usize])) }
}

/// The value of an option for which `never` is one: `None`.
fn limit(id: Id) -> Option<usize> {
    let number = number(id);
    (number != NEVER).then_some(number)
}

fn set_limit(id: Id, bytes: Option<usize>) -> Result<(), Error> {
    if bytes == Some(NEVER) {
        return Err(out_of_range(&TABLE[id as usize]));
    }
    set_number(id, bytes.unwrap_or(NEVER))
}
