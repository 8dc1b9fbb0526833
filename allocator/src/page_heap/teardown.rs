//! Giving back at once where next to nothing is left in use.
//!
//! A program that has freed nearly all it had may make no call for a long time, or none any more.
//! One without threads has nobody else to give its memory back (docs/decisions/002), and with
//! threads that takes the decay time. So the last calls of `free` do it: each releases a few times
//! what it freed, and a bounded part of what others left.
//!
//! A program that tears all down and builds it up again, over and over, would pay for each round
//! with page faults. It pays for a few: where half of what was given back is needed again, the next
//! teardowns only leave it to the decay, for [`ROUNDS`] times as long as a round took. What was
//! long ago, or more than [`WEIGHT`] times as much as goes back now, counts less and less, so that
//! a program whose rounds are small after a large one is noticed as well. Where more than
//! [`LARGER`] times as much is free as was ever given back in vain, it goes back all the same: this
//! may be the last teardown. Those in vain grow so fast then that all of them together cost less
//! than one and a half of the largest. Guarded by the page heap's lock. Caches that are emptied for
//! the same reason (`central::wind_down`) count their own rounds.

/// How many rounds go by without giving back after one that was in vain.
const ROUNDS: u64 = 32;
/// Milliseconds for which nothing is given back then, at least.
const PAUSE_MS: u64 = 10_000;
/// How often the pause doubles, at most.
const DOUBLINGS: u32 = 8;
/// Milliseconds from which on a round is so long that page faults do not count.
const LONG_ROUND_MS: u64 = 10_000;
/// What was given back before counts as so many times what goes back now, if it was more.
const WEIGHT: usize = 4;
/// A pause does not count where so many times as much is free as was given back in vain so far.
const LARGER: usize = 2;
/// Milliseconds without giving back after which a teardown is over.
const OVER_MS: u64 = 1_000;
/// It is over as well when one so-many-th of what it gave back is needed again.
const OVER_SHARE: usize = 8;

/// What is known of the last teardowns. Amounts are pages, or any other unit.
pub struct Teardown {
    /// What they gave back; 0 if there was none.
    released: usize,
    /// What was needed again of it.
    faulted: usize,
    /// When it last gave back.
    last_ms: u64,
    /// Nothing is given back before.
    until_ms: u64,
    /// How often what was given back was needed again.
    in_vain: u32,
    /// How much that was, all together.
    wasted: usize,
}

impl Teardown {
    pub const fn new() -> Self {
        Self { released: 0, faulted: 0, last_ms: 0, until_ms: 0, in_vain: 0, wasted: 0 }
    }

    /// Never gives anything back, for tests of what else does.
    #[cfg(test)]
    pub const fn never() -> Self {
        Self { until_ms: u64::MAX, wasted: usize::MAX, ..Self::new() }
    }

    /// Notes that `amount` was taken that had been given back, or was never there.
    pub fn note_taken(&mut self, amount: usize) {
        self.faulted += amount;
    }

    /// Whether memory may be given back at `now_ms`, for all that is known, of which `free` is
    /// free.
    pub fn may_begin(&self, free: usize, now_ms: u64) -> bool {
        now_ms >= self.until_ms || free / LARGER > self.wasted
    }

    /// Whether a teardown that has begun goes on at `now_ms`: it gave back a moment ago, and little
    /// of that was needed since.
    pub fn is_going_on(&self, now_ms: u64) -> bool {
        self.released > 0
            && now_ms.saturating_sub(self.last_ms) < OVER_MS
            && self.faulted <= self.released / OVER_SHARE
    }

    /// Whether `amount` of what is `free` shall be given back at `now_ms`; notes that it is, if so.
    pub fn begin(&mut self, amount: usize, free: usize, now_ms: u64) -> bool {
        if now_ms >= self.until_ms {
            let round = now_ms.saturating_sub(self.last_ms);
            if round >= LONG_ROUND_MS || self.released == 0 {
                (self.released, self.faulted) = (0, 0);
            } else if self.faulted >= self.released / 2 {
                self.wasted = self.wasted.saturating_add(self.released.min(self.faulted));
                self.released = 0;
                self.until_ms = now_ms + ((ROUNDS * round).max(PAUSE_MS) << self.in_vain);
                self.in_vain = (self.in_vain + 1).min(DOUBLINGS);
            }
        }
        if !self.may_begin(free, now_ms) {
            return false;
        }
        if now_ms < self.until_ms {
            // One that is so much larger than those in vain is the first of its kind.
            (self.released, self.faulted, self.until_ms) = (0, 0, now_ms);
        }
        if self.released / WEIGHT > amount {
            // Their ratio stays.
            (self.released, self.faulted) = (self.released / 2, self.faulted / 2);
        }
        self.released += amount;
        self.last_ms = now_ms;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that calls nothing afterwards would keep it.
    #[test]
    fn the_first_teardown_gives_back_at_once_in_as_many_parts_as_it_takes() {
        let mut teardown = Teardown::new();
        assert!((0..10).all(|_| teardown.begin(500, 5_000, 1_000)));
    }

    /// What is in use at its end must not decide when it ends: it may be all that the program has.
    #[test]
    fn a_teardown_goes_on_until_it_is_quiet_or_its_memory_is_needed() {
        let mut teardown = Teardown::new();
        assert!(!teardown.is_going_on(0), "it has not begun");
        assert!(teardown.begin(800, 5_000, 1_000));
        assert!(teardown.is_going_on(1_000) && teardown.is_going_on(1_999));
        assert!(!teardown.is_going_on(1_000 + OVER_MS), "it was quiet");
        teardown.note_taken(100);
        assert!(teardown.is_going_on(1_000));
        teardown.note_taken(1);
        assert!(!teardown.is_going_on(1_000), "an eighth was needed again");
    }

    /// Page faults would cost each round more than it gains.
    #[test]
    fn rounds_that_need_the_memory_again_keep_it() {
        let mut teardown = Teardown::new();
        let mut given_back = 0;
        for round in 0..1_000 {
            if teardown.begin(1_000, 1_000, 1_000 + round * 90) {
                given_back += 1;
                teardown.note_taken(900);
            }
        }
        assert!((1..=4).contains(&given_back), "{given_back} in a minute and a half");
    }

    /// As of a service after its largest request, or of the last worker of many.
    #[test]
    fn small_rounds_after_a_large_one_keep_the_memory() {
        for large in [1_000, 10_000, 10_000_000] {
            let mut teardown = Teardown::new();
            assert!((0..100).all(|part| teardown.begin(large / 100, large, 1_000 + part)));
            let rounds = (0..1_000).filter(|round| {
                // In two parts, as memory goes back in pieces.
                let now = 2_000 + round * 3;
                let is_begun = teardown.begin(500, 1_000, now);
                let is_over = teardown.begin(500, 1_000, now) || is_begun;
                if is_over {
                    teardown.note_taken(1_000);
                }
                is_over
            });
            let rounds = rounds.count();
            assert!((1..=16).contains(&rounds), "{rounds} of 1,000 after {large}");
        }
    }

    /// What is needed again after a long time costs little in comparison.
    #[test]
    fn rare_rounds_give_back_each_time() {
        let mut teardown = Teardown::new();
        for round in 0..10 {
            assert!(teardown.begin(1_000, 1_000, round * LONG_ROUND_MS));
            teardown.note_taken(1_000);
        }
    }

    /// A little that is taken meanwhile is not the memory that was given back.
    #[test]
    fn what_is_taken_besides_does_not_end_a_teardown() {
        let mut teardown = Teardown::new();
        for round in 0..10 {
            assert!(teardown.begin(1_000, 1_000, round * 90));
            teardown.note_taken(100);
        }
    }

    /// What little rounds needed again says nothing of all that a program has.
    #[test]
    fn a_teardown_much_larger_than_the_rounds_before_gives_back() {
        let mut teardown = Teardown::new();
        for round in 0..100 {
            if teardown.begin(1_000, 1_000, 1_000 + round * 90) {
                teardown.note_taken(900);
            }
        }
        assert!(!teardown.begin(1_000, 1_000, 10_100), "one more of the same");
        let parts = (0..20).filter(|part| teardown.begin(500, 10_000 - part * 500, 10_100));
        assert_eq!(parts.count(), 20, "all of ten times as much");
    }

    /// The page faults are bounded by the heap, whatever the rounds are like.
    #[test]
    fn rounds_in_vain_that_grow_cost_less_than_the_heap_filled_twice() {
        for percent in [101, 110, 150, 210, 400] {
            let mut teardown = Teardown::new();
            let (mut size, mut largest, mut given_back) = (1_000_usize, 0, 0);
            for round in 0..60 {
                if size > 1 << 40 {
                    break;
                }
                largest = size;
                if teardown.begin(size, size, 1_000 + round * 9) {
                    given_back += size;
                    teardown.note_taken(size);
                }
                size += size * (percent - 100) / 100;
            }
            assert!(given_back < 2 * largest + 2_000, "{given_back} of {largest} by {percent} %");
        }
    }
}
