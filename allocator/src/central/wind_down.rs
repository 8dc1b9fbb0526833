//! Emptying caches where a program frees nearly all it had.
//!
//! A span goes back when all of its objects are home, and then `page_heap::teardown` gives its
//! pages back to the system. A program that frees all its small blocks leaves the last of them in
//! magazines and transfer caches, each of which keeps a span, and may make no call any more that
//! would bring them home. So when much has come home, and at most a quarter of what was in use
//! recently is still in use, caches *wind down*: magazines become short, what waits in transfer
//! caches goes home, and what is flushed does so at once. When objects are handed out again, it
//! ends.
//!
//! A program that fills and empties its heap in rounds does without: rounds in vain are counted as
//! `page_heap::teardown` counts its own, of which both know. Looks and drains are parts, one with
//! each flush; threads take turns ([`Turns`]), and nobody waits.

use super::all_classes::Central;
use super::shared_pages::SHARED_PAGES;
use crate::base::hint::unlikely;
use crate::base::steps;
use crate::config::{
    WIND_DOWN_END, WIND_DOWN_FADING, WIND_DOWN_LEAST, WIND_DOWN_SHARE, WIND_DOWN_STEP_SHARE,
};
use crate::os::{Linux, Os};
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::page_heap::teardown::Teardown;
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Ordering, Turns};

/// Classes that a part looks at. Few, as parts come with flushes, of which other parts make some.
const LOOKS: usize = 8;

/// Bytes that came home since the last look, or, while caches wind down, that were handed out since
/// then.
///
/// Relaxed, here and below: numbers that decide when something is done, and reach nothing.
static MOVED: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are to come home before the next look, if that is more than a share of
/// `WIND_DOWN_LEAST`.
static DISTANCE: AtomicUsize = AtomicUsize::new(0);

static WIND_DOWN: Turns<WindDown, Linux> = Turns::new(WindDown::new());

/// A look at what is free, or a drain of what waits, and how far it is.
struct WindDown {
    /// The class that it is at.
    class: usize,
    /// Free bytes in the classes before.
    free: usize,
    /// It is a drain.
    is_draining: bool,
    /// Bytes that were in use recently, at most; since caches last wound down, if that is less.
    recent: usize,
    /// What is known of the times that caches wound down, in bytes.
    rounds: Teardown,
}

/// In a forked child: nothing is going on, whatever the parent was at.
pub(super) fn reset_in_child() {
    WIND_DOWN.reset_in_child(WindDown::new());
    // Relaxed: there is no other thread.
    MOVED.store(0, Ordering::Relaxed);
    DISTANCE.store(0, Ordering::Relaxed);
}

impl Central {
    /// Notes that `objects` of `class` came home to their spans. The caller holds no lock.
    #[inline]
    pub(super) fn note_home(&self, class: SizeClass, objects: usize) {
        self.note_reported(self.count_home(class, objects));
    }

    /// Notes that blocks of shared pages returned to these, of `bytes` together. The caller holds no
    /// lock.
    pub(super) fn note_shared_home(&self, bytes: usize) {
        if !HARDENED {
            self.note_reported(self.lists[SizeClass::SHARED.index()].home_to_report(bytes));
        }
    }

    /// Counts `objects` of `class` that come home, and returns the bytes that are to be noted.
    #[inline]
    pub(super) fn count_home(&self, class: SizeClass, objects: usize) -> usize {
        if HARDENED { 0 } else { self.lists[class.index()].home_to_report(objects * class.size()) }
    }

    /// Notes what [`count_home`](Self::count_home) returned. The caller holds no lock.
    #[inline]
    pub(super) fn note_reported(&self, bytes: usize) {
        if !HARDENED && unlikely(bytes > 0 || self.cache_limits.is_winding_down()) {
            self.look_or_drain(bytes);
        }
    }

    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn look_or_drain(&self, bytes: usize) {
        let is_winding_down = self.cache_limits.is_winding_down();
        // Relaxed, all: see `MOVED`.
        let moved =
            if is_winding_down { 0 } else { MOVED.fetch_add(bytes, Ordering::Relaxed) + bytes };
        if is_winding_down
            || moved >= DISTANCE.load(Ordering::Relaxed).max(WIND_DOWN_LEAST / WIND_DOWN_STEP_SHARE)
        {
            WIND_DOWN.try_use(|state| state.take_part(self, is_winding_down));
        }
    }

    /// Notes that `bytes` were handed out. While caches wind down, that ends it.
    pub(super) fn note_flow(&self, bytes: usize) {
        if !self.cache_limits.is_winding_down() {
            return;
        }
        // Relaxed, all: see `MOVED`.
        let moved = MOVED.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if moved >= WIND_DOWN_END {
            self.cache_limits.set_winding_down(false);
            MOVED.store(0, Ordering::Relaxed);
        }
    }
}

impl WindDown {
    const fn new() -> Self {
        Self { class: 0, free: 0, is_draining: false, recent: 0, rounds: Teardown::new() }
    }

    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn take_part(&mut self, central: &Central, is_winding_down: bool) {
        if is_winding_down {
            if self.is_draining {
                self.is_draining = central.drain_some(&mut self.class, LOOKS);
            }
            return;
        }
        self.is_draining = false;
        // Nothing of the classes is read in a small heap: their pages are not there yet.
        if self.class == 0 && PAGE_HEAP.small_bytes().max(self.recent) < WIND_DOWN_LEAST {
            // Relaxed: see `MOVED`.
            return MOVED.store(0, Ordering::Relaxed);
        }
        for _ in 0..LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index(self.class + 1) else {
                return self.decide(central);
            };
            self.class = class.index();
            let in_spans = central.lists[class.index()].stats().free;
            let in_transfer = central.transfer[class.index()].objects();
            self.free += (in_spans + in_transfer) * class.size();
        }
    }

    /// The look is over: decides whether caches wind down from now on.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn decide(&mut self, central: &Central) {
        let used = PAGE_HEAP.small_bytes();
        let in_use = used.saturating_sub(self.free + SHARED_PAGES.free_bytes());
        (self.class, self.free) = (0, 0);
        if self.is_little(in_use)
            && PAGE_HEAP.may_tear_down(self.recent - in_use)
            && self.begin(in_use, Linux.now_ms())
        {
            self.is_draining = true;
            central.cache_limits.set_winding_down(true);
        }
        // Relaxed, both: see `MOVED`.
        MOVED.store(0, Ordering::Relaxed);
        DISTANCE.store(used / WIND_DOWN_STEP_SHARE, Ordering::Relaxed);
    }

    /// Notes that `in_use` bytes are in use. Returns whether that is little of what was.
    fn is_little(&mut self, in_use: usize) -> bool {
        // What is more than before was filled again, if caches wound down.
        self.rounds.note_taken(in_use.saturating_sub(self.recent));
        self.recent = in_use.max(self.recent - self.recent / WIND_DOWN_FADING);
        self.recent >= WIND_DOWN_LEAST && in_use * WIND_DOWN_SHARE <= self.recent
    }

    /// Whether caches may wind down, which they have not done in vain.
    fn begin(&mut self, in_use: usize, now_ms: u64) -> bool {
        let freed = core::mem::replace(&mut self.recent, in_use) - in_use;
        self.rounds.begin(freed, freed, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Looks at what is in use, and how often caches wound down.
    struct Program {
        state: WindDown,
        now_ms: u64,
        times: usize,
    }

    impl Program {
        fn new() -> Self {
            Self { state: WindDown::new(), now_ms: 0, times: 0 }
        }

        fn look(&mut self, in_use: usize) {
            self.now_ms += 1;
            if self.state.is_little(in_use) && self.state.begin(in_use, self.now_ms) {
                self.times += 1;
            }
        }

        /// Frees all but `least` bytes, with looks as far apart as they are.
        fn free_from(&mut self, mut in_use: usize, least: usize) {
            while in_use > least {
                self.look(in_use);
                in_use -= (in_use.max(WIND_DOWN_LEAST) / WIND_DOWN_STEP_SHARE).min(in_use);
            }
        }
    }

    #[test]
    fn caches_wind_down_where_a_program_frees_nearly_all_and_a_few_times_at_most() {
        for most in [2 * WIND_DOWN_LEAST, 20 * MIB, 100 * MIB, 10_000 * MIB] {
            let mut program = Program::new();
            program.free_from(most, MIB / 2);
            assert!((1..=6).contains(&program.times), "{} from {most} bytes", program.times);
        }
    }

    #[test]
    fn caches_never_wind_down_in_a_small_heap_or_while_a_good_part_is_in_use() {
        for (most, least) in [(WIND_DOWN_LEAST - 1, MIB / 2), (100 * MIB, 25 * MIB)] {
            let mut program = Program::new();
            for _ in 0..100 {
                program.free_from(most, least);
            }
            assert_eq!(program.times, 0, "{least} bytes of {most}");
        }
    }

    /// Each time would cost what is cached.
    #[test]
    fn caches_of_a_program_that_goes_on_with_little_wind_down_once() {
        let mut program = Program::new();
        program.free_from(1_000 * MIB, 60 * MIB);
        for round in 0..10_000 {
            program.look(60 * MIB + round % 7 * MIB);
        }
        assert_eq!(program.times, 1);
    }

    /// Caches that were emptied in vain have to be filled again.
    #[test]
    fn rounds_that_fill_the_heap_again_wind_caches_down_once_or_twice_in_a_long_time() {
        let mut program = Program::new();
        for _ in 0..100 {
            program.free_from(100 * MIB, MIB);
        }
        let (times, seconds) = (program.times, program.now_ms / 1000);
        assert!((1..=4).contains(&times), "{times} times in {seconds} s");
    }
}
