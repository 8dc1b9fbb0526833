//! The size classes, and how much of each the program holds: what jemalloc calls bins.
//!
//! A view of what `totals` reads of each class; nothing is counted here. Thread-safe: locks are
//! taken one after the other, and none is held while the caller looks at a class.

use super::totals::for_each_class;
use crate::config::{MAX_SMALL, PAGE_SIZE, SHARED_CLASS};

/// One size class at one moment; [`for_each_size_class`](crate::for_each_size_class) gives every
/// one.
///
/// ```
/// stratalloc::for_each_size_class(|class: stratalloc::ClassUsage| {
///     println!("{} blocks of {} bytes", class.in_use_count, class.object_size);
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClassUsage {
    /// Bytes of an object.
    pub object_size: usize,
    /// Objects in a span of this class.
    pub span_objects: usize,
    /// Bytes of such a span.
    pub span_size: usize,
    /// Spans of this class now.
    pub span_count: usize,
    /// Objects that the program holds now, those on pages that size classes share included.
    pub in_use_count: usize,
}

impl ClassUsage {
    /// Number of size classes.
    ///
    /// ```
    /// let mut count = 0;
    /// stratalloc::for_each_size_class(|_| count += 1);
    /// assert_eq!(count, stratalloc::ClassUsage::COUNT);
    /// ```
    pub const COUNT: usize = SHARED_CLASS - 1;
    /// Bytes of an object of the largest.
    ///
    /// ```
    /// assert_eq!(stratalloc::ClassUsage::LARGEST, 32 << 10);
    /// ```
    pub const LARGEST: usize = MAX_SMALL;

    /// Calls `visit` for every size class, smallest first. Thread-safe; no lock is held meanwhile.
    pub(crate) fn for_each(mut visit: impl FnMut(Self)) {
        for_each_class(|class, now| {
            let info = class.info();
            let span_objects = info.objects as usize;
            visit(Self {
                object_size: class.size(),
                span_objects,
                span_size: info.pages as usize * PAGE_SIZE,
                span_count: now.spans,
                in_use_count: now.in_use,
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::central::shared_pages::SHARED_PAGES;

    #[test]
    fn every_class_is_visited_once_from_the_smallest_on() {
        let (mut count, mut last) = (0, 0);
        ClassUsage::for_each(|class| {
            assert!(class.object_size > last);
            assert!(class.object_size * class.span_objects <= class.span_size);
            // Other tests of this process may have blocks of the class on shared pages.
            let in_spans = class.span_count * class.span_objects;
            assert!(class.in_use_count <= in_spans || SHARED_PAGES.stats().bytes > 0);
            (count, last) = (count + 1, class.object_size);
        });
        assert_eq!((count, last), (ClassUsage::COUNT, ClassUsage::LARGEST));
    }
}
