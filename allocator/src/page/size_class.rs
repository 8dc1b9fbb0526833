//! Size classes: which object size serves a request, and how long a span of such objects is.
//!
//! Classes go in steps of 16 bytes up to 128 B and then eight to a doubling, so internal
//! fragmentation wastes at most the 16-byte step below 128 B and at most 12.5 % above. Everything
//! here is a table made at compile time; in Rust code with a constant `Layout` the class folds to a
//! constant.
//!
//! Class 0 means "not a small object": a large block, a foreign address or the null pointer. Its
//! magazine is always both empty and full, which leads to the slow path without a branch of its
//! own. The last class, [`SizeClass::SHARED`], is that of pages with blocks of several sizes
//! (`central::shared_pages`): the page map has it, and frees fill its magazine, but no request asks
//! for it.

use super::units::Length;
use crate::config::{
    CLASS_COUNT, MAGAZINE_MAX_OBJECTS, MAX_SMALL, MAX_SPAN_OBJECTS, MAX_SPAN_OS_PAGES, MIN_ALIGN,
    MIN_SPAN_OBJECTS, MOST_BUDGET_BYTES, OS_PAGE, PAGE_SIZE, SHARED_CLASS, SPAN_TAIL_WEIGHT,
    SPAN_TARGET_BYTES,
};

/// A class, `0..CLASS_COUNT`: of sizes, or one of the two that are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeClass(u8);

/// What the tiers need to know about a class.
#[derive(Clone, Copy, Debug)]
pub struct ClassInfo {
    /// Bytes in an object.
    pub size: u32,
    /// Pages in a span.
    pub pages: u16,
    /// Objects in a span.
    pub objects: u16,
    /// `ceil(2^40 / size)`: offset in span times this, shifted right by 40, is the object's number.
    reciprocal: u64,
    /// `floor(2^16 * 8 / objects)`: allocated objects times this, shifted right by 16, is how many
    /// eighths of a span are allocated, rounded down.
    pub eighths: u32,
    /// Objects that a thread which samples may free before it next checks its magazine, though the
    /// magazine is smaller.
    pub most_budget: u32,
}

impl ClassInfo {
    /// The number of the object that lies `offset` bytes behind the start of its span. Means
    /// nothing unless that is in the span.
    #[inline(always)]
    pub const fn object_around(&self, offset: usize) -> usize {
        ((offset as u64).wrapping_mul(self.reciprocal) >> 40) as usize
    }

    /// The number of the object that begins `offset` bytes behind the start of its span; `None` if
    /// none does.
    #[inline(always)]
    pub const fn object_at(&self, offset: usize) -> Option<usize> {
        let index = self.object_around(offset);
        if index * self.size as usize == offset && index < self.objects as usize {
            Some(index)
        } else {
            None
        }
    }

    /// The group of spans (`central::spans_by_shard`) of which `allocated` objects are allocated,
    /// less than all, and none of whose pages is released: 1 to 8.
    #[inline(always)]
    pub const fn group(&self, allocated: u16) -> usize {
        // Rounded down, eighths of less than all objects are at most 7.
        1 + ((allocated as u32 * self.eighths) >> 16) as usize
    }
}

const STEP: usize = MIN_ALIGN;
const TABLE_LEN: usize = MAX_SMALL / STEP + 1;

/// The distance from a class's number to its alias in [`MappedClass`]. Twice the number of classes:
/// `thread_cache::push_target` says where in a thread's cache that leads.
pub const ALIAS: usize = 2 * CLASS_COUNT;
const _: () = assert!(ALIAS + CLASS_COUNT <= 256, "an alias fits the page map's byte");

static INFO: [ClassInfo; CLASS_COUNT] = make_info();
static MAPPED_SIZES: [u16; ALIAS + CLASS_COUNT] = make_mapped_sizes();
static CLASS_OF: [u8; TABLE_LEN] = make_class_of();

/// What a block of the class of shared pages counts for where thread caches bound their magazines.
/// By default that makes 51 blocks: each may be the last one of its page, and a call of the program
/// is to return no more pages than that for others.
const SHARED_SIZE: usize = 320;

/// What stands in the table for the class of shared pages, whose blocks have sizes of their own.
const SHARED_INFO: ClassInfo = ClassInfo {
    size: SHARED_SIZE as u32,
    pages: 1,
    objects: (PAGE_SIZE / SHARED_SIZE) as u16,
    reciprocal: (1u64 << 40).div_ceil(SHARED_SIZE as u64),
    eighths: ((8 << 16) / (PAGE_SIZE / SHARED_SIZE)) as u32,
    most_budget: most_budget(SHARED_SIZE),
};

const fn make_info() -> [ClassInfo; CLASS_COUNT] {
    let mut info =
        [ClassInfo { size: 0, pages: 0, objects: 0, reciprocal: 0, eighths: 0, most_budget: 0 };
            CLASS_COUNT];
    info[SHARED_CLASS] = SHARED_INFO;
    let mut class = 1;
    let mut size = STEP;
    while class < SHARED_CLASS {
        let pages = span_pages(size);
        let fit = pages * PAGE_SIZE / size;
        let objects = if fit < MAX_SPAN_OBJECTS { fit } else { MAX_SPAN_OBJECTS };
        info[class] = ClassInfo {
            size: size as u32,
            pages: pages as u16,
            objects: objects as u16,
            reciprocal: (1u64 << 40).div_ceil(size as u64),
            eighths: ((8 << 16) / objects) as u32,
            most_budget: most_budget(size),
        };
        // Eight steps per doubling; below 128 the step is the minimum.
        size += if size < 128 { STEP } else { (1 << size.ilog2()) / 8 };
        class += 1;
    }
    info
}

const fn most_budget(size: usize) -> u32 {
    let objects = MOST_BUDGET_BYTES / size;
    if objects > MAGAZINE_MAX_OBJECTS { MAGAZINE_MAX_OBJECTS as u32 } else { objects as u32 }
}

/// The length of a span in pages: near the target, and so that little is left over behind the last
/// object. Of all lengths, down to a page below the target, whose tail is at most 1/16 of the span,
/// the one with the least sum of tail and weighted distance from the target.
const fn span_pages(size: usize) -> usize {
    let by_count = size * MAX_SPAN_OBJECTS;
    let target = if by_count < SPAN_TARGET_BYTES { by_count } else { SPAN_TARGET_BYTES };
    let least = size * MIN_SPAN_OBJECTS;
    let target = if target > least { target } else { least };
    let (mut best, mut best_cost) = (0, usize::MAX);
    let mut pages = (target / PAGE_SIZE).saturating_sub(2);
    while pages * PAGE_SIZE < MAX_SPAN_OS_PAGES * OS_PAGE {
        pages += 1;
        let bytes = pages * PAGE_SIZE;
        let fit = bytes / size;
        let tail = bytes - fit * size;
        if fit < MIN_SPAN_OBJECTS || fit > MAX_SPAN_OBJECTS || tail * 16 > bytes {
            continue;
        }
        // Both as millionths.
        let away = bytes.abs_diff(target) * 1_000_000 / target / SPAN_TAIL_WEIGHT;
        let cost = tail * 1_000_000 / bytes + away;
        if cost < best_cost {
            (best, best_cost) = (pages, cost);
        }
    }
    assert!(best > 0, "every class has a length that will do");
    best
}

const fn make_class_of() -> [u8; TABLE_LEN] {
    let mut table = [0; TABLE_LEN];
    let info = make_info();
    let mut class = 1;
    let mut slot = 0;
    while slot < TABLE_LEN {
        while slot * STEP > info[class].size as usize {
            class += 1;
        }
        table[slot] = class as u8;
        slot += 1;
    }
    table
}

const fn make_mapped_sizes() -> [u16; ALIAS + CLASS_COUNT] {
    let mut sizes = [0; ALIAS + CLASS_COUNT];
    let info = make_info();
    let mut class = 1;
    // 0 for the class of shared pages: each of its blocks has a size of its own.
    while class < SHARED_CLASS {
        sizes[class] = info[class].size as u16;
        sizes[ALIAS + class] = sizes[class];
        class += 1;
    }
    sizes
}

/// A size class as the page map stores it: by its own number, or by its alias in processes that
/// sample allocations. Class 0 has no alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappedClass(u8);

impl MappedClass {
    /// What `byte` of the page map stands for.
    ///
    /// # Safety
    /// `byte` is the number or the alias of a class.
    #[inline(always)]
    pub const unsafe fn from_byte_unchecked(byte: u8) -> Self {
        debug_assert!((byte as usize) < ALIAS + CLASS_COUNT);
        Self(byte)
    }

    /// `class` by its own number.
    #[inline(always)]
    pub const fn first(class: SizeClass) -> Self {
        Self(class.0)
    }

    /// `class` by its class alias.
    #[inline(always)]
    pub const fn alias(class: SizeClass) -> Self {
        if class.0 == 0 { Self(0) } else { Self(class.0 + ALIAS as u8) }
    }

    /// The number.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The class.
    #[inline(always)]
    pub const fn class(self) -> SizeClass {
        if self.0 as usize >= ALIAS { SizeClass(self.0 - ALIAS as u8) } else { SizeClass(self.0) }
    }

    /// Bytes in an object of the class; 0 for class 0.
    #[inline(always)]
    pub const fn size(self) -> usize {
        // SAFETY: the constructors allow only numbers and aliases, which the table covers.
        unsafe { *MAPPED_SIZES.as_ptr().add(self.0 as usize) as usize }
    }
}

impl SizeClass {
    /// Class 0: large, foreign or null.
    pub const NONE: Self = Self(0);

    /// The class of blocks on pages that several size classes share. Each has a size of its own.
    pub const SHARED: Self = Self(SHARED_CLASS as u8);

    /// The class that serves `size` bytes at the minimum alignment.
    ///
    /// # Safety
    /// `size <= MAX_SMALL`.
    #[inline(always)]
    #[allow(
        clippy::manual_div_ceil,
        reason = "div_ceil cannot rely on the bound and costs the hot path"
    )]
    pub const unsafe fn of_unchecked(size: usize) -> Self {
        debug_assert!(size <= MAX_SMALL);
        // SAFETY: the table covers every slot of sizes up to MAX_SMALL.
        Self(unsafe { *CLASS_OF.as_ptr().add((size + STEP - 1) / STEP) })
    }

    /// The class that serves `size` bytes at the minimum alignment, if it is small.
    #[inline(always)]
    pub const fn of(size: usize) -> Option<Self> {
        if size > MAX_SMALL {
            return None;
        }
        // SAFETY: `size <= MAX_SMALL` was compared above.
        Some(unsafe { Self::of_unchecked(size) })
    }

    /// The smallest class for `size` bytes whose objects all lie at multiples of `align` (a power
    /// of two).
    ///
    /// That is the class of the size rounded up to a multiple of `align`. Where classes lie closer
    /// together than `align`, every such multiple is a class itself; where they lie farther apart,
    /// their sizes are all multiples of it. And spans are aligned to what their objects may be
    /// asked to be (`span_align`).
    #[inline(always)]
    pub const fn of_aligned(size: usize, align: usize) -> Option<Self> {
        debug_assert!(align.is_power_of_two());
        if align <= MIN_ALIGN {
            return Self::of(size);
        }
        if align > MAX_SMALL || size > MAX_SMALL {
            return None;
        }
        let size = if size == 0 { 1 } else { size };
        // Masks, as a division would take most of the time of the call.
        Self::of((size + align - 1) & !(align - 1))
    }

    /// What a span of this class must be aligned to: the largest power of two that divides the
    /// object size, but at least a page.
    pub const fn span_align(self) -> Length {
        let divisor = 1 << self.size().trailing_zeros();
        Length(if divisor > PAGE_SIZE { divisor / PAGE_SIZE } else { 1 })
    }

    /// The class with this number; `None` for 0, which no object has, and beyond the last.
    pub fn from_index(index: usize) -> Option<Self> {
        (1..CLASS_COUNT).contains(&index).then_some(Self(index as u8))
    }

    /// The class with number `index`.
    ///
    /// # Safety
    /// `index < CLASS_COUNT`.
    #[inline(always)]
    pub const unsafe fn from_index_unchecked(index: u8) -> Self {
        debug_assert!((index as usize) < CLASS_COUNT);
        Self(index)
    }

    /// The class's number.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The class's number as the allocation bitmap stores it.
    pub const fn as_byte(self) -> u8 {
        self.0
    }

    /// The properties of the class.
    #[inline(always)]
    pub const fn info(self) -> &'static ClassInfo {
        // SAFETY: a class's number is below CLASS_COUNT by construction.
        unsafe { &*INFO.as_ptr().add(self.0 as usize) }
    }

    /// Bytes in an object of the class.
    #[inline(always)]
    pub const fn size(self) -> usize {
        self.info().size as usize
    }

    /// All classes of sizes, smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..SHARED_CLASS as u8).map(Self)
    }

    /// All classes that threads have magazines of: those of sizes, and `SHARED`.
    pub fn cached() -> impl Iterator<Item = Self> {
        (1..CLASS_COUNT as u8).map(Self)
    }

    /// The largest class whose objects have at most `size` bytes; `NONE` if there is none.
    pub const fn at_most(size: usize) -> Self {
        if size >= MAX_SMALL {
            return Self(SHARED_CLASS as u8 - 1);
        }
        // SAFETY: `size < MAX_SMALL` was compared above.
        let class = unsafe { Self::of_unchecked(size) };
        if class.size() > size { Self(class.0 - 1) } else { class }
    }
}
