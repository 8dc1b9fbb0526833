//! Emptying caches where a program frees nearly all it had.
//!
//! A span goes back when all of its objects are home, and then `page_heap::teardown` gives its pages
//! back to the system. A program that frees all its small blocks leaves the last of them in
//! magazines and transfer caches, each of which keeps a span, and may make no call any more that
//! would bring them home. So when much has come home, and three quarters of what spans hold are
//! free, caches ebb: magazines become short, what waits in transfer caches goes home, and what is
//! flushed does so at once. When objects are handed out again, it ends.
//!
//! A program that fills and empties its heap in rounds does without: what `page_heap::teardown`
//! knows of it counts here, too. Looks and drains are parts, one with each flush; threads take
//! turns ([`Turns`]), and nobody waits.

use super::all_classes::{Central, PART_LOOKS};
use super::shared_pages::SHARED_PAGES;
use crate::base::hint::unlikely;
use crate::base::steps;
use crate::config::{EBB_LEAST, EBB_SHARE, EBB_STEP, EBB_STEP_SHARE};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Ordering, Turns};

/// Bytes that came home since the last look, or, while caches ebb, that were handed out since then.
///
/// Relaxed, here and below: numbers that decide when something is done, and reach nothing.
static MOVED: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are to come home before the next look.
static DISTANCE: AtomicUsize = AtomicUsize::new(EBB_STEP);

static EBB: Turns<Ebb, Linux> = Turns::new(Ebb::new());

/// A look at what is free, or a drain of what waits, and how far it is.
struct Ebb {
    /// The class that it is at.
    class: usize,
    /// Free bytes in the classes before.
    free: usize,
    /// It is a drain.
    is_draining: bool,
}

/// In a forked child: nothing is going on, whatever the parent was at.
pub(super) fn reset_in_child() {
    EBB.reset_in_child(Ebb::new());
    // Relaxed: there is no other thread.
    MOVED.store(0, Ordering::Relaxed);
    DISTANCE.store(EBB_STEP, Ordering::Relaxed);
}

impl Central {
    /// Notes that `bytes` came home to their spans.
    pub(super) fn note_home(&self, bytes: usize) {
        if HARDENED {
            return;
        }
        let is_ebbing = self.lean_caches.is_ebbing();
        // Relaxed, all: see `MOVED`.
        let moved = if is_ebbing { 0 } else { MOVED.fetch_add(bytes, Ordering::Relaxed) + bytes };
        if unlikely(is_ebbing || moved >= DISTANCE.load(Ordering::Relaxed)) {
            EBB.try_use(|ebb| ebb.take_part(self, is_ebbing));
        }
    }

    /// Notes that `bytes` were handed out while caches ebb: that ends.
    #[cold]
    #[inline(never)]
    pub(super) fn note_flow(&self, bytes: usize) {
        // Relaxed, all: see `MOVED`.
        let moved = MOVED.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if moved >= EBB_STEP {
            self.lean_caches.set_ebbing(false);
            MOVED.store(0, Ordering::Relaxed);
        }
    }
}

impl Ebb {
    const fn new() -> Self {
        Self { class: 0, free: 0, is_draining: false }
    }

    fn take_part(&mut self, central: &Central, is_ebbing: bool) {
        if is_ebbing {
            if self.is_draining {
                self.is_draining = central.drain_a_part(&mut self.class);
            }
            return;
        }
        self.is_draining = false;
        for _ in 0..PART_LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index(self.class + 1) else {
                return self.decide(central);
            };
            self.class = class.index();
            let in_spans = central.lists[class.index()].stats().0;
            let waiting = central.transfer[class.index()].objects();
            self.free += (in_spans + waiting) * class.size();
        }
    }

    /// The look is over: decides whether caches ebb from now on.
    fn decide(&mut self, central: &Central) {
        let used = PAGE_HEAP.used_bytes();
        let free = self.free + SHARED_PAGES.stats().free;
        *self = Self::new();
        let is_much = used >= EBB_LEAST && used.saturating_sub(free) * EBB_SHARE <= used;
        if is_much && PAGE_HEAP.may_tear_down() {
            self.is_draining = true;
            central.lean_caches.set_ebbing(true);
        }
        // Relaxed, both: see `MOVED`.
        MOVED.store(0, Ordering::Relaxed);
        DISTANCE.store((used / EBB_STEP_SHARE).max(EBB_STEP), Ordering::Relaxed);
    }
}
