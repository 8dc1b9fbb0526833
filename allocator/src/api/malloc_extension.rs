//! The controls by the names that gperftools gave them, for code and readers that come from there.
//!
//! The functions of the root and of `options` do the work; what differs here is the names and a few
//! units. This file holds no state. All functions are thread-safe, and may be called at any time.

use super::error::Error;
use super::property::Property;
use super::{blocks, heap, options};
use crate::config::DECAY_MS;
use crate::parameters::{self, Id, NEVER};
use crate::stats::{BlockHistogram, Stats};
use crate::thread_cache::flush;

/// gperftools' `MallocExtension`: its functions by their names, in Rust's spelling. The functions
/// at the root of this crate and in [`options`](crate::options) do the same and more.
///
/// All functions are thread-safe and may be called at any time.
///
/// ```
/// use stratalloc::MallocExtension;
///
/// let before = MallocExtension::stats();
/// MallocExtension::release_free_memory();
/// println!("{} bytes were in use", before.in_use);
/// ```
pub struct MallocExtension;

/// Whose memory a pointer names; see [`MallocExtension::ownership`].
///
/// ```
/// use stratalloc::{MallocExtension, Ownership};
///
/// assert_eq!(MallocExtension::ownership(std::ptr::null()), Ownership::NotOwned);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// This allocator's.
    Owned,
    /// Somebody else's: another allocator, a stack, a file, nobody.
    NotOwned,
}

/// Which limit; see [`MallocExtension::set_memory_limit`].
///
/// ```
/// use stratalloc::{MallocExtension, MemoryLimit};
///
/// assert_eq!(MallocExtension::memory_limit(MemoryLimit::Hard), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryLimit {
    /// Beyond it free memory is released at once; no request fails.
    Soft,
    /// Beyond it requests fail, once all free memory was released.
    Hard,
}

impl MallocExtension {
    /// [`release_free_memory`](crate::release_free_memory).
    ///
    /// ```
    /// stratalloc::MallocExtension::release_free_memory();
    /// ```
    pub fn release_free_memory() -> usize {
        heap::release_free_memory()
    }

    /// [`release_pages`](crate::release_pages).
    ///
    /// ```
    /// stratalloc::MallocExtension::release_to_system(1 << 20);
    /// ```
    pub fn release_to_system(bytes: usize) -> usize {
        heap::release_pages(bytes)
    }

    /// The limit on what the process holds through the allocator; `None`: there is none.
    ///
    /// ```
    /// # use stratalloc::{MallocExtension, MemoryLimit};
    /// assert_eq!(MallocExtension::memory_limit(MemoryLimit::Soft), None);
    /// ```
    pub fn memory_limit(kind: MemoryLimit) -> Option<usize> {
        match kind {
            MemoryLimit::Soft => options::soft_limit(),
            MemoryLimit::Hard => options::hard_limit(),
        }
    }

    /// Limits what the process holds: [`options::set_soft_limit`], [`options::set_hard_limit`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if it is less than 1 MiB.
    ///
    /// ```
    /// # use stratalloc::{Error, MallocExtension, MemoryLimit};
    /// MallocExtension::set_memory_limit(MemoryLimit::Soft, Some(1 << 30))?;
    /// assert_eq!(MallocExtension::memory_limit(MemoryLimit::Soft), Some(1 << 30));
    /// assert!(MallocExtension::set_memory_limit(MemoryLimit::Hard, Some(10)).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_memory_limit(kind: MemoryLimit, bytes: Option<usize>) -> Result<(), Error> {
        match kind {
            MemoryLimit::Soft => options::set_soft_limit(bytes),
            MemoryLimit::Hard => options::set_hard_limit(bytes),
        }
    }

    /// How eagerly free pages go back to the system without being asked, on gperftools' scale of 0
    /// to 10: the default decay time divided by the one that holds. 0: never; 1: the default, 2
    /// seconds; 10: within a tenth of that, or at once.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// assert_eq!(MallocExtension::memory_release_rate(), 1.0);
    /// ```
    pub fn memory_release_rate() -> f64 {
        parameters::read_environment_once();
        match parameters::get(Id::DecayMs) {
            NEVER => 0.0,
            0 => Self::MAX_RELEASE_RATE,
            time => (DECAY_MS as f64 / time as f64).min(Self::MAX_RELEASE_RATE),
        }
    }

    /// Sets that rate, and with it the option `decay_ms`: `2000 / rate`, or never for 0 and
    /// less. Rates above 10 count as 10; what is not a number changes nothing.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// MallocExtension::set_memory_release_rate(4.0);
    /// assert_eq!(MallocExtension::memory_release_rate(), 4.0);
    /// ```
    pub fn set_memory_release_rate(rate: f64) {
        if rate.is_nan() {
            return;
        }
        let time = if rate <= 0.0 {
            NEVER
        } else {
            // A rate that is hardly above 0 gives a time out of range, which is never, below.
            let time = DECAY_MS as f64 / rate.min(Self::MAX_RELEASE_RATE);
            time.min(f64::from(u32::MAX)) as usize
        };
        if !parameters::set(Id::DecayMs, time) {
            parameters::set(Id::DecayMs, NEVER);
        }
    }

    /// The highest rate that means anything.
    const MAX_RELEASE_RATE: f64 = 10.0;

    /// [`stats`](crate::stats()).
    ///
    /// ```
    /// println!("{}", stratalloc::MallocExtension::stats());
    /// ```
    pub fn stats() -> Stats {
        heap::stats()
    }

    /// [`block_histogram`](crate::block_histogram).
    ///
    /// ```
    /// println!("{:?}", stratalloc::MallocExtension::malloc_memory_stats());
    /// ```
    pub fn malloc_memory_stats() -> BlockHistogram {
        heap::block_histogram()
    }

    /// The value of a property, by its [`Property`] or by a name that gperftools or Google's
    /// tcmalloc gave it; `None` if there is no property of that name.
    ///
    /// ```
    /// use stratalloc::{MallocExtension, Property};
    ///
    /// assert!(MallocExtension::numeric_property("generic.current_allocated_bytes").is_some());
    /// assert!(MallocExtension::numeric_property(Property::HeapSize).is_some());
    /// assert_eq!(MallocExtension::numeric_property("no.such.property"), None);
    /// ```
    pub fn numeric_property<'a>(which: impl Into<PropertyKey<'a>>) -> Option<usize> {
        which.into().resolve().map(Property::value)
    }

    /// Sets a property. Two can be set: [`Property::MaxThreadCaches`] and
    /// [`Property::AggressiveDecommit`].
    ///
    /// # Errors
    /// [`Error::UnknownProperty`], [`Error::ReadOnlyProperty`], or [`Error::OutOfRange`].
    ///
    /// ```
    /// # use stratalloc::{Error, MallocExtension, Property};
    /// MallocExtension::set_numeric_property(Property::MaxThreadCaches, 64 << 20)?;
    /// assert_eq!(MallocExtension::numeric_property(Property::MaxThreadCaches), Some(64 << 20));
    /// let refused = MallocExtension::set_numeric_property(Property::HeapSize, 1);
    /// assert_eq!(refused, Err(Error::ReadOnlyProperty));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_numeric_property<'a>(
        which: impl Into<PropertyKey<'a>>,
        value: usize,
    ) -> Result<(), Error> {
        which.into().resolve().ok_or(Error::UnknownProperty)?.set(value)
    }

    /// [`usable_size`](crate::usable_size).
    ///
    /// # Safety
    /// `block` is null or a live block of this allocator (anything else ends the process).
    ///
    /// ```
    /// // SAFETY: null is admitted.
    /// assert_eq!(unsafe { stratalloc::MallocExtension::allocated_size(std::ptr::null()) }, 0);
    /// ```
    pub unsafe fn allocated_size(block: *const u8) -> usize {
        // SAFETY: `block` is null or a live block of this allocator, as the caller says.
        unsafe { blocks::usable_size(block) }
    }

    /// [`good_size`](crate::good_size).
    ///
    /// ```
    /// assert_eq!(stratalloc::MallocExtension::estimated_allocated_size(100), 112);
    /// ```
    pub fn estimated_allocated_size(size: usize) -> usize {
        blocks::good_size(size)
    }

    /// Whose memory `pointer` names: [`owns`](crate::owns).
    ///
    /// ```
    /// # use stratalloc::{MallocExtension, Ownership};
    /// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
    /// let block = Box::new(1_u64);
    /// let owner = MallocExtension::ownership((&raw const *block).cast());
    /// assert_eq!(owner, Ownership::Owned);
    /// ```
    pub fn ownership(pointer: *const u8) -> Ownership {
        if blocks::owns(pointer) { Ownership::Owned } else { Ownership::NotOwned }
    }

    /// [`thread_cache_bytes`](crate::thread_cache_bytes).
    ///
    /// ```
    /// println!("{} bytes", stratalloc::MallocExtension::thread_cache_size());
    /// ```
    pub fn thread_cache_size() -> usize {
        heap::thread_cache_bytes()
    }

    /// For a thread about to wait for long: [`flush_thread_cache`](crate::flush_thread_cache).
    ///
    /// ```
    /// stratalloc::MallocExtension::mark_thread_idle();
    /// assert_eq!(stratalloc::MallocExtension::thread_cache_size(), 0);
    /// ```
    pub fn mark_thread_idle() {
        heap::flush_thread_cache();
    }

    /// For a thread about to wait for a little: hands what it has cached to the threads that go on,
    /// as far as the transfer caches have room for it. Its magazines keep their limits.
    ///
    /// ```
    /// stratalloc::MallocExtension::mark_thread_temporarily_idle();
    /// ```
    pub fn mark_thread_temporarily_idle() {
        flush::hand_over_own();
    }

    /// For a thread that goes on after [`mark_thread_idle`](Self::mark_thread_idle) or
    /// [`mark_thread_temporarily_idle`](Self::mark_thread_temporarily_idle). It does nothing: a
    /// cache fills with the first allocations. Exists so that code written for gperftools has the
    /// pair.
    ///
    /// ```
    /// stratalloc::MallocExtension::mark_thread_busy();
    /// ```
    pub fn mark_thread_busy() {}

    /// [`is_sound`](crate::is_sound).
    ///
    /// ```
    /// assert!(stratalloc::MallocExtension::verify_all_memory());
    /// ```
    pub fn verify_all_memory() -> bool {
        heap::is_sound()
    }

    /// [`is_live`](crate::is_live).
    ///
    /// # Safety
    /// `block` is a pointer that came from this allocator, freed or not, or never did; memory that
    /// this allocator holds is read.
    ///
    /// ```
    /// let local = 1_u8;
    /// // SAFETY: it never came from this allocator.
    /// assert!(!unsafe { stratalloc::MallocExtension::verify_malloc_memory(&local) });
    /// ```
    pub unsafe fn verify_malloc_memory(block: *const u8) -> bool {
        // SAFETY: as the caller says, `block` came from this allocator, freed or not, or never did.
        unsafe { blocks::is_live(block) }
    }
}

/// A [`Property`], or the name of one. Made by `into()`.
///
/// ```
/// use stratalloc::{MallocExtension, Property, PropertyKey};
///
/// let keys: [PropertyKey; 2] = ["generic.heap_size".into(), Property::HeapSize.into()];
/// assert!(keys.iter().all(|&key| MallocExtension::numeric_property(key).is_some()));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum PropertyKey<'a> {
    /// The property itself.
    Known(Property),
    /// Its name.
    Named(&'a str),
}

impl PropertyKey<'_> {
    fn resolve(self) -> Option<Property> {
        match self {
            Self::Known(property) => Some(property),
            Self::Named(name) => Property::from_name(name),
        }
    }
}

impl From<Property> for PropertyKey<'_> {
    fn from(property: Property) -> Self {
        Self::Known(property)
    }
}

impl<'a> From<&'a str> for PropertyKey<'a> {
    fn from(name: &'a str) -> Self {
        Self::Named(name)
    }
}
