//! Giving back more than the decay does, part by part: at a limit, when the container runs short,
//! when a request would fail, and for a trim.
//!
//! A *pass* goes through the tiers, from what costs the program least: pages inside spans, the
//! caches of all threads, the transfer caches, the pages that became free by that. It keeps its
//! place in each of them, and between two of its parts no lock is held. A part is a few dozen steps
//! or one bounded system call.
//!
//! All threads share the pass for limits (`begin`, `take_part`). The background thread goes through
//! it at a stretch. Each call of the program on a slow path does a part meanwhile, or more parts if
//! it takes many pages itself. Requests that would fail share another pass: each is tried again
//! whenever a part may have helped. A trim has a pass of its own.

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
    /// Looks whether that was enough: then the caches stay as they are.
    Enough,
    /// Ends what stands in the way of emptying caches: copy-on-write, and the cache of spans with
    /// guard pages.
    Prepare,
    /// What the calling thread has cached.
    Own,
    /// What other threads have cached.
    Others,
    /// Caches of threads that have ended.
    CachePool,
    /// The transfer caches.
    Transfer,
    /// OS pages inside spans that lie idle.
    Idle,
    /// Marks the free pages of the page heap that lie idle as due for release.
    Surplus,
    /// Free pages beyond the limit.
    Pages,
}

use Stage::{CachePool, Enough, Idle, Others, Own, Pages, Prepare, Spans, Surplus, Transfer};

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
            Self::Limit => {
                &[Spans, Enough, Prepare, Own, Others, CachePool, Transfer, Spans, Pages]
            }
            Self::Everything => &[Spans, Prepare, Own, Others, CachePool, Transfer, Spans, Pages],
            Self::FreePages => &[Pages],
            Self::EmptyCaches => &[Prepare, Own, Others, CachePool, Transfer],
            Self::NothingIdle => &[Transfer, Idle, Surplus],
        }
    }
}

/// How far a pass is.
pub struct Pass {
    /// The stages that are left, the present one first.
    stages: &'static [Stage],
    /// The class that the stage is at, if it goes from class to class.
    class: usize,
    /// Whether it has begun with that class.
    has_begun: bool,
    /// How many OS pages of that class are left to release.
    pages: usize,
    parking: Parking,
    /// Bytes that the pass has released.
    released: usize,
}

// SAFETY: the caches that `parking` is at are never unmapped, and are used under the registry's
// lock.
unsafe impl Send for Pass {}

/// What a part did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Bytes that it released.
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
                    // The present stage, which ends below, and the last one.
                    self.stages = &[Enough, Pages];
                }
                (false, 0)
            }
            Prepare => (prepare(), 0),
            Own => (flush::flush_a_part_of_own(&mut self.class), 0),
            Others => (self.parking.take_part(), 0),
            CachePool => (cache_pool::empty_a_part() != cache_pool::Part::None, 0),
            Transfer => (CENTRAL.drain_a_part(&mut self.class), 0),
            Surplus => (PAGE_HEAP.owe_surplus(), 0),
            Pages => PAGE_HEAP.release_a_part_of_excess(),
        };
        if !is_left {
            self.stages = &self.stages[1..];
            (self.class, self.has_begun) = (0, false);
        }
        self.released += bytes;
        let may_help = bytes > 0 || matches!(stage, Prepare | Own | Others | CachePool | Transfer);
        Done { bytes, may_help }
    }

    /// Releases OS pages inside spans of the class that the stage is at, or goes on to the next
    /// class.
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

    /// As `release_in_spans`, for pages that lie idle.
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
    // Free objects on shared pages are to be used from now on.
    cow_state::end();
    HARDENED && guard_pages::give_one_back()
}

/// Empties the caches of all threads, and the transfer caches: the first step of a trim.
pub fn empty_caches() {
    Pass::new(Goal::EmptyCaches).run();
}

/// What a request tries that found no memory: a pass through the tiers, which all such requests
/// share. The request is tried again while this value lives, and a call may take 2 KiB of the
/// stack. So the pass is a static, and this value fits into a register.
#[derive(Clone, Copy)]
pub struct LastResort {
    /// Ends of passes to wait for. The first pass may have begun before the request came, so the
    /// second end counts, unless the request itself begins a pass.
    ends: u8,
    /// Naps that were taken.
    naps: u8,
    is_over: bool,
}

impl LastResort {
    /// Nothing was tried yet.
    pub const FIRST: Self = Self { ends: 2, naps: 0, is_over: false };

    /// Goes through the tiers until a part may have helped, so that the request is to be tried
    /// again. When nothing is left to be done, returns a value once more, and then `None`.
    pub fn go_on(mut self) -> Option<Self> {
        while self.ends > 0 {
            let Some(part) = LAST_RESORT.try_use(|pass| take_part_of(pass, &mut self.ends)) else {
                // Another thread is at a part. A thread that is about to fork must not wait for it
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

/// Does a part of the pass of the requests that found no memory, or begins a new pass. Counts down
/// `ends` when a pass ends.
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
/// Most naps for which one of these requests waits for another. Each is a millisecond.
const MOST_NAPS: u8 = 50;

/// The pass for limits.
static PASS: Turns<Pass, Linux> = Turns::new(Pass::over());
/// Bytes that passes for limits have released. Relaxed: a sum.
static RELEASED: AtomicUsize = AtomicUsize::new(0);

/// Begins a pass for limits, unless one is under way.
pub fn begin(goal: Goal) {
    PASS.try_use(|pass| {
        if pass.is_over() {
            *pass = Pass::new(goal);
            limits::set_pressure_pending();
            // The background thread takes part as well, or later calls do.
            release_request::request();
        }
    });
}

/// Whether a pass for limits is under way or pending.
#[inline]
pub fn is_wanted() -> bool {
    limits::pressure_is_pending()
}

/// Bytes that passes for limits have released so far.
pub fn released() -> usize {
    RELEASED.load(Ordering::Relaxed)
}

/// Bytes that a call takes for which it does one part.
const BYTES_PER_PART: usize = 16 * PAGE_SIZE;

/// Does a part of the pass for limits that is under way or pending. A call that takes `own` bytes
/// itself does more parts, until as many bytes were released. Returns whether anything is left.
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

/// In a forked child: the thread that was at a pass may not exist.
pub fn reset_in_child() {
    PASS.reset_in_child(Pass::over());
    LAST_RESORT.reset_in_child(Pass::over());
    limits::clear_pressure();
}
