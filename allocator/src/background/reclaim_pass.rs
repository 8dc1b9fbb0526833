//! Giving back more than the decay does, part by part: at a limit, when the container runs short,
//! when a request would fail, and for a trim.
//!
//! A *pass* goes through the tiers, from what costs the program least: pages inside spans, the
//! caches of all threads, the transfer caches, the pages that became free by that. It keeps its
//! place in each of them, and between two of its parts no lock is held. A part is a few dozen steps
//! or one bounded system call.
//!
//! One pass is shared, that for limits (`begin`, `take_part`): the allocator's thread goes through
//! it at a stretch, and each call of the program's that comes to a slow path meanwhile does a part,
//! or as many as it takes pages itself. Another one is that of requests that would fail: they are
//! tried again whenever something came home. A trim has its own.

use crate::central::{CENTRAL, OS_PAGE, cow_state};
use crate::config::PAGE_SIZE;
use crate::os::{Linux, release_request};
use crate::page::size_class::SizeClass;
use crate::page_heap::{PAGE_HEAP, guard_pages, limits};
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Futex, Ordering, Turns};
use crate::thread_cache::{cache_pool, flush, park::Parking};

/// A stage of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// OS pages inside spans on which no object lives.
    Spans,
    /// Whether that was enough: then the caches stay as they are.
    Enough,
    /// What no longer serves once caches are emptied: pages are not spared any more, fenced spans
    /// not kept.
    Prepare,
    /// What the calling thread has cached.
    Own,
    /// What other threads have cached.
    Others,
    /// Caches of threads that have ended.
    Kept,
    /// The transfer caches.
    Transfer,
    /// OS pages inside spans that lay idle.
    Idle,
    /// What lay idle of the page heap's free pages is owed from then on.
    Surplus,
    /// Free pages beyond the limit.
    Pages,
}

use Stage::{Enough, Idle, Kept, Others, Own, Pages, Prepare, Spans, Surplus, Transfer};

/// What a pass is to reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// The process is below its limits, or nothing more can be had.
    Limit,
    /// Nothing more can be had, and free pages beyond the limit are gone.
    Everything,
    /// Free pages beyond the limit are gone.
    FreePages,
    /// All caches are empty.
    EmptyCaches,
    /// What lies idle is gone.
    NothingIdle,
}

impl Goal {
    const fn stages(self) -> &'static [Stage] {
        match self {
            Self::Limit => &[Spans, Enough, Prepare, Own, Others, Kept, Transfer, Spans, Pages],
            Self::Everything => &[Spans, Prepare, Own, Others, Kept, Transfer, Spans, Pages],
            Self::FreePages => &[Pages],
            Self::EmptyCaches => &[Prepare, Own, Others, Kept, Transfer],
            Self::NothingIdle => &[Transfer, Idle, Surplus],
        }
    }
}

/// How far a pass is.
pub struct Pass {
    /// The stages that are left, the present one first.
    stages: &'static [Stage],
    /// The class that the stage is at, where it goes by classes; whether it has begun with it; and
    /// how many of its OS pages are to go.
    class: usize,
    has_begun: bool,
    pages: usize,
    parking: Parking,
    /// Bytes that went back by it.
    released: usize,
}

// SAFETY: the caches that `parking` is at are never unmapped, and are used under the registry's
// lock.
unsafe impl Send for Pass {}

/// What a part did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Bytes that went back to the system.
    pub bytes: usize,
    /// A request that failed may find memory now.
    pub may_help: bool,
}

impl Pass {
    /// Nothing is to be done.
    const fn over() -> Self {
        Self {
            stages: &[],
            class: 0,
            has_begun: false,
            pages: 0,
            parking: Parking::of_others(),
            released: 0,
        }
    }

    /// A pass that has not begun.
    pub const fn new(goal: Goal) -> Self {
        Self { stages: goal.stages(), ..Self::over() }
    }

    /// Whether nothing is left to be done.
    pub fn is_over(&self) -> bool {
        self.stages.is_empty()
    }

    /// Does all that is left, part by part.
    pub fn run(&mut self) {
        while !self.is_over() {
            self.take_part();
        }
    }

    /// Does a part.
    pub fn take_part(&mut self) -> Done {
        let Some(&stage) = self.stages.first() else { return Done::default() };
        let (is_left, bytes) = match stage {
            Spans => self.release_in_spans(),
            Idle => self.release_idle(),
            Enough => {
                if !PAGE_HEAP.is_beyond_limit() {
                    self.stages = &[Pages, Pages];
                }
                (false, 0)
            }
            Prepare => (prepare(), 0),
            Own => (flush::flush_a_part_of_own(&mut self.class), 0),
            Others => (self.parking.take_part(), 0),
            Kept => (cache_pool::empty_a_part() != cache_pool::Part::None, 0),
            Transfer => (CENTRAL.drain_a_part(&mut self.class), 0),
            Surplus => (PAGE_HEAP.owe_surplus(), 0),
            Pages => PAGE_HEAP.relieve_a_part(),
        };
        if !is_left {
            self.stages = &self.stages[1..];
            (self.class, self.has_begun) = (0, false);
        }
        self.released += bytes;
        let may_help = bytes > 0 || matches!(stage, Prepare | Own | Others | Kept | Transfer);
        Done { bytes, may_help }
    }

    /// Gives back OS pages inside spans of the class that it is at, or goes on to the next.
    fn release_in_spans(&mut self) -> (bool, usize) {
        let Some(class) = SizeClass::from_index(self.class.max(1)) else { return (false, 0) };
        self.class = class.index();
        if !self.has_begun {
            CENTRAL.restart_release(class);
            self.has_begun = true;
        }
        let (bytes, is_over) = CENTRAL.release_a_part(class);
        if is_over {
            self.class += 1;
            self.has_begun = false;
        }
        (true, bytes)
    }

    /// The same for pages that lay idle.
    fn release_idle(&mut self) -> (bool, usize) {
        let Some(class) = SizeClass::from_index(self.class.max(1)) else { return (false, 0) };
        self.class = class.index();
        if !self.has_begun {
            self.pages = CENTRAL.decay_share(class, 1);
            self.has_begun = true;
        }
        let (done, is_over) = CENTRAL.release_share(class, self.pages);
        self.pages = self.pages.saturating_sub(done);
        if is_over || self.pages == 0 {
            self.class += 1;
            self.has_begun = false;
        }
        (true, done * OS_PAGE)
    }
}

/// See `Stage::Prepare`. Returns whether anything is left.
fn prepare() -> bool {
    // What is free on old pages is to be used.
    cow_state::end();
    HARDENED && guard_pages::give_one_back()
}

/// Empties the caches of all threads, and the transfer caches: the first step of a trim.
pub fn empty_caches() {
    Pass::new(Goal::EmptyCaches).run();
}

/// What is tried for a request that found no memory: a pass through the tiers. Such requests share
/// one, too: it lies on no stack, of which a call may take 2 KiB, as the request is tried again
/// from where this is. In a register for that reason.
#[derive(Clone, Copy)]
pub struct LastResort {
    /// Ends of passes to wait for. A pass may have begun before the request came: the next one
    /// counts, or the second end.
    ends: u8,
    naps: u8,
    is_over: bool,
}

impl LastResort {
    /// Nothing was tried yet.
    pub const FIRST: Self = Self { ends: 2, naps: 0, is_over: false };

    /// Goes through the tiers until something came home, and the request is to be tried again: once
    /// more when nothing is left to be done, and then `None`.
    pub fn go_on(mut self) -> Option<Self> {
        while self.ends > 0 {
            let Some(part) = LAST_RESORT.try_use(|pass| take_part_of(pass, &mut self.ends)) else {
                // Somebody else is at a part. A thread that is about to fork must not wait for him
                // for ever.
                if LAST_RESORT.is_callers() || self.naps == MOST_NAPS {
                    break;
                }
                self.naps += 1;
                Linux::nap();
                continue;
            };
            if part.may_help {
                return Some(self);
            }
        }
        (!self.is_over).then_some(Self { ends: 0, is_over: true, ..self })
    }
}

/// Does a part of the pass of the requests that found no memory, or the first of a new one. Counts
/// down the `ends`.
#[inline(never)]
fn take_part_of(pass: &mut Pass, ends: &mut u8) -> Done {
    if pass.is_over() {
        *pass = Pass::new(if limits::is_hard() { Goal::Everything } else { Goal::EmptyCaches });
        *ends = 1;
    }
    let done = pass.take_part();
    limits::note_released(done.bytes);
    *ends -= u8::from(pass.is_over());
    done
}

/// The pass of the requests that found no memory.
static LAST_RESORT: Turns<Pass, Linux> = Turns::new(Pass::over());
/// Naps for which one of them waits for another, at most. Each is a millisecond.
const MOST_NAPS: u8 = 50;

/// The pass that is shared.
static PASS: Turns<Pass, Linux> = Turns::new(Pass::over());
/// Bytes that went back by such passes. Relaxed: a sum.
static RELEASED: AtomicUsize = AtomicUsize::new(0);

/// Begins a pass that all share, unless one is under way.
pub fn begin(goal: Goal) {
    PASS.try_use(|pass| {
        if pass.is_over() {
            *pass = Pass::new(goal);
            limits::set_pressure_pending();
            // The thread takes part as well, or later calls.
            release_request::request();
        }
    });
}

/// Whether a pass is under way, or wished for.
#[inline]
pub fn is_wanted() -> bool {
    limits::pressure_is_pending()
}

/// Bytes that went back so far by passes that all share.
pub fn released() -> usize {
    RELEASED.load(Ordering::Relaxed)
}

/// Most bytes, of what a call takes itself, for which it does one part.
const BYTES_PER_PART: usize = 16 * PAGE_SIZE;

/// Does a part of the pass that is under way or wished for; for a call that takes `own` bytes
/// itself up to as many more, until as much went back. Returns whether anything is left to be done.
pub fn take_part(own: usize) -> bool {
    if !is_wanted() {
        return false;
    }
    let took_part = PASS.try_use(|pass| {
        if pass.is_over() {
            *pass = Pass::new(Goal::Limit);
            release_request::request();
        }
        let mut bytes = 0;
        for _ in 0..1 + own / BYTES_PER_PART {
            bytes += pass.take_part().bytes;
            if pass.is_over() || bytes >= own {
                break;
            }
        }
        limits::note_released(bytes);
        RELEASED.fetch_add(bytes, Ordering::Relaxed);
        if pass.is_over() {
            limits::clear_pressure();
        }
        !pass.is_over()
    });
    took_part.unwrap_or(false)
}

/// In a forked child: whoever was at a pass may be gone.
pub fn reset_in_child() {
    PASS.reset_in_child(Pass::over());
    LAST_RESORT.reset_in_child(Pass::over());
    limits::clear_pressure();
}
