//! The allocator's controls, named as gperftools names them.

use super::property::Property;
use crate::background;
use crate::central::CENTRAL;
use crate::config::DECAY_MS;
use crate::front;
use crate::observe::{self, BlockHistogram, ClassUsage, Snapshot};
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::thread_cache::exchange;

/// The allocator's controls. All functions are thread-safe and may be called at any time.
///
/// ```
/// use stratalloc::MallocExtension;
///
/// let before = MallocExtension::stats();
/// let released = MallocExtension::release_free_memory();
/// println!("{} bytes were in use, {released} went back to the OS", before.in_use);
/// ```
pub struct MallocExtension;

/// Whose memory a pointer names; see [`MallocExtension::ownership`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// This allocator's.
    Owned,
    /// Somebody else's: another allocator, a stack, a file, nobody.
    NotOwned,
}

/// Which limit; see [`MallocExtension::set_memory_limit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryLimit {
    /// Beyond it free memory goes back at once; no request fails.
    Soft,
    /// Beyond it requests fail, once all that is free went back.
    Hard,
}

impl MemoryLimit {
    fn parameter(self) -> Id {
        match self {
            Self::Soft => Id::SoftLimit,
            Self::Hard => Id::HardLimit,
        }
    }
}

/// Why [`MallocExtension::set_property`] refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotSettable;

impl core::fmt::Display for NotSettable {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("the allocator has no property of this name that can be set")
    }
}

impl core::error::Error for NotSettable {}

impl MallocExtension {
    /// Gives all that is free back to the OS: this thread's cache, the shared tiers (OS pages inside
    /// half-used spans too), and the page heap's free pages (C1.5). Returns the bytes that left the process.
    ///
    /// Also empties the caches of the other threads, whichever of them are not allocating right now.
    ///
    /// ```
    /// use stratalloc::{MallocExtension, Stratalloc};
    ///
    /// #[global_allocator]
    /// static GLOBAL: Stratalloc = Stratalloc;
    ///
    /// let mut blocks: Vec<Vec<u8>> = (0..10_000).map(|_| vec![1; 1_000]).collect();
    /// blocks.truncate(10);
    /// let released = MallocExtension::release_free_memory();
    /// assert!(released > 8_000_000, "nearly all of ten million bytes are back with the OS");
    /// ```
    pub fn release_free_memory() -> usize {
        Self::trim(0)
    }

    /// As [`release_free_memory`](Self::release_free_memory), but keeps up to `pad` free bytes in
    /// the page heap, as `malloc_trim` does. Returns the bytes that left the process.
    pub fn trim(pad: usize) -> usize {
        front::reclaim();
        let inside_spans = CENTRAL.release_pages();
        let free = PAGE_HEAP.stats().free;
        inside_spans + PAGE_HEAP.release_bytes(free.saturating_sub(pad))
    }

    /// Gives up to `bytes` of free pages back to the OS, leaving all caches alone. Returns the
    /// bytes that left the process; more than asked for by less than a huge page, as pages go back
    /// in runs.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
    /// drop(vec![1_u8; 8 << 20]);
    /// let released = MallocExtension::release_to_system(1 << 20);
    /// assert!((1 << 20..4 << 20).contains(&released));
    /// ```
    pub fn release_to_system(bytes: usize) -> usize {
        PAGE_HEAP.release_bytes(bytes)
    }

    /// The limit on what the process holds through the allocator; `None`: there is none. See
    /// [`set_memory_limit`](Self::set_memory_limit).
    pub fn memory_limit(kind: MemoryLimit) -> Option<usize> {
        parameters::read_environment_once();
        let bytes = parameters::get(kind.parameter());
        (bytes != parameters::NEVER).then_some(bytes)
    }

    /// Limits what the process holds: the parameter `soft_limit` or `hard_limit`. Looked at when
    /// memory is taken next; to fall below at once, call
    /// [`release_free_memory`](Self::release_free_memory) too.
    ///
    /// Returns whether it could; limits below 1 MiB change nothing.
    ///
    /// ```
    /// # use stratalloc::{MallocExtension, MemoryLimit};
    /// assert!(MallocExtension::set_memory_limit(MemoryLimit::Soft, Some(1 << 30)));
    /// assert_eq!(MallocExtension::memory_limit(MemoryLimit::Soft), Some(1 << 30));
    /// assert!(!MallocExtension::set_memory_limit(MemoryLimit::Hard, Some(10)));
    /// assert_eq!(MallocExtension::memory_limit(MemoryLimit::Hard), None);
    /// ```
    pub fn set_memory_limit(kind: MemoryLimit, bytes: Option<usize>) -> bool {
        parameters::set(kind.parameter(), bytes.unwrap_or(parameters::NEVER))
    }

    /// How eagerly free pages go back to the OS without being asked, on gperftools' scale of 0 to
    /// 10: the default decay time divided by the one that holds. 0: never; 1: the default, 2
    /// seconds; 10: within a tenth of that, or at once.
    pub fn memory_release_rate() -> f64 {
        parameters::read_environment_once();
        match parameters::get(Id::DecayMs) {
            parameters::NEVER => 0.0,
            0 => Self::MAX_RELEASE_RATE,
            time => (DECAY_MS as f64 / time as f64).min(Self::MAX_RELEASE_RATE),
        }
    }

    /// Sets that rate, and with it the parameter `decay_ms`: `2000 / rate`, or never for 0 and
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
            parameters::NEVER
        } else {
            // A rate that is hardly above 0 gives a time out of range, which is never, below.
            let time = DECAY_MS as f64 / rate.min(Self::MAX_RELEASE_RATE);
            time.min(f64::from(u32::MAX)) as usize
        };
        if !parameters::set(Id::DecayMs, time) {
            parameters::set(Id::DecayMs, parameters::NEVER);
        }
    }

    /// The highest rate that means anything.
    const MAX_RELEASE_RATE: f64 = 10.0;

    /// Where every byte is at this moment.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
    /// let block = vec![0_u8; 100_000];
    /// let now = MallocExtension::stats();
    /// assert!(now.in_use >= block.len());
    /// assert!(now.mapped >= now.in_use + now.page_heap_free);
    /// ```
    pub fn stats() -> Snapshot {
        Snapshot::take()
    }

    /// How many blocks of which size the program holds at this moment.
    pub fn block_histogram() -> BlockHistogram {
        BlockHistogram::take()
    }

    /// Calls `visit` for every size class, smallest first, with how much of it the program holds.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// let mut largest = 0;
    /// MallocExtension::for_each_size_class(|class| largest = class.object_size);
    /// assert_eq!(largest, 32 << 10);
    /// ```
    pub fn for_each_size_class(visit: impl FnMut(ClassUsage)) {
        ClassUsage::for_each(visit);
    }

    /// Gives free pages back whose decay time is over, if a step of the decay is due: what the
    /// program's other calls do as well.
    pub fn decay_if_due() {
        background::give_back_due_pages();
    }

    /// The value of a property, by its [`Property`] or by a name that gperftools or Google's
    /// tcmalloc gave it; `None` if there is no property of that name.
    ///
    /// ```
    /// use stratalloc::{MallocExtension, Property};
    ///
    /// assert!(MallocExtension::property("generic.current_allocated_bytes").is_some());
    /// assert!(MallocExtension::property(Property::HeapSize).is_some());
    /// assert_eq!(MallocExtension::property("no.such.property"), None);
    /// ```
    pub fn property<'a>(which: impl Into<PropertyKey<'a>>) -> Option<usize> {
        which.into().resolve().map(Property::value)
    }

    /// Sets a property. Two can be set: [`Property::MaxThreadCaches`] and
    /// [`Property::AggressiveDecommit`].
    ///
    /// # Errors
    /// [`NotSettable`] if the property is read-only or does not exist.
    ///
    /// ```
    /// # use stratalloc::{MallocExtension, Property};
    /// MallocExtension::set_property(Property::MaxThreadCaches, 64 << 20)?;
    /// assert_eq!(MallocExtension::property(Property::MaxThreadCaches), Some(64 << 20));
    /// assert!(MallocExtension::set_property(Property::HeapSize, 1).is_err());
    /// # Ok::<(), stratalloc::NotSettable>(())
    /// ```
    pub fn set_property<'a>(
        which: impl Into<PropertyKey<'a>>,
        value: usize,
    ) -> Result<(), NotSettable> {
        which.into().resolve().ok_or(NotSettable)?.set(value)
    }

    /// Bytes that may be used behind `block`: at least what was asked for; 0 for null.
    ///
    /// # Safety
    /// `block` is null or a live block of this allocator (anything else aborts).
    pub unsafe fn allocated_size(block: *const u8) -> usize {
        // SAFETY: handed through.
        unsafe { front::usable_size(block.cast_mut()) }
    }

    /// Bytes that an allocation of `size` bytes would really get; 0 if it cannot be served.
    /// Allocates nothing.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// assert_eq!(MallocExtension::estimated_allocated_size(100), 112);
    /// assert_eq!(MallocExtension::estimated_allocated_size(usize::MAX), 0);
    /// ```
    pub fn estimated_allocated_size(size: usize) -> usize {
        front::good_size(size, crate::config::MIN_ALIGN)
    }

    /// Whose memory `pointer` names. Exact for pointers to the start of live blocks and for memory
    /// that was never this allocator's. A pointer into a small block is recognised wherever it
    /// points, one into a large block only if it points to its start. The memory is not touched.
    ///
    /// ```
    /// # use stratalloc::{MallocExtension, Ownership};
    /// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
    /// let block = Box::new(1_u64);
    /// let local = 1_u64;
    /// let owner = |value: &u64| MallocExtension::ownership(std::ptr::from_ref(value).cast());
    /// assert_eq!(owner(&block), Ownership::Owned);
    /// assert_eq!(owner(&local), Ownership::NotOwned);
    /// ```
    pub fn ownership(pointer: *const u8) -> Ownership {
        if observe::is_owned(pointer as usize) { Ownership::Owned } else { Ownership::NotOwned }
    }

    /// Bytes in the calling thread's cache.
    pub fn thread_cache_size() -> usize {
        exchange::own_bytes()
    }

    /// For a thread about to wait for long: gives up its whole cache, to the spans. Its next
    /// allocations begin with small magazines again.
    ///
    /// Rarely needed: the caches of threads that sleep are emptied anyway, a few seconds later.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
    /// drop(vec![vec![1_u8; 64]; 1_000]);
    /// assert!(MallocExtension::thread_cache_size() > 0);
    /// MallocExtension::mark_thread_idle();
    /// assert_eq!(MallocExtension::thread_cache_size(), 0);
    /// ```
    pub fn mark_thread_idle() {
        exchange::flush_own();
    }

    /// For a thread about to wait for a little: hands its cache to the threads that go on, as far
    /// as these have room for it (transfer caches), and keeps what it learnt about sizes.
    pub fn mark_thread_temporarily_idle() {
        exchange::hand_over_own();
    }

    /// For a thread that goes on after one of the two above. Nothing is left to do: a cache fills
    /// with the first allocations. Exists so that code written for gperftools has the pair.
    pub fn mark_thread_busy() {}

    /// Whether the allocator's records agree with each other: the calling thread's cache object by
    /// object, the transfer caches likewise, the bitmaps of all spans with free objects, and those
    /// of the page heap. Takes one lock at a time and walks everything behind it: for tests and
    /// hunting corruption, not for production.
    ///
    /// ```
    /// # use stratalloc::MallocExtension;
    /// assert!(MallocExtension::verify_all_memory());
    /// ```
    pub fn verify_all_memory() -> bool {
        observe::all_memory_is_sound()
    }

    /// Whether a block starts at `block` that is not known to be free. One that lies free in
    /// another thread's cache is not found out.
    ///
    /// # Safety
    /// `block` is a pointer that came from this allocator, freed or not, or never did; memory that
    /// this allocator holds is read.
    pub unsafe fn verify_block(block: *const u8) -> bool {
        observe::block_is_live(block as usize)
    }
}

/// A [`Property`], or the name of one.
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
