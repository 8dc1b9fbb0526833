//! Taking what sleeping threads have cached, at no cost to the threads that are awake.
//!
//! A thread's magazines belong to the thread, and its hot paths use no atomic instruction. So nobody may
//! touch them - unless it is known which operation of the thread could be under way. To *park* a cache:
//!
//! 1. Store the address of `PARKED` to the thread's slot: to the word that is read to take objects, and to
//!    those that are read to put them. An operation that reads one of them from now on finds a cache that
//!    is empty and full, and takes a slow path, which goes by the first word alone, and waits for us
//!    (`resume`). (A `free` between our stores may still find its own word as it was, and the magazine
//!    full: its slow path finds the placeholder, or we find it busy.)
//! 2. Make the thread pass a barrier (`membarrier`). Now at most one hot operation of it can be under way
//!    that had read the slot before: one `pop` or one `push`. It may have stopped anywhere, for any time.
//! 3. Had a `pop` been under way, the thread would have announced its class before it read the slot
//!    (`thread_slot::announce_and_get`). So no magazine is popped from but the one of the class announced
//!    last; that one stays as it is.
//! 4. All others can at most be pushed to. Taking the chain is an exchange of the head with null: the object
//!    pushed is either in what was taken, or the head that is found later; its link may then lead to an
//!    object that was taken, but only the thread itself looks at it, on `resume`, and cuts it off.
//! 5. Slow paths do more than that, and say so: a cache whose owner is `busy` is left alone.
//!
//! The announcement is the one instruction that this costs a hot path. (A flag that is set and cleared
//! would be four instructions of a pair instead; `docs/decisions/013-parking.md` has what else was measured.)
//!
//! All this is done in parts, so that a program's own call can take one (`Parking`): no lock is held through a system
//! call, nor for more than a few dozen steps, and what was taken goes home without it. Between two parts the owner may come
//! back, and somebody else may park the cache once more: each time that a slot is made to name the placeholder has a
//! number, by which that is seen. How far a cache was emptied it knows itself, so anybody may go on with it.
//!
//! Which threads sleep is a guess: those that hardly exchange anything with the central tier. A thread that
//! lives on what it has cached looks the same, but is none the worse for it: to be parked costs it a few
//! microseconds and its magazines, and leaves it with the few that it needs.

use super::cache::ThreadCache;
use super::parked_state::{ALL_EMPTIED, EMPTIED, INTACT, NOT};
use super::publish::{publish_parked, slot_of};
use super::registry::{PART, Registry, Step, VISITS, Walk};
use super::{registry, sizing};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::central::chain::Chain;
use crate::config::SCAVENGE_INTERVAL;
use crate::os::linux::{barrier_everywhere, thread_exists};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, Ordering};
use core::ptr;

/// Value of `rounds_asleep`: to be parked next, whatever was seen.
const CHOSEN: u32 = u32::MAX;

/// Caches that are parked by one barrier.
const BATCH: usize = VISITS;

/// Magazines that are taken in a part, at most, and those of one class.
const TAKEN: usize = 2;

/// Classes that are looked at for them.
const LOOKS: usize = 32;

/// See `TAKEN`. In hardened builds there are two generations in quarantine besides.
const OF_A_CLASS: usize = if cfg!(feature = "hardened") { 4 } else { 2 };

/// 1 while the kernel last refused the barrier, as filters of system calls have it do: no cache can be emptied.
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// Bytes below which a cache is not worth it.
const LEAST_BYTES: usize = 16 * 1024;

/// Exchanges between two looks up to which a thread counts as asleep.
const FEW_EXCHANGES: u32 = 8;

impl ThreadCache {
    /// Bytes in all magazines and in quarantine: what parking gives back.
    fn parkable_bytes(&self) -> usize {
        #[cfg(feature = "hardened")]
        return self.held_bytes() + self.quarantine.bytes();
        #[cfg(not(feature = "hardened"))]
        self.held_bytes()
    }

    /// Exchanges with the central tier since the last call, unless they were very many.
    fn take_exchanges(&self) -> u32 {
        // Relaxed: one counts, the other looks now and then.
        let now = self.countdown.load(Ordering::Relaxed);
        let seen = self.seen.load(Ordering::Relaxed);
        self.seen.store(now, Ordering::Relaxed);
        (seen + SCAVENGE_INTERVAL - now) % SCAVENGE_INTERVAL
    }
}

/// What a look at all caches found, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// In caches that were parked.
    pub parked: usize,
    /// In caches of threads that are awake.
    pub awake: usize,
}

/// Looks at every cache, and parks those whose owners did next to nothing between `rounds` looks in a row.
/// Where no cache can be emptied, nothing is found: what threads hold there is theirs, however long they sleep.
pub fn park_sleepers(rounds: u32) -> Look {
    let mut look = Look::default();
    // Relaxed: a flag by itself; a look that misses it parks nobody.
    if REFUSED.load(Ordering::Relaxed) != 0 {
        return look;
    }
    registry::for_each_live(|cache| {
        // Relaxed, throughout: the registry's lock orders what only its holders use.
        let held = cache.parkable_bytes();
        if cache.is_all_emptied() || held < LEAST_BYTES {
            return;
        }
        let drowsy = cache.take_exchanges() <= FEW_EXCHANGES;
        let asleep = match cache.rounds_asleep.load(Ordering::Relaxed) {
            // By another thread that is about to park it.
            CHOSEN => CHOSEN,
            before if drowsy => before + 1,
            _ => 0,
        };
        if asleep > rounds {
            cache.rounds_asleep.store(CHOSEN, Ordering::Relaxed);
            look.parked += held;
        } else {
            cache.rounds_asleep.store(asleep, Ordering::Relaxed);
            look.awake += cache.held_bytes();
        }
    });
    if look.parked > 0 {
        Parking::of_chosen().run();
    }
    // Relaxed: written by this thread, or by one that saw the same.
    if REFUSED.load(Ordering::Relaxed) != 0 { Look::default() } else { look }
}

/// A cache that a walk came to.
#[derive(Clone, Copy)]
struct Candidate {
    cache: Option<&'static ThreadCache>,
    /// Its birth, and after its slot was made to name the placeholder the number of that: both are given once.
    number: usize,
}

/// A few caches, of threads that may have ended since.
struct Batch {
    candidates: [Candidate; BATCH],
    len: usize,
}

impl Batch {
    const fn new() -> Self {
        Self { candidates: [Candidate { cache: None, number: 0 }; BATCH], len: 0 }
    }

    /// The next caches of a walk that are `wanted`, among a bounded number. Returns whether the walk is over.
    fn collect(
        &mut self,
        walk: &mut Walk,
        mut wanted: impl FnMut(&'static ThreadCache) -> bool,
    ) -> bool {
        self.len = 0;
        let registry = registry::lock();
        for _ in 0..PART {
            let cache = match walk.step(&registry) {
                Step::Cache(cache) => cache,
                Step::Passed => continue,
                Step::Over => return true,
            };
            if wanted(cache) {
                // Relaxed, throughout: the registry's lock orders.
                let number = cache.birth.load(Ordering::Relaxed);
                self.candidates[self.len] = Candidate { cache: Some(cache), number };
                self.len += 1;
                if self.len == BATCH {
                    break;
                }
            }
        }
        false
    }

    /// Keeps those that `keep` says. Without the lock: it may make system calls.
    fn retain(&mut self, mut keep: impl FnMut(&'static ThreadCache) -> bool) {
        let mut len = 0;
        for at in 0..self.len {
            if self.candidates[at].cache.is_some_and(&mut keep) {
                self.candidates[len] = self.candidates[at];
                len += 1;
            }
        }
        self.len = len;
    }

    /// Lets the slots of those name `PARKED` whose threads did not end meanwhile, and whose caches are not emptied.
    fn publish_parked(&mut self) {
        let mut registry = registry::lock();
        for candidate in &mut self.candidates[..self.len] {
            steps::add(1);
            let Some(cache) = candidate.cache else { continue };
            let lives = cache.birth.load(Ordering::Relaxed) == candidate.number;
            // Once more also where it names the placeholder: of a thread that is diverted, only one word does.
            if lives && cache.parked.load(Ordering::Relaxed) < EMPTIED {
                // SAFETY: the thread exists, as far as can be known, and is listed.
                unsafe { publish_parked(&mut registry, cache) };
            }
            candidate.number = if lives { cache.naming.load(Ordering::Relaxed) } else { 0 };
        }
    }

    /// After the barrier: lets those be emptied whose owners did not come back since, and are not busy.
    fn begin_to_empty(&mut self) {
        let mut registry = registry::lock();
        for candidate in &mut self.candidates[..self.len] {
            steps::add(1);
            let Some(cache) = candidate.cache else { continue };
            let is_same = cache.naming.load(Ordering::Relaxed) == candidate.number;
            let parked = cache.parked.load(Ordering::Relaxed);
            if is_same && parked >= EMPTIED {
                // Somebody else began.
                continue;
            }
            // Acquire: pairs with the Release of `Entered::drop`.
            if is_same && parked == INTACT && cache.busy.load(Ordering::Acquire) == 0 {
                // SAFETY: the owner waits, so that its thread-local words are there. It may write the byte at any time; only
                // what was written before the barrier matters, and one byte is read whole.
                let announced = unsafe { slot_of(cache).add(1).cast::<u8>().read_volatile() };
                cache.emptied.store(1, Ordering::Relaxed);
                cache.parked.store(EMPTIED + u32::from(announced), Ordering::Relaxed);
                registry.count_out(cache);
            } else {
                candidate.cache = None;
            }
        }
    }
}

/// Parking of caches, part by part.
pub struct Parking {
    walk: Walk,
    /// Only those that were chosen, not all but the calling thread's.
    chosen: bool,
    is_over: bool,
    /// Caches that are being emptied, and which of them is next.
    batch: Batch,
    at: usize,
    /// Caches that were emptied.
    done: usize,
}

impl Parking {
    /// Of the cache of every thread but the one that does a part: for explicit trims, limits, and when memory has run out.
    pub const fn of_others() -> Self {
        let batch = Batch::new();
        Self { walk: Walk::new(), chosen: false, is_over: false, batch, at: 0, done: 0 }
    }

    /// Of those that were chosen.
    const fn of_chosen() -> Self {
        Self { chosen: true, ..Self::of_others() }
    }

    /// Does all parts. Returns how many caches were emptied.
    pub fn run(mut self) -> usize {
        while self.take_part() {}
        self.done
    }

    /// Does a part: a look at a bounded number of caches, a barrier for a few, or some magazines of one. Returns whether
    /// anything is left.
    pub fn take_part(&mut self) -> bool {
        while self.at < self.batch.len {
            let candidate = self.batch.candidates[self.at];
            if let Some(cache) = candidate.cache
                && empty_a_part(cache, candidate.number)
            {
                return true;
            }
            self.done += usize::from(candidate.cache.is_some());
            self.at += 1;
        }
        if !self.is_over {
            self.begin_batch();
        }
        self.at < self.batch.len || !self.is_over
    }

    /// Has the next few caches ready to be emptied.
    fn begin_batch(&mut self) {
        self.at = 0;
        let (own, chosen) = (thread_slot::own().cast_const(), self.chosen);
        self.is_over = self.batch.collect(&mut self.walk, |cache| {
            if chosen {
                return cache.rounds_asleep.load(Ordering::Relaxed) == CHOSEN
                    && cache.rounds_asleep.swap(0, Ordering::Relaxed) == CHOSEN;
            }
            !ptr::eq(ptr::from_ref(cache).cast(), own) && !cache.is_all_emptied()
        });
        // A thread that ended without its destructors being run may have left no memory at its slot.
        self.batch.retain(|cache| {
            (chosen || cache.parkable_bytes() > 0)
                && thread_exists(cache.thread.load(Ordering::Relaxed))
        });
        if self.batch.len == 0 {
            return;
        }
        self.batch.publish_parked();
        let refused = !barrier_everywhere();
        // Relaxed: a flag by itself. Asked for again by whoever parks on request.
        REFUSED.store(u32::from(refused), Ordering::Relaxed);
        if refused {
            // They resume with everything in place. Without the call no cache is ever emptied.
            (self.batch.len, self.is_over) = (0, true);
            return;
        }
        self.batch.begin_to_empty();
    }
}

/// Step 3 and 4: takes some magazines, if the slot names the placeholder since the time with that number, and sends them
/// home. Returns whether anything is left to take.
fn empty_a_part(cache: &ThreadCache, naming: usize) -> bool {
    let mut taken = [(SizeClass::NONE, Chain::EMPTY); TAKEN + OF_A_CLASS];
    let mut count = 0;
    let is_left = {
        // Also for the sake of the owner, who comes back under it.
        let _registry = registry::lock();
        cache.naming.load(Ordering::Relaxed) == naming
            && take_some(cache, |class, chain| {
                taken[count] = (class, chain);
                count += 1;
                count
            })
    };
    for (class, chain) in taken.into_iter().take(count) {
        #[cfg(feature = "hardened")]
        // SAFETY: freed objects, which nobody else can reach any more.
        unsafe {
            super::clear::check_all(class, chain)
        };
        // SAFETY: the objects were a cache's whose owner cannot reach them any more.
        unsafe { CENTRAL.give_home(class, chain) };
    }
    is_left
}

/// Takes some magazines out of a parked cache, but not that of the class announced last. `take` says how many it has.
/// Returns whether any may be left. Under the registry's lock.
fn take_some(cache: &ThreadCache, mut take: impl FnMut(SizeClass, Chain) -> usize) -> bool {
    if cache.parked.load(Ordering::Relaxed) < EMPTIED {
        return false;
    }
    let mut count = 0;
    let mut take = |class, chain: Chain| {
        if !chain.is_empty() {
            count = take(class, chain);
        }
        count
    };
    let mut looks = 0;
    loop {
        steps::add(1);
        let next = cache.emptied.load(Ordering::Relaxed);
        let Some(class) = SizeClass::from_index(next as usize) else { break };
        looks += 1;
        cache.emptied.store(next + 1, Ordering::Relaxed);
        take(class, cache.take_spare(class));
        if cache.is_emptied(class) {
            take(class, cache.steal_loaded(class));
            if cache.limit(class) > 0 {
                sizing::shrink(cache, class, 0);
            }
        }
        #[cfg(feature = "hardened")]
        cache.quarantine.steal(class, |class, head| {
            take(class, Chain { head, count: crate::config::MAGAZINE_MAX_COUNT });
        });
        if take(class, Chain::EMPTY) >= TAKEN || looks == LOOKS {
            return true;
        }
    }
    #[cfg(feature = "hardened")]
    while let Some((class, head)) = cache.quarantine.take_big() {
        if take(class, Chain { head, count: 1 }) >= TAKEN {
            return true;
        }
    }
    cache.emptied.store(ALL_EMPTIED, Ordering::Relaxed);
    false
}

/// Lets every thread's next operation take a slow path, which comes to `resume`. Nothing is taken, so that it does not
/// matter what a thread is about to do. Without any lock: it is taken for a few caches at a time, and given up while the
/// kernel is asked whether their threads exist.
pub fn stop_all() {
    let mut walk = Walk::new();
    let mut batch = Batch::new();
    let mut is_over = false;
    let own = thread_slot::own().cast_const();
    while !is_over {
        // Relaxed, here and below: the lock orders.
        is_over = batch.collect(&mut walk, |cache| cache.parked.load(Ordering::Relaxed) == NOT);
        batch.retain(|cache| {
            ptr::eq(ptr::from_ref(cache).cast(), own)
                || thread_exists(cache.thread.load(Ordering::Relaxed))
        });
        batch.publish_parked();
    }
}

/// As `stop_all`, in one go under the lock: for a process in which hardly a second thread allocates yet.
pub(super) fn stop_all_at_start(registry: &mut Registry) {
    let mut walk = Walk::new();
    while let Step::Cache(cache) = walk.step(registry) {
        let own = ptr::eq(ptr::from_ref(cache).cast(), thread_slot::own().cast_const());
        if cache.parked.load(Ordering::Relaxed) == NOT
            && (own || thread_exists(cache.thread.load(Ordering::Relaxed)))
        {
            // SAFETY: the thread exists and is listed, and the lock is held.
            unsafe { publish_parked(registry, cache) };
        }
    }
}
