//! Where every byte is: the parts that the resident memory of a process is taken apart into, at one
//! moment.

use super::snapshot::Heap;

/// A part: what it is called, what it means, and its colour (a class of the style).
pub struct Part {
    pub name: &'static str,
    pub meaning: &'static str,
    pub class: &'static str,
}

/// The parts, from the bottom of the chart up.
pub const PARTS: [Part; 8] = [
    Part { name: "live", meaning: "what the program asked for and holds", class: "s3" },
    Part {
        name: "internal rounding",
        meaning: "what its blocks have beyond that, by their size class; an estimate",
        class: "s5",
    },
    Part {
        name: "thread caches",
        meaning: "free blocks that threads keep for their next calls",
        class: "s2",
    },
    Part {
        name: "transfer caches",
        meaning: "free blocks on their way between threads",
        class: "s9",
    },
    Part {
        name: "fragments",
        meaning: "free blocks in partly used spans, and ends of spans; by size below",
        class: "s0",
    },
    Part {
        name: "page heap, free",
        meaning: "free pages that go back to the system after decay_ms",
        class: "s7",
    },
    Part {
        name: "metadata",
        meaning: "the allocator's own records, as far as they were touched",
        class: "s4",
    },
    Part {
        name: "not ours",
        meaning: "resident beyond all of these: code, stacks, files, other mappings",
        class: "s1",
    },
];

/// The place of `live` among the parts.
pub const LIVE: usize = 0;
/// The place of `internal rounding`.
pub const ROUNDING: usize = 1;
/// The place of `thread caches`.
pub const THREAD_CACHES: usize = 2;
/// The place of `fragments`.
pub const FRAGMENTS: usize = 4;
/// The place of `page heap, free`.
pub const PAGE_HEAP_FREE: usize = 5;
/// The place of `not ours`.
pub const NOT_OURS: usize = PARTS.len() - 1;

/// One moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the watch began.
    pub at_ms: u64,
    /// Bytes of each of [`PARTS`].
    pub parts: [u64; PARTS.len()],
    /// Addresses that hold no memory: free pages, and OS pages inside spans.
    pub released: u64,
    /// What the kernel says is resident, if it can be read.
    pub resident: Option<u64>,
}

impl Moment {
    /// Takes a snapshot apart.
    pub fn new(at_ms: u64, heap: &Heap, resident: Option<u64>) -> Self {
        let figure = |name| heap.figure(name);
        let rounding = figure("internal_fragmentation").min(figure("in_use"));
        let in_spans = figure("central_free") + figure("span_tails");
        let mut parts = [
            figure("in_use") - rounding,
            rounding,
            figure("thread_cache_free"),
            figure("transfer_cache_free"),
            in_spans.saturating_sub(figure("central_released")),
            figure("page_heap_free"),
            figure("metadata_used"),
            0,
        ];
        let ours: u64 = parts.iter().sum();
        parts[NOT_OURS] = resident.unwrap_or(0).saturating_sub(ours);
        let released = figure("page_heap_released") + figure("central_released");
        Self { at_ms, parts, released, resident }
    }

    /// Live bytes, rounding included.
    pub fn in_use(&self) -> u64 {
        self.parts[LIVE] + self.parts[ROUNDING]
    }

    /// What the allocator accounts for, as if all of it had been touched.
    pub fn ours(&self) -> u64 {
        self.parts[..NOT_OURS].iter().sum()
    }

    /// What it accounts for and was never touched, at least: blocks and spans that the program has
    /// not written to hold no memory, and only the kernel knows.
    pub fn untouched(&self) -> u64 {
        self.resident.map_or(0, |resident| self.ours().saturating_sub(resident))
    }

    /// All parts together.
    pub fn sum(&self) -> u64 {
        self.parts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap() -> Heap {
        Heap::of(
            &[
                ("in_use", 1_000),
                ("internal_fragmentation", 100),
                ("thread_cache_free", 20),
                ("transfer_cache_free", 30),
                ("central_free", 400),
                ("span_tails", 10),
                ("central_released", 160),
                ("page_heap_free", 50),
                ("page_heap_released", 7_000),
                ("metadata_used", 5),
            ],
            &[],
        )
    }

    #[test]
    fn each_place_is_that_of_its_part() {
        let name = |place: usize| PARTS[place].name;
        assert_eq!([LIVE, ROUNDING].map(name), ["live", "internal rounding"]);
        assert_eq!([THREAD_CACHES, FRAGMENTS].map(name), ["thread caches", "fragments"]);
        assert_eq!([PAGE_HEAP_FREE, NOT_OURS].map(name), ["page heap, free", "not ours"]);
    }

    #[test]
    fn parts_add_up_to_what_is_resident_where_all_was_touched() {
        let moment = Moment::new(0, &heap(), Some(2_000));
        assert_eq!(moment.parts, [900, 100, 20, 30, 250, 50, 5, 645]);
        assert_eq!((moment.sum(), moment.released, moment.untouched()), (2_000, 7_160, 0));
    }

    #[test]
    fn what_was_never_touched_is_not_taken_from_other_mappings() {
        let moment = Moment::new(0, &heap(), Some(1_000));
        assert_eq!((moment.parts[NOT_OURS], moment.untouched()), (0, 355));
        let unknown = Moment::new(0, &heap(), None);
        assert_eq!((unknown.sum(), unknown.untouched()), (1_355, 0));
    }
}
