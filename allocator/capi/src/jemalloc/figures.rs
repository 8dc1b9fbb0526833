//! Values of `mallctl` that can only be read. All are of the moment of the call; none is counted
//! for this purpose. In bytes, unless they are pages of [`PAGE`] bytes or numbers of things.
//!
//! jemalloc knows three kinds of pages: active ones hold blocks or are held for them, dirty ones
//! are free and resident, retained ones are addresses without memory. Ours map onto them as
//! [`Figures`] says; there are no muzzy ones, as memory goes back at once when it goes back.

use core::ffi::{CStr, c_uint};

use allocator::{ClassUsage, MallocExtension, Stats};

use super::arguments::{Place, Value};
use super::{arenas, settings};
use crate::control;

/// Alignment of every block and distance of the smallest size classes.
pub const QUANTUM: usize = crate::aligned::DEFAULT_ALIGNMENT;

/// The unit of `pactive` and `pdirty`: the smallest OS page there is, of which memory that is given
/// back is a multiple.
pub const PAGE: usize = 4096;

/// Size classes, jemalloc's bins.
pub fn class_count() -> usize {
    ClassUsage::COUNT
}

/// A snapshot in jemalloc's terms.
pub struct Figures {
    /// Blocks that the program holds, rounded up to size classes.
    pub allocated: usize,
    /// The part of it beyond the size classes.
    pub large: usize,
    /// Spans and large blocks, without the pages in them that were given back.
    pub active: usize,
    /// Free pages that hold memory.
    pub dirty: usize,
    /// Addresses of the allocator's own records.
    pub metadata: usize,
    /// Free pages, inside and outside of spans, that hold no memory.
    pub retained: usize,
    /// Free objects in the caches of threads.
    pub cached: usize,
    /// Threads that have a cache.
    pub threads: usize,
}

impl Figures {
    /// The state at this moment. Not inlined: the snapshot leaves the stack before anything prints.
    #[inline(never)]
    pub fn now() -> Self {
        Self::from_snapshot(&MallocExtension::stats())
    }

    fn from_snapshot(now: &Stats) -> Self {
        let retained = now.page_heap_released + now.central_released;
        Self {
            allocated: now.in_use,
            large: now.large,
            active: now.mapped - now.page_heap_free - retained,
            dirty: now.page_heap_free,
            metadata: now.metadata,
            retained,
            cached: now.thread_cache_free,
            threads: now.thread_count,
        }
    }

    /// The part of `allocated` in size classes.
    pub fn small(&self) -> usize {
        self.allocated - self.large
    }

    /// What may be resident: an upper bound, as pages of blocks that were never touched count.
    pub fn resident(&self) -> usize {
        self.active + self.dirty + self.metadata
    }

    fn read(value: fn(&Self) -> usize) -> Option<Value> {
        Some(Value::Size(value(&Self::now())))
    }

    /// As `read` for arena `<i>`: the whole heap has figures, arenas that were created have none.
    fn of_arena(place: Place, value: fn(&Self) -> usize) -> Option<Value> {
        if arenas::is_heap(place.arena) { Self::read(value) } else { None }
    }
}

/// A number of things.
fn number(count: usize) -> Option<Value> {
    c_uint::try_from(count).ok().map(Value::Unsigned)
}

/// `version`
pub fn version(_: Place) -> Option<Value> {
    // SAFETY: a constant string, NUL-terminated.
    Some(Value::Text(unsafe { CStr::from_ptr(control::stratalloc_version()) }))
}

/// `arenas.narenas`
pub fn arena_count(_: Place) -> Option<Value> {
    number(arenas::count())
}

/// `arena.<i>.initialized`
pub fn arena_exists(place: Place) -> Option<Value> {
    Some(Value::Bool(arenas::is_heap(place.arena) || arenas::is_created(place.arena)))
}

/// `arenas.tcache_max`: the largest size that threads cache, which is that of the largest class.
pub fn largest_class(_: Place) -> Option<Value> {
    Some(Value::Size(ClassUsage::LARGEST))
}

/// `arenas.nbins`, `arenas.nhbins`
pub fn bin_count(_: Place) -> Option<Value> {
    number(class_count())
}

/// The size class that a path names.
fn class_at(place: Place) -> Option<ClassUsage> {
    let (mut index, mut found) = (0, None);
    allocator::for_each_size_class(|class| {
        if index == place.class {
            found = Some(class);
        }
        index += 1;
    });
    found
}

/// `arenas.bin.<j>.size`
pub fn bin_size(place: Place) -> Option<Value> {
    Some(Value::Size(class_at(place)?.object_size))
}

/// `arenas.bin.<j>.nregs`
pub fn bin_objects(place: Place) -> Option<Value> {
    number(class_at(place)?.span_objects)
}

/// `arenas.bin.<j>.slab_size`
pub fn bin_span_size(place: Place) -> Option<Value> {
    Some(Value::Size(class_at(place)?.span_size))
}

/// `stats.allocated`
pub fn allocated(_: Place) -> Option<Value> {
    Figures::read(|now| now.allocated)
}

/// `stats.active`
pub fn active(_: Place) -> Option<Value> {
    Figures::read(|now| now.active)
}

/// `stats.metadata`
pub fn metadata(_: Place) -> Option<Value> {
    Figures::read(|now| now.metadata)
}

/// `stats.resident`
pub fn resident(_: Place) -> Option<Value> {
    Figures::read(Figures::resident)
}

/// `stats.mapped`: all addresses but the retained ones.
pub fn mapped(_: Place) -> Option<Value> {
    Figures::read(Figures::resident)
}

/// `stats.retained`
pub fn retained(_: Place) -> Option<Value> {
    Figures::read(|now| now.retained)
}

/// `stats.arenas.<i>.nthreads`
pub fn arena_threads(place: Place) -> Option<Value> {
    if arenas::is_heap(place.arena) { number(Figures::now().threads) } else { None }
}

/// `stats.arenas.<i>.dss`: `sbrk` is not used.
pub fn arena_dss(place: Place) -> Option<Value> {
    arenas::is_heap(place.arena).then_some(Value::Text(c"disabled"))
}

/// `stats.arenas.<i>.dirty_decay_ms`
pub fn arena_dirty_decay(place: Place) -> Option<Value> {
    if arenas::is_heap(place.arena) { settings::dirty_decay(place) } else { None }
}

/// `stats.arenas.<i>.muzzy_decay_ms`
pub fn arena_muzzy_decay(place: Place) -> Option<Value> {
    if arenas::is_heap(place.arena) { settings::muzzy_decay(place) } else { None }
}

/// `stats.arenas.<i>.pactive`
pub fn arena_active_pages(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.active / PAGE)
}

/// `stats.arenas.<i>.pdirty`
pub fn arena_dirty_pages(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.dirty / PAGE)
}

/// `stats.arenas.<i>.pmuzzy`: there are none.
pub fn arena_muzzy_pages(place: Place) -> Option<Value> {
    Figures::of_arena(place, |_| 0)
}

/// `stats.arenas.<i>.mapped`
pub fn arena_mapped(place: Place) -> Option<Value> {
    Figures::of_arena(place, Figures::resident)
}

/// `stats.arenas.<i>.retained`
pub fn arena_retained(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.retained)
}

/// `stats.arenas.<i>.base`
pub fn arena_metadata(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.metadata)
}

/// `stats.arenas.<i>.tcache_bytes`
pub fn arena_cached(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.cached)
}

/// `stats.arenas.<i>.resident`
pub fn arena_resident(place: Place) -> Option<Value> {
    Figures::of_arena(place, Figures::resident)
}

/// `stats.arenas.<i>.small.allocated`
pub fn arena_small(place: Place) -> Option<Value> {
    Figures::of_arena(place, Figures::small)
}

/// `stats.arenas.<i>.large.allocated`
pub fn arena_large(place: Place) -> Option<Value> {
    Figures::of_arena(place, |now| now.large)
}

/// `stats.arenas.<i>.bins.<j>.curregs`
pub fn bin_in_use(place: Place) -> Option<Value> {
    if !arenas::is_heap(place.arena) {
        return None;
    }
    Some(Value::Size(class_at(place)?.in_use_count))
}

/// `stats.arenas.<i>.bins.<j>.curslabs`
pub fn bin_spans(place: Place) -> Option<Value> {
    if !arenas::is_heap(place.arena) {
        return None;
    }
    Some(Value::Size(class_at(place)?.span_count))
}
