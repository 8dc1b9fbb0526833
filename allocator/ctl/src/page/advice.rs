//! Advice: sentences for what the figures show and somebody can do something about.
//!
//! Each rule is a function of [`Facts`], which are numbers alone, and says nothing below its
//! thresholds. `docs/profiling.md` lists the rules ("What the page advises"), with the same
//! numbers. What weighs most comes first.

use super::facts::Facts;
use super::format::{bytes, percent, plural, time};
use super::parts::{FRAGMENTS, NOT_OURS, ROUNDING, THREAD_CACHES};

/// Below this, nothing is worth a sentence.
const LEAST: u64 = 1 << 20;
/// The same for figures that every process has some of.
const LEAST_COMMON: u64 = 8 << 20;

/// A sentence, and how many bytes it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub bytes: u64,
    pub text: String,
}

type Rule = fn(&Facts) -> Option<Advice>;

/// The rules.
const RULES: [Rule; 10] = [
    sleeping_threads,
    large_caches,
    fragments,
    rounding,
    sparse_huge_pages,
    free_pages_never_go,
    not_ours,
    growth,
    cost_of_profiles,
    lost_blocks,
];

/// All that the rules have to say, the weightiest first.
pub fn advice(facts: &Facts) -> Vec<Advice> {
    let mut all: Vec<_> = RULES.iter().filter_map(|rule| rule(facts)).collect();
    all.sort_by_key(|advice| std::cmp::Reverse(advice.bytes));
    all
}

/// The power of two at or below `count`.
fn power_below(count: u64) -> u64 {
    1 << count.max(1).ilog2()
}

/// Caches of threads that use no processor time: 1 MiB, and a hundredth of the memory.
fn sleeping_threads(facts: &Facts) -> Option<Advice> {
    let held = facts.asleep_bytes;
    (held >= LEAST && facts.is_share(held, 1)).then(|| {
        let bound = power_below(held / 4).max(LEAST);
        let each = if facts.asleep == 1 {
            "sit in the cache of a thread that slept".to_owned()
        } else {
            format!("sit in caches of {} sleeping threads", facts.asleep)
        };
        Advice {
            bytes: held,
            text: format!(
                "{} {each} (no processor time in {}); STRATALLOC_THREAD_CACHE_TOTAL_BYTES={} would bound \
                 them. With background=auto the allocator empties such caches by itself after some \
                 seconds.",
                bytes(held),
                time(facts.time_ms),
                option_bytes(bound)
            ),
        }
    })
}

/// Caches of threads at work: 8 MiB, and a tenth of the memory.
fn large_caches(facts: &Facts) -> Option<Advice> {
    let held = facts.now.parts[THREAD_CACHES].saturating_sub(facts.asleep_bytes);
    (held >= LEAST_COMMON && facts.is_share(held, 10)).then(|| Advice {
        bytes: held,
        text: format!(
            "{} are free blocks in caches of threads at work, {} of all. \
             STRATALLOC_MAGAZINE_MAX_BYTES={} (now {}) would make each magazine smaller, for more \
             locks.",
            bytes(held),
            percent(held, facts.now.sum()),
            option_bytes((facts.magazine_max / 4).max(256)),
            option_bytes(facts.magazine_max),
        ),
    })
}

/// Fragments: 8 MiB, and a tenth of the memory.
fn fragments(facts: &Facts) -> Option<Advice> {
    let held = facts.now.parts[FRAGMENTS];
    (held >= LEAST_COMMON && facts.is_share(held, 10)).then(|| {
        let class = &facts.fragments;
        let remedy = if facts.share_pages {
            "`stratalloc-ctl PID trim` gives whole OS pages inside spans back; what lives longest \
             decides what stays"
        } else {
            "share_pages is off: on, other sizes could use the holes"
        };
        Advice {
            bytes: held,
            text: format!(
                "{} are fragments: spans in which some blocks live and others are free. Most of it, {}, \
                 is of blocks of {} bytes: {} live in spans for {}. {remedy}.",
                bytes(held),
                bytes(class.fragments()),
                class.size,
                bytes(class.used_bytes()),
                bytes(class.span_bytes),
            ),
        }
    })
}

/// Rounding: 8 MiB, and an eighth of what is live.
fn rounding(facts: &Facts) -> Option<Advice> {
    let held = facts.now.parts[ROUNDING];
    let class = &facts.rounding;
    (held >= LEAST_COMMON && held * 8 >= facts.live()).then(|| {
        let mean = class.rounding.checked_div(class.in_use).unwrap_or(0);
        let part = if class.rounding * 4 >= held {
            format!(
                " Blocks of {} bytes alone have {}: {} bytes each are not asked for.",
                class.size,
                bytes(class.rounding),
                mean
            )
        } else {
            String::new()
        };
        Advice {
            bytes: held,
            text: format!(
                "{} of the blocks, {}, is rounding: sizes just above a size class cost the next one.{part} \
                 `stratalloc_good_size` says what a size gets.",
                bytes(held),
                percent(held, facts.live())
            ),
        }
    })
}

/// Sparse huge pages: their free memory is 8 MiB, and a twentieth of all.
fn sparse_huge_pages(facts: &Facts) -> Option<Advice> {
    let held = facts.sparse_free;
    (held >= LEAST_COMMON && facts.is_share(held, 5)).then(|| Advice {
        bytes: held,
        text: format!(
            "{} of {} are less than a quarter used: {} of blocks keep them, and {} of their pages are \
             free and resident. STRATALLOC_DECAY_MS=250 gives free pages back sooner.",
            plural(facts.sparse, "huge page"),
            facts.huge_pages,
            bytes(facts.sparse_bytes),
            bytes(held)
        ),
    })
}

/// Free pages with decay off: 16 MiB that were free all the time.
fn free_pages_never_go(facts: &Facts) -> Option<Advice> {
    let held = facts.page_heap_least;
    (held >= 2 * LEAST_COMMON && facts.decay_ms.is_none()).then(|| Advice {
        bytes: held,
        text: format!(
            "At least {} were free in the page heap all the time, and decay_ms is never: they go back \
             only when asked (`stratalloc-ctl PID trim`). STRATALLOC_DECAY_MS=2000, the default, \
             gives them back.",
            bytes(held)
        ),
    })
}

/// Memory that is not the heap's: 32 MiB, and a half of what is resident.
fn not_ours(facts: &Facts) -> Option<Advice> {
    let held = facts.now.parts[NOT_OURS];
    (held >= 4 * LEAST_COMMON && facts.is_share(held, 50)).then(|| Advice {
        bytes: held,
        text: format!(
            "{} of the process, {}, are not this heap: files, stacks, code, or memory that the program \
             maps by itself. `/proc/PID/smaps` has it mapping by mapping.",
            bytes(held),
            percent(held, facts.now.sum())
        ),
    })
}

/// Growth of what is live: 1 MiB and a twentieth, in two thirds of all looks.
fn growth(facts: &Facts) -> Option<Advice> {
    let grown = facts.live().saturating_sub(facts.live_first);
    let notable = grown >= LEAST && grown * 20 >= facts.live() && facts.rose_steadily;
    (notable && facts.time_ms > 0).then(|| {
        let per_hour = u128::from(grown) * 3_600_000 / u128::from(facts.time_ms);
        let per_hour = u64::try_from(per_hour).unwrap_or(u64::MAX);
        let who = if facts.mode.is_empty() {
            "With STRATALLOC_SAMPLE_INTERVAL=512KiB at the start, this page says who allocates it"
        } else {
            "The stacks that grew are below"
        };
        Advice {
            bytes: grown,
            text: format!(
                "What is live grew steadily, by {} in {}: at this pace {} an hour. {who}.",
                bytes(grown),
                time(facts.time_ms),
                bytes(per_hour)
            ),
        }
    })
}

/// What watching costs: 8 MiB, and a tenth of the memory; or tracing at all.
fn cost_of_profiles(facts: &Facts) -> Option<Advice> {
    let held = facts.watching;
    if facts.mode == "trace" {
        return Some(Advice {
            bytes: held,
            text: format!(
                "Every allocation is traced (leak_report): no thread has a cache, calls take tens of times \
                 as long, and the tables take {}. STRATALLOC_SAMPLE_INTERVAL=512KiB is for production.",
                bytes(held)
            ),
        });
    }
    (held >= LEAST_COMMON && facts.is_share(held, 10)).then(|| Advice {
        bytes: held,
        text: format!(
            "The profile's own tables take {}. A longer sample_interval makes them smaller.",
            bytes(held)
        ),
    })
}

/// Blocks that the profile does not know.
fn lost_blocks(facts: &Facts) -> Option<Advice> {
    (facts.lost > 0).then(|| Advice {
        bytes: 0,
        text: format!(
            "{} found no room in the profile's tables and are missing below.",
            plural(facts.lost, "allocation")
        ),
    })
}

/// Bytes as an option takes them.
fn option_bytes(count: u64) -> String {
    match count {
        count if count.is_multiple_of(1 << 20) => format!("{}MiB", count >> 20),
        count if count.is_multiple_of(1 << 10) => format!("{}KiB", count >> 10),
        count => format!("{count}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parts::Moment;
    use super::super::snapshot::Class;
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A process of 400 MiB with nothing remarkable.
    fn healthy() -> Facts {
        let parts = [300, 10, 4, 1, 10, 20, 5, 50].map(|mib| mib * MIB);
        Facts {
            time_ms: 10_000,
            now: Moment { at_ms: 10_000, parts, released: 0, resident: Some(400 * MIB) },
            live_first: 310 * MIB,
            decay_ms: Some(2_000),
            magazine_max: 16 << 10,
            share_pages: true,
            mode: "sample".into(),
            ..Facts::default()
        }
    }

    fn only(facts: &Facts) -> Advice {
        let all = advice(facts);
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().expect("one")
    }

    #[test]
    fn a_heap_without_anything_remarkable_gets_no_advice() {
        assert_eq!(advice(&healthy()), []);
        assert_eq!(advice(&Facts::default()), []);
    }

    #[test]
    fn caches_of_sleeping_threads_are_counted_and_a_bound_is_named() {
        let mut facts = Facts { asleep: 400, asleep_bytes: 62 * MIB, ..healthy() };
        facts.now.parts[THREAD_CACHES] = 64 * MIB;
        let said = only(&facts);
        assert!(said.text.starts_with("62 MiB sit in caches of 400 sleeping threads (no processor time in 10 s); STRATALLOC_THREAD_CACHE_TOTAL_BYTES=8MiB would"), "{said:?}");
        facts.asleep_bytes = MIB - 1;
        assert!(!advice(&facts).iter().any(|advice| advice.text.contains("sleeping")));
    }

    #[test]
    fn caches_of_threads_at_work_are_named_from_a_tenth_on() {
        let mut facts = healthy();
        facts.now.parts[THREAD_CACHES] = 50 * MIB;
        let said = only(&facts);
        assert!(said.text.contains("STRATALLOC_MAGAZINE_MAX_BYTES=4KiB (now 16KiB)"), "{said:?}");
        facts.now.parts[THREAD_CACHES] = 30 * MIB;
        assert_eq!(advice(&facts), []);
    }

    #[test]
    fn fragments_name_the_class_that_has_most() {
        let fragments = Class {
            size: 64,
            span_bytes: 90 * MIB,
            objects: 90 * MIB / 64,
            central: 80 * MIB / 64,
            in_use: 10 * MIB / 64,
            ..Class::default()
        };
        let mut facts = Facts { fragments, ..healthy() };
        facts.now.parts[FRAGMENTS] = 85 * MIB;
        let said = only(&facts);
        assert!(said.text.contains("Most of it, 80 MiB, is of blocks of 64 bytes: 10 MiB live in spans for 90 MiB. `stratalloc-ctl"), "{said:?}");
        facts.share_pages = false;
        assert!(only(&facts).text.contains("share_pages is off"));
    }

    #[test]
    fn rounding_is_named_from_an_eighth_of_what_is_live_on() {
        let rounding =
            Class { size: 4_608, in_use: 50 * MIB / 512, rounding: 50 * MIB, ..Class::default() };
        let mut facts = Facts { rounding, live_first: 360 * MIB, ..healthy() };
        facts.now.parts[ROUNDING] = 60 * MIB;
        let said = only(&facts);
        assert!(
            said.text.contains("Blocks of 4608 bytes alone have 50 MiB: 512 bytes each"),
            "{said:?}"
        );
        facts.now.parts[ROUNDING] = 20 * MIB;
        assert_eq!(advice(&facts), []);
    }

    #[test]
    fn sparse_huge_pages_are_counted_by_the_free_memory_that_they_hold() {
        let sparse = Facts {
            sparse: 40,
            sparse_bytes: 6 * MIB,
            sparse_free: 60 * MIB,
            huge_pages: 200,
            ..healthy()
        };
        assert!(
            only(&sparse).text.starts_with("40 huge pages of 200 are less than a quarter used")
        );
        assert_eq!(advice(&Facts { sparse_free: 7 * MIB, ..sparse }), []);
    }

    #[test]
    fn free_pages_that_never_go_back_are_named_only_if_decay_is_off() {
        let facts = Facts { page_heap_least: 20 * MIB, decay_ms: None, ..healthy() };
        assert!(only(&facts).text.contains("STRATALLOC_DECAY_MS=2000"));
        assert_eq!(advice(&Facts { decay_ms: Some(2_000), ..facts }), []);
    }

    #[test]
    fn memory_of_others_is_named_from_a_half_on() {
        let mut facts = healthy();
        facts.now.parts[NOT_OURS] = 400 * MIB;
        assert!(only(&facts).text.contains("are not this heap"));
    }

    #[test]
    fn growth_has_a_pace_and_is_named_only_if_it_is_steady() {
        let facts = Facts { live_first: 210 * MIB, rose_steadily: true, ..healthy() };
        assert!(only(&facts).text.starts_with("What is live grew steadily, by 100 MiB in 10 s: at this pace 35 GiB an hour. The stacks"));
        assert!(
            only(&Facts { mode: String::new(), ..facts.clone() }).text.contains("SAMPLE_INTERVAL")
        );
        assert_eq!(advice(&Facts { rose_steadily: false, ..facts }), []);
    }

    #[test]
    fn what_watching_costs_and_misses_is_said() {
        let traced = Facts { mode: "trace".into(), ..healthy() };
        assert!(only(&traced).text.contains("Every allocation is traced"));
        assert!(
            only(&Facts { watching: 50 * MIB, ..healthy() })
                .text
                .contains("own tables take 50 MiB")
        );
        assert!(
            only(&Facts { lost: 3, ..healthy() }).text.starts_with("3 allocations found no room")
        );
    }

    #[test]
    fn what_weighs_most_comes_first() {
        let mut facts = Facts { lost: 1, asleep: 2, asleep_bytes: 5 * MIB, ..healthy() };
        facts.now.parts[NOT_OURS] = 900 * MIB;
        let weights: Vec<u64> = advice(&facts).iter().map(|advice| advice.bytes).collect();
        assert_eq!(weights, [900 * MIB, 0], "the caches are no hundredth of it");
    }
}
