//! Giving back what lies idle in the shared tier when the process grows elsewhere.
//!
//! Time alone is not enough. A program whose sizes change runs through a phase in a second, and would hold
//! what every one of them needed at its peak (C1.6). But when its memory grows, it pays a page fault for
//! each page; giving back an idle page for it costs about half of that, and keeps the sum level. A program
//! that has what it needs, and only moves it about, never gets here.
//!
//! What is to go for a megabyte of growth goes in parts, one with each of the calls that make the process grow next: none
//! of them does more than a few dozen steps of that.

use super::low_water::Consumer;
use super::release::{Budget, OS_PAGE};
use super::{Central, Drain, PART_LOOKS};
use crate::base::steps;
use crate::config::{
    CLASS_COUNT, GROWTH_MOST, GROWTH_PRICE, GROWTH_STEP, GROWTH_STEPS_TO_DRAIN, GROWTH_TOLERATED,
    GROWTH_TOLERATED_SHARE,
};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicUsize, Ordering, Turns};

/// Bytes that came into use without having been resident, and that no payment was made for to its end. Relaxed, here and
/// below: a sum that decides when to do something, not what.
static GROWTH: AtomicUsize = AtomicUsize::new(0);

/// What is given back for growth, and how far that is.
struct Payment {
    /// Times that one began.
    count: usize,
    /// Bytes that it is for.
    grown: usize,
    /// OS pages that are to go.
    pages: usize,
    /// Idle magazines go home before.
    drain: Drain,
    /// Whether it is known what lies idle; the class that was looked at last for that, and the sum so far.
    is_known: bool,
    looked_at: usize,
    idle_bytes: usize,
    /// What does, of each class, in OS pages. Four bytes hold what a class can have.
    idle: [u32; CLASS_COUNT],
}

static PAYMENT: Turns<Payment, Linux> = Turns::new(Payment::new());

/// In a forked child: nothing is owed.
pub(super) fn reset_in_child() {
    PAYMENT.reset_in_child(Payment::new());
    GROWTH.store(0, Ordering::Relaxed);
}

impl Central {
    /// Notes that the process came to use `bytes` of memory that were not resident. For every so many of
    /// them, idle memory is given back, if there is much of it.
    pub fn note_growth(&self, bytes: usize) {
        if GROWTH.fetch_add(bytes, Ordering::Relaxed) + bytes < GROWTH_STEP {
            return;
        }
        self.pay_for_growth();
    }

    /// Gives back a part of the idle memory that is to go for what the process has grown by.
    #[cold]
    #[inline(never)]
    fn pay_for_growth(&self) {
        PAYMENT.try_use(|payment| {
            if !payment.is_owed() {
                payment.begin(GROWTH.load(Ordering::Relaxed));
            }
            payment.pay_a_part(self);
            if !payment.is_owed() {
                GROWTH.fetch_sub(payment.grown, Ordering::Relaxed);
            }
        });
    }
}

impl Payment {
    const fn new() -> Self {
        Self {
            count: 0,
            grown: 0,
            pages: 0,
            drain: Drain::over(),
            is_known: false,
            looked_at: 0,
            idle_bytes: 0,
            idle: [0; CLASS_COUNT],
        }
    }

    fn is_owed(&self) -> bool {
        self.pages > 0
    }

    fn begin(&mut self, grown: usize) {
        self.grown = grown;
        self.pages = GROWTH_PRICE * grown.min(GROWTH_MOST) / OS_PAGE;
        (self.is_known, self.looked_at, self.idle_bytes) = (false, 0, 0);
        let drains = self.count.is_multiple_of(GROWTH_STEPS_TO_DRAIN);
        self.drain = if drains { Drain::new() } else { Drain::over() };
        self.count = self.count.wrapping_add(1);
    }

    fn pay_a_part(&mut self, central: &Central) {
        if !self.drain.is_over() {
            self.drain.take_part(central, Consumer::Growth);
        } else if !self.is_known {
            self.look(central);
        } else {
            self.release_a_part(central);
        }
    }

    /// Finds out what lies idle, some classes at a time. If that is little, nothing is owed.
    fn look(&mut self, central: &Central) {
        for _ in 0..PART_LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index(self.looked_at + 1) else {
                let least = GROWTH_TOLERATED.max(PAGE_HEAP.used_bytes() / GROWTH_TOLERATED_SHARE);
                if self.idle_bytes < least {
                    self.pages = 0;
                }
                self.is_known = true;
                return;
            };
            self.looked_at = class.index();
            let bytes = central.lists[class.index()].take_idle(class, Consumer::Growth);
            self.idle[class.index()] = u32::try_from(bytes / OS_PAGE).unwrap_or(u32::MAX);
            self.idle_bytes += bytes;
        }
    }

    /// Gives back some idle pages of the class that has most.
    fn release_a_part(&mut self, central: &Central) {
        let most = SizeClass::all().max_by_key(|class| self.idle[class.index()]);
        let Some(class) = most.filter(|class| self.idle[class.index()] > 0) else {
            self.pages = 0;
            return;
        };
        let mut budget = Budget::for_one_call(self.pages);
        let bytes = central.release_idle(class, &mut budget);
        self.pages = self.pages.saturating_sub(bytes / OS_PAGE);
        if budget.is_over {
            self.idle[class.index()] = 0;
        }
    }
}
