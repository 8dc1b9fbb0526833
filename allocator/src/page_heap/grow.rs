//! Growth by whole huge pages: mapping them, making their records, adding them to the free ranges.
//!
//! Runs under the page heap's lock, also while the kernel maps memory: two threads that both find
//! the heap empty must not both grow it. Growth by less than a huge page is in `partial`.

use super::backing::FEW;
use super::density::Use;
use super::heap::Inner;
use super::huge_page::HugePage;
use super::huge_ranges::record;
use crate::base::probe::probe;
use crate::config::{
    DECAY_AT_ONCE_HUGE, DECAY_MIN_HUGE, GROWTH_FRACTION, GROWTH_MAX_HUGE, HUGE_SIZE, PAGE_SIZE,
    PAGES_PER_HUGE, THP_MIN_HUGE_LARGE, THP_MIN_HUGE_LONGER, THP_MIN_HUGE_SMALL,
};
use crate::os::{Os, libc_calls, map_aligned, release_request};
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::units::Granule;
use crate::parameters::{self, HugePages, Id};
use core::ptr::NonNull;

/// Bytes of records for a huge page that holds spans of a few pages each.
const RECORDS_PER_HUGE: usize = 8 << 10;

impl Inner {
    /// Maps at least `need` contiguous huge pages and adds them to the free ranges. `purpose` is
    /// what they are for at first.
    pub(super) fn grow<O: Os>(&mut self, os: &O, need: usize, purpose: Use) -> Option<()> {
        // Before the last addresses are taken: large blocks that are freed later need records when
        // they become small spans.
        METADATA.reserve(self.huge_pages * RECORDS_PER_HUGE);
        self.granule = Granule::of(os.page_size(), PAGE_SIZE);
        let request = need.max((self.huge_pages / GROWTH_FRACTION).clamp(1, GROWTH_MAX_HUGE));
        self.map_huge(os, request, purpose)
            .or_else(|| if request > need { self.map_huge(os, need, purpose) } else { None })
    }

    /// How many of the next `count` huge pages, from the first one on, the kernel is to back with
    /// one page each.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn huge_of<O: Os>(&mut self, os: &O, count: usize, purpose: Use) -> usize {
        let threshold = match purpose {
            Use::Spans => THP_MIN_HUGE_SMALL,
            Use::Blocks | Use::LongerBlock => THP_MIN_HUGE_LARGE,
        };
        match parameters::huge_pages() {
            HugePages::Never => 0,
            HugePages::Always => count,
            HugePages::Auto if self.huge_pages < threshold => 0,
            // Memory is released page by page at once, which would break huge pages up as soon as
            // they are made.
            HugePages::Auto if parameters::get(Id::DecayMs) == 0 => 0,
            HugePages::Auto if purpose == Use::LongerBlock && count < THP_MIN_HUGE_LONGER => 0,
            HugePages::Auto => {
                self.densities[purpose.kind()].huge_of(os, count, purpose, self.borders < FEW)
            }
        }
    }

    /// Maps `count` huge pages, of which as many are backed as such as `huge_of` says.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn map_huge<O: Os>(&mut self, os: &O, count: usize, purpose: Use) -> Option<()> {
        let bytes = count.checked_mul(HUGE_SIZE)?;
        let addr = map_aligned(os, bytes, HUGE_SIZE, self.lowest.saturating_sub(bytes))?;
        probe!("grow", addr, bytes);
        let backed = self.huge_of(os, count, purpose);
        let entered =
            if PAGE_MAP.ensure(addr, bytes) { self.enter_records(addr, count, backed) } else { 0 };
        let backed = backed.min(entered);
        let probe = addr + backed * HUGE_SIZE;
        // SAFETY: all of this was just mapped, and nothing refers yet to what could not be entered.
        unsafe {
            if entered < count {
                os.unmap(addr + entered * HUGE_SIZE, (count - entered) * HUGE_SIZE);
            }
            if backed > 0 {
                os.advise_huge(addr, backed * HUGE_SIZE, true);
            }
            if entered > backed && parameters::huge_pages() == HugePages::Never {
                os.advise_huge(probe, (entered - backed) * HUGE_SIZE, false);
            }
        }
        if entered > backed {
            self.densities[purpose.kind()].note_probe(probe, entered - backed);
        }
        self.lowest = addr;
        (entered == count).then_some(())
    }

    /// Makes records for fresh huge pages, the first `backed` of which are backed as such, and adds
    /// them to the ranges. Returns how many there was metadata for.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn enter_records(&mut self, addr: usize, count: usize, backed: usize) -> usize {
        let mut entered = 0;
        while entered < count {
            let at = addr + entered * HUGE_SIZE;
            let huge = match NonNull::new(record(at)) {
                // Lost when a block was moved (`relocate`): all of it, as it could be mapped now.
                Some(lost) => {
                    self.huge_pages -= 1;
                    self.used -= PAGES_PER_HUGE;
                    self.absent -= PAGES_PER_HUGE;
                    lost
                }
                None => match METADATA.allocate::<HugePage>() {
                    Some(huge) => huge,
                    None => break,
                },
            };
            let is_backed = entered < backed;
            self.change_asked(at, |_| {
                // SAFETY: memory for one record, fresh or of a lost huge page, which is in no list.
                unsafe { huge.write(HugePage::fresh(at, is_backed)) };
                PAGE_MAP.set_huge(at, huge.as_ptr().cast());
            });
            entered += 1;
        }
        if entered > 0 {
            self.huge_pages += entered;
            if self.huge_pages >= DECAY_MIN_HUGE {
                release_request::note_size();
            }
            if self.huge_pages >= DECAY_AT_ONCE_HUGE && libc_calls::has_threads() {
                release_request::request();
            }
            // SAFETY: the records were just made, and all their pages are free.
            unsafe { self.ranges.insert(record(addr), entered) };
        }
        entered
    }
}
