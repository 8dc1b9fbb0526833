//! Looking at what lies idle in the spans of each class: some classes with each call.
//!
//! Whoever has a look keeps it, and goes on with it in the next calls, so that none of them looks
//! at more than a few dozen classes. What is found is in OS pages. A look takes the lock of one
//! class at a time; it decides nothing.

use super::all_classes::Central;
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use crate::base::steps;
use crate::config::{CLASS_COUNT, PAGE_SIZE, PART_CLASSES};
use crate::page::size_class::SizeClass;

/// OS pages that lie idle, per class. Four bytes hold what a class can have.
#[derive(Clone, Copy)]
pub(super) struct IdlePages([u32; CLASS_COUNT]);

impl IdlePages {
    /// None.
    pub const NONE: Self = Self([0; CLASS_COUNT]);

    /// Of the classes that are `wanted`, the one that has most, if any has a page.
    pub fn most(&self, wanted: impl Fn(SizeClass) -> bool) -> Option<SizeClass> {
        let pages = |class: &SizeClass| self.0[class.index()];
        let most = SizeClass::all().filter(|&class| wanted(class)).max_by_key(pages);
        most.filter(|class| pages(class) > 0)
    }

    /// Notes that `bytes` of `class` are not idle any more.
    pub fn subtract(&mut self, class: SizeClass, bytes: usize) {
        let pages = u32::try_from(bytes.div_ceil(OS_PAGE)).unwrap_or(u32::MAX);
        self.0[class.index()] = self.0[class.index()].saturating_sub(pages);
    }

    /// Notes that none of `class` are.
    pub fn clear(&mut self, class: SizeClass) {
        self.0[class.index()] = 0;
    }
}

/// A look at all classes.
pub(super) struct IdleLook {
    /// Who looks.
    consumer: Consumer,
    /// Bytes of the largest objects whose classes are looked at.
    largest: usize,
    /// Spans of each class, for each shard that uses it, whose idle bytes do not count.
    spare_spans: usize,
    /// The class that was looked at last; 0: none was.
    class: usize,
    /// Bytes that were found so far.
    pub bytes: usize,
    /// The same per class. Complete when the look is over.
    pub found: IdlePages,
}

impl IdleLook {
    /// A look that has not begun.
    pub const fn new(consumer: Consumer, largest: usize, spare_spans: usize) -> Self {
        Self { consumer, largest, spare_spans, class: 0, bytes: 0, found: IdlePages::NONE }
    }

    /// Whether it has begun, and is not over.
    pub fn is_going_on(&self) -> bool {
        self.class > 0
    }

    /// Looks at the next classes. Returns whether those were the last.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn take_part(&mut self, central: &Central) -> bool {
        if self.class == 0 {
            self.bytes = 0;
        }
        for _ in 0..PART_CLASSES {
            steps::add(1);
            let class = SizeClass::from_index(self.class + 1);
            let Some(class) = class.filter(|class| class.size() <= self.largest) else {
                self.class = 0;
                return true;
            };
            self.class = class.index();
            let list = &central.lists[class.index()];
            let spare = self.spare_spans * class.info().pages as usize * PAGE_SIZE;
            let idle = list.take_idle(class, self.consumer);
            let idle = match idle.saturating_sub(spare) {
                0 => 0,
                _ if spare == 0 => idle,
                _ => idle.saturating_sub(spare * list.shards_in_use()),
            };
            self.found.0[class.index()] = u32::try_from(idle / OS_PAGE).unwrap_or(u32::MAX);
            self.bytes += idle;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_with_most_idle_pages_is_found_until_none_has_any() {
        let [small, large] = [64, 1024].map(|size| SizeClass::of(size).unwrap());
        let mut pages = IdlePages::NONE;
        assert_eq!(pages.most(|_| true), None);
        pages.0[small.index()] = 3;
        pages.0[large.index()] = 5;
        assert_eq!(pages.most(|_| true), Some(large));
        assert_eq!(pages.most(|class| class != large), Some(small));
        pages.subtract(large, 2 * OS_PAGE + 1);
        assert_eq!(pages.most(|_| true), Some(small));
        pages.clear(small);
        assert_eq!(pages.most(|class| class != large), None);
        pages.subtract(large, usize::MAX);
        assert_eq!(pages.most(|_| true), None);
    }
}
