//! Numeric properties by name, so that monitoring written for gperftools or Google's tcmalloc keeps
//! working. Every one is a view of one [`Stats`]; nothing is counted here.

use super::error::Error;
use super::options;
use crate::config::DECAY_MS;
use crate::stats::Stats;
use core::time::Duration;

/// A number that the allocator tells about itself. In bytes, but for the one that is a switch.
///
/// `HeapSize` is, to the byte, the sum of `CurrentAllocated`, `ThreadCacheFree`,
/// `TransferCacheFree`, `CentralCacheFree`, `SpanTails`, `PageHeapFree` and `PageHeapUnmapped` of
/// the same moment.
///
/// ```
/// use stratalloc::{MallocExtension, Property};
///
/// let bytes = MallocExtension::numeric_property(Property::CurrentAllocated).unwrap();
/// println!("{bytes} bytes in use");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Property {
    /// `generic.current_allocated_bytes`: [`Stats::in_use`].
    CurrentAllocated,
    /// `generic.heap_size`: [`Stats::mapped`].
    HeapSize,
    /// `generic.physical_memory_used` and `generic.total_physical_bytes`: `mapped -
    /// page_heap_released - central_released`. From above: pages of blocks that the program never
    /// touched count.
    PhysicalMemoryUsed,
    /// `tcmalloc.current_total_thread_cache_bytes` and `tcmalloc.thread_cache_free_bytes`:
    /// [`Stats::thread_cache_free`].
    ThreadCacheFree,
    /// `tcmalloc.transfer_cache_free_bytes`: [`Stats::transfer_cache_free`].
    TransferCacheFree,
    /// `tcmalloc.central_cache_free_bytes`: [`Stats::central_free`].
    CentralCacheFree,
    /// `stratalloc.span_tail_bytes`: [`Stats::span_tails`].
    SpanTails,
    /// `tcmalloc.pageheap_free_bytes`: [`Stats::page_heap_free`].
    PageHeapFree,
    /// `tcmalloc.pageheap_unmapped_bytes`: [`Stats::page_heap_released`].
    PageHeapUnmapped,
    /// `tcmalloc.slack_bytes`: `page_heap_free + page_heap_released`.
    Slack,
    /// `stratalloc.metadata_bytes`: [`Stats::metadata`].
    Metadata,
    /// `stratalloc.metadata_used_bytes`: [`Stats::metadata_used`].
    MetadataUsed,
    /// `stratalloc.rounding_bytes`: [`Stats::internal_fragmentation`].
    InternalFragmentation,
    /// `tcmalloc.max_total_thread_cache_bytes`: what the caches of all threads may grow to
    /// together. Can be set. What threads have been granted already is not taken away, but shrinks
    /// as it goes unused; beyond the bound a thread still gets the smallest magazine of each class
    /// it uses. The parameter `thread_cache_total_bytes`.
    MaxThreadCaches,
    /// `tcmalloc.aggressive_memory_decommit`: 1 if free pages go back to the OS at once, else 0.
    /// Can be set: 1 sets the parameter `decay_ms` to 0, and 0 sets it to its default if it was 0.
    AggressiveDecommit,
}

/// Every name with its property.
const NAMES: [(&str, Property); 17] = [
    ("generic.current_allocated_bytes", Property::CurrentAllocated),
    ("generic.heap_size", Property::HeapSize),
    ("generic.physical_memory_used", Property::PhysicalMemoryUsed),
    ("generic.total_physical_bytes", Property::PhysicalMemoryUsed),
    ("tcmalloc.current_total_thread_cache_bytes", Property::ThreadCacheFree),
    ("tcmalloc.thread_cache_free_bytes", Property::ThreadCacheFree),
    ("tcmalloc.transfer_cache_free_bytes", Property::TransferCacheFree),
    ("tcmalloc.central_cache_free_bytes", Property::CentralCacheFree),
    ("tcmalloc.pageheap_free_bytes", Property::PageHeapFree),
    ("tcmalloc.pageheap_unmapped_bytes", Property::PageHeapUnmapped),
    ("tcmalloc.slack_bytes", Property::Slack),
    ("tcmalloc.max_total_thread_cache_bytes", Property::MaxThreadCaches),
    ("tcmalloc.aggressive_memory_decommit", Property::AggressiveDecommit),
    ("stratalloc.span_tail_bytes", Property::SpanTails),
    ("stratalloc.metadata_bytes", Property::Metadata),
    ("stratalloc.metadata_used_bytes", Property::MetadataUsed),
    ("stratalloc.rounding_bytes", Property::InternalFragmentation),
];

impl Property {
    /// The property that is called `name`.
    ///
    /// ```
    /// # use stratalloc::Property;
    /// assert_eq!(Property::from_name("generic.heap_size"), Some(Property::HeapSize));
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, property)| *property)
    }

    /// Its value now.
    pub(super) fn value(self) -> usize {
        match self {
            Self::MaxThreadCaches | Self::AggressiveDecommit => self.value_in(&Stats::default()),
            _ => self.value_in(&Stats::take()),
        }
    }

    /// Its value at the moment of a snapshot. Those that are settings, not measurements, have the
    /// value of now.
    ///
    /// ```
    /// # use stratalloc::Property;
    /// let now = stratalloc::stats();
    /// assert_eq!(Property::HeapSize.value_in(&now), now.mapped);
    /// ```
    pub fn value_in(self, then: &Stats) -> usize {
        match self {
            Self::CurrentAllocated => then.in_use,
            Self::HeapSize => then.mapped,
            Self::PhysicalMemoryUsed => {
                then.mapped - then.page_heap_released - then.central_released
            }
            Self::ThreadCacheFree => then.thread_cache_free,
            Self::TransferCacheFree => then.transfer_cache_free,
            Self::CentralCacheFree => then.central_free,
            Self::SpanTails => then.span_tails,
            Self::PageHeapFree => then.page_heap_free,
            Self::PageHeapUnmapped => then.page_heap_released,
            Self::Slack => then.page_heap_free + then.page_heap_released,
            Self::Metadata => then.metadata,
            Self::MetadataUsed => then.metadata_used,
            Self::InternalFragmentation => then.internal_fragmentation,
            Self::MaxThreadCaches => options::thread_cache_total_bytes(),
            Self::AggressiveDecommit => usize::from(options::decay() == Some(Duration::ZERO)),
        }
    }

    pub(super) fn set(self, value: usize) -> Result<(), Error> {
        match self {
            Self::MaxThreadCaches => options::set_thread_cache_total_bytes(value),
            Self::AggressiveDecommit => match value {
                0 if self.value() == 0 => Ok(()),
                0 => options::set_decay(Some(Duration::from_millis(DECAY_MS))),
                _ => options::set_decay(Some(Duration::ZERO)),
            },
            _ => Err(Error::ReadOnlyProperty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiers_add_up_to_the_heap_to_the_byte_by_their_property_names() {
        let now = Stats::take();
        let value = |name: &str| Property::from_name(name).unwrap().value_in(&now);
        let tiers = [
            "generic.current_allocated_bytes",
            "tcmalloc.thread_cache_free_bytes",
            "tcmalloc.transfer_cache_free_bytes",
            "tcmalloc.central_cache_free_bytes",
            "stratalloc.span_tail_bytes",
            "tcmalloc.pageheap_free_bytes",
            "tcmalloc.pageheap_unmapped_bytes",
        ];
        let sum: usize = tiers.iter().map(|name| value(name)).sum();
        assert_eq!(sum, value("generic.heap_size"));
    }

    #[test]
    fn what_is_measured_cannot_be_set() {
        for (name, property) in NAMES {
            let settable =
                matches!(property, Property::MaxThreadCaches | Property::AggressiveDecommit);
            let set = property.set(property.value());
            assert_eq!(set.is_ok(), settable, "{name}");
        }
        assert_eq!(Property::from_name("generic.unheard_of"), None);
    }
}
