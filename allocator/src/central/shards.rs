//! Shards of threads, and which of them have threads that are awake: threads that exchange nothing
//! should not write to each other's cache lines
//! (`docs/decisions/019-owned-lines-and-shared-pages.md`).
//!
//! Each thread cache has a place in a shard ([`Member`]). A span notes the shard that it was last
//! handed to (`page::owner`), and a transfer cache the shard of each magazine. A fetch is served
//! from what is its own shard's before anything else; what belongs to another shard it gets freely
//! only where no thread of that shard is awake.
//!
//! The registry of the thread caches keeps the counts ([`Shards`]) under its lock: a thread is
//! counted in when it gets its cache or wakes, and out when its cache is parked or taken down. One
//! word of [`awake`] is all that others read, without the lock.
//!
//! All of this is a hint. Any memory may be handed to any thread, and a wrong hint costs a shared
//! line or some memory, no more.

use super::chain::{Chain, FreeObject};
use super::picks::LINE;
use crate::page::owner::{SHARDS, Shard};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::SpanState;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// A set of shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardSet(usize);

const _: () = assert!(SHARDS == usize::BITS as usize, "a bit for each shard");

impl ShardSet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(usize::MAX);

    /// One shard.
    #[inline(always)]
    pub const fn of(shard: Shard) -> Self {
        Self(1 << shard.index())
    }

    /// All up to `shard`, which is one of them.
    pub const fn up_to(shard: Shard) -> Self {
        Self(usize::MAX >> (SHARDS - 1 - shard.index()))
    }

    /// Whether there are none.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `shard` is one of them.
    #[inline(always)]
    pub const fn contains(self, shard: Shard) -> bool {
        self.0 >> shard.index() & 1 != 0
    }

    /// Those that are in both sets.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in `other` as well removed.
    #[inline(always)]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Adds `shard`.
    #[inline(always)]
    pub const fn insert(&mut self, shard: Shard) {
        self.0 |= 1 << shard.index();
    }

    /// Removes `shard`.
    #[inline(always)]
    pub const fn remove(&mut self, shard: Shard) {
        self.0 &= !(1 << shard.index());
    }

    /// How many they are.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The one with the lowest number.
    pub const fn first(self) -> Option<Shard> {
        if self.0 == 0 { None } else { Some(Shard::new(self.0.trailing_zeros() as usize)) }
    }

    /// The one with the lowest number above that of `shard`.
    pub const fn after(self, shard: Shard) -> Option<Shard> {
        // Two shifts, as one by all bits is not defined.
        Self(self.0 & (usize::MAX << shard.index() << 1)).first()
    }

    /// One after the other, from the lowest number on.
    pub fn iter(self) -> impl Iterator<Item = Shard> {
        core::iter::successors(self.first(), move |&shard| self.after(shard))
    }

    /// The set as a word, for an atomic.
    pub const fn as_word(self) -> usize {
        self.0
    }

    /// The set of such a word.
    pub const fn from_word(word: usize) -> Self {
        Self(word)
    }
}

/// What [`awake`] returns. A cache line of its own: every fetch reads it, and it changes only when
/// a thread comes, goes, falls asleep or wakes.
#[repr(align(64))]
struct Awake(AtomicUsize);

static AWAKE: Awake = Awake(AtomicUsize::new(0));

/// The shards that have threads which are awake.
#[inline(always)]
pub fn awake() -> ShardSet {
    // Relaxed: a hint, see the head of this file.
    ShardSet::from_word(AWAKE.0.load(Ordering::Relaxed))
}

/// The place of a thread's cache in a shard, in a word: the shard's number, and [`COUNTED`] while
/// the thread is counted as awake. Changed under the registry's lock.
pub struct Member(AtomicU32);

/// See [`Member`].
const COUNTED: u32 = 1 << 16;

impl Member {
    /// A place in the first shard, of a thread that is not counted.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The shard.
    #[inline(always)]
    pub fn shard(&self) -> Shard {
        // Relaxed: the owner reads its own number, which changes only while it is kept from using
        // the cache. Others read it under the registry's lock.
        Shard::new(self.0.load(Ordering::Relaxed) as usize)
    }

    /// Whether the thread is counted as awake. Under the registry's lock.
    pub fn is_counted(&self) -> bool {
        // Relaxed: the lock orders.
        self.0.load(Ordering::Relaxed) & COUNTED != 0
    }

    fn set(&self, shard: Shard, counted: bool) {
        let flag = if counted { COUNTED } else { 0 };
        // Relaxed: the registry's lock orders; for the owner see `shard`.
        self.0.store(shard.index() as u32 | flag, Ordering::Relaxed);
    }
}

/// How many threads of each shard are awake. The registry has the one instance, under its lock.
///
/// Equations: `threads[s]` is the number of members of shard `s` that are counted; `s` is in
/// `awake` if that is not 0.
pub struct Shards {
    threads: [u32; SHARDS],
    awake: ShardSet,
}

impl Shards {
    /// No thread is awake.
    pub const fn new() -> Self {
        Self { threads: [0; SHARDS], awake: ShardSet::EMPTY }
    }

    /// Counts a thread as awake, unless it is. It stays in its shard if none has fewer threads that
    /// are awake, and goes to the first one of those with the fewest otherwise.
    pub fn join(&mut self, member: &Member) {
        if member.is_counted() {
            return;
        }
        let threads = |shard: &Shard| self.threads[shard.index()];
        let mut shard = member.shard();
        if threads(&shard) > 0 {
            let fewest = (0..SHARDS).map(Shard::new).min_by_key(threads).unwrap_or(shard);
            if threads(&fewest) < threads(&shard) {
                shard = fewest;
            }
        }
        member.set(shard, true);
        self.threads[shard.index()] += 1;
        self.awake.insert(shard);
    }

    /// Counts a thread as asleep or gone, unless it is.
    pub fn leave(&mut self, member: &Member) {
        if !member.is_counted() {
            return;
        }
        let shard = member.shard();
        member.set(shard, false);
        self.threads[shard.index()] -= 1;
        if self.threads[shard.index()] == 0 {
            self.awake.remove(shard);
        }
    }

    /// The shards that have threads which are awake.
    pub fn awake(&self) -> ShardSet {
        self.awake
    }

    /// Lets [`awake`] tell what is so now. For the one instance.
    pub fn publish(&self) {
        // Relaxed: a hint. The registry's lock makes it one writer at a time.
        AWAKE.0.store(self.awake.as_word(), Ordering::Relaxed);
    }

    /// Whether the counts are those of `members`, which are all that there are.
    pub fn agree_with<'a>(&self, members: impl Iterator<Item = &'a Member>) -> bool {
        let mut counts = [0; SHARDS];
        members
            .filter(|member| member.is_counted())
            .for_each(|member| counts[member.shard().index()] += 1);
        let is_awake = |shard: Shard| self.awake.contains(shard) == (counts[shard.index()] > 0);
        counts == self.threads && (0..SHARDS).map(Shard::new).all(is_awake)
    }
}

/// Whom objects are fetched for.
#[derive(Clone, Copy, Debug)]
pub struct Fetcher {
    /// The shard of the thread.
    pub shard: Shard,
    /// The shards that have threads which are awake, as far as is known.
    pub awake: ShardSet,
}

impl Fetcher {
    /// A thread of `shard`, now.
    #[inline(always)]
    pub fn now(shard: Shard) -> Self {
        Self { shard, awake: awake() }
    }

    /// The shards whose lines it should not get objects of `class` on: all others that are awake;
    /// none if no two objects share a line.
    #[inline]
    pub fn other_awake(self, class: SizeClass) -> ShardSet {
        if splits_lines(class) {
            self.awake.without(ShardSet::of(self.shard))
        } else {
            ShardSet::EMPTY
        }
    }

    /// The other shards whose magazines of `class` it may take as if they were its own: those
    /// without a thread that is awake, and all of them if no two objects share a line.
    #[inline]
    pub fn may_share(self, class: SizeClass) -> ShardSet {
        let own = ShardSet::of(self.shard);
        if splits_lines(class) {
            ShardSet::ALL.without(self.awake).without(own)
        } else {
            ShardSet::ALL
        }
    }
}

/// Whether two objects of `class` may share a line.
#[inline(always)]
pub fn splits_lines(class: SizeClass) -> bool {
    !class.size().is_multiple_of(LINE)
}

/// Objects of a magazine that are looked at to find out whose it is.
const LOOKED_AT: usize = 8;

/// The shard whose the objects of a magazine of `class` are; `None` if they are of several, and may
/// share lines with what lives. Looks at the first few. Those on shared pages may be of any: who
/// uses these has given up some lines for memory.
///
/// # Safety
/// The chain's objects are of `class`, free and linked, and the caller owns them.
#[inline]
pub unsafe fn shard_of(class: SizeClass, chain: Chain) -> Option<Shard> {
    let awake = awake();
    let lowest = awake.first().unwrap_or(Shard::FIRST);
    if awake.count() < 2 {
        // What is another shard's is this one's for the taking.
        return Some(lowest);
    }
    let mut object = chain.head;
    let (mut found, mut of_shared_page) = (None, None);
    for _ in 0..chain.count.min(LOOKED_AT) {
        let span = PAGE_MAP.span_in_huge(object as usize);
        // SAFETY: null or a record, which is never unmapped. Of the record, which others may be
        // changing under the lock of the class, the atomic owner is read, and the state, which
        // stays while one of its blocks is the caller's.
        let (shard, is_shared_page) = match unsafe { span.as_ref() } {
            Some(span) => (span.owner.shard(), span.state == SpanState::Shared),
            None => (lowest, false),
        };
        if !splits_lines(class) {
            return Some(shard);
        }
        if is_shared_page {
            of_shared_page.get_or_insert(shard);
        } else if *found.get_or_insert(shard) != shard {
            return None;
        }
        // SAFETY: an object of the chain, which the caller owns, linked.
        object = unsafe { FreeObject::next(object) };
    }
    found.or(of_shared_page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    proptest! {
        /// Sets of shards are sets.
        #[test]
        fn shard_sets_are_sets(word: usize, other: usize, shard in (0..SHARDS).prop_map(Shard::new)) {
            let set = ShardSet::from_word(word);
            let model: BTreeSet<usize> = (0..SHARDS).filter(|at| word >> at & 1 != 0).collect();
            let indices = |set: ShardSet| set.iter().map(Shard::index).collect::<BTreeSet<_>>();
            prop_assert_eq!(indices(set), model.clone());
            prop_assert_eq!((set.count(), set.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(set.first().map(Shard::index), model.first().copied());
            let after = model.range(shard.index() + 1..).next().copied();
            prop_assert_eq!(set.after(shard).map(Shard::index), after);
            prop_assert_eq!(set.contains(shard), model.contains(&shard.index()));
            let (mut with, mut lacking) = (set, set);
            with.insert(shard);
            lacking.remove(shard);
            prop_assert!(with.contains(shard) && !lacking.contains(shard));
            prop_assert_eq!(with.without(lacking), ShardSet::of(shard));
            prop_assert_eq!(set.and(ShardSet::from_word(other)).as_word(), word & other);
            let below = set.and(ShardSet::up_to(shard));
            prop_assert_eq!(below.count(), model.range(..=shard.index()).count());
            prop_assert_eq!(below.first(), set.first().filter(|_| !below.is_empty()));
        }
    }

    /// However threads come and go, no two are in one shard while another shard has none, and a
    /// thread that wakes finds its own shard again if it is free.
    #[test]
    fn threads_spread_over_the_shards() {
        let mut shards = Shards::new();
        let members: Vec<Member> = (0..2 * SHARDS).map(|_| Member::new()).collect();
        let mut random = 7_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let member = &members[(random >> 8) as usize % members.len()];
            let (before, counted) = (member.shard(), member.is_counted());
            let least = shards.threads.iter().copied().min().unwrap();
            if counted {
                shards.leave(member);
                shards.leave(member);
                assert_eq!(member.shard(), before);
            } else {
                let was_free = shards.threads[before.index()] == 0;
                shards.join(member);
                shards.join(member);
                assert_eq!(shards.threads[member.shard().index()], least + 1);
                assert!(!was_free || member.shard() == before);
            }
            let all = members.iter().filter(|member| member.is_counted()).count();
            assert_eq!(shards.threads.iter().sum::<u32>() as usize, all);
            assert!((0..SHARDS).all(|shard| {
                shards.awake.contains(Shard::new(shard)) == (shards.threads[shard] > 0)
            }));
        }
    }
}
