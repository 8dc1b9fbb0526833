//! Growth by whole huge pages: mapping them, making their records, adding them to the free ranges.
//!
//! Runs under the page heap's lock, also while the kernel maps memory: two threads that both find
//! the heap empty must not both grow it. Growth by less than a huge page is in `partial`.

use super::heap::Inner;
use super::huge_page::HugePage;
use super::huge_ranges::record;
use crate::base::probe::probe;
use crate::config::{
    DECAY_AT_ONCE_HUGE, DECAY_MIN_HUGE, GROWTH_FRACTION, GROWTH_MAX_HUGE, HUGE_SIZE, PAGE_SIZE,
    PAGES_PER_HUGE,
};
use crate::os::{Os, libc_calls, map_aligned, release_request};
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::units::Granule;
use crate::parameters::{self, HugePages};
use core::ptr::NonNull;

/// Bytes of records for a huge page that holds spans of a few pages each.
const RECORDS_PER_HUGE: usize = 8 << 10;

impl Inner {
    /// Maps at least `need` contiguous huge pages and adds them to the free ranges.
    pub(super) fn grow<O: Os>(&mut self, os: &O, need: usize) -> Option<()> {
        // Before the last addresses are taken: large blocks that are freed later need records when
        // they become small spans.
        METADATA.reserve(self.huge_pages * RECORDS_PER_HUGE);
        self.granule = Granule::of(os.page_size(), PAGE_SIZE);
        let request = need.max((self.huge_pages / GROWTH_FRACTION).clamp(1, GROWTH_MAX_HUGE));
        self.map_huge(os, request)
            .or_else(|| if request > need { self.map_huge(os, need) } else { None })
    }

    /// Maps `count` huge pages. Whether the kernel is to back them with one page each is decided
    /// when they are taken (`backing`), unless the option decides it.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn map_huge<O: Os>(&mut self, os: &O, count: usize) -> Option<()> {
        let bytes = count.checked_mul(HUGE_SIZE)?;
        let addr = map_aligned(os, bytes, HUGE_SIZE, self.lowest.saturating_sub(bytes))?;
        probe!("grow", addr, bytes);
        let policy = parameters::huge_pages();
        let is_backed = policy == HugePages::Always;
        let entered = if PAGE_MAP.ensure(addr, bytes) {
            self.enter_records(addr, count, is_backed)
        } else {
            0
        };
        // SAFETY: all of this was just mapped, and nothing refers yet to what could not be entered.
        unsafe {
            if entered < count {
                os.unmap(addr + entered * HUGE_SIZE, (count - entered) * HUGE_SIZE);
            }
            if entered > 0 && policy != HugePages::Auto {
                os.advise_huge(addr, entered * HUGE_SIZE, is_backed);
            }
        }
        self.lowest = addr;
        (entered == count).then_some(())
    }

    /// Makes records for fresh huge pages and adds them to the ranges. Returns how many there was
    /// metadata for.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn enter_records(&mut self, addr: usize, count: usize, is_backed: bool) -> usize {
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
