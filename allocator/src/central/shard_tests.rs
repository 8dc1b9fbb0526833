//! Properties of spans that have owners: which lines threads of different shards get, when spans
//! change hands, and that memory comes before lines.

use super::low_water::Consumer;
use super::picks::LINE;
use super::shards::{Fetcher, ShardSet, splits_lines};
use super::take_over::ANYTHING;
use super::tests::{Model, SIZES, awake};
use super::transfer_budget::TransferBudget;
use super::transfer_cache::TransferCache;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::policy::HARDENED;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::ptr::NonNull;

/// Shards of the tests.
const SOME: usize = 5;

/// What happens to the threads and their blocks.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// A thread of this shard fetches so many objects.
    Fetch(usize, usize),
    /// Objects of this shard are freed: of each so many the first.
    Free(usize, usize),
    /// The threads of this shard fall asleep, or wake.
    Turn(usize),
    /// The decay takes a step.
    Step,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        8 => (0..SOME, 1..120_usize).prop_map(|(shard, count)| Call::Fetch(shard, count)),
        5 => (0..SOME, 1..6_usize).prop_map(|(shard, every)| Call::Free(shard, every)),
        1 => (0..SOME).prop_map(Call::Turn),
        1 => Just(Call::Step),
    ]
}

/// A list, the shard that each object was handed to, and the shards that are awake.
struct Owned {
    model: Model,
    shards: HashMap<usize, usize>,
    awake: ShardSet,
}

impl Owned {
    fn new(size: usize) -> Self {
        let awake = ShardSet::from_word((1 << SOME) - 1);
        Self { model: Model::new(size), shards: HashMap::new(), awake }
    }

    /// The shard that owns the span at this address.
    fn owner(&self, span: usize) -> usize {
        // SAFETY: records are never freed.
        unsafe { self.model.source.live.lock().unwrap()[&span].as_ref() }.owner.shard().index()
    }

    /// The spans that were taken over, from whomever, since they were fresh.
    fn taken_over(&self) -> HashSet<usize> {
        let live = self.model.source.live.lock().unwrap();
        // SAFETY: records are never freed.
        let was_taken = |span: &NonNull<Span>| unsafe { span.as_ref() }.owner.was_ever_taken_over();
        live.iter().filter(|(_, span)| was_taken(span)).map(|(&addr, _)| addr).collect()
    }

    fn is_much_idle(&self) -> bool {
        self.model.list.lists.lock().is_much_idle(self.model.class, ANYTHING)
    }

    fn fetch(&mut self, shard: usize, count: usize) -> Vec<usize> {
        let fetcher = Fetcher { shard: Shard::new(shard), awake: self.awake };
        let got = self.model.fetch_for(fetcher, count, false);
        self.shards.extend(got.iter().map(|&addr| (addr, shard)));
        got
    }

    fn free(&mut self, shard: usize, every: usize) {
        let mut own: Vec<usize> =
            self.shards.iter().filter(|of| *of.1 == shard).map(|of| *of.0).collect();
        own.sort_unstable();
        let gone: HashSet<usize> = own.into_iter().step_by(every).collect();
        self.shards.retain(|addr, _| !gone.contains(addr));
        self.model.release(&gone.into_iter().collect::<Vec<_>>());
    }

    fn turn(&mut self, shard: usize) {
        let shard = Shard::new(shard);
        if self.awake.contains(shard) { self.awake.remove(shard) } else { self.awake.insert(shard) }
    }

    /// The lines of `addr`.
    fn lines(&self, addr: usize) -> std::ops::RangeInclusive<usize> {
        addr / LINE..=(addr + self.model.class.size() - 1) / LINE
    }

    /// For each line, the shards that have objects on it.
    fn lines_in_use(&self) -> HashMap<usize, HashSet<usize>> {
        let mut lines: HashMap<usize, HashSet<usize>> = HashMap::new();
        for (&addr, &shard) in &self.shards {
            for line in self.lines(addr) {
                lines.entry(line).or_default().insert(shard);
            }
        }
        lines
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Unless much lies free, a thread gets no object on a line of which a thread of another shard
    /// that is awake has objects. The exception are spans that were taken over, or of which another
    /// shard was given whole lines before: their lines become the owner's one by one.
    #[test]
    fn threads_that_are_awake_get_lines_of_their_own(
        size in prop::sample::select(vec![16_usize, 32, 48, 80, 112, 240, 336]),
        calls in prop::collection::vec(call(), 1..120),
    ) {
        let mut owned = Owned::new(size);
        // Of which others than the owner got lines.
        let mut mixed = HashSet::new();
        for call in calls {
            match call {
                Call::Fetch(shard, count) => {
                    let before = owned.lines_in_use();
                    let known: HashSet<usize> = &owned.taken_over() | &mixed;
                    let is_much_idle = owned.is_much_idle();
                    for addr in owned.fetch(shard, count) {
                        let span = owned.model.source.span_of(addr);
                        if owned.owner(span) != shard {
                            mixed.insert(span);
                        }
                        if is_much_idle || known.contains(&span) {
                            continue;
                        }
                        for line in owned.lines(addr) {
                            let others = before.get(&line).into_iter().flatten();
                            let other_awake = others.filter(|&&other| {
                                other != shard && owned.awake.contains(Shard::new(other))
                            });
                            prop_assert_eq!(other_awake.count(), 0, "line {:#x}", line);
                        }
                    }
                }
                Call::Free(shard, every) => owned.free(shard, every),
                Call::Turn(shard) => owned.turn(shard),
                Call::Step => drop(owned.model.list.take_idle(owned.model.class, Consumer::Decay)),
            }
            owned.model.check();
        }
        (0..SOME).for_each(|shard| owned.free(shard, 1));
        owned.model.check();
        prop_assert_eq!(owned.model.source.spans(), 0);
    }

    /// Memory comes before lines: a thread gets no fresh span while a shard without a thread that
    /// is awake has free objects, while much lies free, or, if no two objects share a line, while
    /// anything is free.
    #[test]
    fn no_span_is_fresh_while_others_have_what_they_do_not_need(
        size in prop::sample::select(SIZES.to_vec()),
        calls in prop::collection::vec(call(), 1..120),
    ) {
        let mut owned = Owned::new(size);
        for call in calls {
            match call {
                Call::Fetch(shard, count) => {
                    let free = owned.model.list.stats().free;
                    let is_much_idle = owned.is_much_idle();
                    let asleep = {
                        let lists = owned.model.list.lists.lock();
                        let own = ShardSet::of(Shard::new(shard));
                        let used = lists.by_shard.used();
                        !used.without(owned.awake).is_empty() || !used.and(own).is_empty()
                    };
                    let before = owned.model.source.spans();
                    owned.fetch(shard, count);
                    if owned.model.source.spans() > before {
                        prop_assert!(!asleep && !is_much_idle, "own or sleepers' objects are free");
                        prop_assert!(free == 0 || splits_lines(owned.model.class));
                    }
                }
                Call::Free(shard, every) => owned.free(shard, every),
                Call::Turn(shard) => owned.turn(shard),
                Call::Step => drop(owned.model.list.take_idle(owned.model.class, Consumer::Decay)),
            }
            prop_assert!(owned.model.list.is_sound());
        }
    }
}

/// Fills spans as a thread of shard 0 and frees most objects of each, so that all are nearly empty.
fn nearly_empty_spans(owned: &mut Owned, spans: usize) {
    let per_span = owned.model.class.info().objects as usize;
    while owned.shards.len() < spans * per_span {
        owned.fetch(0, 100);
    }
    let keep: HashSet<usize> =
        owned.shards.keys().copied().filter(|addr| (addr / LINE).is_multiple_of(16)).collect();
    let gone: Vec<usize> =
        owned.shards.keys().copied().filter(|addr| !keep.contains(addr)).collect();
    owned.shards.retain(|addr, _| keep.contains(addr));
    owned.model.release(&gone);
}

/// Two threads that both need memory must not take the same nearly empty span from each other by
/// turns: it changes hands once in a step of the decay.
#[test]
fn a_span_is_taken_over_once_in_a_step_of_the_decay() {
    // Groups of a few objects that share lines.
    let mut owned = Owned::new(if HARDENED { 512 } else { 48 });
    nearly_empty_spans(&mut owned, 2);
    let spans: Vec<usize> = owned.model.source.live.lock().unwrap().keys().copied().collect();
    let owners_after_fetch = |owned: &mut Owned, shard| {
        owned.fetch(shard, 4);
        let mut owners: Vec<usize> = spans.iter().map(|&span| owned.owner(span)).collect();
        owners.sort_unstable();
        owners
    };
    assert_eq!(owners_after_fetch(&mut owned, 1), [0, 1]);
    assert_eq!(owners_after_fetch(&mut owned, 2), [1, 2]);
    // Shard 3 finds none to take over, and the others go on with their own.
    for shard in [3, 1, 2] {
        assert_eq!(owners_after_fetch(&mut owned, shard), [1, 2], "after a fetch of {shard}");
    }
    let _ = owned.model.list.take_idle(owned.model.class, Consumer::Decay);
    assert!(owners_after_fetch(&mut owned, 4).contains(&4), "after a step it may");
}

/// A conversion for a thread takes spans of the shards that it names alone, the emptiest first.
#[test]
fn spans_are_converted_by_shard() {
    let mut owned = Owned::new(if HARDENED { 512 } else { 48 });
    nearly_empty_spans(&mut owned, 2);
    owned.fetch(1, 4);
    let lists = owned.model.list.lists.lock();
    for shard in [0, 1] {
        let found = lists.to_be_converted(ShardSet::of(Shard::new(shard))).unwrap();
        // SAFETY: records are never freed.
        assert_eq!(unsafe { found.as_ref() }.owner.shard(), Shard::new(shard));
    }
    assert_eq!(lists.to_be_converted(ShardSet::of(Shard::new(2))), None);
    assert!(lists.to_be_converted(ShardSet::ALL).is_some());
}

/// When memory has run out, a thread gets what is free, whosever it is.
#[test]
fn without_memory_lines_are_shared() {
    let mut owned = Owned::new(32);
    let got = owned.fetch(0, 40);
    owned.model.source.refuse();
    owned.free(0, 2);
    let free = owned.model.list.stats().free;
    let mut all = Vec::new();
    loop {
        let more = owned.fetch(1, 16);
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    assert_eq!(all.len(), free, "everything that was free");
    assert!(all.iter().any(|addr| got.contains(addr)));
    owned.model.check();
}

/// The first objects that a thread gets of a class come from whole lines of others, if those have
/// any: a span of its own would take memory for a few objects.
#[test]
fn first_objects_come_from_whole_lines_of_others() {
    let mut owned = Owned::new(48);
    // More than a quarter of the span is in use.
    while owned.shards.len() < owned.model.class.info().objects as usize / 2 {
        owned.fetch(0, 50);
    }
    let lines = owned.lines_in_use();
    let first = owned.model.fetch_for(awake(1), 12, true);
    assert_eq!(owned.model.source.spans(), 1);
    assert!(first.iter().all(|&addr| owned.lines(addr).all(|line| !lines.contains_key(&line))));
    // What comes then is its own.
    owned.model.fetch_for(awake(1), 12, false);
    assert_eq!(owned.model.source.spans(), 2);
    owned.model.check();
}

proptest! {
    /// A transfer cache hands out of some shards' magazines the one that came last, and gives up
    /// the oldest of all.
    #[test]
    fn magazines_come_back_to_their_shards(
        calls in prop::collection::vec((0..3_usize, 0..SOME, 1..31_usize), 1..400),
    ) {
        let class = SizeClass::of(64).unwrap();
        let (cache, budget) = (TransferCache::new(), TransferBudget::new());
        let mut places = vec![[0_usize; 2]; calls.len()];
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        let model_pop = |wanted: &dyn Fn(usize) -> bool, waiting: &mut Vec<(usize, usize)>| {
            let at = waiting.iter().rposition(|&(_, shard)| wanted(shard))?;
            Some(waiting.remove(at).0)
        };
        for (&(what, shard, set), place) in calls.iter().zip(&mut places) {
            let addr = std::ptr::from_mut(place).addr();
            let shards = ShardSet::from_word(set);
            match what {
                0 | 1 if what == 0 || set % 2 == 0 => {
                    let chain = super::tests::chain(&[std::ptr::from_mut(place).expose_provenance()]);
                    match cache.push(class, &budget, chain, Shard::new(shard)) {
                        None => waiting.push((addr, shard)),
                        Some(_) => prop_assert_eq!(waiting.len(), crate::config::TRANSFER_SLOTS),
                    }
                }
                1 => {
                    let oldest = cache.pop_oldest(class, &budget, 2);
                    let model = if waiting.len() > 2 { Some(waiting.remove(0).0) } else { None };
                    prop_assert_eq!((!oldest.is_empty()).then(|| oldest.head.addr()), model);
                }
                _ => {
                    let popped = cache.pop(class, &budget, shards);
                    let wanted = |shard| shards.contains(Shard::new(shard));
                    let model = model_pop(&wanted, &mut waiting);
                    prop_assert_eq!((!popped.is_empty()).then(|| popped.head.addr()), model);
                }
            }
            prop_assert_eq!(cache.objects(), waiting.len());
            prop_assert!(cache.counts_agree());
        }
    }
}
