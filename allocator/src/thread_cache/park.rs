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
//! would be four instructions of a pair instead; `docs/design.md` has what else was measured.)
//!
//! Which threads sleep is a guess: those that hardly exchange anything with the central tier. A thread that
//! lives on what it has cached looks the same, but is none the worse for it: to be parked costs it a few
//! microseconds and its magazines, and leaves it with the few that it needs.

use super::cache::{Kind, PARKED, ThreadCache};
use super::registry::{PART, Registry, Walk};
use super::{cow_cache, registry, sizing};
use crate::central::CENTRAL;
use crate::central::chain::Chain;
use crate::config::SCAVENGE_INTERVAL;
use crate::os::linux::{barrier_everywhere, thread_exists};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, Ordering};
use core::ptr;

/// Value of `parked`: not parked.
const NOT: u32 = 0;
/// Value of `parked`: the slot names the placeholder, and everything is in place.
const INTACT: u32 = 1;
/// Value of `parked`, plus a class's number: all but that class was taken.
const EMPTIED: u32 = 2;
/// Value of `rounds_asleep`: to be parked next, whatever was seen.
const CHOSEN: u32 = u32::MAX;

/// Caches parked per turn under the registry's lock, which threads need to be born and to end.
const BATCH: usize = 8;
/// 1 while the kernel last refused the barrier, as filters of system calls have it do: no cache can be emptied.
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// Bytes below which a cache is not worth it.
const LEAST_BYTES: usize = 16 * 1024;
/// Exchanges between two looks up to which a thread counts as asleep.
const FEW_EXCHANGES: u32 = 8;

impl ThreadCache {
    /// Whether the loaded magazine of `class` was taken while the cache was parked.
    pub(super) fn is_emptied(&self, class: SizeClass) -> bool {
        // Relaxed: changed by others only while the owner is kept from using the cache.
        let parked = self.parked.load(Ordering::Relaxed);
        parked >= EMPTIED && parked - EMPTIED != class.index() as u32
    }

    /// Bytes in all magazines.
    pub(super) fn held_bytes(&self) -> usize {
        let count = |class| self.loaded_count(class) + self.spare_count(class);
        SizeClass::all().map(|class| count(class) * class.size()).sum()
    }

    /// Bytes in all magazines and in quarantine: what parking gives back.
    fn parkable_bytes(&self) -> usize {
        #[cfg(feature = "hardened")]
        return self.held_bytes() + self.quarantine.bytes();
        #[cfg(not(feature = "hardened"))]
        self.held_bytes()
    }

    /// Whether it was emptied while it was parked, but for what its owner was about to do.
    #[cfg(feature = "hardened")]
    pub(super) fn was_emptied(&self) -> bool {
        // Relaxed: as in `is_emptied`.
        self.parked.load(Ordering::Relaxed) >= EMPTIED
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
        if cache.parked.load(Ordering::Relaxed) >= EMPTIED || held < LEAST_BYTES {
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
        park_chosen();
    }
    // Relaxed: written by this thread, or by one that saw the same.
    if REFUSED.load(Ordering::Relaxed) != 0 { Look::default() } else { look }
}

/// Parks the cache of every thread but the calling one: for explicit trims, and when memory has run out.
/// Returns how many were emptied.
pub fn park_others() -> usize {
    let own = thread_slot::own();
    let mut chosen = 0;
    registry::for_each_live(|cache| {
        let other = !core::ptr::eq(core::ptr::from_ref(cache).cast(), own);
        if other && cache.parked.load(Ordering::Relaxed) < EMPTIED && cache.parkable_bytes() > 0 {
            cache.rounds_asleep.store(CHOSEN, Ordering::Relaxed);
            chosen += 1;
        }
    });
    if chosen > 0 { park_chosen() } else { 0 }
}

/// Parks the chosen caches. Returns how many were emptied.
fn park_chosen() -> usize {
    let mut done = 0;
    let mut walk = Walk::new();
    let mut is_over = false;
    while !is_over {
        let registry = registry::lock();
        let mut batch = [const { None }; BATCH];
        let mut len = 0;
        for _ in 0..PART {
            let Some(cache) = walk.next(&registry) else {
                is_over = true;
                break;
            };
            if cache.rounds_asleep.load(Ordering::Relaxed) == CHOSEN {
                cache.rounds_asleep.store(0, Ordering::Relaxed);
                // A thread that ended without its destructors being run may have left no memory at its
                // slot.
                if thread_exists(cache.thread.load(Ordering::Relaxed)) {
                    batch[len] = Some(cache);
                    len += 1;
                }
            }
            if len == BATCH {
                break;
            }
        }
        if len == 0 {
            continue;
        }
        for cache in batch.iter().flatten() {
            cache.parked.store(INTACT, Ordering::Relaxed);
            // SAFETY: the thread exists and is listed, and the lock is held.
            unsafe { publish_parked(cache) };
        }
        let refused = !barrier_everywhere();
        // Relaxed: a flag by itself. Asked for again by whoever parks on request.
        REFUSED.store(u32::from(refused), Ordering::Relaxed);
        if refused {
            // They resume with everything in place. Without the call no cache is ever emptied.
            return 0;
        }
        for cache in batch.iter().flatten() {
            // Acquire: pairs with the Release of `Entered::drop`.
            if cache.busy.load(Ordering::Acquire) == 0 {
                empty(cache);
                done += 1;
            }
        }
    }
    done
}

/// The thread-local words of the cache's owner.
fn slot_of(cache: &ThreadCache) -> *mut usize {
    cache.slot.load(Ordering::Relaxed)
}

/// Step 3 and 4: takes everything but the magazine of the class announced last.
fn empty(cache: &ThreadCache) {
    // SAFETY: as in `park_chosen`. The owner may write the byte at any time; only what was written
    // before the barrier matters, and one byte is read whole.
    let announced = unsafe { slot_of(cache).add(1).cast::<u8>().read_volatile() };
    cache.parked.store(EMPTIED + u32::from(announced), Ordering::Relaxed);
    for class in SizeClass::all() {
        give_home(class, cache.take_spare(class));
        if cache.is_emptied(class) {
            give_home(class, cache.steal_loaded(class));
            if cache.limit(class) > 0 {
                sizing::shrink(cache, class, 0);
            }
        }
    }
    #[cfg(feature = "hardened")]
    cache.quarantine.steal(|class, head| {
        let chain = Chain { head, count: crate::config::MAGAZINE_MAX_COUNT };
        // SAFETY: freed objects, which nobody else can reach any more.
        unsafe { super::clear::check_all(class, chain) };
        give_home(class, chain);
    });
}

/// Sends home what was taken.
fn give_home(class: SizeClass, chain: Chain) {
    if !chain.is_empty() {
        // SAFETY: the objects were a cache's whose owner cannot reach them any more.
        unsafe { CENTRAL.give_home(class, chain) };
    }
}

/// Gives the calling thread, whose slot names `PARKED`, its cache back.
#[cold]
pub fn resume() {
    // Waits for who is parking.
    let registry = registry::lock();
    let cache = thread_slot::own().cast::<ThreadCache>();
    // SAFETY: a thread with that placeholder has a cache, and records are never freed.
    let cache = unsafe { &*cache };
    debug_assert!(cache.kind == Kind::Live);
    repair(cache);
    registry::publish_cache(cache);
    drop(registry);
    cow_cache::join_if_wanted();
}

/// Lets every thread's next operation take a slow path, which comes to `resume`. Nothing is taken, so that
/// it does not matter what a thread is about to do.
///
/// # Safety
/// The registry's lock is held by the calling thread.
pub(super) unsafe fn stop_all(registry: &Registry) {
    let mut node = registry.live.first();
    while !node.is_null() {
        // SAFETY: as in `park_chosen`.
        let cache: &'static ThreadCache = unsafe { &*node };
        // Relaxed, throughout: the lock orders.
        let own = ptr::eq(node.cast(), thread_slot::own());
        if cache.parked.load(Ordering::Relaxed) == NOT
            && (own || thread_exists(cache.thread.load(Ordering::Relaxed)))
        {
            cache.parked.store(INTACT, Ordering::Relaxed);
            // SAFETY: as in `park_chosen`.
            unsafe { publish_parked(cache) };
        }
        // SAFETY: as above.
        node = unsafe { registry.live.next(node) };
    }
}

/// Lets the calling thread's next allocation take a slow path, wherever it goes. Frees go on as before, so that what
/// was diverted stays so while a program frees much in a row.
pub fn divert_own() {
    let own = thread_slot::own().cast::<ThreadCache>();
    if own.is_null() {
        return;
    }
    let _registry = registry::lock();
    // SAFETY: the calling thread's own record; records are never freed.
    let cache = unsafe { &*own };
    // Relaxed: the lock orders.
    if cache.parked.load(Ordering::Relaxed) == NOT {
        cache.parked.store(INTACT, Ordering::Relaxed);
        thread_slot::set_pop((&raw const PARKED).cast_mut().cast());
    }
}

/// Lets the slot of the owner of `cache` name `PARKED`.
///
/// # Safety
/// The thread exists and is listed, and the registry's lock is held: the thread has not taken its cache down,
/// which it would do under that lock; its thread-local words are there.
unsafe fn publish_parked(cache: &ThreadCache) {
    let parked = (&raw const PARKED).cast_mut().cast();
    // SAFETY: by the caller's word.
    unsafe { thread_slot::write(slot_of(cache), parked, parked, parked) };
}

/// Brings the magazines in order that were taken. For the owner, with no operation under way, when nobody
/// can be parking the cache.
pub fn repair(cache: &ThreadCache) {
    if cache.parked.load(Ordering::Relaxed) >= EMPTIED {
        for class in SizeClass::all().filter(|&class| cache.is_emptied(class)) {
            cache.finish_steal(class);
        }
        #[cfg(feature = "hardened")]
        cache.quarantine.settle();
    }
    cache.parked.store(NOT, Ordering::Relaxed);
}
