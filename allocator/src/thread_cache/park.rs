//! Parking: taking what sleeping threads have cached, at no cost to the threads that are awake.
//!
//! A thread's magazines belong to the thread, and its hot paths use no atomic instruction. So
//! nobody may touch them unless it is known which operation of the thread could be under way. To
//! *park* a cache:
//!
//! 1. Store the address of `PARKED` to the thread's slot: to the word that is read to take objects,
//!    and to those that are read to put them. An operation that reads one of them from now on finds
//!    a cache that is empty and full. It takes a slow path, which goes by the first word alone, and
//!    waits for the parking thread (`enter`). (A `free` between these stores may still find its own
//!    word as it was, and the magazine full. Then its slow path finds the placeholder, or the
//!    parking thread finds it busy.)
//! 2. Make the thread pass a barrier (`membarrier`). Now at most one hot operation of it can be
//!    under way that had read the slot before: one `pop` or one `push`. It may have stopped
//!    anywhere, for any time.
//! 3. A `pop` announces its class before it reads the slot (`thread_slot::announce_and_get`). So no
//!    magazine is popped from but that of the class announced last. That one stays as it is.
//! 4. All others can at most be pushed to. Taking the chain is an exchange of the head with null.
//!    The object pushed is either in what was taken, or the head that is found later. Its link may
//!    then lead to an object that was taken; but only the thread itself looks at it, when it comes
//!    back, and cuts it off.
//! 5. Slow paths do more than that, and say so: a cache whose owner is `busy` is left alone.
//!
//! The announcement is the one instruction that this costs a hot path. (A flag that is set and
//! cleared would be four instructions of a pair instead; `docs/decisions/013-parking.md` has what
//! else was measured.)
//!
//! All this is done in parts, so that a program's own call can take one (`Parking`). The registry's
//! lock is held neither through a system call nor for more than a few dozen steps, and what was
//! taken is flushed without it. Between two parts the owner may come back, and another thread may
//! park the cache once more. Each time that a slot is made to name the placeholder has a number, by
//! which the parking thread sees that. The record itself says how far the cache was emptied, so any
//! thread may go on with it.
//!
//! Which threads sleep is a guess: those that hardly call the central tier. A thread that lives on
//! what it has cached looks the same, but is none the worse for it. Parking costs it a few
//! microseconds and its magazines, and leaves it with the few that it needs.
//!
//! Relaxed where nothing else is said: these fields change under the registry's lock, which orders.
//! The number of a cache's thread alone is read without it, to ask the kernel whether there is such
//! a thread. If the owner has changed since, so has the birth of the cache, and
//! `Batch::publish_parked`, which holds the lock, passes it by.

use super::cache::{CHAINS_PER_CLASS, ThreadCache};
use super::park_batch::Batch;
use super::parked_state::{ALL_EMPTIED, EMPTIED, NOT};
use super::publish::publish_parked;
use super::registry::{self, Registry};
use super::walk::{self, Step, Walk};
use super::{clear, sizing};
use crate::base::steps;
use crate::central::chain::Chain;
use crate::central::{CentralTier, SharedTier};
use crate::config::{MAGAZINE_MAX_COUNT, PART_CLASSES, PART_MAGAZINES, SCAVENGE_INTERVAL};
use crate::os::linux::{barrier_everywhere, thread_exists};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, Ordering};
use core::ptr;

/// Value of `rounds_asleep`: a thread is about to park this cache.
const CHOSEN: u32 = u32::MAX;

/// 1 if the kernel refused the last barrier, as some filters of system calls make it do: then no
/// cache can be emptied.
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// Bytes below which a cache is not worth a barrier.
const LEAST_BYTES: usize = 16 * 1024;

/// Calls of the central tier between two looks up to which a thread counts as asleep.
const FEW_CALLS: u32 = 8;

impl ThreadCache {
    /// Bytes in all magazines and in quarantine: as much as parking can take.
    fn parkable_bytes(&self) -> usize {
        self.held_bytes() + self.quarantine.bytes()
    }

    /// Refills and flushes since the last call of this, modulo `SCAVENGE_INTERVAL`.
    fn take_central_calls(&self) -> u32 {
        // Relaxed: the owner counts, and the registry's lock orders `seen`.
        let now = self.countdown.load(Ordering::Relaxed);
        let seen = self.seen.load(Ordering::Relaxed);
        self.seen.store(now, Ordering::Relaxed);
        (seen + SCAVENGE_INTERVAL - now) % SCAVENGE_INTERVAL
    }
}

/// What a look at all caches found, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Bytes in caches that were parked.
    pub parked: usize,
    /// Bytes in caches of threads that are awake.
    pub awake: usize,
}

/// Looks at every cache, and parks those whose owners hardly called the central tier between
/// `rounds` looks in a row. If no cache can be emptied, it finds nothing: what threads hold is
/// theirs then, however long they sleep.
pub fn park_sleepers(rounds: u32) -> Look {
    let mut look = Look::default();
    // Relaxed: a flag that guards nothing; a look that misses it parks nobody.
    if REFUSED.load(Ordering::Relaxed) != 0 {
        return look;
    }
    walk::for_each_live(|cache| {
        // Relaxed, throughout: the registry's lock orders what only its holders use.
        let held = cache.parkable_bytes();
        if cache.is_all_emptied() || held < LEAST_BYTES {
            return;
        }
        let is_quiet = cache.take_central_calls() <= FEW_CALLS;
        let asleep = match cache.rounds_asleep.load(Ordering::Relaxed) {
            // Another thread is about to park it.
            CHOSEN => CHOSEN,
            before if is_quiet => before + 1,
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

/// Parking of caches, part by part.
pub struct Parking {
    walk: Walk,
    /// Whether to park only the caches that `park_sleepers` has chosen, rather than those of all
    /// other threads.
    chosen: bool,
    is_over: bool,
    /// Caches that are being emptied.
    batch: Batch,
    /// Which of them is next.
    at: usize,
    /// Caches that were emptied.
    done: usize,
}

impl Parking {
    /// Parks the cache of every thread but the one that does a part: for explicit trims, for
    /// limits, and when memory has run out.
    pub const fn of_others() -> Self {
        let batch = Batch::new();
        Self { walk: Walk::new(), chosen: false, is_over: false, batch, at: 0, done: 0 }
    }

    /// Parks the caches that `park_sleepers` has chosen.
    const fn of_chosen() -> Self {
        Self { chosen: true, ..Self::of_others() }
    }

    /// Does all parts. Returns how many caches were emptied.
    pub fn run(mut self) -> usize {
        while self.take_part() {}
        self.done
    }

    /// Does a part: a look at a bounded number of caches, a barrier for a few, or some magazines of
    /// one. Returns whether anything is left.
    pub fn take_part(&mut self) -> bool {
        while self.at < self.batch.len {
            let candidate = self.batch.candidates[self.at];
            let Some(cache) = candidate.cache else {
                self.at += 1;
                continue;
            };
            if !empty_a_part(SharedTier, cache, candidate.number) {
                self.at += 1;
                self.done += 1;
            }
            return self.at < self.batch.len || !self.is_over;
        }
        if !self.is_over {
            self.begin_batch();
        }
        self.at < self.batch.len || !self.is_over
    }

    /// Makes the next few caches ready to be emptied.
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
        // A thread that ended without its destructors being run may have left no memory at its
        // slot.
        self.batch.retain(|cache| {
            (chosen || cache.parkable_bytes() > 0)
                && thread_exists(cache.thread.load(Ordering::Relaxed))
        });
        if self.batch.len == 0 {
            return;
        }
        self.batch.publish_parked();
        let refused = !barrier_everywhere();
        // Relaxed: a flag that guards nothing. The next call that parks on request tries again.
        REFUSED.store(u32::from(refused), Ordering::Relaxed);
        if refused {
            // The owners come back with everything in place. Without a barrier no cache is emptied.
            (self.batch.len, self.is_over) = (0, true);
            return;
        }
        self.batch.begin_to_empty();
    }
}

/// Chains that a part takes at most: all of a class, or some blocks that wait in quarantine.
const PART_CHAINS: usize =
    if CHAINS_PER_CLASS > PART_MAGAZINES { CHAINS_PER_CLASS } else { PART_MAGAZINES };

/// Steps 3 and 4: takes some magazines, if the slot names the placeholder since the time with the
/// number `naming`, and flushes them. Returns whether anything is left to take.
pub(super) fn empty_a_part(tier: impl CentralTier, cache: &ThreadCache, naming: usize) -> bool {
    let mut taken = [(SizeClass::NONE, Chain::EMPTY); PART_CHAINS];
    let mut count = 0;
    let is_left = {
        // The owner comes back under this lock.
        let _registry = registry::lock();
        cache.naming.load(Ordering::Relaxed) == naming
            && take_some(cache, |class, chain| {
                taken[count] = (class, chain);
                count += 1;
                count
            })
    };
    for (class, chain) in taken.into_iter().take(count) {
        // SAFETY: a chain of a parked cache: its objects are of `class`, free and linked. The owner
        // cannot reach them any more, so they are this call's.
        unsafe {
            if HARDENED {
                clear::check_all(class, chain);
            }
            tier.flush_to_spans(class, chain);
        }
    }
    is_left
}

/// Takes some magazines out of a parked cache, but not the loaded one of the class announced last.
/// `take` returns how many it has. Returns whether any may be left. The caller holds the registry's
/// lock.
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
        cache.quarantine.steal(class, |class, head| {
            take(class, Chain { head, count: MAGAZINE_MAX_COUNT });
        });
        if take(class, Chain::EMPTY) > 0 || looks == PART_CLASSES {
            return true;
        }
    }
    while let Some((class, head)) = cache.quarantine.take_big() {
        if take(class, Chain { head, count: 1 }) >= PART_MAGAZINES {
            return true;
        }
    }
    cache.emptied.store(ALL_EMPTIED, Ordering::Relaxed);
    false
}

/// Makes every thread's next operation take a slow path, on which it gets its cache back. Nothing
/// is taken, so it does not matter what a thread is about to do. The caller holds no lock: this
/// takes the registry's for a few caches at a time, and gives it up while it asks the kernel
/// whether their threads exist.
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

/// As `stop_all`, in one go under the lock: for a process in which no second thread is likely to
/// allocate yet.
pub(super) fn stop_all_at_start(registry: &mut Registry) {
    let mut walk = Walk::new();
    while let Step::Cache(cache) = walk.step(registry) {
        let own = ptr::eq(ptr::from_ref(cache).cast(), thread_slot::own().cast_const());
        if cache.parked.load(Ordering::Relaxed) == NOT
            && (own || thread_exists(cache.thread.load(Ordering::Relaxed)))
        {
            // SAFETY: the thread exists, the walk found its cache in the list, and the caller holds
            // the lock.
            unsafe { publish_parked(registry, cache) };
        }
    }
}
